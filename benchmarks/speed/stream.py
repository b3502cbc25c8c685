"""Generates events of any number of users in constant memory: seeded people of the catalog ``saas``, some of whom are visitors first.

``benchmarks.generate`` simulates lifelike people, but holds all their events. Here each event belongs to a user drawn at random, who signs
up, works on the steps of a path, fails and succeeds. A fifth of the people are anonymous for three events, then sign up with an
``identity_merged`` event. 1 % of the events arrive twice and 2 % late. The module imports nothing of the measured code.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, NamedTuple

from benchmarks.saas_acts import PATHS, STEPS, act, page
from benchmarks.saas_people import DAY, START

_LATE_MS: Final = 5 * 60 * 1000
_RECENT: Final = 500
"""Events of which one is sent again as a duplicate."""
_PAGES: Final = tuple(map(page, ("/dashboard", "/help", "/settings", "/docs", "/pricing")))
_ANONYMOUS_EVENTS: Final = 3
_TRAITS: Final = {"companySize": "11-50", "signupSource": "organic", "tier": "trial", "locale": "en-US", "timezone": "Europe/Berlin"}
_SIGN_UPS: Final = tuple(act("signup", traits=_TRAITS | traits) for traits, _ in PATHS)
_STEPS: Final = tuple(tuple(STEPS[name] for name in names.split()) for _, names in PATHS)


class Sent(NamedTuple):
    """One message of the log: its time in milliseconds, its key and its value."""

    at: int
    key: str
    line: bytes


class People:
    """People who send events one at a time. The same arguments and calls give the same bytes.

    ``prefix`` begins all ids of users and events, so that several streams can share one log. ``old``: everybody has signed up before.
    """

    def __init__(self, *, users: int, seed: int, visitors: float = 0.2, prefix: str = "u", old: bool = False) -> None:
        """Nobody has sent anything yet."""
        self._rng = Random(f"{seed}/{prefix}")
        self._users, self._prefix = users, prefix
        self._visitors = round(visitors * 1000)
        self._sent = bytearray([_ANONYMOUS_EVENTS + 2]) * users if old else bytearray(users)
        self._step = bytearray(users)
        self._number = 0
        self._recent: list[tuple[str, bytes]] = []

    def send(self, at: int) -> Sent:
        """Return the next message, which is appended at ``at``."""
        rng = self._rng
        draw = rng.random()
        if draw < 0.01 and self._recent:
            return Sent(at, *rng.choice(self._recent))
        user = rng.randrange(self._users)
        happened = at - rng.randint(1000, _LATE_MS) if draw > 0.98 else at
        key, line = self._line(user, happened)
        if len(self._recent) < _RECENT:
            self._recent.append((key, line))
        else:
            self._recent[self._number % _RECENT] = (key, line)
        return Sent(at, key, line)

    def sign_up(self, user: int, at: int) -> Sent:
        """Return the sign-up of ``user``, one of those who have not sent anything yet."""
        self._sent[user] = _ANONYMOUS_EVENTS + 2
        return Sent(at, self.name(user), self._encoded(self.name(user), "", _SIGN_UPS[user % len(PATHS)], at))

    def name(self, user: int) -> str:
        """Return the id of a user."""
        return f"{self._prefix}{user:07}"

    def _line(self, user: int, at: int) -> tuple[str, bytes]:
        name, sent = self.name(user), self._sent[user]
        self._sent[user] = min(sent + 1, _ANONYMOUS_EVENTS + 2)
        visitor = user * 7919 % 1000 < self._visitors
        if visitor and sent < _ANONYMOUS_EVENTS:
            device = f"v{name}"
            return device, self._encoded("", device, self._rng.choice(_PAGES), at)
        if (sent == _ANONYMOUS_EVENTS) if visitor else (sent == 0):
            self._sent[user] = _ANONYMOUS_EVENTS + 1 if visitor else _ANONYMOUS_EVENTS + 2
            return name, self._encoded(name, "", _SIGN_UPS[user % len(PATHS)], at)
        if sent == _ANONYMOUS_EVENTS + 1:
            return name, self._encoded(name, "", act("identity_merged", previousId=f"v{name}"), at)
        return name, self._encoded(name, "", self._work(user), at)

    def _work(self, user: int) -> str:
        steps, rng = _STEPS[user % len(_STEPS)], self._rng
        at_step = self._step[user]
        if at_step == len(steps):
            return rng.choice(_PAGES)
        step, draw = steps[at_step], rng.random()
        if draw < 0.15:
            self._step[user] += 1
            return rng.choice(step.finish)
        if draw < 0.22:
            return step.error
        return rng.choice(step.work if draw < 0.7 else (step.page, *_PAGES))

    def _encoded(self, user: str, device: str, what: str, at: int) -> bytes:
        self._number += 1
        who = f'"userId":"{user}"' if user else f'"anonymousId":"{device}"'
        moment = f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at % 1000:03}Z"
        return (
            f'{{"eventId":"{self._prefix}-{self._number:x}","tenantId":"default",{who},"sessionId":"s{user or device}",'
            f'{what},"timestamp":"{moment}","schemaVersion":1}}'
        ).encode()


def stream(*, events: int, users: int, seed: int, start: int = START, span: int = DAY, **more: Any) -> Iterator[Sent]:
    """Yield ``events`` messages, at equal distances over ``span`` milliseconds of log time from ``start`` on."""
    people = People(users=users, seed=seed, **more)
    for number in range(events):
        yield people.send(start + number * span // events)
