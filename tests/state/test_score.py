"""The score on made-up episodes whose truth is known: calibrated, cautious while it knows little, and no alarm beyond what was asked."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.catalog.plan import Plan
from state.stuck.score import LAST_CHECKPOINT, Levels, Model, checkpoint_of, fit, prior_model, unpack
from tests.state.lives import catalog

PLAN = Plan(catalog())


def episode(rng: Random) -> tuple[str, Levels, float]:
    """What somebody looks like at the last checkpoint, and how probable it is that they are stuck."""
    step, silence, errors, visits = rng.choice(["connect", "explore"]), rng.randrange(5), rng.choice([0, 0, 0, 1, 3]), rng.randrange(3)
    logit = -0.5 + 0.7 * silence + {0: 0.0, 1: 0.5, 3: 2.0}[errors] - 0.4 * visits + (0.5 if step == "explore" else 0.0)
    return step, Levels(LAST_CHECKPOINT, silence, errors=errors, visits=visits), 1.0 / (1.0 + math.exp(-logit))


def learned(count: int, seed: int) -> Model:
    rng = Random(seed)
    cells: defaultdict[str, dict[int, tuple[float, float]]] = defaultdict(dict)
    for _ in range(count):
        step, levels, rate = episode(rng)
        row = levels.pack()
        made_it, did_not = cells[step].get(row, (0.0, 0.0))
        stuck = rng.random() < rate
        cells[step][row] = (made_it + (not stuck), did_not + stuck)
    return fit(PLAN, cells)


TOPS = (4, 4, 4, 2, 3, 2, 7, 4, 3, 2, 7, 1)


@given(st.tuples(*(st.integers(0, top) for top in TOPS)), st.integers(0, 2))
def test_a_row_is_one_number_and_reads_back(drawn: tuple[int, ...], flag: int) -> None:
    levels = Levels(*drawn)
    packed = levels.pack(flag)
    assert packed < 2**32
    assert unpack(packed) == (flag, list(levels.groups()))
    assert checkpoint_of(packed) == levels.checkpoint


def test_scores_are_frequencies() -> None:
    model, rng = learned(6_000, 1), Random(2)
    found: defaultdict[int, list[tuple[float, bool]]] = defaultdict(list)
    for _ in range(20_000):
        step, levels, rate = episode(rng)
        score = model.score(step, levels)
        found[int(10 * score)].append((score, rng.random() < rate))
    for pairs in found.values():
        if len(pairs) >= 300:
            scored, happened = (sum(each) / len(pairs) for each in zip(*pairs, strict=True))
            assert happened == pytest.approx(scored, abs=0.06)


def test_the_alarms_are_right_as_often_as_asked_and_find_most() -> None:
    model, rng = learned(6_000, 3), Random(4)
    alarms = right = stuck = 0
    for _ in range(20_000):
        step, levels, rate = episode(rng)
        happened = rng.random() < rate
        stuck += happened
        if model.score(step, levels) >= model.last:
            alarms, right = alarms + 1, right + happened
    assert right / alarms == pytest.approx(0.91, abs=0.025)
    assert right / stuck > 0.4


def test_a_higher_precision_asks_for_a_higher_threshold() -> None:
    cells = {"connect": {Levels(LAST_CHECKPOINT, silence).pack(): (20.0 - 4 * silence, 20.0 + 20 * silence) for silence in range(5)}}
    strict = Plan(catalog(change=lambda text: text.replace("triggers:", "triggers:\n  precision: 0.97")))
    assert fit(strict, cells).last > fit(PLAN, cells).last


@pytest.mark.parametrize(
    "levels",
    [
        Levels(0, 0, errors=3, last=3),
        Levels(0, 0, rage=1, activity=1, last=2),
        Levels(0, 0, circles=1, activity=2, last=1),
        Levels(1, 0, slow=1, activity=7, last=1),
        Levels(LAST_CHECKPOINT, 4),
    ],
)
def test_on_the_first_day_each_threshold_of_the_catalog_is_an_alarm_by_itself(levels: Levels) -> None:
    model = prior_model(PLAN)
    assert model.score("connect", levels) >= (model.last if levels.checkpoint == LAST_CHECKPOINT else model.early)


def test_on_the_first_day_little_evidence_is_none() -> None:
    model = prior_model(PLAN)
    for levels in (Levels(0, 0), Levels(2, 2, activity=1, last=1), Levels(1, 0, errors=1, last=3), Levels(3, 4)):
        assert model.score("connect", levels) < model.early


def test_the_parts_add_up_to_the_score() -> None:
    model = learned(500, 5)
    levels, nothing = Levels(LAST_CHECKPOINT, 3, errors=3, visits=1), Levels(LAST_CHECKPOINT, 0)

    def logit(score: float) -> float:
        return math.log(score / (1.0 - score))

    assert sum(model.parts(levels).values()) == pytest.approx(
        logit(model.score("connect", levels)) - logit(model.score("connect", nothing))
    )
    assert json.loads(json.dumps(model.weights()))["lastThreshold"] == round(model.last, 4)
