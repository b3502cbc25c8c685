"""How the bandit learns: the catalog's ``learning`` section, and constants that a catalog cannot set.

``python -m benchmarks.bandit_worlds --only engine --seeds 2 --set NAME=VALUE`` compares values in seeded worlds. Figures are the share of
the possible reward that was reached.

- ``curiosity``, ``--scenario baseline``: 0.3 reaches 0.55 ± 0.03, 1 (Thompson sampling) 0.44 ± 0.02; 0.1 is no worse.
- ``harm_margin``, ``--scenario harmful_arm``: 0.02 stops no arm falsely; 0 stops the harmful arm sooner, and one arm falsely.
- ``newcomer_share``, ``--scenario new_arm``: 0.15 and 1 reach the same 0.58; the limit bounds the loss if a new arm is bad.

The other values are judgements: no measurement prefers them to neighbouring values.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from state.catalog.model import Learning
from state.duration import DAY, Duration


class BanditPolicy(Learning):
    """Every parameter of a learner. Frozen; tests and benchmarks construct others."""

    curiosity: Annotated[
        float, Field(ge=0, le=1, description="factor on the posterior's standard deviation: 1 is Thompson sampling, 0 is greedy")
    ] = 0.3
    repeat_penalty: Annotated[float, Field(ge=0, le=10, description="logits that an arm loses with a user who has just seen it")] = 0.5
    repeat_recovery: Annotated[Duration, Field(description="after which half of that penalty is gone")] = 3 * DAY
    newcomer_share: Annotated[
        float,
        Field(gt=0, le=1, description="most choices for an arm that is new among established ones; grows with its outcomes"),
    ] = 0.15
    newcomer_trials: Annotated[int, Field(ge=1, le=100_000, description="outcomes with which a new arm is established")] = 200
    harm_margin: Annotated[
        float, Field(ge=0, le=0.5, description="success rate by which an arm must be worse than the others' average to be stopped")
    ] = 0.02
    stop_confidence: Annotated[float, Field(ge=0.9, lt=1, description="posterior probability of that harm")] = 0.99
    stop_looks: Annotated[int, Field(ge=1, le=100, description="checks in a row at which the harm must be that probable")] = 2
    stop_after: Annotated[int, Field(ge=1, le=100_000, description="outcomes that an arm needs before it is checked for harm")] = 100

    @classmethod
    def of(cls, learning: Learning) -> BanditPolicy:
        """The policy of a catalog: its ``learning`` section, and the constants."""
        return cls.model_construct(**learning.model_dump())
