"""The natural course of things: what a person does about a step from the moment it is theirs, if nobody guides them.

``course`` is a pure function of the person, the step and the moment; it looks ahead until the step is done or the person is gone for
good, however long that takes. A life is a chain of such courses; guidance only cuts one short (``people.py``).
"""

from __future__ import annotations

import math
from random import Random
from typing import Final, NamedTuple

from population import chance, habits
from population.clock import MINUTE, SECOND
from population.person import Person
from population.product import OTHER_PAGES, Act, Place, act
from population.rhythm import next_lively_time

HOME: Final = act("home", "page_view", {"path": "/home"})
OTHERS: Final = tuple(act("other", "page_view", {"path": page}) for page in OTHER_PAGES[1:])
OPT_OUT: Final = act("other", "preferences_changed", {"guidance": False})

Sent = tuple[int, int, Act]
"""When (Unix ms), in which session of the person (from 1), doing what."""

_rng: Final = Random(0)  # noqa: S311 (seeded anew before each use)


class Course(NamedTuple):
    """What happens: acts in order of time; when the step is completed (None: never); the session in which it ends; the first trouble
    with its time, or when the person went away without any (cause ``inactive``).
    """

    sent: list[Sent]
    completed_at: int | None
    session: int
    cause: str | None
    cause_at: int


class Terrain:
    """A step as the people of one world find it: what can be done there, how hard it is, and which other pages there are."""

    __slots__ = ("key", "others", "place", "usual")

    def __init__(self, place: Place, seed: int, others: tuple[Act, ...]) -> None:
        self.place = place
        self.key = chance.word(place.step.id)
        friction = math.exp(habits.FRICTION_SPREAD * chance.normal(seed, chance.FRICTION, self.key))
        hands_on = min(max(place.step.typical_ms * habits.WORK_SHARE, habits.WORK_LEAST), habits.WORK_MOST)
        self.usual = (friction, hands_on)
        self.others = others


class _Visits:
    """One course being made. The state between visits is in the attributes."""

    __slots__ = ("cause", "cause_at", "friction", "heavy", "left", "now", "person", "sent", "session", "terrain", "trouble", "until")

    def __init__(self, person: Person, terrain: Terrain, since: int, session: int, heavy: bool) -> None:
        self.person, self.terrain, self.now, self.session, self.heavy = person, terrain, since, session, heavy
        self.sent: list[Sent] = []
        self.trouble: str | None = None
        self.cause: str | None = None
        self.cause_at = 0
        self.left = -1.0
        self.friction = 1.0
        self.until = 0

    def _do(self, what: Act) -> None:
        self.sent.append((self.now, self.session, what))

    def _spend(self, median: float, spread: float) -> None:
        self.now += max(200, int(self._around(median, spread)))

    def _around(self, median: float, spread: float) -> float:
        if self.heavy:  # with the median of the log-normal
            return median * math.pow(2.0, -1.0 / habits.PARETO_SHAPE) * math.pow(1.0 - _rng.random(), -1.0 / habits.PARETO_SHAPE)
        return median * math.exp(spread * _rng.gauss(0.0, 1.0))

    def run(self) -> Course:
        rng, person = _rng, self.person
        key = chance.key(person.key, self.terrain.key)
        mood = "calm"
        for visit in range(habits.VISITS_MOST):
            rng.seed(chance.key(key, chance.VISIT, visit))
            mood = self._first_visit() if visit == 0 else self._later_visit(mood)
            if mood == "done":
                return Course(self.sent, self.now, self.session, self.cause, self.cause_at)
            rng.seed(chance.key(key, chance.GAP, visit))
            if not self._comes_back(mood):
                break
        if self.cause is None:
            self.cause, self.cause_at = "inactive", self.now
        return Course(self.sent, None, self.session, self.cause, self.cause_at)

    # Between visits

    def _comes_back(self, mood: str) -> bool:
        rng, person = _rng, self.person
        base, pause, spread = _RETURNS[mood]
        if rng.random() >= 1.0 / (1.0 + math.exp(-base - habits.RETURN_BY_MOTIVATION * (person.motivation - 0.5))):
            return False
        if mood != "calm" and self.cause is None:
            self.cause, self.cause_at = "inactive", self.now
        self.now = next_lively_time(rng, self.now + int(pause * math.exp(spread * rng.gauss(0.0, 1.0))), person.offset)
        self.session += 1
        if self.trouble is not None and rng.random() < habits.SOLVED_OUTSIDE:
            self.trouble = None
        return True

    # Visits: each returns how the person leaves: done, calm, troubled or bored

    def _first_visit(self) -> str:
        rng, person, terrain = _rng, self.person, self.terrain
        base, hands_on = terrain.usual
        self.friction = base * math.exp(habits.OWN_FRICTION_SPREAD * rng.gauss(0.0, 1.0))
        self.left = hands_on * self.friction * person.pace * math.exp(habits.WORK_SPREAD * rng.gauss(0.0, 1.0))
        meets = rng.random() < habits.TROUBLE * self.friction * 2.0 * (1.0 - person.skill)
        if meets:
            share = rng.random()
            for cause, part in habits.CAUSES:
                self.trouble = cause
                share -= part
                if share < 0:
                    break
        if rng.random() < habits.LOSES_INTEREST * 2.0 * (1.0 - person.motivation):
            return self._wander()
        self.until = self.now + int(self._around(habits.SESSION, habits.SESSION_SPREAD))
        self._spend(8 * SECOND, 0.7)
        if rng.random() < habits.CALLED_AWAY:
            if rng.random() < 0.5:
                self._do(terrain.place.page)
            return "calm"
        return self._work()

    def _later_visit(self, mood: str) -> str:
        rng = _rng
        self.until = self.now + int(self._around(habits.SESSION, habits.SESSION_SPREAD))
        self._do(HOME)
        if self.person.opts_out and self.session == 2:
            self._spend(10 * SECOND, 0.5)
            self._do(OPT_OUT)
        self._spend(12 * SECOND, 0.7)
        if rng.random() < (habits.ONLY_LOOKS if mood == "calm" else habits.ONLY_LOOKS_AGAIN):
            for _ in range(rng.randint(1, 3)):
                self._do(rng.choice(self.terrain.others))
                self._spend(habits.STROLL_DWELL, habits.STROLL_SPREAD)
            return mood
        return self._work()

    def _wander(self) -> str:
        for _ in range(_rng.randint(*habits.STROLL)):
            self._spend(habits.STROLL_DWELL, habits.STROLL_SPREAD)
            self._do(_rng.choice(OTHERS))
        return "bored"

    def _work(self) -> str:
        rng, terrain = _rng, self.terrain
        place = terrain.place
        self._do(place.page)
        if self.trouble is not None and not self._struggle():
            return "troubled"
        self._mishaps()
        while True:
            act_time = self._around(habits.BETWEEN_ACTS, habits.BETWEEN_ACTS_SPREAD)
            if act_time >= self.left:
                break
            self.now += max(200, int(act_time))
            self.left -= act_time
            if self.now > self.until:
                return "calm"
            self._do(rng.choice(terrain.others) if rng.random() < habits.LOOKS_BACK else rng.choice(place.work))
        self.now += max(1_000, int(self.left))
        finish = rng.choice(place.finishes)
        for what in finish[:-1]:
            self._do(what)
            self._spend(5 * SECOND, 0.5)
        self._do(finish[-1])
        return "done"

    # What goes wrong, harmlessly or not

    def _mishaps(self) -> None:
        rng, place = _rng, self.terrain.place
        again = habits.HARMLESS_ERROR
        while rng.random() < again:
            self._spend(20 * SECOND, 0.6)
            self._do(rng.choice(place.errors))
            again = habits.AND_ANOTHER
        if rng.random() < habits.FAST_CLICKS:
            self._click(rng.choice(place.controls), rng.randint(2, 6))
        if rng.random() < habits.COPIES_ACROSS:
            self._go_round((rng.choice(self.terrain.others), place.page), rng.randint(2, 4), 25 * SECOND)

    def _struggle(self) -> bool:
        """Go through bouts of the trouble at hand; false if the person walks off with it unsolved."""
        rng = _rng
        base, by_skill = habits.OVERCOME
        while True:
            if self.cause is None or self.cause == "inactive":
                self.cause, self.cause_at = self.trouble, self.now
            self._bout()
            self._spend(10 * SECOND, 0.6)
            if rng.random() < base + by_skill * self.person.skill:
                self.trouble = None
                return True
            if rng.random() < habits.WALKS_OFF:
                return False
            self._spend(40 * SECOND, 0.8)

    def _bout(self) -> None:
        rng, place = _rng, self.terrain.place
        if self.trouble == "errors":
            error = rng.choice(place.errors)
            for _ in range(rng.randint(2, 6)):
                self._spend(35 * SECOND, 0.8)
                self._do(error)
        elif self.trouble == "rage_clicks":
            self._click(place.controls[-1], rng.randint(3, 8))
        elif self.trouble == "looping":
            pages = (place.page, *rng.sample(self.terrain.others, rng.randint(1, 2)))
            self._go_round(pages, rng.randint(3, 5), 35 * SECOND)
        else:
            enough = self.now + self._around(habits.SLOW, habits.SLOW_SPREAD)
            while self.now < enough:
                self._spend(habits.SLOW_GAP, 0.6)
                self._do(rng.choice(place.work))

    def _click(self, what: Act, times: int) -> None:
        for _ in range(times):
            self.now += _rng.randint(150, 1_100)
            self._do(what)

    def _go_round(self, pages: tuple[Act, ...], times: int, dwell: float) -> None:
        for _ in range(times):
            for page in pages:
                self._spend(dwell, 0.7)
                self._do(page)


def _logit(share: float) -> float:
    return math.log(share / (1.0 - share))


_RETURNS: Final = {
    "calm": (_logit(habits.RETURN_CALM), habits.PAUSE_CALM, habits.PAUSE_CALM_SPREAD),
    "troubled": (_logit(habits.RETURN_TROUBLED), habits.PAUSE_TROUBLED, habits.PAUSE_SPREAD),
    "bored": (_logit(habits.RETURN_BORED), habits.PAUSE_BORED, habits.PAUSE_SPREAD),
}


def course(person: Person, terrain: Terrain, since: int, session: int, *, heavy: bool = False) -> Course:
    """Return what ``person`` does about the step from ``since`` on, in session number ``session`` to begin with."""
    return _Visits(person, terrain, since, session, heavy).run()


def afterwards(person: Person, since: int, session: int) -> list[Sent]:
    """Return the visits of somebody who has arrived, or who is on no path: a few, with little to see."""
    rng = _rng
    rng.seed(chance.key(person.key, chance.AFTERWARDS))
    sent: list[Sent] = []
    now = since
    while rng.random() < habits.STAYS:
        session += 1
        now = next_lively_time(rng, now + int(habits.PAUSE_TROUBLED * math.exp(habits.PAUSE_SPREAD * rng.gauss(0.0, 1.0))), person.offset)
        sent.append((now, session, HOME))
        if person.opts_out and session == 2:
            now += 15 * SECOND
            sent.append((now, session, OPT_OUT))
        for _ in range(rng.randint(*habits.BROWSES)):
            now += int(min(20 * MINUTE, 25 * SECOND * math.exp(0.8 * rng.gauss(0.0, 1.0))))
            sent.append((now, session, rng.choice(OTHERS)))
    return sent
