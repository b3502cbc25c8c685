"""How long a connection may wait for a head, for a body, and for a reader that takes its answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.connection import Connection, Limits
from tests.support.gateway import Gateway, run_gateway
from tests.support.raw_connection import GET, connect, read_until, rest_of
from tests.support.waiting import PATIENCE, run_async, until, wait_until
from tests.support.wired_gateway import STREAM, Wire, Wired, answered, paused_stream, wired

SOON = 0.3
"""Seconds that a head, or the rest of a body, may take in these tests."""


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("hasty"), limits=Limits(head_seconds=SOON, body_seconds=SOON)) as running:
        yield running


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
