"""What prepares ClickHouse beside the job goes on trying, whatever a broken answer makes the driver raise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from flows import engines
from flows.engines import ClickHouseStartup, open_engines
from flows.settings import load_settings
from sinks.clickhouse.errors import MigrationRefused, StoreUnreachable
from tests.support.waiting import PATIENCE, wait_until


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
    made = ClickHouseStartup(cast("Any", Store()), cast("Any", delivery), {})
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


def test_the_days_of_all_settings_reach_it(tmp_path: Path) -> None:
    nowhere = {"clickhouse_url": "http://127.0.0.1:1", "redis_url": "redis://127.0.0.1:1"}
    settings = load_settings(data_dir=tmp_path, clickhouse_retention_days={"events": 90}, llm_keep_days=30, **nowhere)
    with open_engines(settings, "a test") as made:
        assert made.clickhouse._retention == {"events": 90, "llm_answers": 30}
