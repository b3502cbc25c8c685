"""Attribution: exposures (shown, clicked, dismissed) and the outcome of each decision.

An attribution window opens when the recommendation is shown. Success is the completion of its step within the window. Failure is the end of
the window, detected by a timer. A recommendation that was not shown expires, is withdrawn, or is superseded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from state import counters
from state.catalog.plan import Plan
from state.decision.experiment_groups import experiment_group
from state.decision.messages import DecisionOutcome
from state.duration import MINUTE
from state.ids import Keys
from state.person.collector import Collector
from state.person.person import CLICKED, DISMISSED, WITHDRAWN, OpenDecision, Person
from state.records.recommendation import MarkShown

CLOCK_SKEW: Final = 5 * MINUTE
"""How far the clock of a person's device may be behind ours: a timestamp up to this much before the decision can still belong to it. How
far it is ahead does not matter: such a timestamp counts as log time."""

EXPOSURES: Final = frozenset({"recommendation_shown", "recommendation_clicked", "recommendation_dismissed", "tooltip_dismiss"})
"""Event types that report an exposure."""


class Attribution:
    """The rules of attribution for one plan. Methods change the given person and emit into the given collector."""

    def __init__(self, plan: Plan, keys: Keys) -> None:
        self._plan: Final = plan
        self._keys: Final = keys

    def expose(self, person: Person, event_type: str, payload: Mapping[str, Any], timestamp: int, now: int, out: Collector) -> None:
        """Record that guidance was shown, clicked or dismissed. A click or a dismissal implies that it was shown.

        An echoed ``recommendationId`` must have been issued by this system for this person. Without one the event concerns the current
        unexpired recommendation. Any other exposure is counted as ignored. A ``timestamp`` after ``now``, the log time, counts as that.
        """
        timestamp = min(timestamp, now)  # a clock that is ahead must not put the exposure after the completion that it brought about
        echoed = payload.get("recommendationId")
        decision, arm = self._echoed(person, echoed) if echoed is not None else (current(person, now), "")
        if decision is None or (echoed is None and timestamp < decision.created - CLOCK_SKEW):
            out.count(counters.EXPOSURES_IGNORED, "unknown_recommendation" if echoed is not None else "no_current_recommendation")
            return
        decision.arm = decision.arm or arm
        if not decision.shown:
            decision.shown = max(timestamp, decision.created)
            decision.due = max(decision.shown + decision.window, now + self._plan.lookahead)
            if decision.arm:
                person.arms_seen[decision.arm] = decision.shown
            self._report(person, decision, "shown", decision.shown, out)
            if self._plan.wording is not None:
                out.effects.append(MarkShown(person.tenant, person.user, decision.decision, decision.version))
        for kind, flag, types in (
            ("clicked", CLICKED, ("recommendation_clicked",)),
            ("dismissed", DISMISSED, ("recommendation_dismissed", "tooltip_dismiss")),
        ):
            if event_type in types and not decision.flags & flag:
                decision.flags |= flag
                self._report(person, decision, kind, max(timestamp, decision.created), out)

    def completed(self, person: Person, newly: Mapping[str, int], now: int, out: Collector) -> None:
        """The steps ``newly`` were completed, by ``now`` at the latest: close their decisions, as success where they were shown within the
        window.
        """
        for decision in [each for each in person.open if each.step in newly]:
            at, window = min(newly[decision.step], now), decision.window
            shown = min(decision.shown, now)  # snapshots of earlier releases may have the time of a clock that is ahead
            if not shown or at < shown:
                self.close(person, decision, "withdrawn", now, out)
            elif at <= shown + window:
                self.close(person, decision, "success", at, out)
            else:
                self.close(person, decision, "failure", shown + window, out)

    def close_due(self, person: Person, due: int, out: Collector) -> None:
        """Timer: close what is due by ``due``. An open attribution window ends in failure; a decision that was not shown expires."""
        for decision in [each for each in person.open if each.due <= due]:
            self.close(person, decision, "failure" if decision.shown else "expired", decision.due, out)

    def void(self, person: Person, now: int, out: Collector) -> None:
        """The person was deleted or merged: close every open decision without success or failure."""
        for decision in list(person.open):
            self.close(person, decision, "withdrawn", now, out)

    def close(self, person: Person, decision: OpenDecision, kind: str, at: int, out: Collector) -> None:
        """End ``decision`` with the outcome ``kind``."""
        person.open.remove(decision)
        if decision.shown and kind == "withdrawn":
            out.count(counters.WINDOWS_VOIDED)
        self._report(person, decision, kind, at, out)

    def _report(self, person: Person, decision: OpenDecision, kind: str, at: int, out: Collector) -> None:
        out.outcomes.append(
            DecisionOutcome(
                seq=out.seq,
                at=at,
                key=out.key,
                number=out.next_number(),
                tenant=person.tenant,
                user=person.user,
                decision=decision.decision,
                trigger=decision.trigger,
                path=decision.path,
                step=decision.step,
                segment=decision.segment,
                arm=decision.arm,
                kind=kind,
                version=decision.version,
                matures_at=decision.shown + decision.window if decision.shown else 0,
                group=experiment_group(self._plan, person),
            )
        )

    def _echoed(self, person: Person, text: object) -> tuple[OpenDecision | None, str]:
        read = self._keys.read_recommendation_id(text) if isinstance(text, str) else None
        if read is not None:
            for each in person.open:
                if each.decision == read[0]:
                    return each, read[1]
        return None, ""


def current(person: Person, now: int) -> OpenDecision | None:
    """The decision whose recommendation the app may be showing now."""
    if person.open:
        last = person.open[-1]
        if not last.flags & WITHDRAWN and last.expires > now:
            return last
    return None
