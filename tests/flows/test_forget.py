"""What a receipt may claim: that the job has taken a deletion, and that it is complete."""

from __future__ import annotations

import dataclasses
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from flows import forget
from flows.forget import (
    Asked,
    ForgetError,
    Stores,
    ask_to_forget,
    before_asking,
    before_deletion,
    collect,
    erase,
    has_come_back,
    has_taken,
    is_known,
    maintain,
    open_stores,
    receipt,
    refuse_visitor_of_another,
    refuse_while_running,
    verify,
    wait_for_job,
)
from flows.places.clickhouse import Traces
from flows.places.files import DeadLetterLines, Recovery, SentLines, SpoolFiles
from flows.places.place import Place
from flows.settings import load_settings
from local.data_dir import DataDir, DataDirError, DataDirInUseError
from local.secret import secret_for
from sinks.redis.record import Deleted
from sources.files.sent_file import Sent, append_sent, read_sent
from sources.local_log.log import EventLog
from state.decode import decode
from state.event import Event
from state.ids import Keys
from state.messages import Message
from state.person.person import Person
from state.records.dead_letter import DeadLetter, encode_line
from state.records.subject import Deletion, Subject
from system.wall_clock import wall_clock

ANN = Subject("default", ("u-17",))
LINES = [{"store": "clickhouse", "held": 0}]


class Redis:
    """Has the tombstone where ``deleted``."""

    deleted = False

    def __init__(self, _url: str) -> None:
        pass

    def read(self, _tenant: str, _user: str) -> Any:
        return Deleted(deleted=True, version=1) if self.deleted else None

    def close(self) -> None:
        pass


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Stores:
    monkeypatch.setattr(forget, "RecommendationReader", Redis)
    monkeypatch.setattr(Redis, "deleted", False)
    data_dir = DataDir.create(tmp_path / "d")
    data_dir.state.mkdir()
    event_log = tmp_path / "log" if request.param == "live" else None
    settings = load_settings(data_dir=data_dir.path, event_log=event_log)
    return Stores(settings, data_dir, Keys(b"x" * 16), (SentLines(data_dir), Recovery(data_dir)), "", None)


@pytest.mark.parametrize(
    ("stores", "known", "taken"), [("live", True, False), ("live", False, True), ("files", True, True)], indirect=["stores"]
)
def test_an_empty_recovery_store_says_nothing_of_a_user_newer_than_it(stores: Stores, known: bool, taken: bool) -> None:
    assert has_taken(stores, ANN, known=known) is taken
    Redis.deleted = True
    assert has_taken(stores, ANN, known=known)


class RecoveryOf(Recovery):
    """Knows one person."""

    name, note = "recovery", ""

    def __init__(self, person: Person) -> None:
        self._person = person

    def held(self, _subject: Subject) -> list[Any]:
        return ["u-17"]

    def people(self, keys: Any) -> dict[str, Person]:
        return dict.fromkeys(keys, self._person)


@pytest.mark.parametrize("stores", ["live"], indirect=True)
def test_the_tombstone_of_an_earlier_deletion_does_not_tell_of_this_one(stores: Stores) -> None:
    Redis.deleted = True
    asked = before_asking(stores, ANN)
    assert asked.tombstone == 1
    assert has_taken(stores, ANN, known=True)
    assert not has_taken(stores, ANN, known=True, asked=asked)
    assert has_taken(stores, ANN, known=True, asked=asked._replace(tombstone=0))
    for at, taken in ((asked.at - 1, False), (asked.at, True)):
        for person in (Person("", "", deleted_at=at), Person("default", "u-17", previous_deletion_at=at)):
            knows = dataclasses.replace(stores, places=(RecoveryOf(person),))
            assert has_taken(knows, ANN, known=True, asked=asked) is taken, "also if they have signed up again since"
            Redis.deleted = False
            deleted = ANN._replace(deleted=Deletion(asked.at, asked.at))
            assert has_taken(knows, deleted, known=True) is taken, "also where it is only checked"
            Redis.deleted = True


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_a_user_is_known_where_any_store_holds_something(stores: Stores) -> None:
    assert not is_known(stores, ANN)
    append_sent(stores.data_dir.sent, [Sent(b'{"userId": "u-17"}')])
    assert is_known(stores, ANN)


@pytest.mark.parametrize("stores", ["live"], indirect=True)
@pytest.mark.parametrize(("taken", "sent_to", "complete"), [(False, "the topic", False), (True, "the topic", True), (False, "", True)])
def test_no_receipt_is_complete_while_a_deletion_waits_for_the_job(stores: Stores, taken: bool, sent_to: str, complete: bool) -> None:
    assert receipt(stores, ANN, LINES, by="eva", sent_to=sent_to, asked_at="", taken=taken, known=True)["complete"] is complete


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_maintenance_beside_a_job_is_refused_before_anything_is_sent(stores: Stores) -> None:
    refuse_while_running(stores)
    with stores.data_dir.lock("onramp run"), pytest.raises(ForgetError, match=r"onramp run.*leave out --maintain"):
        refuse_while_running(stores)


@pytest.mark.parametrize("stores", ["files"], indirect=True)
@pytest.mark.parametrize(("visitor", "field"), [(False, "userId"), (True, "anonymousId")])
def test_a_deletion_is_an_event_of_the_user_or_of_the_visitor(stores: Stores, visitor: bool, field: str) -> None:
    assert ask_to_forget(stores, ANN, visitor=visitor) == str(stores.data_dir.sent)
    (sent,) = read_sent(stores.data_dir.sent)
    assert sent is not None
    assert (json.loads(sent.value)[field], sent.key) == ("u-17", b"u-17")
    now = wall_clock()
    found = decode(Message(sent.value, sent.key, "", 0, 0, now, now, 0))
    assert isinstance(found, Event)
    assert (found.type, found.tenant, found.user) == ("user_deleted", "default", "u-17")


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_a_deletion_that_the_job_would_reject_is_not_sent(stores: Stores) -> None:
    with pytest.raises(ForgetError, match="the job would reject the deletion"):
        ask_to_forget(stores, Subject("default", ("undefined",)))
    assert not stores.data_dir.sent.exists()


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_the_id_of_a_visitor_of_another_is_refused_by_naming_the_user(stores: Stores) -> None:
    refuse_visitor_of_another(stores, ANN)
    with pytest.raises(ForgetError, match=r"u-17 is an earlier id of ben.*Forget ben instead"):
        refuse_visitor_of_another(dataclasses.replace(stores, user_of=lambda *_: "ben"), ANN)


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_an_export_has_no_message_of_a_second_user_of_the_device(stores: Stores) -> None:
    fields = {"eventId": "e", "timestamp": "2026-01-05T08:00:00Z", "eventType": "identity_merged", "payload": {"previousId": "cookie"}}
    append_sent(stores.data_dir.sent, [Sent(json.dumps({**fields, "userId": user}).encode()) for user in ("u-17", "ben")])
    (found,) = collect(stores, Subject("default", ("u-17", "cookie")))["sent"]
    assert "ben" not in found["raw"]


@pytest.mark.parametrize("stores", ["files", "live"], indirect=True)
def test_what_is_later_than_the_newest_deletion_is_not_meant(stores: Stores) -> None:
    """In runs on files all is, as their times may be any."""
    live = stores.settings.live
    found = dataclasses.replace(stores, deletion_of=lambda *_: Deletion(5, 7))
    assert before_deletion(found, ANN).deleted == (Deletion(5, 7) if live else None)
    assert before_deletion(found, ANN, Asked(5, 0)).deleted == (Deletion(5, 7) if live else None)
    assert before_deletion(found, ANN, Asked(6, 0)).deleted == (Deletion(6, 6) if live else None), "that one cannot be read"
    assert before_deletion(stores, ANN).deleted is None


class Rows(Place):
    """A place whose rows are gone when it was read ``reads`` times, or erased."""

    name = "rows"

    def __init__(self, reads: int = 1_000) -> None:
        self.left, self.erased = reads, 0

    def held(self, _subject: Subject) -> list[Any]:
        self.left -= 1
        return ["u-17"] if self.left > 0 and not self.erased else []

    def erase(self, _subject: Subject) -> None:
        self.erased += 1

    def maintain(self, _subject: Subject) -> None:
        pass


class SpoolOf(Rows, SpoolFiles):
    """Rows on their way."""


class Texts(Rows, Traces):
    """Traces of deletions."""


@pytest.mark.parametrize("stores", ["files"], indirect=True)
@pytest.mark.parametrize(("runs", "erased"), [(True, 0), (False, 1)])
def test_the_spool_of_a_job_that_runs_is_left_alone(stores: Stores, runs: bool, erased: int) -> None:
    rows, spool = Rows(), SpoolOf()
    with stores.data_dir.lock("onramp run") if runs else nullcontext():
        erase(dataclasses.replace(stores, places=(spool, rows)), ANN)
    assert (rows.erased, spool.erased) == (1, erased)


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_what_deletions_leave_makes_nobody_known(stores: Stores) -> None:
    assert not is_known(dataclasses.replace(stores, places=(Texts(),)), ANN)
    assert is_known(dataclasses.replace(stores, places=(Texts(), Rows())), ANN)


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_the_receipt_says_how_long_clickhouse_keeps_the_text_of_a_deletion(stores: Stores) -> None:
    (line,) = verify(dataclasses.replace(stores, places=(Texts(),)), ANN)
    assert line["held"] == 1
    assert line["note"] == (
        "the text of deletions, with the ids: each stays until a hundred later deletions of its table; they go with "
        "`onramp forget --maintain`, while no job runs"
    )


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_it_is_waited_until_the_rows_are_gone_too_and_not_for_ever(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forget, "_PAUSE_S", 0.0)
    tables: Any = Rows(reads=4)
    assert wait_for_job(dataclasses.replace(stores, tables=tables), ANN, 60, known=True)
    assert tables.left == 0
    assert not wait_for_job(dataclasses.replace(stores, tables=Rows()), ANN, 0, known=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_a_receipt_names_nobody_and_says_what_stays(stores: Stores) -> None:
    subject = Subject("default", ("u-17", "cookie"))
    with_topic = dataclasses.replace(stores, kept={"topic t": "for 7.0 d"})
    lines = verify(with_topic, subject, lambda: 1_767_600_000_000)
    found = receipt(with_topic, subject, lines, by="eva", sent_to="", asked_at="", taken=True, known=True)
    assert (found["user"], *found["visitors"]) == tuple(subject.hashes(stores.keys))
    assert not {"u-17", "cookie"} & set(json.dumps(found).split('"'))
    at = "2026-01-05T08:00:00.000Z"
    assert found["stores"] == [
        {"store": "sent", "held": 0, "verifiedAt": at, "note": f"stays: {SentLines.note}"},
        {"store": "recovery", "held": 0, "verifiedAt": at},
        {"store": "topic t", "held": None, "verifiedAt": None, "note": "kept for 7.0 d"},
    ]
    held = receipt(stores, ANN, [*lines, {"store": "spool", "held": 1}], by="eva", sent_to="", asked_at="", taken=True, known=True)
    assert (found["complete"], held["complete"]) == (True, False)


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_maintenance_names_every_file_but_that_of_the_deletion(stores: Stores) -> None:
    ask_to_forget(stores, ANN)
    (line,) = maintain(stores, ANN)
    assert (line["held"], line.get("note")) == (0, None)
    (stores.data_dir.path / "a.log").write_bytes(b"u-17")
    (line,) = maintain(stores, ANN)
    assert (line["held"], line["note"]) == (1, "a.log; repeat `--maintain` in some minutes")
    with stores.data_dir.lock("onramp run"), pytest.raises(DataDirInUseError):
        maintain(stores, ANN)


class RecoveryOfOthers(Rows, Recovery):
    """Another tenant has the id, or not."""

    def __init__(self, others: bool) -> None:
        super().__init__(reads=0)
        self.others = others

    def has_of_others(self, _subject: Subject) -> bool:
        return self.others


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_bytes_of_the_same_id_of_another_tenant_keep_no_receipt_from_being_complete(stores: Stores) -> None:
    for name in ("state", "clickhouse", "valkey", "spool"):
        (stores.data_dir.path / name).mkdir(exist_ok=True)
        (stores.data_dir.path / name / "part").write_bytes(b"u-17")
    (line,) = maintain(dataclasses.replace(stores, places=(RecoveryOfOthers(False),)), ANN)
    assert line["held"] == 4
    shared = dataclasses.replace(stores, places=(RecoveryOfOthers(True),))
    (line,) = maintain(shared, ANN)
    assert (line["held"], line["note"]) == (None, "cannot be told of 4 files of the stores: another tenant has a user with this id")
    assert receipt(stores, ANN, [*LINES, line], by="eva", sent_to="", asked_at="", taken=True, known=True)["complete"]
    (stores.data_dir.path / "a.log").write_bytes(b"u-17")
    (line,) = maintain(shared, ANN)
    assert line["held"] == 1, "no store of users, so nobody has to have the id there"
    assert line["note"].startswith("a.log; repeat `--maintain` in some minutes; cannot be told of 4 files")


class Lives(Rows):
    """Has the user from before the deletion, and where ``back`` from after it."""

    def __init__(self, *, back: bool) -> None:
        super().__init__()
        self.back = back

    def held(self, subject: Subject) -> list[Any]:
        return ["before", "after"] if self.back and subject.deleted is None else ["before"]


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_what_no_job_has_deleted_yet_makes_nobody_one_who_has_come_back(stores: Stores) -> None:
    (stores.data_dir.path / "state").mkdir(exist_ok=True)
    (stores.data_dir.path / "state" / "part").write_bytes(b"u-17")
    deleted = ANN._replace(deleted=Deletion(5, 7))
    (line,) = maintain(dataclasses.replace(stores, places=(Lives(back=False),)), deleted)
    assert (line["held"], line["note"]) == (1, "state/part; repeat `--maintain` in some minutes")
    (line,) = maintain(dataclasses.replace(stores, places=(Lives(back=True),)), deleted)
    assert (line["held"], line["note"]) == (None, "cannot be told of 1 file of the stores: the user has come back since the deletion")


@pytest.mark.parametrize("stores", ["live"], indirect=True)
def test_who_was_never_deleted_has_not_come_back(stores: Stores) -> None:
    back = dataclasses.replace(stores, places=(Lives(back=True),))
    assert not has_come_back(back, ANN)
    assert has_come_back(dataclasses.replace(back, deletion_of=lambda *_: Deletion(5, 7)), ANN)


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_letters_of_the_same_id_of_another_tenant_stay_and_are_not_counted(stores: Stores) -> None:
    raws = [b'{"userId": "u-17", "tenantId": "acme"}', b'{"userId": "u-17"}']
    letters = [DeadLetter("missing_event_id", "", raw, "events", 0, place, 0) for place, raw in enumerate(raws)]
    stores.data_dir.dead_letters.write_bytes(b"".join(map(encode_line, letters)))
    places = (DeadLetterLines(stores.data_dir),)
    (line,) = maintain(dataclasses.replace(stores, places=places), ANN)
    assert line["held"] == 1
    places[0].erase(ANN)
    (line,) = maintain(dataclasses.replace(stores, places=places), ANN)
    assert line["held"] == 0


class ClickHouse:
    """Keeps the settings of tables; ``fails_at`` is the beginning of a statement that is interrupted."""

    def __init__(self, fails_at: str) -> None:
        self.fails_at = fails_at
        self.changed: set[str] = set()

    def client(self) -> ClickHouse:
        return self

    def command(self, sql: str) -> None:
        table = sql.split()[2]
        if sql.startswith(self.fails_at):
            raise KeyboardInterrupt
        if "MODIFY SETTING" in sql:
            self.changed.add(table)
        elif "RESET SETTING" in sql:
            self.changed.discard(table)


@pytest.mark.parametrize("fails_at", ["ALTER TABLE people MODIFY", "ALTER TABLE events DELETE"])
def test_an_interrupt_leaves_no_table_with_the_settings_of_maintenance(fails_at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store: Any = ClickHouse(fails_at)
    monkeypatch.setattr("flows.places.clickhouse.query", lambda *_, **__: {"at": [1]})
    with pytest.raises(KeyboardInterrupt):
        Traces(store, None).maintain(ANN)
    assert store.changed == set()


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_a_damaged_file_of_the_spool_counts_as_held_and_the_receipt_names_it(stores: Stores) -> None:
    (stores.data_dir.spool / "rejected").mkdir()
    (stores.data_dir.spool / "rejected" / "00001.ready").write_bytes(b"u-17 garbage")
    with_spool = dataclasses.replace(stores, places=(SpoolFiles(stores.data_dir), *stores.places))
    erase(with_spool, ANN)
    line = verify(with_spool, ANN)[0]
    assert (line["store"], line["held"]) == ("spool", 1)
    assert "00001.ready" in line["note"]


def test_the_receipt_of_a_job_on_kafka_says_that_the_topic_was_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a visitor of a user who was deleted before may be missing, if nothing but the topic names them."""
    monkeypatch.setattr(forget, "retention_in_words", lambda _cluster: "for 7.0 d")
    settings = load_settings(
        data_dir=tmp_path / "d", kafka_brokers="127.0.0.1:1", redis_url="redis://127.0.0.1:1", secret="a secret for tests"
    )
    with open_stores(settings) as stores:
        assert stores.kept == {
            "topic onboarding.events": "for 7.0 d; sign-ins that only the topic has were not looked for",
            "topic onboarding.events.dlq": "for 7.0 d",
        }


def test_with_another_secret_than_that_of_the_job_nothing_is_forgotten(tmp_path: Path) -> None:
    data_dir = DataDir.create(tmp_path / "d")
    secret_for(data_dir, given="the secret of the job", embedded=False)
    EventLog(tmp_path / "log", retention=None).close()
    settings = load_settings(data_dir=data_dir.path, event_log=tmp_path / "log", secret="another secret of somebody")
    with pytest.raises(DataDirError, match="another secret"), open_stores(settings):
        pass
