"""Adds a ``signup`` event before each user's first event, for tables that have none. It needs the events sorted by time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec


class _User(msgspec.Struct):
    """The fields of an event that say whose it is. A visitor, who has no ``userId``, does not sign up."""

    userId: str | None = None  # noqa: N815 - the contract's name
    tenantId: str | None = None  # noqa: N815


_read = msgspec.json.Decoder(_User).decode


def joined(sign_up: bytes, event: bytes) -> bytes:
    """``event`` with the sign-up that goes before it if it is the user's first, for ``FirstRows``. JSON on one line has no line end."""
    return sign_up + b"\n" + event


class FirstRows:
    """Takes joined events by time, and gives back events. It keeps a number for each user. ``added``: sign-ups so far."""

    def __init__(self) -> None:
        self.added = 0
        self._seen: set[int] = set()

    def __call__(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the events, each user's first behind its sign-up; none is added where the first event is one."""
        for line in lines:
            sign_up, _, event = line.partition(b"\n")
            user = _read(event)
            if user.userId is not None and (key := hash((user.tenantId, user.userId))) not in self._seen:
                self._seen.add(key)
                if sign_up:
                    self.added += 1
                    yield sign_up
            yield event
