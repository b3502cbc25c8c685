"""The scenarios: their differences in behaviour and in transport. Effects of guidance are in ``effects.json``."""

from __future__ import annotations

from typing import Final, NamedTuple


class Scenario(NamedTuple):
    """``bots``: automated accounts per person. ``messy``: transport is unreliable. ``many_values``: traits have many values,
    Zipf-like. ``heavy``: dwell times are Pareto. ``needs_new_arm``: the product must name a new arm.
    """

    bots: float = 0.0
    messy: bool = False
    many_values: bool = False
    heavy: bool = False
    needs_new_arm: bool = False


SCENARIOS: Final = {
    "baseline": Scenario(),
    "no_effect": Scenario(),
    "drift": Scenario(),
    "new_arm": Scenario(needs_new_arm=True),
    "harmful_arm": Scenario(needs_new_arm=True),
    "bots": Scenario(bots=0.05),
    "messy": Scenario(messy=True),
    "cold": Scenario(many_values=True),
    "misspecified": Scenario(heavy=True),
}
