"""``onramp gateway`` as a person runs it: a process with a key, an event log on disk, and an end in order."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import httpx2
import msgspec

from sources.local_log.reader import LogReader
from tests.cli.command import onramp, start
from tests.support.gateway import event
from tests.support.waiting import PATIENCE, read_line, running


def test_an_acknowledged_event_is_in_the_log_when_the_gateway_was_killed(tmp_path: Path) -> None:
    key = onramp("keys", "create", "server", cwd=tmp_path).out.splitlines()[0]
    for number, ending in enumerate((signal.SIGTERM, signal.SIGKILL)):
        with running(start("gateway", "--port", "0", cwd=tmp_path, ONRAMP_EVENT_LOG="log", ONRAMP_SECRET="x" * 16)) as process:
            said = read_line(process.stderr, "the address of the gateway")
            (url,) = re.findall(r"http://127\.0\.0\.1:\d+", said)
            answer = httpx2.post(f"{url}/v1/events", json=event(f"e{number}"), headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE)
            assert (answer.status_code, answer.json()) == (202, {"stored": [f"e{number}"]})
            process.send_signal(ending)
            assert process.wait(PATIENCE) == (0 if ending == signal.SIGTERM else -9)
    reader = LogReader(tmp_path / "log")
    try:
        stored = [each for partition in range(reader.identity.partitions) for each in reader.read(partition, 0, 10) or ()]
    finally:
        reader.close()
    assert [msgspec.json.decode(each.record.value)["eventId"] for each in stored] == ["e0", "e1"]


def test_without_a_place_for_events_it_says_what_to_set(tmp_path: Path) -> None:
    result = onramp("gateway", "--port", "0", cwd=tmp_path)
    assert (result.code, result.out, len(result.err.splitlines())) == (1, "", 1)
    assert "ONRAMP_EVENT_LOG" in result.err


def test_an_address_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    result = onramp("gateway", "--host", "192.0.2.1", cwd=tmp_path, ONRAMP_EVENT_LOG="log", ONRAMP_SECRET="x" * 16)
    assert (result.code, len(result.err.splitlines())) == (1, 1)
    assert "--host" in result.err
