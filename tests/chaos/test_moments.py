"""Killed within the epoch, during the snapshot, a flush, a drain, a replay, a forget: each time what is on disk shows that it was there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from sinks.clickhouse.segment import read_segment
from sources.local_log.log import EventLog, Record
from state.records.dead_letter import decode_line
from state.records.facts import FACTS
from tests.chaos.controlled_process import MOMENTS
from tests.chaos.world import Input, Outcome, World, run, world
from tests.support.job_state import differences
from tests.support.waiting import PATIENCE, stop, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timing]  # each starts the engines several times

LONG = 3 * PATIENCE
SOURCE = Input(seed=77, users=40, days=6, ahead=1_000_000)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What a run without faults leaves."""
    return run(tmp_path_factory.mktemp("calm") / "world", SOURCE)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path / "world", SOURCE) as found:
        found.start_writer()
        found.wait(lambda: found.writer is None and found.log_end() == found.lines, "the log")
        yield found


def spooled(here: World, stage: str) -> list[Path]:
    return sorted((here.data / "spool").glob(f"*.{stage}"))


def in_epoch(here: World) -> bool:
    return here.job_offset() > here.durable() == 0 and bool(list(Redis.from_url(here.redis.url).scan_iter("onramp:*:rec")))


def in_snapshot(here: World) -> bool:
    return len(spooled(here, "pending")) == 1


def in_flush_of_a_segment(here: World) -> bool:
    return len(spooled(here, "tmp")) == 1


def in_drain(here: World) -> bool:
    return bool(spooled(here, "ready")) and any(rows(here, f"SELECT count() FROM {kind.TABLE}")[0][0] for kind in FACTS)


def in_erasure(here: World) -> bool:
    return any(read_segment(path).erasures for path in spooled(here, "ready"))


PROOFS = {
    "epoch: the records are in Redis, the epoch is not durable": (in_epoch, 40),
    "snapshot: the segment is pending, the engine has no position": (in_snapshot, 1),
    "flush: the segment is half written": (in_flush_of_a_segment, 1),
    "flush: some records of the epoch are not in Redis": (in_epoch, 30),
    "drain: the rows are in, the segment is not removed": (in_drain, 3),
    "drain: the rows of a person are half erased": (in_erasure, 1),
}
"""Moment of the job → what proves it, and the call in which it dies."""
OF_COMMANDS = ("dlq replay", "replay", "forget")


def test_every_moment_is_tried() -> None:
    assert {name for name in MOMENTS if name.partition(":")[0] not in OF_COMMANDS} == PROOFS.keys()


@pytest.mark.parametrize("moment", PROOFS)
def test_a_job_that_dies_there_leaves_what_one_leaves_that_lives(here: World, calm: Outcome, moment: str) -> None:
    proof, call = PROOFS[moment]
    often = here.settings["ONRAMP_EPOCH_SECONDS"]
    if proof is in_epoch:
        here.settings["ONRAMP_EPOCH_SECONDS"] = "60"
    here.die_in(moment, call)
    assert proof(here), f"the job was not there: {moment}"
    here.die_in(moment, call)  # and again, at the start of what it repeats
    here.settings["ONRAMP_EPOCH_SECONDS"] = often
    here.start_job()
    assert not differences(calm.state, here.end())


# ---------------------------------------------------------------------------------------------------------------- commands

ANN, BOB = "ann-17", "bob-18"


def line(user: str, number: int, kind: str, **more: Any) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"eventId": f"{user}-{number}", "userId": user, "eventType": kind, "timestamp": now, "payload": {}, **more}).encode()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[World]:
    """A world at the real time, whose job has read some events of Ann and of Bob, and two letters of Ann, and is stopped."""
    lines = [line(user, 0, "signup") for user in (ANN, BOB)]
    lines += [line(user, n, "page_view", payload={"path": "/dashboards/new"}) for n in (1, 2, 3) for user in (ANN, BOB)]
    lines += [line(ANN, n, "page_viewed", payload={"path": "/"}) for n in (4, 5)]
    with world(tmp_path / "world", Input(1, given=tuple(lines))) as found:
        with EventLog(found.directory / "log", partitions=1, retention=None) as log:
            log.append([Record(json.loads(each)["userId"].encode(), each) for each in lines])
        read_all(found)
        assert len(letters(found)) == 2
        yield found


def read_all(here: World) -> None:
    """Run the job until it has read and delivered everything, and stop it."""
    job = here.start_job()
    wait_until(lambda: here.durable() == here.log_end(), "the end of the log", within=LONG, process=job)
    wait_until(lambda: not (spooled(here, "ready") or spooled(here, "pending")), "the delivery of the rows", within=LONG, process=job)
    here.stop_job()


def letters(here: World) -> list[Any]:
    lines = (here.data / "dead_letters.jsonl").read_bytes().splitlines(keepends=True)
    return [decode_line(each) for each in lines if each.strip()]


def rows(here: World, sql: str) -> list[Any]:
    store = here.store
    try:
        return list(store.client().query(sql).result_rows)
    finally:
        store.close()


def audited(here: World) -> list[tuple[str, str]]:
    path = here.data / "audit.jsonl"
    return [(each["action"], each["outcome"]) for each in map(json.loads, path.read_text().splitlines())] if path.exists() else []


@pytest.mark.parametrize("moment", [name for name in MOMENTS if name.startswith("dlq replay")])
def test_a_replay_of_letters_that_dies_is_repeated_and_each_event_is_applied_once(live: World, moment: str) -> None:
    command = ("dlq", "replay", "--edit", '{"eventType": "page_view"}', "--yes", "--json")
    before = live.log_end()
    live.die_in(moment, 1, *command)
    sent = moment.endswith("all was sent, nothing is recorded")
    assert live.log_end() == before + 2 * sent
    assert audited(live) == [("dlq.replay", "begun")]
    assert live.command(*command).json["sent"] == 2
    assert live.command(*command).json["sent"] == 0, "the replay is recorded"
    read_all(live)
    applied = f"SELECT event_id, count(), countIf(status = 'applied') FROM events FINAL WHERE user_id = '{ANN}' GROUP BY 1 ORDER BY 1"
    assert rows(live, applied) == [(f"{ANN}-{number}", 1, 1) for number in range(6)]
    assert len(letters(live)) == 2


def test_a_replay_of_the_log_that_dies_changes_nothing_and_is_repeated(live: World, tmp_path: Path) -> None:
    def seen() -> Any:
        redis = Redis.from_url(live.redis.url)
        records = {key: redis.get(key) for key in redis.scan_iter("onramp:*:rec")}
        return (
            records,
            rows(live, "SELECT * FROM events FINAL ORDER BY event_id"),
            rows(live, "SELECT * FROM people FINAL ORDER BY user_id"),
        )

    before, moment = seen(), "replay: in the middle"
    live.settings["ONRAMP_BATCH_SIZE"] = "2"
    live.die_in(moment, 3, "replay", "--into", str(tmp_path / "half"))
    assert (tmp_path / "half").is_dir()
    again = live.command("replay", "--into", str(tmp_path / "half"))
    assert any((tmp_path / "half").iterdir()) == (again.code == 1), "half results are not mixed with whole ones"
    live.die_in(moment, 3, "replay", "--user", ANN)
    whole = live.command("replay", "--into", str(tmp_path / "whole"))
    assert whole.code == 0, whole.err
    assert len((tmp_path / "whole" / "events.jsonl").read_text().splitlines()) == 8
    assert live.command("replay", "--user", ANN, "--json").json["same"]
    assert seen() == before


@pytest.mark.parametrize("moment", [name for name in MOMENTS if name.startswith("forget")])
def test_a_deletion_that_dies_has_left_a_record_and_is_repeated(live: World, moment: str) -> None:
    job = live.start_job()
    command = ("forget", ANN, "--yes", "--json", "--wait", "30")
    try:
        before = live.log_end()
        live.die_in(moment, 1, *command)
        assert live.log_end() == before + (moment not in {"forget: begun, not sent", "forget: before the receipt"})
        assert audited(live) == [] if moment == "forget: before the receipt" else [("forget", "begun")]
        done = live.command(*command)
        assert job.poll() is None
    finally:
        stop(job)
    held = {each["store"]: each["held"] for each in json.loads(done.out)["stores"]}
    assert not any(count for store, count in held.items() if store not in {"recovery", "clickhouse_traces"}), held
    assert audited(live)[-1] == ("forget", "done")
    read_all(live)
    assert rows(live, "SELECT DISTINCT user_id FROM events FINAL") == [(BOB,)]
    last = live.command("forget", ANN, "--check", "--maintain", "--yes", "--json")
    left = {each["store"] for each in last.json["stores"] if each["held"]}
    assert left <= {"clickhouse_traces"}, last.out  # a server removes its old files of tables some minutes later
