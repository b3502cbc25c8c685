"""Hands requests that send events to their endpoints, past the router: most requests do, and the router would cost a fifth of each."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import RefusedError


class RouterBypass:
    """ASGI middleware, which must be the innermost one."""

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, ASGIApp]) -> None:
        """``endpoints``: path → what answers a POST to it. ``app`` answers everything else."""
        self._app = app
        self._endpoints = endpoints

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request. A ``RefusedError`` of these endpoints is answered here, that of other endpoints by the router."""
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._endpoints.get(scope["path"])
            if endpoint is not None:
                return _answer(endpoint, scope, receive, send)
        return self._app(scope, receive, send)


async def _answer(endpoint: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await endpoint(scope, receive, send)
    except RefusedError as error:
        await error.response()(scope, receive, send)
