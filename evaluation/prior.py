"""The prior of a world for the reference learner: read from the sealed truth, derived from it, or measured on it.

Our population draws effects in logits of "the showing helps" (``eta``). People who complete the step without help are rewarded too: if
``q`` is their share, R = q + (1 − q)·p and dlogit(R)/deta = (1 − q)·p·(1 − p) / (R·(1 − R)), the factor by which the standard deviations
shrink (delta method).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from evaluation.bandit_value import Exposed

FACTORS: Final = ("trigger", "step", "segment", "arm")
_UNKNOWN: Final = 2.0
_LEAST_SPREAD: Final = 0.02
_MEASURED: Final = (
    ("trigger",),
    ("step",),
    ("segment",),
    ("arm",),
    ("trigger", "arm"),
    ("step", "arm"),
    ("segment", "arm"),
)
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+")
_COMMON: Final = 1.0
"""Standard deviation of the effects common to all arms, per trigger, step and segment: the world's prior does not contain it."""


class PriorError(ValueError):
    """The world's prior has an unknown form. The message is for the author of the population program."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Logit = ``mean`` + a normal intercept (``sd``) + for each term one normal effect per combination of its factors' levels."""

    mean: float
    sd: float
    terms: Mapping[tuple[str, ...], float]


def read_prior(world: Mapping[str, Any]) -> Prior:
    """Read ``{"mean": -0.5, "sd": 0.5, "armSd": 0.4, "armSegmentSd": 0.3, …}``: a term is named by its factors, in any spelling.

    ``arm:segment``, ``armSegment`` and ``arm_segment_sd`` are the same term. Terms may be nested under ``terms`` or ``sds``. Raises
    ``PriorError``.
    """
    flat: dict[str, Any] = {}
    for key, value in world.items():
        flat.update(value if isinstance(value, Mapping) and key in {"terms", "sds"} else {key: value})
    mean, sd = 0.0, _UNKNOWN
    terms: dict[tuple[str, ...], float] = {}
    for key, value in flat.items():
        words = [word.lower() for word in _WORDS.findall(key)]
        if not isinstance(value, int | float):
            raise PriorError(f"the world's prior has {key}: {value!r}, and only numbers are allowed")
        if words in (["mean"], ["intercept"], ["base"], ["intercept", "mean"], ["base", "mean"]):
            mean = float(value)
        elif words in (["sd"], ["intercept", "sd"], ["base", "sd"]):
            sd = float(value)
        else:
            factors = tuple(factor for factor in FACTORS if factor in words)
            if not factors or set(words) - {*FACTORS, "sd"}:
                raise PriorError(f"the world's prior has a term {key}; a term is made of {', '.join(FACTORS)}")
            terms[factors] = float(value)
    return Prior(mean, sd, {factors: spread for factors, spread in terms.items() if spread > 0})


def reward_prior(world: Mapping[str, Any], shown: Exposed) -> Prior:
    """Derive the prior of rewards in logits from that of a logistic world; ``shown`` must not be empty."""
    eligible = shown.log.eligible
    reward = float(shown.expected[eligible].mean())
    means = [float(value) for value in world["interceptMean"].values()]
    helps = _logistic(float(world["strength"]) + sum(means) / len(means))
    natural = min(max((reward - helps) / (1.0 - helps), 0.0), reward)
    shrinks = (1.0 - natural) * helps * (1.0 - helps) / max(reward * (1.0 - reward), 1e-9)
    spread = {name: shrinks * float(world[key]) for name, key in (("arm", "armSd"), ("segment", "armSegmentSd"), ("step", "armStepSd"))}
    return Prior(
        math.log(reward / (1.0 - reward)) if 0.0 < reward < 1.0 else 0.0,
        _COMMON,
        {
            ("trigger",): _COMMON,
            ("trigger", "step"): _COMMON,
            ("trigger", "segment"): _COMMON,
            ("trigger", "arm"): spread["arm"],
            ("trigger", "segment", "arm"): spread["segment"],
            ("trigger", "step", "arm"): spread["step"],
        },
    )


def measured_prior(shown: Exposed) -> Prior:
    """Measure the standard deviation of each term on the sealed truth, for worlds whose prior has another form.

    The logits of the cells' mean expected rewards are decomposed term by term, main effects before interactions; each term takes the
    weighted group means of the residual. The result uses the drawn world, not only its prior, which is a small further advantage.
    """
    log, arms = shown.log, len(shown.log.arms)
    cell = (log.context[:, None] * arms + np.arange(arms))[log.eligible]
    count = np.bincount(cell, minlength=len(log.contexts) * arms)
    total = np.bincount(cell, weights=shown.expected[log.eligible], minlength=count.size)
    seen = np.flatnonzero(count)
    rate = np.clip(total[seen] / count[seen], 0.01, 0.99)
    weight = count[seen].astype(np.float64)
    left = np.log(rate / (1.0 - rate))
    mean = float(np.average(left, weights=weight))
    left = left - mean
    levels = [(*log.contexts[number // arms], log.arms[number % arms]) for number in seen.tolist()]
    terms: dict[tuple[str, ...], float] = {}
    for factors in _MEASURED:
        keys = [tuple(level[FACTORS.index(factor)] for factor in factors) for level in levels]
        place = {key: index for index, key in enumerate(dict.fromkeys(keys))}
        group = np.array([place[key] for key in keys], dtype=np.int64)
        effect = np.bincount(group, weights=weight * left) / np.bincount(group, weights=weight)
        left = left - effect[group]
        spread = math.sqrt(float(np.average(np.square(effect[group]), weights=weight)))
        if spread > _LEAST_SPREAD:
            terms[factors] = spread
    return Prior(mean, _LEAST_SPREAD, terms)


def prior_for(world: Mapping[str, Any] | None, shown: Exposed) -> Prior:
    """Return the world's own prior if its form is known, else the measured one."""
    if world is not None and world.get("form") == "logistic" and len(shown.log):
        return reward_prior(world, shown)
    try:
        return read_prior(world) if world else measured_prior(shown)
    except PriorError:
        return measured_prior(shown)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))
