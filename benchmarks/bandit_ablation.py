"""Takes parts out of the learner, one at a time: ``python -m benchmarks.bandit_ablation [--seeds A-B] [--out FILE]``.

Every variant decides in the same worlds (``benchmarks.bandit_worlds``) with the same draws, so differences are paired by seed. The table
shows the share of the possible gain that the whole learner reaches, in points, and for each variant the difference from it with its
standard error. ``--table FILE...`` prints the table of a recorded run; further files are runs of other learners in the same worlds, and
what the first one gained over each of them is printed too.

In ``drift`` there are two yardsticks. ``restarted`` is the learner begun anew at the change, ignoring outcomes of earlier decisions.
``clairvoyant`` knows when the arms' effects change: it keeps what it knows of steps, segments and the spread of effects, and begins anew
with the arms only. Both are spared noticing the change; neither is an upper bound.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

from benchmarks.bandit_contenders import Engine
from benchmarks.bandit_worlds import BEGIN, EACH, TRIGGERS, World, draw_world, run
from benchmarks.replication import print_line, seeds_of
from state.decision import posterior
from state.decision.bandit import Bandit, Learner
from state.decision.bandit_policy import BanditPolicy

Row = dict[str, Any]

WHOLE: Final = "whole"
POINTS: Final = 512
"""Instead of the 4,096 of ``state/decision/propensity.py``: probabilities are accurate to 0.02, and runs take less time."""


@dataclass(frozen=True)
class Variant:
    """``policy``: fields of the policy; ``constants``: dotted names, and the values that they are given; ``worlds``: where it matters."""

    policy: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    worlds: tuple[str, ...] = ("baseline", "drift")


class Restarted(Engine):
    """The engine's learner, begun anew at the log time of the change. Outcomes of earlier decisions are ignored."""

    def __init__(self, policy: BanditPolicy, changes_at: int) -> None:
        """``changes_at``: log time."""
        super().__init__(policy, TRIGGERS)
        self._policy, self._changes_at, self._changed = policy, changes_at, False

    def propensities(self, trigger: int, step: int, segment: int, arms: Sequence[int], at: int, seen: Any = None) -> Sequence[float]:
        """Return the engine's propensities."""
        if at >= self._changes_at and not self._changed:
            self._changed = True
            self._change()
        return super().propensities(trigger, step, segment, arms, at, seen)

    def observe(self, trigger: int, arm: int, step: int, segment: int, success: bool, at: int, shown_at: int) -> None:
        """Learn it unless the decision was made before the change and the outcome comes after it."""
        if not self._changed or shown_at >= self._changes_at:
            super().observe(trigger, arm, step, segment, success, at, shown_at)

    def _change(self) -> None:
        self._bandits[:] = [Bandit(self._policy, Learner()) for _ in self._bandits]


class Clairvoyant(Restarted):
    """Begins anew with the arms, and keeps the rest: after the change every arm is another, of which nothing is known."""

    def _change(self) -> None:
        self._suffix = "@2"
        self._eligible[:] = [set() for _ in self._eligible]


def _without(group: str) -> dict[str, Any]:
    """Effects of ``group`` are held at zero."""
    return {"state.decision.posterior.SPREADS": {**posterior.SPREADS, group: 1e-4}}


_ANY = ("baseline", "drift", "wander", "cold")
VARIANTS: Final = {
    WHOLE: Variant(worlds=("baseline", "drift", "wander", "cold", "repeats", "new_arm", "harmful_arm", "null")),
    "no change detection": Variant(constants={"state.decision.bandit.CHANGE_THRESHOLD": math.inf}, worlds=_ANY),
    "refit every tenth": Variant(constants={"state.decision.bandit.REFIT_SHARE": 10}, worlds=_ANY),
    "spreads not estimated": Variant(constants={"state.logistic_regression._MOST_ROUNDS": 0}, worlds=_ANY),
    "no arm by segment": Variant(constants=_without("arm by segment"), worlds=_ANY),
    "no arm by step": Variant(constants=_without("arm by step"), worlds=_ANY),
    "half-life 1000 days": Variant({"half_life": "1000d"}, worlds=_ANY),
    "floor 0": Variant({"exploration_floor": 0.0}, worlds=_ANY),
    "curiosity 1": Variant({"curiosity": 1.0}, worlds=_ANY),
    "curiosity 0": Variant({"curiosity": 0.0}, worlds=_ANY),
    "prior rate 0.1": Variant({"prior_rate": 0.1}, worlds=_ANY),
    "prior weight 40": Variant({"prior_weight": 40.0}, worlds=_ANY),
    "no repeat penalty": Variant({"repeat_penalty": 0.0}, worlds=("repeats",)),
    "no cap of new arms": Variant({"newcomer_share": 1.0}, worlds=("new_arm",)),
    "new arms not known as new": Variant({"newcomer_trials": 1}, worlds=("new_arm",)),
    "harm from the same cells": Variant(constants={"state.decision.bandit.SLOW_DISCOUNT": 1.0}, worlds=("harmful_arm", "null")),
    "stop at the first look": Variant({"stop_looks": 1}, worlds=("harmful_arm", "null")),
    "no margin of harm": Variant({"harm_margin": 0.0}, worlds=("harmful_arm", "null")),
    "nothing is stopped": Variant({"stop_after": 100_000}, worlds=("harmful_arm", "null")),
    "restarted": Variant(worlds=("drift",)),
    "clairvoyant": Variant(worlds=("drift",)),
}


def measure(name: str, scenario: str, seed: int) -> Row:
    """Run one variant in one world."""
    variant, world = VARIANTS[name], draw_world(scenario, seed)
    policy = BanditPolicy.model_validate(variant.policy)
    with mock.patch("state.decision.propensity.POINTS", POINTS), ExitStack() as stack:
        for constant, value in variant.constants.items():
            stack.enter_context(mock.patch(constant, value))
        learner = _learner(name, policy, world)
        result = run(world, learner, seed)
    row: Row = {"variant": name, "scenario": scenario, "seed": seed}
    row |= {each: round(float(result[each]), 6) for each in ("share", "late", "gap", "seconds")}
    row["changes"] = [(at - BEGIN) // EACH for _, at in learner.changes]
    row["stops"] = [(trigger, arm, (at - BEGIN) // EACH) for trigger, arm, at in learner.stops]
    if world.arrives:
        row["new_share"] = round(float(result["last"][world.arrives :].mean()), 4)
    if scenario == "harmful_arm":
        row["harmful_share"] = round(float(result["last"].mean()), 4)
    return row


def _learner(name: str, policy: BanditPolicy, world: World) -> Engine:
    kind = {"restarted": Restarted, "clairvoyant": Clairvoyant}.get(name)
    return kind(policy, BEGIN + world.decisions // 2 * EACH) if kind else Engine(policy, TRIGGERS)


def table(rows: Sequence[Row]) -> str:
    """Differences from the whole learner, in points of the possible gain, as Markdown."""
    shares = {(row["variant"], row["scenario"], row["seed"]): 100.0 * row["share"] for row in rows}
    scenarios = list(dict.fromkeys(row["scenario"] for row in rows if row["scenario"] != "null"))
    lines = [f"| | {' | '.join(scenarios)} | changes found | arms stopped | CPU |", "|---" * (len(scenarios) + 4) + "|"]
    for name in dict.fromkeys(row["variant"] for row in rows):
        cells = []
        for scenario in scenarios:
            seeds = [seed for which, where, seed in shares if which == name and where == scenario]
            whole = [shares.get((WHOLE, scenario, seed)) for seed in seeds]
            if name == WHOLE:
                cells.append(with_error([shares[name, scenario, seed] for seed in seeds], ""))
            else:
                cells.append(with_error([shares[name, scenario, s] - w for s, w in zip(seeds, whole, strict=True) if w is not None], "+"))
        own = [row for row in rows if row["variant"] == name]
        time_of_whole = sum(row["seconds"] for row in rows if row["variant"] == WHOLE and any(_same_world(row, other) for other in own))
        spent = sum(row["seconds"] for row in own) / max(time_of_whole, 1e-9)
        changes, stops = sum(len(row["changes"]) for row in own), sum(len(row["stops"]) for row in own)
        lines.append(f"| {name} | {' | '.join(cells)} | {changes} | {stops} | {spent:.2f} |")
    return "\n".join(lines)


def _same_world(row: Row, other: Row) -> bool:
    return bool(row["scenario"] == other["scenario"] and row["seed"] == other["seed"])


def with_error(values: Sequence[float], sign: str) -> str:
    """Mean and standard error."""
    if not values:
        return ""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.mean(values):{sign}.1f} ± {error:.1f}"


def between(mine: Sequence[Row], others: Sequence[Row]) -> str:
    """How much more the whole learner of ``mine`` reaches than that of ``others``, in the worlds that both have seen."""
    before = {(row["scenario"], row["seed"]): row for row in others if row["variant"] == WHOLE}
    found: dict[str, list[float]] = {}
    for row in mine:
        if row["variant"] == WHOLE and (row["scenario"], row["seed"]) in before:
            found.setdefault(row["scenario"], []).append(100.0 * (row["share"] - before[row["scenario"], row["seed"]]["share"]))
    lines = [f"| {scenario} | {len(values)} | {with_error(values, '+')} |" for scenario, values in found.items()]
    return "\n".join(["| scenario | worlds | gained |", "|---|---|---|", *lines])


def read_rows(path: Path) -> list[Row]:
    """Rows of a recorded run."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    """Run what the options name, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("2000-2005"), help="like 2000-2005; others were used for tuning")
    parser.add_argument("--only", action="append", choices=list(VARIANTS))
    parser.add_argument("--scenario", action="append", choices=VARIANTS[WHOLE].worlds)
    parser.add_argument("--out", type=Path, help="file to which one JSON line for each run is appended")
    parser.add_argument("--table", nargs="+", type=Path, metavar="FILE", help="print the table of recorded runs instead")
    given = parser.parse_args()
    if given.table:
        recorded = [read_rows(path) for path in given.table]
        print_line(table(recorded[0]))
        for older in recorded[1:]:
            print_line("\n" + between(recorded[0], older))
        return
    rows: list[Row] = []
    began = time.perf_counter()
    for seed in given.seeds:
        for name in given.only or VARIANTS:
            for scenario in VARIANTS[name].worlds:
                if given.scenario and scenario not in given.scenario:
                    continue
                rows.append(measure(name, scenario, seed))
                if given.out is not None:
                    with given.out.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
                sys.stderr.write(f"\r{len(rows)} runs, {time.perf_counter() - began:.0f} s   ")
    sys.stderr.write("\n")
    print_line(table(rows))


if __name__ == "__main__":
    main()
