"""What the tables hold about a user is found and goes, and nothing of others goes with it: on a real ClickHouse."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields

from flows.forget import Stores, verify
from flows.places.clickhouse import Merges, Tables, Traces
from flows.places.files import Recovery
from flows.places.place import LOGGED_IN
from flows.places.visitors import Visitors
from flows.settings import load_settings
from local.data_dir import DataDir
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.inserter import PERSONAL_TABLES, ClickHouseInserter
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.read_only_query import query
from state.ids import Keys
from state.records.facts import FACTS, DeadLetterFact, EventFact, Fact, LlmAnswerFact, PersonFact
from state.records.subject import Deletion, Subject
from tests.support.clickhouse_faults import FaultProxy, fault_proxy
from tests.support.facts import make

pytest_plugins = ["tests.support.clickhouse_stores"]
on_the_embedded_one = pytest.mark.parametrize("store_of_module", ["embedded"], indirect=True)

ANN = Subject("t", ("ann", "it's cookie-of-ann"))


def insert(store: ClickHouse, *rows: Fact) -> None:
    inserter = ClickHouseInserter(store)
    for kind in {type(row) for row in rows}:
        inserter.insert(kind.TABLE, to_frame(kind, [row for row in rows if type(row) is kind]))


def merge(by: str, visitor: str, at: int, tenant: str = "t") -> EventFact:
    payload = json.dumps({"previousId": visitor})
    return make(
        EventFact, event_id=f"{by}-{visitor}", tenant_id=tenant, user_id=by, event_type="identity_merged", payload=payload, log_time=at
    )


def ids_of(store: ClickHouse, tenant: str, user: str) -> tuple[str, ...]:
    """By the tables alone."""
    return Visitors(Keys(b"x" * 16), Recovery(DataDir(Path("nowhere"))), Merges(store), ()).ids_of(tenant, user)


@on_the_embedded_one
def test_rows_and_rejected_messages_go_and_the_text_of_the_deletion_is_told(migrated: ClickHouse) -> None:
    people = [("t", ANN.ids[0], 1), ("t", ANN.ids[0], 2), ("t", ANN.ids[1], 1), ("other", ANN.ids[0], 1), ("t", "ann-other", 1)]
    letters: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        (("ann", "x"), ("t",)), (("ann",), ()), (("ann",), ("other",)), (("ann-other",), ("t",)),
    ]  # fmt: skip
    insert(
        migrated,
        *(make(PersonFact, tenant_id=tenant, user_id=user, version=version) for tenant, user, version in people),
        *(make(LlmAnswerFact, user_id=user, decision_id=user, prompt="a shared one", answer=f"mail {user}") for user in ("ann", "ben")),
        *(make(DeadLetterFact, dead_letter_id=str(at), user_ids=ids, tenant_ids=of) for at, (ids, of) in enumerate(letters)),
    )
    tables, traces = Tables(migrated), Traces(migrated, None)
    held = tables.held(ANN)
    assert sorted(each["table"] for each in held) == ["dead_letters"] * 2 + ["llm_answers"] + ["people"] * 2
    assert [(each["prompt"], each["answer"]) for each in held if each["table"] == "llm_answers"] == [("a shared one", "mail ann")]
    assert traces.held(ANN) == []
    tables.erase(ANN)
    assert tables.held(ANN) == []
    assert tables.has_of_others(ANN)
    assert not tables.has_of_others(Subject("t", ("ben", "cookie")))
    assert query(migrated, "SELECT user_id FROM llm_answers")["user_id"].to_list() == ["ben"]
    left = query(migrated, "SELECT tenant_id, user_id FROM people ORDER BY 1").rows()
    assert left == [("other", "ann"), ("t", "ann-other")]
    assert query(migrated, "SELECT dead_letter_id FROM dead_letters ORDER BY 1")["dead_letter_id"].to_list() == ["2", "3"]
    for each in ANN.ids:
        assert traces.held(Subject("t", (each,)))
    assert traces.held(Subject("t", ("an", "cookie-of-ann"))) == [], "a part of an id is nobody's"


@on_the_embedded_one
def test_rows_of_a_new_life_stay(migrated: ClickHouse) -> None:
    """Each table says when its rows were logged, in a column of its own."""
    at = 1_767_600_000_000
    deleted = ANN._replace(deleted=Deletion(0, at))
    kinds = [kind for kind in FACTS if kind.TABLE in {*PERSONAL_TABLES, "dead_letters"}]
    assert set(LOGGED_IN) == {kind.TABLE for kind in kinds}
    for kind in kinds:
        for number, logged in enumerate((at, at + 1)):
            values: dict[str, Any] = {name: str(number) for name in kind.KEY if name not in {"tenant_id", "user_id", "version"}}
            values |= {"user_ids": ("ann",), "tenant_ids": ("t",)} if kind is DeadLetterFact else {"user_id": "ann"}
            numbers = {each.name: number for each in fields(kind) if each.type in {int, float}}
            version = {"version": number + 1} if "version" in kind.__struct_fields__ else {}
            insert(migrated, make(kind, **{**values, **numbers, **version, LOGGED_IN[kind.TABLE]: logged}))
    tables = Tables(migrated)
    assert len(tables.held(ANN)) == 2 * len(kinds)
    assert sorted(each["table"] for each in tables.held(deleted)) == sorted(LOGGED_IN)
    tables.erase(deleted)
    assert tables.held(deleted) == []
    assert sorted(each["table"] for each in tables.held(ANN)) == sorted(LOGGED_IN)


@on_the_embedded_one
def test_rows_of_before_that_do_not_tell_whom_the_key_names_go_by_what_the_letters_tell(migrated: ClickHouse) -> None:
    insert(migrated, *(make(DeadLetterFact, dead_letter_id=f"it's {number}") for number in range(450)))
    Tables(migrated, lambda _: [f"it's {number}" for number in range(449)]).erase(ANN)
    assert query(migrated, "SELECT dead_letter_id FROM dead_letters")["dead_letter_id"].to_list() == ["it's 449"]


@on_the_embedded_one
def test_a_rejected_message_of_somebody_else_is_in_no_export(migrated: ClickHouse) -> None:
    raws = {user: json.dumps({"userId": user, "payload": {"previousId": ANN.ids[1]}}) for user in ("ben", "ann")}
    letters = [make(DeadLetterFact, dead_letter_id=user, raw=raw, user_ids=(user, ANN.ids[1])) for user, raw in raws.items()]
    insert(migrated, *letters)
    subject = ANN._replace(tenant="default")
    tables = Tables(migrated)
    assert len(tables.held(subject)) == 2
    assert [each["dead_letter_id"] for each in tables.held(subject._replace(own_only=True))] == ["ann"]


@pytest.fixture
def watched(server_url: str) -> Iterator[tuple[ClickHouse, FaultProxy]]:
    """A server's database, and what is asked of it."""
    with fault_proxy(server_url) as proxy:
        store = ClickHouse(url=f"http://127.0.0.1:{proxy.port}", database=f"test_{uuid.uuid4().hex}")
        migrate(store)
        yield store, proxy
        store.close()


def test_no_statement_that_names_the_user_comes_into_the_log_of_the_server(watched: tuple[ClickHouse, FaultProxy]) -> None:
    store, proxy = watched
    subject = Subject("t", ("zo-is-named", "cookie-of-zo-is-named"))
    insert(store, make(PersonFact, tenant_id="t", user_id=subject.ids[0]), merge(subject.ids[0], subject.ids[1], 1))
    proxy.asked.clear()
    tables, traces = Tables(store), Traces(store, None)
    assert set(ids_of(store, *("t", subject.ids[0]))) == set(subject.ids)
    assert len(tables.held(subject)) == 2
    tables.erase(subject)
    assert tables.held(subject) == []
    assert traces.held(subject)
    naming = [path for path, body in proxy.asked if "zo-is-named" in path or b"zo-is-named" in body]
    assert len(naming) > 30
    assert all("log_queries=0" in path for path in naming)


def test_a_profile_that_logs_all_statements_does_not_keep_a_deletion_from_running(watched: tuple[ClickHouse, FaultProxy]) -> None:
    store, proxy = watched
    insert(store, make(PersonFact, tenant_id="t", user_id="ann"))
    client = store.client()
    client.server_settings["log_queries"] = client.server_settings["log_queries"]._replace(readonly=1)
    proxy.asked.clear()
    tables = Tables(store)
    assert len(tables.held(ANN)) == 1
    tables.erase(ANN)
    assert tables.held(ANN) == []
    assert not any("log_queries" in path for path, _ in proxy.asked)


LOGS = {"query_log": "query", "text_log": "message"}


@pytest.fixture
def logs(server_url: str) -> Iterator[Callable[[str, str], object]]:
    """Adds a row to a log of the server, which the embedded engine behind it does not have by itself."""
    client = ClickHouse(url=server_url, database="default").client()
    for name, column in LOGS.items():
        client.command(f"CREATE TABLE system.{name} ({column} String) ENGINE = Memory")
    try:
        yield lambda name, text: client.insert(f"system.{name}", [[text]])
    finally:
        for name in LOGS:
            client.command(f"DROP TABLE system.{name}")
        client.close()


def test_a_log_of_the_server_that_has_an_id_is_counted(
    watched: tuple[ClickHouse, FaultProxy], logs: Callable[[str, str], object], tmp_path: Path
) -> None:
    traces = Traces(watched[0], None)
    logs("query_log", "SELECT * FROM people WHERE user_id = 'ann-other'")
    assert traces.held(ANN) == []
    for _ in range(2):
        logs("query_log", "SELECT * FROM people WHERE user_id = 'ann'")
    logs("text_log", r"(from 1.2.3.4) SELECT ['it\'s cookie-of-ann']")
    assert traces.held(ANN) == [{"log": "system.query_log", "rows": 2}, {"log": "system.text_log", "rows": 1}]
    settings = load_settings(data_dir=tmp_path)
    (line,) = verify(Stores(settings, DataDir(tmp_path), Keys(b"x" * 16), (traces,), "", None), ANN)
    assert line["held"] == 2
    assert line["note"].startswith("system.query_log, system.text_log: the log of the server has the ids")


def test_a_log_that_cannot_be_read_is_passed_over(watched: tuple[ClickHouse, FaultProxy]) -> None:
    client = watched[0].client()
    client.command("CREATE VIEW system.query_log AS SELECT toString(throwIf(1, 'not for you')) AS query")
    try:
        assert Traces(watched[0], None).held(ANN) == []
    finally:
        client.command("DROP VIEW system.query_log")


@on_the_embedded_one
def test_ids_of_earlier_visitors_are_followed_through_the_merges_of_the_tenant(migrated: ClickHouse) -> None:
    insert(
        migrated,
        merge("cookie", "first-cookie", 1), merge("ann", "cookie", 2), merge("ben", "ann", 3), merge("ann", "not-hers", 4, "other"),
        *(make(PersonFact, user_id=user, experiment_group=group) for user, group in (("ann", "a"), ("ben", "b"), ("cookie", "merged"))),
    )  # fmt: skip
    found = ids_of(migrated, "t", "ann")
    assert (found[0], sorted(found[1:])) == ("ann", ["cookie", "first-cookie"])
    assert ids_of(migrated, "t", "nobody") == ("nobody",)


@on_the_embedded_one
def test_earlier_visitors_are_found_by_their_key_where_the_events_of_merges_are_gone(migrated: ClickHouse) -> None:
    """Else rows of the visitor would stay, with the key of the user."""
    people = (("ann", "a", "key"), ("cookie", "merged", "key"), ("ben", "b", "another"), ("his", "merged", "another"))
    insert(migrated, *(make(PersonFact, user_id=user, experiment_group=group, person_key=key) for user, group, key in people))
    insert(migrated, make(PersonFact, tenant_id="other", user_id="not-hers", experiment_group="merged", person_key="key"))
    assert ids_of(migrated, "t", "ann") == ("ann", "cookie")
