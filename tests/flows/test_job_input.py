"""What a command sends to the local event log: beside what is there, with the key of its sender."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.job_input import JobInput
from flows.settings import load_settings
from sources.files.sent_file import Sent
from sources.local_log.log import EventLog, Record
from sources.local_log.reader import LogReader

EVENT = b'{"eventId": "e1", "userId": "ann", "eventType": "track", "timestamp": "2026-01-05T08:00:00Z"}'


def test_messages_are_appended_and_nothing_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[EventLog] = []

    class Noted(EventLog):
        def __init__(self, path: Path, **options: object) -> None:
            super().__init__(path, **options)  # type: ignore[arg-type]
            opened.append(self)

    with EventLog(tmp_path / "log", partitions=1, retention=None, now=lambda: 0) as log:
        log.append([Record(b"k", b"{}")])
    monkeypatch.setattr("flows.job_input.EventLog", Noted)
    job_input = JobInput(load_settings(data_dir=tmp_path / "d", event_log=tmp_path / "log"))
    job_input.send([Sent(EVENT), Sent(EVENT, b"account-7", (("x", b"1"), ("null", None))), Sent(b"{")])
    assert [log.retention for log in opened] == [None], "a command does not apply the retention of the gateway"
    reader = LogReader(tmp_path / "log")
    found = [row.record for row in reader.read(0, 0, 100) or []]
    reader.close()
    assert found == [Record(b"k", b"{}"), Record(b"ann", EVENT), Record(b"account-7", EVENT, (("x", b"1"),)), Record(b"", b"{")]
    assert not (tmp_path / "d").exists()
