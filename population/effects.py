"""The sizes of effects, read from ``effects.json``: the only file to change when calibrating the effect of guidance."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import msgspec

FILE: Final = Path(__file__).with_name("effects.json")


class Sizes(msgspec.Struct, rename="camel", frozen=True, forbid_unknown_fields=True):
    """Response parameters of one scenario, in logits unless the name has a unit. ``docs/population.md`` explains each."""

    form: Literal["logistic", "cloglog", "none"]
    strength: float
    intercept_mean: dict[str, float]
    intercept_sd: float
    arm_sd: float
    arm_segment_sd: float
    arm_step_sd: float
    across_triggers: float
    susceptibility_sd: float
    novelty: float
    novelty_hours: float
    pestering: float
    leaves: float
    leaves_most: float
    help_minutes: float
    help_spread: float
    help_most_hours: float
    better_by: float
    worse_by: float
    by_trait: float
    interaction_sd: float
    hidden_share: float

    def prior(self) -> dict[str, Any] | None:
        """Return the prior of a world's effects for a reference learner; None if the response is not logistic."""
        if self.form == "cloglog":
            return None
        names = (
            "strength",
            "intercept_mean",
            "intercept_sd",
            "arm_sd",
            "arm_segment_sd",
            "arm_step_sd",
            "across_triggers",
            "susceptibility_sd",
        )
        given: dict[str, Any] = msgspec.to_builtins(self)
        return {camel: given[camel] for camel in (_camel(name) for name in names)} | {"form": self.form}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def sizes_of(scenario: str) -> Sizes:
    """Return the sizes of ``scenario``: those of the baseline, overridden by its own. Raises ``KeyError`` for an unknown one."""
    everything: dict[str, dict[str, Any]] = msgspec.json.decode(FILE.read_bytes())
    return msgspec.convert(everything["baseline"] | everything[scenario], Sizes)
