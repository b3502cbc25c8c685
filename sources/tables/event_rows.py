"""Takes the rows of files that hold events already. Each stays as it is, if the job accepts it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

from sources.tables.mapper import Mapped, Rejected, mapped
from sources.tables.values import encode, plain
from state.decode import decode
from state.event import Event
from state.messages import Message


class EventRows:
    """Takes events of the contract, one object each. ``now`` (ms) bounds times in the future."""

    unseen: Final[Set[str]] = frozenset()
    shown_twice: Final = 0
    """Times of the contract have a zone."""

    def __init__(self, *, now: int) -> None:
        self._now = now

    def __call__(self, row: Mapping[str, Any]) -> Mapped | Rejected:
        """Return the event in ``row``, or why it is none."""
        try:
            line = encode(plain(dict(row)))
        except (ValueError, OverflowError) as error:
            return Rejected("bad_payload", f"the row {error}")
        event = decode(Message(line, None, "", 0, 0, self._now, self._now, 0))
        return mapped(event, line, row) if isinstance(event, Event) else Rejected(event.reason, event.detail)
