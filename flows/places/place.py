"""The interface that every place implements."""

from __future__ import annotations

from typing import Any, Final, Protocol

from state.records.recommendation import Erase
from state.records.subject import Subject

_ANY_VERSION: Final = 2**63 - 1


def erasures_of(subject: Subject) -> list[Erase]:
    """The deletion of all rows about the user."""
    return [Erase(subject.tenant, each, _ANY_VERSION) for each in subject.ids]


class Place(Protocol):
    """One store. ``name`` is for the receipt; ``note`` says what stays there by design, empty where nothing does."""

    name: str
    note: str

    def held(self, subject: Subject) -> list[Any]:
        """Read the store again, and return everything in it about the user, as JSON values. Raises the errors of the store."""

    def erase(self, subject: Subject) -> None:
        """Erase what the job does not. Raises the errors of the store."""

    def maintain(self, subject: Subject) -> None:
        """Remove the bytes that ``erase`` leaves in files for a while. Called while no job runs. May block for a minute or two."""
