"""Rows that still wait for ClickHouse: a failure at the end of the input, and none when somebody asks the job to stop."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import flows.main
import flows.run
from flows.engines import Engines
from flows.run import IncompleteError, RunResult, run
from flows.settings import load_settings
from flows.stop import StopRequest
from sinks.clickhouse.delivery import DeliveryResult, FactDelivery

SIGNUP = b'{"eventId": "e1", "userId": "ann", "eventType": "signup", "timestamp": "2026-01-05T08:00:00Z"}\n'


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.run, "_LAST_ROWS_STOPPED_SECONDS", 0.1)
    monkeypatch.setattr(flows.run, "_LAST_ROWS_SECONDS", 0.1)


def run_with_clickhouse_down(tmp_path: Path) -> RunResult:
    (tmp_path / "events.jsonl").write_bytes(SIGNUP)
    settings = load_settings(data_dir=tmp_path / "data", clickhouse_url="http://127.0.0.1:1", recovery_partitions=2)
    return run(settings, input_path=tmp_path / "events.jsonl", owner="a test", started=0.0, stop=StopRequest())


def test_a_run_whose_rows_do_not_arrive_has_failed(tmp_path: Path) -> None:
    with pytest.raises(IncompleteError, match=r"still waits? for ClickHouse"):
        run_with_clickhouse_down(tmp_path)


def test_a_run_that_is_asked_to_stop_leaves_rows_to_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver = flows.run._deliver_last_rows

    def asked_meanwhile(engines: Engines, stop: StopRequest) -> DeliveryResult:
        stop.set()
        return deliver(engines, stop)

    monkeypatch.setattr(flows.run, "_deliver_last_rows", asked_meanwhile)
    result = run_with_clickhouse_down(tmp_path)
    assert not result.delivery.complete
    assert [note for note in result.summary["notes"] if "still wait" in note and "the next run" in note]
    assert list((tmp_path / "data" / "spool").glob("*.ready"))


@pytest.mark.parametrize(("complete", "said"), [(True, 0), (False, 1)])
def test_a_job_under_the_runner_says_that_rows_wait(complete: bool, said: int, caplog: pytest.LogCaptureFixture) -> None:
    result = DeliveryResult(complete=complete, rows_inserted=0, left=2, rejected=0, last_error="")
    flows.main._deliver_at_exit(cast("FactDelivery", SimpleNamespace(flush=lambda _seconds: result)))
    assert caplog.text.count("2 segments of rows still wait for ClickHouse; the next run") == said
