"""``GET /v1/recommendations/{userId}`` and ``GET /v1/users/{userId}/progress``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.authentication import Authenticator
from gateway.errors import RefusedError
from gateway.records import Records, Stored
from gateway.stale_progress import StaleProgress

_NOTHING = {"cache-control": "private, no-cache"}
_MOST_USER = 256
STALE: Final = "onramp-stale"
"""The header of an answer that is not from Redis."""


class ReadsRoute:
    """The two reads. A user reads their own records with a token; a server key reads those of every user of its tenant."""

    def __init__(self, authenticator: Authenticator, records: Records, stale: StaleProgress | None, clock: Callable[[], int]) -> None:
        """``stale`` is asked while Redis is away, None where there is none. ``clock`` is in milliseconds since 1970 UTC."""
        self._authenticator = authenticator
        self._records = records
        self._stale = stale
        self._clock = clock

    async def recommendation(self, request: Request) -> Response:
        """Answer 200 with the record, 304 if the reader has it, 204 if there is nothing to show. Raises ``RefusedError``."""
        user = _user_of(request)
        caller = self._authenticator.reader(request.scope, user)
        return self._answer(request, await self._records.recommendation(caller.tenant, user))

    async def progress(self, request: Request) -> Response:
        """Answer 200 with the progress, 304 if the reader has it, 204 if there is none. Raises ``RefusedError``.

        While Redis is away the progress is that of ClickHouse, if it can tell, and marked as stale. It has no entity tag: the reader asks
        again, and what Redis has replaces it.
        """
        user = _user_of(request)
        caller = self._authenticator.reader(request.scope, user)
        try:
            stored = await self._records.progress(caller.tenant, user)
        except RefusedError:
            found = await self._stale.progress(caller.tenant, user) if self._stale is not None else None
            if found is None:
                raise
            return Response(found, headers={STALE: "true", **_NOTHING}, media_type="application/json")
        return self._answer(request, stored)

    def _answer(self, request: Request, stored: Stored | None) -> Response:
        if stored is None or stored.deleted or stored.empty or (stored.expires is not None and stored.expires <= self._clock()):
            return Response(status_code=204, headers=_NOTHING)
        headers = {"etag": stored.etag, **_NOTHING}
        known = request.headers.get("if-none-match", "")
        if stored.etag in (each.strip().removeprefix("W/") for each in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(stored.data, headers=headers, media_type="application/json")


def _user_of(request: Request) -> str:
    user: str = request.path_params["user"]
    if not 1 <= len(user) <= _MOST_USER:
        raise RefusedError(400, "bad_user_id", "the userId in the address must have 1 to 256 characters")
    return user
