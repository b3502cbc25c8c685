"""What a connection holds in memory: all of it has one limit, and nothing is kept of what was answered."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.connection import Limits
from gateway.headers import release_head
from tests.support.gateway import run_gateway
from tests.support.raw_connection import GET, connect, read_until
from tests.support.waiting import PATIENCE, never, run_async, until, wait_until
from tests.support.wired_gateway import STREAM, Wire, Wired, answer_or_stream, wired

MANY = b"".join(b"h%02d:v\r\n" % number for number in range(97))
"""Headers that take twenty times as much memory as they have bytes."""
LONG = b"".join(b"h%02d:%s\r\n" % (number, b"v" * 70) for number in range(97))


def get(headers: bytes = b"", path: bytes = b"/healthz") -> bytes:
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (path, headers)


@pytest.mark.parametrize(
    "waiting",
    [
        pytest.param(get(), id="no header"),
        pytest.param(get(MANY), id="many headers"),
        pytest.param(get(LONG), id="long headers"),
        pytest.param(get(path=b"/" + b"a" * 9_000), id="a long address"),
        pytest.param(get(path=b"/%F0%9F%98%80" + b"a" * 9_000), id="a long address with a wide character"),
        pytest.param(get(path=b"/?" + b"a" * 9_000), id="a long query"),
        pytest.param(get(b"content-length: 9000\r\n") + b"x" * 9_000, id="a body"),
        pytest.param(get(b"transfer-encoding: chunked\r\n") + b"0\r\n" + MANY + b"\r\n", id="headers behind a body"),
    ],
)
def test_a_request_counts_at_least_what_it_takes(waiting: bytes) -> None:
    async def main() -> None:
        async with wired(Limits(unanswered=1_000)) as server:
            _, connection = server.connect()
            connection.data_received(STREAM + waiting)
            gc.collect()
            tracemalloc.start()
            try:
                counted = connection._held
                for _ in range(100):
                    connection.data_received(waiting)
                gc.collect()
                taken, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            counted = connection._held - counted
            assert taken <= counted <= 8 * taken

    run_async(main())


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(get(b"x-a: " + b"a" * 15_000 + b"\r\n"), id="a large head"),
        pytest.param(get(b"content-length: 15000\r\n") + b"x" * 15_000, id="a body"),
        pytest.param(get(b"x-a: " + b"a" * 15_000)[:-2], id="a part of a head"),
        pytest.param(get(b"x-a: " + b"a" * 15_000 + b"\r\nx-b")[:-2], id="a header and a part of another"),
    ],
)
def test_what_comes_in_one_read_with_a_head_counts_as_much_as_it_takes(behind: bytes) -> None:
    async def main() -> None:
        async with wired() as server:
            _, connection = server.connect()
            connection.data_received(STREAM + behind)
            assert connection._held >= 15_000

    run_async(main())


def test_a_head_that_began_in_one_read_with_another_request_counts_until_it_is_complete() -> None:
    async def main() -> None:
        async with wired() as server:
            wire, connection = server.connect()
            connection.data_received(get() + get(LONG)[:-2])
            await until(lambda: wire.written.count(b" 204 ") == 1, "the first answer")
            assert connection._held >= len(LONG)
            connection.data_received(b"\r\n")
            await until(lambda: wire.written.count(b" 204 ") == 2, "the second answer")
            assert (connection._held, wire.closed) == (0, False)

    run_async(main())


def test_a_head_that_is_released_when_the_client_has_left_takes_nothing() -> None:
    async def main() -> None:
        left = asyncio.Event()
        released = asyncio.Event()

        async def release_late(scope: Any, _receive: object, _send: object) -> None:
            await left.wait()
            release_head(scope)
            released.set()

        async with wired(app=release_late) as server:
            _, connection = server.connect()
            connection.data_received(get(LONG) * 3)
            await asyncio.sleep(0)
            connection.connection_lost(None)
            left.set()
            await until(released.is_set, "the release")
            assert connection._held == 0

    run_async(main())


def test_a_head_that_is_not_complete_counts_by_its_headers_too() -> None:
    async def main() -> None:
        async with wired(Limits(memory_bytes=40_000)) as server:
            (_, first), (wire, second) = server.connect(), server.connect()
            first.data_received(get(MANY)[:-2])
            assert not wire.aborted
            second.data_received(get(MANY)[:-2])
            assert wire.aborted

    run_async(main())


def test_a_short_head_with_many_headers_counts_until_it_is_answered() -> None:
    async def main() -> None:
        async with wired(Limits(memory_bytes=40_000)) as server:
            (kept, first), (wire, second), (late, third) = server.connect(), server.connect(), server.connect()
            first.data_received(get(MANY, b"/stream"))
            second.data_received(get(MANY, b"/stream"))
            assert (kept.closed, wire.aborted) == (False, True)
            first.connection_lost(None)
            for number in (1, 2, 3):
                third.data_received(get(MANY))
                await until(lambda number=number: late.written.count(b" 204 ") == number, "the answer")  # type: ignore[misc]
            assert not late.closed

    run_async(main())


async def paused(wire: Wire, connection: Any, unread: int) -> None:
    connection.data_received(GET + b"\r\n")
    await until(lambda: b" 204 " in wire.written, "the answer")
    wire.unread = unread
    connection.pause_writing()


def test_answers_that_are_not_taken_count_until_they_are() -> None:
    async def main() -> None:
        async with wired(Limits(memory_bytes=100_000)) as server:
            (kept, first), (wire, second), (late, third) = server.connect(), server.connect(), server.connect()
            await paused(kept, first, 60_000)
            await paused(wire, second, 60_000)
            assert (kept.aborted, wire.aborted) == (False, True)
            first.resume_writing()
            await paused(late, third, 60_000)
            assert not late.aborted
            third.connection_lost(None)
            await paused(kept, first, 60_000)
            assert not kept.aborted

    run_async(main())


def test_a_client_that_takes_a_part_of_its_answer_holds_only_the_rest() -> None:
    async def main() -> None:
        async with wired(Limits(memory_bytes=100_000)) as server:
            slow, first = server.connect()
            await paused(slow, first, 60_000)
            slow.unread = 30_000
            server.loop.advance(30)
            late, second = server.connect()
            await paused(late, second, 60_000)
            assert not late.aborted

    run_async(main())


def test_a_request_begins_when_the_answer_before_it_is_taken() -> None:
    async def main() -> None:
        begun: list[str] = []

        async def note(scope: Any, receive: Any, send: Any) -> None:
            begun.append(scope["path"])
            await answer_or_stream(scope, receive, send)

        async with wired(app=note) as server:
            wire, connection = server.connect()
            await paused(wire, connection, 60_000)
            connection.data_received(get(path=b"/second") + get(path=b"/third"))
            for _ in range(10):
                await asyncio.sleep(0)
            assert begun == ["/healthz"]
            assert connection._held > 60_000 + 2 * 4_096
            connection.resume_writing()
            await until(lambda: wire.written.count(b" 204 ") == 3, "the answers")
            assert begun == ["/healthz", "/second", "/third"]
            assert connection._held == 0

    run_async(main())


def test_a_body_that_waits_for_an_answer_to_be_taken_counts() -> None:
    async def main() -> None:
        async with wired(Limits(memory_bytes=100_000)) as server:
            wire, connection = server.connect()
            await paused(wire, connection, 60_000)
            connection.data_received(get(b"content-length: 100000\r\n"))
            for _ in range(3):
                connection.data_received(b"x" * 10_000)
            assert not wire.aborted
            connection.data_received(b"x" * 10_000)
            assert wire.aborted

    run_async(main())


def test_a_request_that_waits_is_not_begun_for_a_client_that_has_left() -> None:
    async def main() -> None:
        async with wired() as server:
            wire, connection = server.connect()
            await paused(wire, connection, 60_000)
            connection.data_received(STREAM)
            connection.connection_lost(None)
            for _ in range(10):
                await asyncio.sleep(0)
            assert wire.written.count(b" 204 ") == 1

    run_async(main())


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(get(b"x-a: " + b"a" * 30_000 + b"\r\n"), id="a large head"),
        pytest.param(get(path=b"/" + b"a" * 30_000), id="a long address"),
        pytest.param(get(b"content-length: 200000\r\n") + b"x" * 200_000, id="a body that nobody reads"),
        pytest.param(get(b"transfer-encoding: chunked\r\n") + b"0\r\n" + b"a:b\r\n" * 2_000 + b"\r\n", id="headers behind a body"),
    ],
)
def test_nothing_large_is_kept_of_a_request_that_was_answered(sent: bytes) -> None:
    async def main() -> None:
        async with wired() as server:
            wire, connection = server.connect()
            connection.data_received(GET + b"\r\n")
            await until(lambda: wire.written.count(b" 204 ") == 1, "the first answer")
            gc.collect()
            tracemalloc.start()
            try:
                connection.data_received(sent)
                await until(lambda: wire.written.count(b" 204 ") == 2, "the answer")
                await until(lambda: not connection.tasks, "the end of the request")
                gc.collect()
                kept, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert kept < 10_000

    run_async(main())


def test_clients_that_take_no_answer_are_cut_off_beyond_the_limit(tmp_path: Path) -> None:
    asked = get(path=b"/openapi.json") * 10
    limits = Limits(head_seconds=PATIENCE, memory_bytes=100_000)
    with run_gateway(tmp_path, limits=limits) as gateway, ExitStack() as stack:
        clients = [stack.enter_context(connect(gateway, receive_buffer=4_096)) for _ in range(4)]

        def is_refused() -> bool:
            for client in clients:
                with suppress(ConnectionError):  # the one that was cut off
                    client.sendall(asked)
            return 'refusals_total{reason="memory"}' in gateway.get("/metrics").text

        wait_until(is_refused, "a client that is cut off")


def test_a_stream_keeps_nothing_of_its_head(tmp_path: Path) -> None:
    """Behind proxies a head has dozens of headers, and a stream may go on for an hour."""
    with run_gateway(tmp_path, limits=Limits(memory_bytes=100_000)) as gateway, ExitStack() as stack:
        authorized = MANY + b"authorization: Bearer " + gateway.key().encode() + b"\r\n"
        for number in range(10):
            stream = stack.enter_context(connect(gateway, get(authorized, b"/v1/stream?userId=u-%d" % number)))
            assert b"retry" in read_until(stream, b"retry")
        with connect(gateway, get(authorized, b"/v1/users/u-1/progress")) as other:
            assert read_until(other, b"\r\n").startswith(b"HTTP/1.1 "), "others are answered meanwhile"


def test_a_head_that_is_released_frees_the_memory_that_it_took() -> None:
    async def stream_without_head(scope: Any, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        release_head(scope)
        await never()

    async def main() -> None:
        async with wired(Limits(connections=1_000), stream_without_head) as server:
            tracemalloc.start()
            try:
                with_head = [await _streams(server, LONG, 50), await _streams(server, LONG, 50)]
                without = [await _streams(server, b"", 50), await _streams(server, b"", 50)]
            finally:
                tracemalloc.stop()
            assert with_head[1] <= without[1] + 50 * 2_000

    run_async(main())


async def _streams(server: Wired, headers: bytes, number: int) -> int:
    """Open so many streams, none of which holds anything in the end, and return the bytes that they take."""
    before, _ = tracemalloc.get_traced_memory()
    opened = [server.connect() for _ in range(number)]
    for wire, connection in opened:
        connection.data_received(get(headers, b"/stream"))
        await until(lambda wire=wire: b" 200 " in wire.written, "the head of the answer")  # type: ignore[misc]
    await until(lambda: not any(connection._held for _, connection in opened), "the heads, to be released")
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before
