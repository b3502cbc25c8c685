"""Measures stuck detection on many worlds: ``python -m benchmarks.stuck --worlds 20 --seed 1``.

Each world (``benchmarks.stuck.worlds``) runs through the job without Bytewax, in observing mode, and is scored against its own events
(``benchmarks.stuck.frontier``). A log of your own takes part with ``--events``, ``--catalog`` (with ``observe: true``) and ``--steps``:
each step with the ``track`` event that completes it, in path order; the catalog says which are optional, and its last path which activate.
Worst first, a row says:

| column | meaning |
|---|---|
| ``gap`` | the engine's average precision less that of time alone, at the share of the horizon where it is worst |
| ``gain`` | the same on average over 0.1, 0.2 and 0.3 of the horizon |
| ``scored`` | the least share of those waiting that has a score |
| ``calib``, ``inside`` | calibration error and share of bins inside their interval, on average over the shares |
| ``t.cal``, ``t.in`` | the same for time alone: a horizon that moves costs every score some calibration |
| ``H``, ``H err`` | the engine's horizon ÷ the true one, median; the 90th percentile of the factor between them, less one |
| ``asked`` … ``lead`` | precision of alarms as asked, as it is, recall, and time left as a share of the horizon |
| ``late`` | share of the alarms after half of the horizon, which count as wrong |
| ``best`` | the most recall at the asked precision by a threshold on the scores in hindsight; ``-`` where it is out of reach |
| ``timeout`` | the share of the horizon after which a timeout is as precise as the alarms; ``-`` if none within a half is |
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from benchmarks.replication import print_line
from benchmarks.stuck.frontier import ALARMS, SCORES, alarm_figures, episodes, frontier, horizon_figures, timestamp_ms
from benchmarks.stuck.worlds import World, draw
from evaluation.offline_runner import PARTITION, OfflineRunner
from sources.batching import BatchPlanner, BatchPolicy
from state.catalog.parse import parse
from state.catalog.plan import Plan
from state.duration import DAY
from state.ids import Keys
from state.messages import Message
from state.records.facts import SignalFact, StuckScoreFact

EARLY: Final = (0.1, 0.2, 0.3)
ENOUGH_STUCK: Final = 300
"""With fewer stuck episodes among those waiting, an average precision says little; such rows are marked."""


def run(plan: Plan, lines: Iterable[bytes]) -> OfflineRunner:
    """Run a log whose events are its clock through the job. Ticks stand where a source of files puts them."""
    job = OfflineRunner(plan, Keys(b"bench"))
    planner = BatchPlanner(BatchPolicy(lambda *_: job.next_timer(), lambda _: 1), PARTITION, ticked=0)
    log_time = 0
    for number, line in enumerate(lines):
        log_time = max(log_time, _time_of(line))
        planner.begin_batch()
        while planner.decide(log_time, log_time).ticks:
            job.tick(planner.ticked, 2 * number + 1)
            planner.begin_batch()
        job.message(Message(line, None, "bench", PARTITION, number, log_time, log_time, 2 * number + 2))
    return job


def measure(world: World) -> dict[str, Any]:
    """Run one world and score it."""
    catalog = parse(world.catalog, world.name)
    plan = Plan(catalog)
    begun = time.perf_counter()
    job = run(plan, world.events)
    seconds = time.perf_counter() - begun
    known = job.facts(StuckScoreFact)
    scores = pl.DataFrame([[getattr(fact, name) for name in SCORES] for fact in known], schema=SCORES, orient="row")
    alarms = pl.DataFrame([(fact.user_id, fact.step_id, fact.detected_at) for fact in job.facts(SignalFact)], schema=ALARMS, orient="row")
    truth = episodes(world.events, world.steps, plan.optional, plan.needed[catalog.paths[-1].id])
    rows = frontier(truth, scores)
    judged = [row for row in rows if row["engine"] is not None]
    gaps = {row["share"]: row["engine"] - row["time_alone"] for row in judged}
    early = [gaps[share] for share in EARLY if share in gaps]
    calibrated = [row for row in judged if row["calibration_error"] is not None]
    return {
        "world": world.name,
        "evidence": world.evidence,
        "events": len(world.events),
        "days": round((_time_of(world.events[-1]) - _time_of(world.events[0])) / DAY, 1),
        "seconds": round(seconds, 1),
        "rejected": job.dead_letters,
        "episodes": truth.height,
        "stuck": int(truth["stuck"].sum()),
        "gap": min(gaps.values(), default=None),
        "gain": statistics.mean(early) if early else None,
        "few": min((row["stuck"] for row in rows), default=0) < ENOUGH_STUCK,
        "scored": min((row["scored"] for row in judged), default=0.0),
        "calibration_error": statistics.mean(row["calibration_error"] for row in calibrated) if calibrated else None,
        "bins_inside": statistics.mean(row["bins_inside"] for row in calibrated) if calibrated else None,
        "time_alone_error": statistics.mean(row["time_alone_error"] for row in calibrated) if calibrated else None,
        "time_alone_inside": statistics.mean(row["time_alone_inside"] for row in calibrated) if calibrated else None,
        "horizon": horizon_figures(truth, scores),
        "alarms": alarm_figures(truth, alarms, scores, catalog.triggers.precision),
        "frontier": rows,
        "about": world.about,
    }


def _time_of(line: bytes) -> int:
    return timestamp_ms(json.loads(line)["timestamp"])


def own_world(events: Path, catalog: Path, steps: Iterable[str]) -> World:
    """Return a log of one's own as a world. It is taken to carry evidence."""
    with gzip.open(events, "rb") if events.suffix == ".gz" else events.open("rb") as lines:
        every = [line.strip() for line in lines if line.strip()]
    named = dict(step.split("=", 1) for step in steps)
    return World(events.name, every, catalog.read_text(encoding="utf-8"), named, evidence=True, about={})


def worst_first(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Order by gap; worlds in which nobody has a score come first."""
    return sorted(results, key=lambda result: float("-inf") if result["gap"] is None else result["gap"])


def medians(results: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return the medians over the worlds that carry evidence and have scores."""
    told = [result for result in results if result["evidence"] and result["gap"] is not None]
    return {
        what: statistics.median(result[what] for result in told) if told else None
        for what in ("gap", "gain", "calibration_error", "bins_inside")
    }


def table(results: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield " ".join(f"{title:>{width}}" for title, (width, _, _) in COLUMNS.items()) + "  world"
    for result in worst_first(results):
        figures = " ".join(_cell(take(result), width, form) for width, form, take in COLUMNS.values())
        marks = ("" if result["evidence"] else " (no evidence)") + (" (few stuck)" if result["few"] else "")
        yield f"{figures}  {result['world']}{marks}"
    found = medians(results)
    yield "medians with evidence: " + ", ".join(f"{what} {_cell(value, 0, '.3f')}" for what, value in found.items())


COLUMNS: Final[dict[str, tuple[int, str, Callable[[dict[str, Any]], Any]]]] = {
    "gap": (6, "+.3f", lambda result: result["gap"]),
    "gain": (6, "+.3f", lambda result: result["gain"]),
    "scored": (6, ".2f", lambda result: result["scored"]),
    "calib": (5, ".3f", lambda result: result["calibration_error"]),
    "inside": (6, ".2f", lambda result: result["bins_inside"]),
    "t.cal": (5, ".3f", lambda result: result["time_alone_error"]),
    "t.in": (4, ".2f", lambda result: result["time_alone_inside"]),
    "H": (5, ".2f", lambda result: result["horizon"]["ratio"]),
    "H err": (5, ".2f", lambda result: result["horizon"]["error"]),
    "asked": (5, ".2f", lambda result: result["alarms"]["asked"]),
    "prec": (5, ".2f", lambda result: result["alarms"]["precision"]),
    "recall": (6, ".2f", lambda result: result["alarms"]["recall"]),
    "lead": (5, ".2f", lambda result: result["alarms"]["lead"]),
    "late": (5, ".2f", lambda result: result["alarms"]["late_share"]),
    "best": (5, ".2f", lambda result: result["alarms"]["best_recall"]),
    "timeout": (7, ".2f", lambda result: result["alarms"]["timeout_share"]),
    "stuck": (5, "d", lambda result: result["stuck"]),
    "episodes": (8, "d", lambda result: result["episodes"]),
    "events": (6, "d", lambda result: result["events"]),
    "days": (6, ".1f", lambda result: result["days"]),
    "s": (4, ".0f", lambda result: result["seconds"]),
}
"""Title -> width, format, and how to take the figure from a result."""


def _cell(value: Any, width: int, form: str) -> str:
    return f"{'-' if value is None else format(value, form):>{width}}"


def main() -> None:
    """Run the worlds and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stuck", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=20, help="number of synthetic worlds (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the worlds (default: 1)")
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="numbers of the worlds to run instead, from 0")
    parser.add_argument("--optional", action="store_true", help="let all steps but the last be optional, as in many drafted catalogs")
    parser.add_argument("--events", type=Path, help="a log of your own, JSON lines, also gzipped")
    parser.add_argument("--catalog", type=Path, help="its catalog, with observe: true")
    parser.add_argument("--steps", nargs="+", metavar="STEP=EVENT", help="its steps in path order, each with the event that completes it")
    parser.add_argument("--json", action="store_true", help="print one JSON line for each world, as soon as it is measured")
    given = parser.parse_args()
    if given.events is not None and (given.catalog is None or not given.steps):
        parser.error("--events needs --catalog and --steps")
    if given.steps and not all("=" in step for step in given.steps):
        parser.error("--steps takes STEP=EVENT, for example company='company saved'")
    numbers = range(given.worlds) if given.only is None else given.only
    todo = len(numbers) + (given.events is not None)
    results: list[dict[str, Any]] = []
    for done, world in enumerate(_worlds(given, numbers), 1):
        result = measure(world)
        results.append(result)
        if given.json:
            print_line(json.dumps(result))
        print(f"{done} of {todo}: {world.name}: {len(world.events):,} events in {result['seconds']} s", file=sys.stderr, flush=True)
    if not given.json:
        for line in table(results):
            print_line(line)


def _worlds(given: argparse.Namespace, numbers: Iterable[int]) -> Iterator[World]:
    if given.events is not None:
        yield own_world(given.events, given.catalog, given.steps)
    for number in numbers:
        yield draw(given.seed, number, optional=given.optional)


if __name__ == "__main__":
    main()
