"""Who goes on with a later step has left the step before, also where the catalog lets that step be skipped."""

from __future__ import annotations

from functools import reduce
from re import sub

import pytest

from state.catalog.plan import Plan
from state.duration import HOUR, MINUTE
from state.records.facts import StuckScoreFact
from state.stuck.observations import CENSORED, COMPLETED, LEFT, EpisodeObservation
from tests.state.lives import Life, catalog, event, signup

PROS = "steps: [invite, connect, explore, share]}"
INVITE = "  - id: invite\n"


def plan_with(*changes: tuple[str, str]) -> Plan:
    """A plan of the small catalog in which no step requires another, with these changes."""

    def change(text: str) -> str:
        return reduce(lambda found, each: found.replace(*each), changes, sub(" *requires: .*\n", "", text))

    return Plan(catalog(change=change))


def ends(life: Life) -> list[tuple[str, int, int]]:
    return [(each.step, each.end, each.lasted) for each in life.of(EpisodeObservation) if each.end in (CENSORED, COMPLETED, LEFT)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (PROS, PROS),
        (INVITE, INVITE + "    optional: true\n"),
        (PROS, PROS.replace("}", ", any_of: [[invite, connect]]}")),
        (PROS, PROS.replace("}", ", order: strict, any_of: [[invite, connect]]}")),
    ],
    ids=["neither", "optional", "one of a group", "one of a group, in order"],
)
def test_a_later_step_ends_the_episode_as_left(before: str, after: str) -> None:
    life = Life(plan_with((before, after)))
    life.see(event("signup", traits={"pro": True}), event("form_submit", HOUR, form="connect"))
    assert ends(life) == [("invite", LEFT, HOUR)]


@pytest.mark.parametrize(("optional", "found"), [("    optional: true\n", [("invite", LEFT, HOUR)]), ("", [])])
def test_where_the_order_matters_only_an_optional_step_can_be_left(optional: str, found: list[tuple[str, int, int]]) -> None:
    life = Life(plan_with((INVITE, INVITE + optional), (PROS, PROS.replace("}", ", order: strict}"))))
    life.see(event("signup", traits={"pro": True}), event("form_submit", HOUR, form="connect"))
    assert ends(life) == found


def test_the_last_step_of_the_path_ends_a_skipped_one_as_left() -> None:
    life = Life(plan_with((INVITE, INVITE + "    optional: true\n")))
    life.see(signup(persona="builder"), event("form_submit", HOUR, form="connect"))
    assert life.person is not None
    assert life.person.activated_at
    assert ends(life) == [("invite", LEFT, HOUR)]


def test_another_path_ends_the_episode_without_a_verdict() -> None:
    life = Life()
    life.see(signup(persona="analyst"), event("identify", HOUR, traits={"persona": "builder"}))
    assert ends(life) == [("connect", CENSORED, 0)]


def test_only_a_look_at_a_share_of_the_horizon_writes_a_score() -> None:
    """Twenty minutes of activity are a sign of being stuck; no share of two days has passed."""
    life = Life()
    life.see(signup(), *[event("track", at * MINUTE, name=f"x{at}") for at in range(5, 60, 5)])
    assert life.person is not None
    assert life.person.slow_noted
    assert life.of(StuckScoreFact) == []
