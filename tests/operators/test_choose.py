"""choose: the same decisions however the input was cut into batches, and after a restart anywhere."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.choose import choose_logic
from state.decision.chooser import Chosen
from state.decision.messages import DecisionOutcome, DecisionRequest
from state.records.facts import DecisionFact
from tests.state.lives import START, Life, of_kind, plan, signup


def _history() -> list[DecisionRequest | DecisionOutcome]:
    """Asks and rewards in the order in which they happened; several at one instant, of several people and turns."""
    life = Life()
    life.see(signup())
    items: list[DecisionRequest | DecisionOutcome] = []
    for number in range(24):
        seq, at, who = 2 * (number // 3), START + number // 3, f"k{number % 3}"
        items.append(msgspec.structs.replace(life.ask, seq=seq, at=at, who=who, turn=2, decision=f"d{number}"))
        if number >= 3:
            kind = "success" if number % 2 else "failure"
            items.append(
                DecisionOutcome(seq, at, who, 1, "t", "u", f"d{number - 3}", "signup", "analysts", "connect", "analyst", "", kind, 1)
            )
    return sorted(items, key=lambda item: (item.seq, item.at, item.who, item.turn))


HISTORY = _history()


def run(cuts: list[int], restart: bool = False) -> list[Chosen]:
    """What is chosen when the history comes in batches that end at these seqs."""
    logic, chosen = choose_logic(plan())(None), list[Chosen]()
    edges = [0, *sorted(set(cuts)), 1_000]
    for low, high in pairwise(edges):
        batch = [item for item in HISTORY if low <= item.seq < high]
        lists, _ = logic.on_batch(sorted(batch, key=lambda item: (item.who, item.seq)))  # as bytewax visits people: by key
        chosen += [each for outputs in lists for each in outputs]
        if restart:
            logic = choose_logic(plan())(logic.snapshot())
    return chosen


@pytest.fixture(scope="module")
def whole() -> list[Chosen]:
    return run([])


@given(cuts=st.lists(st.integers(1, 16), max_size=6), restart=st.booleans())
def test_batches_cut_anywhere_between_inputs_choose_the_same(whole: list[Chosen], cuts: list[int], restart: bool) -> None:
    assert run(cuts, restart) == whole


def test_what_happened_first_is_learned_first() -> None:
    versions = [each.learner_version for each in of_kind(run([]), DecisionFact)]
    assert versions == sorted(versions)
    assert versions[-1] > versions[0]


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_within_a_batch_does_not_matter(order: int) -> None:
    logic = choose_logic(plan())(None)
    lists, discard = logic.on_batch(HISTORY[::order])
    assert [each for outputs in lists for each in outputs] == run([])
    assert discard is False
