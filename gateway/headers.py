"""The headers of a request, read once for all who look at them, and dropped where nobody will again."""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

_KEY: Final = "onramp.headers"
RELEASE_HEAD: Final = "onramp.release_head"
"""In the state of a request: a weak method of the connection, which counts the head no more and lets nothing wait for the answer."""


def headers_in(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by their names in lower case; of a repeated one the last. The first call for a request builds the dictionary."""
    found: dict[bytes, bytes] | None = scope.get(_KEY)
    if found is None:
        found = scope[_KEY] = dict(scope["headers"])
    return found


def release_head(scope: Scope) -> None:
    """Drop the headers of a request that goes on for long. The connection counts them no more, and drops what comes behind the request."""
    scope["headers"] = []
    scope.pop(_KEY, None)
    found = scope.get("state", {}).get(RELEASE_HEAD)
    if found is not None and (release := found()) is not None:
        release()
