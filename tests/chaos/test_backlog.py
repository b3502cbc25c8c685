"""An hour of backlog without a job: nobody is called inactive for activity that was waiting in the log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.recovery_positions import saved_positions
from sinks.clickhouse.errors import StoreDenied
from sources.local_log.log import EventLog, Record
from sources.local_log.source import NAME
from state.duration import HOUR, MINUTE
from tests.chaos.append import set_clock
from tests.chaos.world import Input, World, world

pytestmark = [pytest.mark.slow, pytest.mark.timing]

START = 1_767_600_000_000
INACTIVE_AFTER = 12 * HOUR
"""``stuck:inactive.after`` of the catalog."""
WAITING = [f"waiting-{number}" for number in range(12)]
"""They were active while no job ran."""
GONE = [f"gone-{number}" for number in range(12)]
"""They were not."""


def line(user: str, at: int, kind: str, **payload: Any) -> Record:
    moment = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    event = {"eventId": f"{user}-{at}", "userId": user, "eventType": kind, "timestamp": moment, "payload": payload}
    return Record(user.encode(), json.dumps(event).encode())


def test_nobody_is_called_inactive_for_activity_that_was_waiting(tmp_path: Path) -> None:
    now = [START]
    with (
        world(tmp_path / "world", Input(1, users=1, days=1)) as here,
        EventLog(here.directory / "log", partitions=6, retention=None, now=lambda: now[0]) as log,
    ):
        log.append([line(user, START, "signup") for user in (*WAITING, *GONE)])
        set_clock(here.directory / "clock", START, 0)
        here.start_job()
        wait_for(here, lambda: len(people(here)) == 24, "the sign-ups")
        now[0] = stopped = START + INACTIVE_AFTER - 30 * MINUTE  # nobody is inactive yet
        set_clock(here.directory / "clock", stopped, 0)
        wait_for(here, lambda: log_time(here) >= stopped - 10_000, "the morning")
        here.stop_job()
        assert not called_inactive(here)
        now[0] = stopped + 10 * MINUTE
        log.append([line(user, now[0], "page_view", path="/dashboards/new") for user in WAITING])
        now[0] = stopped + HOUR
        set_clock(here.directory / "clock", now[0], 0)
        here.start_job()
        wait_for(here, lambda: called_inactive(here) >= set(GONE), "those who are gone to be called so")
        assert called_inactive(here) == set(GONE)


def wait_for(here: World, condition: Any, what: str) -> None:
    def seen() -> Any:
        assert here.job is not None
        assert here.job.poll() is None, here.last_words()
        return condition()

    here.patiently(seen, what, 300)


def people(here: World) -> set[str]:
    return users(here, "SELECT DISTINCT user_id FROM people FINAL")


def called_inactive(here: World) -> set[str]:
    return users(here, "SELECT DISTINCT user_id FROM stuck_signals FINAL WHERE trigger = 'stuck:inactive'")


def users(here: World, sql: str) -> set[str]:
    store = here.store
    try:
        return {user for (user,) in store.client().query(sql).result_rows}
    except StoreDenied:  # the job has not made the database yet
        return set()
    finally:
        store.close()


def log_time(here: World) -> int:
    return min((found.log_time for found in saved_positions(here.data / "state", NAME).values()), default=0)
