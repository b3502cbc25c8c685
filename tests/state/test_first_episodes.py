"""Episodes from before a horizon was learned are judged by it afterwards, those that are still open too, and none is judged too early."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from state.catalog.plan import Plan
from state.duration import DAY, HOUR
from state.event import Event
from state.person.fold import Fold
from state.stuck.estimator import Estimator, new_estimator, restore_estimator
from state.stuck.first_episodes import FirstEpisodes
from state.stuck.observations import BEGUN, CENSORED, COMPLETED, LEFT, WAITING, EpisodeObservation
from state.stuck.parameters import PERIOD, Parameters, ParameterStore, prior
from tests.state.lives import KEYS, START, Life, anonymously, catalog, event, signup

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


def learn(
    estimator: Estimator,
    end: int,
    at: int,
    since: int,
    horizon: int = EXPECTED,
    *,
    guided: bool = False,
    settled: bool = False,
    matured: bool = False,
) -> None:
    estimator.learn(
        EpisodeObservation(
            tenant="t",
            step="connect",
            end=end,
            at=at,
            since=since,
            horizon=horizon,
            lasted=at - since + (end == WAITING),
            guided=guided,
            settled=settled,
            matured=matured,
        )
    )


def crowd(plan: Plan, *, guided_too: bool = False, restart: bool = False, fitted: bool = False) -> Estimator:
    """An estimator that has seen two hundred people, one every hour. Six in ten of them finish within an hour, the others never.

    So nine in ten of those who finish need 54 minutes; the catalog expects two days. ``guided_too``: so many guided people besides, who all
    finish at once. ``fitted``: the catalog has its horizon from a log, and only the hundred people are seen who begin with it.
    """
    rng, events = Random(1), list[tuple[int, int, int, bool]]()
    for number in range(100 if fitted else 200):
        since = BEGIN + number * HOUR
        events.append((since, BEGUN, since, False))
        if number % 10 < 6:
            events.append((since + rng.randrange(HOUR), COMPLETED, since, False))
        if guided_too:
            events += [(since + 1, BEGUN, since + 1, True), (since + 2, COMPLETED, since + 1, True)]
        else:
            events += [(since + 1, BEGUN, since + 1, False), (since + 2, CENSORED, since + 1, False)]
    estimator = new_estimator(plan, "t")
    for number in range(100):  # long ago, judged by the expected horizon: everybody was stuck
        learn(estimator, WAITING, BEGIN - 20 * DAY + number, BEGIN - 20 * DAY + number - EXPECTED, settled=fitted)
    assert estimator.parameters(BEGIN // PERIOD).score.time_alone("connect", 0) > 0.9
    for at, end, since, guided in sorted(events):
        learn(estimator, end, at, since, guided=guided, settled=fitted)
        if restart:
            estimator = restore_estimator(lambda _tenant: plan, estimator.encode())
    return estimator


AFTER = BEGIN // PERIOD + 500


@pytest.mark.parametrize("restart", [False, True])
def test_shares_are_those_of_the_learned_horizon_as_soon_as_there_is_one(restart: bool) -> None:
    parameters = crowd(Plan(catalog()), restart=restart).parameters(AFTER)
    assert "connect" in parameters.settled
    assert parameters.score.time_alone("connect", 0) == pytest.approx(0.46, abs=0.08)
    assert parameters.score.time_alone("connect", 5) == pytest.approx(0.46 / 0.7, abs=0.08), "of those who wait for half of it"


def test_an_expected_horizon_no_longer_says_who_is_stuck() -> None:
    estimator = crowd(Plan(catalog()))
    before = estimator.parameters(AFTER).score.time_alone("connect", 0)
    late = AFTER * PERIOD
    for number in range(100):
        learn(estimator, WAITING, late + number, late + number - EXPECTED)
    assert estimator.parameters(AFTER + 1).score.time_alone("connect", 0) == before


def observed(*, usual: str = "48h") -> Plan:
    """A catalog that was fitted to a log, of a job that guides nobody. Of those who wait for half of ``usual``, nine in ten are stuck."""
    waiting = "waiting: [0.8, 0.9, 0.9, 0.9, 0.9, 0.9]"
    fitted = catalog(change=lambda text: text.replace("usual: 48h\n", f"usual: {usual}\n    {waiting}\n", 1))
    return Plan(fitted.model_copy(update={"observe": True}))


@pytest.mark.parametrize("restart", [False, True])
def test_where_completions_contradict_a_fit_its_shares_go_with_its_horizon(restart: bool) -> None:
    estimator = crowd(observed(), fitted=True, restart=restart)
    parameters = estimator.parameters(AFTER)
    assert parameters.horizons["connect"] < HOUR
    assert parameters.score.time_alone("connect", 0) == pytest.approx(0.46, abs=0.08)
    assert parameters.score.time_alone("connect", 5) == pytest.approx(0.46 / 0.7, abs=0.08), "of those who wait for half of it"
    for number in range(100):  # episodes that began with the horizon of the fit
        learn(estimator, WAITING, AFTER * PERIOD + number, BEGIN + number, settled=True)
    assert estimator.parameters(AFTER + 1).score.time_alone("connect", 0) == pytest.approx(0.46, abs=0.08), "none of them counts twice"


def test_where_completions_agree_with_a_fit_its_shares_are_kept() -> None:
    parameters = crowd(observed(usual="54m"), fitted=True).parameters(AFTER)
    assert parameters.settled["connect"] == 60
    assert parameters.score.time_alone("connect", 5) == pytest.approx(0.9, abs=0.02)


def test_help_changes_nothing_of_what_happens_without() -> None:
    score = crowd(Plan(catalog()), guided_too=True).parameters(AFTER).score
    assert score.time_alone("connect", 0) > 0.35, "a quarter of all are stuck, and nearly half of those without help"


def test_shares_of_a_learned_horizon_are_not_begun_anew() -> None:
    """A horizon may count as learned, then as expected, and as learned again."""
    estimator = new_estimator(Plan(catalog()), "t")
    for number in range(100):
        learn(estimator, WAITING, BEGIN + number, BEGIN + number - HOUR, HOUR, settled=True)
    learn(estimator, BEGUN, BEGIN + DAY, BEGIN + DAY)
    for number in range(100):
        learn(estimator, COMPLETED, BEGIN + DAY + HOUR + number, BEGIN + DAY + number, HOUR, settled=True, matured=True)
    assert estimator.parameters(BEGIN // PERIOD + 51).score.time_alone("connect", 0) > 0.9


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


def test_where_nobody_is_guided_episodes_of_a_fitted_step_are_announced_until_completions_say_how_long_it_takes() -> None:
    plan = observed()
    known, told = prior(plan), [(step, end) for step in ("connect", "invite") for end in (BEGUN, CENSORED)][:3]
    for settled, announced in ((known.settled, told), ({"connect": 60}, told[1:])):
        store, life = ParameterStore(), Life(plan)
        store.receive("t", Parameters(plan, 1, known.horizons, settled, known.score, known.point))
        life.fold = Fold(plan, KEYS, store)
        life.see(signup(), event("identify", HOUR, traits={"persona": "builder"}))
        assert [(each.step, each.end) for each in life.of(EpisodeObservation)] == announced


def test_an_episode_that_is_behind_from_the_beginning_is_not_announced() -> None:
    life = Life()
    life.see(signup(persona="stranger"), event("form_submit", HOUR, form="connect"))
    life.see(event("identify", 2 * HOUR, traits={"persona": "builder"}))
    assert life.person is not None
    assert (life.person.path, life.person.episode is not None and life.person.episode.left) == ("builders", True)
    assert [each.end for each in life.of(EpisodeObservation)] == [LEFT]
