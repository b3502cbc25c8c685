"""Bodies that would cost more than they hold: many gzip members, and those that never end."""

from __future__ import annotations

import asyncio
import gzip
import socket
from pathlib import Path

import pytest
from starlette.types import Message

from gateway import body
from gateway.body import MOST_MEMBERS, inflate, read_body
from gateway.errors import RefusedError
from gateway.serve import make_server
from gateway.stopping import Stopping
from gateway.stream_route import MOST_STREAMS
from tests.support.gateway import run_gateway
from tests.support.waiting import PATIENCE, never, run_async, uses_at_most

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


def test_the_connection_of_a_body_that_does_not_come_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.05)
    with run_gateway(tmp_path) as gateway:
        host, _, port = gateway.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            head = f"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key()}\r\ncontent-length: 100\r\n\r\n{{"
            connection.sendall(head.encode())
            found = b""
            while chunk := connection.recv(65_536):  # until the gateway closes it
                found += chunk
        assert found.startswith(b"HTTP/1.1 408")


def test_connections_are_bounded_above_the_streams() -> None:
    async def app(*_: object) -> None:
        await asyncio.sleep(0)

    limit = make_server(app, Stopping()).config.limit_concurrency
    assert limit is not None
    assert limit > MOST_STREAMS
