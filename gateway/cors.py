"""Cross-origin requests: preflights are answered for everyone, without credentials; the real request is judged by its own origin.

A preflight has no credential, so that nothing can be decided on it. ``authentication.py`` checks the origin of the request that follows.
Cookies are never used, so a foreign page gains nothing from a browser that is signed in somewhere.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.headers import headers_in

_PREFLIGHT: Final = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, content-encoding, if-none-match, last-event-id, traceparent, x-api-version",
    ),
    (b"access-control-max-age", b"7200"),  # the longest that Chromium keeps
    (b"content-length", b"0"),
]
_EXPOSED: Final = (b"access-control-expose-headers", b"etag, retry-after")


class Cors:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight; add the headers of an answer to a page."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = headers_in(scope)
        origin = headers.get(b"origin")
        if not origin:
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                allowed = [(b"access-control-allow-origin", origin), _EXPOSED, (b"vary", b"Origin")]
                message["headers"] = [*message.get("headers", ()), *allowed]
            await send(message)

        await self._app(scope, receive, with_headers)
