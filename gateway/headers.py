"""The headers of a request, read once for all who look at them."""

from __future__ import annotations

from starlette.types import Scope

_KEY = "onramp.headers"


def headers_in(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by their names in lower case; of a repeated one the last. The first call for a request builds the dictionary."""
    found: dict[bytes, bytes] | None = scope.get(_KEY)
    if found is None:
        found = scope[_KEY] = dict(scope["headers"])
    return found
