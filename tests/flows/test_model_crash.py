"""Killed in the middle of many pending calls, twice: each request has one row and one answer, and Redis has what the rows say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.job_driver import Plan
from tests.support.job_runs import finish, spawn
from tests.support.job_state import rows
from tests.support.model_jobs import EAGER, by_decision, decided, errands, records, unlike_redis, write_catalog
from tests.support.model_server import ModelServer, good, hang
from tests.support.waiting import pause, running, wait_until

_PATIENCE = 100.0
_EPOCH = 0.3


@dataclass(frozen=True)
class Size:
    """``pending``: calls that the server holds when the job is killed. The few last people come in after the first kill only."""

    people: int
    later: int
    pending: int


SHORT, LONG = Size(120, 20, 90), Size(1_400, 100, 1_000)


@pytest.mark.parametrize("size", [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.slow)])
def test_killed_twice_with_calls_pending_every_wish_is_accounted_for(size: Size, tmp_path: Path) -> None:
    source = tmp_path / "events.jsonl"
    source.write_bytes(b"".join(errands(0, size.people)))
    settings: dict[str, Any] = {
        "catalog": str(write_catalog(tmp_path / "catalog.yaml", holdout=0.0, rules=0.05, **EAGER)),
        "data_dir": str(tmp_path / "data"),
        "llm_model": "scripted",
        "llm_timeout_seconds": 200.0,
        "llm_in_flight": 10_000,
        "llm_most_pending": 100_000,
        "llm_calls_per_second": 100_000.0,
        "llm_daily_tokens": 10**10,
        "epoch_seconds": _EPOCH,
    }
    with ModelServer(hang) as server:
        settings["llm_url"] = server.url
        asked_before = [_kill_with_pending(server, Plan(settings, str(source)), size.pending)]
        with source.open("ab") as more:
            more.write(b"".join(errands(size.people, size.later)))
        asked_before.append(_kill_with_pending(server, Plan(settings, str(source)), size.pending))
        server.requests.clear()
        server.script = good()
        del settings["data_dir"]
        state = finish(tmp_path / "data", source, **settings)

    calls = by_decision(state, "llm_calls")
    assert calls.keys() == decided(state).keys(), "each decision is answered or accounted for, once"
    assert len(calls) == size.people + size.later
    reasons = Counter(row["reason"] for row in calls.values())
    assert reasons.keys() == {"", "rules_group"}, reasons
    assert all(row["source"] == "call" for row in calls.values() if not row["reason"])
    assert min(asked_before) >= size.pending
    assert len(server.requests) == reasons[""] >= max(asked_before), "every request that was pending is asked again, none twice"

    written = Counter((row["user_id"], row["version"], row["source"]) for row in rows(state, "recommendations"))
    assert set(written.values()) == {1}, "nothing was told twice"
    assert Counter(source for _, _, source in written) == {"template": len(calls), "llm": reasons[""]}
    assert not unlike_redis(state)
    standing = records(state)
    assert len(standing) == len(calls)
    assert Counter(record["source"] for record in standing) == {"llm": reasons[""], "template": reasons["rules_group"]}


def _kill_with_pending(server: ModelServer, plan: Plan, pending: int) -> int:
    """Start a job, let it ask until the server holds ``pending`` calls and a snapshot has them, kill it; return how many it held."""
    before = len(server.requests)
    with running(spawn(plan)) as process:
        wait_until(lambda: len(server.requests) >= before + pending, f"{pending} calls", within=_PATIENCE, process=process)
        pause(3 * _EPOCH, "a snapshot is taken every epoch")
        process.kill()
        process.communicate(timeout=_PATIENCE)
    assert process.returncode == -9
    return len(server.requests) - before
