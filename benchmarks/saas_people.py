"""Simulates the people of ``benchmarks.generate``: a short version of the simulator at commit 3f9f2d7, with anonymous visitors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Final

from benchmarks.saas_acts import PATHS, STEPS, Step, act, page

START: Final = 1_767_571_200_000
"""2026-01-05T00:00:00Z, a Monday."""

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_OFFSETS: Final = {"America/New_York": -5, "Europe/London": 0, "Europe/Berlin": 1, "Asia/Singapore": 8}
_HOURS: Final = (4, 2, 2, 2, 3, 6, 15, 40, 75, 100, 100, 95, 70, 85, 100, 95, 90, 75, 50, 45, 50, 45, 30, 12)
"""Activity by local hour, in percent."""
_HOME: Final = page("/")
_PAGES: Final = tuple(map(page, ("/dashboard", "/help", "/settings", "/settings/profile", "/docs", "/pricing", "/whats-new")))
_SHOWN: Final = act("recommendation_shown")
_ANSWERS: Final = ((0.24, act("recommendation_clicked")), (0.22, act("recommendation_dismissed")), (0.05, act("tooltip_dismiss")))
_USUAL: Final = {
    "useCase": ("reporting", "automation", "collaboration", "evaluation"),
    "companySize": ("1-10", "11-50", "51-200", "1000+"),
    "signupSource": ("organic", "referral", "ads", "partner"),
    "tier": ("free", "trial", "pro"),
    "locale": ("en-US", "de-DE", "fr-FR", "ja-JP"),
    "timezone": tuple(_OFFSETS),
    "firstName": ("Ada", "Chidi", "Elif", "Léa", "Mateo", "Olga", "Priya", "Zoë"),
}


class _DataEnd(Exception):  # noqa: N818 (not an error)
    """The next event would come after the end of the data."""


class Person:
    """One person, from the first visit to the last."""

    def __init__(self, rng: Random, *, index: int, end: int, visitors: float) -> None:
        """``end``: Unix ms. ``visitors``: probability of beginning as an anonymous visitor."""
        self._rng, self._end = rng, end
        own, steps = rng.choice(PATHS)
        self._traits = own | {name: rng.choice(usual) for name, usual in _USUAL.items() if name not in own}
        self._steps = steps.split()
        self._offset = _OFFSETS[self._traits["timezone"]]
        self._skill, self._motivation = rng.betavariate(2.6, 2.0), rng.betavariate(2.0, 2.2)
        self._user, self._device = f'"userId":"u{index:06}"', f"v{index:06}"
        self._who, self._session = self._user, 0
        self._visitor, self._signs_up = rng.random() < visitors, rng.random() < 0.75
        self._trouble, self._left = "", 0.0
        self.sent: Final[list[tuple[int, str, int, str]]] = []
        """(Unix ms, JSON member with the id, number of the session, JSON members of the event)."""
        self._now = START + int(rng.random() * 0.6 * (end - START))
        self._wait(0)

    def simulate(self) -> None:
        """Fill ``sent``. Call this once."""
        try:
            if self._visitor:
                self._who = f'"anonymousId":"{self._device}"'
                self._visit()
                if not self._signs_up:
                    return
            self._sign_up()
            while self._comes_back():
                self._onboard()
        except _DataEnd:
            pass

    def _send(self, what: str) -> None:
        if self._now >= self._end:
            raise _DataEnd
        self.sent.append((self._now, self._who, self._session, what))

    def _spend(self, median: float, spread: float = 0.7) -> None:
        self._now += max(1, int(median * math.exp(self._rng.gauss(0.0, spread))))

    def _wait(self, median: float, spread: float = 1.0) -> None:
        """Advance the time to the next visit, which follows daily and weekly activity."""
        self._spend(median, spread)
        while True:
            days, rest = divmod(self._now + self._offset * HOUR, DAY)
            if self._rng.random() * 100 < _HOURS[rest // HOUR] * (0.35 if (days + 3) % 7 >= 5 else 1.0):
                return
            self._now += int((0.4 + self._rng.random()) * HOUR)

    def _visit(self) -> None:
        for _ in range(self._rng.randint(1, 3)):
            self._session += 1
            self._send(_HOME)
            self._browse()
            if self._rng.random() < 0.6:
                self._work(STEPS[self._steps[0]], self._now + 5 * MINUTE)
            self._wait(9 * HOUR)

    def _sign_up(self) -> None:
        self._session += 1
        self._who = self._user
        self._send(act("signup", traits=self._traits))
        if self._visitor:
            self._send(act("identity_merged", previousId=self._device))
            if self._rng.random() < 0.1:
                self._spend(2 * SECOND)
                self._who = f'"anonymousId":"{self._device}"'
                self._send(self._rng.choice(_PAGES))
                self._who = self._user
        self._spend(4 * SECOND)
        self._onboard(again=False)

    def _onboard(self, *, again: bool = True) -> None:
        """Simulate one session."""
        self._session += again
        until = self._now + int(11 * MINUTE * math.exp(self._rng.gauss(0.0, 0.7)))
        self._send(_HOME)
        self._see_guidance(0.55)
        while self._now < until:
            self._spend(15 * SECOND)
            if not self._steps:
                self._browse()
                return
            if not self._work(STEPS[self._steps[0]], until):
                return
            self._steps.pop(0)
            self._see_guidance(0.17)

    def _comes_back(self) -> bool:
        leaves = 0.33 if not self._steps else (0.3 if self._trouble else 0.17) * 2 * (1 - self._motivation)
        if self._rng.random() < leaves:
            if not self._steps or self._rng.random() < 0.65:
                return False
            self._wait(60 * HOUR, 0.8)
        else:
            self._wait(9 * HOUR)
        return True

    def _see_guidance(self, chance: float) -> None:
        if self._rng.random() >= chance:
            return
        self._spend(2 * SECOND)
        self._send(_SHOWN)
        answer = self._rng.random()
        for share, what in _ANSWERS:
            if answer < share:
                self._spend(10 * SECOND)
                self._send(what)
                return
            answer -= share

    def _browse(self) -> None:
        for _ in range(self._rng.randint(1, 5)):
            self._send(self._rng.choice(_PAGES))
            self._spend(25 * SECOND)

    def _work(self, step: Step, until: int) -> bool:
        """Work on ``step``; return False if the person leaves before it is completed."""
        rng = self._rng
        self._send(step.page)
        self._spend(12 * SECOND)
        if not self._trouble and rng.random() < 0.15 * (1 - self._skill):
            self._trouble = rng.choices(("errors", "rage", "loop", "slow"), (35, 20, 22, 23))[0]
        while self._trouble:
            self._show_trouble(step)
            if rng.random() < 0.3 + 0.5 * self._skill:
                self._trouble = ""
            elif rng.random() < 0.55:
                return False
        if rng.random() < 0.32 * (1 - self._motivation):
            return False
        if rng.random() < 0.06:
            self._send(step.error)
        if rng.random() < 0.09:
            self._repeat([step.work[-1]], rng.choice((2, 2, 3, 5)), 300)
        self._left = self._left or step.minutes * MINUTE * math.exp(rng.gauss(0.0, 0.6))
        while self._left > 0:
            begun = self._now
            self._spend(100 * SECOND, 0.6)
            self._left -= self._now - begun
            if self._now > until:
                return False
            self._send(rng.choice(_PAGES if rng.random() < 0.25 else step.work))
        self._left = 0.0
        for what in step.finish:
            self._spend(12 * SECOND)
            self._send(what)
        return True

    def _show_trouble(self, step: Step) -> None:
        rng = self._rng
        if self._trouble == "errors":
            self._repeat([step.error], rng.randint(2, 7), 35 * SECOND)
        elif self._trouble == "rage":
            self._repeat([act("button_click", target="next")], rng.randint(3, 9), 500)
        elif self._trouble == "loop":
            self._repeat([step.page, *rng.sample(_PAGES, rng.randint(1, 2))], rng.randint(3, 8), 38 * SECOND)
        else:
            self._repeat([rng.choice(step.work)], rng.randint(4, 14), 4 * MINUTE)

    def _repeat(self, acts: Sequence[str], times: int, gap: int) -> None:
        for _ in range(times):
            for what in acts:
                self._spend(gap)
                self._send(what)
