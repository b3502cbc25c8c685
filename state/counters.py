"""The catalogue of counters: what the job counts about its own work. Snapshots hold the totals, so each event counts exactly once.

Each counter has a name, a unit, a meaning and at most one label. Readers: the end of ``onramp run``, ``onramp run --json``, metrics.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

CounterTotals = dict[str, int]
"""``Counter.key`` → total."""
MOST_NAMED: Final = 20
"""Labels of ``TRAITS_NOT_KEPT`` that are told apart, because an app may send names without end; the others count as ``OTHERS``."""
OTHERS: Final = "(others)"


class Counter(msgspec.Struct, frozen=True):
    """One counter. ``kind`` is ``gauge`` where it may decrease. ``label`` is the name of its label, empty for none."""

    name: str
    unit: str
    meaning: str
    label: str = ""
    kind: Literal["counter", "gauge"] = "counter"

    def key(self, label: str = "") -> str:
        """Key in ``CounterTotals``: the name, or ``name|label``."""
        return f"{self.name}|{label}" if label else self.name

    def total(self, totals: CounterTotals) -> int:
        """Total of a counter without labels."""
        return totals.get(self.name, 0)

    def by_label(self, totals: CounterTotals) -> dict[str, int]:
        """Totals by label, in alphabetical order, zeros left out."""
        prefix = f"{self.name}|"
        return {name[len(prefix) :]: total for name, total in sorted(totals.items()) if name.startswith(prefix) and total}


MESSAGES_READ: Final = Counter(
    "messages_read", "messages", "messages taken from the source, rejected ones included, switches of guidance not"
)
MESSAGES_REJECTED: Final = Counter("messages_rejected", "messages", "messages that became dead letters", "reason")
EVENTS_APPLIED: Final = Counter("events_applied", "events", "events that changed a user's state")
EVENTS_DUPLICATE: Final = Counter("events_duplicate", "events", "events whose id this user had sent before")
EVENTS_IGNORED: Final = Counter("events_ignored", "events", "valid events that were not applied", "reason")
EXPOSURES_IGNORED: Final = Counter(
    "exposures_ignored", "events", "reports of a shown, clicked or dismissed recommendation that match none", "reason"
)
VALUES_UNREAD: Final = Counter(
    "values_unread", "values", "values of accepted events that cannot be read (state/event_fields.py) and were ignored", "field"
)
TRAITS_NOT_KEPT: Final = Counter(
    "traits_not_kept", "values", "values of traits of users that the catalog neither names nor uses, and that were left out", "trait"
)
PEOPLE: Final = Counter(
    "people", "users", "users in state; a visitor who becomes a user counts once, and a deleted user not at all", kind="gauge"
)
PEOPLE_ACTIVATED: Final = Counter(
    "people_activated", "users", "of the users in state, those who reached activation on their path", kind="gauge"
)
STEPS_COMPLETED: Final = Counter(
    "steps_completed", "steps", "completed steps on users' paths; those of a visitor not again when they sign in"
)
DECISIONS: Final = Counter("decisions", "decisions", "decisions to show guidance")
ARMS_CHOSEN: Final = Counter("arms_chosen", "decisions", "decisions to show guidance, by the arm that was drawn", "arm")
LEARNER_FITS: Final = Counter("learner_fits", "fits", "times that a learner took in outcomes and fitted its posterior again")
NON_DECISIONS: Final = Counter("non_decisions", "decisions", "times that guidance was considered and not given", "reason")
RECOMMENDATIONS: Final = Counter("recommendations", "records", "records published for the app")
WITHDRAWALS: Final = Counter("withdrawals", "records", "records published to show nothing")
OUTCOMES: Final = Counter("outcomes", "outcomes", "what happened to decisions", "kind")
WINDOWS_VOIDED: Final = Counter("attribution_windows_voided", "windows", "open attribution windows closed without success or failure")
STUCK_SIGNALS: Final = Counter("stuck_signals", "signals", "alarms that a user is stuck", "trigger")
STUCK_SIGNALS_LESS_SURE: Final = Counter(
    "stuck_signals_less_sure", "signals", "alarms raised while the precision that the catalog asks for was out of reach"
)

COUNTERS: Final = (
    MESSAGES_READ,
    MESSAGES_REJECTED,
    EVENTS_APPLIED,
    EVENTS_DUPLICATE,
    EVENTS_IGNORED,
    EXPOSURES_IGNORED,
    VALUES_UNREAD,
    TRAITS_NOT_KEPT,
    PEOPLE,
    PEOPLE_ACTIVATED,
    STEPS_COMPLETED,
    DECISIONS,
    ARMS_CHOSEN,
    LEARNER_FITS,
    NON_DECISIONS,
    RECOMMENDATIONS,
    WITHDRAWALS,
    OUTCOMES,
    WINDOWS_VOIDED,
    STUCK_SIGNALS,
    STUCK_SIGNALS_LESS_SURE,
)
"""Every counter of the job, in the order in which an event passes the steps."""
_FROM_EVENTS: Final = f"{TRAITS_NOT_KEPT.name}|"


def increment(totals: CounterTotals, counter: Counter, label: str = "", by: int = 1) -> None:
    """Add ``by`` to one counter in place."""
    name = counter.key(label) if label else counter.name
    totals[name] = totals.get(name, 0) + by


def add_to_totals(totals: CounterTotals, more: CounterTotals) -> None:
    """Add ``more`` to the totals of a job in place, which tell at most ``MOST_NAMED`` labels apart that come from events."""
    for name, number in more.items():
        if name not in totals and name.startswith(_FROM_EVENTS) and sum(each.startswith(_FROM_EVENTS) for each in totals) >= MOST_NAMED:
            increment(totals, TRAITS_NOT_KEPT, OTHERS, number)
        else:
            totals[name] = totals.get(name, 0) + number


def add(totals: CounterTotals, more: CounterTotals) -> None:
    """Add ``more`` to ``totals`` in place."""
    for name, count in more.items():
        totals[name] = totals.get(name, 0) + count
