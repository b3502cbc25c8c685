"""Which connection makes room for a new one where there are as many as allowed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.caller import TRUSTED
from gateway.connection import ALWAYS_ANSWERED, Limits
from gateway.keys import KeyKind
from tests.support.gateway import Gateway, event, run_gateway
from tests.support.raw_connection import GET, answer_on, connect, read_until, rest_of, stream_request
from tests.support.waiting import PATIENCE, run_async, until
from tests.support.wired_gateway import STREAM, answer_or_stream, wired


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
        stream.settimeout(0.3)
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
