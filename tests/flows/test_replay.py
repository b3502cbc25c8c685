"""One user rebuilt from the log alone is the user of the whole run; a range of the log is run again into files, and nowhere else."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.testing import TestingSource, run_main

from flows import replay
from flows.archive import archive_dir, run_archive
from flows.catalogs import load_catalog
from flows.deleted_users import DeletedUsers
from flows.onboarding import FlowParts, SideChannels, build
from flows.places.archive import ArchiveFiles
from flows.places.event_log import EventLogMessages
from flows.replay import Input, Rebuilt, ReplayError, differences, ids_connected_with, log_source, log_span, rebuild, rerun
from flows.settings import load_settings
from local.data_dir import DataDir, DataDirError
from sources.archive.archive import Archive
from sources.archive.names import ArchiveFile
from sources.errors import ArchiveError, InputError
from sources.files.sent_file import Sent, append_sent
from sources.kafka.source import KafkaSource
from sources.local_log.log import EventLog, Record
from sources.raw_log import RawRow
from state.catalog.by_tenant import ByTenant
from state.catalog.plan import Plan
from state.decode import peek_person
from state.duration import HOUR, MINUTE
from state.ids import Keys
from state.merge_patch import Change
from state.messages import Message
from state.records.recommendation import Erase
from state.records.subject import Subject
from tests.support.log_retention import delete_old
from tests.support.stories import LEAVING, MONDAY, STAYING, Log, MemoryRedis, MemorySink, visitors_log, visitors_of

KEYS = Keys(b"a secret for tests")
PLANS = ByTenant(Plan(load_catalog("saas")))


def written(log: Log, path: Path) -> Path:
    path.write_bytes(b"\n".join(item.value for item in log.items if isinstance(item, Message)) + b"\n")
    return path


def whole_run(log: Log) -> MemoryRedis:
    redis = MemoryRedis()
    run_main(build(FlowParts(TestingSource(log.items), redis, MemorySink(), MemorySink(), PLANS, KEYS, SideChannels())))  # type: ignore[no-untyped-call]
    return redis


def live(redis: MemoryRedis, user: str) -> dict[str, Any] | None:
    effect = redis.progress.get(("default", user))
    if effect is None or effect.progress is None:
        return None
    found: dict[str, Any] = json.loads(msgspec.json.encode(effect.progress))
    return found


def test_a_user_alone_is_the_user_of_the_whole_run(tmp_path: Path) -> None:
    log = visitors_log(staying=STAYING[:2], leaving=LEAVING[:1])
    source, settings, redis = written(log, tmp_path / "events.jsonl"), load_settings(data_dir=tmp_path / "d"), whole_run(log)
    stays, leaves = STAYING[0], LEAVING[0]
    found = rebuild(settings, KEYS, "default", stays, Input(source))
    assert found.ids == {stays, *visitors_of(stays)}
    assert found.progress is not None
    assert differences(found, live(redis, stays)) == []
    assert found.person is not None
    assert found.person.user_id == stays
    changed = {**found.progress, "nextStep": "another"}
    assert [(each.path, each.after) for each in differences(found, changed)] == [("nextStep", "another")]
    gone = rebuild(settings, KEYS, "default", leaves, Input(source))
    assert (gone.deleted, gone.progress) == (True, None)
    assert isinstance(redis.newest["default", leaves], Erase)


def test_a_range_of_the_local_log_is_run_into_files_of_a_new_directory(tmp_path: Path) -> None:
    log = Log()
    for hour in range(4):
        log.send(hour * HOUR, f"user-{hour}", "signup", traits={"persona": "analyst"})
        log.raw(b"{", hour * HOUR + MINUTE)
    times = iter(item.log_time for item in log.items if isinstance(item, Message))
    now = [0]
    with EventLog(tmp_path / "log", partitions=2, retention=None, now=lambda: now[0]) as events:
        for item in log.items:
            if isinstance(item, Message):
                now[0] = next(times)
                events.append([Record((peek_person(item.value) or ("", "none"))[1].encode(), item.value)])
    settings, into = load_settings(data_dir=tmp_path / "d", event_log=tmp_path / "log"), tmp_path / "out" / "monday"
    into.mkdir(parents=True, mode=0o755)
    lines = rerun(settings, KEYS, MONDAY + HOUR, MONDAY + 3 * HOUR, into, Input())
    people = [json.loads(line) for line in (into / "people.jsonl").read_bytes().splitlines()]
    assert {row["user_id"] for row in people} == {"user-1", "user-2"}
    assert (lines["events"], lines["rejected"]) == (2, 2)
    assert lines == {path.stem: len(path.read_bytes().splitlines()) for path in into.iterdir()}
    assert {path.stat().st_mode & 0o077 for path in (into, *into.iterdir())} == {0}, "nobody else may read data about people"
    assert not (tmp_path / "d").exists(), "the job's own directory is as it was"
    with pytest.raises(ReplayError, match="exists already"):
        rerun(settings, KEYS, None, None, into, Input())


@pytest.mark.parametrize("end", ["behind the deletions", "before the deletions", "the last deletion alone is missing"])
def test_a_range_run_into_files_brings_nobody_back(end: str, tmp_path: Path) -> None:
    """Neither a deleted user nor a visitor of theirs, also where the deletion is behind the range."""
    log = visitors_log(staying=STAYING[:2], leaving=LEAVING[:2])
    for user in LEAVING[:2]:
        log.raw(json.dumps({"userId": user, "eventType": "odd", "payload": {"email": "a@b.c"}}).encode(), 200 * HOUR)
    for user in LEAVING[:2]:
        log.send(201 * HOUR, user, "user_deleted")
    deletions = [item.log_time for item in log.items if isinstance(item, Message) and b"user_deleted" in item.value]
    until = {"behind the deletions": None, "before the deletions": min(deletions)}.get(end, max(deletions))
    source, into = written(log, tmp_path / "events.jsonl"), tmp_path / "out"
    lines = rerun(load_settings(data_dir=tmp_path / "d"), KEYS, None, until, into, Input(source))
    gone = {each for user in LEAVING[:2] for each in (user, *visitors_of(user))}
    for path in into.iterdir():
        found = [line for line in path.read_text().splitlines() if '"effect":"Erase"' not in line]
        assert [line for line in found for each in gone if f'"{each}"' in line] == [], path.name
    assert {json.loads(line)["user_id"] for line in (into / "people.jsonl").read_bytes().splitlines()} >= set(STAYING[:2])
    assert lines == {path.stem: len(path.read_bytes().splitlines()) for path in into.iterdir()}
    assert {path.suffix for path in into.iterdir()} == {".jsonl"}


def test_what_somebody_did_who_came_back_after_the_deletion_stays(tmp_path: Path) -> None:
    log = Log()
    for hour, name in ((1, "first"), (5, "second")):
        log.send(hour * HOUR, "ann", "signup", traits={"persona": "analyst"})
        log.send(hour * HOUR + MINUTE, "ann", "track", name=name)
        log.send((hour + 1) * HOUR, "ann", "user_deleted") if hour == 1 else None
    into = tmp_path / "out"
    rerun(load_settings(data_dir=tmp_path / "d"), KEYS, None, None, into, Input(written(log, tmp_path / "events.jsonl")))
    events = [json.loads(line) for line in (into / "events.jsonl").read_bytes().splitlines()]
    assert [row["name"] for row in events if row["event_type"] == "track"] == ["second"]
    assert (into / "people.jsonl").exists()


def _who_is_left(log: Log, tmp_path: Path, until: int | None = None) -> set[str]:
    into = tmp_path / "out"
    rerun(load_settings(data_dir=tmp_path / "d"), KEYS, None, until, into, Input(written(log, tmp_path / "events.jsonl")))
    return {json.loads(line)["user_id"] for line in (into / "events.jsonl").read_bytes().splitlines()}


@pytest.mark.parametrize("until", [None, MONDAY + 2 * HOUR])
def test_a_user_whom_a_deleted_user_named_as_a_visitor_stays(until: int | None, tmp_path: Path) -> None:
    log = Log()
    log.send(0, "ben", "signup", traits={"persona": "analyst"})
    log.send(MINUTE, "ann", "signup")
    log.send(2 * MINUTE, "ann", "identity_merged", previousId="ben")
    log.send(3 * HOUR, "ann", "user_deleted")
    assert _who_is_left(log, tmp_path, until) == {"ben"}


def test_a_visitor_s_deletion_before_the_sign_in_takes_nothing_of_the_user(tmp_path: Path) -> None:
    log = Log()
    log.send(0, "v", "track", visitor=True, name="x")
    log.send(MINUTE, "ann", "signup")
    log.send(2 * HOUR, "v", "user_deleted", visitor=True)
    log.send(3 * HOUR, "ann", "identity_merged", previousId="v")
    assert _who_is_left(log, tmp_path, MONDAY + HOUR) == {"ann"}


def test_a_visitor_of_the_life_after_a_deletion_stays(tmp_path: Path) -> None:
    log = Log()
    log.send(0, "ann", "signup")
    log.send(MINUTE, "v", "track", visitor=True, name="x")
    log.send(HOUR, "ann", "user_deleted")
    log.send(2 * HOUR, "ann", "signup", id="again")
    log.send(3 * HOUR, "ann", "identity_merged", previousId="v")
    assert _who_is_left(log, tmp_path) == {"ann", "v"}


def test_ids_are_connected_over_chains_of_one_tenant(tmp_path: Path) -> None:
    log = Log()
    log.send(0, "c1", "identity_merged", visitor=True, previousId="c2")
    log.send(MINUTE, "ann", "identity_merged", previousId="c1")
    log.send(2 * MINUTE, "ben", "identity_merged", previousId="c3")
    other = {"eventId": "x", "tenantId": "other", "userId": "ann", "eventType": "identity_merged", "timestamp": "2026-01-05T00:03:00Z"}
    log.raw(json.dumps({**other, "payload": {"previousId": "c4"}}).encode(), 3 * MINUTE)
    source = written(log, tmp_path / "events.jsonl")

    def connected(user: str) -> frozenset[str]:
        return ids_connected_with("default", user, log_source(load_settings(data_dir=tmp_path / "d"), Input(source), PLANS, SideChannels()))

    assert connected("ann") == {"ann", "c1", "c2"}
    assert connected("c2") == {"ann", "c1", "c2"}
    assert connected("ben") == {"ben", "c3"}


class SlowLog(FixedPartitionedSource[Message, None]):
    """A log of one partition that has nothing at the first calls, and ends then. Each time it says when to call again."""

    def __init__(self, awake: list[datetime | None]) -> None:
        self.awake, self.calls = awake, 0

    def list_parts(self) -> list[str]:
        return ["0"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> StatefulSourcePartition[Message, None]:
        return SlowPartition(self)


class SlowPartition(StatefulSourcePartition[Message, None]):
    def __init__(self, source: SlowLog) -> None:
        self.source = source

    def next_batch(self) -> list[Message]:
        self.source.calls += 1
        if self.source.calls > len(self.source.awake):
            raise StopIteration
        return []

    def next_awake(self) -> datetime | None:
        return self.source.awake[self.source.calls - 1]

    def snapshot(self) -> None:
        return None


def test_a_log_that_has_nothing_yet_is_asked_again_when_it_says_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("flows.replay.time.sleep", slept.append)
    now = datetime.now(UTC)
    source: Any = SlowLog([now + timedelta(days=1), None, now + timedelta(days=2), now - timedelta(days=1)])
    assert ids_connected_with("default", "ann", source) == {"ann"}
    assert slept == [1.0, 1.0, 0.0], "never for longer than a second: the log may have something by then"


def test_a_user_who_came_back_is_as_after_the_deletion(tmp_path: Path) -> None:
    log = Log()
    log.send(0, "ann", "signup", traits={"persona": "analyst"})
    log.send(MINUTE, "ann", "user_deleted")
    settings = load_settings(data_dir=DataDir.create(tmp_path / "d").path)
    before = rebuild(settings, KEYS, "default", "ann", Input(written(log, tmp_path / "events.jsonl")))
    assert (before.deleted, before.steps, before.person, before.progress) == (True, {}, None, None)
    log.send(HOUR, "ann", "signup", id="again", traits={"persona": "analyst"})
    found = rebuild(settings, KEYS, "default", "ann", Input(written(log, tmp_path / "events.jsonl")))
    assert (found.deleted, found.messages, found.progress is not None, found.person is not None) == (False, 3, True, True)


def test_what_commands_sent_is_a_part_of_the_log(tmp_path: Path) -> None:
    log = Log()
    log.send(0, "ann", "signup")
    settings = load_settings(data_dir=DataDir.create(tmp_path / "d").path)
    append_sent(DataDir(settings.data_dir).sent, [Sent(each.value) for each in again("ben").items if isinstance(each, Message)])
    found = rebuild(settings, KEYS, "default", "ben", Input(written(log, tmp_path / "events.jsonl")))
    assert (found.messages, found.progress is not None) == (1, True)


def again(user: str) -> Log:
    log = Log()
    log.send(HOUR, user, "signup", id="again", traits={"persona": "analyst"})
    return log


def test_what_the_log_cannot_give_ends_in_an_error(tmp_path: Path) -> None:
    settings, source = load_settings(data_dir=tmp_path / "d"), tmp_path / "events.jsonl.gz"
    source.write_bytes(gzip.compress(random.Random(7).randbytes(200_000))[:-1_000])
    with pytest.raises(InputError):
        rebuild(settings, KEYS, "default", "ann", Input(source))
    with pytest.raises(InputError):
        rerun(settings, KEYS, None, None, tmp_path / "out", Input(source))


def test_a_user_is_not_rebuilt_with_another_catalog(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "d")
    data_dir.bind_catalogs(ByTenant("another"))
    source = written(again("ann"), tmp_path / "events.jsonl")
    with pytest.raises(DataDirError, match="another"):
        rebuild(load_settings(data_dir=data_dir.path), KEYS, "default", "ann", Input(source))


def test_what_depends_on_all_users_is_not_compared() -> None:
    progress = {"version": 3, "updatedAt": "2026-01-05T08:00:00Z", "steps": [{"id": "a", "done": True}, {"id": "b", "done": False}]}
    steps = [{"id": "b", "done": True}, {"id": "a", "done": True}]
    found = differences(Rebuilt(frozenset(), progress=progress), {"version": 4, "updatedAt": "", "steps": steps})
    assert found == [Change("steps.b.done", False, True)]


def test_a_topic_is_read_to_its_end_without_the_job_s_position(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "d", kafka_brokers="localhost:1")
    found = [log_source(settings, Input(), PLANS, SideChannels()) for _ in range(2)]
    assert all(isinstance(each, KafkaSource) and not each.tail for each in found)
    assert len({settings.kafka_group, *(each.cluster.group for each in found if isinstance(each, KafkaSource))}) == 3


def test_without_a_log_it_is_said_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="--input"):
        log_source(load_settings(data_dir=tmp_path), Input(), PLANS, SideChannels())


def test_what_the_log_has_lost_is_rebuilt_from_the_archive_and_a_deleted_user_stays_deleted(tmp_path: Path) -> None:
    log = Log()
    for hour, user in enumerate(("ann", "ben", "ann", "ben")):
        log.send(hour * HOUR, user, "signup" if hour < 2 else "page_view", traits={"persona": "analyst"})
    now = [MONDAY]
    with EventLog(tmp_path / "log", partitions=2, retention=None, now=lambda: now[0]) as events:
        for item in log.items:
            if isinstance(item, Message):
                now[0] = item.log_time
                events.append([Record((peek_person(item.value) or ("", ""))[1].encode(), item.value)])
        settings = load_settings(data_dir=DataDir.create(tmp_path / "d").path, event_log=tmp_path / "log")
        before = {user: rebuild(settings, KEYS, "default", user, Input()) for user in ("ann", "ben")}
        run_archive(settings, lambda: False, once=True)
        delete_old(tmp_path / "log", MONDAY + 2 * HOUR)
        given = Input(archive=archive_dir(settings))
        assert rebuild(settings, KEYS, "default", "ben", Input()).messages == 1, "the log has lost the first"
        for user, whole in before.items():
            found = rebuild(settings, KEYS, "default", user, given)
            assert (found.messages, found.progress) == (whole.messages, whole.progress)
        deletion = Log()
        deletion.send(5 * HOUR, "ann", "user_deleted")
        now[0] = MONDAY + 5 * HOUR
        events.append([Record(b"ann", each.value) for each in deletion.items if isinstance(each, Message)])
    subject = Subject("default", ("ann",))
    for place in (EventLogMessages(tmp_path / "log"), ArchiveFiles(Archive(archive_dir(settings)), lambda: now[0], log_keeps=False)):
        place.erase(subject)
    gone = rebuild(settings, KEYS, "default", "ann", given)
    assert (gone.messages, gone.deleted, gone.progress) == (1, True, None), "the deletion is all that is left"
    into = tmp_path / "out"
    rerun(settings, KEYS, MONDAY, None, into, given)
    people = [json.loads(line)["user_id"] for line in (into / "people.jsonl").read_bytes().splitlines()]
    assert set(people) == {"ben"}


def test_a_range_that_cannot_be_read_to_its_end_leaves_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(tmp_path / "archive")
    archive.bind("events", "")
    for offset in (0, 1):
        archive.write(ArchiveFile("2026-03-02", 0, offset, offset), [RawRow(offset, MONDAY, b"u", b"no event")])
    settings, into = load_settings(data_dir=tmp_path / "data", catalog="saas"), tmp_path / "into"
    assert rerun(settings, KEYS, None, None, into, Input(archive=Path(archive.place)))["rejected"] == 2
    assert "rejected.jsonl" in {path.name for path in into.iterdir()}

    class Damaging(DeletedUsers):
        """The archive is damaged after it was read for the first time."""

        def __init__(self, messages: Iterable[Message], until: int | None) -> None:
            super().__init__(messages, until)
            (Path(archive.place) / archive.files()[1].name).write_bytes(b"damaged")

    monkeypatch.setattr(replay, "DeletedUsers", Damaging)
    with pytest.raises(Exception, match="next_batch") as error:
        rerun(settings, KEYS, None, None, tmp_path / "again", Input(archive=Path(archive.place)))
    assert isinstance(error.value.__cause__, ArchiveError)
    assert not list((tmp_path / "again").iterdir())
    with pytest.raises(ArchiveError, match="cannot be read"):
        rerun(settings, KEYS, None, None, tmp_path / "third", Input(archive=Path(archive.place)))
    assert not list((tmp_path / "third").iterdir())


def test_a_range_without_a_message_is_an_error_that_says_where_the_log_lies(tmp_path: Path) -> None:
    log = Log()
    log.send(0, "ann", "signup")
    log.send(3 * HOUR, "ben", "signup")
    settings, given = load_settings(data_dir=tmp_path / "d"), Input(written(log, tmp_path / "events.jsonl"))
    says = "from 2026-01-05T01:00:00.000Z to 2026-01-05T02:00:00.000Z.*from 2026-01-05T00:00:00.000Z to 2026-01-05T03:00:00.000Z"
    with pytest.raises(ReplayError, match=says):
        rerun(settings, KEYS, MONDAY + HOUR, MONDAY + 2 * HOUR, tmp_path / "out", given)
    for since, until in ((MONDAY + 4 * HOUR, None), (None, MONDAY)):
        with pytest.raises(ReplayError, match="no message"):
            rerun(settings, KEYS, since, until, tmp_path / "out", given)
    assert rerun(settings, KEYS, MONDAY + 3 * HOUR, None, tmp_path / "out", given)["events"] == 1
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ReplayError, match="the log is empty"):
        rerun(settings, KEYS, None, None, tmp_path / "nothing", Input(tmp_path / "empty.jsonl"))


def test_a_log_goes_from_its_first_event_to_its_last(tmp_path: Path) -> None:
    log = Log()
    log.raw(b"no event")
    log.send(HOUR, "ann", "signup")
    log.send(2 * HOUR, "ann", "page_view")
    given = Input(written(log, tmp_path / "events.jsonl"))
    assert log_span(load_settings(data_dir=tmp_path / "d"), given) == (MONDAY + HOUR, MONDAY + 2 * HOUR)
