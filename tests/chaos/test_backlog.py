"""An hour of backlog without a job: nobody is called stuck for activity that was waiting in the log.

People sign up every half an hour for twenty hours, then the job is stopped for an hour. Half of the people are active in it. When the job
comes back, the wall clock is an hour ahead of what it has read. The signals must be those of a job that reads the whole log in one go.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.recovery_positions import saved_positions
from sources.local_log.log import EventLog, Record
from sources.local_log.source import NAME
from state.duration import HOUR, MINUTE
from tests.chaos.append import set_clock
from tests.chaos.world import Input, World, world

pytestmark = [pytest.mark.slow, pytest.mark.timing]

START = 1_767_600_000_000
STOPPED = START + 20 * HOUR
NOBODY = Input(1, given=())
USERS = [f"user-{number:02}" for number in range(40)]
ACTIVE = set(USERS[::2])
"""They are active while no job runs."""


def line(user: str, at: int, kind: str, **payload: Any) -> Record:
    moment = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    event = {"eventId": f"{user}-{at}", "userId": user, "eventType": kind, "timestamp": moment, "payload": payload}
    return Record(user.encode(), json.dumps(event).encode())


def test_the_signals_after_an_hour_without_a_job_are_those_of_a_job_that_was_always_there(tmp_path: Path) -> None:
    now = [START]
    with (
        world(tmp_path / "world", NOBODY, clock_from_file=True) as here,
        EventLog(here.directory / "log", partitions=6, retention=None, now=lambda: now[0]) as log,
    ):
        for number, user in enumerate(USERS):
            now[0] = START + number * 30 * MINUTE
            log.append([line(user, now[0], "signup")])
        before = signals_at(here, STOPPED)
        assert before, "nobody was called stuck before: the test says nothing"
        for minutes in range(10, 60, 10):
            now[0] = STOPPED + minutes * MINUTE
            log.append([line(user, now[0], "page_view", path="/dashboards/new") for user in sorted(ACTIVE)])
        after = signals_at(here, STOPPED + HOUR)
    in_the_hour = {user for user, _, at in after - before if at > STOPPED}
    assert in_the_hour - ACTIVE, "nobody was called stuck in the hour: the test says nothing"
    with world(tmp_path / "always", NOBODY, clock_from_file=True) as always:
        shutil.copytree(here.directory / "log", always.directory / "log")
        assert signals_at(always, STOPPED + HOUR) == after


def signals_at(here: World, clock: int) -> set[tuple[str, str, int]]:
    """Run the job until it has read everything and its log time follows the clock; return who was called stuck, why, and when."""
    set_clock(here.directory / "clock", clock, 0)
    here.start_job()
    wait_for(here, lambda: log_time(here) >= clock - 10_000, "the clock")
    here.stop_job()  # delivers the rows
    store = here.store
    try:
        rows = store.client().query("SELECT user_id, trigger, toUnixTimestamp64Milli(detected_at) FROM stuck_signals FINAL").result_rows
        return {(str(user), str(trigger), int(at)) for user, trigger, at in rows}
    finally:
        store.close()


def wait_for(here: World, condition: Callable[[], Any], what: str) -> None:
    def seen() -> Any:
        assert here.job is not None
        assert here.job.poll() is None, here.last_words()
        return condition()

    here.patiently(seen, what, 300)


def log_time(here: World) -> int:
    """Of the partition that is furthest behind."""
    found = saved_positions(here.data / "state", NAME) if (here.data / "state").is_dir() else {}
    return min((each.log_time for each in found.values()), default=0) if len(found) == 6 else 0
