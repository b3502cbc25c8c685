"""What goes past the router, and what does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.errors import RefusedError
from gateway.router_bypass import RouterBypass
from tests.support.waiting import run_async


def _answering(name: str) -> Any:
    async def endpoint(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": name})

    return endpoint


def _sent(app: RouterBypass, **scope: str) -> list[Message]:
    found: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        found.append(message)

    async def run() -> None:
        await app({"type": "http", "method": "POST", "path": "/v1/events", "headers": [], **scope}, receive, send)

    run_async(run())
    return found


def test_a_post_to_a_known_path_goes_past_the_router() -> None:
    app = RouterBypass(_answering("router"), {"/v1/events": _answering("events"), "/v1/track": _answering("track")})
    assert _sent(app) == [{"type": "events"}]
    assert _sent(app, path="/v1/track") == [{"type": "track"}]


@pytest.mark.parametrize("other", [{"method": "GET"}, {"path": "/v1/events/"}, {"path": "/v1/stream"}, {"type": "lifespan"}])
def test_everything_else_goes_to_the_router(other: dict[str, str]) -> None:
    assert _sent(RouterBypass(_answering("router"), {"/v1/events": _answering("events")}), **other) == [{"type": "router"}]


def test_a_refusal_is_answered_and_a_bug_is_not() -> None:
    async def refuse(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RefusedError(429, "too_many_requests", "send less", headers={"retry-after": "3"})

    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ZeroDivisionError

    start, body = _sent(RouterBypass(_answering("router"), {"/v1/events": refuse}))
    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (429, b"3")
    assert msgspec.json.decode(body["body"]) == {"code": "too_many_requests", "message": "send less"}
    with pytest.raises(ZeroDivisionError):  # for Starlette, which logs it and answers 500
        _sent(RouterBypass(_answering("router"), {"/v1/events": fail}))
