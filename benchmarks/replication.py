"""Runs the closed loop many times without Bytewax: ``python -m benchmarks.replication --scenario baseline --seeds 1-5``.

The simulated population runs in this process against ``evaluation/offline_runner.py``. A replication returns the rows that ClickHouse would
hold and the sealed truth. Other benchmarks use ``replicate`` and ``over_seeds``. Seeds below 1000 are for tuning; reported seeds begin
there.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeVar

import msgspec

from evaluation.catalog_fit import fit_to_history
from evaluation.evidence import Evidence
from evaluation.offline_runner import OfflineRunner, run_closed_loop
from evaluation.scenarios import SCENARIOS, scenario_catalog
from evaluation.truth import SealedTruth, read_truth
from flows.catalogs import load_catalog
from local.secret import DEVELOPMENT_SECRET
from population.simulation import Population
from sources.closed_loop import START, Begin, Slot, describe, unguided
from state.catalog.model import Catalog
from state.catalog.plan import Plan
from state.duration import DAY
from state.ids import Keys

T = TypeVar("T")


@dataclass(frozen=True)
class ReplicationConfig:
    """The settings of one replication. ``holdout`` and ``rules`` override the catalog's shares of these groups.

    ``history``: number of other users, unguided, to whose first two weeks the catalog is fitted before; 0 for no fit.
    """

    scenario: str
    seed: int
    users: int
    days: int
    catalog: str = "saas"
    holdout: float | None = None
    rules: float | None = None
    history: int = 0

    @property
    def end(self) -> int:
        """End of the simulated period, Unix ms."""
        return START + self.days * DAY

    def scenario_catalog(self) -> Catalog:
        """Return the catalog with the scenario's and the configured changes."""
        catalog = scenario_catalog(load_catalog(self.catalog), self.scenario, START, self.end)
        shares = {name: share for name, share in (("holdout", self.holdout), ("rules", self.rules)) if share is not None}
        return catalog.model_copy(update=shares)

    def begin(self, catalog: Catalog) -> Begin:
        """Return the message that begins the population."""
        return Begin(self.scenario, self.seed, self.users, START, self.end, describe(catalog))


@dataclass(frozen=True)
class Replication:
    """The result of one replication. ``seconds``: wall time."""

    config: ReplicationConfig
    job: OfflineRunner
    evidence: Evidence
    truth: SealedTruth
    seconds: float


class InProcessPopulation:
    """The population in this process, behind the interface of a population program."""

    def __init__(self) -> None:
        self._population = Population()

    def begin(self, begin: Begin) -> int:
        """Create the world; return the length of a slot in ms."""
        return int(self._population.begin(begin.message())["slotMs"])

    def advance(self, at: int, until: int, guidance: Mapping[str, bytes | None]) -> Slot:
        """Simulate one slot."""
        return Slot(*self._population.advance(at, until, guidance))

    def finish(self) -> Iterator[bytes]:
        """Yield the lines of the sealed truth."""
        return map(msgspec.json.encode, self._population.finish())


def replicate(
    config: ReplicationConfig,
    make_runner: Callable[[Plan, Keys], OfflineRunner] = OfflineRunner,
) -> Replication:
    """Run one replication. The same settings give the same result."""
    began = time.perf_counter()
    catalog = config.scenario_catalog()
    begin = config.begin(catalog)
    if config.history:
        before = unguided(InProcessPopulation(), begin.two_weeks_before(config.history))
        catalog = fit_to_history(catalog, (event for slot in before for event in slot.events))
    job = make_runner(Plan(catalog), Keys(DEVELOPMENT_SECRET))
    people = InProcessPopulation()
    slot = people.begin(begin)
    truth = read_truth(run_closed_loop(job, people, slot, START, config.end))
    return Replication(config, job, job.evidence(config.end), truth, time.perf_counter() - began)


def over_seeds(
    task: Callable[[ReplicationConfig], T], configs: Sequence[ReplicationConfig], jobs: int = 2
) -> Iterator[tuple[ReplicationConfig, T]]:
    """Run ``task`` on every world in ``jobs`` processes; yield results in order, with progress on standard error."""
    began = time.perf_counter()

    def report_progress(done: int, config: ReplicationConfig) -> None:
        spent = time.perf_counter() - began
        left = spent / done * (len(configs) - done)
        sys.stderr.write(f"\r{config.scenario}: {done} of {len(configs)}, {spent:.0f} s, about {left:.0f} s to go   ")
        if done == len(configs):
            sys.stderr.write("\n")
        sys.stderr.flush()

    if jobs == 1:
        for done, config in enumerate(configs, 1):
            result = task(config)
            report_progress(done, config)
            yield config, result
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=relax_gc) as pool:
        for done, (config, result) in enumerate(zip(configs, pool.map(task, configs), strict=True), 1):
            report_progress(done, config)
            yield config, result


def relax_gc() -> None:
    """Collect garbage rarely: a replication creates many objects and few cycles."""
    gc.set_threshold(200_000, 50, 1000)


def seeds_of(text: str) -> list[int]:
    """``1-5,9`` → [1, 2, 3, 4, 5, 9]."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def argument_parser(description: str, *, users: int, days: int) -> argparse.ArgumentParser:
    """Return a parser with the options that all closed-loop benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="baseline")
    parser.add_argument("--seeds", type=seeds_of, default=[1], help="like 1-5,9; reported seeds begin at 1000")
    parser.add_argument("--users", type=int, default=users)
    parser.add_argument("--days", type=int, default=days)
    parser.add_argument("--catalog", default="saas")
    parser.add_argument("--holdout", type=float)
    parser.add_argument("--rules", type=float)
    parser.add_argument("--history", type=int, default=0, help="users to whose two weeks before the catalog is fitted")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument("--json", action="store_true")
    return parser


def configs_of(given: argparse.Namespace) -> list[ReplicationConfig]:
    """Return one configuration for each seed in the options."""
    return [
        ReplicationConfig(given.scenario, seed, given.users, given.days, given.catalog, given.holdout, given.rules, history=given.history)
        for seed in given.seeds
    ]


def print_line(line: str = "") -> None:
    """Print one line and flush it."""
    print(line, flush=True)


def _summary_row(config: ReplicationConfig) -> dict[str, Any]:
    from evaluation.effect import effect  # noqa: PLC0415
    from evaluation.stuck import label_by_truth, score  # noqa: PLC0415

    relax_gc()
    run = replicate(config)
    stuck = score(label_by_truth(run.truth, run.evidence.until), run.evidence.signals)
    effects = effect(run.evidence, run.truth)
    lift = effects.lift_of("adaptive", "holdout")
    decided = run.evidence.decisions.filter(outcome="decided").height
    return {
        "seed": config.seed,
        "events": run.job.events,
        "seconds": round(run.seconds, 2),
        "decisions": decided,
        "shown": run.evidence.outcomes.filter(kind="shown").height,
        "prevalence": stuck.prevalence,
        "alarms": stuck.alarms,
        "precision": stuck.precision,
        "recall": stuck.recall,
        "groups": {each.group: each.rate for each in effects.groups},
        "lift": lift and [lift.lift, lift.lower, lift.upper],
        "trueLift": effects.true_lift and effects.true_lift.lift,
    }


def main() -> None:
    """Print, for each replication, the number of events, precision and recall of stuck detection, and the lift."""
    given = argument_parser(__doc__.partition("\n")[0], users=2000, days=14).parse_args()
    rows = [result for _, result in over_seeds(_summary_row, configs_of(given), given.jobs)]
    if given.json:
        print_line(json.dumps(rows))
        return
    for row in rows:
        print_line("  ".join(f"{name} {_formatted(value)}" for name, value in row.items()))
    for name in ("precision", "recall", "trueLift"):
        known = [row[name] for row in rows if row[name] is not None]
        if known:
            print_line(f"{name}: mean {statistics.mean(known):.3f}, least {min(known):.3f}, most {max(known):.3f}")


def _formatted(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return "[" + " ".join(_formatted(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + " ".join(f"{name} {_formatted(each)}" for name, each in value.items()) + "}"
    return value


if __name__ == "__main__":
    main()
