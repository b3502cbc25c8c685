"""What every place has: the base class, with what most places do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from state.records.recommendation import Erase
from state.records.subject import Subject

FOR_MAINTENANCE: Final = "they go with `onramp forget --maintain`, while no job runs"
UNREAD_MERGES: Final = (
    "ids of merges, without content, by which the job finds the visitors when it reads the deletion; forget the user again when it has, "
    "which also erases what the user has done since"
)
LOGGED_IN: Final = {
    "events": "log_time",
    "decisions": "decided_at",
    "recommendations": "created_at",
    "llm_calls": "asked_at",
    "llm_answers": "called_at",
    "outcomes": "occurred_at",
    "stuck_signals": "detected_at",
    "stuck_scores": "judged_at",
    "step_progress": "updated_at",
    "people": "first_seen_at",
    "dead_letters": "log_time",
}
"""The column of each table that tells whether a row is from before a deletion: rows of a new life have a later time in it."""
_ANY_VERSION: Final = 2**63 - 1


def erasures_of(subject: Subject) -> list[Erase]:
    """The deletion of all rows about the user."""
    return [Erase(subject.tenant, each, _ANY_VERSION) for each in subject.ids]


class Logged(NamedTuple):
    """A message that a place holds: when it was logged (ms), and its value as JSON."""

    at: int
    value: bytes


class Place:
    """One store that holds data about users. Not every place needs every method: what one leaves out has nothing to do or to say."""

    name: str
    """The store, for the receipt."""
    note: str = ""
    """What stays there by design, for the receipt."""
    path: Path | None = None
    """The file or directory whose messages ``hits_that_stay`` counts. None where no bytes stay, or elsewhere than in files."""
    needs_lock = False
    """Whether a running job writes there: then ``erase`` waits for a time without one."""
    is_trace = False
    """Whether it holds nothing but what deletions leave. That makes nobody a known user."""

    def held(self, subject: Subject) -> list[Any]:
        """Read the store again, and return everything in it about the user, as JSON values. Raises the errors of the store."""
        raise NotImplementedError

    def note_for(self, held: Sequence[Any], subject: Subject) -> str:  # noqa: ARG002 - for places that tell more
        """What the receipt says where ``held`` was found; empty for nothing."""
        return f"stays: {self.note}" if self.note else ""

    def messages(self, texts: Sequence[bytes]) -> Iterator[Logged]:  # noqa: ARG002 - for places of messages
        """Yield the messages in which one of ``texts`` may be, of each partition in order. Raises the errors of the store."""
        return iter(())

    def erase(self, subject: Subject) -> None:
        """Erase what the job does not. Raises the errors of the store."""

    def maintain(self, subject: Subject) -> None:
        """Remove the bytes that ``erase`` leaves in files for a while. Called while no job runs. May block for a minute or two."""

    def has_of_others(self, subject: Subject) -> bool:  # noqa: ARG002 - for places of several tenants
        """Whether the store can tell that another tenant has a user with one of the ids."""
        return False

    def hits_that_stay(self, subject: Subject, pattern: re.Pattern[bytes]) -> int:  # noqa: ARG002 - for places of messages
        """How often ``pattern`` is in messages that stay: the deletion, and messages of other people."""
        return 0
