"""facts, gather and tally: nothing is counted twice or not at all, and everything of one person stays in order."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.counters import CounterView, count, counter_totals
from operators.facts import MINUTE, RAW_SHOWN, dead_letter_fact, step_metrics, tell
from operators.sink_batches import by_person, whom
from state.messages import Tick
from state.records.dead_letter import DeadLetter
from state.records.facts import (
    DeadLetterFact,
    DecisionFact,
    EventFact,
    Fact,
    OutcomeFact,
    ProgressFact,
    RecommendationFact,
    SignalFact,
    StepMetricFact,
)
from state.records.recommendation import Erase
from tests.state.lives import START, Life, event, signup
from tests.support.facts import make

LETTER = DeadLetter("not_json", "the message is not JSON", b"\xff" * 9_000, "events", 3, 42, -1)
TICK = Tick(0, START, 3)


# facts


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_tick_is_a_heartbeat_for_every_partition_and_nothing_else_is(partitions: int) -> None:
    beats: list[tuple[str, list[Fact | Erase]]] = [(str(each), []) for each in range(partitions)]
    assert tell([TICK], partitions) == beats
    assert tell([], partitions) == []
    rows = tell([make(EventFact, status="applied")], partitions)
    assert all(items for _, items in rows)
    assert tell([TICK, make(EventFact, status="applied")], partitions)[-partitions:] == beats


def test_a_dead_letter_becomes_a_row_that_is_found_again_by_its_place() -> None:
    fact = dead_letter_fact(LETTER)
    assert (fact.dead_letter_id, fact.reason, fact.source_offset, fact.log_time) == ("events:3:42", "not_json", 42, 0)
    assert fact.raw == "\ufffd" * RAW_SHOWN
    ((_, rows),) = tell([LETTER], 1)
    assert [type(row) for row in rows] == [DeadLetterFact]


METRICS: list[tuple[Fact, tuple[str, str] | None]] = [
    (make(EventFact, event_type="track", status="applied", timestamp=START + 59_999), ("event", "track")),
    (make(EventFact, event_type="track", status="late", timestamp=START), None),
    (make(DecisionFact, outcome="decided", trigger="signup", decided_at=START), ("decision", "signup")),
    (make(DecisionFact, outcome="declined", reason="holdout", decided_at=START), ("non_decision", "holdout")),
    (make(SignalFact, trigger="stuck:errors", detected_at=START), ("signal", "stuck:errors")),
    (make(OutcomeFact, kind="success", trigger="signup", occurred_at=START), ("success", "signup")),
    (make(OutcomeFact, kind="shown", trigger="signup", occurred_at=START), ("shown", "signup")),
    (make(ProgressFact, status="completed", completed_at=START), ("completed", "")),
    (make(ProgressFact, status="current"), None),
    (make(DeadLetterFact), None),
    (make(RecommendationFact), None),
]


@pytest.mark.parametrize(("fact", "wanted"), METRICS, ids=[f"{type(row[0]).__name__}-{row[1]}" for row in METRICS])
def test_each_thing_counts_in_its_minute_under_its_name(fact: Fact, wanted: tuple[str, str] | None) -> None:
    partials = step_metrics([fact, fact])
    assert [(each.metric, each.label, each.count, each.minute) for each in partials] == ([(*wanted, 2, START)] if wanted else [])
    assert all(each.minute % MINUTE == 0 for each in partials)


@given(st.lists(st.sampled_from([row[0] for row in METRICS]), max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_partials_of_batches_cut_anywhere_add_up_to_the_whole(facts: list[Any], cuts: list[int]) -> None:
    def total(partials: list[StepMetricFact]) -> Counter[tuple[object, ...]]:
        counts: Counter[tuple[object, ...]] = Counter()
        for each in partials:
            counts[each.tenant_id, each.minute, each.path_id, each.step_id, each.metric, each.label] += each.count
        return counts

    edges = [0, *sorted(cut for cut in cuts if cut < len(facts)), len(facts)]
    parts = [each for low, high in pairwise(edges) for each in step_metrics(facts[low:high])]
    assert total(parts) == total(step_metrics(facts))


# gather


@given(st.lists(st.tuples(st.sampled_from(["ana", "ben", "", "ü", "x" * 50]), st.integers()), max_size=30), st.integers(1, 8))
def test_a_split_loses_nothing_and_keeps_everyone_in_one_place_and_in_order(batch: list[tuple[str, int]], partitions: int) -> None:
    split = by_person(batch, lambda item: item[0], partitions)
    assert len({name for name, _ in split}) == len(split) <= partitions
    assert all(0 <= int(name) < partitions for name, _ in split)
    assert sorted(item for _, items in split for item in items) == sorted(batch)
    for name in {person for person, _ in batch}:
        mine = [[item for item in items if item[0] == name] for _, items in split]
        assert [items for items in mine if items] == [[item for item in batch if item[0] == name]]


def test_a_person_stays_on_their_partition_from_batch_to_batch() -> None:
    first, second = by_person(["ana"], str, 8), by_person(["ben", "ana", "cleo"], str, 8)
    assert next(name for name, items in second if "ana" in items) == first[0][0]


def test_a_tombstone_goes_where_the_persons_guidance_went() -> None:
    assert whom(Erase("t", "ana", 3)) == "ana"


# tally


def test_a_batch_is_counted_by_what_is_in_it() -> None:
    batch = [
        Count("read", by=5), Count("ignored", "late"), Count("activated", by=-1), LETTER, TICK,
        make(DecisionFact, outcome="decided"), make(DecisionFact, outcome="declined", reason="holdout"),
 make(SignalFact, trigger="stuck:errors"),
        make(OutcomeFact, kind="success"), make(RecommendationFact, ui_component="modal"), make(RecommendationFact, ui_component="none"),
    ]  # fmt: skip
    wanted = {
        "read": 5, "ignored|late": 1, "activated": -1, "dead_letters|not_json": 1, "decisions": 1, "non_decisions|holdout": 1,
        "signals|stuck:errors": 1, "outcomes|success": 1, "recommendations": 1, "withdrawals": 1,
    }  # fmt: skip
    assert count(batch) == [("tally", wanted)]
    assert count([]) == []
    assert count([TICK]) == []


def test_a_lifes_tally_does_not_depend_on_how_it_was_cut() -> None:
    life = Life()
    life.see(signup(), event("recommendation_shown", 1), event("form_submit", 2, form="connect"), event("user_deleted", 3))
    whole = count(life.outputs)[0][1]
    for first, second in permutations(range(0, len(life.outputs), 2), 2):
        if first < second:
            board = CounterView()
            logic = counter_totals(board)(None)
            for part in (life.outputs[:first], life.outputs[first:second], life.outputs[second:]):
                logic.on_batch([tally for _, tally in count(part)])
            assert board.total == whole


def test_a_resumed_tally_goes_on_exactly_and_remembers_what_it_resumed_from() -> None:
    board = CounterView()
    logic = counter_totals(board)(None)
    assert logic.on_batch([{"read": 3}, {"read": 4, "users": 1}]) == ([], False)
    again = CounterView()
    resumed = counter_totals(again)(logic.snapshot())
    assert again.total == again.resumed == {"read": 7, "users": 1}
    resumed.on_batch([{"read": 1, "activated": -1}])
    assert again.total == {"read": 8, "users": 1, "activated": -1}
    assert again.resumed == {"read": 7, "users": 1}
    assert counter_totals(CounterView())(resumed.snapshot()).snapshot() == resumed.snapshot()


def test_what_a_reader_has_taken_from_the_board_does_not_change_under_them() -> None:
    board = CounterView()
    logic = counter_totals(board)(None)
    logic.on_batch([{"read": 1}])
    taken = board.total
    logic.on_batch([{"read": 1}])
    assert (taken, board.total) == ({"read": 1}, {"read": 2})
