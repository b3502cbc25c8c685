"""Prints the tables of ``docs/measurements.md`` from recorded results: ``python -m benchmarks.measurement_tables benchmarks/results``.

Reads the files that ``benchmarks.measure --out`` and ``benchmarks.coverage_lift --json`` wrote and prints Markdown.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

Row = dict[str, Any]

_STUCK: Final = (
    ("precision", "precision"),
    ("recall", "recall"),
    ("timeout's precision at this recall", "timeoutPrecisionAtOurRecall"),
    ("observer's recall at 0.90", "observerRecallAt90"),
    ("after 4 days: precision", "laterPrecision"),
    ("recall", "laterRecall"),
    ("timeout's precision at this recall", "laterTimeoutPrecisionAtOurRecall"),
)
_BANDIT: Final = (
    ("uniform", "uniform"),
    ("global arms", "globalArms"),
    ("independent cells", "independentCells"),
    ("best fixed", "bestFixed"),
    ("**engine**", "policy"),
    ("reference", "reference"),
    ("greedy reference", "referenceGreedy"),
    ("best policy", "bestPolicy"),
)


def main() -> None:
    """Print a section for every kind of results found."""
    results = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("results"))
    found = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in sorted(results.glob("*.jsonl"))}
    _print_stuck({name.removeprefix("stuck_"): rows for name, rows in found.items() if name.startswith("stuck_")})
    _print_bandit({name: rows for name, rows in found.items() if not name.startswith("stuck_")})
    _print_new_arms(found)
    _print_lift(found)
    for path in sorted(results.glob("coverage_*.json")):
        _print_coverage(path.stem.removeprefix("coverage_"), [row for row in json.loads(path.read_text()) if row["matured"]])


def _print_stuck(found: dict[str, list[Row]]) -> None:
    _print("### Stuck\n")
    _table(
        ["scenario", "seeds", "prevalence", *(title for title, _ in _STUCK)],
        (
            [name, str(len(rows)), _mean(rows, "stuck", "prevalence"), *(_mean(rows, "stuck", key) for _, key in _STUCK)]
            for name, rows in found.items()
        ),
    )
    for name, rows in found.items():
        for title, key in (("precision after 4 days", "laterPrecision"), ("recall after 4 days", "laterRecall")):
            _print(f"{name}, {title}, by seed: {_seeds(rows, 'stuck', key)}\n")
    if bots := found.get("bots"):
        alarms = statistics.mean(row["stuck"]["botAlarmShare"] for row in bots)
        humans = statistics.mean(row["stuck"]["humansSuspected"] for row in bots)
        _print(f"bots: {alarms:.2%} of alarms were for bots, {humans:.2%} of humans were suspected.\n")


def _print_bandit(found: dict[str, list[Row]]) -> None:
    _print("### Bandit\n")
    rows = {name: [row for row in some if row["bandit"].get("reference") is not None] for name, some in found.items()}
    _table(
        ["scenario", "seeds", *(title for title, _ in _BANDIT), "engine / reference", "/ greedy"],
        (
            [
                name, str(len(some)), *(_mean(some, "bandit", key) for _, key in _BANDIT),
                _ratio(some, "reference"), _ratio(some, "referenceGreedy"),
            ]
            for name, some in rows.items() if some
        ),
    )  # fmt: skip
    for name, some in rows.items():
        if some:
            _print(f"{name}, engine / reference, by seed: {' '.join(_ratio([row], 'reference') for row in some)}\n")


def _ratio(rows: Sequence[Row], against: str) -> str:
    own = statistics.mean(row["bandit"]["policy"] - row["bandit"]["uniform"] for row in rows)
    ideal = statistics.mean(row["bandit"][against] - row["bandit"]["uniform"] for row in rows)
    return f"{own / ideal:.2f}"


def _print_new_arms(found: dict[str, list[Row]]) -> None:
    with_new_arm = {name: [row for row in rows if "newcomer" in row] for name, rows in found.items()}
    for name, rows in with_new_arm.items():
        for row in rows:
            arm = row["newcomer"]
            stops = ", ".join(f"{stop['trigger']} ({stop['confidence']:.3f})" for stop in arm["stops"]) or "no trigger"
            _print(
                f"{name}, seed {row['seed']}: eligible in {arm['eligible']:,} of {arm['decisions']:,} decisions; share in the last fifth "
                f"of these {arm['lateShare']:.1%}; stopped on {stops}; other arms stopped: {arm['stoppedOthers']}.\n"
            )


def _print_lift(found: dict[str, list[Row]]) -> None:
    rows = [row for row in found.get("baseline", []) if "lift" in row["lift"]]
    if not rows:
        return
    _print("### Lift\n")
    _table(
        ["seed", "matured", "lift", "always-valid interval", "true lift", "claimed after"],
        map(_lift_cells, rows),
    )


def _lift_cells(row: Row) -> list[str]:
    lift = row["lift"]
    lower, upper = lift["interval"]
    return [
        str(row["seed"]),
        f"{lift['matured']:,}",
        f"{100 * lift['lift']:+.1f}",
        f"{100 * lower:+.1f} to {100 * upper:+.1f}",
        f"{100 * lift['trueLift']:+.1f}",
        f"{lift['claimedAfter']:,}" if lift["claimedAfter"] else "–",
    ]


def _print_coverage(name: str, rows: Sequence[Row]) -> None:
    def mean(key: str) -> float:
        return statistics.mean(float(row[key]) for row in rows)

    _print(f"{name}: {len(rows):,} replications of {mean('matured'):.0f} matured people: coverage over all looks {mean('covers'):.1%},")
    _print(f"a lift is claimed in {mean('claimed'):.1%}; width at the last look {mean('width'):.3f}, of a fixed-sample interval", end=" ")
    _print(f"{mean('fixedWidth'):.3f}.\n")


def _mean(rows: Sequence[Row], group: str, key: str) -> str:
    known = [row[group][key] for row in rows if row[group].get(key) is not None]
    return f"{statistics.mean(known):.3f}" if known else "–"


def _seeds(rows: Sequence[Row], group: str, key: str) -> str:
    return " ".join("–" if row[group].get(key) is None else f"{row[group][key]:.2f}" for row in rows)


def _table(head: Sequence[str], rows: Any) -> None:
    _print("| " + " | ".join(head) + " |")
    _print("|" + "---|" * len(head))
    for row in rows:
        _print("| " + " | ".join(row) + " |")
    _print("")


_print: Final = print


if __name__ == "__main__":
    main()
