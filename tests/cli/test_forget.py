"""``onramp forget`` and ``onramp export`` beside a job that runs, after one that was killed, and on files, down to the last byte."""

from __future__ import annotations

import json
import signal
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.data_dir import DataDir
from local.redis_access import redis_for_reader
from sinks.redis.client import connect
from sinks.redis.reader import RecommendationReader
from sinks.redis.record import Deleted
from sources.local_log.log import EventLog, Record
from sources.local_log.reader import LogReader
from state.records.recommendation import redis_key
from tests.cli.command import Result, onramp, start
from tests.flows.deletion_story import EARLIER, STAYS, USER, VISITORS, story
from tests.support.ready_tables import make_data_dir
from tests.support.waiting import running, wait_until

pytestmark = pytest.mark.slow  # each starts the engines several times

SECRET = {"ONRAMP_SECRET": "a secret for tests", "ONRAMP_EPOCH_SECONDS": "1", "ONRAMP_CATALOG": "saas"}


def send(log: Path, *events: dict[str, Any]) -> None:
    with EventLog(log, partitions=6, retention=None) as open_log:
        for event in events:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            key = str(event.get("userId") or event.get("anonymousId")).encode()
            open_log.append([Record(key, json.dumps({"timestamp": now, "eventId": f"e-{key!r}-{event['eventType']}", **event}).encode())])


def held(result: Result) -> dict[str, Any]:
    return {line["store"]: line["held"] for line in json.loads(result.out)["stores"]}


def bytes_of(directory: Path) -> str:
    """The files that name her or a visitor of hers."""
    names = [name.encode() for name in (USER, *VISITORS, *EARLIER)]
    found = [path for path in directory.rglob("*") if path.is_file() and any(name in path.read_bytes() for name in names)]
    return " ".join(sorted(str(path.relative_to(directory)) for path in found))


def test_on_files_the_next_run_forgets_and_maintenance_leaves_no_byte(tmp_path: Path) -> None:
    events, data = tmp_path / "events.jsonl", tmp_path / "data"
    events.write_bytes(b"".join(line + b"\n" for line in story().splitlines() if b'"user_deleted"' not in line))
    run = ("run", "--input", events, "--data-dir", data, "--json")
    assert onramp(*run, cwd=tmp_path).code == 0
    exported = onramp("export", USER, "--data-dir", data, cwd=tmp_path)
    assert exported.code == 0, exported.err
    everything = json.loads(exported.out)
    assert everything["visitorIds"] == sorted((*VISITORS, *EARLIER))
    assert {row["table"] for row in everything["held"]["clickhouse"]} >= {"events", "people", "decisions", "dead_letters"}
    (state,) = [each["state"] for each in everything["held"]["recovery"] if each["state"].get("user") == USER]
    assert state["traits"]["firstName"] == "Ana"
    assert len(everything["held"]["dead_letters"]) == 2
    assert STAYS not in exported.out

    first = onramp("forget", USER, "--yes", "--json", "--data-dir", data, cwd=tmp_path)
    assert (first.code, first.json["jobHasTakenIt"], first.json["complete"]) == (1, False, False)
    left = held(first)
    assert {name for name, count in left.items() if count} == {"recovery", "clickhouse_traces"}
    with events.open("a") as file:
        file.write(json.dumps({"eventId": "z", "userId": STAYS, "eventType": "track", "timestamp": "2026-01-07T00:00:00Z"}) + "\n")
    assert onramp(*run, cwd=tmp_path).code == 0
    also = [part for name in (*VISITORS, *EARLIER) for part in ("--also", name)]
    last = onramp("forget", USER, *also, "--maintain", "--yes", "--json", "--data-dir", data, cwd=tmp_path)
    assert last.code == 0, last.out
    assert (last.json["jobHasTakenIt"], held(last)["every byte of the data directory"]) == (True, 0)
    assert not any(name in last.out for name in (USER, *VISITORS, *EARLIER)), "the receipt has hashes only"
    assert bytes_of(data) == "sent.jsonl", "the deletion itself"
    assert STAYS in onramp("sql", "SELECT user_id FROM people_final", "--csv", "--data-dir", data, cwd=tmp_path).out
    replayed = onramp("replay", "--user", USER, "--input", events, "--data-dir", data, "--json", cwd=tmp_path)
    assert (replayed.json["deleted"], replayed.json["same"]) == (True, True), "a replay does not resurrect"
    audited = (data / "audit.jsonl").read_text()
    assert USER not in audited
    assert [json.loads(line)["action"] for line in audited.splitlines()] == ["export", "forget", "forget", "forget", "forget"]


def test_beside_a_job_that_runs_and_after_one_that_was_killed(tmp_path: Path) -> None:
    data = DataDir.create(tmp_path / "data").path
    log = data / "log"
    settings = {**SECRET, "ONRAMP_EVENT_LOG": str(log), "ONRAMP_DATA_DIR": str(data)}

    def rows() -> str:
        return onramp("sql", "SELECT user_id FROM people_final", "--csv", cwd=tmp_path, **settings).out

    with running(start("run", cwd=tmp_path, **settings)) as job:
        send(log, {"userId": STAYS, "eventType": "signup"}, {"anonymousId": VISITORS[0], "eventType": "track", "name": "looked"})
        for user in (USER, "second"):
            send(log, {"userId": user, "eventType": "signup"}, {"userId": user, "eventType": "nothing_known"})
        send(log, {"userId": USER, "eventType": "identity_merged", "payload": {"previousId": VISITORS[0]}})
        wait_until(lambda: "second" in rows() and USER in rows(), "the rows of both", every=1.0, process=job)
        wait_until(lambda: "merged" in onramp("sql", "SELECT experiment_group FROM people_final", "--csv", cwd=tmp_path, **settings).out,
                   "the merge", every=1.0, process=job)  # fmt: skip
        done = onramp("forget", USER, "--yes", "--json", cwd=tmp_path, **settings)
        assert (done.json["jobHasTakenIt"], len(done.json["visitors"])) == (True, 1), done.out
        assert {name: count for name, count in held(done).items() if count and name not in {"recovery", "clickhouse_traces"}} == {}
        assert USER not in rows()
        job.send_signal(signal.SIGKILL)
        job.wait(60)
    asked = onramp("forget", "second", "--yes", "--wait", "0", "--json", cwd=tmp_path, **settings)
    assert (asked.code, asked.json["jobHasTakenIt"]) == (1, False)
    with running(start("run", cwd=tmp_path, **settings)) as job:
        wait_until(
            lambda: onramp("forget", "second", "--check", "--json", cwd=tmp_path, **settings).json["jobHasTakenIt"],
            "the deletion", every=1.0, process=job,
        )  # fmt: skip
        assert "second" not in rows()
        job.send_signal(signal.SIGTERM)
        assert job.wait(60) == 0
    last = onramp("forget", "second", "--check", "--json", cwd=tmp_path, **settings)
    assert held(last)["event_log"] == 0
    assert STAYS in rows()
    rebuilt = onramp("replay", "--user", STAYS, "--json", cwd=tmp_path, **settings)
    assert (rebuilt.code, rebuilt.json["same"], rebuilt.json["messages"]) == (0, True, 1), rebuilt.out


def test_a_user_whom_the_app_deleted_long_ago_is_taken_from_the_job_as_well(tmp_path: Path) -> None:
    """The tombstone in Redis has ended; the event log still has their messages, and the command erases those."""
    make_data_dir(tmp_path / "data")
    data = DataDir.create(tmp_path / "data")
    log = data.path / "log"
    settings = {**SECRET, "ONRAMP_EVENT_LOG": str(log), "ONRAMP_DATA_DIR": str(data.path)}
    with running(start("run", cwd=tmp_path, **settings)) as job:
        send(log, {"userId": USER, "eventType": "signup"}, {"userId": USER, "eventType": "user_deleted"})
        wait_until(data.is_running, "the job to use its directory", process=job)
        with redis_for_reader(None, data) as url, closing(RecommendationReader(url)) as reader, closing(connect(url)) as redis:
            wait_until(lambda: isinstance(reader.read("default", USER), Deleted), "the tombstone", process=job)
            assert redis.delete(redis_key("default", USER)) == 1
        done = onramp("forget", USER, "--yes", "--json", cwd=tmp_path, **settings)
    assert (done.json["known"], done.json["jobHasTakenIt"]) == (True, True), done.out


VISITOR = {"anonymousId": VISITORS[0]}
SIGN_IN = ({**VISITOR, "eventType": "signup", "payload": {"traits": {"firstName": "Ana"}}},
           {"userId": USER, "eventType": "identity_merged", "payload": {"previousId": VISITORS[0]}},
           {"userId": USER, "eventType": "signup"})  # fmt: skip


def test_a_sign_in_that_no_job_has_read_yet_is_forgotten_with_its_visitor(tmp_path: Path) -> None:
    """The command erases what the visitor sent, and leaves the job the ids by which it finds the visitor."""
    make_data_dir(tmp_path / "data")
    data = DataDir.create(tmp_path / "data")
    settings = {**SECRET, "ONRAMP_EVENT_LOG": str(data.path / "log"), "ONRAMP_DATA_DIR": str(data.path)}

    def job_reads_on(last: str) -> None:
        """Let a job read the log to its end."""
        with running(start("run", cwd=tmp_path, **settings)) as job:
            rows = ("sql", "SELECT user_id FROM events", "--csv")
            wait_until(lambda: last in onramp(*rows, cwd=tmp_path, **settings).out, "the last event", every=1.0, process=job)
            job.send_signal(signal.SIGTERM)
            assert job.wait(60) == 0

    send(data.path / "log", SIGN_IN[0])
    job_reads_on(VISITORS[0])
    send(data.path / "log", {**VISITOR, "eventType": "track", "name": "looked"}, *SIGN_IN[1:])
    asked = onramp("forget", USER, "--yes", "--wait", "0", "--json", cwd=tmp_path, **settings)
    assert (asked.code, asked.json["jobHasTakenIt"], len(asked.json["visitors"])) == (1, False, 1), asked.out
    (line,) = [line for line in asked.json["stores"] if line["store"] == "event_log"]
    assert (line["held"], line["note"].split(",")[0]) == (1, "ids of merges"), line
    assert b"Ana" not in b"".join(path.read_bytes() for path in (data.path / "log").iterdir())
    send(data.path / "log", {"userId": STAYS, "eventType": "signup"})
    job_reads_on(STAYS)
    again = onramp("forget", USER, "--check", "--json", cwd=tmp_path, **settings)
    assert {name for name, count in held(again).items() if count} - {"recovery"} == {"event_log", "clickhouse_traces"}, again.out
    assert len(again.json["visitors"]) == 1
    last = onramp("forget", USER, "--maintain", "--yes", "--json", cwd=tmp_path, **settings)
    assert not any(held(last).values()), last.out
    assert onramp("forget", USER, "--check", cwd=tmp_path, **settings).code == 0
    assert VISITORS[0].encode() not in b"".join(path.read_bytes() for path in (data.path / "log").iterdir())


def test_of_a_user_whom_the_app_has_deleted_the_log_tells_which_visitors_to_forget(tmp_path: Path) -> None:
    """The job has erased the rows that named them."""
    make_data_dir(tmp_path / "data")
    data = DataDir.create(tmp_path / "data")
    log = data.path / "log"
    settings = {**SECRET, "ONRAMP_EVENT_LOG": str(log), "ONRAMP_DATA_DIR": str(data.path)}
    with running(start("run", cwd=tmp_path, **settings)) as job:
        send(log, *SIGN_IN, {"userId": USER, "eventType": "user_deleted"})
        wait_until(data.is_running, "the job to use its directory", process=job)
        with redis_for_reader(None, data) as url, closing(RecommendationReader(url)) as reader:
            wait_until(lambda: isinstance(reader.read("default", USER), Deleted), "the tombstone", process=job)
        exported = json.loads(onramp("export", USER, cwd=tmp_path, **settings).out)
        assert (exported["visitorIds"], len(exported["held"]["event_log"])) == ([VISITORS[0]], 3)
        done = onramp("forget", USER, "--yes", "--json", cwd=tmp_path, **settings)
    assert (len(done.json["visitors"]), held(done)["event_log"]) == (1, 0), done.out
    assert VISITORS[0].encode() not in b"".join(path.read_bytes() for path in log.iterdir())


def test_what_a_user_does_after_the_deletion_was_asked_for_is_a_new_life(tmp_path: Path) -> None:
    """The gateway has said that it is stored, so it must not go with the deletion that the job has yet to read."""
    make_data_dir(tmp_path / "data")
    data = DataDir.create(tmp_path / "data")
    log = data.path / "log"
    settings = {**SECRET, "ONRAMP_EVENT_LOG": str(log), "ONRAMP_DATA_DIR": str(data.path)}
    send(log, {"userId": USER, "eventType": "signup", "eventId": "old"})
    forgetting = start("forget", USER, "--yes", "--wait", "4", "--json", cwd=tmp_path, **settings)
    with running(forgetting):
        reader = LogReader(log)
        try:
            wait_until(lambda: sum(len(reader.read(each, 0, 9) or ()) for each in range(6)) == 2, "the deletion", process=forgetting)
        finally:
            reader.close()
        send(log, {"userId": USER, "eventType": "signup", "eventId": "new", "payload": {"traits": {"persona": "analyst"}}})
        assert forgetting.wait(60) == 1
    with running(start("run", cwd=tmp_path, **settings)) as job:
        rows = ("sql", "SELECT event_id FROM events", "--csv")
        wait_until(lambda: "new" in onramp(*rows, cwd=tmp_path, **settings).out, "the new life", every=1.0, process=job)
        job.send_signal(signal.SIGTERM)
        assert job.wait(60) == 0
    assert "old" not in onramp(*rows, cwd=tmp_path, **settings).out
    checked = onramp("forget", USER, "--check", "--json", cwd=tmp_path, **settings)
    assert {name for name, count in held(checked).items() if count} <= {"clickhouse_traces"}, checked.out
    everything = json.loads(onramp("export", USER, cwd=tmp_path, **settings).out)["held"]
    assert [json.loads(each["raw"])["eventId"] for each in everything["event_log"] if "signup" in each["raw"]] == ["new"]
    assert {row["table"] for row in everything["clickhouse"]} >= {"events", "people"}
