"""The score: the probability that a person will not complete the step within its horizon without help, given the evidence so far.

The evidence is put into *groups* of *levels* (``Levels``), and

    logit(score) = intercept + sum over the groups of the effect of its level + the effect of the step

is fitted to counted cells by the hierarchical regression of ``state/logistic_regression.py``. The cells are those of people without
guidance at checkpoints of elapsed time, so a score is a frequency: the share of people with the same levels who did not complete the step.
Before there are data, *prior cells*, one for each level, make the catalog's thresholds raise an alarm. Their weight decreases with the
number of observations.

The threshold at the last checkpoint is the smallest at which the expected precision of the alarms, those raised earlier included, reaches
the catalog's ``precision``. Before the last checkpoint the threshold is at least ``EARLY`` above that precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np

from state import logistic_regression
from state.catalog.plan import Plan
from state.duration import MINUTE

CHECKPOINTS: Final = 5
"""Quarters of the time up to the deadline that have passed: 0, 1, 2, 3, and 4 for the deadline itself."""
SILENCE_LEVELS: Final = 5
"""Levels of the time since the last event, as a share of the time up to the deadline. ``SILENT_FROM`` are their boundaries."""
SILENT_FROM: Final = (1 / 16, 1 / 4, 1 / 2, 3 / 4)

ACTIVITY_LEVELS: Final = 8
"""Levels of active time since the last progress: 0 for none, then up to each of ``ACTIVE_FROM``, and beyond."""
ACTIVE_FROM: Final = tuple(MINUTE * minutes for minutes in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0))
LAST_EVENTS: Final = 5
"""The last event: 0 none since the step became current, 1 a page view, 2 a click, 3 an error, 4 any other."""

LAST_CHECKPOINT: Final = CHECKPOINTS - 1
OPEN, ALARMED, RAISING = 0, 1, 2
"""Flag of a row: no alarm in the episode so far, an earlier alarm, or the alarm was raised at this row."""

_SIZES: Final = (CHECKPOINTS * SILENCE_LEVELS, 5, 3, 4, 3, ACTIVITY_LEVELS * LAST_EVENTS, 4, 3, 8, 2)
_BITS: Final = (5, 3, 2, 2, 2, 6, 2, 2, 3, 1)
_SPREADS: Final = (1.0, 1.5, 1.5, 1.5, 1.5, 1.0, 0.6, 0.5, 0.5, 0.3)
_STEP_SPREAD: Final = 0.7
_FLAGS: Final = 2

PARTS: Final = ("silence", "errors", "rageClicks", "circles", "slow", "activity", "visits", "touches", "hour", "guided")

_RATE: Final = 0.5
_RATE_WEIGHT: Final = 4.0
_PRIOR_CELL_WEIGHT: Final = 8.0
"""Weight of a prior cell in observations, before there are data."""
_PRIOR_HALVED_AT: Final = 200.0
"""Observations at which that weight is halved."""
_FIRST_THRESHOLD: Final = 0.6
"""Threshold while there are too few data to calculate one."""
_MIN_THRESHOLD_WEIGHT: Final = 40.0
"""Weight at the last checkpoint from which on thresholds are calculated."""
MARGIN: Final = 0.015
"""By how much the expected precision must exceed the catalog's: scores are estimates, and selecting the highest ones overestimates them
slightly."""
EARLY: Final = 0.01

_CHECKPOINT: Final = (-0.8, -0.8, -0.7, -0.6, 0.2)
_SILENCE: Final = (-0.2, 0.0, 0.2, 0.5, 1.2)
_ACTIVITY: Final = (-0.4, -0.3, -0.1, 0.3, 0.4, 0.3, 0.0, -0.1)
_LAST: Final = (-0.2, 0.1, 0.0, 0.5, -0.2)
_PRIOR_EFFECTS: Final[tuple[tuple[float, ...], ...]] = (
    tuple(checkpoint + silence for checkpoint in _CHECKPOINT for silence in _SILENCE),
    (0.0, 0.2, 0.4, 3.0, 3.2),
    (0.0, 3.0, 3.2),
    (0.0, 3.0, 3.2, 3.4),
    (0.0, 3.0, 3.2),
    tuple(activity + last for activity in _ACTIVITY for last in _LAST),
    (0.1, 0.0, 0.0, 0.0),
    (0.1, 0.0, 0.0),
    (0.0,) * 8,
    (0.0, 0.0),
)
"""Prior effect of each level, in logits."""
_PRIOR_SCALE: Final = 2.0
"""Factor on the effects in prior cells: it compensates for the shrinkage of the fit."""


class Levels(NamedTuple):
    """The evidence on a person at a step, in levels.

    - ``errors``: 0 none, 1 some, 2 the catalog's count but over a longer time, 3 the count within its window, 4 twice that.
    - ``rage`` and ``circles``: how often the catalog's threshold was reached.
    - ``slow``: 1 when the step has become slow, 2 after twice that time.
    - ``activity`` and ``last``: active time since the last progress, and the last event.
    - ``visits``: sessions begun since the step became current.
    - ``touches``: events at the step: 0, 1 or 2, more.
    - ``hour``: of the last event, local time, in steps of three.
    - ``guided``: 1 for people who are not held out; a score is always computed for 0.
    """

    checkpoint: int
    silence: int
    errors: int = 0
    rage: int = 0
    circles: int = 0
    slow: int = 0
    activity: int = 0
    last: int = 0
    visits: int = 0
    touches: int = 0
    hour: int = 0
    guided: int = 0

    def groups(self) -> tuple[int, ...]:
        """The level of each group. Checkpoint and silence form one group, and so do activity and the last event."""
        return (
            self.checkpoint * SILENCE_LEVELS + self.silence,
            self.errors,
            self.rage,
            self.circles,
            self.slow,
            self.activity * LAST_EVENTS + self.last,
            self.visits,
            self.touches,
            self.hour,
            self.guided,
        )

    def pack(self, flag: int = OPEN) -> int:
        """Pack the levels and ``flag`` into a number of 30 bits."""
        packed = flag
        shift = _FLAGS
        for bits, level in zip(_BITS, self.groups(), strict=True):
            packed |= level << shift
            shift += bits
        return packed


def unpack(packed: int) -> tuple[int, list[int]]:
    """The flag and the levels of the groups."""
    flag = packed & (1 << _FLAGS) - 1
    packed >>= _FLAGS
    levels = []
    for bits in _BITS:
        levels.append(packed & (1 << bits) - 1)
        packed >>= bits
    return flag, levels


def checkpoint_of(packed: int) -> int:
    """The checkpoint of a packed row."""
    return (packed >> _FLAGS & (1 << _BITS[0]) - 1) // SILENCE_LEVELS


Cells = Mapping[str, Mapping[int, tuple[float, float]]]
"""Step → packed row → weight of the episodes completed within the horizon, and of the others."""


class Model:
    """A fitted score with its thresholds. Immutable."""

    __slots__ = ("_effects", "_steps", "early", "intercept", "last", "weight")

    def __init__(
        self, intercept: float, effects: list[list[float]], steps: dict[str, float], early: float, last: float, weight: float
    ) -> None:
        """Called by ``fit``. ``early`` and ``last`` are the thresholds before and at the last checkpoint."""
        self.intercept, self._effects, self._steps = intercept, effects, steps
        self.early, self.last, self.weight = early, last, weight

    def score(self, step: str, levels: Levels) -> float:
        """The probability that the step will not be completed within its horizon."""
        return _sigmoid(self.intercept + self._steps.get(step, 0.0) + sum(self._effects_of(levels)))

    def parts(self, levels: Levels) -> dict[str, float]:
        """What each part of the evidence adds, in logits, compared with no evidence at the same checkpoint."""
        nothing = self._effects_of(Levels(levels.checkpoint, 0, hour=levels.hour))
        return {name: added - none for name, added, none in zip(PARTS, self._effects_of(levels), nothing, strict=True)}

    def _effects_of(self, levels: Levels) -> list[float]:
        return [effects[level] for effects, level in zip(self._effects, levels.groups(), strict=True)]

    def weights(self) -> dict[str, object]:
        """The coefficients, rounded, for analysts."""
        return {
            "intercept": round(self.intercept, 3),
            **{name: [round(effect, 3) for effect in effects] for name, effects in zip(PARTS, self._effects, strict=True)},
            "steps": {step: round(effect, 3) for step, effect in self._steps.items()},
            "earlyThreshold": round(self.early, 4),
            "lastThreshold": round(self.last, 4),
        }


def prior_model(plan: Plan) -> Model:
    """The score before there are data."""
    return fit(plan, {})


def fit(plan: Plan, cells: Cells) -> Model:
    """Fit the score to the cells and calculate its thresholds. Depends only on its arguments."""
    steps = list(plan.steps)
    numbers = {step: number for number, step in enumerate(steps)}
    rows: list[list[int]] = []
    won: list[float] = []
    lost: list[float] = []
    flags: list[int] = []
    for step in steps:
        for packed, (in_time, too_late) in sorted(cells.get(step, {}).items()):
            flag, levels = unpack(packed)
            rows.append([*levels, numbers[step]])
            won.append(too_late)
            lost.append(in_time)
            flags.append(flag)
    seen = sum(won) + sum(lost)
    prior = list(_prior_cells(_PRIOR_CELL_WEIGHT / (1.0 + seen / _PRIOR_HALVED_AT)))
    groups = [logistic_regression.Group(size, spread) for size, spread in zip(_SIZES, _SPREADS, strict=True)]
    found = logistic_regression.fit(
        [*groups, logistic_regression.Group(len(steps), _STEP_SPREAD)],
        [*rows, *(levels for levels, _, _ in prior)],
        [*won, *(failures for _, failures, _ in prior)],
        [*lost, *(successes for _, _, successes in prior)],
        rate=_RATE,
        weight=_RATE_WEIGHT,
    )
    effects: list[list[float]] = []
    start = 1
    for size in _SIZES:
        effects.append(found.effects[start : start + size].tolist())
        start += size
    intercept = float(found.effects[0])
    step_effects = dict(zip(steps, found.effects[start:].tolist(), strict=True))
    precision = plan.triggers.precision
    early, last = _FIRST_THRESHOLD, _FIRST_THRESHOLD
    if rows:
        table = np.array(rows)
        table[:, -2] = 0  # score everyone as held out
        logits = intercept + found.effects[start + table[:, -1]]
        offset = 1
        for group, length in enumerate(_SIZES):
            logits = logits + found.effects[offset + table[:, group]]
            offset += length
        scores = logistic_regression.sigmoid(logits)
        weight = np.array(won) + np.array(lost)
        marks = np.array(flags)
        at_last = table[:, 0] // SILENCE_LEVELS == LAST_CHECKPOINT
        open_ = at_last & (marks != ALARMED)
        early = min(precision + EARLY, 0.995)
        # Only earlier alarms that this fit would raise again count: the prior's alarms say nothing about the fitted thresholds.
        raised = (marks == RAISING) & ~at_last & (scores >= early)
        if float(weight[at_last].sum()) < _MIN_THRESHOLD_WEIGHT:
            early = _FIRST_THRESHOLD
        else:
            last = _threshold(
                list(zip(scores[open_].tolist(), weight[open_].tolist(), strict=True)),
                float((scores[raised] * weight[raised]).sum()),
                float(weight[raised].sum()),
                min(precision + MARGIN, 0.995),
            )
            early = max(last, early)
    return Model(intercept, effects, step_effects, early, last, float(seen))


def _threshold(scored: Iterable[tuple[float, float]], expected: float, raised: float, precision: float) -> float:
    """The smallest threshold with the expected ``precision``: of the ``scored`` (score, weight) above it, and the alarms raised before.

    ``expected`` and ``raised`` are the expected correct alarms and all alarms raised before.
    """
    best = 1.0
    alarms = raised
    for score, weight in sorted(scored, reverse=True):
        expected += score * weight
        alarms += weight
        if expected >= precision * alarms:
            best = score
        elif score < precision:
            break
    return max(best, 0.5)


def _prior_cells(weight: float) -> Iterable[tuple[list[int], float, float]]:
    """A few observations for each level, all other groups unknown: (levels, not completed, completed)."""
    width = len(_SIZES) + 1
    for group, effects in enumerate(_PRIOR_EFFECTS):
        for level, effect in enumerate(effects):
            rate = _sigmoid(_PRIOR_SCALE * effect)
            levels = [-1] * width
            levels[group] = level
            yield levels, weight * rate, weight * (1.0 - rate)


def _sigmoid(logit: float) -> float:
    return 0.5 * (1.0 + math.tanh(0.5 * logit))
