"""The report says where the precision that the catalog asks for is out of reach, and what is done instead."""

from __future__ import annotations

import polars as pl
import pytest

from reports.run_report import Learned
from reports.stuck import out_of_reach
from state.stuck.operating_point import ENOUGH


def learned(**changed: float | bool | None) -> Learned:
    row = {"asked_precision": 0.9, "precision": 0.72, "recall": 0.4, "reachable": False, "threshold": 0.6, "episodes": 250} | changed
    none = pl.DataFrame()
    return Learned(none, none, none, pl.DataFrame([row]))


def test_the_best_in_reach_is_named_with_what_it_finds_and_how_many_it_is_known_from() -> None:
    (said,) = out_of_reach(learned())
    assert said.startswith("The asked precision of 90.0 % is out of reach, by the 250 times that a past user was at a step: ")
    assert ": at the scores in force now 72.0 % of alarms would have been right, the best in reach, and" in said
    assert " 40.0 % of the times a user was stuck found." in said
    assert said.endswith("The share above is of all alarms so far.")


def test_below_the_floor_it_says_that_no_alarm_is_raised() -> None:
    (said,) = out_of_reach(learned(threshold=None))
    assert said.endswith("72.0 % is, below the catalog's floor, so no alarm is raised.")


@pytest.mark.parametrize("changed", [{"reachable": True}, {"episodes": ENOUGH - 1}])
def test_nothing_is_said_where_it_is_in_reach_or_too_early_to_say(changed: dict[str, float | bool | None]) -> None:
    assert out_of_reach(learned(**changed)) == []


def test_before_anything_was_learned_nothing_is_said() -> None:
    none = pl.DataFrame()
    assert out_of_reach(Learned(none, none, none, none)) == []
