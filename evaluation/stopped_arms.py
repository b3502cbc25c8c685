"""Which stops of arms hold: a stop is of one text, so an arm whose text was rewritten runs again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import polars as pl

from evaluation.evidence import ADAPTIVE, Evidence


def with_in_force(stops: pl.DataFrame, evidence: Evidence) -> pl.DataFrame:
    """Return ``stops``, the rows of ``arm_stops`` in order of time, with a column ``in_force``.

    It is False where a later text of the arm was stopped too, or where the learner could choose the arm after the stop, which it then did
    with another text. A stopped arm is still shown where all arms of a decision are stopped: such decisions say nothing.
    """
    decided = evidence.decisions.filter((pl.col("outcome") == "decided") & (pl.col("experiment_group") == ADAPTIVE))
    newest = {(row["trigger"], row["arm"]): row["version"] for row in stops.iter_rows(named=True)}
    running: set[tuple[str, str]] = set()
    in_force: list[bool] = []
    for row in stops.iter_rows(named=True):
        key = trigger, arm = row["trigger"], row["arm"]
        holds = newest[key] == row["version"]
        if holds:
            chosen_from = decided.filter((pl.col("trigger") == trigger) & pl.col("arms").list.contains(arm))
            after = chosen_from.filter(pl.col("learner_version") >= row["version"]).select("arms", "learner_version").unique()
            stopped = {other: version for (where, other), version in newest.items() if where == trigger and (where, other) not in running}
            holds = _only_for_lack_of_others(after.iter_rows(), stopped)
            if not holds:
                running.add(key)
        in_force.append(holds)
    return stops.with_columns(in_force=pl.Series(in_force, dtype=pl.Boolean()))


def _only_for_lack_of_others(decisions: Iterable[tuple[list[str], int]], stopped: Mapping[str, int]) -> bool:
    """Whether all arms of each decision were stopped when it was made."""
    return all(version >= stopped.get(arm, math.inf) for arms, version in decisions for arm in arms)
