"""The settings of the event log reach it."""

from __future__ import annotations

from pathlib import Path

from flows.open_event_log import open_event_log
from flows.settings import load_settings
from sources.local_log.log import EventLog, Record
from sources.local_log.reader import LogReader
from state.duration import DAY
from tests.support.waiting import wait_until


def test_the_log_of_the_settings_deletes_by_their_age_and_size(tmp_path: Path) -> None:
    now = 1_800_000_000_000
    settings = load_settings(event_log=tmp_path / "log", event_log_max_days=2.5, event_log_max_mb=3)
    with EventLog(tmp_path / "log", retention=None, now=lambda: now) as log:
        log.append([Record(b"u", b"x" * 1_000_000)] * 9)
    with open_event_log(settings) as log:
        assert log.retention is not None
        assert log.retention.max_age_ms == 5 * DAY // 2
        reader = LogReader(tmp_path / "log")
        partition = log.partition_of(b"u")
        wait_until(lambda: reader.first_bounds(partition).low == 6, "the deletion of what is beyond three megabytes")
        assert reader.first_bounds(partition).end == 9
        reader.close()
