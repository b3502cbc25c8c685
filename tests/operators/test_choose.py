"""choose: the same decisions however the input was cut into batches, and after a restart anywhere."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.choose import choose_logic
from state.catalog.by_tenant import ByTenant
from state.counters import CounterTotals, add
from state.decision.chooser import Choices
from state.decision.messages import CatalogMet, DecisionOutcome, LearnerInput
from state.records.facts import DecisionFact
from tests.state.lives import START, Life, of_kind, plan, signup


def _history() -> list[LearnerInput]:
    """Asks and rewards in the order in which they happened; several at one instant, of several people and turns."""
    life = Life()
    life.see(signup())
    items: list[LearnerInput] = [CatalogMet("t")]
    for number in range(24):
        seq, at, key = 2 * (number // 3), START + number // 3, f"k{number % 3}"
        items.append(msgspec.structs.replace(life.ask, seq=seq, at=at, key=key, number=2, decision=f"d{number}"))
        if number >= 3:
            kind = "success" if number % 2 else "failure"
            items.append(
                DecisionOutcome(
                    seq=seq,
                    at=at,
                    key=key,
                    number=1,
                    tenant="t",
                    user="u",
                    decision=f"d{number - 3}",
                    trigger="signup",
                    path="analysts",
                    step="connect",
                    segment="analyst",
                    arm="",
                    kind=kind,
                    version=1,
                )
            )
    return sorted(items, key=lambda item: (item.seq, item.at, item.key, item.number))


HISTORY = _history()


def everything(batches: list[Choices]) -> list[Any]:
    """What was emitted, kind by kind, so that it does not depend on where a batch ended; counts as they add up."""
    totals: CounterTotals = {}
    for out in batches:
        add(totals, out.counts)
    return [*(each for out in batches for each in out.decisions), *(row for out in batches for row in out.rows), totals]


def run(cuts: list[int], restart: bool = False) -> list[Any]:
    """What is chosen when the history comes in batches that end at these seqs."""
    logic, chosen = choose_logic(ByTenant(plan()))(None), list[Choices]()
    edges = [0, *sorted(set(cuts)), 1_000]
    for low, high in pairwise(edges):
        batch = [item for item in HISTORY if low <= item.seq < high]
        lists, _ = logic.on_batch([sorted(batch, key=lambda item: (item.key, item.seq))])  # as bytewax visits people: by key
        chosen += lists
        if restart:
            logic = choose_logic(ByTenant(plan()))(logic.snapshot())
    return everything(chosen)


@pytest.fixture(scope="module")
def whole() -> list[Any]:
    return run([])


@given(cuts=st.lists(st.integers(1, 16), max_size=6), restart=st.booleans())
def test_batches_cut_anywhere_between_inputs_choose_the_same(whole: list[Any], cuts: list[int], restart: bool) -> None:
    assert run(cuts, restart) == whole


def test_what_happened_first_is_learned_first() -> None:
    versions = [each.learner_version for each in of_kind(run([]), DecisionFact)]
    assert versions == sorted(versions)
    assert versions[-1] > versions[0]


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_within_a_batch_does_not_matter(order: int) -> None:
    logic = choose_logic(ByTenant(plan()))(None)
    lists, discard = logic.on_batch([HISTORY[::order]])
    assert everything(lists) == run([])
    assert discard is False
