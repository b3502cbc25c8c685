"""Heads and bodies that are too large, on a real server: also the test of what we assume about uvicorn's protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.connection import Limits
from tests.support.gateway import Gateway, event, run_gateway
from tests.support.raw_connection import GET, answer_on, connect, rest_of
from tests.support.waiting import PATIENCE, run_async
from tests.support.wired_gateway import wired


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway"), limits=Limits(head_seconds=PATIENCE)) as running:
        yield running


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


def test_all_heads_that_are_not_complete_have_a_limit_together() -> None:
    async def main() -> None:
        half = GET + b"x-a: " + b"a" * 6_000
        async with wired(Limits(memory_bytes=10_000)) as server:
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
