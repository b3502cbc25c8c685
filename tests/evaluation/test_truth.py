"""The sealed truth and the evidence: what is read, and what is rejected with a message."""

from __future__ import annotations

import polars as pl
import pytest

from evaluation.evidence import Evidence, EvidenceError, conform, ends
from evaluation.truth import TruthError, read_truth

PERSON = (
    '{"type":"person","userId":"u1","bot":false,"path":"p","traits":{"persona":"engineer"},"signupAt":5,"activatedAt":null,'
    '"untreated":{"activatedAt":9},"episodes":[{"step":"s","since":1,"onset":2,"completedAt":null,"untreatedAt":7,"cause":"errors"}],'
    '"exposures":[{"decisionId":"d","recommendationId":"r","trigger":"signup","step":"s","segment":"*","arm":"a","shownAt":3,'
    '"expected":{"a":0.5}}]}'
)
WORLD = '{"type":"world","horizons":{"s":100},"prior":null,"changedAt":null}'


def test_the_lines_of_the_protocol_are_read() -> None:
    truth = read_truth([PERSON, WORLD, '{"type":"done","people":1}', ""])
    assert truth.episodes().row(0, named=True) == {
        "user_id": "u1",
        "bot": False,
        "step_id": "s",
        "since": 1,
        "onset": 2,
        "completed_at": None,
        "untreated_at": 7,
        "cause": "errors",
    }
    assert truth.persons()["twin_activated_at"].to_list() == [9]
    assert truth.exposures()[0].expected == {"a": 0.5}
    assert truth.world.horizons == {"s": 100}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([PERSON, '{"type":"done","people":1}'], "horizons"),
        ([PERSON, WORLD], "is missing, and 1 was read"),
        ([PERSON, WORLD, '{"type":"done","people":2}'], "counts 2 people, and 1 was read"),
        ([PERSON, '{"type":"world"}'], "line 2"),
        (["{"], "line 1"),
    ],
)
def test_an_incomplete_truth_is_rejected_with_a_message(lines: list[str], words: str) -> None:
    with pytest.raises(TruthError, match=words):
        read_truth(lines)


def test_evidence_from_the_final_views_has_the_same_values() -> None:
    """The views hold NULL for a time that has not happened, and DateTime64 otherwise."""
    view = pl.DataFrame(
        {"user_id": ["a", "b"], "path_id": ["p", "p"], "step_id": ["s", "s"], "current_since_at": [1_000, 2_000], "completed_at": [None, 3]}
    ).with_columns(pl.col("current_since_at", "completed_at").cast(pl.Datetime("ms", "UTC")))
    frame = conform("progress", view)
    assert frame["current_since_at"].to_list() == [1_000, 2_000]
    assert frame["completed_at"].to_list() == [0, 3]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(EvidenceError, match="people lacks signup_at, activated_at"):
        Evidence.of(until=0, people=[{"user_id": "u", "experiment_group": "adaptive", "path_id": "p", "segment": "*"}])


def test_a_decision_with_both_outcomes_counts_as_one_success() -> None:
    row = {"user_id": "u", "trigger": "t", "step_id": "s", "segment": "*", "arm": "a", "occurred_at": 1}
    evidence = Evidence.of(until=9, outcomes=[{**row, "decision_id": d, "kind": k} for d, k in (("x", "failure"), ("x", "success"))])
    assert ends(evidence.outcomes).rows() == [("x", 1.0)]
