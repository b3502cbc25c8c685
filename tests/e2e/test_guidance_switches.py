"""``onramp guidance`` beside a job that runs on the local event log: it obeys within an epoch, also after it was killed."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from sources.local_log.log import EventLog, Record
from sources.local_log.store import PARTITIONS
from state.records.recommendation import redis_key
from tests.cli.command import onramp, start
from tests.support.waiting import PATIENCE, running, wait_until

LONG = 180.0
USERS = tuple(f"user-{number}" for number in range(12))


def record_of(data_dir: Path, user: str) -> dict[str, Any]:
    try:
        address = json.loads((data_dir / "valkey" / "address.json").read_bytes())
        found = Redis.from_url(address["url"]).get(redis_key("default", user))
    except (OSError, ConnectionError):
        return {}
    return json.loads(found) if isinstance(found, bytes) else {}


def sign_up(log: EventLog, *users: str) -> None:
    for user in users:
        event = {
            "eventId": "1", "userId": user, "eventType": "signup", "timestamp": datetime.now(UTC).isoformat(),
            "payload": {"traits": {"persona": "analyst"}},
        }  # fmt: skip
        log.append([Record(user.encode(), json.dumps(event).encode())])


@pytest.mark.slow
def test_a_pause_withdraws_within_an_epoch_and_outlasts_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = {
        "ONRAMP_EVENT_LOG": str(tmp_path / "log"), "ONRAMP_CATALOG": "saas", "ONRAMP_DATA_DIR": str(data), "ONRAMP_EPOCH_SECONDS": "0.5",
        "TZ": "UTC",
    }  # fmt: skip
    letters, early, late = data / "dead_letters.jsonl", USERS[:6], USERS[6:]

    def shown(users: tuple[str, ...]) -> list[str]:
        return [user for user in users if record_of(data, user).get("uiComponent", "none") != "none"]

    def taken_back() -> bool:
        return not shown(early) and any(record_of(data, user).get("reason") == "guidance_paused" for user in early)

    with EventLog(tmp_path / "log") as log:
        sign_up(log, *early)
        with running(start("run", "--json", cwd=tmp_path, **settings)) as job:
            wait_until(lambda: bool(shown(early)), "recommendations", within=LONG, process=job)
            paused = onramp("guidance", "pause", "--by", "ann", "--because", "a test", "--json", cwd=tmp_path, **settings)
            assert paused.json["live"] is True
            wait_until(taken_back, "the withdrawal", within=LONG, process=job)
            job.send_signal(signal.SIGKILL)
            job.communicate(timeout=PATIENCE)
        sign_up(log, *late)
        log.append_everywhere(b"the end, which becomes a dead letter")
        with running(start("run", "--json", cwd=tmp_path, **settings)) as job:
            wait_until(lambda: letters.exists() and letters.read_bytes().count(b"\n") >= PARTITIONS, "the end", within=LONG, process=job)
            assert shown(USERS) == []
            job.send_signal(signal.SIGTERM)
            said, complained = job.communicate(timeout=PATIENCE)
        assert job.returncode == 0, complained
    assert json.loads(said)["nonDecisions"]["guidance_paused"] >= len(late)
    status = onramp("guidance", "status", "--json", cwd=tmp_path, **settings).json
    assert (status["paused"], [(each["action"], each["by"]) for each in status["switches"]]) == (True, [("pause", "ann")])
    assert status["waiting"] == []
    assert onramp("guidance", "resume", "--by", "ben", cwd=tmp_path, **settings).code == 0
    waiting = onramp("guidance", "status", "--json", cwd=tmp_path, **settings).json["waiting"]
    assert [(each["action"], each["by"]) for each in waiting] == [("resume", "ben")]
