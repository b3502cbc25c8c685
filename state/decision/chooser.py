"""Chooses arms for requests and learns from outcomes, with the learner of their (tenant, trigger)."""

from __future__ import annotations

from typing import Final

from state import counters
from state.catalog.plan import Plan
from state.counters import CounterTotals
from state.decision.bandit import Bandit, FitResult, Learner
from state.decision.messages import Decision, DecisionOutcome, DecisionRequest
from state.decision.propensity import draw
from state.records.fact_builders import catalog_fact
from state.records.facts import ArmStopFact, DecisionFact, Fact, OutcomeFact, PosteriorFact

MOST_CONTEXTS_PUBLISHED: Final = 100
"""Contexts whose posterior one fit publishes at most."""

_ENDS: Final = frozenset({"success", "failure", "expired", "withdrawn", "superseded"})
_RULES: Final = "rules"


class Choices:
    """What ``choose`` emits for one batch: decisions, and rows for analysts."""

    __slots__ = ("counts", "decisions", "rows")

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.rows: list[Fact] = []
        self.counts: CounterTotals = {}


class Chooser:
    """The rules of choosing for one plan. Methods change the given learner and emit into the given ``Choices``."""

    def __init__(self, plan: Plan) -> None:
        self._plan: Final = plan
        self._policy: Final = plan.policy
        self._live: Final[dict[str, list[str]]] = {}

    def bandit(self, learner: Learner) -> Bandit:
        """Return ``learner`` with the posterior that its state implies."""
        return Bandit(self._policy, learner)

    def meet(self, bandit: Bandit, tenant: str, out: Choices) -> None:
        """Record what the catalog in force promises, once for each learner."""
        if bandit.learner.catalog != self._plan.version:
            bandit.learner.catalog = self._plan.version
            out.rows.append(catalog_fact(self._plan, tenant))

    def decide(self, bandit: Bandit, request: DecisionRequest, out: Choices) -> None:
        """Choose an arm for ``request``, which has at least one, and record the propensities.

        Stopped arms are not eligible and not recorded. Only where every arm is stopped are all eligible. The group ``rules`` always gets
        the catalog's first arm, with propensity 1.
        """
        self._learn(bandit, request.tenant, request.trigger, request.at, out)
        learner = bandit.learner
        self.meet(bandit, request.tenant, out)
        keys = [f"{arm}@{self._plan.arm_version(request.trigger, arm)}" for arm in request.arms]
        eligible: tuple[int, ...] = tuple(range(len(keys)))
        if request.group == _RULES:
            propensities = tuple(float(index == 0) for index in eligible)
        else:
            eligible = tuple(index for index in eligible if keys[index] not in learner.stopped) or eligible
            recovery = [request.recovery[index] for index in eligible] if request.recovery else ()
            propensities = bandit.propensities([keys[index] for index in eligible], f"{request.step}|{request.segment}", recovery)
        drawn = draw(propensities, request.decision)
        learner.pending[request.decision] = keys[eligible[drawn]]
        arms = tuple(request.arms[index] for index in eligible)
        counters.increment(out.counts, counters.DECISIONS)
        counters.increment(out.counts, counters.ARMS_CHOSEN, arms[drawn])
        out.decisions.append(Decision(request, arms[drawn], propensities[drawn]))
        out.rows.append(
            DecisionFact(
                tenant_id=request.tenant,
                decision_id=request.decision,
                user_id=request.user,
                trigger=request.trigger,
                path_id=request.path,
                step_id=request.step,
                segment=request.segment,
                outcome="decided",
                reason="",
                arm=arms[drawn],
                propensity=propensities[drawn],
                arms=arms,
                propensities=propensities,
                learner_version=learner.fitted,
                catalog_version=self._plan.version,
                decided_at=request.at,
                version=request.version,
                experiment_group=request.group,
                parameters_version=request.parameters,
            )
        )

    def learn(self, bandit: Bandit, outcome: DecisionOutcome, out: Choices) -> None:
        """Record an outcome. Only success and failure are learned; every end removes the decision from those pending.

        The outcome is recorded at once and learned when its window has closed. Outcomes of the group ``rules`` are not learned: the group
        is the baseline that the learner is compared with.
        """
        learner = bandit.learner
        arm = learner.pending.get(outcome.decision, "")
        if not arm and outcome.arm in self._plan.component:  # the learner does not know the decision, but the app echoed the arm
            arm = f"{outcome.arm}@{self._plan.arm_version(outcome.trigger, outcome.arm)}"
        if outcome.kind in _ENDS:
            learner.pending.pop(outcome.decision, None)
        if arm and outcome.kind in ("success", "failure") and outcome.group != _RULES:
            bandit.observe(arm, f"{outcome.step}|{outcome.segment}", outcome.kind == "success", outcome.at, outcome.matures_at)
        counters.increment(out.counts, counters.OUTCOMES, outcome.kind)
        out.rows.append(
            OutcomeFact(
                tenant_id=outcome.tenant,
                decision_id=outcome.decision,
                kind=outcome.kind,
                user_id=outcome.user,
                trigger=outcome.trigger,
                path_id=outcome.path,
                step_id=outcome.step,
                segment=outcome.segment,
                arm=arm.partition("@")[0],
                # Where the exposure was reported late, the timer that finds the failure runs after the end of the window.
                occurred_at=outcome.matures_at if outcome.kind == "failure" else outcome.at,
                version=outcome.version,
            )
        )
        self._learn(bandit, outcome.tenant, outcome.trigger, outcome.at, out)

    def _learn(self, bandit: Bandit, tenant: str, trigger: str, now: int, out: Choices) -> None:
        if trigger not in self._live:
            self._live[trigger] = [f"{arm}@{self._plan.arm_version(trigger, arm)}" for arm in self._plan.component]
        live = self._live[trigger]
        for fit in bandit.learn(now, live):
            counters.increment(out.counts, counters.LEARNER_FITS)
            out.rows += self._fit_facts(tenant, trigger, live, fit)

    def _fit_facts(self, tenant: str, trigger: str, live: list[str], fit: FitResult) -> list[Fact]:
        """Rows of one fit: the posteriors of live arms with new outcomes, over all contexts (``*``) and by context, and stopped arms."""
        changed = [(arm, context) for arm, context in fit.changed if arm in live][:MOST_CONTEXTS_PUBLISHED]
        published = [(arm, "*", fit.posterior.rate(arm, "*")) for arm in dict.fromkeys(arm for arm, _ in changed)]
        published += [(arm, context, rate) for (arm, context), rate in zip(changed, fit.posterior.rates_of(changed), strict=True)]
        facts: list[Fact] = []
        for arm, context, (alpha, beta) in published:
            facts.append(
                PosteriorFact(
                    tenant_id=tenant,
                    trigger=trigger,
                    arm=arm.partition("@")[0],
                    context=context,
                    alpha=alpha,
                    beta=beta,
                    updates=fit.version,
                    updated_at=fit.at,
                    version=fit.version,
                )
            )
        for stop in fit.stops:
            name, _, version = stop.arm.partition("@")
            facts.append(
                ArmStopFact(
                    tenant_id=tenant,
                    trigger=trigger,
                    arm=name,
                    arm_version=version,
                    confidence=stop.confidence,
                    margin=self._policy.harm_margin,
                    rate=stop.rate,
                    others_rate=stop.others_rate,
                    outcomes=stop.outcomes,
                    stopped_at=fit.at,
                    version=fit.version,
                )
            )
        return facts
