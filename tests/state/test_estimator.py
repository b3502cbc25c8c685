"""What an estimator learns: only from earlier periods, in any order, as much as there is evidence for, and the same after a restart."""

from __future__ import annotations

import itertools
import re
from random import Random

import msgspec
import pytest

from state.catalog.plan import Plan
from state.duration import DAY, HOUR, MINUTE, SECOND
from state.records.facts import StepStatisticFact
from state.stuck import estimator as module
from state.stuck.estimator import ENOUGH_NEW, Estimator, EstimatorError, new_estimator, restore_estimator
from state.stuck.observations import COMPLETED, LEFT, WAITING, EpisodeObservation
from state.stuck.parameters import PERIOD, Parameters, ParameterStore
from state.stuck.row import Row, pack
from state.stuck.score import BUCKETS
from tests.state.lives import START, catalog

PLAN = Plan(catalog())
FIRST = START // PERIOD + 1
_NO_OBSERVATIONS: tuple[object, ...] = ([[]], [1], 1, [["t"] * 7 + [[1]]])


def said(parameters: Parameters) -> tuple[object, ...]:
    """Everything that the fold reads."""
    score = parameters.score
    features = range(0, 4_096, 7)
    return (
        parameters.version,
        parameters.horizons,
        parameters.settled,
        parameters.point,
        dict(score.shares),
        score.trust,
        [score.predict("connect", bucket, [17]) for bucket in range(BUCKETS)],
        [score.weight(each) for each in features],
    )


def ended(
    since: int, lasted: int, horizon: int, *, rows: tuple[Row, ...] = (), end: int = COMPLETED, guided: bool = False
) -> EpisodeObservation:
    return EpisodeObservation(
        tenant="t",
        step="connect",
        end=end,
        at=since + lasted,
        since=since,
        horizon=horizon,
        lasted=lasted,
        rows=rows,
        settled=True,
        guided=guided,
    )


def lessons(rng: Random, days: int) -> list[EpisodeObservation]:
    """Thirty people a day: most within an hour, some of them late, some never."""
    found = []
    for day in range(days):
        for _ in range(30):
            since = FIRST * PERIOD + day * DAY + rng.randrange(DAY)
            lasted = round(rng.expovariate(1 / (20 * MINUTE)))
            row = Row(1, 0.3, rng.uniform(-1, 1), 0.3, pack((rng.randrange(4_096), 17)))
            if rng.random() < 0.2:
                found.append(ended(since, HOUR + 1, HOUR, rows=(row,), end=WAITING))
            else:
                found.append(ended(since, lasted, HOUR, rows=(row,) if lasted > 6 * MINUTE else ()))
    return sorted(found, key=lambda each: each.at)


def test_the_parameters_of_a_period_never_depend_on_what_happens_in_it_nor_on_restarts() -> None:
    plain, broken = new_estimator(PLAN, "t"), new_estimator(PLAN, "t")
    rows: list[list[StepStatisticFact]] = []
    rows_of_broken: list[list[StepStatisticFact]] = []
    for lesson in lessons(Random(1), 6):
        period = lesson.at // PERIOD
        before = said(plain.parameters(period))
        rows.append(plain.learn(lesson))
        assert said(plain.parameters(period)) == before, "a lesson changed the parameters of its own period"
        broken.parameters(period)  # the step that judges people asks first, and may be the last to ask before a snapshot
        broken = restore_estimator(lambda _tenant: PLAN, broken.encode())
        rows_of_broken.append(broken.learn(lesson))
        assert said(broken.parameters(period)) == before
    assert said(plain.parameters(10**6)) == said(broken.parameters(10**6))
    assert any(rows)
    assert rows == rows_of_broken


def test_who_watches_the_operating_point_changes_nothing() -> None:
    watched, store = new_estimator(PLAN, "t"), ParameterStore()
    alone = new_estimator(PLAN, "t")
    store.publish("t", watched)
    assert store.points() == {}
    for lesson in lessons(Random(3), 4):
        for each in (watched, alone):
            each.learn(lesson)
        in_force = store.at(PLAN, "t", lesson.at)
        assert list(store.points().values()) == [in_force.point]
        assert said(in_force) == said(alone.parameters(lesson.at // PERIOD))
    assert watched.encode() == alone.encode()


def test_the_order_within_a_period_does_not_matter() -> None:
    known = lessons(Random(2), 6)
    shuffled = sorted(known, key=lambda each: (each.at // PERIOD, each.lasted, -each.at))
    one, other = new_estimator(PLAN, "t"), new_estimator(PLAN, "t")
    for lesson, another in zip(known, shuffled, strict=True):
        one.learn(lesson)
        other.learn(another)
    assert said(one.parameters(10**6)) == said(other.parameters(10**6))


def test_little_news_changes_nothing_and_enough_does() -> None:
    estimator = new_estimator(PLAN, "t")
    since = FIRST * PERIOD
    for number in range(ENOUGH_NEW - 1):
        estimator.learn(ended(since + number, MINUTE, HOUR))
    assert estimator.parameters(FIRST + 5).version == 0
    estimator.learn(ended(since + PERIOD, MINUTE, HOUR))
    assert estimator.parameters(FIRST + 1).version == 0, "the period of the last lesson has not ended"
    assert estimator.parameters(FIRST + 2).version == FIRST + 2


def test_what_is_published_of_a_step_with_few_completions_is_what_the_catalog_expects_of_that_step() -> None:
    hours = itertools.count(30)
    plan = Plan(catalog(change=lambda text: re.sub("usual: 48h", lambda _: f"usual: {next(hours)}h", text)))
    estimator, since = new_estimator(plan, "t"), FIRST * PERIOD
    for number, step in zip(range(ENOUGH_NEW), itertools.cycle(plan.steps), strict=False):
        estimator.learn(msgspec.structs.replace(ended(since + number, 10 * MINUTE, 20 * MINUTE), step=step, settled=False))
    parameters = estimator.parameters(FIRST + 2)
    published = {row.step_id: row for row in estimator.statistics(parameters)}
    for hour, step in enumerate(plan.steps, 30):
        assert published[step].horizon_ms == pytest.approx(hour * HOUR, rel=1e-6)
        assert published[step].median_ms == pytest.approx(hour * HOUR, rel=1e-6)


def test_the_operating_point_is_kept_until_there_are_enough_new_episodes() -> None:
    estimator, row = new_estimator(PLAN, "t"), (Row(4, 0.9, 0.0, 0.9, pack((17,))),)
    known: list[tuple[int, int]] = []
    for number in range(10 * ENOUGH_NEW):
        since = FIRST * PERIOD + number * HOUR
        estimator.learn(ended(since, 2 * MINUTE, MINUTE, rows=row if number % 2 else (), end=WAITING))
        known.append((number, estimator.parameters(since // PERIOD).point.episodes))
    changes = [number for (number, episodes), (_, before) in zip(known[1:], known, strict=False) if episodes != before]
    assert len(changes) in (4, 5), "every twenty of a hundred episodes with a score"
    assert known[-1][1] >= 80


def test_the_more_past_episodes_there_are_the_more_must_be_new_for_another_operating_point() -> None:
    estimator, row = new_estimator(PLAN, "t"), (Row(4, 0.9, 0.0, 0.9, pack((17,))),)
    known: list[int] = []
    for number in range(1_200):
        since = FIRST * PERIOD + number * HOUR
        estimator.learn(ended(since, 2 * MINUTE, MINUTE, rows=row, end=WAITING))
        known.append(estimator.parameters(since // PERIOD).point.episodes)
    counts = sorted(set(known))
    gaps = [after - before for before, after in itertools.pairwise(counts)][1:-1]  # the last one ends at the thousand that are kept
    # They are learned by twenty: the first multiple of it that is a tenth of all of them.
    assert gaps == [next(new for new in range(20, 200, 20) if new >= (count + new) // 10) for count in counts[1:-2]]
    assert gaps[-1] == 100


def test_the_first_settled_horizon_of_a_step_gives_another_operating_point_at_once() -> None:
    estimator, row = new_estimator(PLAN, "t"), (Row(4, 0.9, 0.0, 0.9, pack((17,))),)
    known: dict[int, int] = {}
    for number in range(660):
        since = FIRST * PERIOD + number * HOUR
        lesson = ended(since, 2 * MINUTE, MINUTE, rows=row, end=WAITING)
        estimator.learn(lesson if number == 620 else msgspec.structs.replace(lesson, settled=False))
        known[number] = estimator.parameters(since // PERIOD).point.episodes
    assert known[641] > known[620], "twenty are not a tenth, but the horizon of one was settled"


def test_people_who_complete_teach_the_score_no_sooner_than_those_who_do_not() -> None:
    """Right after they began only fast completions are known. Learned at once, they would say that nobody is ever stuck."""
    estimator, horizon = new_estimator(PLAN, "t"), 4 * DAY
    row = (Row(1, 0.5, 0.0, 0.5, pack((17,))),)
    since = FIRST * PERIOD
    for number in range(60):
        estimator.learn(ended(since + number, HOUR, horizon, rows=row))
    assert estimator.parameters(FIRST + 1).score.time_alone("connect", 1) == 0.5
    for number in range(60):
        estimator.learn(ended(since + number, horizon + 1, horizon, rows=row, end=WAITING))
    assert estimator.parameters(FIRST + 40).score.time_alone("connect", 1) == pytest.approx(0.5, abs=0.06)


def test_an_episode_whose_horizon_ends_at_a_boundary_is_learned_from_there() -> None:
    row = (Row(1, 0.5, 0.0, 0.5, pack((17,))),)
    for horizon, learned in ((PERIOD, True), (PERIOD + 1, False)):
        estimator = new_estimator(PLAN, "t")
        for _ in range(60):
            estimator.learn(ended(FIRST * PERIOD, MINUTE, horizon, rows=row))
        assert (estimator.parameters(FIRST + 1).score.time_alone("connect", 1) < 0.5) is learned


def test_a_step_that_was_left_is_no_completion_and_nobody_who_left_it_was_stuck() -> None:
    estimator, since = new_estimator(PLAN, "t"), FIRST * PERIOD
    for number in range(60):
        estimator.learn(ended(since + number, 10 * MINUTE, 20 * MINUTE, rows=(Row(1, 0.5, 0.0, 0.5, pack((17,))),), end=LEFT))
    parameters = estimator.parameters(FIRST + 5)
    assert parameters.horizons["connect"] == 2 * DAY, "the catalog's"
    assert parameters.score.time_alone("connect", 1) < 0.1


def test_waiting_episodes_are_thinned_fairly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 200)
    rng, horizon = Random(5), 30 * DAY
    estimator = new_estimator(PLAN, "t")
    people = [(FIRST * PERIOD + number * MINUTE, rng.random() < 0.3) for number in range(3_000)]
    row = (Row(1, 0.5, 0.0, 0.5, pack((17,))),)
    ends = [ended(since, horizon + 1 if stuck else DAY, horizon, rows=row, end=WAITING if stuck else COMPLETED) for since, stuck in people]
    for each in sorted(ends, key=lambda each: each.at):
        estimator.learn(each)
    parameters = estimator.parameters(FIRST + 400)
    assert len(estimator._state.waiting) <= 200
    assert parameters.score.time_alone("connect", 1) == pytest.approx(0.3, abs=0.12)
    assert len(estimator.encode()) < 200_000


@pytest.mark.parametrize("a_day", [5, 20, 100])
@pytest.mark.parametrize("usual", ["1h", "60d"])
def test_fast_steps_have_their_true_horizon_whatever_the_catalog_expects(a_day: int, usual: str) -> None:
    plan = Plan(catalog(change=lambda text: text.replace("usual: 48h", f"usual: {usual}")))
    estimator = new_estimator(plan, "t")
    store = ParameterStore()
    store.publish("t", estimator)
    for number in range(60 * a_day):
        if number % 20:
            since = FIRST * PERIOD + number * DAY // a_day
            horizon = store.at(plan, "t", since).horizons["connect"]
            estimator.learn(ended(since, (20 + number % 20) * SECOND, horizon))
    later = store.at(plan, "t", FIRST * PERIOD + 61 * DAY)
    assert later.horizons["connect"] == pytest.approx(37.2 * SECOND, rel=0.1)
    assert later.lookahead <= 2 * SECOND


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x91\x01",
        b"not msgpack",
        *(msgspec.msgpack.encode([2, "t", {}, [], [], {}, [], -1, fresh]) for fresh in _NO_OBSERVATIONS),
    ],
)
def test_a_damaged_snapshot_is_refused_in_words(damaged: bytes) -> None:
    with pytest.raises(EstimatorError, match=r"damaged|version"):
        restore_estimator(lambda _tenant: PLAN, damaged)


def test_a_snapshot_of_another_release_is_refused_in_words() -> None:
    version, *rest = msgspec.msgpack.decode(Estimator(PLAN, new_estimator(PLAN, "t")._state).encode())
    with pytest.raises(EstimatorError, match=r"this release reads .*newer release: upgrade"):
        restore_estimator(lambda _tenant: PLAN, msgspec.msgpack.encode([version + 1, *rest]))


def test_a_batch_reaches_no_further_than_the_shortest_lookahead_of_all_catalogs() -> None:
    hasty = Plan(catalog(change=lambda text: re.sub(r"usual: \w+", "usual: 2m", text)))
    store = ParameterStore()
    assert store.lookahead((hasty,), 0) < store.lookahead((PLAN,), 0)
    assert store.lookahead((PLAN, hasty), 0) == store.lookahead((hasty, PLAN), 0) == store.lookahead((hasty,), 0)
    assert store.at(PLAN, "a", 0).horizons != store.at(hasty, "b", 0).horizons, "two catalogs of one version have priors of their own"
