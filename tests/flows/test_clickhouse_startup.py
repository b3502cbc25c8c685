"""What prepares ClickHouse beside the job goes on trying, whatever a broken answer makes the driver raise."""

from __future__ import annotations

import os
import signal
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest

import flows.run
from flows import engines
from flows.engines import ClickHouseStartup, open_engines
from flows.run import IncompleteError, run
from flows.settings import load_settings
from flows.stop import StopRequest
from local.data_dir import DataDir
from sinks.clickhouse.errors import MigrationRefused, StoreUnreachable
from sources.local_log.backlog import id_of
from sources.local_log.log import EventLog
from tests.cli.command import start
from tests.support.waiting import PATIENCE, ends_within, running, wait_until

SIGNUP = b'{"eventId": "e1", "userId": "ann", "eventType": "signup", "timestamp": "2026-01-05T08:00:00Z"}\n'


class Store:
    """A store that is not asked anything."""

    where = "http://127.0.0.1:1"

    def release(self) -> None:
        """There is no client."""


class Delivery:
    """Says whether it was started."""

    started = 0

    def start(self) -> None:
        """Count."""
        self.started += 1


@pytest.fixture
def delivery(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Delivery, Any]]:
    monkeypatch.setattr(engines, "_RETRY_SECONDS", 0.01)
    delivery = Delivery()
    made = ClickHouseStartup(cast("Any", Store()), cast("Any", delivery), {}, threading.Event())
    yield delivery, made
    made.stop()


def answer_with(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> None:
    left = list(errors)

    def migrate(_store: object) -> None:
        if left:
            raise left.pop(0)

    monkeypatch.setattr(engines, "migrate", migrate)
    monkeypatch.setattr(engines, "apply_retention", lambda _store, _retention: None)


def test_unreadable_answers_are_asked_for_again(
    delivery: tuple[Delivery, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found, startup = delivery
    answer_with(monkeypatch, IndexError("tuple index out of range"), StoreUnreachable("down"), ValueError("not a version"))
    startup.start(lambda: None)
    wait_until(lambda: found.started, "the start of the delivery", within=PATIENCE)
    assert (found.started, startup.error) == (1, None)
    assert "gave an answer that cannot be read (IndexError: tuple index out of range)" in caplog.text


def test_a_schema_that_does_not_fit_still_ends_the_job(delivery: tuple[Delivery, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found, startup = delivery
    failed: list[bool] = []
    answer_with(monkeypatch, MigrationRefused("the database is newer"))
    startup.start(lambda: failed.append(True))
    wait_until(lambda: failed, "the end", within=PATIENCE)
    assert (found.started, str(startup.error)) == (0, "the database is newer")


@contextmanager
def silent_server() -> Iterator[tuple[str, threading.Event]]:
    """A server that reads a request and never answers: its address, and an event that is set when somebody has asked."""
    asked, over = threading.Event(), threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(1):
                asked.set()
            over.wait(10 * PATIENCE)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            over.set()
            server.shutdown()


def test_a_server_that_stays_silent_does_not_hold_up_the_end(tmp_path: Path) -> None:
    failed: list[bool] = []
    with silent_server() as (url, asked):
        settings = load_settings(data_dir=tmp_path, clickhouse_url=url, redis_url="redis://127.0.0.1:1")
        with ends_within(PATIENCE, "the end"), open_engines(settings, "a test") as made:
            made.clickhouse.start(lambda: failed.append(True))
            wait_until(asked.is_set, "the first question")
        assert (failed, made.clickhouse.error) == ([], None)


def test_a_job_that_waits_for_a_silent_clickhouse_obeys_sigterm(tmp_path: Path) -> None:
    letters = tmp_path / ".onramp" / "dead_letters.jsonl"
    with EventLog(tmp_path / "log", retention=None) as log:
        log.append_everywhere(b"what becomes a dead letter")
    with silent_server() as (url, asked):
        settings = {"ONRAMP_EVENT_LOG": "log", "ONRAMP_CLICKHOUSE_URL": url, "ONRAMP_CATALOG": "saas", "ONRAMP_EPOCH_SECONDS": "0.5"}
        with running(start("run", "--json", cwd=tmp_path, **settings)) as job:
            wait_until(asked.is_set, "the first question", process=job)
            wait_until(lambda: letters.exists() and letters.read_bytes(), "a job that reads", process=job)
            job.send_signal(signal.SIGTERM)
            said, complained = job.communicate(timeout=PATIENCE)
        assert job.returncode == 0, complained
        assert said.count("\n") == 1
    assert DataDir(tmp_path / ".onramp").noted_log == (tmp_path / "log", id_of(tmp_path / "log")), "for commands beside it"


def test_a_run_on_a_file_that_waits_for_a_silent_clickhouse_obeys_sigterm(tmp_path: Path) -> None:
    letters = tmp_path / ".onramp" / "dead_letters.jsonl"
    os.mkfifo(tmp_path / "pipe")
    with silent_server() as (url, asked):
        settings = {"ONRAMP_CLICKHOUSE_URL": url, "ONRAMP_EPOCH_SECONDS": "0.5"}
        with running(start("run", "--input", "pipe", cwd=tmp_path, **settings)) as job, (tmp_path / "pipe").open("wb") as events:
            events.write(b"what becomes a dead letter\n")
            events.flush()
            wait_until(asked.is_set, "the first question", process=job)
            wait_until(lambda: letters.exists() and letters.read_bytes(), "a job that reads", process=job)
            job.send_signal(signal.SIGTERM)
            _, complained = job.communicate(timeout=PATIENCE)
        assert "stopped before the end of the input" in complained


def test_the_wait_for_the_first_try_ends_at_a_stop_request(monkeypatch: pytest.MonkeyPatch, delivery: tuple[Delivery, Any]) -> None:
    _, startup = delivery
    over = threading.Event()
    monkeypatch.setattr(engines, "migrate", lambda _store: over.wait(PATIENCE))
    startup.start(lambda: None)
    stop = iter([False, False, True])
    try:
        with ends_within(PATIENCE / 2, "the wait"):
            startup.wait_for_first_try(lambda: next(stop))
    finally:
        over.set()


def test_a_run_knows_the_newest_log_time_without_asking_clickhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.run, "_LAST_ROWS_SECONDS", 0.1)
    (tmp_path / "events.jsonl").write_bytes(SIGNUP)
    (tmp_path / "empty.jsonl").write_bytes(b"\n")
    nowhere = load_settings(data_dir=tmp_path / "data", clickhouse_url="http://127.0.0.1:1", recovery_partitions=2)
    found: list[int | None] = []
    for name in ("empty.jsonl", "events.jsonl", "empty.jsonl"):
        with suppress(IncompleteError):
            run(
                nowhere, input_path=tmp_path / name, owner="a test", started=0.0, stop=StopRequest(),
                on_end=lambda _engines, result: found.append(result.log_time),
            )  # fmt: skip
    assert found == [None, 1_767_600_000_000, 1_767_600_000_000]


def test_the_days_of_all_settings_reach_it(tmp_path: Path) -> None:
    nowhere = {"clickhouse_url": "http://127.0.0.1:1", "redis_url": "redis://127.0.0.1:1"}
    settings = load_settings(data_dir=tmp_path, clickhouse_retention_days={"events": 90}, llm_keep_days=30, **nowhere)
    with open_engines(settings, "a test") as made:
        assert made.clickhouse._retention == {"events": 90, "llm_answers": 30}
