"""Cross-origin requests: every answer may be read by every page; ``authentication.py`` judges whose request is taken at all.

A preflight has no credential, so that nothing can be decided on it. Cookies are never used, so a foreign page gains nothing from a browser
that is signed in somewhere. So every header of a request is allowed: each version of an SDK adds some, so does the tracing of a page. The
headers of an answer do not depend on the request: what a cache got for one page is of use for every other one, also a script with
``integrity``, which a browser runs only if it may read it. No cache keeps the answer to a POST, so that one without an origin, of a server,
comes without them.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.headers import headers_in

_ALLOWED: Final = (
    "*",  # all but authorization, which must be named. The other names are for browsers that do not know the asterisk
    "authorization, content-type, content-encoding, if-none-match, last-event-id, traceparent, x-api-version",
    # RudderStack's SDK, and Segment's
    "anonymousid, sentat, rsa-recovered, rsa-retry-attempt, rsa-retry-reason, rsa-since-first-attempt, rsa-since-last-attempt",
    "x-retry-count",
)
_PREFLIGHT: Final = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", ", ".join(_ALLOWED).encode()),
    (b"access-control-max-age", b"7200"),  # the longest that Chromium keeps
    (b"content-length", b"0"),
]
READABLE: Final = {"access-control-allow-origin": "*", "access-control-expose-headers": "etag, onramp-stale, retry-after"}
"""The headers of every answer."""
_READABLE: Final = [(name.encode(), value.encode()) for name, value in READABLE.items()]


class Cors:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a preflight; let every page read the answer to anything else."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        method = scope["method"]
        if method == "POST" and b"origin" not in headers_in(scope):
            return self._app(scope, receive, send)
        if method == "OPTIONS" and b"access-control-request-method" in headers_in(scope):
            return _preflight(send)

        def with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_READABLE]
            return send(message)

        return self._app(scope, receive, with_headers)


async def _preflight(send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
    await send({"type": "http.response.body", "body": b""})
