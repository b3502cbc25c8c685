"""What analysts and operators see of a model's texts, on a demo whose decisions are given calls that were never made."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from local.clickhouse import EmbeddedClickHouse
from reports.llm_call import call_in_words
from reports.render import dollars
from sinks.clickhouse.client import ClickHouse
from sinks.clickhouse.columns import to_frame
from sinks.clickhouse.inserter import ClickHouseInserter
from sinks.clickhouse.read_only_query import query
from state.ids import uniform
from state.records.facts import LlmCallFact
from tests.cli.conftest import Inside, Ready
from tests.support.facts import make

PASSED = [["slots", ""], ["length", ""]]
REJECTED = [["slots", ""], ["length", "too_long"]]
CALL = "prompt nudge-1, call in 840 ms, 312 + 58 tokens, $0.000420"
UNSURE = "the app may have shown the template"


def _called(decision: dict[str, Any], number: int) -> LlmCallFact:
    """A tenth is drawn for the template; of the others every third comes from the cache and every tenth is rejected."""
    fields: dict[str, Any] = {
        name: decision[name] for name in ("decision_id", "user_id", "trigger", "path_id", "step_id", "arm", "version")
    }
    fields |= {"tenant_id": "default", "asked_at": decision["at"], "prompt_version": "nudge-1"}
    if number % 20 == 7:
        return make(LlmCallFact, **fields, status="kept", reason="cold_start")
    if uniform(b"template share", decision["decision_id"]) < 0.1:
        return make(LlmCallFact, **fields, status="kept", reason="template_share", experiment="template")
    fields |= {"scope": "shared", "experiment": "model", "cache_key": f"{decision['step_id']}{decision['arm']}", "model": "m"}
    if number % 3 == 0:
        return make(LlmCallFact, **fields, status="improved", source="cache", latency_ms=3, checks=json.dumps(PASSED))
    spent = {"source": "call", "latency_ms": 400 + number % 500, "input_tokens": 310, "output_tokens": 45, "cost_micros": 73, "attempts": 1}
    if number % 10 == 1:
        return make(LlmCallFact, **fields, **spent, status="kept", reason="guardrails", checks=json.dumps(REJECTED))
    return make(LlmCallFact, **fields, **spent, status="improved", checks=json.dumps(PASSED))


_DECIDED = """
SELECT *, toUnixTimestamp64Milli(decided_at) AS at FROM decisions_final WHERE outcome = 'decided' ORDER BY decided_at, decision_id
"""


@pytest.fixture(scope="module")
def worded(demo: Ready, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo, whose decisions have calls. Returns its working directory."""
    cwd = tmp_path_factory.mktemp("worded") / "demo"
    there = Path(".onramp", "demo", "clickhouse")
    with EmbeddedClickHouse(demo.cwd / there).stopped():  # it would change files meanwhile
        shutil.copytree(demo.cwd, cwd, symlinks=True)
    store = ClickHouse(embedded=EmbeddedClickHouse(cwd / there), database="onramp")
    calls = [_called(row, number) for number, row in enumerate(query(store, _DECIDED).to_dicts())]
    ClickHouseInserter(store).insert("llm_calls", to_frame(LlmCallFact, calls))
    store.close()
    return cwd


def test_report_tells_what_the_texts_cost_and_achieve(worded: Path, inside: Inside) -> None:
    said = inside("report", cwd=worded)
    assert said.code == 0, said.err
    section = said.out.split("Model texts")[1].split("Considered, and nothing shown")[0]
    for words in (
        "Hit rate",
        "distinct keys",
        "calls saved, about $",
        "drawn to keep the template",
        "too_long",
        "answers cost $",
        "eligible for one",
    ):
        assert words in " ".join(section.split()), section
    assert re.search(r"texts were requested, [\d,]+ sent \(", " ".join(section.split())), section
    assert not re.search(r"\bused\b|\bimproved\b", section), "whether the app showed a text is not known"
    assert ("Model − template:" in section) != ("Too few decisions to say" in section)
    assert all(len(line) <= 80 for line in section.splitlines())
    assert not said.out.startswith("\n")


def test_report_as_json(worded: Path, inside: Inside) -> None:
    views = inside("report", "--json", cwd=worded).json
    llm = views["llm"]
    assert llm["asked"] == llm["calls"] + llm["shared"]["hits"]
    assert llm["asked"] == llm["groups"]["model"]["decisions"]
    assert llm["improved"] == llm["asked"] - llm["rejections"][0]["rejected"]
    assert llm["shared"]["hitRate"] == pytest.approx(llm["shared"]["hits"] / llm["shared"]["asked"])
    assert llm["costDollars"] == pytest.approx(llm["calls"] * 73e-6)
    assert {row["reason"]: row["inWords"] for row in llm["kept"]}["cold_start"] == "too few events of the user are known"
    assert sum(row["decisions"] for row in llm["kept"]) == llm["decisions"] - llm["improved"]
    low, high = llm["modelMinusTemplate"]["interval"]
    assert low < llm["modelMinusTemplate"]["lift"] < high
    assert (llm["costPerIncrementalSuccess"] is None) == bool(llm["whyNoCost"])
    assert llm["sampleRatio"]["ok"]
    assert llm["eligible"] == sum(group["decisions"] for group in llm["groups"].values())
    assert (llm["answered"], llm["failed"], llm["whyNotCompared"]) == (llm["calls"], 0, None)
    assert views["llm_hit_rate"][0]["hits"] == llm["shared"]["hits"]


def test_where_no_model_was_considered_there_is_no_section(demo: Ready, inside: Inside) -> None:
    assert "Model texts" not in inside("report", cwd=demo.cwd).out
    views = inside("report", "--json", cwd=demo.cwd).json
    assert views["llm"] is None
    assert views["model_against_template"] == []


def test_explain_tells_of_every_decision_who_worded_it(worded: Path, inside: Inside) -> None:
    user = inside("sql", "SELECT user_id FROM llm_calls_final WHERE source = 'call' LIMIT 1", "--json", cwd=worded).json["rows"][0][
        "user_id"
    ]
    story = inside("explain", user, "--json", cwd=worded).json["timeline"]
    decided = [entry["decisionId"] for entry in story if entry["kind"] == "decision"]
    told = {entry["decisionId"]: entry["inWords"] for entry in story if entry["kind"] == "wording"}
    assert set(told) == set(decided)
    assert any("call to m in" in words and "310 + 45 tokens, $0.000073" in words for words in told.values())
    assert "wording" in inside("explain", user, cwd=worded).out


def _row(what: str = "improved", reason: str = "", **detail: Any) -> dict[str, Any]:
    usual = {"promptVersion": "nudge-1", "model": "", "source": "call", "latencyMs": 840, "attempts": 1, "inputTokens": 312}
    usual |= {"outputTokens": 58, "costMicros": 420, "checks": []}
    return {"what": what, "reason": reason, "detail": json.dumps({**usual, **detail})}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (_row(checks=PASSED), f"a model's text was sent ({CALL}); all 2 checks passed; {UNSURE}"),
        (
            _row(source="cache", latencyMs=2),
            f"a model's text was sent (prompt nudge-1, from the cache in 2 ms); {UNSURE}",
        ),
        (
            _row(source="coalesced"),
            f"a model's text was sent (prompt nudge-1, by a call that was on its way for another user, in 840 ms); {UNSURE}",
        ),
        (
            _row("kept", "shown_first"),
            f"template kept: the template was shown before the answer came (shown_first); {CALL}",
        ),
        (_row("kept", "cold_start", source=""), "template kept: too few events of the user are known (cold_start)"),
        (
            _row("kept", "breaker_open", attempts=0, checks=PASSED),
            "template kept: the model server failed too often, so calls to it are paused (breaker_open)",
        ),
        (_row("kept", "new\x1bcode", source=""), "template kept: new\\x1bcode"),
        (
            _row("kept", "guardrails", checks=REJECTED, attempts=2),
            f"template kept: guardrails; {CALL}, 2 attempts; rejected by length (too_long)",
        ),
        (
            _row("kept", "needs_approval", checks=[["schema", ""], ["approval", "needs_approval"]]),
            f"template kept: texts in this language are shown only after somebody approved them (needs_approval); {CALL}",
        ),
        (
            _row("kept", "approval_pending", source=""),
            "template kept: a text for this step and arm waits for a review, so no other one is requested (approval_pending)",
        ),
        ({"what": "kept", "reason": "shed", "detail": "not JSON"}, "template kept: too many calls were waiting (shed)"),
    ],
)
def test_an_entry_in_words(row: dict[str, Any], words: str) -> None:
    assert call_in_words(row) == words


def test_money_is_never_rounded_to_nothing() -> None:
    assert [dollars(value) for value in (None, 0.0, 1234.5, 0.25, 0.0042, 0.000073)] == [
        "–", "$0.00", "$1,234.50", "$0.2500", "$0.0042", "$0.000073",
    ]  # fmt: skip
