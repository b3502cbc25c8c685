"""Bodies that would cost more than they hold: many gzip members, and those that never end."""

from __future__ import annotations

import asyncio
import gzip
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.types import Message

from gateway import body
from gateway.body import MOST_MEMBERS, inflate, read_body
from gateway.errors import RefusedError
from gateway.keys import KeyKind
from gateway.serve import make_server
from gateway.stopping import Stopping
from gateway.stream_route import MOST_STREAMS
from tests.support.gateway import run_gateway
from tests.support.waiting import PATIENCE, never, run_async, uses_at_most, wait_until

EMPTY = gzip.compress(b"")


def test_a_body_has_few_gzip_members() -> None:
    assert inflate(EMPTY * (MOST_MEMBERS - 1) + gzip.compress(b"{}"), limit=100) == b"{}"
    with pytest.raises(RefusedError, match=f"at most {MOST_MEMBERS}") as caught:
        inflate(EMPTY * (MOST_MEMBERS + 1), limit=100)
    assert (caught.value.status, caught.value.code) == (400, "bad_gzip")
    with uses_at_most(0.5, "a MiB of empty members"), pytest.raises(RefusedError):
        inflate(EMPTY * 50_000, limit=1_048_576)


def test_a_batch_without_a_key_costs_no_more(tmp_path: Path) -> None:
    with run_gateway(tmp_path) as gateway:
        answer = gateway.post("/v1/batch", content=EMPTY * 20_000, content_encoding="gzip")
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_gzip")


def test_a_body_that_does_not_come_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.01)
    parts = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    ended = []

    async def receive() -> Message:
        for part in parts:
            return part
        try:
            await never()
        finally:
            ended.append(True)
        raise AssertionError

    for _ in range(2):  # after a first part, and without any
        with pytest.raises(RefusedError) as caught:
            run_async(read_body({"headers": []}, receive, limit=100))
        assert (caught.value.status, caught.value.code) == (408, "too_slow")
    assert ended == [True, True]


@pytest.mark.parametrize(("kind", "limit"), [("server", "BODY_SECONDS"), ("publishable", "BODY_SECONDS"), (None, "ANONYMOUS_SECONDS")])
def test_the_connection_of_a_body_that_does_not_come_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: KeyKind | None, limit: str
) -> None:
    monkeypatch.setattr(body, limit, 0.05)
    with run_gateway(tmp_path) as gateway:
        host, _, port = gateway.url.removeprefix("http://").partition(":")
        key = f"authorization: Bearer {gateway.key(kind)}\r\n" if kind is not None else ""
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(f"POST /v1/track HTTP/1.1\r\nhost: x\r\n{key}content-length: 100\r\n\r\n{{".encode())
            found = b""
            while chunk := connection.recv(65_536):  # until the gateway closes it
                found += chunk
        assert found.startswith(b"HTTP/1.1 408")


def test_a_body_without_a_key_in_a_header_has_less_time() -> None:
    assert body.ANONYMOUS_SECONDS < body.BODY_SECONDS


@pytest.mark.parametrize("kind", [None, "publishable", "server"])
def test_bodies_of_senders_that_anybody_may_be_have_a_limit_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: KeyKind | None
) -> None:
    monkeypatch.setattr(body, "MOST_OPEN_BYTES", 11_500)
    with run_gateway(tmp_path) as gateway, ExitStack() as stack:
        host, _, port = gateway.url.removeprefix("http://").partition(":")
        key = f"authorization: Bearer {gateway.key(kind)}\r\n" if kind is not None else ""
        half = f"POST /v1/batch HTTP/1.1\r\nhost: x\r\n{key}content-length: 5000\r\n\r\n{' ' * 3_000}".encode()

        def begin() -> socket.socket:
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
            connection.sendall(half)
            return connection

        def end(connection: socket.socket) -> None:
            connection.sendall(b" " * 2_000)
            status = b"401" if kind is None else b"400"
            assert connection.recv(65_536).startswith(b"HTTP/1.1 %b " % status), "spaces are no batch, and no key"

        begun = [begin() for _ in range(5)]
        if kind != "server":
            refused = wait_until(lambda: among(begun, 2), "the answers to two bodies of five")
            assert all(each.recv(65_536).startswith(b"HTTP/1.1 503 ") for each in refused)
            begun = [each for each in begun if each not in refused]
        call = {"type": "track", "event": "x", "userId": "u-17", "properties": {"text": "x" * 4_000}}
        answer = gateway.post("/v1/batch", {"writeKey": gateway.key(), "batch": [call]})
        assert answer.status_code == 200, "what comes at once needs no room"
        for connection in begun:
            end(connection)
        end(begin())


def among(connections: list[socket.socket], number: int) -> list[socket.socket]:
    """Those that have an answer, if there are ``number`` of them."""
    found = [each for each in connections if is_answered(each)]
    return found if len(found) == number else []


def is_answered(connection: socket.socket) -> bool:
    """Whether something came, which the next ``recv`` returns."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        connection.settimeout(PATIENCE)


def test_connections_are_bounded_above_the_streams() -> None:
    async def app(*_: object) -> None:
        await asyncio.sleep(0)

    limit = make_server(app, Stopping()).config.limit_concurrency
    assert limit is not None
    assert limit > MOST_STREAMS
