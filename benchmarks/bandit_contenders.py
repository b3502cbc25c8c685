# ruff: noqa: ARG002 - one interface, of which each learner uses what it needs
"""The simple learners that the engine's learner is compared with, and the engine's learner behind the same interface.

``bandit_worlds`` runs the classes in synthetic worlds; ``measure`` runs ``earned`` over the recorded exposures of a replication.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.bandit_value import Exposed
from state.decision.bandit import Bandit, FitResult, Learner
from state.decision.bandit_policy import BanditPolicy

Floats = NDArray[np.float64]
Cell = Callable[[tuple[str, str, str]], tuple[str, ...]]
"""(trigger, step, segment) -> the cell whose arms share one posterior."""

Seen = tuple[int, int] | None

_CELL_PRIOR: Final = (1.2, 2.8)
"""Beta prior of each cell of ``Cells``: that of a catalog by default, a rate of 0.3 with the weight of four observations."""
_NEWEST: Final = 0.2
_EARNED_PRIOR: Final = (1.5, 3.5)
"""The same for ``earned``, with the weight of five observations: the figures of docs/measurements.md were made with it."""


class Contender(Protocol):
    """A learner for all triggers. It learns an outcome when the attribution window closes."""

    def propensities(
        self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int, seen: Seen = None
    ) -> Sequence[float] | Floats:
        """Return the probability of choosing each of ``arms``. ``seen``: an arm the person has been shown, how many ms ago."""

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int, shown_at: int) -> None:
        """Learn one outcome of a decision of ``shown_at``, at log time ``at``."""


class Uniform:
    """Chooses every arm with the same probability."""

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int, seen: Seen = None) -> Floats:
        """Return equal probabilities."""
        return np.full(len(arms), 1.0 / len(arms))

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int, shown_at: int) -> None:
        """Ignore the outcome."""


class Cells:
    """Thompson sampling with an independent Beta posterior for each arm of each cell. ``key`` maps a context to its cell."""

    def __init__(self, key: Callable[[int, int, int], tuple[int, ...]], floor: float, seed: int) -> None:
        self._key, self._floor, self._rng = key, floor, np.random.default_rng([seed, 5])
        self._cells: Final[dict[tuple[int, ...], list[float]]] = {}

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int, seen: Seen = None) -> Floats:
        """Draw one posterior sample for each arm; the best one gets all probability above the floor."""
        where = self._key(trigger, step, segment)
        cells = [self._cells.get((*where, arm), _CELL_PRIOR) for arm in arms]
        best = int(np.argmax([self._rng.beta(alpha, beta) for alpha, beta in cells]))
        probabilities = np.full(len(arms), self._floor)
        probabilities[best] += 1.0 - self._floor * len(arms)
        return probabilities

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int, shown_at: int) -> None:
        """Count the outcome in its cell."""
        self._cells.setdefault((*self._key(trigger, step, segment), arm), list(_CELL_PRIOR))[0 if success else 1] += 1.0


class Engine:
    """The engine's own learner, one for each trigger."""

    def __init__(self, policy: BanditPolicy, triggers: int) -> None:
        """``stops`` collects (trigger, arm, log time) of every stopped arm, ``changes`` (trigger, log time) of every change detected."""
        self._bandits: Final = [Bandit(policy, Learner()) for _ in range(triggers)]
        self._eligible: Final[list[set[str]]] = [set() for _ in range(triggers)]
        self.stops: Final[list[tuple[int, int, int]]] = []
        self.changes: Final[list[tuple[int, int]]] = []
        self._suffix = "@1"
        self._recovery: Final = policy.repeat_recovery

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int, seen: Seen = None) -> Sequence[float]:
        """Return the engine's propensities; a stopped arm gets 0."""
        bandit, names = self._bandits[trigger], [f"{arm}{self._suffix}" for arm in arms]
        self._eligible[trigger].update(names)
        self._record(trigger, bandit.learn(at, self._eligible[trigger]))
        asked = [name for name in names if name not in bandit.learner.stopped]
        recovery = (
            [1.0 - 2.0 ** (-seen[1] / self._recovery) if name == f"{seen[0]}{self._suffix}" else 1.0 for name in asked] if seen else ()
        )
        probabilities = dict(zip(asked, bandit.propensities(asked, f"{step}|{segment}", recovery), strict=True))
        return [probabilities.get(name, 0.0) for name in names]

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int, shown_at: int) -> None:
        """Learn at once: the benchmark itself delays outcomes until the window closes."""
        self._bandits[trigger].observe(f"{arm}{self._suffix}", f"{step}|{segment}", success, at)
        self._record(trigger, self._bandits[trigger].learn(at, self._eligible[trigger]))

    def _record(self, trigger: int, fits: list[FitResult]) -> None:
        known = sum(which == trigger for which, _ in self.changes)
        self.changes.extend((trigger, fit.at) for fit in fits[-1:] for _ in range(self._bandits[trigger].learner.changes - known))
        self.stops.extend((trigger, int(stop.arm.partition("@")[0]), fit.at) for fit in fits for stop in fit.stops)


def global_arms(_context: tuple[str, str, str]) -> tuple[str, ...]:
    """One cell for all contexts."""
    return ()


def independent_cells(context: tuple[str, str, str]) -> tuple[str, ...]:
    """One cell for each (trigger, step, segment)."""
    return context


def earned(shown: Exposed, cell: Cell, *, window: int, seed: int) -> float:
    """Return the mean expected reward of Thompson sampling on Beta cells, over the newest fifth of the decisions.

    It decides in the recorded contexts in their order. Rewards are drawn with ``seed`` from the expected rewards of the sealed truth and
    are learned after ``window`` ms.
    """
    rng = np.random.default_rng([seed, 11])
    number: dict[tuple[str, ...], int] = {}
    cell_of_context = [number.setdefault(cell(context), len(number)) for context in shown.log.contexts]
    arms = len(shown.log.arms)
    successes, failures = np.full((len(number), arms), _EARNED_PRIOR[0]), np.full((len(number), arms), _EARNED_PRIOR[1])
    pending: list[tuple[int, int, int, bool]] = []
    learned, rewards = 0, np.zeros(len(shown.log))
    for row, at in enumerate(shown.shown_at):
        while learned < len(pending) and pending[learned][0] + window <= at:
            _, where, arm, success = pending[learned]
            (successes if success else failures)[where, arm] += 1.0
            learned += 1
        where = cell_of_context[shown.log.context[row]]
        samples = np.where(shown.log.eligible[row], rng.beta(successes[where], failures[where]), -1.0)
        arm = int(samples.argmax())
        rewards[row] = shown.expected[row, arm]
        pending.append((int(at), where, arm, bool(rng.random() < rewards[row])))
    return float(rewards[-max(1, round(_NEWEST * len(rewards))) :].mean())
