"""What a client can do with connections before it is known, on a real server: also the test of what we assume about uvicorn's protocol."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from gateway.caller import TRUSTED
from gateway.connection import ALWAYS_ANSWERED, Connection, Limits
from gateway.keys import KeyKind
from gateway.refusals import Refusals
from gateway.serve import make_server
from gateway.stopping import Stopping
from gateway.stream_route import MOST_OF_ONE_USER
from tests.support.gateway import Gateway, event, run_gateway
from tests.support.waiting import PATIENCE, never, run_async, until, wait_until

GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"
STREAM = b"GET /stream HTTP/1.1\r\n\r\n"
SOON = 0.3
"""Seconds that a head, or the rest of a body, may take in these tests."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway"), limits=Limits(head_seconds=PATIENCE)) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("hasty"), limits=Limits(head_seconds=SOON, body_seconds=SOON)) as running:
        yield running


@contextmanager
def connect(gateway: Gateway, sent: bytes = b"", *, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    with socket.socket() as connection:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE)
        connection.connect((host, int(port)))
        connection.sendall(sent)
        yield connection


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """What came, up to ``end``, or up to the end of the connection."""
    found = b""
    while end not in found:
        try:
            chunk = connection.recv(65_536)
        except ConnectionResetError:
            break
        if not chunk:
            break
        found += chunk
    return found


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the gateway closes the connection."""
    return read_until(connection, b"never")


def answer_on(connection: socket.socket, request: bytes = GET + b"\r\n") -> bytes:
    """The status of one more request, which is answered in JSON."""
    connection.sendall(request)
    return read_until(connection, b"}")[9:12]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(GET + b"x-a: " + b"a" * 70_000, id="a long header"),
        pytest.param(GET + b"x-a: b\r\n" * 10_000, id="many headers"),
        pytest.param(GET + b"x-a: b\r\n" * 101 + b"\r\n", id="101 headers"),
        pytest.param(b"GET /" + b"a" * 70_000, id="a long address"),
        pytest.param(GET + b"\r\n" + GET + b"x-a: " + b"a" * 70_000, id="a long second head"),
    ],
)
def test_a_head_that_is_too_large_is_refused_and_the_connection_closed(gateway: Gateway, sent: bytes) -> None:
    with connect(gateway, sent) as connection:
        found = rest_of(connection)
    assert b"HTTP/1.1 431 " in found
    assert b'"code":"headers_too_large"' in found


def test_what_comes_after_the_last_piece_of_a_body_is_bounded_too(gateway: Gateway) -> None:
    head = f"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key()}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    with connect(gateway, head + b"2\r\n[]\r\n0\r\nx-a: " + b"a" * 70_000) as connection:
        assert b"HTTP/1.1 431 " in rest_of(connection)


def test_a_client_that_goes_on_sending_a_head_is_cut_off(gateway: Gateway) -> None:
    with connect(gateway, GET + b"x-a: ") as connection, pytest.raises((ConnectionResetError, BrokenPipeError)):
        connection.sendall(b"a" * 64_000_000)


def test_large_heads_within_the_limits_and_large_bodies_are_taken(gateway: Gateway) -> None:
    with connect(gateway, GET) as connection:
        for _ in range(90):
            connection.sendall(b"x-a: " + b"b" * 300 + b"\r\n")
        assert answer_on(connection, b"\r\n") == b"200"
    whole = [event(f"e{number}", payload={"text": "x" * 10_000}) for number in range(90)]
    assert gateway.post("/v1/events", whole, key=gateway.key()).status_code == 202


BEGUN = {
    "half a head": (GET, b"x"),
    "an empty line": (b"\r\n", b"\r\n"),
    "half a second head": (GET + b"\r\n" + GET, b"x"),
    "a body that nobody reads": (GET + b"content-length: 1000\r\n\r\n", b"x"),
}


@pytest.mark.parametrize("sent", [b"", *(sent for sent, _ in BEGUN.values())], ids=["nothing", *BEGUN])
def test_a_connection_that_brings_no_request_is_closed(tmp_path: Path, sent: bytes) -> None:
    with (
        run_gateway(tmp_path, limits=Limits(head_seconds=SOON, body_seconds=SOON, keep_alive_seconds=1)) as gateway,
        connect(gateway, sent) as connection,
    ):
        rest_of(connection)


@pytest.mark.parametrize(("sent", "more"), BEGUN.values(), ids=BEGUN)
def test_a_byte_now_and_then_does_not_keep_a_connection(hasty: Gateway, sent: bytes, more: bytes) -> None:
    with connect(hasty, sent) as connection:

        def is_closed() -> bool:
            try:
                connection.sendall(more)
            except (ConnectionResetError, BrokenPipeError):
                return True
            return False

        wait_until(is_closed, "the end of a connection that brings no request", every=SOON / 5)


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


def test_all_heads_that_are_not_complete_have_a_limit_together() -> None:
    async def main() -> None:
        half = GET + b"x-a: " + b"a" * 6_000
        async with wired(Limits(all_heads_bytes=10_000)) as server:
            for _ in range(2):  # what a connection held is free again when its head is complete, and when it ends
                (_, first), (wire, second), (kept, third) = server.connect(), server.connect(), server.connect()
                first.data_received(half)
                second.data_received(half)
                assert wire.closed
                first.data_received(b"\r\n\r\n")
                third.data_received(half)
                assert not kept.closed
                for connection in (first, second, third):
                    connection.connection_lost(None)

    run_async(main())


def test_a_new_connection_has_ten_seconds_for_a_head_and_75_for_the_next() -> None:
    async def main() -> None:
        async with wired() as server:
            loop, (wire, connection) = server.loop, server.connect()
            loop.advance(9)
            for number in (1, 2):
                connection.data_received(GET + b"\r\n")
                await until(lambda number=number: wire.written.count(b" 204 ") == number, "the answer")  # type: ignore[misc]
                loop.advance(74)
            connection.data_received(GET)
            loop.advance(9)
            connection.data_received(b"x-a: b\r\n")
            assert not wire.closed
            loop.advance(1)
            assert wire.closed

    run_async(main())


def test_a_body_that_comes_after_the_answer_ends_no_connection() -> None:
    async def main() -> None:
        async with wired() as server:
            loop, (wire, connection) = server.loop, server.connect()
            for head in (b"content-length: 4\r\n\r\n", b"content-length: 4\r\n\r\n12"):
                wire.written = b""
                connection.data_received(GET + head)
                await until(lambda: b" 204 " in wire.written, "the answer")
                loop.advance(9)
                connection.data_received(b"1")
                loop.advance(9)
                connection.data_received(b"234" if head.endswith(b"\n") else b"2")
                loop.advance(74)
                assert not wire.closed

    run_async(main())


@pytest.mark.parametrize("first", [b"", b"1"], ids=["nothing of the body before the answer", "a piece of it"])
def test_the_rest_of_an_answered_body_has_thirty_seconds(first: bytes) -> None:
    async def main() -> None:
        async with wired() as server:
            loop, (wire, connection) = server.loop, server.connect()
            connection.data_received(GET + b"content-length: 1000\r\n\r\n" + first)
            await until(lambda: b" 204 " in wire.written, "the answer")
            loop.advance(20)
            connection.data_received(b"2")
            for _ in range(29):
                loop.advance(1)
                connection.data_received(b"3")
            assert not wire.closed
            loop.advance(1)
            assert wire.closed

    run_async(main())


def test_half_a_head_after_an_answered_body_has_ten_seconds() -> None:
    async def main() -> None:
        async with wired() as server:
            loop, (wire, connection) = server.loop, server.connect()
            connection.data_received(GET + b"content-length: 2\r\n\r\n1")
            await until(lambda: b" 204 " in wire.written, "the answer")
            connection.data_received(b"2")
            connection.data_received(GET)
            loop.advance(9)
            assert not wire.closed
            loop.advance(1)
            assert wire.closed

    run_async(main())


def test_a_stream_has_no_limit_of_time_here() -> None:
    async def main() -> None:
        async with wired() as server:
            loop, (wire, connection) = server.loop, server.connect()
            connection.data_received(STREAM)
            await until(lambda: b" 204 " in wire.written, "the head of the answer")
            loop.advance(10_000)
            assert not wire.closed

    run_async(main())


def test_a_stream_that_follows_the_rest_of_a_body_has_no_limit_of_time_either() -> None:
    async def main() -> None:
        async with wired() as server:
            loop, (wire, connection) = server.loop, server.connect()
            connection.data_received(GET + b"content-length: 4\r\n\r\n12")
            await until(lambda: b" 204 " in wire.written, "the answer")
            connection.data_received(b"34" + STREAM)
            await until(lambda: wire.written.count(b" 204 ") == 2, "the head of the stream")
            loop.advance(10_000)
            assert not wire.closed

    run_async(main())


def test_a_connection_has_sixteen_requests_without_an_answer_and_is_closed_after_the_last() -> None:
    async def main() -> None:
        async with wired() as server:
            wire, connection = server.connect()
            for _ in range(3):
                connection.data_received((GET + b"\r\n") * 1_000)
            assert len(connection.pipeline) == 15
            assert not wire.closed
            await until(lambda: wire.closed, "the end of the connection")
            assert wire.written.count(b" 204 ") == 16
            assert wire.written.count(b"connection: close") == 1, "the last answer says so"
            assert not wire.aborted

    run_async(main())


def test_sixteen_requests_at_once_are_answered_and_so_are_the_next() -> None:
    async def main() -> None:
        async with wired() as server:
            wire, connection = server.connect()
            for number in (16, 32):
                connection.data_received((GET + b"\r\n") * 16)
                await until(lambda number=number: wire.written.count(b" 204 ") == number, "the answers")  # type: ignore[misc]
            assert not wire.closed

    run_async(main())


def test_requests_behind_a_stream_are_bounded_too() -> None:
    async def main() -> None:
        async with wired() as server:
            wire, connection = server.connect()
            connection.data_received(STREAM)
            await until(lambda: b" 204 " in wire.written, "the head of the stream")
            for _ in range(100):
                connection.data_received(GET + b"\r\n")
            assert len(connection.pipeline) == 15
            assert not wire.closed

    run_async(main())


def test_requests_that_wait_for_another_one_have_a_limit_of_memory_together() -> None:
    async def main() -> None:
        async with wired(Limits(all_heads_bytes=20_000)) as server:
            for _ in range(2):  # what they held is free again when they are answered, and when their connection ends
                (wire, first), (other, second), (late, third) = server.connect(), server.connect(), server.connect()
                first.data_received((GET + b"\r\n") * 4)
                second.data_received(STREAM + (GET + b"\r\n") * 2)
                assert other.aborted
                second.connection_lost(None)
                await until(lambda wire=wire: wire.written.count(b" 204 ") == 4, "the answers")  # type: ignore[misc]
                third.data_received(STREAM + (GET + b"\r\n") * 4)
                assert not late.closed
                third.connection_lost(None)

    run_async(main())


@pytest.mark.parametrize("outstanding", [2, 8])
def test_a_request_counts_until_it_is_answered_also_where_others_follow(outstanding: int) -> None:
    async def main() -> None:
        allowed = asyncio.Semaphore(0)

        async def answer_when_allowed(scope: Any, receive: Any, send: Any) -> None:
            await allowed.acquire()
            await answer_or_stream(scope, receive, send)

        large = b"x-a: " + b"a" * 9_000 + b"\r\n"  # such a head counts also where nothing is before it
        one = GET + large + b"content-length: 6000\r\n\r\n" + b"x" * 6_000
        async with wired(Limits(all_heads_bytes=20_000 * outstanding), answer_when_allowed) as server:
            wire, connection = server.connect()
            connection.data_received(one * outstanding)
            for number in range(1, 10 * outstanding):
                allowed.release()
                await until(lambda number=number: wire.written.count(b" 204 ") == number, "an answer")  # type: ignore[misc]
                connection.data_received(one)
                assert len(connection.pipeline) == outstanding - 1
                assert not wire.aborted
            for _ in range(outstanding):
                allowed.release()
            await until(lambda: wire.written.count(b" 204 ") == 11 * outstanding - 1, "the last answers")
            other, second = server.connect()
            second.data_received(one * outstanding)
            assert not other.aborted, "nothing counts any more of what was answered"

    run_async(main())


def test_bodies_that_wait_for_another_request_count_too() -> None:
    async def main() -> None:
        async with wired(Limits(all_heads_bytes=20_000)) as server:
            wire, connection = server.connect()
            connection.data_received(STREAM + GET + b"content-length: 100000\r\n\r\n")
            assert not wire.closed
            for _ in range(3):
                connection.data_received(b"x" * 5_000)
            assert not wire.aborted
            connection.data_received(b"x" * 5_000)
            assert wire.aborted

    run_async(main())


def test_large_heads_count_until_they_are_answered() -> None:
    async def main() -> None:
        large = b"GET /stream HTTP/1.1\r\nx-a: " + b"a" * 12_000 + b"\r\n\r\n"
        async with wired(Limits(all_heads_bytes=20_000)) as server:
            (kept, first), (wire, second), (late, third) = server.connect(), server.connect(), server.connect()
            first.data_received(large)
            second.data_received(large)
            assert (kept.closed, wire.aborted) == (False, True)
            first.connection_lost(None)
            for _ in range(3):
                late.written = b""
                third.data_received(large.replace(b"/stream", b"/healthz"))
                await until(lambda: b" 204 " in late.written, "the answer")
            assert not late.closed

    run_async(main())


@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["closed", "reset"])
@pytest.mark.parametrize("first", [b"", GET + b"\r\n"], ids=["the first request", "one that waited"])
@pytest.mark.parametrize("last", [b"", GET + b"\r\n"], ids=["nothing after it", "a request after it"])
def test_the_request_that_is_served_is_told_that_its_client_left(first: bytes, last: bytes, error: Exception | None) -> None:
    async def main() -> None:
        begun: list[str] = []
        told: list[str] = []

        async def answer_or_wait(scope: Any, receive: Any, send: Any) -> None:
            begun.append(scope["path"])
            if scope["path"] != "/stream":
                await answer_or_stream(scope, receive, send)
                return
            while (message := await receive())["type"] != "http.disconnect":
                pass
            told.append(message["type"])

        async with wired(app=answer_or_wait) as server:
            _, connection = server.connect()
            connection.data_received(first + STREAM + last)
            await until(lambda: "/stream" in begun, "the stream")
            connection.connection_lost(error)
            await until(lambda: told, "the stream, to be told")
            assert not connection.pipeline, "nobody is there for what waited"
            assert begun[-1] == "/stream"

    run_async(main())


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


def test_a_reader_that_takes_something_in_thirty_seconds_is_not_cut_off() -> None:
    async def main() -> None:
        async with wired() as server:
            wire, _ = await paused_stream(server)
            for _ in range(10):
                server.loop.advance(29)
                wire.unread -= 1
                server.loop.advance(1)
                assert not wire.closed
            server.loop.advance(29)
            assert not wire.closed
            server.loop.advance(1)
            assert wire.aborted

    run_async(main())


def test_each_pause_of_an_answer_has_thirty_seconds() -> None:
    async def main() -> None:
        async with wired() as server:
            wire, connection = await paused_stream(server)
            server.loop.advance(29)
            connection.resume_writing()
            connection.pause_writing()
            server.loop.advance(29)
            assert not wire.closed
            connection.resume_writing()
            server.loop.advance(10_000)
            assert not wire.closed

    run_async(main())


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"no request\r\n\r\n", id="400"),
        pytest.param(GET + b"x-a: b\r\n" * 101 + b"\r\n", id="431"),
        pytest.param(GET + b"connection: close\r\n\r\n", id="connection: close"),
    ],
)
def test_a_last_answer_that_nobody_takes_does_not_hold_its_connection(request_: bytes) -> None:
    async def main() -> None:
        async with wired() as server:
            wire, connection = await answered(server)
            wire.unread = 10
            connection.data_received(request_)
            await until(lambda: wire.closed, "the last answer")
            server.loop.advance(29)
            assert not wire.aborted
            server.loop.advance(1)
            assert wire.aborted

    run_async(main())


def test_a_connection_without_a_further_request_ends_though_its_client_takes_nothing() -> None:
    async def main() -> None:
        async with wired() as server:
            wire, _ = await answered(server)
            server.loop.advance(75)
            assert wire.aborted

    run_async(main())


async def connected(server: Wired) -> tuple[Wire, Connection]:
    return server.connect()


@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["closed", "reset"])
@pytest.mark.parametrize("begin", [connected, answered, paused_stream])
def test_a_connection_that_has_ended_leaves_no_timer(
    begin: Callable[[Wired], Coroutine[Any, Any, tuple[Wire, Connection]]], error: Exception | None
) -> None:
    async def main() -> None:
        async with wired() as server:
            _, connection = await begin(server)
            assert server.loop.timers
            connection.connection_lost(error)
            assert not server.loop.timers

    run_async(main())


def test_a_connection_that_has_ended_makes_no_room() -> None:
    async def main() -> None:
        async with wired(Limits(connections=2)) as server:
            _, ended = server.connect()
            ended.connection_lost(None)
            waiting, _ = server.connect()
            new, _ = server.connect()
            assert waiting.closed
            assert not new.closed

    run_async(main())


def test_uvloop_counts_each_piece_of_an_answer_that_a_reader_takes() -> None:
    """Otherwise a slow reader could not be told from one that takes nothing."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.setblocking(False)
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
            transport.write(b"x" * 10_000_000)
            taken = 0
            while taken < 5_000_000:  # far more than the buffers of the kernel
                taken += len(await loop.sock_recv(theirs, 65_536))
            assert 0 < transport.get_write_buffer_size() <= 10_000_000 - taken
            transport.abort()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), PATIENCE))


def stream_request(gateway: Gateway) -> bytes:
    return f"GET /v1/stream?userId=u-17 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key()}\r\n\r\n".encode()


def test_a_stream_with_a_request_behind_it_gives_its_place_back_when_its_reader_leaves(gateway: Gateway) -> None:
    sent = stream_request(gateway) + GET + b"\r\n"
    for _ in range(MOST_OF_ONE_USER):
        with connect(gateway, sent) as stream:
            assert b"retry" in read_until(stream, b"retry")

    def is_opened() -> bool:
        with connect(gateway, stream_request(gateway)) as stream:
            return read_until(stream, b"\r\n").startswith(b"HTTP/1.1 200 ")

    wait_until(is_opened, "a place for another stream of the user")


def test_at_the_limit_the_connection_that_waits_longest_makes_room(tmp_path: Path) -> None:
    with (
        run_gateway(tmp_path, limits=Limits(head_seconds=PATIENCE, connections=5)) as gateway,
        connect(gateway, stream_request(gateway)) as stream,
        connect(gateway) as first,
        connect(gateway, GET) as second,
    ):
        assert b"retry" in read_until(stream, b"retry")
        with connect(gateway) as third:
            assert answer_on(third) == b"200"
            with connect(gateway) as fourth:
                assert answer_on(fourth, b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n") == b"200"
                assert rest_of(first) == b""
                with connect(gateway) as fifth:
                    assert answer_on(fifth, b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n") == b"200"
                    assert rest_of(second) == b""
                    assert answer_on(third) == b"200"


@contextmanager
def half_a_call(gateway: Gateway, kind: KeyKind | None, path: str = "/v1/track") -> Iterator[socket.socket]:
    """A connection whose request the gateway has begun to read, and whose body does not come."""
    key = f"authorization: Bearer {gateway.key(kind)}\r\n" if kind is not None else ""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\n{key}content-length: 100\r\nexpect: 100-continue\r\n\r\n"
    with connect(gateway, head.encode()) as connection:
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{")
        yield connection


@pytest.mark.parametrize("kind", [None, "publishable"])
def test_requests_of_whoever_it_may_be_that_do_not_end_shut_nobody_out(tmp_path: Path, kind: KeyKind | None) -> None:
    with (
        run_gateway(tmp_path, limits=Limits(head_seconds=PATIENCE, connections=5)) as gateway,
        connect(gateway, stream_request(gateway)) as stream,
        ExitStack() as stack,
    ):
        assert b"retry" in read_until(stream, b"retry")
        begun = [stack.enter_context(half_a_call(gateway, kind)) for _ in range(3)]
        for number in range(3):
            assert gateway.post("/v1/events", event(f"e{number}"), key=gateway.key(), connection="close").status_code == 202
            if number < 2:
                begun.append(stack.enter_context(half_a_call(gateway, kind)))
        assert all(rest_of(each) == b"" for each in begun[:2]), "the longest requests made room"
        stream.settimeout(SOON)
        with pytest.raises(TimeoutError):
            rest_of(stream)


def test_a_request_that_is_complete_makes_no_room_until_its_reader_takes_nothing() -> None:
    async def main() -> None:
        async with wired(Limits(connections=3)) as server:
            (wire, first), (other, second) = server.connect(), server.connect()
            for connection in (first, second):
                connection.data_received(STREAM)
            await until(lambda: b" 204 " in wire.written and b" 204 " in other.written, "the heads of the streams")
            new, third = server.connect()
            assert [each.closed for each in (wire, other, new)] == [False, False, False]
            third.connection_lost(None)
            for connection in (first, second):
                connection.pause_writing()
            other.unread = wire.unread = 100_000
            for connection in (second, first):
                connection.pause_writing()
            second.resume_writing()
            new, third = server.connect()
            assert [each.closed for each in (wire, other, new)] == [True, False, False]

    run_async(main())


@pytest.mark.parametrize("more", [b"", GET + b"\r\n"], ids=["nothing behind it", "a request behind it"])
def test_a_stream_of_a_trusted_caller_makes_no_room(more: bytes) -> None:
    async def main() -> None:
        async def trust(scope: Any, receive: Any, send: Any) -> None:
            scope["state"][TRUSTED] = True
            await answer_or_stream(scope, receive, send)

        async with wired(Limits(connections=2), trust) as server:
            wire, connection = server.connect()
            connection.data_received(STREAM + more)
            await until(lambda: b" 204 " in wire.written, "the head of the stream")
            wire.unread = 100_000
            connection.pause_writing()
            server.connect()
            assert not wire.closed

    run_async(main())


@pytest.mark.parametrize("sent", [b"no request\r\n\r\n", GET + b"x-a: b\r\n" * 101 + b"\r\n"])
def test_a_last_answer_that_nobody_takes_makes_room(sent: bytes) -> None:
    async def main() -> None:
        async with wired(Limits(connections=2)) as server:
            wire, connection = server.connect()
            wire.unread = 10
            connection.data_received(sent)
            new, _ = server.connect()
            assert (wire.aborted, new.closed) == (True, False)

    run_async(main())


@pytest.mark.parametrize(("kind", "path"), [("server", "/v1/events"), ("server", "/v1/track"), ("webhook", "/v1/webhooks/segment")])
def test_requests_of_servers_make_no_room(tmp_path: Path, kind: KeyKind, path: str) -> None:
    with (
        run_gateway(tmp_path, limits=Limits(head_seconds=PATIENCE, connections=3)) as gateway,
        half_a_call(gateway, kind, path),
        half_a_call(gateway, kind, path),
        connect(gateway, b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n") as refused,
    ):
        assert rest_of(refused).startswith(b"HTTP/1.1 503 ")


def test_probes_are_answered_when_every_connection_has_a_request(tmp_path: Path) -> None:
    with (
        run_gateway(tmp_path, limits=Limits(head_seconds=PATIENCE, connections=3)) as gateway,
        connect(gateway, stream_request(gateway)) as one,
        connect(gateway, stream_request(gateway)) as other,
    ):
        assert b"retry" in read_until(one, b"retry")
        assert b"retry" in read_until(other, b"retry")
        for path in sorted(ALWAYS_ANSWERED):
            with connect(gateway) as connection:
                assert answer_on(connection, b"GET %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % path) == b"200", path
        with connect(gateway, b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n") as connection:
            assert rest_of(connection).startswith(b"HTTP/1.1 503 ")


def test_a_reader_that_takes_nothing_does_not_hold_its_connection(tmp_path: Path) -> None:
    asked = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
    with (
        run_gateway(tmp_path, limits=Limits(head_seconds=PATIENCE, connections=2, send_seconds=SOON)) as gateway,
        connect(gateway, asked * 1_000, receive_buffer=4_096) as slow,
    ):
        assert slow.recv(1)

        def is_served() -> bool:
            with connect(gateway, asked) as connection:
                return read_until(connection, b"\r\n").startswith(b"HTTP/1.1 200 ")

        wait_until(is_served, "a place for another client")


def counts_of(refusals: Refusals) -> dict[str, int]:
    (family,) = refusals.collect()
    return {sample.labels["reason"]: round(sample.value) for sample in family.samples}


def test_what_is_refused_is_counted_and_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with wired(Limits(connections=6, all_heads_bytes=100_000)) as server:
            for _ in range(50):
                _, connection = server.connect()
                connection.data_received(b"no request\r\n\r\n")
                connection.connection_lost(None)
            waiting = STREAM + GET + b"content-length: 200000\r\n\r\n" + b"x" * 130_000
            for sent in (GET + b"x-a: b\r\n" * 101 + b"\r\n", STREAM + (GET + b"\r\n") * 1_000, waiting):
                _, connection = server.connect()
                connection.data_received(sent)
                connection.connection_lost(None)
            for _ in range(6):
                server.connect()
            _, connection = server.connect()
            connection.data_received(STREAM)
            expected = {"not_http": 50, "headers_too_large": 1, "unanswered": 1, "memory": 1, "made_room": 2, "connections": 1}
            assert counts_of(server.refusals) == expected

    run_async(main())
    assert [record.getMessage()[:70] for record in caplog.records] == [
        "refused before they were read, since the last such line: not_http 1 (o"
    ]


def test_the_log_has_a_line_a_minute_with_all_refusals_since_the_last(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    refusals = Refusals(lambda: now[0])
    for at in (0.0, 1.0, 59.0, 60.0, 61.0, 200.0):
        now[0] = at
        refusals.add("not_http")
        refusals.add("connections")
    told = [record.getMessage().partition(": ")[2].partition(" (")[0] for record in caplog.records]
    assert told == ["not_http 1", "connections 3, not_http 3", "connections 2, not_http 2"]


def test_metrics_show_what_was_refused_and_the_log_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with run_gateway(tmp_path) as gateway:
        for _ in range(20):
            with connect(gateway, b"no request\r\n\r\n") as connection:
                assert b" 400 " in rest_of(connection)
        assert 'onramp_gateway_refusals_total{reason="not_http"} 20.0' in gateway.get("/metrics").text.splitlines()
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
