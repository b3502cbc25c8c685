"""What each user of a log did first and how often, in little memory: what a catalog is drafted from (``evaluation/catalog_draft.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from state.decision.attribution import EXPOSURES
from state.duration import MINUTE
from state.event import Event
from state.event_fields import UnreadableError, read_trait
from state.upcast import ABOUT_USERS
from state.vocabulary import IDENTITY_MERGED, USER_DELETED

SESSION_GAP: Final = 30 * MINUTE
"""A longer pause between two events is no active time: the default of ``limits.session_gap``."""
MOST_KINDS: Final = 20_000
"""Kinds of event that are told apart. Names with an id in them would be without end; what is common comes up long before."""
MOST_TRAITS: Final = 100
"""Names of traits that are told apart."""
MOST_VALUES: Final = 1_000
"""Values of a trait that are told apart; the others are ``OTHER_VALUE``."""
OTHER_VALUE: Final = "(other)"
_LONGEST_SUBJECT: Final = 200
_SUBJECT: Final = {"form_submit": "form", "button_click": "target", "page_view": "path"}
_NO_STEP: Final = EXPOSURES | {"error", "identify", "preferences_changed", IDENTITY_MERGED, USER_DELETED}

User = tuple[str, str]


class Kind(NamedTuple):
    """A kind of event: its type, and its name, form, target or path."""

    type: str
    subject: str


class Occurrence(msgspec.Struct, gc=False):
    """When a user first sent an event of a kind, the active time until then, and how many there were. Times are milliseconds."""

    at: int
    active: int
    count: int = 1


class History(msgspec.Struct, gc=False):
    """One user: the first event, the sign-up (0 for none), the active time so far, and the kinds of event in order of arrival.

    ``traits``: trait → its newest value, as text. ``latest``: the kinds of the events at ``latest_at``, the time of the last of them.
    """

    start: int
    signup: int = 0
    newest: int = 0
    active: int = 0
    known: bool = False
    kinds: dict[Kind, Occurrence] = {}
    traits: dict[str, str] = {}
    latest: tuple[Kind, ...] = ()
    latest_at: int = 0

    @property
    def begin(self) -> int:
        """From when on the first step is current."""
        return self.signup or self.start


class EventHistories:
    """Takes the events of a log in its order. A visitor who signs in becomes the user; a deleted user is forgotten."""

    def __init__(self) -> None:
        self.events = 0
        self.first, self.last = 0, 0
        self._users: dict[User, History] = {}
        self._merged: dict[User, User] = {}
        self._kinds: dict[Kind, Kind] = {}
        self._values: dict[str, dict[str, str]] = {}

    def __len__(self) -> int:
        return len(self._users)

    def __iter__(self) -> Iterator[History]:
        return iter(self._users.values())

    def add(self, event: Event) -> None:
        """Take one event."""
        at, user = event.timestamp, self._user_of(event)
        self.events += 1
        self.first, self.last = min(self.first or at, at), max(self.last, at)
        if event.type == USER_DELETED:
            self._users.pop(user, None)
            return
        history = self._users.get(user)
        if history is None:
            history = self._users[user] = History(at)
        history.known = history.known or not event.anonymous
        history.start = min(history.start, at)
        if at >= history.newest:
            gap = at - history.newest if history.newest else 0
            history.active += gap if gap <= SESSION_GAP else 0
            history.newest = at
        if event.type in ABOUT_USERS:
            self._note_traits(history, event)
        if event.type == IDENTITY_MERGED:
            self._merge((event.tenant, str(event.payload["previousId"])), user, history)
        elif event.type not in _NO_STEP:
            self._note(history, event)

    def _user_of(self, event: Event) -> User:
        user = event.tenant, event.user
        if event.anonymous:
            while user in self._merged:
                user = self._merged[user]
        else:
            self._merged.pop(user, None)
        return user

    def _merge(self, visitor: User, user: User, history: History) -> None:
        """Add what the visitor did. An id that was used as a ``userId`` is nobody's visitor."""
        earlier = self._users.get(visitor)
        if visitor == user or visitor in self._merged or (earlier is not None and earlier.known):
            return
        self._merged[visitor] = user
        if earlier is None:
            return
        del self._users[visitor]
        history.start = min(history.start, earlier.start)
        history.signup = min(filter(None, (history.signup, earlier.signup)), default=0)
        for each in history.kinds.values():
            each.active += earlier.active
        history.active += earlier.active
        history.traits = {**earlier.traits, **history.traits}
        _note_latest(history, earlier.latest, earlier.latest_at)
        own, history.kinds = history.kinds, earlier.kinds
        for kind, each in own.items():
            _count(history, kind, each)

    def _note_traits(self, history: History, event: Event) -> None:
        for name, sent in (event.payload.get("traits") or {}).items():
            try:
                value = read_trait(name, sent)
            except UnreadableError:
                continue
            if value is None or (name not in self._values and len(self._values) >= MOST_TRAITS):
                continue
            values, text = self._values.setdefault(name, {}), str(value)
            if text not in values and len(values) >= MOST_VALUES:
                text = OTHER_VALUE
            history.traits[name] = values.setdefault(text, text)

    def _note(self, history: History, event: Event) -> None:
        field = _SUBJECT.get(event.type)
        subject = event.name if field is None else str(event.payload[field])
        if event.type == "signup":
            history.signup = min(history.signup or event.timestamp, event.timestamp)
            subject = ""
        elif not subject.strip() or len(subject) > _LONGEST_SUBJECT:
            return
        kind = Kind(event.type, subject)
        kind = self._kinds.get(kind, kind)
        if kind not in self._kinds:
            if len(self._kinds) >= MOST_KINDS:
                return
            self._kinds[kind] = kind
        _count(history, kind, Occurrence(event.timestamp, history.active))
        _note_latest(history, (kind,), event.timestamp)


def _note_latest(history: History, kinds: tuple[Kind, ...], at: int) -> None:
    if at > history.latest_at:
        history.latest, history.latest_at = kinds, at
    elif at == history.latest_at:
        history.latest = tuple(dict.fromkeys((*history.latest, *kinds)))


def _count(history: History, kind: Kind, new: Occurrence) -> None:
    known = history.kinds.get(kind)
    if known is None:
        history.kinds[kind] = new
        return
    known.count += new.count
    if new.at < known.at:
        known.at, known.active = new.at, min(known.active, new.active)
