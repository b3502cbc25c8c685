"""User tokens: short-lived JSON Web Tokens that the app's server signs, so that a browser may read and send as one user.

HS256 only. The header names the signing key (``kid``). The claims are ``aud`` (``onramp``), ``tenant``, ``sub`` (the user), ``iat`` and
``exp``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import jwt

from gateway.caller import Caller
from gateway.keys import KeyRing

AUDIENCE: Final = "onramp"
MOST_SECONDS: Final = 900
"""Longest life of a token: what a stolen one is worth."""
_LEEWAY: Final = 30
"""Seconds by which the clocks of two servers may differ."""
_LONGEST: Final = 4096
_REQUIRED: Final = ["aud", "exp", "iat", "sub", "tenant"]
_MOST_USER: Final = 256


def looks_like_token(text: str) -> bool:
    """Whether a credential is a token rather than a key."""
    return text.startswith("eyJ") and text.count(".") == 2


def read_token(text: str, ring: KeyRing, clock: Callable[[], float] = time.time) -> Caller | None:
    """Return the caller that a token stands for; None for one that is forged, expired, too long-lived, or for another purpose."""
    if len(text) > _LONGEST:
        return None
    try:
        key_id = jwt.get_unverified_header(text).get("kid")
        key = ring.signing(key_id) if isinstance(key_id, str) else None
        if key is None or key.secret is None:
            return None
        # The times are checked below, against `clock`.
        claims = jwt.decode(
            text,
            key.secret,
            algorithms=["HS256"],
            audience=AUDIENCE,
            options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False, "strict_aud": True},
        )
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    user, issued, expires, now = claims["sub"], claims["iat"], claims["exp"], clock()
    if not _is_time(issued) or not _is_time(expires) or ("nbf" in claims and not _is_time(claims["nbf"])):
        return None
    if not (issued <= now + _LEEWAY and claims.get("nbf", 0) <= now + _LEEWAY and now < expires <= issued + MOST_SECONDS):
        return None
    if claims["tenant"] != key.tenant or not _is_user(user):
        return None
    return Caller(kind="user", tenant=key.tenant, key_id=key.id, user=user, expires_at=float(expires))


def _is_user(value: object) -> bool:
    """Whether a user can have the id. Half an emoji cannot be written as UTF-8; the job rejects what stands for it."""
    return isinstance(value, str) and 1 <= len(value) <= _MOST_USER and not any("\ud800" <= each <= "\udfff" for each in value)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11


def mint(secret: str, *, key_id: str, tenant: str, user: str, now: float, seconds: int = MOST_SECONDS) -> str:
    """Return a token. The app's server does the same with any library for JSON Web Tokens; docs/http.md shows how."""
    claims = {"aud": AUDIENCE, "tenant": tenant, "sub": user, "iat": int(now), "exp": int(now) + seconds}
    return jwt.encode(claims, secret, algorithm="HS256", headers={"kid": key_id})
