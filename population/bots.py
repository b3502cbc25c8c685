"""Automated accounts: they follow scripts, not paths, and no guidance moves them, though some render it and report it as shown."""

from __future__ import annotations

from random import Random
from typing import Final

from population import chance
from population.clock import DAY, HOUR, MINUTE, SECOND
from population.life import HOME, OTHERS, Sent
from population.people import Record, report
from population.person import Person
from population.product import act
from population.transport import Sender, Transport
from population.truth import Truth, Twin
from population.world import World

KINDS: Final = (("monitor", 0.25), ("crawler", 0.25), ("script", 0.3), ("scraper", 0.2))
"""Of automated accounts. Scripts lead: throw-away sign-ups are the commonest abuse."""
RENDERS: Final = 0.4
"""Share that runs the app's own code and so reports a showing."""


class Bot:
    """An automated account. It has the traits of a person, since whoever wrote it filled in the form."""

    def __init__(self, world: World, number: int, tenant: str, *, messy: bool) -> None:
        self._cloak: Person = world.person(number)
        self.user_id = self._cloak.user_id
        rng = chance.stream(world.seed, chance.BOT, number)
        self.next_at: int | None = self._cloak.signup_at
        self.reads = False
        self._renders = rng.random() < RENDERS
        self._sender = Sender(chance.key(self._cloak.key, chance.BOT), self._cloak.user_id, tenant, messy=messy)
        self._script = _script(world, self._cloak, rng)
        self._here = 0
        self._shown: set[str] = set()

    def play(self, until: int, record: Record | None, transport: Transport) -> None:
        """Run the script until ``until``."""
        self.reads = self._renders
        while self._here < len(self._script) and self._script[self._here][0] < until:
            at, session, what = self._script[self._here]
            self._here += 1
            transport.send(self._sender, at, session, what.text)
            if record is not None and record.shows_at(at) and record.decision_id not in self._shown:
                self._shown.add(record.decision_id)
                transport.send(self._sender, at, session, report(record, "recommendation_shown"), shown=True)
        self.next_at = self._script[self._here][0] if self._here < len(self._script) else None

    def truth(self) -> Truth:
        """Return the account's truth: nothing happens to it."""
        cloak = self._cloak
        return Truth(cloak.user_id, True, None, cloak.traits, cloak.signup_at, None, Twin(None), [], [])


def _script(world: World, cloak: Person, rng: Random) -> list[Sent]:
    signup = act("signup", "signup", {"traits": cloak.traits})
    sent: list[Sent] = [(cloak.signup_at, 1, signup)]
    drawn, kind = rng.random(), ""
    for kind, share in KINDS:  # noqa: B007 (the last kind takes what rounding leaves)
        drawn -= share
        if drawn < 0:
            break
    make = {"monitor": _monitor, "crawler": _crawler, "script": _scripted, "scraper": _scraper}[kind]
    sent += make(world, cloak, rng)
    return [one for one in sent if one[0] < world.end]


def _monitor(_: World, cloak: Person, rng: Random) -> list[Sent]:
    """One page or two at a fixed interval, day and night."""
    every = rng.choice((10, 15, 30, 60)) * MINUTE
    pages = [HOME, *rng.sample(OTHERS, rng.randint(0, 1))]
    rounds = int(rng.uniform(1, 5) * DAY / every)
    return [(cloak.signup_at + turn * every + place * 300, turn, page) for turn in range(1, rounds + 1) for place, page in enumerate(pages)]


def _crawler(world: World, cloak: Person, rng: Random) -> list[Sent]:
    """Every page there is, as fast as it loads, once or on some days."""
    pages = [HOME, *OTHERS, *(terrain.place.page for terrain in world.terrain.values())]
    sent, now = list[Sent](), cloak.signup_at + 2 * SECOND
    for session in range(1, rng.randint(1, 5) + 1):
        for page in pages * rng.randint(1, 4):
            now += rng.randint(150, 900)
            sent.append((now, session, page))
        now += DAY + rng.randint(-5, 5) * MINUTE
    return sent


def _scripted(world: World, cloak: Person, rng: Random) -> list[Sent]:
    """The path's steps at the speed of an API, the first few or all of them, then silence."""
    steps = world.order[cloak.path.id] if cloak.path else next(iter(world.order.values()))
    sent, now = list[Sent](), cloak.signup_at
    for step in steps[: rng.randint(1, len(steps))]:
        place = world.terrain[step].place
        for what in (place.page, *place.finishes[0]):
            now += rng.randint(40, 250)
            sent.append((now, 1, what))
    return sent


def _scraper(world: World, cloak: Person, rng: Random) -> list[Sent]:
    """Pages one after the other with jitter, for an hour a day, at any hour."""
    pages = [*OTHERS, *(terrain.place.page for terrain in world.terrain.values())]
    sent, began = list[Sent](), cloak.signup_at + 5 * SECOND
    for session in range(1, rng.randint(1, 4) + 1):
        now, stops = began, began + rng.uniform(0.3, 1.0) * HOUR
        while now < stops:
            now += int(rng.uniform(6, 40) * SECOND)
            sent.append((now, session, rng.choice(pages)))
        began += int(rng.uniform(0.7, 1.3) * DAY)
        began = max(began, now + HOUR)
    return sent
