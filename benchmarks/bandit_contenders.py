# ruff: noqa: ARG002 - one interface, of which each contender uses what it needs
"""Learners that stand in ``benchmarks.bandit_worlds``: one interface, from chance to the engine's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.bandit_reference import Reference
from state.decision.bandit import Bandit, FitResult, Learner
from state.decision.bandit_policy import BanditPolicy

Floats = NDArray[np.float64]

BEGIN: Final = 1_772_442_000_000


class Contender(Protocol):
    """A learner of all triggers. ``held``: outcomes come when their window has closed; else successes when they happen."""

    held: bool

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int) -> Sequence[float] | Floats:
        """Probability of choosing each of ``arms``."""

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int) -> None:
        """Learn one outcome at log time ``at``."""


class Uniform:
    """Chance."""

    held = True

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int) -> Floats:
        """All alike."""
        return np.full(len(arms), 1.0 / len(arms))

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int) -> None:
        """Nothing to learn."""


class Fixed:
    """The one arm of each trigger that is best over all its contexts, known beforehand."""

    held = True

    def __init__(self, best: Sequence[int]) -> None:
        """``best`` arm of each trigger."""
        self._best: Final = best

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int) -> Floats:
        """All on the best."""
        return np.array([float(arm == self._best[trigger]) for arm in arms])

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int) -> None:
        """Nothing to learn."""


class Cells:
    """Thompson sampling on Beta posteriors of cells that know nothing of each other. ``key`` says what a cell is."""

    held = True

    def __init__(self, key: Callable[[int, int, int], tuple[int, ...]], floor: float, seed: int) -> None:
        """Prior Beta(1.2, 2.8) as in the engine."""
        self._key, self._floor, self._world = key, floor, np.random.default_rng([seed, 5])
        self._cells: Final[dict[tuple[int, ...], list[float]]] = {}

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int) -> Floats:
        """One sample decides."""
        where = self._key(trigger, step, segment)
        cells = [self._cells.get((*where, arm), (1.2, 2.8)) for arm in arms]
        best = int(np.argmax([self._world.beta(alpha, beta) for alpha, beta in cells]))
        chances = np.full(len(arms), self._floor)
        chances[best] += 1.0 - self._floor * len(arms)
        return chances

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int) -> None:
        """Count."""
        self._cells.setdefault((*self._key(trigger, step, segment), arm), [1.2, 2.8])[0 if success else 1] += 1.0


class PartialPooling:
    """What the engine did before: each cell's Beta posterior has the arm's pooled one as its prior, worth at most 12 observations."""

    held = False

    def __init__(self, floor: float, seed: int, pooling: float = 12.0) -> None:
        """Without fading."""
        self._floor, self._pooling, self._world = floor, pooling, np.random.default_rng([seed, 6])
        self._arms: Final[dict[tuple[int, ...], list[float]]] = {}
        self._cells: Final[dict[tuple[int, ...], list[float]]] = {}

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int) -> Floats:
        """One sample decides."""
        draws = []
        for arm in arms:
            won, lost = self._arms.get((trigger, arm), (0.0, 0.0))
            own_won, own_lost = self._cells.get((trigger, step, segment, arm), (0.0, 0.0))
            alpha, beta = 1.2 + won - own_won, 2.8 + lost - own_lost
            borrowed = min(self._pooling / (alpha + beta), 1.0)
            draws.append(self._world.beta(alpha * borrowed + own_won, beta * borrowed + own_lost))
        chances = np.full(len(arms), self._floor)
        chances[int(np.argmax(draws))] += 1.0 - self._floor * len(arms)
        return chances

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int) -> None:
        """Count, twice."""
        for cells, key in ((self._arms, (trigger, arm)), (self._cells, (trigger, step, segment, arm))):
            cells.setdefault(key, [0.0, 0.0])[0 if success else 1] += 1.0


class Referee:
    """The reference (``benchmarks.bandit_reference``)."""

    held = True

    def __init__(self, reference: Reference) -> None:
        """Takes the reference over."""
        self._reference: Final = reference

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int) -> Floats:
        """As the reference has it."""
        return self._reference.propensities(trigger, step, segment, arms)

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int) -> None:
        """As the reference does it."""
        self._reference.observe(trigger, arm, step, segment, success)


class Engine:
    """The engine's own learner, one a trigger."""

    held = True

    def __init__(self, policy: BanditPolicy, triggers: int) -> None:
        """``stops`` fills with (trigger, arm, log time) as arms are stopped."""
        self._bandits: Final = [Bandit(policy, Learner()) for _ in range(triggers)]
        self._live: Final[list[set[str]]] = [set() for _ in range(triggers)]
        self.stops: Final[list[tuple[int, int, int]]] = []

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int) -> Sequence[float]:
        """Stopped arms get 0."""
        bandit, names = self._bandits[trigger], [f"{arm}@1" for arm in arms]
        self._live[trigger].update(names)
        self._told(trigger, bandit.learn(at, self._live[trigger]))
        asked = [name for name in names if name not in bandit.learner.stopped]
        chances = dict(zip(asked, bandit.propensities(asked, f"{step}|{segment}"), strict=True))
        return [chances.get(name, 0.0) for name in names]

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int) -> None:
        """Learn at once: the benchmark holds outcomes back itself."""
        self._bandits[trigger].observe(f"{arm}@1", f"{step}|{segment}", success, at)
        self._told(trigger, self._bandits[trigger].learn(at, self._live[trigger]))

    def _told(self, trigger: int, news: list[FitResult]) -> None:
        self.stops.extend((trigger, int(stop.arm.partition("@")[0]), each.at) for each in news for stop in each.stops)
