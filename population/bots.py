"""Automated accounts. They follow scripts, and guidance has no effect on them, though some report it as shown."""

from __future__ import annotations

from random import Random
from typing import Final

from population import draws
from population.clock import DAY, HOUR, MINUTE, SECOND
from population.person import Person
from population.product import act
from population.simulated_person import Record, report
from population.transport import Sender, Transport
from population.truth import Truth, UntreatedTwin
from population.untreated import HOME, OTHERS, TimedAct
from population.world import World

KINDS: Final = (("monitor", 0.25), ("crawler", 0.25), ("script", 0.3), ("scraper", 0.2))
"""Kinds of automated accounts and their shares. Sign-up scripts are the most common abuse."""
RENDERS: Final = 0.4
"""Share of bots that run the app's own code and so report showings."""


class Bot:
    """An automated account. It has a person's traits, because its script fills in the sign-up form."""

    def __init__(self, world: World, number: int, tenant: str, *, messy: bool) -> None:
        self._profile: Person = world.person(number)
        self.user_id = self._profile.user_id
        rng = draws.stream(world.seed, draws.BOT, number)
        self.next_at: int | None = self._profile.signup_at
        self.reads = False
        self._renders = rng.random() < RENDERS
        self._sender = Sender(draws.key(self._profile.key, draws.BOT), self._profile.user_id, tenant, messy=messy)
        self._script = _script(world, self._profile, rng)
        self._position = 0
        self._shown: set[str] = set()

    def advance(self, until: int, record: Record | None, transport: Transport) -> None:
        """Run the script until ``until``."""
        self.reads = self._renders
        while self._position < len(self._script) and self._script[self._position][0] < until:
            at, session, what = self._script[self._position]
            self._position += 1
            transport.send(self._sender, at, session, what.text)
            if record is not None and record.shows_at(at) and record.decision_id not in self._shown:
                self._shown.add(record.decision_id)
                transport.send(self._sender, at, session, report(record, "recommendation_shown"), shown=True)
        self.next_at = self._script[self._position][0] if self._position < len(self._script) else None

    def truth(self) -> Truth:
        """Return the account's truth, without episodes and exposures."""
        profile = self._profile
        return Truth(profile.user_id, True, None, profile.traits, profile.signup_at, None, UntreatedTwin(None), [], [])


def _script(world: World, profile: Person, rng: Random) -> list[TimedAct]:
    signup = act("signup", "signup", {"traits": profile.traits})
    acts: list[TimedAct] = [(profile.signup_at, 1, signup)]
    drawn, kind = rng.random(), ""
    for kind, share in KINDS:  # noqa: B007 (the last kind absorbs rounding errors)
        drawn -= share
        if drawn < 0:
            break
    make = {"monitor": _monitor, "crawler": _crawler, "script": _signup_script, "scraper": _scraper}[kind]
    acts += make(world, profile, rng)
    return [one for one in acts if one[0] < world.end]


def _monitor(_: World, profile: Person, rng: Random) -> list[TimedAct]:
    """View one or two pages at a fixed interval, day and night."""
    every = rng.choice((10, 15, 30, 60)) * MINUTE
    pages = [HOME, *rng.sample(OTHERS, rng.randint(0, 1))]
    rounds = int(rng.uniform(1, 5) * DAY / every)
    return [
        (profile.signup_at + turn * every + place * 300, turn, page) for turn in range(1, rounds + 1) for place, page in enumerate(pages)
    ]


def _crawler(world: World, profile: Person, rng: Random) -> list[TimedAct]:
    """View every page as fast as it loads, on one day or several."""
    pages = [HOME, *OTHERS, *(environment.actions.page for environment in world.environment.values())]
    acts, now = list[TimedAct](), profile.signup_at + 2 * SECOND
    for session in range(1, rng.randint(1, 5) + 1):
        for page in pages * rng.randint(1, 4):
            now += rng.randint(150, 900)
            acts.append((now, session, page))
        now += DAY + rng.randint(-5, 5) * MINUTE
    return acts


def _signup_script(world: World, profile: Person, rng: Random) -> list[TimedAct]:
    """Complete the first steps of the path at the speed of an API, then stop."""
    steps = world.order[profile.path.id] if profile.path else next(iter(world.order.values()))
    acts, now = list[TimedAct](), profile.signup_at
    for step in steps[: rng.randint(1, len(steps))]:
        actions = world.environment[step].actions
        for what in (actions.page, *actions.finishes[0]):
            now += rng.randint(40, 250)
            acts.append((now, 1, what))
    return acts


def _scraper(world: World, profile: Person, rng: Random) -> list[TimedAct]:
    """View random pages with jitter for up to an hour a day, at any hour."""
    pages = [*OTHERS, *(environment.actions.page for environment in world.environment.values())]
    acts, began = list[TimedAct](), profile.signup_at + 5 * SECOND
    for session in range(1, rng.randint(1, 4) + 1):
        now, stops = began, began + rng.uniform(0.3, 1.0) * HOUR
        while now < stops:
            now += int(rng.uniform(6, 40) * SECOND)
            acts.append((now, session, rng.choice(pages)))
        began += int(rng.uniform(0.7, 1.3) * DAY)
        began = max(began, now + HOUR)
    return acts
