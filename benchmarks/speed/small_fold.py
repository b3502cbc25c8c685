"""The fold of the scenario ``core``: one function that every contender calls, on a state that every contender keeps in its own way.

Only the standard library is imported, because contenders run in environments of their own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Protocol

REMEMBERED: Final = 32
"""Event ids kept for each user, to drop duplicates."""
SESSION_MS: Final = 30 * 60 * 1000
"""A longer pause begins a new session."""

Change = tuple[str, int | str]
"""What happened and its number or name: ``session``, ``step`` or ``help``."""


class Visible(Protocol):
    """The fields of a user's state. Contenders choose the class."""

    events: int
    last: int
    sessions: int
    errors: int
    ids: list[str]
    steps: list[str]


class State:
    """The state as a plain object, for contenders that have no class of their own."""

    def __init__(
        self,
        events: int = 0,
        last: int = 0,
        sessions: int = 0,
        errors: int = 0,
        ids: list[str] | None = None,
        steps: list[str] | None = None,
    ) -> None:
        """Without arguments: of a user who was never seen."""
        self.events, self.last, self.sessions, self.errors = events, last, sessions, errors
        self.ids: list[str] = [] if ids is None else ids
        self.steps: list[str] = [] if steps is None else steps


def fold(state: Visible, event_id: str, kind: str, label: str, timestamp: str) -> Change | None:
    """Apply one event to ``state``; return what changed, None if nothing did. A duplicate changes nothing at all."""
    ids = state.ids
    if event_id in ids:
        return None
    ids.append(event_id)
    if len(ids) > REMEMBERED:
        del ids[0]
    at = millis(timestamp)
    state.events += 1
    change: Change | None = None
    if at - state.last > SESSION_MS:
        state.sessions += 1
        change = ("session", state.sessions)
    state.last = max(state.last, at)
    if kind == "error":
        state.errors += 1
        if state.errors % 2 == 0:
            change = ("help", state.errors)
    elif label and label not in state.steps:
        state.steps.append(label)
        change = ("step", label)
    return change


def millis(timestamp: str) -> int:
    """Return a time in ISO 8601 as milliseconds since the Unix epoch."""
    return int(datetime.fromisoformat(timestamp).timestamp() * 1000)


def user_of(event: dict[str, Any]) -> str:
    """Return the id of the user or visitor of a decoded event."""
    user: str = event.get("userId") or event["anonymousId"]
    return user


def label_of(event: dict[str, Any]) -> str:
    """Return the name of what the user did, or the form that was sent; empty for other events."""
    label: str = event.get("name") or event["payload"].get("form") or ""
    return label
