"""What a world's prior over the effect of guidance means for the reward, for a reference that models the reward.

A population deals effects in logits of "the showing helps" (``eta``); a reward also comes to people who need no help: with ``q`` the share
of those, R = q + (1 − q)·p and dlogit(R)/deta = (1 − q)·p·(1 − p) / (R·(1 − R)), by which the spreads shrink (delta method).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from evaluation.bandit_value import Exposed
from evaluation.reference import Prior

VAGUE: Final = 1.0
"""Spread of what is common to all arms, trigger by trigger, step and segment: the world's prior is silent on it."""


def reward_prior(world: Mapping[str, Any] | None, shown: Exposed) -> Prior | None:
    """Return the prior of rewards in logits, None where the world has no logistic prior or nothing was shown."""
    if world is None or world.get("form") != "logistic" or not len(shown.log):
        return None
    eligible = shown.log.eligible
    reward = float(shown.expected[eligible].mean())
    means = [float(value) for value in world["interceptMean"].values()]
    helps = _logistic(float(world["strength"]) + sum(means) / len(means))
    natural = min(max((reward - helps) / (1.0 - helps), 0.0), reward)
    shrinks = (1.0 - natural) * helps * (1.0 - helps) / max(reward * (1.0 - reward), 1e-9)
    spread = {name: shrinks * float(world[key]) for name, key in (("arm", "armSd"), ("segment", "armSegmentSd"), ("step", "armStepSd"))}
    return Prior(
        math.log(reward / (1.0 - reward)) if 0.0 < reward < 1.0 else 0.0,
        VAGUE,
        {
            ("trigger",): VAGUE,
            ("trigger", "step"): VAGUE,
            ("trigger", "segment"): VAGUE,
            ("trigger", "arm"): spread["arm"],
            ("trigger", "segment", "arm"): spread["segment"],
            ("trigger", "step", "arm"): spread["step"],
        },
    )


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))
