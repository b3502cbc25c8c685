"""Guidance of one person: whether to decide, what became of decisions, and taking back what became stale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from state.catalog.plan import Plan
from state.duration import DAY, MINUTE
from state.ids import Keys, uniform
from state.person.person import CLICKED, DISMISSED, WITHDRAWN, OpenDecision, Person
from state.person.progress import current_step
from state.records.facts import DecisionFact, Fact, RecommendationFact
from state.records.recommendation import Effect, MarkShown, Publish, Recommendation, validation_hash
from state.stream_items import Context, Count, DecisionOutcome, DecisionRequest, EpisodeObservation
from state.times import minute_of_day, rfc3339, within_hours
from state.vocabulary import NO_COMPONENT

Output = Fact | Effect | DecisionRequest | DecisionOutcome | Count | EpisodeObservation


CLOCK_SKEW: Final = 5 * MINUTE
"""How far the clock of a person's device may be behind ours: what it then shows was still decided before."""


class Collector:
    """What one event or timer brings about, in order. ``seq`` and ``who`` place it among the turns of other people.

    ``parameters`` is the version of the step statistics in force.
    """

    __slots__ = ("_turn", "outputs", "parameters", "seq", "traceparent", "who")

    def __init__(self, who: str, seq: int, traceparent: str = "") -> None:
        self.who, self.seq, self.traceparent = who, seq, traceparent
        self.parameters = 0
        self.outputs: list[Output] = []
        self._turn = 0

    def next(self) -> int:
        """Number the asks and rewards of this turn."""
        self._turn += 1
        return self._turn


class Guidance:
    """The rules of guiding, for all people of one plan. Methods change the person given and append to the turn given."""

    def __init__(self, plan: Plan, keys: Keys) -> None:
        self._plan: Final = plan
        self._keys: Final = keys

    def group(self, person: Person) -> str:
        """``holdout``, ``rules`` or ``adaptive``, for good: it depends on nothing but who the person was when first seen."""
        catalog = self._plan.catalog
        place = uniform(b"holdout", person.tenant, person.origin or person.user)
        if place < catalog.holdout:
            return "holdout"
        return "rules" if place < catalog.holdout + catalog.rules else "adaptive"

    def consider(self, turn: Collector, person: Person, trigger: str, at: int, done: Mapping[str, int], step: str = "") -> None:
        """Decide about deciding: ends in an ``DecisionRequest``, or in a non-decision with its reason. ``step`` defaults to the current one."""
        plan = self._plan
        person.version += 1
        step = step or current_step(plan, person.path, done)
        arms = plan.arms(trigger, step, at)
        group = self.group(person)
        segment = plan.segment(person.traits)
        decision = self._keys.decision_id(person.tenant, person.user, trigger, step, person.version)
        reason = self._reason_against(person, group, trigger, step, at) or ("" if arms else "no_arm")
        if reason:
            turn.outputs.append(
                DecisionFact(
                    person.tenant, decision, person.user, trigger, person.path, step, segment, "declined", reason,
                    "", 0.0, (), (), 0, plan.version, at, person.version, group, turn.parameters,
                )
            )  # fmt: skip
            return
        self._supersede(turn, person, at)
        expires = at + plan.limits.recommendation_ttl
        person.decided = [*(each for each in person.decided if each > at - DAY), at]
        if is_stuck(trigger):
            person.stuck_decided = at
        person.open.append(
            OpenDecision(decision, trigger, step, segment, person.path, person.version, at, expires, max(expires, at + plan.lookahead))
        )
        turn.outputs.append(
            DecisionRequest(
                turn.seq, at, turn.who, turn.next(), person.tenant, person.user, decision, trigger, person.path, step, segment,
                arms, dict(person.traits), turn.traceparent, person.version, self._rest(person, arms, at), group, turn.parameters,
                self.context(person, done) if plan.wording is not None else None,
            )
        )  # fmt: skip

    @staticmethod
    def context(person: Person, done: Mapping[str, int]) -> Context:
        """What a model's text may depend on; ``done`` are the completed steps."""
        return Context(len(person.recent), tuple(done), person.sessions > 1, person.model_text, tuple(person.said))

    def _rest(self, person: Person, arms: tuple[str, ...], at: int) -> tuple[float, ...]:
        """How far the person has recovered from having been shown each of ``arms``: 1 − 2^(−age / half life)."""
        if not person.arms_seen:
            return ()
        recovery = self._plan.policy.repeat_recovery
        return tuple(1.0 - 2.0 ** (-max(at - seen, 0) / recovery) if (seen := person.arms_seen.get(arm)) else 1.0 for arm in arms)

    def _reason_against(self, person: Person, group: str, trigger: str, step: str, at: int) -> str:
        limits = self._plan.limits
        if not person.path:
            return "no_path"
        if person.activated_at:
            return "activated"
        if not self._plan.triggers.enabled(trigger):
            return "trigger_disabled"
        if not person.guidance:
            return "opted_out"
        if group == "holdout":
            return "holdout"
        if person.bot:
            return "suspected_bot"
        if not step:
            return "no_step"
        if person.quiet_from >= 0:
            minute = minute_of_day(at, str(person.traits.get("timezone", "UTC")))
            if within_hours(minute, person.quiet_from, person.quiet_to):
                return "quiet_hours"
        if sum(each > at - DAY for each in person.decided) >= limits.daily_cap:
            return "cap_reached"
        last = person.stuck_decided if is_stuck(trigger) else person.decided[-1] if person.decided else 0
        if last and at - last < limits.cooldown:
            return "cooldown"
        return ""

    def _supersede(self, turn: Collector, person: Person, at: int) -> None:
        """A new decision replaces those that nobody has seen yet; shown ones go on being measured, but the app has them no more."""
        for each in list(person.open):
            if each.shown:
                each.flags |= WITHDRAWN
            else:
                self._close(turn, person, each, "superseded", at)

    def expose(self, turn: Collector, person: Person, event_type: str, payload: Mapping[str, Any], timestamp: int, now: int) -> None:
        """Record that guidance was shown, clicked or dismissed. A click or a dismissal implies that it was shown.

        An echoed ``recommendationId`` must have been issued by this system, to this person; without one the current unexpired
        recommendation is meant. Anything else is counted and otherwise ignored.
        """
        echoed = payload.get("recommendationId")
        opened, arm = self._echoed(person, echoed) if echoed is not None else (self.current(person, now), "")
        if opened is None or (echoed is None and timestamp < opened.created - CLOCK_SKEW):
            turn.outputs.append(Count("exposures_ignored", "unknown_recommendation" if echoed is not None else "nothing_to_show"))
            return
        opened.arm = opened.arm or arm
        if not opened.shown:
            opened.shown = max(timestamp, opened.created)
            opened.due = max(opened.shown + self._plan.limits.attribution_window, now + self._plan.lookahead)
            if opened.arm:
                person.arms_seen[opened.arm] = opened.shown
            self._report(turn, person, opened, "shown", opened.shown)
            if self._plan.wording is not None:
                turn.outputs.append(MarkShown(person.tenant, person.user, opened.decision, opened.version))
        for kind, flag, types in (
            ("clicked", CLICKED, ("recommendation_clicked",)),
            ("dismissed", DISMISSED, ("recommendation_dismissed", "tooltip_dismiss")),
        ):
            if event_type in types and not opened.flags & flag:
                opened.flags |= flag
                self._report(turn, person, opened, kind, max(timestamp, opened.created))

    def _echoed(self, person: Person, text: object) -> tuple[OpenDecision | None, str]:
        read = self._keys.read_recommendation_id(text) if isinstance(text, str) else None
        if read is not None:
            for each in person.open:
                if each.decision == read[0]:
                    return each, read[1]
        return None, ""

    @staticmethod
    def current(person: Person, now: int) -> OpenDecision | None:
        """The decision whose recommendation the app may be showing now."""
        if person.open:
            last = person.open[-1]
            if not last.flags & WITHDRAWN and last.expires > now:
                return last
        return None

    def settle(self, turn: Collector, person: Person, newly: Mapping[str, int], now: int) -> None:
        """Steps were completed: their decisions succeeded where they were shown in time; what still points there is taken back."""
        window = self._plan.limits.attribution_window
        current = self.current(person, now)
        if current is not None and current.step in newly:
            self.withdraw(turn, person, current, "step_completed", now)
        for each in [each for each in person.open if each.step in newly]:
            at = newly[each.step]
            if not each.shown or at < each.shown:
                self._close(turn, person, each, "withdrawn", now)
            elif at <= each.shown + window:
                self._close(turn, person, each, "success", at)
            else:
                self._close(turn, person, each, "failure", each.shown + window)

    def take_back(self, turn: Collector, person: Person, reason: str, now: int) -> None:
        """Guidance as such has become unwelcome or pointless (``opted_out``, ``activated``, …): withdraw what the app may show."""
        current = self.current(person, now)
        if current is not None:
            self.withdraw(turn, person, current, reason, now)
            if not current.shown:
                self._close(turn, person, current, "withdrawn", now)

    def withdraw(self, turn: Collector, person: Person, opened: OpenDecision, reason: str, now: int) -> None:
        """Publish a newer record that shows nothing."""
        person.version += 1
        opened.flags |= WITHDRAWN
        record = Recommendation(
            decision_id=opened.decision,
            recommendation_id="",
            tenant_id=person.tenant,
            user_id=person.user,
            version=person.version,
            path_id=person.path,
            step_id=opened.step,
            trigger=opened.trigger,
            arm="",
            propensity=0.0,
            message="",
            ui_component=NO_COMPONENT,
            deep_link="",
            confidence=1.0,
            source="template",
            validation_hash=validation_hash("", NO_COMPONENT, ""),
            created_at=rfc3339(now),
            expires_at=rfc3339(now + self._plan.limits.recommendation_ttl),
            reason=reason,
        )
        turn.outputs.append(Publish(record))
        turn.outputs.append(recommendation_fact(record, now, now + self._plan.limits.recommendation_ttl))

    def close_due(self, turn: Collector, person: Person, due: int) -> None:
        """Timer: close what is due at ``due``. A window that was opened by being shown ends in failure, one never shown expires."""
        for each in [each for each in person.open if each.due <= due]:
            self._close(turn, person, each, "failure" if each.shown else "expired", each.due)

    def forget(self, turn: Collector, person: Person, now: int) -> None:
        """The person leaves: no decision about them will ever be rewarded."""
        for each in list(person.open):
            self._close(turn, person, each, "withdrawn", now)

    def _close(self, turn: Collector, person: Person, opened: OpenDecision, kind: str, at: int) -> None:
        person.open.remove(opened)
        if opened.shown and kind == "withdrawn":
            turn.outputs.append(Count("windows_voided"))
        self._report(turn, person, opened, kind, at)

    def _report(self, turn: Collector, person: Person, opened: OpenDecision, kind: str, at: int) -> None:
        matures = opened.shown + self._plan.limits.attribution_window if opened.shown else 0
        turn.outputs.append(
            DecisionOutcome(
                turn.seq, at, turn.who, turn.next(), person.tenant, person.user, opened.decision, opened.trigger, opened.path,
                opened.step, opened.segment, opened.arm, kind, opened.version, matures, self.group(person),
            )
        )  # fmt: skip


def is_stuck(trigger: str) -> bool:
    """Whether ``trigger`` says that the person is stuck: help then outranks a tip, and is kept back by earlier help only."""
    return trigger.startswith("stuck:")


def recommendation_fact(record: Recommendation, created_at: int, expires_at: int) -> RecommendationFact:
    """The row that tells analysts what the app could read."""
    return RecommendationFact(
        record.tenant_id, record.user_id, record.decision_id, record.recommendation_id, record.trigger, record.path_id, record.step_id,
        record.arm, record.propensity, record.message, record.ui_component, record.deep_link, record.confidence, record.source,
        record.prompt_version or "", record.validation_hash, record.trace_id or "", record.reason or "", created_at, expires_at,
        record.version,
    )  # fmt: skip
