"""The schedule of faults, and that an unequal world is noticed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.schedule import ALL, KILLS, LONGEST, TARGETS, schedule
from tests.support.job_state import differences

SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.integers(0, 60), st.sampled_from([ALL, KILLS]))
def test_a_seed_gives_the_same_faults_in_their_order_within_bounds(seed: int, rounds: int, kinds: tuple[str, ...]) -> None:
    faults = schedule(seed, rounds, kinds)
    assert faults == schedule(seed, rounds, kinds)
    assert len(faults) == rounds
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    for fault in faults:
        assert fault.kind in kinds
        assert fault.target in TARGETS[fault.kind]
        assert 0 < fault.at < 1
        assert 0 <= fault.wait <= 0.3
        assert 0 < fault.seconds <= LONGEST
        assert fault.times >= 1


@given(SEEDS)
def test_every_kind_comes_before_one_comes_twice(seed: int) -> None:
    faults = schedule(seed, 2 * len(ALL))
    for start in (0, len(ALL)):
        assert {fault.kind for fault in faults[start : start + len(ALL)]} == set(ALL)


def test_every_target_is_hit_in_a_hundred_rounds_of_kills_and_the_job_most_often() -> None:
    hit = [fault.target for fault in schedule(1, 100, KILLS)]
    assert set(hit) == set(TARGETS["kill"])
    assert max(set(hit), key=hit.count) == "job"


def test_two_seeds_give_two_schedules() -> None:
    assert schedule(1, 20) != schedule(2, 20)


def test_a_lost_row_a_row_that_is_there_twice_and_another_posterior_are_told() -> None:
    calm = {"events": ['{"event_id": "a"}', '{"event_id": "b"}'], "view arm_posteriors_latest": ['{"arm": "modal", "mean": [0.25]}']}
    assert not differences(calm, calm)
    for table, rows in (
        ("events", ['{"event_id": "a"}']),
        ("events", ['{"event_id": "a"}', '{"event_id": "b"}', '{"event_id": "b"}']),
        ("view arm_posteriors_latest", ['{"arm": "modal", "mean": [0.5]}']),
    ):
        assert table in differences(calm, {**calm, table: rows})
