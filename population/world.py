"""One world: the steps' environments, people's untreated episodes, the effects of guidance, and the horizons."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Final, NamedTuple

from population import behaviour
from population.clock import DAY, MINUTE
from population.effects import sizes_of
from population.person import Person
from population.product import Product, StepActions, act, completing_segments, in_order, segment_of
from population.response import Effects
from population.scenarios import SCENARIOS
from population.untreated import OTHERS, StepEnvironment, StepTrajectory, simulate_step

_REFERENCE_FROM: Final = 1_000_000_000
"""First number of the people who are only used to measure horizons. Simulated people have lower numbers."""


_SOON, _LATER = 2 * MINUTE, 30 * MINUTE


class UntreatedEpisode(NamedTuple):
    """An untreated episode: person, step, start and trajectory. ``first``: it is the person's first step."""

    person: Person
    step: str
    first: bool
    since: int
    trajectory: StepTrajectory


class World:
    """Created by ``begin``. Raises ``ValueError`` with one sentence for inconsistent arguments."""

    def __init__(self, product: Product, scenario: str, seed: int, start: int, end: int) -> None:
        product.check()
        if scenario not in SCENARIOS:
            raise ValueError(f"unknown scenario {scenario}; the scenarios are {', '.join(SCENARIOS)}")
        self.product, self.seed, self.start, self.end = product, seed, start, end
        self.scenario = SCENARIOS[scenario]
        if self.scenario.needs_new_arm and not product.new_arms:
            raise ValueError(f"the scenario {scenario} needs a product with newArms")
        steps = {step.id: step for step in product.steps}
        completing = completing_segments(product)
        pages = {step.page for step in product.steps if segment_of(step.page) not in completing}
        others = (*OTHERS, *(act("other", "page_view", {"path": page}) for page in sorted(pages)))
        self.environment = {
            step.id: StepEnvironment(
                StepActions(step, completing), seed, tuple(one for one in others if step.page.encode() not in one.text) or OTHERS
            )
            for step in product.steps
        }
        self.order = {path.id: in_order(path, steps) for path in product.paths}
        self.goal = {path.id: frozenset(path.activated_by or path.steps) for path in product.paths}
        self.changed_at = start + (end - start) // 2 if scenario == "drift" else None
        self.effects = Effects(product, sizes_of(scenario), seed, self.changed_at)
        if scenario == "new_arm":
            self._raise_new_arms(self.effects.sizes.better_by)
        elif scenario == "harmful_arm":
            usual = self._usual_success_rate()
            self.effects.harmful = dict.fromkeys(product.new_arms, min(1.0, self.effects.sizes.worse_by / usual))

    def person(self, number: int) -> Person:
        """Draw person ``number``."""
        return Person(self.product, self.scenario, self.seed, number, self.start, self.end)

    def trajectory(self, person: Person, step: str, since: int, session: int) -> StepTrajectory:
        """Return the untreated trajectory of ``step``."""
        return simulate_step(person, self.environment[step], since, session, heavy_tailed=self.scenario.heavy)

    def untreated(self, person: Person) -> Iterator[UntreatedEpisode]:
        """Yield the untreated twin's episodes until activation or leaving, also after the end of the period."""
        return self.untreated_from(person, 0, person.signup_at, 1)

    def untreated_from(self, person: Person, place: int, since: int, session: int) -> Iterator[UntreatedEpisode]:
        """Yield the same from step number ``place`` on, which becomes current at ``since`` in session ``session``."""
        if person.path is None:
            return
        order, goal = self.order[person.path.id], self.goal[person.path.id]
        done = set(order[:place])
        for step in order[place:]:
            trajectory = self.trajectory(person, step, since, session)
            yield UntreatedEpisode(person, step, not done, since, trajectory)
            if trajectory.completed_at is None:
                return
            done.add(step)
            if goal <= done:
                return
            since, session = trajectory.completed_at, trajectory.session

    def horizons(self) -> dict[str, int]:
        """Return H of each step: the 90th percentile of completion time among untreated completers, in ms.

        With few completions in the separate population, the logarithm of a step's own quantile is averaged with that of the pooled one.
        """
        times: dict[str, list[int]] = {step: [] for step in self.environment}
        for episode in self.reference_steps:
            if episode.trajectory.completed_at is not None:
                times[episode.step].append(episode.trajectory.completed_at - episode.since)
        pooled = _ninth_decile(sorted(time for some in times.values() for time in some)) or DAY
        result: dict[str, int] = {}
        for step, some in times.items():
            own = _ninth_decile(sorted(some)) or pooled
            weight = len(some) / (len(some) + behaviour.FEW)
            result[step] = round(math.exp(weight * math.log(own) + (1.0 - weight) * math.log(pooled)))
        return result

    @cached_property
    def reference_steps(self) -> list[UntreatedEpisode]:
        """The untreated episodes of the separate population."""
        return [episode for number in range(behaviour.HORIZON_PEOPLE) for episode in self.untreated(self.person(_REFERENCE_FROM + number))]

    # Usual success rates, for the scenarios with a difference in percentage points

    @cached_property
    def _showing_occasions(self) -> list[tuple[UntreatedEpisode, str, bool]]:
        """Occasions for a showing: (episode, trigger, whether the step is completed within the window without it).

        They are the first acts in the app a little after the step began and half an hour after, with the step not completed. The choice of
        the stuck trigger does not matter on average.
        """
        window = self.product.attribution_window_ms
        stuck = [trigger for trigger in self.product.triggers if trigger.startswith("stuck")] or ["stuck"]
        occasions: list[tuple[UntreatedEpisode, str, bool]] = []
        for place, episode in enumerate(self.reference_steps):
            done, acts = episode.trajectory.completed_at, episode.trajectory.acts
            for wait, trigger in ((_SOON, "signup" if episode.first else "step_completed"), (_LATER, stuck[place % len(stuck)])):
                at = next((at for at, _, what in acts if at >= episode.since + wait and what.kind != "finish"), None)
                if at is not None:
                    occasions.append((episode, trigger, done is not None and done <= at + window))
        return occasions

    def _usual_success_rate(self) -> float:
        return max(0.01, sum(anyway for _, _, anyway in self._showing_occasions) / len(self._showing_occasions))

    def _raise_new_arms(self, by: float) -> None:
        """Raise each new arm's offset for each trigger until it is ``by`` better than the best other arm on that trigger's occasions."""
        effects, new_arms = self.effects, self.product.new_arms
        for trigger in dict.fromkeys(trigger for _, trigger, _ in self._showing_occasions):
            here = [(episode, anyway) for episode, which, anyway in self._showing_occasions if which == trigger]
            open_ones = [episode for episode, anyway in here if not anyway]
            gains = {arm: [effects.eta(arm, trigger, s.step, s.person, self.start, []) for s in open_ones] for arm in self.product.arms}
            best = max((sum(map(effects.response, etas)) for arm, etas in gains.items() if arm not in new_arms), default=0.0)
            for arm in new_arms:
                low, high = -6.0, 8.0
                for _ in range(16):
                    middle = (low + high) / 2
                    enough = sum(effects.response(eta + middle) for eta in gains[arm]) > best + by * len(here)
                    low, high = (low, middle) if enough else (middle, high)
                effects.offsets[arm, trigger] = high


def _ninth_decile(ordered: list[int]) -> int | None:
    return ordered[min(len(ordered) - 1, math.ceil(0.9 * len(ordered)) - 1)] if ordered else None
