"""What the engine and a population say to each other, whatever carries it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

VERSION = 1
START = 1_767_571_200_000
"""When simulations begin: 2026-01-05T00:00:00Z, a Monday."""


class Begin(NamedTuple):
    """The world that the people live in. Times are Unix ms; ``product`` is what ``describe`` makes of a catalog."""

    scenario: str
    seed: int
    users: int
    start: int
    end: int
    product: dict[str, Any]
    tenant: str = "default"

    def message(self) -> dict[str, Any]:
        """The first line of the conversation."""
        return {"type": "begin", "protocol": VERSION, **self._asdict()}


class Slot(NamedTuple):
    """What happened in one slot of time: events with their time of arrival, in its order; who will look for guidance at the beginning of
    the slot ``next``; ``next`` is None where nothing happens any more.
    """

    events: list[tuple[int, bytes]]
    reads: list[str]
    next: int | None


class Population(Protocol):
    """People who can be asked what they do next. Every call blocks for the answer."""

    def begin(self, begin: Begin) -> int:
        """Make the world; return the length of a slot in milliseconds."""

    def advance(self, at: int, until: int, guidance: Mapping[str, bytes | None]) -> Slot:
        """Live from ``at`` to ``until``. ``guidance`` has, for everybody in the last ``reads``, the JSON record that their app finds."""

    def finish(self) -> Iterator[bytes]:
        """Hand over the sealed truth, one JSON line a time. Nothing can be asked afterwards."""
