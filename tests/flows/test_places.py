"""What each place holds about a user is found, and is gone when it is erased; nothing of others goes with it."""

from __future__ import annotations

import json
import pickle
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import polars as pl
import pytest

from flows.places.event_log import EventLogMessages, in_words
from flows.places.files import DeadLetterLines, Recovery, SentLines, SpoolFiles, files_with
from flows.places.ids_in_bytes import as_values, as_words
from local.data_dir import DataDir, DataDirError
from local.recovery_store import compact, snapshots_with
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.rejected import Rejected
from sinks.clickhouse.segment import Segment, SegmentWriter, read_segment, write_segment
from sinks.dead_letters.file import DeadLetterFile
from sources.batching import BatchPolicy
from sources.errors import LogError
from sources.files.sent_file import Sent, append_sent, read_sent
from sources.local_log.erase import erase
from sources.local_log.log import EventLog, Record
from sources.local_log.reader import LogReader
from sources.local_log.source import LocalLogSource
from state.decode import decode
from state.duration import HOUR
from state.messages import Message
from state.person import snapshot
from state.person.deduplication import remember
from state.person.person import Episode, Person
from state.records.dead_letter import DeadLetter
from state.records.facts import EventFact
from state.records.recommendation import Erase
from state.records.subject import Deletion, Subject
from state.stuck.row import Row, pack
from tests.flows.places_cases import ANN, HEADERS, MESSAGES, NOW, OF_ANN, WITH_CONTENT, bare, deletion, event
from tests.support.facts import make


def letter(number: int, raw: bytes, key: bytes | None = None) -> DeadLetter:
    found = decode(Message(raw, key, "events", 0, number, NOW, NOW, 1))
    assert isinstance(found, DeadLetter)
    return found


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    return DataDir.create(tmp_path / "d")


def test_dead_letters_are_blanked_in_place_while_the_job_writes_on(data_dir: DataDir) -> None:
    part = DeadLetterFile(data_dir.dead_letters, None)
    raws = [event("ann-who-leaves", "odd"), event("ben-who-stays", "odd"), b'{"anonymousId": "cookie-of-ann"', b"{", b'{"x']
    part.write_batch([[letter(number, raw, b"ann-who-leaves" if number == 3 else None) for number, raw in enumerate(raws)]])
    before, place = part.snapshot(), DeadLetterLines(data_dir)
    assert [each["place"] for each in place.held(ANN)] == ["events:0:0", "events:0:2", "events:0:3"]
    place.erase(ANN)
    assert place.held(ANN) == []
    part.write_batch([[letter(9, b"[")]])
    part.snapshot()
    assert data_dir.dead_letters.stat().st_size > before
    resumed = DeadLetterFile(data_dir.dead_letters, before)
    assert resumed.snapshot() == before, "positions of the job are what they were"
    assert b"ann" not in data_dir.dead_letters.read_bytes()
    assert b"ben-who-stays" in data_dir.dead_letters.read_bytes()


def test_sent_messages_are_blanked_but_for_the_deletion(data_dir: DataDir) -> None:
    append_sent(data_dir.sent, [Sent(each) for each in MESSAGES])
    place = SentLines(data_dir)
    assert [each["raw"] for each in place.held(ANN)] == [MESSAGES[at].decode() for at in OF_ANN]
    place.erase(ANN)
    assert place.held(ANN) == []
    assert [each is None for each in read_sent(data_dir.sent)] == [at in OF_ANN for at in range(len(MESSAGES))]


def test_letters_of_the_same_id_of_another_tenant_are_neither_shown_nor_erased(data_dir: DataDir) -> None:
    """A message without a tenant is of the default one."""
    by_default = {name: value for name, value in json.loads(event("ann-who-leaves", "odd")).items() if name != "tenantId"}
    raws = [json.dumps(by_default).encode(), event("ann-who-leaves", "odd", tenant="acme"), b'{"userId": "ann-who-leaves", "payl']
    DeadLetterFile(data_dir.dead_letters, None).write_batch([[letter(number, raw) for number, raw in enumerate(raws)]])
    place = DeadLetterLines(data_dir)
    of_acme = Subject("acme", ANN.ids)
    assert [each["place"] for each in place.held(of_acme)] == ["events:0:1", "events:0:2"], "nobody can tell whose the last one is"
    assert [each["tenantIds"] for each in place.held(of_acme)] == [["acme"], []]
    place.erase(of_acme)
    assert [each["place"] for each in place.held(ANN)] == ["events:0:0"]


def test_messages_of_the_local_log_go_and_their_offsets_stay(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    with EventLog(directory, partitions=1, retention=None, now=lambda: NOW) as log:
        log.append([Record(b"k", each) for each in MESSAGES])
        place = EventLogMessages(directory)
        assert [each["raw"] for each in place.held(ANN)] == [MESSAGES[at].decode() for at in OF_ANN]
        place.erase(ANN)
        assert place.held(ANN) == []
        log.append([Record(b"k", event("cyd"))])
    stays = [each for at, each in enumerate(MESSAGES) if at not in OF_ANN]
    source = LocalLogSource(directory, BatchPolicy(None, lambda _at: HOUR), now=lambda: NOW, tail=False)
    part, read = source.build_part("in", "event-log:0", None), []
    for _ in range(1_000):
        try:
            read += [each for each in part.next_batch() if isinstance(each, Message)]
        except StopIteration:
            break
    assert [each.value for each in read] == [*stays, event("cyd")]
    assert [each.offset for each in read] == [2, 3, 5, 6, 7]
    part.close()
    bytes_left = b"".join(path.read_bytes() for path in directory.iterdir())
    assert b"cookie-of-ann" not in bytes_left


@pytest.mark.parametrize("unread", [True, False])
def test_merges_that_the_job_has_yet_to_read_stay_as_ids(unread: bool, data_dir: DataDir) -> None:
    merge = event("ann-who-leaves", "identity_merged", previousId="cookie-of-ann", email="ann@home.example")
    with EventLog(data_dir.event_log, partitions=1, retention=None, now=lambda: NOW) as log:
        log.append([Record(b"k", merge), Record(b"k", event("ann-who-leaves"))])
    append_sent(data_dir.sent, [Sent(merge), Sent(event("ann-who-leaves"))])
    for place in (EventLogMessages(data_dir.event_log), SentLines(data_dir)):
        place.erase(ANN._replace(merges_stay=unread))
        found = [json.loads(each["raw"])["payload"] for each in place.held(ANN)]
        assert found == ([{"previousId": "cookie-of-ann"}] if unread else [])
        assert place.held(ANN._replace(merges_stay=True)) == []
        assert len(list(place.messages([b"identity_merged"]))) == unread


def test_a_deletion_with_content_is_held_until_only_its_envelope_is_left(data_dir: DataDir) -> None:
    with EventLog(data_dir.event_log, partitions=1, retention=None, now=lambda: NOW) as log:
        log.append([Record(b"k", WITH_CONTENT, HEADERS), Record(b"k", deletion("ann-who-leaves"), HEADERS[1:])])
    append_sent(data_dir.sent, [Sent(WITH_CONTENT, b"k", HEADERS), Sent(deletion("ann-who-leaves")), Sent(b"next")])
    size = data_dir.sent.stat().st_size
    places: list[EventLogMessages | SentLines] = [EventLogMessages(data_dir.event_log), SentLines(data_dir)]
    for place in places:
        assert [each["raw"] for each in place.held(ANN)] == [WITH_CONTENT.decode()]
        place.erase(ANN)
        assert place.held(ANN) == []
        place.maintain(ANN)
        assert place.hits_that_stay(ANN, as_words(ANN.ids)) > 0
    left = LogReader(data_dir.event_log)
    try:
        first, second = (row.record for row in left.read(0, 0, 10) or ())
    finally:
        left.close()
    assert bare(first.value)
    assert (first.key, first.headers) == (b"k", HEADERS[1:])
    assert second == Record(b"k", deletion("ann-who-leaves"), HEADERS[1:]), "one without content is left as it is"
    sent, *others = read_sent(data_dir.sent)
    assert sent is not None
    assert bare(sent.value)
    assert (sent.key, sent.headers) == (b"k", HEADERS[1:])
    assert others == [Sent(deletion("ann-who-leaves")), Sent(b"next")]
    assert data_dir.sent.stat().st_size == size, "positions of the job are what they were"
    assert b"home.example" not in b"".join(path.read_bytes() for path in (data_dir.sent, data_dir.event_log / "events.db"))


def test_messages_go_from_however_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.local_log.erase._ROWS", 2)
    with EventLog(tmp_path / "log", partitions=2, retention=None, now=lambda: NOW) as log:
        for number in range(7):
            log.append([Record(b"k", b"hers %d" % number), Record(b"other", b"hers"), Record(b"k", b"his")])
    assert [erase(tmp_path / "log", lambda record: b"hers" in record.value) for _ in range(2)] == [14, 0]


def test_a_reader_that_keeps_the_write_ahead_log_is_named_and_appends_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.local_log.erase._TRY_MS", 1)
    monkeypatch.setattr("sources.local_log.erase._PAUSE_S", 0.0)
    directory = tmp_path / "log"
    with EventLog(directory, partitions=1, retention=None, now=lambda: NOW) as log:
        log.append([Record(b"k", each) for each in MESSAGES])
        place = EventLogMessages(directory)
        with closing(sqlite3.connect(directory / "events.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM p0").fetchone()
            with pytest.raises(LogError, match="A reader keeps"):
                place.erase(ANN)
            with pytest.raises(LogError, match="A reader keeps"):
                place.maintain(ANN)
            log.append([Record(b"k", event("cyd"))])
        place.erase(ANN)
        assert b"cookie-of-ann" not in b"".join(path.read_bytes() for path in directory.iterdir())


def test_the_search_of_every_byte_passes_over_what_stays_in_logs_and_nothing_else(data_dir: DataDir) -> None:
    with EventLog(data_dir.event_log, partitions=1, retention=None, now=lambda: NOW) as log:
        log.append([Record(b"k", each) for each in MESSAGES])
    append_sent(data_dir.sent, [Sent(each) for each in MESSAGES])
    places: dict[str, EventLogMessages | SentLines] = {"log": EventLogMessages(data_dir.event_log), "sent.jsonl": SentLines(data_dir)}

    def found() -> list[str]:
        return files_with(data_dir, ANN, lambda first, pattern: places[first].hits_that_stay(ANN, pattern))

    places["log"].maintain(ANN)
    assert found() == ["log/events.db", "sent.jsonl"]
    for place in places.values():
        place.erase(ANN)
        place.maintain(ANN)
    assert found() == []
    assert files_with(data_dir, ANN) == ["log/events.db", "sent.jsonl"], "the deletion, and the text of somebody else"


def test_rows_in_the_spool_go_and_the_rest_of_the_file_stays(data_dir: DataDir) -> None:
    path = data_dir.spool / "facts.0.000000000001.ready"
    writer = SegmentWriter(path.with_suffix(".tmp"))
    people = [("default", "ann-who-leaves"), ("default", "ben-who-stays"), ("other", "ann-who-leaves"), ("default", "cookie-of-ann")]
    rows = [(*person, 10**15) for person in people]
    writer.add("events", pl.DataFrame(rows, schema=["tenant_id", "user_id", "version"], orient="row"))
    writer.add("dead_letters", pl.DataFrame({"raw": ["a", "b"], "user_ids": [["cookie-of-ann", "x"], ["y"]]}))
    tenants = pl.Series([["other"], [], ["default", "x"]], dtype=pl.List(pl.String))
    writer.add("dead_letters", pl.DataFrame({"raw": ["o", "p", "q"], "user_ids": [["cookie-of-ann"]] * 3, "tenant_ids": tenants}))
    writer.add("step_metrics_1m", pl.DataFrame({"count": [1]}))
    writer.erase(Erase("default", "dee", 7))
    writer.finish(path)
    place = SpoolFiles(data_dir)
    assert [each["table"] for each in place.held(ANN)] == ["events", "events", "dead_letters", "dead_letters", "dead_letters"]
    place.erase(ANN)
    assert place.held(ANN) == []
    left = read_segment(path)
    assert left.frames["events"][0].rows() == rows[1:3]
    assert (left.frames["dead_letters"][0]["raw"].to_list(), left.frames["step_metrics_1m"][0].height) == (["b"], 1)
    assert left.frames["dead_letters"][1]["raw"].to_list() == ["o"], "a letter of another tenant"
    assert left.erasures == [Erase("default", "dee", 7)]


def test_rows_in_rejected_files_go_and_those_of_a_file_that_nobody_can_read_go_once_it_is_mended(data_dir: DataDir) -> None:
    rejected = Rejected(data_dir.spool)
    rejected.directory.mkdir()
    rows = [("default", "ann-who-leaves", 1), ("default", "ben", 1)]
    frame = pl.DataFrame(rows, schema=["tenant_id", "user_id", "version"], orient="row")
    paths = rejected.directory / "facts.0.000000000001.ready", data_dir.spool / "facts.0.000000000002.pending"
    for path in paths:
        write_segment(path, Segment({"events": [frame]}, [], 2), by=path.with_suffix(".tmp"))
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:-1])
    SpoolFiles(data_dir).erase(ANN)
    paths[1].write_bytes(whole)
    assert [rejected.read(path).frames["events"][0]["user_id"].to_list() for path in paths] == [["ben"], ["ben"]]


def recovery(state: Path) -> None:
    state.mkdir()
    with sqlite3.connect(state / "part-0.sqlite3") as part:
        part.execute("PRAGMA journal_mode = WAL")
        part.execute("CREATE TABLE parts (part_count INTEGER)")
        part.execute("INSERT INTO parts VALUES (1)")
        part.execute("CREATE TABLE exs (ex_num INTEGER, worker_count INTEGER, resume_epoch INTEGER)")
        part.execute("INSERT INTO exs VALUES (0, 1, 9)")
        part.execute("CREATE TABLE fronts (ex_num INTEGER, worker_index INTEGER, worker_frontier INTEGER)")
        part.execute("CREATE TABLE snaps (step_id TEXT, state_key TEXT, snap_epoch INTEGER, ser_change BLOB)")
        rows = [("a", 1, b"\xaeann-who-leaves"), ("a", 5, b"tombstone"), ("b", 2, b"cookie-of-ben"), ("c", 3, b"old" * 900), ("c", 4, None)]
        part.executemany("INSERT INTO snaps VALUES ('flow.track', ?, ?, ?)", rows)
    part.close()


def test_old_snapshots_go_with_their_bytes_and_the_newest_stay(data_dir: DataDir) -> None:
    recovery(data_dir.state)
    place = Recovery(data_dir)
    assert [each["key"] for each in place.held(ANN)] == ["a"]
    assert files_with(data_dir, ANN) == ["state/part-0.sqlite3"]
    place.maintain(ANN)
    assert (place.held(ANN), files_with(data_dir, ANN)) == ([], [])
    assert [(key, change) for _, key, change in snapshots_with(data_dir.state, [b""], re.compile(b""))] == [
        ("a", b"tombstone"),
        ("b", b"cookie-of-ben"),
    ]
    assert compact(data_dir.state) == 0


def test_a_snapshot_that_did_not_become_durable_does_not_replace_the_one_before(data_dir: DataDir) -> None:
    recovery(data_dir.state)
    with sqlite3.connect(data_dir.state / "part-0.sqlite3") as part:
        part.execute("INSERT INTO snaps VALUES ('flow.track', 'b', 9, ?)", (b"half of an epoch",))
    part.close()
    Recovery(data_dir).maintain(ANN)
    assert [change for _, key, change in snapshots_with(data_dir.state, [b""], re.compile(b"")) if key == "b"] == [b"cookie-of-ben"]


def test_a_reader_that_keeps_removed_snapshots_is_told(data_dir: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    recovery(data_dir.state)
    connect = sqlite3.connect
    monkeypatch.setattr("local.recovery_store.sqlite3.connect", lambda path: connect(path, timeout=0.01))
    with closing(connect(data_dir.state / "part-0.sqlite3", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM snaps").fetchone()
        with pytest.raises(DataDirError, match="Another program reads"):
            compact(data_dir.state)


def test_a_store_in_parts_on_several_machines_keeps_its_snapshots(data_dir: DataDir) -> None:
    recovery(data_dir.state)
    with sqlite3.connect(data_dir.state / "part-0.sqlite3") as part:
        part.execute("UPDATE parts SET part_count = 2")
    part.close()
    assert compact(data_dir.state) == 0
    assert len(snapshots_with(data_dir.state, [b"ann"], re.compile(b"ann"))) == 1


def test_state_of_a_longer_id_and_of_another_tenant_is_not_the_user_s(data_dir: DataDir) -> None:
    recovery(data_dir.state)
    people = [Person("default", "u-1"), Person("default", "u-17"), Person("other", "u-1"), Person("default", "ben", notes=["u-1", '"u-1"'])]
    rows = [("flow.track", f"{each.tenant}-{each.user}", pickle.dumps(snapshot.encode(each))) for each in people]
    rows += [("flow.stitch", "0", pickle.dumps({"u-17": 1})), ("flow.stitch", "1", pickle.dumps({"u-1": 1}))]
    rows += [
        ("flow.enrich", "2", b'{"userId":"u-1","x":"u-17"}'),
        ("flow.enrich", "3", b'{"userId":"u-17"}'),
        ("flow.track", "?", b"\xa3u-1"),
    ]
    with sqlite3.connect(data_dir.state / "part-0.sqlite3") as part:
        part.executemany("INSERT INTO snaps VALUES (?, ?, 1, ?)", rows)
    part.close()
    held = Recovery(data_dir).held(Subject("default", ("u-1",)))
    assert [each["key"] for each in held] == ["default-u-1", "1", "2", "?"]
    assert (held[0]["state"]["tenant"], held[0]["state"]["user"]) == ("default", "u-1")
    shared = [Recovery(data_dir).has_of_others(Subject("default", (user,))) for user in ("u-1", "u-17", "nobody")]
    assert shared == [True, False, False]


def test_what_is_packed_in_a_snapshot_is_spelled_out(data_dir: DataDir) -> None:
    recovery(data_dir.state)
    ann = Person("default", "ann", episode=Episode("connect", 0, 1000, rows=[Row(1, 0.5, 0.0, 0.5, pack((7, 4095)))]))
    remember(ann, bytes(range(8)), 1_772_000_000_000)
    with sqlite3.connect(data_dir.state / "part-0.sqlite3") as part:
        part.execute("INSERT INTO snaps VALUES (?, ?, 1, ?)", ("flow.track", "ann", pickle.dumps(snapshot.encode(ann))))
    part.close()
    (held,) = [each for each in Recovery(data_dir).held(Subject("default", ("ann",))) if each["step"] == "flow.track"]
    state = json.loads(json.dumps(held["state"]))
    assert state["seen"] == [{"idHash": "0001020304050607", "at": 1_772_000_000_000}]
    assert state["episode"]["rows"] == [{"bucket": 1, "time": 0.5, "added": 0.0, "said": 0.5, "features": [7, 4095], "in_session": False}]


@pytest.mark.parametrize("size", [3, 31, 32, 48, 200, 255, 256, 600])
def test_a_string_is_found_behind_its_length_however_long_it_is(size: int) -> None:
    name = "u" * size
    for data in (msgspec.msgpack.encode([name, "u"]), pickle.dumps(["a", name]), json.dumps({"a": name}).encode()):
        assert [len(found) for found in as_values([name]).findall(data)] == [size]
        assert as_words([name]).search(data)
        assert not as_values([name[1:]]).search(data)


def test_a_longer_id_in_a_file_is_somebody_else_s(data_dir: DataDir) -> None:
    (data_dir.path / "a.log").write_bytes(b'u-17 "u-10" xu-1 u-1_')
    assert files_with(data_dir, Subject("default", ("u-1",))) == []
    (data_dir.path / "b.log").write_bytes(b"it was u-1.")
    assert files_with(data_dir, Subject("default", ("u-1",))) == ["b.log"]


def test_every_byte_is_searched_across_blocks_and_as_json_writes_it(data_dir: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.places.files._BLOCK", 8)
    (data_dir.path / "a.log").write_bytes(b"xxxxx " + "é-user".encode())
    (data_dir.path / "b.log").write_bytes(b"xxxxx" + json.dumps("é-user").encode())
    (data_dir.path / "c.log").write_bytes(b"e-user")
    assert files_with(data_dir, Subject("default", ("é-user",))) == ["a.log", "b.log"]


@pytest.mark.parametrize(
    ("policy", "kept", "said"),
    [
        ("delete", 604_800_000, "for 7.0 d"),
        ("compact,delete", 43_200_000, "for 0.5 d"),
        ("delete", -1, "for ever: it has no retention"),
        ("compact", 604_800_000, "for ever: its cleanup policy is compact"),
    ],
)
def test_how_long_a_topic_keeps_a_message_is_said_in_words(policy: str, kept: int, said: str) -> None:
    assert in_words(policy, kept).startswith(said)


DELETED = ANN._replace(deleted=Deletion(NOW - 1, NOW))
"""She was deleted at ``NOW``; what is later is of a new life."""


def test_messages_of_a_new_life_stay_in_the_log(data_dir: DataDir) -> None:
    times = iter((NOW - 1, NOW, NOW + 1))
    with EventLog(data_dir.event_log, partitions=1, retention=None, now=lambda: next(times)) as log:
        for name in ("before", "with it", "after"):
            log.append([Record(b"k", event("ann-who-leaves", text=name))])
    place = EventLogMessages(data_dir.event_log)
    assert [json.loads(each["raw"])["payload"]["text"] for each in place.held(DELETED)] == ["before", "with it"]
    place.erase(DELETED)
    assert place.held(DELETED) == []
    assert [json.loads(each["raw"])["payload"]["text"] for each in place.held(ANN)] == ["after"]
    assert place.hits_that_stay(DELETED, as_words(ANN.ids)) == 2, "its user and its event id"


def test_rejected_messages_of_a_new_life_stay(data_dir: DataDir) -> None:
    letters = [DeadLetter("bad_name", "", event("ann-who-leaves"), "events", 0, at, NOW + at) for at in (0, 1)]
    DeadLetterFile(data_dir.dead_letters, None).write_batch([letters])
    place = DeadLetterLines(data_dir)
    place.erase(DELETED)
    assert [each["place"] for each in place.held(ANN)] == ["events:0:1"]
    assert place.held(DELETED) == []


def test_rows_of_a_new_life_stay_in_the_spool(data_dir: DataDir) -> None:
    def spool(number: int, *rows: tuple[str, int], deletion: bool = False) -> None:
        found = [make(EventFact, tenant_id="default", user_id="ann-who-leaves", event_id=name, log_time=at) for name, at in rows]
        segment = Segment(
            {"events": [to_frame(EventFact, found)], "step_metrics_1m": [pl.DataFrame({"count": [1]})]},
            [Erase("default", "ann-who-leaves", 7)] * deletion,
            2,
        )
        path = data_dir.spool / f"facts.0.{number:012}.ready"
        write_segment(path, segment, by=path.with_suffix(".tmp"))

    place = SpoolFiles(data_dir)
    spool(1, ("new", NOW + 1))
    place.erase(DELETED)
    assert [each["event_id"] for each in place.held(ANN)] == ["new"]
    spool(2, ("old", NOW))
    assert [each["event_id"] for each in place.held(DELETED)] == ["old"]
    spool(3, deletion=True)
    place.erase(DELETED)
    assert len(place.held(ANN)) == 2, "the job deletes the older one when it delivers them"
    (data_dir.spool / "facts.0.000000000003.ready").unlink()
    place.erase(DELETED)
    assert place.held(DELETED) == []


def test_the_state_of_somebody_who_signed_up_again_is_not_held(data_dir: DataDir) -> None:
    recovery(data_dir.state)
    lives = [Person("default", "ann-who-leaves", previous_deletion_at=at) for at in (0, NOW - 2, NOW - 1)]
    with sqlite3.connect(data_dir.state / "part-0.sqlite3") as part:
        rows = [("flow.track", "key", epoch, pickle.dumps(snapshot.encode(life))) for epoch, life in enumerate(lives, 5)]
        part.executemany("INSERT INTO snaps VALUES (?, ?, ?, ?)", rows)
    part.close()
    of_track = [each for each in Recovery(data_dir).held(DELETED) if each["step"] == "flow.track" and each["key"] == "key"]
    assert [each["state"]["previous_deletion_at"] for each in of_track] == [0, NOW - 2]
    assert Recovery(data_dir).people({"key"})["key"].previous_deletion_at == NOW - 1, "the newest"
