"""What happens when somebody is a person of their own no more: a visitor who is merged into a user, and a user who is deleted."""

from __future__ import annotations

from typing import Final

from state import counters
from state.catalog.plan import Plan
from state.decision.guidance import Guidance
from state.event import Event
from state.ids import Keys
from state.person.arrivals import VisitorDeleted, VisitorMerged
from state.person.collector import Collector
from state.person.completion_counts import take_back_completions
from state.person.deduplication import recent_events
from state.person.person import Person
from state.person.progress import completed
from state.records.fact_builders import person_fact, progress_effect
from state.records.recommendation import Erase
from state.stuck.detector import Detector


class Departure:
    """Ends the guidance, the decisions and the records of somebody who leaves, whose timers have run until then (``Fold.advance``)."""

    def __init__(self, plan: Plan, keys: Keys, guidance: Guidance, detector: Detector) -> None:
        self._plan: Final = plan
        self._keys: Final = keys
        self._guidance: Final = guidance
        self._detector: Final = detector

    def merge(self, visitor: Person, merged: VisitorMerged, out: Collector) -> None:
        """The visitor counts as the person under another key from now on, to whom their events go. A repetition has no effect."""
        if visitor.deleted_at:
            if merged.user and not visitor.version:  # the deletion came before the id, which the merge brings
                visitor.version += 1
                _erase(Erase(merged.tenant, merged.user, visitor.version), out)
        elif visitor.merged_into:  # by way of another visitor
            if visitor.merged_into != merged.into_key:
                visitor.merged_into = merged.into_key
                self._record_merge(visitor, out)
        else:
            take_back_completions(self._plan, visitor, out)
            self._hand_over(visitor, merged.into_key, out)

    def delete_merged(self, visitor: Person, deleted: VisitorDeleted, out: Collector) -> None:
        """The user into whom the visitor was merged was deleted: erase what was recorded under the visitor's id too.

        The deletion may come before the merge.
        """
        visitor.now = max(visitor.now, deleted.log_time)
        if not visitor.merged_into:
            self._hand_over(visitor, deleted.into_key, out)
        known = visitor.user
        _erase(Erase(visitor.tenant, visitor.user, visitor.version + 1), out)
        _forget(visitor, deleted.timestamp, merged_into=deleted.into_key or visitor.merged_into)
        if not known:
            visitor.version = 0  # nothing has been erased yet

    def delete(self, person: Person, deletion: Event | VisitorDeleted, out: Collector) -> None:
        """Forget the person except for the time of the deletion. The version increases, so that no older record can return."""
        self._guidance.attribution.void(person, person.now, out)
        self._detector.censor(person, person.now, out)
        _leave(person, out)
        _erase(Erase(person.tenant, person.user, person.version + 1), out)
        _forget(person, deletion.timestamp)

    @staticmethod
    def delete_again(person: Person, event: Event, out: Collector) -> None:
        """A later deletion of somebody deleted. It is announced again: who asked for it cannot see that of a tombstone that has ended."""
        person.deleted_at = event.timestamp
        if event.user:
            person.version += 1
            _erase(Erase(event.tenant, event.user, person.version), out)

    def _hand_over(self, visitor: Person, into_key: str, out: Collector) -> None:
        """End what was decided for the visitor, and forget what only a person of their own needs."""
        self._guidance.withdraw(visitor, "merged", visitor.now, out)
        self._guidance.attribution.void(visitor, visitor.now, out)
        self._detector.censor(visitor, visitor.now, out)
        _leave(visitor, out)
        visitor.merged_into = into_key
        visitor.episode, visitor.check_due = None, 0
        if visitor.path:
            out.effects.append(progress_effect(self._plan, visitor, {}, ""))
        self._record_merge(visitor, out)
        visitor.traits, visitor.trait_times, visitor.last_event, visitor.notes = {}, {}, "", []

    def _record_merge(self, visitor: Person, out: Collector) -> None:
        """Write as whom a merged visitor counts from now on, where the visitor was recorded as a person."""
        if visitor.sessions:
            visitor.version += 1
            out.rows.append(person_fact(self._plan, self._keys, visitor, completed(self._plan, visitor.path, visitor.steps)))


def _leave(person: Person, out: Collector) -> None:
    """The person counts as a user no more."""
    if person.user and not person.merged_into:
        out.count(counters.PEOPLE, by=-1)
        if person.activated_at:
            out.count(counters.PEOPLE_ACTIVATED, by=-1)


def _erase(erase: Erase, out: Collector) -> None:
    """Without an id there is nothing to erase: it would be of nobody."""
    if not erase.user_id:
        return
    out.effects.append(erase)
    out.rows.append(erase)


def _forget(person: Person, deleted_at: int, *, merged_into: str = "") -> None:
    """Replace the person's state by a tombstone: no id, no trait, only the version and the time of the deletion.

    Where the clock of the deletion was behind, it also has the hashes of the ids of events with a later time, to know them again.
    A visitor's also says into whom it was merged: should the id turn out to be a user's, that user was never deleted.
    """
    tombstone = Person("", "", partition=person.partition, version=person.version + 1, now=person.now, deleted_at=deleted_at)
    tombstone.merged_into = merged_into
    person.floor = max(person.floor, deleted_at + 1)
    tombstone.seen = recent_events(person)
    for field in person.__struct_fields__:
        setattr(person, field, getattr(tombstone, field))
