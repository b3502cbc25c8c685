"""The truth about stuck people, on episodes made by hand."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import polars as pl
import pytest

from benchmarks.stuck.frontier import (
    ALARMS,
    NEVER,
    SCORES,
    alarm_figures,
    average_precision,
    binomial_interval,
    calibration,
    earliest_timeout,
    episodes,
    episodes_of,
    frontier,
    horizon_figures,
    time_alone,
    waiting,
)
from state.catalog.parse import parse
from state.catalog.plan import Plan
from state.duration import MINUTE
from state.stuck.observations import BEGUN, CENSORED, COMPLETED, LEFT, EpisodeObservation
from tests.state.lives import START, Life, signup, track

STEPS = {"a": "a done", "b": "b done"}
HOUR = 3_600_000
Lived = tuple[int, dict[str, int]]


def log(lives: dict[str, Lived], until: int, steps: Mapping[str, str] = MappingProxyType(STEPS)) -> list[bytes]:
    """Return the events of ``lives``: person -> (begin, step -> completion), in seconds, and one of a stranger at ``until``."""
    events = [(begin, who, "signup", "") for who, (begin, _) in lives.items()]
    events += [(at, who, "track", steps[step]) for who, (_, done) in lives.items() for step, at in done.items()]
    events.append((until, "stranger", "page_view", ""))
    return [
        json.dumps(
            {"userId": who, "eventType": kind, "name": name, "timestamp": datetime.fromtimestamp(at, UTC).isoformat(), "payload": {}}
        ).encode()
        for at, who, kind, name in sorted(events)
    ]


def crowd(count: int = 100, *, every: int = 10, took: int = 1, name: str = "p", begin: int = 0) -> dict[str, Lived]:
    """People who begin ``every`` so many seconds; the n-th completes ``a`` after ``took`` · (n modulo 10 + 1) seconds."""
    return {f"{name}{n}": (begin + n * every, {"a": begin + n * every + took * (n % 10 + 1)}) for n in range(count)}


def test_the_horizon_is_the_ninetieth_percentile_of_the_completions_known_by_then() -> None:
    found = episodes(log(crowd(), 10_000), STEPS)
    assert found.filter(step_id="a")["user_id"].to_list()[0] == "p51", "p49, with its ten seconds, ends when p50 begins: not known yet"
    assert found.filter(user_id="p60", step_id="a")["horizon"].item() == 9_000, "of 59 known completions five took ten seconds"


def test_the_last_two_hundred_completions_count() -> None:
    slow = crowd(210, took=60, name="slow", every=1_000, begin=10_000)
    found = episodes(log(crowd(500) | slow, 10_000_000), {"a": "a done"})
    assert found.filter(user_id="p499")["horizon"].item() < 10_000
    assert found.filter(user_id="slow209")["horizon"].item() > 500_000


def test_stuck_is_who_neither_completed_nor_left_within_the_horizon() -> None:
    lives = crowd() | {
        "never": (2_000, {}),
        "late": (2_000, {"a": 2_100}),
        "in time": (2_000, {"a": 2_009}),
        "left": (2_000, {"b": 2_005}),
        "left late": (2_000, {"b": 2_100}),
    }
    found = episodes(log(lives, 10_000), STEPS).filter(step_id="a")
    stuck = dict(zip(found["user_id"], found["stuck"], strict=True))
    assert {who: stuck[who] for who in lives if not who.startswith("p")} == {
        "never": True,
        "late": True,
        "in time": False,
        "left": False,
        "left late": True,
    }


def test_leaving_is_no_completion_of_the_step() -> None:
    leavers = {f"l{n}": (2_000 + n, {"b": 4_000 + n}) for n in range(100)}
    found = episodes(log(crowd() | leavers | {"last": (5_000, {})}, 10_000), STEPS)
    assert found.filter(user_id="last", step_id="a")["horizon"].item() < 10_000


def test_a_step_done_ahead_of_its_turn_has_no_episode_and_the_next_step_begins_with_the_completion() -> None:
    both = {f"p{n}": (n * 10, {"a": n * 10 + 2, "b": n * 10 + 6}) for n in range(120)}
    ahead = {"ahead": (3_000, {"b": 3_001, "a": 3_002})}
    found = episodes(log(both | ahead, 10_000), STEPS)
    assert found.filter(user_id="ahead")["step_id"].to_list() == ["a"]
    assert found.filter(user_id="ahead")["left"].item() == 3_001_000
    last = found.filter(user_id="p119", step_id="b")
    assert (last["onset"].item(), last["horizon"].item()) == (1_192_000, 4_000)


def test_who_skips_an_optional_step_is_then_at_the_next_one_that_is_open() -> None:
    """``at b`` skips a and is at b from then on; who did b by skipping a was never at it, nor who skipped a and b at once."""
    usual = {f"p{n}": (n * 10, {"a": n * 10 + 2, "b": n * 10 + 6, "c": n * 10 + 7}) for n in range(120)}
    lives = usual | {"skips a": (1_100, {"b": 1_101, "c": 1_109}), "skips both": (1_100, {"c": 1_103}), "at b": (1_100, {"a": 1_102})}
    steps = {"a": "a done", "b": "b done", "c": "c done"}
    lines = log(lives, 10_000, steps)
    found = episodes(lines, steps, optional=("a", "b"))
    ends = {
        (row["user_id"], row["step_id"]): (row["onset"], min(row["done"], row["left"]), row["stuck"])
        for row in found.filter(~pl.col("user_id").str.starts_with("p")).iter_rows(named=True)
    }
    assert ends == {
        ("skips a", "a"): (1_100_000, 1_101_000, False),
        ("skips a", "c"): (1_101_000, 1_109_000, True),
        ("skips both", "a"): (1_100_000, 1_103_000, True),
        ("at b", "a"): (1_100_000, 1_102_000, False),
        ("at b", "b"): (1_102_000, NEVER, True),
    }
    assert {step for who, step in zip(found["user_id"], found["step_id"], strict=True) if who == "at b"} == {"a", "b"}
    needed = episodes(lines, steps).filter(pl.col("user_id") == "skips a")
    assert needed["step_id"].to_list() == ["a"], "a step that is needed holds up the rest"


def test_an_activated_person_is_at_no_step() -> None:
    usual = {f"p{n}": (n * 10, {"a": n * 10 + 2, "b": n * 10 + 6}) for n in range(120)}
    lives = usual | {"activated at a": (1_100, {"c": 1_101}), "activated at b": (1_100, {"a": 1_102, "c": 1_103})}
    steps = {"a": "a done", "b": "b done", "c": "c done"}
    lines = log(lives, 10_000, steps)

    def found(*activates: set[str], steps: Mapping[str, str] = MappingProxyType(steps)) -> dict[tuple[str, str], tuple[int, int]]:
        frame = episodes(lines, steps, optional=("b", "c"), activates=activates)
        rows = frame.filter(~pl.col("user_id").str.starts_with("p")).iter_rows(named=True)
        return {(row["user_id"], row["step_id"]): (row["done"] // 1_000, row["left"] // 1_000) for row in rows if row["step_id"] != "c"}

    never = NEVER // 1_000
    at_a = {("activated at a", "a"): (never, 1_101), ("activated at b", "a"): (1_102, never)}
    at_b = {("activated at b", "b"): (never, 1_103)}
    assert found({"a"}) == at_a
    assert found({"c"}) == found({"c"}, {"a"}) == found() == at_a | at_b
    assert found({"a", "c"}) == at_a, "one of a group is enough"
    assert found({"d"}) == found({"d"}, {"a"}) == at_a | at_b, "what completes d is not known"


def engine_episodes(steps: Mapping[str, bool], activates: Sequence[str], times: Mapping[str, int]) -> list[tuple[str, int, int, bool]]:
    """What the fold says of one person who begins at 0: step, onset, end and whether it was left, for each episode."""
    lines = (
        f"  - {{id: {step}, title: {step}, optional: {optional}, complete: [{{type: track, name: {step}}}]}}"
        for step, optional in steps.items()
    )
    path = f"  - {{id: p, title: p, steps: [{', '.join(steps)}], activated_by: [{', '.join(activates)}]}}"
    text = "\n".join(["id: x", "version: 1", "product: x", "observe: true", "steps:", *lines, "paths:", path, ""])
    life = Life(Plan(parse(text, "x.yaml")))
    life.see(signup(), *(track(step, times[step]) for step in sorted(times, key=lambda step: times[step])))
    found: dict[str, tuple[str, int, int, bool]] = {}
    for each in life.of(EpisodeObservation):
        since = each.since - START
        if each.end == BEGUN:
            found[each.step] = (each.step, since, NEVER, False)
        elif each.step in found:  # censored is who was activated elsewhere
            assert each.end in {COMPLETED, LEFT, CENSORED}
            end = each.at - START if each.end == CENSORED else since + each.lasted
            found[each.step] = (each.step, since, end, each.end != COMPLETED)
    return list(found.values())


def test_the_episodes_are_those_of_the_engine() -> None:
    """Random lives in random catalogs, with optional steps, activation anywhere on the path and events of the same time."""
    chance = random.Random(11)
    ends = Counter[str]()
    for number in range(500):
        names = "abcde"[: chance.randrange(2, 6)]
        steps = {step: chance.random() < 0.5 for step in names}
        activates = chance.sample(names, chance.choice((1, 1, 2)))
        drawn = {step: chance.randrange(1, 6 if number % 2 else 1_000) * MINUTE for step in names if chance.random() < 0.7}
        times = [drawn.get(step, NEVER) for step in names]
        rows = list(episodes_of("u", 0, times, steps, [{step} for step in activates]))
        mine = [(step, onset, min(done, left), left < NEVER) for _, step, onset, done, left in rows]
        engine = engine_episodes(steps, activates, drawn)
        assert mine == engine, (steps, activates, drawn)
        ends.update("open" if end == NEVER else "left" if left else "completed" for _, _, end, left in engine)
        ends["activated"] += all(step in drawn for step in activates) and len(drawn) > len(activates)
    assert min(ends[what] for what in ("open", "left", "completed", "activated")) >= 50, ends


def test_an_episode_without_the_horizon_of_follow_up_is_not_scored() -> None:
    lives = crowd() | {"followed": (5_000, {}), "not followed": (5_008, {})}
    found = episodes(log(lives, 5_010), STEPS)
    assert {"followed", "not followed"} & set(found["user_id"]) == {"followed"}


def some(rows: list[tuple[str, int, int, int]]) -> pl.DataFrame:
    """Return episodes of one step: (person, onset, lasted, horizon)."""
    return pl.DataFrame(
        [(who, "a", onset, onset + lasted, NEVER, horizon, lasted > horizon) for who, onset, lasted, horizon in rows],
        schema={
            "user_id": pl.String,
            "step_id": pl.String,
            "onset": pl.Int64,
            "done": pl.Int64,
            "left": pl.Int64,
            "horizon": pl.Int64,
            "stuck": pl.Boolean,
        },
        orient="row",
    )


def test_waiting_are_those_who_lasted_longer() -> None:
    found = waiting(some([("x", 0, 100, 1_000), ("y", 5, 101, 1_000), ("z", 5, 5_000, 1_000)]), 0.1)
    assert list(zip(found["user_id"], found["at"], strict=True)) == [("y", 105), ("z", 105)]


def test_time_alone_knows_only_episodes_whose_horizon_has_passed() -> None:
    people = waiting(some([("stuck", 0, 9_000, 1_000), ("soon", 900, 9_000, 1_000), ("later", 1_000, 600, 1_000)]), 0.1)
    first, soon, later = time_alone(people)
    assert first == 0.5
    assert soon == pytest.approx((0.5 * 0.5**0.005 + 1) / (0.5**0.005 + 1)), "at 1,000 the first episode has just ended"
    assert later == soon, "at 1,100 the second has not"


def test_average_precision() -> None:
    stuck = np.array([True, True, False, False])
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), stuck) == 1
    assert average_precision(np.array([1.0, 2.0, 3.0, 4.0]), stuck) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert average_precision(np.ones(4), stuck) == 0.5, "a tie is one group, in whatever order"
    assert average_precision(np.ones(4), ~stuck | stuck & False) == 0.5
    assert average_precision(np.ones(4), np.zeros(4, dtype=bool)) == 0


def test_calibration_tells_right_from_exaggerated_probabilities() -> None:
    rng = np.random.default_rng(5)
    truth = rng.uniform(0.1, 0.9, 20_000)
    stuck = rng.random(20_000) < truth
    right, wrong = calibration(truth, stuck), calibration(np.clip(1.5 * truth - 0.25, 0, 1), stuck)
    assert right is not None
    assert wrong is not None
    assert right.error < 0.02
    assert right.inside >= 0.8
    assert wrong.error > 0.08
    assert wrong.inside <= 0.4
    assert right.smallest == 2_000
    assert calibration(truth[:9], stuck[:9]) is None


def test_binomial_interval() -> None:
    assert binomial_interval(10, 0.5) == (2, 8)
    assert binomial_interval(1_000, 0.1) == (82, 119)
    assert binomial_interval(10, 0.0) == (0, 0)
    assert binomial_interval(10, 1.0) == (10, 10)
    assert binomial_interval(3, 0.001) == (0, 0)


def test_the_first_alarm_counts_and_only_within_half_of_the_horizon() -> None:
    frame = some([(who, 0, 9_000, 1_000) for who in ("right", "late", "early", "twice", "none")] + [("fine", 0, 700, 1_000)])
    alarms = pl.DataFrame(
        [("right", 200), ("late", 501), ("early", -1), ("twice", 700), ("twice", 100), ("fine", 100), ("unknown", 5)],
        schema=["user_id", "at"],
        orient="row",
    ).select("user_id", step_id=pl.lit("a"), at=pl.col("at"))
    found = alarm_figures(frame, alarms, pl.DataFrame(schema=SCORES), asked=0.9)
    assert (found["alarms"], found["late"], found["early"], found["late_but_stuck"]) == (5, 1, 1, 1)
    assert found["precision"] == 2 / 5
    assert found["recall"] == 2 / 5
    assert found["lead"] == pytest.approx(0.85)
    assert found["reachable"] is False
    assert alarm_figures(frame, pl.DataFrame(schema=ALARMS), pl.DataFrame(schema=SCORES), asked=0.9)["precision"] is None


def test_a_precision_is_reachable_if_some_threshold_has_it_with_enough_alarms() -> None:
    frame = some([(f"s{n}", 0, 9_000, 1_000) for n in range(60)] + [(f"f{n}", 0, 700, 1_000) for n in range(60)])
    scores = frame.select(
        "user_id", "step_id", share=pl.lit(0.1), score=pl.when(pl.col("stuck") & (pl.int_range(pl.len()) < 40)).then(0.9).otherwise(0.4),
        horizon_ms=pl.lit(1_000.0),
    )  # fmt: skip
    found = alarm_figures(frame, pl.DataFrame(schema=ALARMS), scores, asked=0.9)
    assert found["best_recall"] == pytest.approx(40 / 60)
    few = scores.with_columns(score=pl.when(pl.int_range(pl.len()) < 20).then(0.9).otherwise(0.4))
    assert alarm_figures(frame, pl.DataFrame(schema=ALARMS), few, asked=0.9)["best_recall"] is None


def test_the_earliest_timeout_of_a_precision() -> None:
    frame = some([("s", 0, 9_000, 1_000), ("f", 0, 300, 1_000), ("g", 0, 700, 1_000)])
    assert earliest_timeout(frame, 0.3) == 0.01
    assert earliest_timeout(frame, 0.5) == 0.3
    assert earliest_timeout(frame, 0.6) is None


def test_the_frontier_compares_on_those_who_have_a_score() -> None:
    frame = some([(f"s{n}", n * 10, 9_000, 1_000) for n in range(20)] + [(f"f{n}", n * 10 + 5, 700, 1_000) for n in range(20)])
    scores = frame.head(30).select(
        "user_id", "step_id", share=pl.lit(0.1), score=pl.col("stuck").cast(pl.Float64), horizon_ms=pl.lit(1_500.0)
    )
    first, *others = frontier(frame, scores)
    assert (first["waiting"], first["stuck"], first["timeout"], first["scored"]) == (40, 20, 0.5, 0.75)
    assert first["engine"] == 1
    assert first["time_alone"] < 0.9
    assert (first["calibration_error"], first["bins_inside"]) == (0, 1)
    assert first["time_alone_error"] > 0.1
    assert all(row["engine"] is None and row["scored"] == 0 for row in others)
    assert horizon_figures(frame, scores) == {"ratio": pytest.approx(1.5), "error": pytest.approx(0.5)}
    assert horizon_figures(frame, scores.clear()) == {"ratio": None, "error": None}
