"""A server of the gateway's protocol without sockets, in a loop whose time the test advances."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn.server import ServerState

from gateway.connection import Connection, Limits
from gateway.refusals import Refusals
from gateway.serve import make_server
from gateway.stopping import Stopping
from tests.support.raw_connection import GET
from tests.support.waiting import never, until

STREAM = b"GET /stream HTTP/1.1\r\n\r\n"


class ManualLoop:
    """The running loop, except that its timers run when the test says so."""

    def __init__(self) -> None:
        self._now = 0.0
        self.timers: dict[ManualTimer, float] = {}

    def create_task(self, step: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(step)

    def call_later(self, seconds: float, call: Callable[..., None], *args: Any) -> ManualTimer:
        timer = ManualTimer(self.timers, partial(call, *args))
        self.timers[timer] = self._now + seconds
        return timer

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for timer in [timer for timer, due in self.timers.items() if due <= self._now]:
            timer.cancel()
            timer.call()


class ManualTimer:
    def __init__(self, timers: dict[ManualTimer, float], call: Callable[[], None]) -> None:
        self._timers = timers
        self.call = call

    def cancel(self) -> None:
        self._timers.pop(self, None)


class Wire(asyncio.Transport):
    """A transport that keeps what is written, for a client that has ``unread`` bytes of it still to take."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unread = 0
        self.closed = False
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unread

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass  # the test says when the answer pauses

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def answer_or_stream(scope: Any, _receive: object, send: Any) -> None:
    """Answer at once, before any body; a stream never ends."""
    await send({"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]})
    if scope["path"] == "/stream":
        await never()
    await send({"type": "http.response.body", "body": b""})


class Wired:
    """A server without sockets, in a loop whose time the test advances."""

    def __init__(self, limits: Limits, app: ASGIApp) -> None:
        self.loop = ManualLoop()
        self.refusals = Refusals()
        self._config = make_server(app, Stopping(), limits, self.refusals).config
        self._config.load()
        self._state = ServerState()

    def connect(self) -> tuple[Wire, Connection]:
        wire, make = Wire(), cast("Callable[..., Connection]", self._config.http_protocol_class)
        connection = make(config=self._config, server_state=self._state, app_state={}, _loop=self.loop)
        connection.connection_made(wire)
        return wire, connection

    def end(self) -> None:
        for task in self._state.tasks:
            task.cancel()


@asynccontextmanager
async def wired(limits: Limits | None = None, app: ASGIApp = answer_or_stream) -> AsyncIterator[Wired]:
    server = Wired(limits or Limits(), app)
    yield server
    server.end()


async def answered(server: Wired) -> tuple[Wire, Connection]:
    """A connection that waits for its second request."""
    wire, connection = server.connect()
    connection.data_received(GET + b"\r\n")
    await until(lambda: b" 204 " in wire.written, "the answer")
    return wire, connection


async def paused_stream(server: Wired) -> tuple[Wire, Connection]:
    """A stream whose client has 100,000 bytes to take before it goes on."""
    wire, connection = server.connect()
    connection.data_received(STREAM)
    await until(lambda: b" 204 " in wire.written, "the head of the answer")
    wire.unread = 100_000
    connection.pause_writing()
    return wire, connection
