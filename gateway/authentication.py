"""Finds out who sends a request: a key or a user token in the ``Authorization`` header, and the page's origin."""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.types import Scope

from gateway.caller import TRUSTED, Caller
from gateway.errors import RefusedError, forbidden, unauthorized
from gateway.headers import headers_in
from gateway.keys import Key, KeyRing, KeyStore
from gateway.tokens import MOST_SECONDS, looks_like_token, read_token

_MOST_REMEMBERED: Final = 10_000
"""Credentials that were checked and are remembered; one that was forgotten is checked again."""
_LONGEST: Final = 8192
"""Bytes of an ``Authorization`` header: twice a token, for Basic."""


MOST_VISITORS: Final = 5
"""Visitors that one user's tokens bind in the longest life of a token: enough for the user's devices, and few for whoever stole one."""

MOST_CLAIMING: Final = 100_000
"""Users of all tenants whose visitors are remembered."""


class Authenticator:
    """Checks credentials against the key store."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.time) -> None:
        """``clock`` is in seconds since 1970."""
        self._store = store
        self._clock = clock
        self._ring: KeyRing | None = None
        self._remembered: OrderedDict[bytes, Caller] = OrderedDict()
        """Digest of the header → caller: what is kept is short whatever was sent, and opens nothing."""

    def authenticate(self, scope: Scope) -> Caller:
        """Return the caller. Raises ``RefusedError``: 401 without a valid credential, 403 from an origin that may not use it."""
        headers = headers_in(scope)
        authorization, origin = headers.get(b"authorization", b""), headers.get(b"origin")
        if len(authorization) > _LONGEST:
            raise unauthorized(f"the Authorization header has more than {_LONGEST:,} bytes, so that it is no key and no token")
        ring = self._keys()
        digest = hashlib.sha256(authorization).digest()
        caller = self._remembered.get(digest)
        if caller is None or (caller.expires_at is not None and caller.expires_at <= self._clock()):
            caller = self._check(authorization, ring)
            self._remembered[digest] = caller
            if len(self._remembered) > _MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        if origin:
            _check_origin(caller, origin, ring)
        return _note(scope, caller)

    def reader(self, scope: Scope, user: str | None) -> Caller:
        """Return the caller if it may read what is stored of ``user``; None stands for the user of a token. Raises ``RefusedError``."""
        caller = self.authenticate(scope)
        if caller.kind == "publishable":
            raise forbidden("a publishable key may only send events; read with a user token, or with a server key from your server")
        if caller.user is not None and user not in {None, caller.user}:
            raise forbidden("the token belongs to another user")
        return caller

    def write_key(self, scope: Scope, text: str) -> Caller:
        """Return the owner of a key that came in the body or the address. Raises ``RefusedError`` like ``authenticate``."""
        ring = self._keys()
        caller = _caller_of(ring.find(text))
        if caller is None:
            raise unauthorized("the write key is not known; `onramp keys create` makes one")
        origin = headers_in(scope).get(b"origin")
        if origin:
            _check_origin(caller, origin, ring)
        return _note(scope, caller)

    def knows_write_key(self, text: str) -> bool:
        """Whether ``write_key`` would find an owner, whatever the origin."""
        return _caller_of(self._keys().find(text)) is not None

    def webhook(self, scope: Scope, text: str) -> Caller:
        """Return the tenant's caller for the secret of a webhook. Raises ``RefusedError`` (401)."""
        key = self._keys().find(text)
        if key is None or key.kind != "webhook":
            raise unauthorized("the webhook's secret is not known; `onramp keys create webhook` makes one")
        return _note(scope, Caller(kind="server", tenant=key.tenant, key_id=key.id))

    def still_valid(self, caller: Caller) -> bool:
        """Whether the credential of a long request is still in force."""
        if caller.expires_at is not None and caller.expires_at <= self._clock():
            return False
        return self._keys().in_force(caller.key_id)

    def share_of_tenant(self, most: int) -> int:
        """Return how many of ``most`` that this process has one tenant may have: half, where there are keys of several tenants."""
        return most // 2 if len(self._keys().tenants) > 1 else most

    def _keys(self) -> KeyRing:
        ring = self._store.ring()
        if ring is not self._ring:  # a key was created or revoked
            self._ring = ring
            self._remembered.clear()
        return ring

    def _check(self, authorization: bytes, ring: KeyRing) -> Caller:
        scheme, _, rest = authorization.partition(b" ")
        kind = scheme.lower()
        try:
            if kind == b"basic":
                text = base64.b64decode(rest.strip(), validate=True).decode().partition(":")[0]
            else:
                text = rest.strip().decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            text = ""
        if kind not in {b"basic", b"bearer"} or not text:
            raise unauthorized("send a key or a user token: `Authorization: Bearer …`")
        caller = read_token(text, ring, self._clock) if looks_like_token(text) else _caller_of(ring.find(text))
        if caller is None:
            raise unauthorized("the key or token is not known, was revoked, or has expired")
        return caller


class VisitorClaims:
    """Remembers which visitors each user has bound with tokens, for as long as a token may live, in this process.

    It remembers ``most`` users. For a further one the oldest of the tenant that has most is forgotten, so that no tenant costs another one
    anything.
    """

    def __init__(self, clock: Callable[[], float] = time.time, most: int = MOST_CLAIMING) -> None:
        """``clock`` is in seconds since 1970."""
        self._clock = clock
        self._most = most
        self._users = 0
        self._claims: dict[str, OrderedDict[str, tuple[set[str], float]]] = {}
        """Tenant → user → the visitors, and when they are forgotten; the oldest user first."""

    def claim(self, caller: Caller, visitor: str) -> str:
        """Return why the caller may not bind ``visitor``, because it has bound others; empty where it may."""
        assert caller.user is not None
        now = self._clock()
        self._forget_ended(caller.tenant, now)
        if caller.user not in self._claims.get(caller.tenant, ()):
            if self._users >= self._most:
                self._make_room(now)
            self._claims.setdefault(caller.tenant, OrderedDict())[caller.user] = (set(), now + MOST_SECONDS)
            self._users += 1
        bound, _ = self._claims[caller.tenant][caller.user]
        if visitor not in bound and len(bound) >= MOST_VISITORS:
            return (
                f"a user may bind {MOST_VISITORS} anonymous ids within {MOST_SECONDS // 60} minutes, and has bound as many; send it later"
            )
        bound.add(visitor)
        return ""

    def _make_room(self, now: float) -> None:
        for tenant in list(self._claims):
            self._forget_ended(tenant, now)
        if self._users >= self._most:
            self._forget_oldest(max(self._claims, key=lambda tenant: len(self._claims[tenant])))

    def _forget_ended(self, tenant: str, now: float) -> None:
        while tenant in self._claims and next(iter(self._claims[tenant].values()))[1] <= now:
            self._forget_oldest(tenant)

    def _forget_oldest(self, tenant: str) -> None:
        self._claims[tenant].popitem(last=False)
        self._users -= 1
        if not self._claims[tenant]:
            del self._claims[tenant]


def _note(scope: Scope, caller: Caller) -> Caller:
    """Tell the connection where the caller is not just anybody."""
    if caller.kind != "publishable":
        scope.setdefault("state", {})[TRUSTED] = True
    return caller


def _caller_of(key: Key | None) -> Caller | None:
    if key is None or key.kind not in {"publishable", "server"}:
        return None
    return Caller(kind="publishable" if key.kind == "publishable" else "server", tenant=key.tenant, key_id=key.id)


def _check_origin(caller: Caller, origin: bytes, ring: KeyRing) -> None:
    if caller.kind == "server":
        raise RefusedError(
            403, "server_key_in_page", "a server key was sent by a page; revoke it, and use a publishable key or user tokens there"
        )
    if not ring.allows_origin(caller.tenant, origin.decode("latin-1")):
        sentence = "this origin may not send requests for the tenant; `onramp keys create publishable --origin https://…` allows one"
        raise RefusedError(403, "origin_not_allowed", sentence)
