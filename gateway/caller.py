"""Who sends a request, and which events they may send. The rules of docs/http.md, in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import msgspec

from gateway.plain_events import PlainEvents
from state.decision.attribution import EXPOSURES
from state.event import Event
from state.vocabulary import IDENTITY_MERGED, SWITCHED, USER_DELETED

Kind = Literal["publishable", "server", "user"]

NOT_FROM_PAGES: Final = frozenset({"preferences_changed", "step_completed", USER_DELETED, IDENTITY_MERGED})
"""What no publishable key sends. The browser snippet has the list too, in ``gateway/browser/src/client.ts``."""


TRUSTED: Final = "onramp.trusted"
"""Set in the state of a request whose caller has a server key or a user token, which not anybody has (``gateway/connection.py``)."""

_CLAIMS: Final = frozenset({USER_DELETED, IDENTITY_MERGED})
"""What a user token sends only in part, or not at all."""


class Caller(msgspec.Struct, frozen=True):
    """The owner of a credential. ``user`` is set for a user token; ``expires_at`` is in seconds since 1970, None for a key.

    ``key_id`` names the key, or the key that signed the token, in logs and limits.
    """

    kind: Kind
    tenant: str
    key_id: str
    user: str | None = None
    expires_at: float | None = None

    @property
    def account(self) -> str:
        """What the rate limit counts together: a key, or one user's tokens."""
        return self.key_id if self.user is None else f"{self.tenant}:{self.user}"


class Fault(NamedTuple):
    """What is wrong with one field of an event. ``code`` is a reason of docs/events.md, or ``forbidden``."""

    field: str
    code: str
    message: str


class SenderRules:
    """Decides which events a caller may send. It remembers which visitors each user has claimed."""

    def __init__(self, issued: Callable[[str], bool], claim: Callable[[Caller, str], str]) -> None:
        """``issued``: whether this system signed a recommendation id. ``claim``: why the caller may not take over a visitor, or nothing."""
        self._issued = issued
        self._claim = claim

    def allow(self, events: PlainEvents, caller: Caller) -> bool:
        """Whether ``caller`` may certainly send all of the events. False where ``fault_of`` must look at each."""
        if events.tenants != {caller.tenant} or SWITCHED in events.types:
            return False
        if caller.kind == "server":
            return True
        if caller.kind == "publishable":
            return events.types.isdisjoint(NOT_FROM_PAGES | EXPOSURES)
        return not events.visitors and set(events.users) == {caller.user} and events.types.isdisjoint(_CLAIMS)

    def fault_of(self, event: Event, caller: Caller) -> Fault | None:
        """Return why ``caller`` may not send ``event``, or None. The event is valid."""
        if event.tenant != caller.tenant:
            return _forbidden("tenantId", "the key belongs to another tenant; leave tenantId out")
        if event.type == SWITCHED:
            return _forbidden("eventType", f"no key may send {SWITCHED}; run `onramp guidance` beside the job")
        if caller.kind == "server":
            return None
        if caller.kind == "publishable":
            if event.type in NOT_FROM_PAGES:
                return _forbidden(
                    "eventType", f"a publishable key may not send {event.type}; send it from your server, or with a user token"
                )
            if event.type in EXPOSURES and not self._issued(str(event.payload.get("recommendationId"))):
                return _forbidden(
                    "payload.recommendationId", "a publishable key may only report a recommendation by the id that was issued with it"
                )
            return None
        if event.anonymous or event.user != caller.user:
            return _forbidden("userId", "the token belongs to another user; leave userId out")
        if event.type == USER_DELETED:
            return _forbidden("eventType", "a user token may not send user_deleted; send it from your server")
        if event.type == IDENTITY_MERGED and (refusal := self._claim(caller, str(event.payload["previousId"]))):
            return _forbidden("payload.previousId", refusal)
        return None


def _forbidden(field: str, message: str) -> Fault:
    return Fault(field, "forbidden", message)
