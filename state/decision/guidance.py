"""Guidance of one person: considers decisions, and withdraws guidance that became stale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from state import counters
from state.catalog.plan import Plan
from state.decision.attribution import Attribution, current
from state.decision.eligibility import arm_recovery, is_stuck, reason_not_to_decide
from state.decision.experiment_groups import EXISTING, begins, draw_of, experiment_group
from state.decision.messages import DecisionRequest, WordingContext
from state.decision.switches import NOT_SWITCHED, Switches, ramp_draw
from state.duration import DAY
from state.ids import Keys
from state.person.collector import Collector
from state.person.person import WITHDRAWN, OpenDecision, Person
from state.person.progress import current_step
from state.records.fact_builders import recommendation_fact
from state.records.facts import DecisionFact
from state.records.recommendation import Publish, Recommendation, validation_hash
from state.times import rfc3339
from state.vocabulary import NO_COMPONENT


class Guidance:
    """The rules of guidance for one plan. Methods change the given person and emit into the given collector."""

    def __init__(self, plan: Plan, keys: Keys, switches: Switches | None = None) -> None:
        """Without ``switches`` guidance is on for everybody."""
        self._plan: Final = plan
        self._keys: Final = keys
        self._switches: Final = switches or Switches()
        self.attribution: Final = Attribution(plan, keys)

    def consider(
        self, person: Person, trigger: str, at: int, done: Mapping[str, int], out: Collector, *, parameters_version: int, step: str = ""
    ) -> None:
        """Emit a ``DecisionRequest``, or a non-decision with its reason. ``step`` defaults to the current one.

        ``parameters_version``: that of the step statistics by which the trigger was found.
        """
        plan = self._plan
        person.version, person.considered = person.version + 1, True
        step = step or current_step(plan, person.path, done)
        arms = plan.arms(trigger, step, at)
        group = experiment_group(plan, person) if begins(plan, person) else EXISTING
        segment = plan.segment(person.traits)
        decision = self._keys.decision_id(person.tenant, person.user, trigger, step, person.version)
        switched_off = self.switched_off(person, at, out.seq)
        reason = reason_not_to_decide(plan, person, group, trigger, step, at, switched_off) or ("" if arms else "no_arm")
        if reason:
            out.count(counters.NON_DECISIONS, reason)
            out.rows.append(
                DecisionFact(
                    tenant_id=person.tenant,
                    decision_id=decision,
                    user_id=person.user,
                    trigger=trigger,
                    path_id=person.path,
                    step_id=step,
                    segment=segment,
                    outcome="declined",
                    reason=reason,
                    arm="",
                    propensity=0.0,
                    arms=(),
                    propensities=(),
                    learner_version=0,
                    catalog_version=plan.version,
                    decided_at=at,
                    version=person.version,
                    experiment_group=group,
                    parameters_version=parameters_version,
                )
            )
            return
        self._supersede(person, at, out)
        expires = at + plan.limits.recommendation_ttl
        person.decided = [*(each for each in person.decided if each > at - DAY), at]
        if is_stuck(trigger):
            person.stuck_decided = at
        person.open.append(
            OpenDecision(
                decision=decision,
                trigger=trigger,
                step=step,
                segment=segment,
                path=person.path,
                version=person.version,
                created=at,
                expires=expires,
                due=max(expires, at + plan.lookahead),
                window=plan.limits.attribution_window,
            )
        )
        out.requests.append(
            DecisionRequest(
                seq=out.seq,
                at=at,
                key=out.key,
                number=out.next_number(),
                tenant=person.tenant,
                user=person.user,
                decision=decision,
                trigger=trigger,
                path=person.path,
                step=step,
                segment=segment,
                arms=arms,
                traits=dict(person.traits),
                traceparent=out.traceparent,
                version=person.version,
                recovery=arm_recovery(plan, person, arms, at),
                group=group,
                parameters=parameters_version,
                context=wording_context(person, done) if plan.wording is not None else None,
            )
        )

    def switched_off(self, person: Person, at: int, seq: int) -> str:
        """The reason code of the switch that forbids to guide the person at log time ``at`` of the input ``seq``; empty where none does."""
        setting = self._switches.at(person.tenant, person.partition, at, seq)
        if setting is NOT_SWITCHED:
            return ""
        return setting.reason(ramp_draw(draw_of(person)) if setting.share < 1 else 0.0)

    def _supersede(self, person: Person, at: int, out: Collector) -> None:
        """Close the decisions that were not shown. Those that were shown keep their attribution window, but are no longer current."""
        for each in list(person.open):
            if each.shown:
                each.flags |= WITHDRAWN
            else:
                self.attribution.close(person, each, "superseded", at, out)

    def complete(self, person: Person, newly: Mapping[str, int], now: int, out: Collector) -> None:
        """The steps ``newly`` were completed: withdraw guidance that points to one of them, and attribute their decisions."""
        shown = current(person, now)
        if shown is not None and shown.step in newly:
            self._withdraw(person, shown, "step_completed", now, out)
        self.attribution.completed(person, newly, now, out)

    def withdraw(self, person: Person, reason: str, now: int, out: Collector) -> None:
        """Withdraw the current guidance, if any, for ``reason`` (``opted_out``, ``activated``, …)."""
        shown = current(person, now)
        if shown is not None:
            self._withdraw(person, shown, reason, now, out)
            if not shown.shown:
                self.attribution.close(person, shown, "withdrawn", now, out)

    def _withdraw(self, person: Person, decision: OpenDecision, reason: str, now: int, out: Collector) -> None:
        """Publish a newer record without a component."""
        person.version += 1
        decision.flags |= WITHDRAWN
        expires = now + self._plan.limits.recommendation_ttl
        record = Recommendation(
            decision_id=decision.decision,
            recommendation_id="",
            tenant_id=person.tenant,
            user_id=person.user,
            version=person.version,
            path_id=person.path,
            step_id=decision.step,
            trigger=decision.trigger,
            arm="",
            propensity=0.0,
            message="",
            ui_component=NO_COMPONENT,
            deep_link="",
            confidence=1.0,
            source="template",
            validation_hash=validation_hash("", NO_COMPONENT, ""),
            created_at=rfc3339(now),
            expires_at=rfc3339(expires),
            reason=reason,
        )
        out.count(counters.WITHDRAWALS)
        out.effects.append(Publish(record))
        out.rows.append(recommendation_fact(record, created_at=now, expires_at=expires))


def wording_context(person: Person, done: Mapping[str, int]) -> WordingContext:
    """What a model's text may depend on. ``done`` are the completed steps."""
    return WordingContext(
        events=person.events,
        done=tuple(done),
        returning=person.sessions > 1,
        consent=person.model_text,
        notes=tuple(person.notes),
    )
