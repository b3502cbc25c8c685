"""Decides asks and learns from rewards, with the learner of their (tenant, trigger)."""

from __future__ import annotations

from typing import Final

from state.catalog.plan import Plan
from state.decision.bandit import Bandit, FitResult, Learner
from state.decision.propensity import draw
from state.records.facts import ArmStopFact, DecisionFact, OutcomeFact, PosteriorFact
from state.stream_items import Decision, DecisionOutcome, DecisionRequest

Chosen = Decision | DecisionFact | OutcomeFact | PosteriorFact | ArmStopFact

MOST_CONTEXTS_TOLD: Final = 100
"""Contexts of which one fit tells what is believed now: those that taught it something, the first so many."""

_ENDS: Final = frozenset({"success", "failure", "expired", "withdrawn", "superseded"})
_RULES: Final = "rules"


class Chooser:
    """The rules of choosing, for all learners of one plan. Methods change the learner given."""

    def __init__(self, plan: Plan) -> None:
        self._plan: Final = plan
        self._policy: Final = plan.policy
        self._live: Final[dict[str, list[str]]] = {}

    def bandit(self, learner: Learner) -> Bandit:
        """The learner at work; believes what it believed when it was written down."""
        return Bandit(self._policy, learner)

    def decide(self, bandit: Bandit, ask: DecisionRequest) -> list[Chosen]:
        """Choose an arm for ``ask`` and say with which probabilities. Asks always have at least one arm.

        Stopped arms are no longer eligible, and so not among the arms logged: nothing can be said, off-policy, of what they would do now.
        Only where every arm is stopped they all compete as before. The group ``rules`` gets the catalog's first arm, for certain.
        """
        told = self._learn(bandit, ask.tenant, ask.trigger, ask.at)
        learner = bandit.learner
        keys = [f"{arm}@{self._plan.arm_version(ask.trigger, arm)}" for arm in ask.arms]
        asked: tuple[int, ...] = tuple(range(len(keys)))
        if ask.group == _RULES:
            chances = tuple(float(index == 0) for index in asked)
        else:
            asked = tuple(index for index in asked if keys[index] not in learner.stopped) or asked
            rest = [ask.rest[index] for index in asked] if ask.rest else ()
            chances = bandit.propensities([keys[index] for index in asked], f"{ask.step}|{ask.segment}", rest)
        drawn = draw(chances, ask.decision)
        learner.pending[ask.decision] = keys[asked[drawn]]
        arms = tuple(ask.arms[index] for index in asked)
        return [
            *told,
            Decision(ask, arms[drawn], chances[drawn]),
            DecisionFact(
                ask.tenant, ask.decision, ask.user, ask.trigger, ask.path, ask.step, ask.segment, "decided", "", arms[drawn],
                chances[drawn], arms, chances, learner.fitted, self._plan.version, ask.at, ask.version, ask.group, ask.parameters,
            ),
        ]  # fmt: skip

    def learn(self, bandit: Bandit, reward: DecisionOutcome) -> list[Chosen]:
        """Take note of what became of a decision. Only success and failure teach; every end closes the books on the decision.

        The outcome is told at once and learned when its window has closed. What befalls the group ``rules`` teaches nothing: it is what the
        learner is measured against.
        """
        learner = bandit.learner
        arm = learner.pending.get(reward.decision, "")
        if not arm and reward.arm in self._plan.component:  # remembered by the app's echo alone
            arm = f"{reward.arm}@{self._plan.arm_version(reward.trigger, reward.arm)}"
        if reward.kind in _ENDS:
            learner.pending.pop(reward.decision, None)
        if arm and reward.kind in ("success", "failure") and reward.group != _RULES:
            bandit.observe(arm, f"{reward.step}|{reward.segment}", reward.kind == "success", reward.at, reward.matures_at)
        return [
            OutcomeFact(
                reward.tenant, reward.decision, reward.kind, reward.user, reward.trigger, reward.path, reward.step, reward.segment,
                arm.partition("@")[0], reward.at, reward.version,
            ),
            *self._learn(bandit, reward.tenant, reward.trigger, reward.at),
        ]  # fmt: skip

    def _learn(self, bandit: Bandit, tenant: str, trigger: str, now: int) -> list[Chosen]:
        if trigger not in self._live:
            self._live[trigger] = [f"{arm}@{self._plan.arm_version(trigger, arm)}" for arm in self._plan.component]
        live = self._live[trigger]
        return [fact for news in bandit.learn(now, live) for fact in self._tell(tenant, trigger, live, news)]

    def _tell(self, tenant: str, trigger: str, live: list[str], news: FitResult) -> list[Chosen]:
        """What one fit changed: beliefs of the arms in use that were taught, each as a whole (``*``) and by context, and arms stopped."""
        changed = [(arm, context) for arm, context in news.changed if arm in live][:MOST_CONTEXTS_TOLD]
        told: list[Chosen] = []
        for arm, context in [*((arm, "*") for arm in dict.fromkeys(arm for arm, _ in changed)), *changed]:
            alpha, beta = news.belief.rate(arm, context)
            name = arm.partition("@")[0]
            told.append(PosteriorFact(tenant, trigger, name, context, alpha, beta, news.version, news.at, news.version))
        for stop in news.stops:
            name, _, version = stop.arm.partition("@")
            told.append(
                ArmStopFact(
                    tenant, trigger, name, version, stop.confidence, self._policy.harm_margin, stop.rate, stop.others_rate,
                    stop.outcomes, news.at, news.version,
                )
            )  # fmt: skip
        return told
