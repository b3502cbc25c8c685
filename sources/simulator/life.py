"""One person's life with the product, from sign-up to the end of the data: what they send, and the truth about it.

Nothing here is told what the engine decided: behaviour does not respond to guidance. People who do respond are another population.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from sources.simulator import habits
from sources.simulator.person import Person
from sources.simulator.product import Act, Place, Product
from sources.simulator.rhythm import around, next_lively_time
from sources.simulator.truth import Episode, Truth
from state.duration import SECOND


class Sent(NamedTuple):
    """An event of a person: at which Unix ms, in which of their sessions (from 1), doing what."""

    at: int
    session: int
    act: Act


class _DataEnds(Exception):  # noqa: N818 (nothing is wrong)
    """The next thing would happen after the end of the data."""


class Life:
    """Call ``live`` once; then ``sent`` holds the events in order of time and ``truth`` what lay behind them."""

    def __init__(self, product: Product, person: Person, rng: Random, tenant: str, end: int) -> None:
        self.sent: list[Sent] = []
        self.truth = Truth(
            person.user_id, tenant, person.traits, person.hidden, person.path.id if person.path else None, person.signup_at, {}, None, []
        )
        self._product, self._person, self._rng, self._end = product, person, rng, end
        self._steps = list(person.path.steps) if person.path else []
        self._goal = set((person.path.activated_by if person.path else None) or self._steps)
        self._now = person.signup_at
        self._session_number = 0
        self._counts: dict[tuple[str, int], int] = {}
        self._satisfied: set[str] = set()
        self._left_to_do: dict[str, float] = {}
        self._trouble: Episode | None = None

    def live(self) -> None:
        """Live until the person leaves for good or the data end."""
        try:
            self._session(first=True)
            while self._comes_back():
                self._session()
        except _DataEnds:
            pass

    # One event, and time

    def _send(self, act: Act) -> None:
        if self._now >= self._end:
            raise _DataEnds
        self.sent.append(Sent(self._now, self._session_number, act))
        for served in act.serves:
            count = self._counts[served] = self._counts.get(served, 0) + 1
            if count == self._product.times[served] and served[0] not in self._satisfied:
                self._satisfied.add(served[0])
                self._settle()

    def _spend(self, milliseconds: float) -> None:
        self._now += max(1, int(milliseconds))

    def _settle(self) -> None:
        """Steps whose act was done before their requirements complete together with the last of these."""
        done = self.truth.completed_steps
        for step in self._steps:  # requirements stand before what requires them
            if step in self._satisfied and step not in done and all(need in done for need in self._product.places[step].step.requires):
                done[step] = self._now
        if self._trouble is not None and self._trouble.step_id in self._satisfied:
            self._recover()
        if self._steps and self.truth.activated_at is None and self._goal <= done.keys():
            self.truth.activated_at = self._now
            self._recover()

    # Sessions

    def _session(self, first: bool = False) -> None:
        rng = self._rng
        self._session_number += 1
        if first:
            self._send(self._product.act("signup", None, {"traits": self._person.traits}))
            self._spend(1_000 + rng.random() * 8_000)
        until = self._now + around(rng, habits.SESSION, habits.SESSION_SPREAD)
        self._send(self._product.pages[0])
        self._see_guidance(habits.SHOWN)
        if self._person.opts_out and self._session_number == 2:
            self._spend(5_000 + rng.random() * 20_000)
            self._send(self._product.opt_out)
        while self._now < until:
            self._spend(around(rng, 15 * SECOND, 0.7))
            step = self._next_step()
            if step is None:
                self._browse()
                return
            if not self._work_on(step, until):
                return
            self._see_guidance(habits.SHOWN * habits.SHOWN_ON_THE_WAY)

    def _comes_back(self) -> bool:
        """Let time pass until the next session; false if there is none."""
        rng = self._rng
        step = self._open_step()
        if step is None or self.truth.activated_at is not None:
            if rng.random() >= habits.STAYS:
                return False
        else:
            chance = habits.DRIFT_IN_TROUBLE if self._trouble else habits.DRIFT
            if rng.random() < chance * 2 * (1 - self._person.hidden.motivation):
                return self._drift_away(step)
        self._now = next_lively_time(rng, self._now + int(around(rng, habits.PAUSE, habits.PAUSE_SPREAD)), self._person.offset)
        return True

    def _drift_away(self, step: str) -> bool:
        self._spend(1)  # the last event is not part of it
        self._recover()
        self._get_stuck(step, "stuck:inactive")
        if self._rng.random() < habits.FOR_GOOD:
            return False
        away = around(self._rng, habits.DRIFT_TIME, habits.DRIFT_SPREAD)
        self._now = next_lively_time(self._rng, self._now + int(away), self._person.offset)
        if self._now >= self._end:
            return False
        self._recover()
        return True

    def _see_guidance(self, chance: float) -> None:
        rng, product = self._rng, self._product
        if rng.random() >= chance:
            return
        self._spend(800 + rng.random() * 4_000)
        self._send(product.shown)
        answer = rng.random()
        for share, act in ((habits.CLICKED, product.clicked), (habits.DISMISSED, product.dismissed), (habits.CLOSED, product.closed)):
            if answer < share:
                self._spend(2_000 + rng.random() * 25_000)
                self._send(act)
                return
            answer -= share

    def _browse(self) -> None:
        for _ in range(self._rng.randint(*habits.BROWSES)):
            self._send(self._rng.choice(self._product.pages))
            self._spend(around(self._rng, 25 * SECOND, 0.8))

    # Steps

    def _open_step(self) -> str | None:
        """The first step of the path that is not completed, if any: the one that the person would do next."""
        return next((step for step in self._steps if step not in self.truth.completed_steps), None)

    def _next_step(self) -> str | None:
        """The step that the person takes up now: the one that gives trouble, else the next not done; the disorderly may skip one."""
        if self._trouble is not None:
            return self._trouble.step_id
        left = [step for step in self._steps if step not in self._satisfied][:2]
        if not left:
            return None
        skip = len(left) > 1 and not self._person.hidden.orderly and self._rng.random() < habits.JUMPS_AHEAD
        return left[skip]

    def _work_on(self, step: str, until: float) -> bool:
        """Work on ``step``; false if the person leaves the app over it."""
        rng, place = self._rng, self._product.places[step]
        self._send(rng.choice(place.visit))
        self._spend(around(rng, 12 * SECOND, 0.7))
        self._meet_trouble(step)
        if self._trouble is not None and not self._struggle(place):
            return False
        if step in self._satisfied:
            return True
        if rng.random() < habits.EARLY_END * 2 * (1 - self._person.hidden.motivation):
            return False
        self._small_mishaps(place)
        left = self._left_to_do.get(step) or self._hands_on_time(place)
        while left > 0:
            act_time = min(left, around(rng, habits.BETWEEN_ACTS, habits.BETWEEN_ACTS_SPREAD))
            self._spend(act_time)
            left -= act_time
            self._left_to_do[step] = max(1.0, left)
            if self._now > until:
                return False
            self._send(rng.choice(self._product.pages if rng.random() < habits.LOOKS_BACK else place.work))
        acts, times = rng.choice(place.finish)
        for _ in range(times):
            if step in self._satisfied:
                break
            self._spend(around(rng, 12 * SECOND, 0.7))
            self._send(self._own(rng.choice(acts)))
        return True

    def _hands_on_time(self, place: Place) -> float:
        usual = min(max(place.step.typical * habits.WORK_SHARE, habits.WORK_LEAST), habits.WORK_MOST)
        return around(self._rng, usual * self._person.hidden.friction[place.step.id], habits.WORK_SPREAD)

    def _own(self, act: Act) -> Act:
        """People who identify themselves send their own traits, where these serve as well."""
        if act.type not in ("identify", "signup"):
            return act
        own = self._product.act(act.type, None, {"traits": self._person.traits})
        return own if set(act.serves) <= set(own.serves) else act

    def _small_mishaps(self, place: Place) -> None:
        rng = self._rng
        chance = habits.HARMLESS_ERROR
        while rng.random() < chance:
            self._spend(around(rng, 20 * SECOND, 0.6))
            self._send(rng.choice(place.errors))
            chance = habits.AND_ANOTHER
        if rng.random() < habits.DOUBLE_CLICK:
            self._click(rng.choice(place.controls), 3 if rng.random() < habits.TRIPLE_CLICK else 2, (90, 300))
        if rng.random() < habits.PAGES_THROUGH:
            self._click(rng.choice(place.controls), rng.randint(*habits.PAGING), habits.PAGING_GAP)
        if rng.random() < habits.COPIES_ACROSS:
            pages = [rng.choice(self._product.pages[1:]), place.visit[0]]
            self._go_round(pages, rng.randint(*habits.COPYING), habits.COPYING_DWELL, habits.COPYING_DWELL_SPREAD)

    def _click(self, act: Act, times: int, gap: tuple[int, int]) -> None:
        for _ in range(times):
            self._spend(self._rng.randint(*gap))
            self._send(act)

    def _go_round(self, pages: list[Act], times: int, dwell: float, spread: float) -> None:
        for _ in range(times):
            for page in pages:
                self._spend(around(self._rng, dwell, spread))
                self._send(page)

    # Trouble

    def _meet_trouble(self, step: str) -> None:
        rng, hidden = self._rng, self._person.hidden
        if self._trouble is not None or self.truth.activated_at is not None or step in self._satisfied:
            return
        if rng.random() < habits.TROUBLE * hidden.friction[step] * 2 * (1 - hidden.skill):
            self._get_stuck(step, rng.choices(list(habits.CAUSES), list(habits.CAUSES.values()))[0])

    def _get_stuck(self, step: str, cause: str) -> None:
        if self._now < self._end:
            self._trouble = Episode(step, cause, self._now)
            self.truth.stuck.append(self._trouble)

    def _recover(self) -> None:
        if self._trouble is not None and self._now < self._end:
            self._trouble.ended_at = self._now
        self._trouble = None

    def _struggle(self, place: Place) -> bool:
        """Go through bouts of the trouble at hand; false if the person walks off with it unsolved."""
        rng = self._rng
        base, by_skill = habits.OVERCOME
        while self._trouble is not None:
            self._bout(place, self._trouble.cause)
            self._spend(around(rng, 8 * SECOND, 0.6))
            if rng.random() < base + by_skill * self._person.hidden.skill:
                self._recover()
            elif rng.random() < habits.WALKS_OFF:
                return False
            else:
                self._spend(around(rng, 30 * SECOND, 0.8))
        return True

    def _bout(self, place: Place, cause: str) -> None:
        rng = self._rng
        if cause == "stuck:errors":
            error = rng.choice(place.errors)
            for _ in range(rng.randint(*habits.ERRORS)):
                self._send(error)
                self._spend(around(rng, habits.ERROR_GAP, habits.ERROR_GAP_SPREAD))
        elif cause == "stuck:rage_clicks":
            self._click(rng.choice(place.dead_ends), rng.randint(*habits.CLICKS), habits.CLICK_GAP)
        elif cause == "stuck:looping":
            pages = [place.visit[0], *rng.sample(self._product.pages[1:], rng.randint(*habits.ROUND_PAGES) - 1)]
            self._go_round(pages, rng.randint(*habits.ROUNDS), habits.ROUND_DWELL, habits.ROUND_DWELL_SPREAD)
        else:
            enough = self._now + around(rng, habits.SLOW, habits.SLOW_SPREAD)
            while self._now < enough:
                self._send(rng.choice(place.work))
                self._spend(around(rng, habits.SLOW_GAP, 0.7))
