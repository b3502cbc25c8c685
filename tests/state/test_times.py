from __future__ import annotations

from state.times import day_of


def test_a_day_is_one_of_utc() -> None:
    assert day_of(1_772_323_199_999) == "2026-02-28"
    assert day_of(1_772_323_200_000) == "2026-03-01"
