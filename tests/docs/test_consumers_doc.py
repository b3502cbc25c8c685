"""The two consumers of docs/consumers.md are run as they stand."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from sources.local_log.log import EventLog, Record
from sources.local_log.store import Store
from tests.support.log_retention import delete_old
from tests.support.tansu import run_tansu
from tests.support.waiting import PATIENCE

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "consumers.md").read_text(encoding="utf-8")
KAFKA, LOCAL = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def defined(snippet: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(snippet, names)
    return names


def event(number: int) -> bytes:
    return json.dumps({"eventId": f"e{number}", "userId": "ann", "eventType": "page_view"}).encode()


def add(connection: sqlite3.Connection, found: dict[str, Any]) -> None:
    connection.execute("INSERT INTO done VALUES (?)", [found["eventId"]])


def test_the_reader_of_the_local_log_does_its_work_once(tmp_path: Path) -> None:
    follow, database = defined(LOCAL)["follow"], tmp_path / "mine.db"
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE done (event TEXT)")
    connection.commit()

    def done() -> list[str]:
        return [each for (each,) in connection.execute("SELECT event FROM done")]

    def dies(_connection: sqlite3.Connection, _found: dict[str, Any]) -> None:
        raise SystemExit

    with EventLog(tmp_path / "log", partitions=1, retention=None) as log:
        log.append([Record(b"ann", each) for each in (event(0), b"{", b"[1]", event(1), event(0))])
        follow(tmp_path / "log", database, add)
        assert done() == ["e0", "e1"]
        log.append([Record(b"ann", event(2))])
        with pytest.raises(SystemExit):
            follow(tmp_path / "log", database, dies)
        assert done() == ["e0", "e1"]
        follow(tmp_path / "log", database, add)
        assert done() == ["e0", "e1", "e2"]
        log.append([Record(b"ann", event(3))])
        log.append([Record(b"ann", event(4))])
    store = Store(tmp_path / "log", writes=True)
    (last,) = store.database.execute("SELECT max(time) FROM p0").fetchone()
    store.database.execute("UPDATE p0 SET time = ? WHERE first = 7", [last + 100_000])
    store.close()
    delete_old(tmp_path / "log", last + 50_000)
    with pytest.raises(RuntimeError, match="deleted messages from 6 to 6"):
        follow(tmp_path / "log", database, add)
    connection.close()


DEEP = b"[" * 100_000
NO_EVENTS = {
    "a list as the id": b'{"eventId": [1], "userId": "u"}',
    "a number as the id": b'{"eventId": 7, "userId": "u"}',
    "an object as the user": b'{"eventId": "e", "userId": {"id": 7}}',
    "a number as the visitor": b'{"eventId": "e", "anonymousId": 7}',
    "nobody": b'{"eventId": "e", "userId": null}',
    "no tenant": b'{"eventId": "e", "userId": "u", "tenantId": null}',
    "a lone surrogate": b'{"eventId": "\\ud83d", "userId": "u"}',
    "a number of 5,000 digits": b'{"eventId": "e", "userId": "u", "payload": 1%b}' % (b"0" * 5_000),
    "wrapped by the gateway": b'{"rejectedByGateway": [], "tenantId": "default", "message": {"eventId": [1]}}',
    "null": b"null",
    "too deep": DEEP,
    "no text": b"\xff\xfe",
    "nothing": b"",
}


@pytest.fixture
def done(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database that the work goes to."""
    connection = sqlite3.connect(tmp_path / "mine.db")
    connection.execute("CREATE TABLE done (event TEXT)")
    connection.commit()
    yield connection
    connection.close()


@pytest.mark.parametrize("odd", NO_EVENTS.values(), ids=NO_EVENTS)
def test_the_reader_of_the_local_log_passes_over_what_is_no_event(tmp_path: Path, done: sqlite3.Connection, odd: bytes) -> None:
    """The log holds what the gateway rejected of a batch, and what others write."""
    with EventLog(tmp_path / "log", partitions=1, retention=None) as log:
        log.append([Record(b"u", each) for each in (event(0), odd, event(1))])
        defined(LOCAL)["follow"](tmp_path / "log", tmp_path / "mine.db", add)
    assert done.execute("SELECT event FROM done").fetchall() == [("e0",), ("e1",)]


def test_one_id_of_two_users_tenants_or_visitors_is_several_events(tmp_path: Path, done: sqlite3.Connection) -> None:
    whose = (
        {"userId": "ann"},
        {"userId": "bob"},
        {"anonymousId": "v"},
        {"userId": "ann", "tenantId": "acme"},
        {"userId": "", "anonymousId": "w"},
    )
    with EventLog(tmp_path / "log", partitions=1, retention=None) as log:
        log.append([Record(b"u", json.dumps({"eventId": "e", **each}).encode()) for each in (*whose, *whose)])
        defined(LOCAL)["follow"](tmp_path / "log", tmp_path / "mine.db", add)
    assert len(done.execute("SELECT event FROM done").fetchall()) == len(whose)


@pytest.mark.slow
@pytest.mark.timing
def test_the_reader_of_a_topic_goes_on_where_its_group_is() -> None:
    with run_tansu() as broker:
        topic = broker.new_topic()
        producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
        for each in (event(0), b"{", None, DEEP, event(1), event(2)):
            producer.produce(topic, each)
        assert producer.flush(PATIENCE) == 0
        read = defined(KAFKA)["events"]
        assert [found["eventId"] for found in islice(read(broker.brokers, topic, "mine"), 2)] == ["e0", "e1"]
        assert [found["eventId"] for found in islice(read(broker.brokers, topic, "mine"), 2)] == ["e1", "e2"], (
            "what was not committed again"
        )
        assert next(read(broker.brokers, topic, "another"))["eventId"] == "e0"
