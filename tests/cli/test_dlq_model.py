"""``onramp dlq --model`` on the embedded ClickHouse: what is kept of calls of a model, for a person who reviews them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clickhouse import EmbeddedClickHouse
from local.data_dir import DataDir
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.migrate import migrate
from state.records.facts import LlmAnswerFact
from tests.cli.conftest import Inside
from tests.support.facts import make

NOW = 1_767_600_000_000
HOUR = 3_600_000
HOSTILE = "\x1b]0;title\x07\u202e"
PROMPT = f"Be short.\n\nThe step: connect a source.\n- [USER_INPUT]{HOSTILE}[/USER_INPUT]"
WORDS = "Write to us at a@b.example."


def call(number: int, **values: object) -> LlmAnswerFact:
    usual: dict[str, object] = {
        "decision_id": f"{number:024x}", "status": "rejected", "refused_by": "grounding", "reason": "url", "model": "small",
        "prompt": PROMPT,
        "answer": json.dumps({"text": WORDS}), "step_id": "connect_source", "trigger": "signup", "arm": "tooltip", "scope": "shared",
        "called_at": NOW + number * HOUR, "cost_micros": 150, "trace_id": "4bf92f35",
    }  # fmt: skip
    return make(LlmAnswerFact, **{**usual, **values})


CALLS = [
    call(1),
    call(2, refused_by="schema", reason="not_json", answer=f"Sure!{HOSTILE}", scope="personal"),
    call(3, status="accepted", refused_by="", reason="", answer=""),
    call(4, status="failed", refused_by="", reason="truncated", answer=""),
    call(5, status="cancelled", refused_by="", reason="superseded", answer=""),
    call(6, user_id="other", tenant_id="acme"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory whose ClickHouse is up for all tests; its tables are empty."""
    cwd = tmp_path_factory.mktemp("calls")
    made = DataDir.create(cwd / ".onramp")
    keeper = EmbeddedClickHouse(made.clickhouse)
    keeper.url()
    with_store(cwd)
    yield cwd
    keeper.close()
    with keeper.stopped():
        pass


def with_store(cwd: Path, *rows: LlmAnswerFact) -> None:
    store = ClickHouse(embedded=EmbeddedClickHouse(DataDir(cwd / ".onramp").clickhouse), database="onramp")
    try:
        migrate(store)
        store.client().command("TRUNCATE TABLE llm_answers")
        if rows:
            ClickHouseInserter(store).insert("llm_answers", to_frame(LlmAnswerFact, rows))
    finally:
        store.close()


def test_without_a_kept_call_the_commands_say_how_to_keep_them(directory: Path, inside: Inside) -> None:
    with_store(directory)
    for arguments in (("list",), ("stats",), ("list", "--reason", "url")):
        said = inside("dlq", *arguments, "--model", cwd=directory)
        assert (said.code, said.out.startswith("No call of a model is kept. ONRAMP_LLM_KEEP_DAYS=30")) == (0, True), said
    assert inside("dlq", "list", "--model", "--json", cwd=directory).json == {"total": 0, "calls": []}
    assert inside("dlq", "stats", "--model", "--json", cwd=directory).json == {"total": 0, "reasons": []}
    shown = inside("dlq", "show", "abc", "--model", cwd=directory)
    assert (shown.code, "ONRAMP_LLM_KEEP_DAYS=30" in shown.err) == (2, True)


def test_rejected_and_failed_calls_are_listed_all_are_counted_and_one_is_shown(directory: Path, inside: Inside) -> None:
    with_store(directory, *CALLS)
    listed = inside("dlq", "list", "--model", "--json", cwd=directory).json
    assert [int(each["id"], 16) for each in listed["calls"]] == [6, 4, 2, 1]
    assert (listed["total"], listed["calls"][0]["userId"], listed["calls"][0]["tenantId"]) == (4, "other", "acme")
    assert listed["calls"][3]["calledAt"] == "2026-01-05T09:00:00.000Z"
    one = inside("dlq", "list", "--model", "--limit", "1", "--reason", "url", "--json", cwd=directory).json
    assert (one["total"], [int(each["id"], 16) for each in one["calls"]]) == (2, [6])
    of_acme = inside("dlq", "list", "--model", "--tenant", "acme", "--json", cwd=directory).json
    assert (of_acme["total"], {each["tenantId"] for each in of_acme["calls"]}) == (1, {"acme"})
    assert inside("dlq", "list", "--model", "--tenant", "nobody", "--json", cwd=directory).json["total"] == 0
    assert inside("dlq", "stats", "--model", "--tenant", "nobody", "--json", cwd=directory).json["total"] == 0
    late = inside("dlq", "list", "--model", "--since", "2026-01-05T11:00:00Z", "--json", cwd=directory).json
    assert [int(each["id"], 16) for each in late["calls"]] == [6, 4]
    none = inside("dlq", "list", "--model", "--since", "9999-01-01T00:00:00Z", cwd=directory)
    assert none.out == "No rejected answer and no failed call is among those that are kept.\n"
    counted = inside("dlq", "stats", "--model", "--json", cwd=directory).json
    assert (counted["total"], len(counted["reasons"])) == (6, 5)
    assert {name: counted["reasons"][0][name] for name in ("status", "refusedBy", "reason", "calls", "costDollars", "example")} == {
        "status": "rejected", "refusedBy": "grounding", "reason": "url", "calls": 2, "costDollars": 0.0003, "example": CALLS[5].decision_id,
    }  # fmt: skip
    shown = inside("dlq", "show", CALLS[1].decision_id, "--model", "--json", cwd=directory).json
    assert (shown["id"], shown["prompt"], shown["answer"], shown["traceId"]) == (
        CALLS[1].decision_id,
        PROMPT,
        f"Sure!{HOSTILE}",
        "4bf92f35",
    )
    accepted = inside("dlq", "show", CALLS[2].decision_id, "--model", cwd=directory)
    assert "The prompt" in accepted.out
    assert "rejected answer" not in accepted.out


def test_what_is_printed_is_safe_for_a_terminal_and_says_what_is_needed(directory: Path, inside: Inside) -> None:
    with_store(directory, *CALLS)
    printed = {}
    for arguments in (("list",), ("list", "--limit", "1"), ("stats",), ("show", CALLS[1].decision_id)):
        found = inside("dlq", *arguments, "--model", cwd=directory)
        assert found.code == 0, found.err
        assert not set(found.out) & {"\x1b", "\x07", "\u202e"}, arguments
        printed[arguments[0]] = found.out
    assert "3 more; --limit shows them." in printed["list"]
    for words in (
        "The step: connect a source.\n",
        "schema: not_json",
        "for this user alone",
        "Sure!\\x1b]0;title",
        "small",
        "\nBe short.\n\n",
    ):
        assert words in printed["show"]
    wrong = inside("dlq", "show", "nope", "--model", cwd=directory)
    assert (wrong.code, "`onramp dlq list --model` shows their ids" in " ".join(wrong.err.split())) == (2, True)


def test_without_a_data_directory_it_is_one_sentence(tmp_path: Path, inside: Inside) -> None:
    found = inside("dlq", "list", "--model", cwd=tmp_path)
    assert (found.code, found.err.count("\n"), found.out) == (1, 1, "")
