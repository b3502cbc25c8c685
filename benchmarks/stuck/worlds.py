"""Synthetic worlds for the bench of stuck detection, drawn at random from a wide family. The same seed and number give the same world.

A world is a product with one to four steps on which nobody is guided. What varies:

- *how long a step takes*: log-normal, Weibull, a mixture (at once, tomorrow) or zero-inflated; from seconds to months; some people never
  complete it, and some of those do so far too late;
- *when*: 5 to 5,000 people a day, two days to three years; a weekly rhythm with closed nights and weekends; an abrupt or slow drift of both
  speed and success;
- *in which order*: steps are skipped or done ahead of their turn;
- *what shows that somebody is in trouble*: errors, rage clicks, looping, pauses, a trait; or nothing does. Half of the worlds without
  evidence have the same signs as noise;
- *what the catalog says*: a right, missing or wrong ``usual``, and the asked precision.

The law of the completion times, the drift and the evidence go round with the world's number, so that a few worlds cover the family. The
number of events is bounded: many people a day means few days, at least about two.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np

from state.duration import DAY, HOUR, MINUTE, SECOND

LAWS: Final = ("lognormal", "weibull", "mixture", "zero_inflated")
DRIFTS: Final = ("no", "slow", "no", "abrupt")
SIGNS: Final = ("errors", "rage_clicks", "looping", "pauses", "traits")
PERSONAS: Final = ("novice", "regular", "expert")
MOST_EVENTS: Final = 30_000

_BEGIN: Final = round(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000)
"""A Monday."""
_LONGEST: Final = 1_100 * DAY
_SHORTEST_DAYS: Final = 2
_BUSY: Final = 1_000
"""With more people a day, a world has one step and all the events, so that it lasts for some days."""
_OPENS, _CLOSES = 8 * HOUR, 18 * HOUR
_IN_SESSION: Final = 20 * MINUTE
_STUCK_BY_PERSONA: Final = (0.6, 0.2, 0.05)


class Law(NamedTuple):
    """Completion times of one step. ``scale`` makes ``p90`` (ms) their 90th percentile."""

    name: str
    shape: float
    quick: float
    scale: float
    p90: float

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Draw completion times in ms."""
        times = rng.weibull(self.shape, count) if self.name == "weibull" else np.exp(self.shape * rng.standard_normal(count))
        if self.name == "mixture":
            times = np.where(rng.random(count) < self.quick, times * 0.01, times)
        if self.name == "zero_inflated":
            times = np.where(rng.random(count) < self.quick, 0.0, times)
        return times * self.scale


@dataclass(frozen=True, slots=True)
class StepNature:
    """How people do at one step. ``trouble``: their share in trouble; ``fails``: who never completes it, in trouble and otherwise."""

    law: Law
    trouble: float
    fails: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Nature:
    """Everything that was drawn for a world. ``signs`` are those that people show; ``evidence`` says whether they mean something."""

    people_a_day: float
    events: int
    weekly: bool
    drift: str
    drift_factor: float
    skips: float
    ahead: float
    signs: tuple[str, ...]
    evidence: bool
    precision: float
    usual: str
    after: int
    steps: tuple[StepNature, ...] = field(repr=False)

    def described(self) -> dict[str, Any]:
        """Return the parameters for a report, with times of steps in hours."""
        told = {name: value for name, value in asdict(self).items() if name != "steps"}
        told["steps"] = [
            {
                "law": each.law.name,
                "shape": round(each.law.shape, 2),
                "quick": round(each.law.quick, 2),
                "p90_hours": round(each.law.p90 / HOUR, 4),
                "trouble": round(each.trouble, 2),
                "fails": [round(share, 2) for share in each.fails],
            }
            for each in self.steps
        ]
        return told


class World(NamedTuple):
    """Events in order of time, each one JSON object, and the catalog for them. ``steps``: step -> the event that completes it."""

    name: str
    events: list[bytes]
    catalog: str
    steps: dict[str, str]
    evidence: bool
    about: dict[str, Any]


def draw(seed: int, number: int, most_events: int = MOST_EVENTS, *, optional: bool = False) -> World:
    """Return a world with at most ``most_events`` events. ``optional``: its catalog lets all steps but the last be skipped."""
    rng = np.random.default_rng([seed, number])
    nature = _draw_nature(rng, number, most_events)
    laws = "+".join(dict.fromkeys(each.law.name for each in nature.steps))
    signs = ("+".join(nature.signs) if nature.evidence else "noise") if nature.signs else "no signs"
    rhythm = "".join([", weekly" if nature.weekly else "", f", {nature.drift} drift" if nature.drift != "no" else ""])
    skipping = "".join([", skips" if nature.skips else "", ", optional" if optional else ""])
    name = f"{seed}/{number} {laws}, {nature.people_a_day:.0f} a day{rhythm}{skipping}, {signs}"
    return World(
        name,
        list(_Simulation(nature, rng).lines()),
        _catalog(nature, optional=optional),
        {f"step_{position}": f"step {position} done" for position in range(len(nature.steps))},
        nature.evidence,
        nature.described(),
    )


def _draw_nature(rng: np.random.Generator, number: int, most_events: int) -> Nature:
    people_a_day = _log_uniform(rng, 5, 5_000)
    busy = people_a_day > _BUSY
    events = most_events if busy else round(_log_uniform(rng, most_events / 4, most_events))
    count = 1 if busy else int(rng.integers(1, 5))
    evidence = number % 2 == 0
    shown = [SIGNS[(number // 2) % len(SIGNS)], *rng.choice(SIGNS, int(rng.integers(0, 3)), replace=False)] if evidence else []
    if not evidence and rng.random() < 0.5:
        shown = list(rng.choice(SIGNS, 2, replace=False))
    people = events / _events_each(count, len(set(shown)))
    people_a_day = min(people_a_day, people / _SHORTEST_DAYS)
    days = min(people / people_a_day, _LONGEST / DAY)
    longest = min(60 * DAY, days * DAY / 12)
    main = LAWS[number % 4 if number % 8 < 4 else (number + 1) % 4]
    base = _log_uniform(rng, 20 * SECOND, max(longest, 60 * SECOND))
    steps = []
    for position in range(count):
        name = main if position == 0 or rng.random() < 0.6 else str(rng.choice(LAWS))
        shape = rng.uniform(0.5, 2.0) if name == "weibull" else rng.uniform(0.4, 1.8)
        quick = rng.uniform(0.3, 0.75)
        unscaled = float(np.quantile(Law(name, shape, quick, 1.0, 0.0).draw(rng, 4_000), 0.9))
        p90 = float(np.clip(base * np.exp(rng.normal(0, 1)), 5 * SECOND, longest))
        fails = (rng.uniform(0.6, 0.95), rng.uniform(0.02, 0.1))
        steps.append(StepNature(Law(name, shape, quick, p90 / unscaled, p90), rng.uniform(0.12, 0.35), fails))
    return Nature(
        people_a_day=people_a_day,
        events=events,
        weekly=bool(rng.random() < 0.35 and days > 20),
        drift=DRIFTS[(number + number // 4) % 4],
        drift_factor=_log_uniform(rng, 0.25, 4),
        skips=float(rng.choice([0, 0, rng.uniform(0.05, 0.4)])),
        ahead=float(rng.choice([0, 0, 0.05])),
        signs=tuple(dict.fromkeys(map(str, shown))),
        evidence=evidence,
        precision=float(rng.choice([0.5, 0.6, 0.7, 0.8, 0.9])),
        usual=str(rng.choice(["right", "missing", "ten times too long", "ten times too short"])),
        after=int(rng.choice([HOUR, DAY, 7 * DAY])),
        steps=tuple(steps),
    )


def _events_each(steps: int, signs: int) -> float:
    """Return about how many events a person sends."""
    return 1 + steps * (1.6 + 0.6 * signs)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


class _Simulation:
    """Simulates people in the order in which they arrive until the events are used up. The log ends with the last arrival."""

    def __init__(self, nature: Nature, rng: np.random.Generator) -> None:
        self._nature = nature
        self._rng = rng
        self._events: list[tuple[int, int, str, str, str, dict[str, Any]]] = []

    def lines(self) -> Iterator[bytes]:
        arrived, ends, number = float(_BEGIN), 0, 0
        people = self._nature.events / _events_each(len(self._nature.steps), len(self._nature.signs))
        expected = people / self._nature.people_a_day * DAY
        while arrived < _BEGIN + _LONGEST:
            arrived += self._rng.exponential(DAY / self._nature.people_a_day)
            at = self._opened(round(arrived))
            self._person(f"u{number}", at, (arrived - _BEGIN) / expected)
            number, ends = number + 1, max(ends, at)
            if len(self._events) >= self._nature.events:
                break
        self._events.sort(key=lambda event: event[:2])
        kept = bisect_right(self._events, ends, key=lambda event: event[0])
        for number, (at, _, who, kind, name, payload) in enumerate(self._events[: self._nature.events][:kept]):
            moment = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
            event = {"eventId": f"e{number}", "userId": who, "eventType": kind, "name": name, "timestamp": moment, "payload": payload}
            yield json.dumps(event).encode()

    def _add(self, at: float, who: str, kind: str, name: str, **payload: object) -> None:
        self._events.append((round(at), len(self._events), who, kind, name, payload))

    def _opened(self, at: int) -> int:
        """Move a moment into the opening hours of a world with a weekly rhythm, some time after they begin."""
        if not self._nature.weekly:
            return at
        day, hour = divmod(at - _BEGIN, DAY)
        if day % 7 < 5 and _OPENS <= hour < _CLOSES:
            return at
        day += hour >= _CLOSES
        while day % 7 >= 5:
            day += 1
        return int(_BEGIN + day * DAY + _OPENS + min(self._rng.exponential(HOUR), 9 * HOUR))

    def _person(self, who: str, begins: int, progress: float) -> None:
        rng, nature = self._rng, self._nature
        persona = int(rng.integers(len(PERSONAS)))
        self._add(begins, who, "signup", "", traits={"persona": PERSONAS[persona]} if "traits" in nature.signs else {})
        now, ahead = begins, -1
        for position, step in enumerate(nature.steps):
            if position == ahead:
                continue
            drift = self._drift(progress)
            share = step.trouble
            if nature.evidence and "traits" in nature.signs:
                share = _STUCK_BY_PERSONA[persona]
            trouble = bool(rng.random() < share)
            fails = rng.random() < np.clip(step.fails[0 if trouble else 1] * drift**0.3, 0, 0.97)
            took = float(step.law.draw(rng, 1)[0]) * drift * (1.5 if trouble else 1)
            last = position == len(nature.steps) - 1
            if fails and rng.random() < 0.25:
                fails, took = False, step.law.p90 * drift * rng.uniform(1.5, 6)
            done = now + took
            if took > _IN_SESSION:
                done = self._opened(round(done))
            signals = trouble if nature.evidence else bool(rng.random() < 0.2)
            self._signs(who, position, now, None if fails else done, step.law.p90 * drift, signals)
            if fails:
                return
            if not last and rng.random() < nature.skips:
                continue
            if not last and rng.random() < nature.ahead:
                ahead = position + 1
                self._add(now + (done - now) / 2, who, "track", f"step {ahead} done")
            self._add(done, who, "track", f"step {position} done")
            now = round(done)

    def _drift(self, progress: float) -> float:
        nature = self._nature
        if nature.drift == "abrupt":
            return nature.drift_factor if progress > 0.5 else 1.0
        return float(nature.drift_factor ** min(progress, 1.0)) if nature.drift == "slow" else 1.0

    def _signs(self, who: str, step: int, begins: float, ends: float | None, p90: float, trouble: bool) -> None:
        """Add what a person does at a step before its end. In trouble they show more signs, mostly within a tenth of the usual time."""
        rng, shown = self._rng, self._nature.signs
        until = np.inf if ends is None else ends

        def soon() -> float:
            return begins + 1 + float(rng.exponential(0.06 * p90))

        if "errors" in shown:
            for _ in range(int(rng.poisson(2.5 if trouble else 0.25))):
                if (at := soon()) < until:
                    self._add(at, who, "error", "", code=f"e{int(rng.integers(3))}")
        if "rage_clicks" in shown and rng.random() < (0.6 if trouble else 0.05):
            at = soon()
            for _ in range(5):
                at += float(rng.uniform(150, 700))
                if at < until:
                    self._add(at, who, "button_click", "", target=f"save_{step}")
        if "looping" in shown and rng.random() < (0.6 if trouble else 0.06):
            at = soon()
            for visit in range(8):
                at += float(rng.exponential(min(40 * SECOND, max(0.01 * p90, 800))))
                if at < until:
                    self._add(at, who, "page_view", "", path=f"/step_{step}/{'help' if visit % 2 else 'form'}")
        for at in self._visits(begins, ends, p90, trouble):
            if at < until:
                self._add(at, who, "page_view", "", path=f"/step_{step}")

    def _visits(self, begins: float, ends: float | None, p90: float, trouble: bool) -> list[float]:
        """Return visits of the step's page. Where pauses mean something, who is in trouble stays away after the first."""
        rng = self._rng
        if "pauses" in self._nature.signs and self._nature.evidence:
            if trouble:
                return [begins + 1 + float(rng.exponential(0.01 * p90))]
            length = p90 if ends is None else ends - begins
            return [begins + 1 + float(each) for each in np.sort(rng.uniform(0, length, 4))]
        return [begins + 1 + float(rng.exponential(0.2 * p90))]


def _catalog(nature: Nature, *, optional: bool) -> str:
    factor = {"right": 1.0, "ten times too long": 10.0, "ten times too short": 0.1}.get(nature.usual)
    steps = []
    for position, each in enumerate(nature.steps):
        usual = "" if factor is None else f", usual: {round(max(MINUTE, each.law.p90 * factor))}ms"
        usual += ", optional: true" if optional and position < len(nature.steps) - 1 else ""
        typical = round(np.clip(each.law.p90 / 4, SECOND, 10 * MINUTE))
        steps.append(
            f"  - {{id: step_{position}, title: do step {position}, typical: {typical}ms{usual}, "
            f"complete: [{{type: track, name: step {position} done}}], activity: [{{type: page_view, where: {{path: /step_{position}}}}}]}}"
        )
    path = ", ".join(f"step_{position}" for position in range(len(nature.steps)))
    return "\n".join(
        [
            "id: world",
            "version: 1",
            "product: World",
            "observe: true",
            *(["segment_by: [persona]"] if "traits" in nature.signs else []),
            "triggers:",
            f"  precision: {nature.precision}",
            f"  stuck:inactive: {{after: {nature.after}ms}}",
            "steps:",
            *steps,
            "paths:",
            f"  - {{id: everyone, title: all, steps: [{path}]}}",
            "",
        ]
    )
