"""The probability that a showing helps, and the effects of one world, drawn from its seed.

With arm a upon trigger t at step s, for a person of segment g: ``eta = strength + intercept[t] + alpha[t,a] + beta[t,a,g] + gamma[t,a,s]
+ susceptibility - novelty - pestering`` and ``p = sigmoid(eta)``; in a misspecified world ``p = 1 - exp(-exp(eta))`` with two more terms.
Each effect has a part common to all triggers (``acrossTriggers`` of its variance) and a part for its trigger.
"""

from __future__ import annotations

import math
from typing import Final

from population import draws
from population.clock import DAY, HOUR
from population.draws import EFFECT, normal, text_key
from population.effects import Sizes
from population.person import Person
from population.product import Product

_INTERCEPT, _ALPHA, _BETA, _GAMMA, _INTERACTION, _SWAP = range(6)
NOTHING: Final = 0.0


class Effects:
    """The effects of one world. ``changed_at``: when the arms exchange their effects (None: never)."""

    def __init__(self, product: Product, sizes: Sizes, seed: int, changed_at: int | None = None) -> None:
        self.sizes, self.changed_at = sizes, changed_at
        self.offsets: dict[tuple[str, str], float] = {}
        self.harmful: dict[str, float] = {}
        self._seed, self._segment_by = seed, product.segment_by
        self._fixed: dict[tuple[str, str, str, str, bool], float] = {}
        arms = list(product.arms)
        by = 1 + draws.key(seed, EFFECT, _SWAP) % (len(arms) - 1) if len(arms) > 1 else 0
        self._swapped = {arm: arms[(place + by) % len(arms)] for place, arm in enumerate(arms)}

    def eta(self, arm: str, trigger: str, step: str, person: Person, at: int, seen: list[tuple[int, str]]) -> float:
        """Return the linear predictor at ``at`` for a person who was shown ``seen`` before (time, arm)."""
        sizes = self.sizes
        later = self.changed_at is not None and at >= self.changed_at
        eta = self._linear_effect(arm, trigger, step, person.segment, later) + sizes.susceptibility_sd * person.susceptibility
        if sizes.form == "cloglog":
            eta += self._interaction(arm, person)
            if person.hidden < sizes.hidden_share:  # in the hidden segment the arms' effects have the opposite sign
                eta -= 2.0 * (self._linear_effect(arm, trigger, step, person.segment, later) - self._intercept(trigger))
        eta += self.offsets.get((arm, trigger), 0.0)
        wears = 1.0 / (sizes.novelty_hours * HOUR)
        for when, which in seen:
            if which == arm:
                eta -= sizes.novelty * math.exp((when - at) * wears)
        return eta - sizes.pestering * sum(at - when < DAY for when, _ in seen)

    def help_probability(self, arm: str, trigger: str, step: str, person: Person, at: int, seen: list[tuple[int, str]]) -> float:
        """Return the probability that a showing helps a person who would not complete the step within the window."""
        if self.sizes.form == "none" or arm in self.harmful:
            return NOTHING
        return self.response(self.eta(arm, trigger, step, person, at, seen))

    def response(self, eta: float) -> float:
        """Return the probability for a linear predictor."""
        if self.sizes.form == "cloglog":
            return 1.0 - math.exp(-math.exp(min(eta, 5.0)))
        return 1.0 / (1.0 + math.exp(-eta))

    def harm_probability(self, arm: str) -> float:
        """Return the probability that a showing drives away a person who would have completed the step."""
        return self.harmful.get(arm, NOTHING)

    def leave_probability(self, at: int, seen: list[tuple[int, str]]) -> float:
        """Return the probability that one more showing of any arm makes the person leave permanently."""
        return min(self.sizes.leaves_most, self.sizes.leaves * sum(at - when < DAY for when, _ in seen))

    def _intercept(self, trigger: str) -> float:
        means = self.sizes.intercept_mean
        mean = means.get(trigger, means["stuck"])
        return self.sizes.strength + mean + self.sizes.intercept_sd * normal(self._seed, EFFECT, _INTERCEPT, text_key(trigger))

    def _linear_effect(self, arm: str, trigger: str, step: str, segment: str, later: bool) -> float:
        key = (arm, trigger, step, segment, later)
        known = self._fixed.get(key)
        if known is None:
            arm_key = text_key(self._swapped[arm] if later and arm in self._swapped else arm)
            sizes = self.sizes
            known = self._intercept(trigger) + sizes.arm_sd * self._draw(_ALPHA, trigger, arm_key, text_key("all"))
            known += sizes.arm_segment_sd * self._segment_effect(trigger, arm_key, segment)
            known += sizes.arm_step_sd * self._draw(_GAMMA, trigger, arm_key, text_key(step))
            self._fixed[key] = known
        return known

    def _segment_effect(self, trigger: str, arm_key: int, segment: str) -> float:
        own = self._draw(_BETA, trigger, arm_key, text_key(segment))
        share = self.sizes.by_trait
        if not share or not self._segment_by:
            return own
        parts = [
            self._draw(_BETA, trigger, arm_key, text_key(f"{name}={value}"))
            for name, value in zip(self._segment_by, segment.split("|"), strict=False)
        ]
        return math.sqrt(share / len(parts)) * sum(parts) + math.sqrt(1.0 - share) * own

    def _draw(self, which: int, trigger: str, arm_key: int, where: int) -> float:
        shared = self.sizes.across_triggers
        common = normal(self._seed, EFFECT, which, arm_key, where)
        return math.sqrt(shared) * common + math.sqrt(1.0 - shared) * normal(self._seed, EFFECT, which, arm_key, where, text_key(trigger))

    def _interaction(self, arm: str, person: Person) -> float:
        pair = text_key(f"{person.traits.get('companySize', '-')}|{person.traits.get('locale', '-')}")
        return self.sizes.interaction_sd * normal(self._seed, EFFECT, _INTERACTION, text_key(arm), pair)
