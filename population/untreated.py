"""Simulates a person's untreated behaviour at one step, from the time it becomes current.

``simulate_step`` is a pure function of the person, the step and the time. It runs until the step is completed or the person never returns,
also beyond the simulated period. A person is a chain of such trajectories; guidance only cuts one short (``simulated_person.py``).
"""

from __future__ import annotations

import math
from random import Random
from typing import Final, NamedTuple

from population import behaviour, draws
from population.clock import MINUTE, SECOND
from population.person import Person
from population.product import OTHER_PAGES, Act, StepActions, act
from population.rhythm import next_active_time

HOME: Final = act("home", "page_view", {"path": "/home"})
OTHERS: Final = tuple(act("other", "page_view", {"path": page}) for page in OTHER_PAGES[1:])
OPT_OUT: Final = act("other", "preferences_changed", {"guidance": False})

TimedAct = tuple[int, int, Act]
"""(Unix ms, number of the person's session from 1, act)."""

_rng: Final = Random(0)  # noqa: S311 (seeded again before each use)


class StepTrajectory(NamedTuple):
    """``acts`` in order of time; ``completed_at`` (None: never); the ``session`` in which it ends; ``cause``: the first trouble with its
    time, or ``inactive`` with the time of leaving without trouble.
    """

    acts: list[TimedAct]
    completed_at: int | None
    session: int
    cause: str | None
    cause_at: int


class StepEnvironment:
    """A step in one world: its actions, its difficulty, and the other pages of the product."""

    __slots__ = ("actions", "key", "others", "usual")

    def __init__(self, actions: StepActions, seed: int, others: tuple[Act, ...]) -> None:
        self.actions = actions
        self.key = draws.text_key(actions.step.id)
        friction = math.exp(behaviour.FRICTION_SPREAD * draws.normal(seed, draws.FRICTION, self.key))
        hands_on = min(max(actions.step.typical_ms * behaviour.WORK_SHARE, behaviour.WORK_LEAST), behaviour.WORK_MOST)
        self.usual = (friction, hands_on)
        self.others = others


class _StepSimulation:
    """The simulation of one trajectory. The attributes hold the state between visits."""

    __slots__ = (
        "acts",
        "cause",
        "cause_at",
        "environment",
        "friction",
        "heavy_tailed",
        "now",
        "person",
        "session",
        "trouble",
        "until",
        "work_left",
    )

    def __init__(self, person: Person, environment: StepEnvironment, since: int, session: int, heavy_tailed: bool) -> None:
        self.person, self.environment, self.now, self.session, self.heavy_tailed = person, environment, since, session, heavy_tailed
        self.acts: list[TimedAct] = []
        self.trouble: str | None = None
        self.cause: str | None = None
        self.cause_at = 0
        self.work_left = -1.0
        self.friction = 1.0
        self.until = 0

    def _do(self, what: Act) -> None:
        self.acts.append((self.now, self.session, what))

    def _pass_time(self, median: float, spread: float) -> None:
        self.now += max(200, int(self._draw_duration(median, spread)))

    def _draw_duration(self, median: float, spread: float) -> float:
        if self.heavy_tailed:  # with the median of the log-normal
            return median * math.pow(2.0, -1.0 / behaviour.PARETO_SHAPE) * math.pow(1.0 - _rng.random(), -1.0 / behaviour.PARETO_SHAPE)
        return median * math.exp(spread * _rng.gauss(0.0, 1.0))

    def run(self) -> StepTrajectory:
        rng, person = _rng, self.person
        key = draws.key(person.key, self.environment.key)
        exit_state = "calm"
        for visit in range(behaviour.VISITS_MOST):
            rng.seed(draws.key(key, draws.VISIT, visit))
            exit_state = self._first_visit() if visit == 0 else self._later_visit(exit_state)
            if exit_state == "done":
                return StepTrajectory(self.acts, self.now, self.session, self.cause, self.cause_at)
            rng.seed(draws.key(key, draws.GAP, visit))
            if not self._comes_back(exit_state):
                break
        if self.cause is None:
            self.cause, self.cause_at = "inactive", self.now
        return StepTrajectory(self.acts, None, self.session, self.cause, self.cause_at)

    # Between visits

    def _comes_back(self, exit_state: str) -> bool:
        rng, person = _rng, self.person
        base, pause, spread = _RETURNS[exit_state]
        if rng.random() >= 1.0 / (1.0 + math.exp(-base - behaviour.RETURN_BY_MOTIVATION * (person.motivation - 0.5))):
            return False
        if exit_state != "calm" and self.cause is None:
            self.cause, self.cause_at = "inactive", self.now
        self.now = next_active_time(rng, self.now + int(pause * math.exp(spread * rng.gauss(0.0, 1.0))), person.offset)
        self.session += 1
        if self.trouble is not None and rng.random() < behaviour.SOLVED_OUTSIDE:
            self.trouble = None
        return True

    # Visits: each returns the exit state: done, calm, troubled or bored

    def _first_visit(self) -> str:
        rng, person, environment = _rng, self.person, self.environment
        base, hands_on = environment.usual
        self.friction = base * math.exp(behaviour.OWN_FRICTION_SPREAD * rng.gauss(0.0, 1.0))
        self.work_left = hands_on * self.friction * person.pace * math.exp(behaviour.WORK_SPREAD * rng.gauss(0.0, 1.0))
        meets = rng.random() < behaviour.TROUBLE * self.friction * 2.0 * (1.0 - person.skill)
        if meets:
            share = rng.random()
            for cause, part in behaviour.CAUSES:
                self.trouble = cause
                share -= part
                if share < 0:
                    break
        if rng.random() < behaviour.LOSES_INTEREST * 2.0 * (1.0 - person.motivation):
            return self._browse_and_leave()
        self.until = self.now + int(self._draw_duration(behaviour.SESSION, behaviour.SESSION_SPREAD))
        self._pass_time(8 * SECOND, 0.7)
        if rng.random() < behaviour.CALLED_AWAY:
            if rng.random() < 0.5:
                self._do(environment.actions.page)
            return "calm"
        return self._work()

    def _later_visit(self, exit_state: str) -> str:
        rng = _rng
        self.until = self.now + int(self._draw_duration(behaviour.SESSION, behaviour.SESSION_SPREAD))
        self._do(HOME)
        if self.person.opts_out and self.session == 2:
            self._pass_time(10 * SECOND, 0.5)
            self._do(OPT_OUT)
        self._pass_time(12 * SECOND, 0.7)
        if rng.random() < (behaviour.ONLY_LOOKS if exit_state == "calm" else behaviour.ONLY_LOOKS_AGAIN):
            for _ in range(rng.randint(1, 3)):
                self._do(rng.choice(self.environment.others))
                self._pass_time(behaviour.STROLL_DWELL, behaviour.STROLL_SPREAD)
            return exit_state
        return self._work()

    def _browse_and_leave(self) -> str:
        for _ in range(_rng.randint(*behaviour.STROLL)):
            self._pass_time(behaviour.STROLL_DWELL, behaviour.STROLL_SPREAD)
            self._do(_rng.choice(OTHERS))
        return "bored"

    def _work(self) -> str:
        rng, environment = _rng, self.environment
        actions = environment.actions
        self._do(actions.page)
        if self.trouble is not None and not self._face_trouble():
            return "troubled"
        self._harmless_mishaps()
        while True:
            act_time = self._draw_duration(behaviour.BETWEEN_ACTS, behaviour.BETWEEN_ACTS_SPREAD)
            if act_time >= self.work_left:
                break
            self.now += max(200, int(act_time))
            self.work_left -= act_time
            if self.now > self.until:
                return "calm"
            self._do(rng.choice(environment.others) if rng.random() < behaviour.LOOKS_BACK else rng.choice(actions.work))
        self.now += max(1_000, int(self.work_left))
        finish = rng.choice(actions.finishes)
        for what in finish[:-1]:
            self._do(what)
            self._pass_time(5 * SECOND, 0.5)
        self._do(finish[-1])
        return "done"

    # Errors and trouble

    def _harmless_mishaps(self) -> None:
        rng, actions = _rng, self.environment.actions
        again = behaviour.HARMLESS_ERROR
        while rng.random() < again:
            self._pass_time(20 * SECOND, 0.6)
            self._do(rng.choice(actions.errors))
            again = behaviour.AND_ANOTHER
        if rng.random() < behaviour.FAST_CLICKS:
            self._click(rng.choice(actions.controls), rng.randint(2, 6))
        if rng.random() < behaviour.COPIES_ACROSS:
            self._go_round((rng.choice(self.environment.others), actions.page), rng.randint(2, 4), 25 * SECOND)

    def _face_trouble(self) -> bool:
        """Repeat attempts at the present trouble; return False if the person leaves with it unsolved."""
        rng = _rng
        base, by_skill = behaviour.OVERCOME
        while True:
            if self.cause is None or self.cause == "inactive":
                self.cause, self.cause_at = self.trouble, self.now
            self._trouble_episode()
            self._pass_time(10 * SECOND, 0.6)
            if rng.random() < base + by_skill * self.person.skill:
                self.trouble = None
                return True
            if rng.random() < behaviour.WALKS_OFF:
                return False
            self._pass_time(40 * SECOND, 0.8)

    def _trouble_episode(self) -> None:
        rng, actions = _rng, self.environment.actions
        if self.trouble == "errors":
            error = rng.choice(actions.errors)
            for _ in range(rng.randint(2, 6)):
                self._pass_time(35 * SECOND, 0.8)
                self._do(error)
        elif self.trouble == "rage_clicks":
            self._click(actions.controls[-1], rng.randint(3, 8))
        elif self.trouble == "looping":
            pages = (actions.page, *rng.sample(self.environment.others, rng.randint(1, 2)))
            self._go_round(pages, rng.randint(3, 5), 35 * SECOND)
        else:
            enough = self.now + self._draw_duration(behaviour.SLOW, behaviour.SLOW_SPREAD)
            while self.now < enough:
                self._pass_time(behaviour.SLOW_GAP, 0.6)
                self._do(rng.choice(actions.work))

    def _click(self, what: Act, times: int) -> None:
        for _ in range(times):
            self.now += _rng.randint(150, 1_100)
            self._do(what)

    def _go_round(self, pages: tuple[Act, ...], times: int, dwell: float) -> None:
        for _ in range(times):
            for page in pages:
                self._pass_time(dwell, 0.7)
                self._do(page)


def _logit(share: float) -> float:
    return math.log(share / (1.0 - share))


_RETURNS: Final = {
    "calm": (_logit(behaviour.RETURN_CALM), behaviour.PAUSE_CALM, behaviour.PAUSE_CALM_SPREAD),
    "troubled": (_logit(behaviour.RETURN_TROUBLED), behaviour.PAUSE_TROUBLED, behaviour.PAUSE_SPREAD),
    "bored": (_logit(behaviour.RETURN_BORED), behaviour.PAUSE_BORED, behaviour.PAUSE_SPREAD),
}


def simulate_step(person: Person, environment: StepEnvironment, since: int, session: int, *, heavy_tailed: bool = False) -> StepTrajectory:
    """Return the trajectory of ``person`` at the step from ``since`` on, starting in session number ``session``."""
    return _StepSimulation(person, environment, since, session, heavy_tailed).run()


def visits_after_path(person: Person, since: int, session: int) -> list[TimedAct]:
    """Return the visits of a person who is activated or has no path: a few, with few pages."""
    rng = _rng
    rng.seed(draws.key(person.key, draws.AFTERWARDS))
    acts: list[TimedAct] = []
    now = since
    while rng.random() < behaviour.STAYS:
        session += 1
        now = next_active_time(
            rng, now + int(behaviour.PAUSE_TROUBLED * math.exp(behaviour.PAUSE_SPREAD * rng.gauss(0.0, 1.0))), person.offset
        )
        acts.append((now, session, HOME))
        if person.opts_out and session == 2:
            now += 15 * SECOND
            acts.append((now, session, OPT_OUT))
        for _ in range(rng.randint(*behaviour.BROWSES)):
            now += int(min(20 * MINUTE, 25 * SECOND * math.exp(0.8 * rng.gauss(0.0, 1.0))))
            acts.append((now, session, rng.choice(OTHERS)))
    return acts
