"""The messages between the engine and a population, independent of their transport."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from state.duration import DAY

VERSION = 1
START = 1_767_571_200_000
"""Start of simulations: 2026-01-05T00:00:00Z, a Monday."""
_TWO_WEEKS: Final = 14 * DAY
_OTHERS_FIRST: Final = 1_000_000
"""Number of the first user of a history: more than a run has."""


class Begin(NamedTuple):
    """Describes the simulated world. Times are Unix ms; ``product`` is the result of ``describe`` for the catalog.

    ``first`` is the number of the first user: with another one the same world has other users.
    """

    scenario: str
    seed: int
    users: int
    start: int
    end: int
    product: dict[str, Any]
    tenant: str = "default"
    first: int = 0

    def two_weeks_before(self, users: int) -> Begin:
        """The same product in the two weeks before ``start``, with ``users`` others."""
        return self._replace(start=self.start - _TWO_WEEKS, end=self.start, users=users, first=_OTHERS_FIRST)

    def message(self) -> dict[str, Any]:
        """Return the first message to the program."""
        known = self._asdict()
        if not self.first:  # the field is optional, and programs that know nothing of it are asked as before
            del known["first"]
        return {"type": "begin", "protocol": VERSION, **known}


class Slot(NamedTuple):
    """The results of one slot of time.

    ``events`` have their time of arrival and are in its order. ``reads`` are the users whose apps read their recommendation at the start of
    the slot ``next``. ``next`` is None after the last event.
    """

    events: list[tuple[int, bytes]]
    reads: list[str]
    next: int | None


class Population(Protocol):
    """A simulated population. Every call blocks until it answers."""

    def begin(self, begin: Begin) -> int:
        """Create the world; return the length of a slot in milliseconds."""

    def advance(self, at: int, until: int, guidance: Mapping[str, bytes | None]) -> Slot:
        """Simulate from ``at`` to ``until``. ``guidance`` has, for each user of the last ``reads``, the JSON record that the app reads."""

    def finish(self) -> Iterator[bytes]:
        """Yield the true values, one JSON line at a time. No other call is allowed afterwards."""
