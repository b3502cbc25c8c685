"""What the tables hold about a user is found and goes, and nothing of others goes with it: on a real ClickHouse."""

from __future__ import annotations

import json

import pytest

from flows.places.clickhouse import Tables, Traces, ids_of
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.read_only_query import query
from state.records.facts import DeadLetterFact, EventFact, Fact, LlmAnswerFact, PersonFact
from state.records.subject import Subject
from tests.support.facts import make

pytest_plugins = ["tests.support.clickhouse_stores"]
pytestmark = pytest.mark.parametrize("store_of_module", ["embedded"], indirect=True)

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
    assert query(migrated, "SELECT user_id FROM llm_answers")["user_id"].to_list() == ["ben"]
    left = query(migrated, "SELECT tenant_id, user_id FROM people ORDER BY 1").rows()
    assert left == [("other", "ann"), ("t", "ann-other")]
    assert query(migrated, "SELECT dead_letter_id FROM dead_letters ORDER BY 1")["dead_letter_id"].to_list() == ["2", "3"]
    for each in ANN.ids:
        assert traces.held(Subject("t", (each,)))
    assert traces.held(Subject("t", ("an", "cookie-of-ann"))) == [], "a part of an id is nobody's"


def test_ids_of_earlier_visitors_are_followed_through_the_merges_of_the_tenant(migrated: ClickHouse) -> None:
    insert(
        migrated,
        merge("cookie", "first-cookie", 1), merge("ann", "cookie", 2), merge("ben", "ann", 3), merge("ann", "not-hers", 4, "other"),
        *(make(PersonFact, user_id=user, experiment_group=group) for user, group in (("ann", "a"), ("ben", "b"), ("cookie", "merged"))),
    )  # fmt: skip
    found = ids_of(migrated, "t", "ann")
    assert (found[0], sorted(found[1:])) == ("ann", ["cookie", "first-cookie"])
    assert ids_of(migrated, "t", "nobody") == ("nobody",)
