"""What a receipt may claim: that the job has taken a deletion, and that it is complete."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from flows import forget
from flows.forget import ForgetError, Stores, erase, has_taken, is_known, receipt, refuse_while_running, verify
from flows.places.clickhouse import Traces
from flows.places.files import Recovery, SentLines, Spool
from flows.settings import load_settings
from local.data_dir import DataDir
from sinks.redis.record import Deleted
from sources.files.sent_file import Sent, append_sent
from state.ids import Keys
from state.records.subject import Subject

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


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_a_user_is_known_where_any_store_holds_something(stores: Stores) -> None:
    assert not is_known(stores, ANN)
    append_sent(stores.data_dir.sent, [Sent(b'{"userId": "u-17"}')])
    assert is_known(stores, ANN)


@pytest.mark.parametrize("stores", ["live"], indirect=True)
@pytest.mark.parametrize(("taken", "sent_to", "complete"), [(False, "the topic", False), (True, "the topic", True), (False, "", True)])
def test_no_receipt_is_complete_while_a_deletion_waits_for_the_job(stores: Stores, taken: bool, sent_to: str, complete: bool) -> None:
    assert receipt(stores, ANN, LINES, by="eva", sent_to=sent_to, asked_at="", taken=taken)["complete"] is complete


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_maintenance_beside_a_job_is_refused_before_anything_is_sent(stores: Stores) -> None:
    refuse_while_running(stores)
    with stores.data_dir.lock("onramp run"), pytest.raises(ForgetError, match=r"onramp run.*leave out --maintain"):
        refuse_while_running(stores)


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
    monkeypatch.setattr("flows.places.clickhouse.query", lambda *_: {"at": [1]})
    with pytest.raises(KeyboardInterrupt):
        Traces(store, None).maintain(ANN)
    assert store.changed == set()


@pytest.mark.parametrize("stores", ["files"], indirect=True)
def test_a_damaged_file_of_the_spool_counts_as_held_and_the_receipt_names_it(stores: Stores) -> None:
    (stores.data_dir.spool / "rejected").mkdir()
    (stores.data_dir.spool / "rejected" / "00001.ready").write_bytes(b"u-17 garbage")
    with_spool = dataclasses.replace(stores, places=(Spool(stores.data_dir), *stores.places))
    erase(with_spool, ANN)
    line = verify(with_spool, ANN)[0]
    assert (line["store"], line["held"]) == ("spool", 1)
    assert "00001.ready" in line["note"]
