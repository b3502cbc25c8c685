"""Runs the population in tests: a small product, and guidance that chooses arms at random."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from population.clock import DAY, HOUR, MINUTE, rfc3339
from population.simulation import Population

START = 1_772_409_600_000  # a Monday
SLOT = 5 * MINUTE
PRODUCT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "population/sample.json").read_text(encoding="utf-8"))

Record = dict[str, Any]


class NoGuidance:
    """Guidance without any recommendation."""

    def see(self, event: Record, at: int) -> None: ...

    def record(self, user: str, at: int) -> Record | None:
        return None


class RandomGuidance:
    """Gives a random arm's record at sign-up, after each completed step and after half an hour in a step, at least ``every`` ms apart."""

    def __init__(self, product: Mapping[str, Any], seed: int = 1, every: int = 0, arm: str | None = None) -> None:
        self._rng, self._every, self._arms = Random(seed), every, [arm] if arm else list(product["arms"])
        self._paths = [(example, path["steps"]) for path in product["paths"] for example in path["traits"]]
        self._completing: dict[tuple[str, str], str] = {}
        for step in product["steps"]:
            for alternative in step["complete"]:
                last = alternative["events"][-1]
                self._completing[_sign(last)] = step["id"]
        self._left: dict[str, list[str]] = {}
        self._since: dict[str, int] = {}
        self._trigger: dict[str, str] = {}
        self._current: dict[str, Record] = {}
        self._last: dict[str, int] = {}
        self._count = 0

    def see(self, event: Record, at: int) -> None:
        user = event["userId"]
        if event["eventType"] == "signup" and user not in self._left:
            traits = event["payload"]["traits"]
            steps: list[str] = next((steps for example, steps in self._paths if example.items() <= traits.items()), [])
            self._left[user], self._since[user], self._trigger[user] = list(steps), at, "signup"
        left = self._left.get(user)
        if left and self._completing.get(_sign(event)) == left[0]:
            left.pop(0)
            self._since[user], self._trigger[user] = at, "step_completed"

    def record(self, user: str, at: int) -> Record | None:
        left = self._left.get(user)
        if not left:
            return None
        trigger = self._trigger.get(user)
        if trigger is None and at - self._since[user] > 30 * MINUTE:
            trigger = self._rng.choice(["stuck:inactive", "stuck:errors", "stuck:looping"])
            self._since[user] = at + 30 * DAY
        if trigger is None:
            return self._current.get(user)
        if at - self._last.get(user, 0) <= self._every:
            self._trigger.pop(user, None)
            return None
        self._trigger.pop(user, None)
        self._last[user] = at
        self._count += 1
        arm = self._rng.choice(self._arms)
        self._current[user] = {
            "decisionId": f"d{self._count}",
            "recommendationId": f"d{self._count}.{arm}.x",
            "userId": user,
            "version": self._count,
            "stepId": left[0],
            "trigger": trigger,
            "arm": arm,
            "uiComponent": "tooltip",
            "expiresAt": rfc3339(at + DAY),
        }
        return self._current[user]


def _sign(event: Mapping[str, Any]) -> tuple[str, str]:
    return event["eventType"], json.dumps([event.get("name"), event["payload"]], sort_keys=True)


class Run(NamedTuple):
    """The result of a run. ``events``: (arrival time, bytes)."""

    events: list[tuple[int, bytes]]
    people: list[Record]
    world: Record

    @property
    def exposures(self) -> list[tuple[Record, Record]]:
        return [(person, exposure) for person in self.people for exposure in person["exposures"]]


def begin_line(scenario: str = "baseline", seed: int = 1, users: int = 300, days: int = 14, product: Mapping[str, Any] = PRODUCT) -> Record:
    return {
        "type": "begin",
        "protocol": 1,
        "scenario": scenario,
        "seed": seed,
        "users": users,
        "start": START,
        "end": START + days * DAY,
        "tenant": "default",
        "product": product,
    }


def simulate(begin: Record, guidance: NoGuidance | RandomGuidance | None = None) -> Run:
    """Run the population in-process."""
    population, guide = Population(), guidance or NoGuidance()
    at: int | None = begin["start"]
    slot = population.begin(begin)["slotMs"]
    reads: list[str] = []
    events: list[tuple[int, bytes]] = []
    while at is not None:
        records = {user: guide.record(user, at) for user in reads}
        arrived, reads, following = population.advance(at, at + slot, records)
        if not isinstance(guide, NoGuidance):
            for when, event in arrived:
                guide.see(json.loads(event), when)
        events += arrived
        at = following
    *people, world, done = population.finish()
    assert done == {"type": "done", "people": len(people)}
    return Run(events, people, world)


def succeeded(person: Record, exposure: Record) -> bool:
    """Return whether the step was completed within a day of the showing."""
    episode = next(e for e in person["episodes"] if e["step"] == exposure["step"])
    done = episode["completedAt"]
    return done is not None and done <= exposure["shownAt"] + 24 * HOUR
