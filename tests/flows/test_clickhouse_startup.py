"""What prepares ClickHouse beside the job goes on trying, whatever a broken answer makes the driver raise."""

from __future__ import annotations

import signal
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from flows import engines
from flows.engines import ClickHouseStartup, open_engines
from flows.settings import load_settings
from sinks.clickhouse.errors import MigrationRefused, StoreUnreachable
from sources.local_log.log import EventLog
from tests.cli.command import start
from tests.support.waiting import PATIENCE, ends_within, running, wait_until


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


def test_the_days_of_all_settings_reach_it(tmp_path: Path) -> None:
    nowhere = {"clickhouse_url": "http://127.0.0.1:1", "redis_url": "redis://127.0.0.1:1"}
    settings = load_settings(data_dir=tmp_path, clickhouse_retention_days={"events": 90}, llm_keep_days=30, **nowhere)
    with open_engines(settings, "a test") as made:
        assert made.clickhouse._retention == {"events": 90, "llm_answers": 30}
