"""Episodes from before a horizon was learned are judged by it afterwards, those that are still open too, and none is judged too early."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE
from state.events import Event
from state.stuck.estimator import Estimator, new_estimator, restore_estimator
from state.stuck.first_episodes import FirstEpisodes
from state.stuck.observations import BEGUN, COMPLETED, WAITING, EpisodeObservation
from state.stuck.parameters import PERIOD
from tests.state.lives import START, Life, anonymously, catalog, signup

EXPECTED = 2 * DAY
BEGIN = (START // PERIOD + 1) * PERIOD


def test_an_episode_counts_once_a_horizon_has_passed_since_it_began() -> None:
    first = FirstEpisodes()
    for since in (30, 10, 20):
        first.begin(since, guided=since == 20)
    first.end(10, 4, guided=False)
    first.end(20, 90, guided=True)
    first.horizon = 50
    first.begin(40, guided=False)
    assert list(first.take(59)) == []
    assert list(first.take(70)) == [(4, False), (51, True)]
    assert list(first.take(80)) == [(51, False)], "still open"
    assert list(first.take(1_000)) == [], "nobody twice, and nobody who began after the horizon was learned"


def test_of_people_who_began_together_the_end_of_one_is_that_of_one() -> None:
    first = FirstEpisodes()
    for guided in (False, False, True):
        first.begin(10, guided=guided)
    first.end(10, 4, guided=False)
    first.end(11, 4, guided=False)
    first.horizon = 50
    assert sorted(first.take(60)) == [(4, False), (51, False), (51, True)]


def test_an_episode_that_is_no_longer_observed_says_nothing() -> None:
    first = FirstEpisodes()
    for since in (10, 20, 30):
        first.begin(since, guided=False)
    first.end(30, 5, guided=False)
    assert [first.drop(since, guided=guided) for since, guided in ((10, True), (10, False), (10, False), (30, False))] == [
        False, True, False, False
    ]  # fmt: skip
    first.horizon = 50
    assert list(first.take(100)) == [(51, False), (5, False)]


def test_of_too_many_the_earliest_are_forgotten() -> None:
    first = FirstEpisodes()
    for since in range(1_000):
        first.begin(since, guided=False)
    assert (len(first.episodes), first.episodes[0][0]) == (400, 600)


def learn(estimator: Estimator, step: str, end: int, at: int, since: int, horizon: int = EXPECTED, *, settled: bool = False) -> None:
    estimator.learn(
        EpisodeObservation(tenant="t", step=step, end=end, at=at, since=since, horizon=horizon, lasted=at - since, settled=settled)
    )


@pytest.mark.parametrize("restart", [False, True])
def test_shares_are_those_of_the_learned_horizon_as_soon_as_there_is_one(restart: bool) -> None:
    """Six in ten finish within an hour, the others never; the catalog expects two days. Nine in ten of those who finish need 54 minutes."""
    plan, rng = Plan(catalog()), Random(1)
    estimator, events = new_estimator(plan, "t"), []
    for number in range(200):
        since = BEGIN + number * 10 * MINUTE
        events.append((since, BEGUN, since))
        if number % 10 < 6:
            events.append((since + rng.randrange(HOUR), COMPLETED, since))
    until = BEGIN + 200 * 10 * MINUTE
    for at, end, since in sorted(events):
        if at < until:
            learn(estimator, "connect", end, at, since)
            if restart:
                estimator = restore_estimator(plan, estimator.encode())
    parameters = estimator.parameters(until // PERIOD + 1)
    score = parameters.score
    assert "connect" in parameters.settled
    assert score.time_alone("connect", 0) == pytest.approx(0.46, abs=0.08)
    assert score.time_alone("connect", 5) == pytest.approx(0.46 / 0.7, abs=0.08), "of those who wait for half of it"

    learn(estimator, "connect", WAITING, until + DAY, until + DAY - EXPECTED)
    assert estimator.parameters(until // PERIOD + 99).score.time_alone("connect", 0) == score.time_alone("connect", 0), (
        "an expected horizon no longer says who is stuck"
    )


@pytest.mark.parametrize(
    ("change", "first", "announced"),
    [
        (str, signup(), ["connect"]),
        (str, anonymously(signup()), []),
        (lambda text: text.replace("    usual: 48h\n", "    usual: 48h\n    waiting: [0.5, 0.5, 0.6, 0.6, 0.7, 0.7]\n"), signup(), []),
    ],
)
def test_episodes_of_users_are_announced_where_the_horizon_is_not_learned(
    change: Callable[[str], str], first: Event, announced: list[str]
) -> None:
    life = Life(Plan(catalog(change=change)))
    life.see(first)
    assert [each.step for each in life.of(EpisodeObservation) if each.end == BEGUN] == announced
