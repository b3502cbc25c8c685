"""Clients that ask for another protocol (``Upgrade``) are served as if they had not: with their body, on a connection that goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gateway.connection import Limits
from tests.support.gateway import Gateway, event, run_gateway
from tests.support.raw_connection import connect, read_until, rest_of
from tests.support.waiting import PATIENCE, run_async, until
from tests.support.wired_gateway import wired

H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
"""As curl and the client of Java send it."""
WEBSOCKET = b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZQ==\r\n"
UPGRADES = {"h2c": H2C, "websocket": WEBSOCKET, "two": H2C + WEBSOCKET}
LENGTH = (b"content-length: 5\r\n", b"hello")
CHUNKED = (b"transfer-encoding: chunked\r\n", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
SIZES = [1, 7, 10_000]
"""Bytes of a segment: one each, some, all at once."""


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    assert all(name != b"upgrade" for name, _ in scope["headers"])
    text = f"<{scope['method']} {scope['path']} ".encode() + body + b">"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", [LENGTH, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
def test_the_body_is_read_and_the_connection_goes_on(upgrade: bytes, framing: tuple[bytes, bytes], size: int) -> None:
    async def main() -> None:
        async with wired(app=echo) as server:
            wire, connection = server.connect()
            one = b"POST /one?a=%20b HTTP/1.1\r\nhost: x\r\n" + upgrade + framing[0] + b"\r\n" + framing[1]
            sent = one + one + b"GET /two HTTP/1.1\r\n\r\n"
            for start in range(0, len(sent), size):
                connection.data_received(sent[start : start + size])
            expected = [b"<POST /one hello>", b"<POST /one hello>", b"<GET /two >"]
            await until(lambda: all(wire.written.count(each) == expected.count(each) for each in expected), "the answers")
            assert not wire.closed
            assert not connection._held
            assert not server.refusals.collect()[0].samples
            connection.data_received(one)
            await until(lambda: wire.written.count(b"<POST /one hello>") == 3, "the next answer")

    run_async(main())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("version", "more"), [(b"1.0", b""), (b"1.1", b"connection: close\r\n"), (b"1.0", b"connection: close\r\n")])
def test_the_last_request_of_a_connection_has_its_body_too(version: bytes, more: bytes, size: int) -> None:
    async def main() -> None:
        async with wired(app=echo) as server:
            wire, connection = server.connect()
            sent = b"POST /one HTTP/" + version + b"\r\n" + H2C + more + LENGTH[0] + b"\r\n" + LENGTH[1]
            for start in range(0, len(sent), size):
                connection.data_received(sent[start : start + size])
            await until(lambda: wire.closed, "the end of the connection")
            assert b"<POST /one hello>" in wire.written

    run_async(main())


def test_requests_without_a_body_are_all_answered() -> None:
    async def main() -> None:
        async with wired(app=echo) as server:
            wire, connection = server.connect()
            connection.data_received((b"GET /one HTTP/1.1\r\n" + H2C + b"\r\n") * 1_000)
            await until(lambda: wire.closed, "the end of the connection")
            assert wire.written.count(b"<GET /one >") == 16

    run_async(main())


@pytest.mark.parametrize("more", [b"x-a: b\r\n" * 101, b"x-a: " + b"a" * 70_000 + b"\r\n"])
def test_heads_with_upgrade_have_the_same_limits(more: bytes) -> None:
    async def main() -> None:
        async with wired(app=echo) as server:
            wire, connection = server.connect()
            connection.data_received(b"GET /one HTTP/1.1\r\n" + H2C + more + b"\r\n")
            assert wire.closed
            assert b" 431 " in wire.written

    run_async(main())


def test_a_body_that_does_not_come_has_the_same_time() -> None:
    async def main() -> None:
        async with wired(Limits(connections=2)) as server:
            wire, connection = server.connect()
            connection.data_received(b"POST /one HTTP/1.1\r\n" + H2C + b"content-length: 5\r\n\r\nhe")
            await until(lambda: b" 204 " in wire.written, "the answer, which does not wait for the body")
            server.loop.advance(30)
            connection.data_received(b"l")
            server.loop.advance(30)
            assert wire.closed

    run_async(main())


def test_what_follows_connect_is_not_read_as_a_request() -> None:
    async def main() -> None:
        async with wired(app=echo) as server:
            wire, connection = server.connect()
            connection.data_received(b"CONNECT x:80 HTTP/1.1\r\n" + H2C + b"\r\nGET /two HTTP/1.1\r\n\r\n")
            await until(lambda: not connection.tasks, "the end of the request")
            assert b"/two" not in wire.written

    run_async(main())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("gateway"), limits=Limits(head_seconds=PATIENCE)) as running:
        yield running


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
def test_an_event_is_stored_in_one_segment_and_in_two(gateway: Gateway, upgrade: bytes) -> None:
    for number in range(2):
        body = msgspec.json.encode(event(f"{upgrade[-9:].hex()}-{number}"))
        head = b"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n%bcontent-length: %d\r\n\r\n"
        sent = head % (gateway.key().encode(), upgrade, len(body))
        with connect(gateway, sent + (body if number else b"")) as connection:
            if not number:
                connection.sendall(body)
            assert read_until(connection, b"}").startswith(b"HTTP/1.1 202 ")
            connection.sendall(b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n")
            assert rest_of(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_with_http2_sends_an_event(gateway: Gateway) -> None:
    body = msgspec.json.encode(event("of-curl")).decode()
    key = f"authorization: Bearer {gateway.key()}"
    command = ["curl", "-sS", "--http2", "--max-time", str(PATIENCE), "-w", "%{http_code}", "-o", "-", "-H", key, "-d", body]
    done = subprocess.run([*command, f"{gateway.url}/v1/events"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.endswith("202"), done.stdout
