"""Facts become frames: lists of any length stay in their rows."""

from __future__ import annotations

from sinks.clickhouse.columns import to_frame
from state.records.facts import DecisionFact
from tests.support.facts import make


def test_lists_keep_their_rows_their_order_and_their_length() -> None:
    arms = [(), ("a",), ("a", "b", "c"), (), ("c", "b")] * 30
    shares = [tuple(1 / (place + 1) for place in range(len(each))) for each in arms]
    facts = [make(DecisionFact, arms=one, propensities=two) for one, two in zip(arms, shares, strict=True)]
    frame = to_frame(DecisionFact, facts)
    assert frame["arms"].to_list() == [list(each) for each in arms]
    assert frame["propensities"].to_list() == [list(each) for each in shares]
    assert to_frame(DecisionFact, []).schema == frame.schema


def test_a_text_in_a_list_that_no_column_can_hold_is_replaced() -> None:
    frame = to_frame(DecisionFact, [make(DecisionFact, arms=("a\ud800", "b"), propensities=(0.5, 0.5)), make(DecisionFact, arms=("c",))])
    assert frame["arms"].to_list() == [["a?", "b"], ["c"]]
