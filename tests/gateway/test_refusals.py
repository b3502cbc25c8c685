"""What the gateway refused is counted, and told in one line a minute."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gateway.connection import Limits
from gateway.refusals import Refusals
from tests.support.gateway import run_gateway
from tests.support.raw_connection import GET, connect, rest_of
from tests.support.waiting import run_async
from tests.support.wired_gateway import STREAM, wired


def counts_of(refusals: Refusals) -> dict[str, int]:
    (family,) = refusals.collect()
    return {sample.labels["reason"]: round(sample.value) for sample in family.samples}


def test_what_is_refused_is_counted_and_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with wired(Limits(connections=6, memory_bytes=100_000)) as server:
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
