"""Requests of one connection that wait for each other: how many, how large, and what they learn of a client that left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.connection import Limits
from gateway.headers import release_head
from gateway.stream_route import MOST_OF_ONE_USER
from tests.support.gateway import Gateway, run_gateway
from tests.support.raw_connection import GET, connect, read_until, stream_request
from tests.support.waiting import PATIENCE, run_async, until, wait_until
from tests.support.wired_gateway import STREAM, answer_or_stream, wired


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway"), limits=Limits(head_seconds=PATIENCE)) as running:
        yield running


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
        async with wired(Limits(memory_bytes=20_000)) as server:
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
        async with wired(Limits(memory_bytes=20_000 * outstanding), answer_when_allowed) as server:
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
        async with wired(Limits(memory_bytes=20_000)) as server:
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
        async with wired(Limits(memory_bytes=20_000)) as server:
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


def test_a_stream_with_a_request_behind_it_gives_its_place_back_when_its_reader_leaves(gateway: Gateway) -> None:
    sent = stream_request(gateway) + GET + b"\r\n"
    for _ in range(MOST_OF_ONE_USER):
        with connect(gateway, sent) as stream:
            assert b"retry" in read_until(stream, b"retry")

    def is_opened() -> bool:
        with connect(gateway, stream_request(gateway)) as stream:
            return read_until(stream, b"\r\n").startswith(b"HTTP/1.1 200 ")

    wait_until(is_opened, "a place for another stream of the user")


class _ReleasedStreams:
    """An application whose streams release their heads, and end when the test says so."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/stream":
            await answer_or_stream(scope, receive, send)
            return
        release_head(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await self.ended.wait()
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(GET + b"\r\n", id="a request"),
        pytest.param((GET + b"\r\n") * 100, id="many requests"),
        pytest.param(GET + b"x-a: " + b"a" * 9_000 + b"\r\n\r\n", id="a request with a large head"),
        pytest.param(GET + b"content-length: 100000\r\n\r\nx", id="a part of a body"),
        pytest.param(GET + b"x-a: a", id="a part of a head"),
        pytest.param(b"\r\n", id="an empty line"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["in one read", "in two reads"])
@pytest.mark.parametrize("first", [STREAM, STREAM[:-2] + b"content-length: 4\r\n\r\nbody"], ids=["a stream", "a stream with a body"])
def test_nothing_waits_behind_a_stream(first: bytes, at_once: bool, behind: bytes) -> None:
    async def main() -> None:
        streams = _ReleasedStreams()
        async with wired(app=streams) as server:
            wire, connection = server.connect()
            connection.data_received(first + behind if at_once else first)
            await until(lambda: b" 200 " in wire.written, "the head of the stream")
            if not at_once:
                connection.data_received(behind)
            for _ in range(10):
                connection.data_received(b"a" * 10_000)
                assert (len(connection.pipeline), connection._held) == (0, 0)
            assert not connection.flow.read_paused, "the end of the client is seen"
            streams.ended.set()
            await until(lambda: wire.closed, "the end of the connection")
            assert b" 204 " not in wire.written
            assert not wire.aborted

    run_async(main())


def test_the_body_of_a_stream_may_come_after_its_head() -> None:
    async def main() -> None:
        streams = _ReleasedStreams()
        async with wired(app=streams) as server:
            wire, connection = server.connect()
            connection.data_received(STREAM[:-2] + b"content-length: 4\r\n\r\n")
            await until(lambda: b" 200 " in wire.written, "the head of the stream")
            connection.data_received(b"bo")
            connection.data_received(b"dy")
            streams.ended.set()
            await until(lambda: not connection.tasks, "the end of the stream")
            assert not wire.closed

    run_async(main())


def test_requests_after_a_stream_has_ended_are_answered() -> None:
    async def main() -> None:
        streams = _ReleasedStreams()
        streams.ended.set()
        async with wired(app=streams) as server:
            wire, connection = server.connect()
            for number in (1, 2, 3):
                connection.data_received(STREAM)
                await until(lambda number=number: wire.written.count(b" 200 ") == number, "the stream")  # type: ignore[misc]
                await until(lambda: not connection.tasks, "the end of the stream")
                connection.data_received((GET + b"\r\n") * 2)
                await until(lambda number=number: wire.written.count(b" 204 ") == 2 * number, "the answers")  # type: ignore[misc]
            assert not wire.closed

    run_async(main())
