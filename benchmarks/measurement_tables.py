"""Writes the tables of ``docs/measurements.md`` from results: ``python -m benchmarks.measurement_tables benchmarks/results``.

Reads what ``benchmarks.measure --out`` and ``benchmarks.coverage_lift --json`` have left there; prints Markdown.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

Row = dict[str, Any]

_STUCK: Final = (
    ("precision", "precision"),
    ("recall", "recall"),
    ("timeout, as many found", "timeoutPrecisionAtOurRecall"),
    ("observer's recall at 0.90", "observerRecallAt90"),
    ("after 4 days: precision", "laterPrecision"),
    ("recall", "laterRecall"),
    ("timeout, as many found", "laterTimeoutPrecisionAtOurRecall"),
)
_BANDIT: Final = (
    ("uniform", "uniform"),
    ("global arms", "globalArms"),
    ("own cells", "independentCells"),
    ("best fixed", "bestFixed"),
    ("**engine**", "policy"),
    ("reference", "reference"),
    ("greedy reference", "referenceGreedy"),
    ("best policy", "bestPolicy"),
)


def main() -> None:
    """Print everything that there are results for."""
    results = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("results"))
    found = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in sorted(results.glob("*.jsonl"))}
    _tell_stuck({name.removeprefix("stuck_"): rows for name, rows in found.items() if name.startswith("stuck_")})
    _tell_bandit({name: rows for name, rows in found.items() if not name.startswith("stuck_")})
    _tell_newcomers(found)
    _tell_lift(found)
    for path in sorted(results.glob("coverage_*.json")):
        _tell_coverage(path.stem.removeprefix("coverage_"), [row for row in json.loads(path.read_text()) if row["matured"]])


def _tell_stuck(found: dict[str, list[Row]]) -> None:
    _say("### Stuck\n")
    _table(
        ["scenario", "seeds", "prevalence", *(title for title, _ in _STUCK)],
        (
            [name, str(len(rows)), _mean(rows, "stuck", "prevalence"), *(_mean(rows, "stuck", key) for _, key in _STUCK)]
            for name, rows in found.items()
        ),
    )
    for name, rows in found.items():
        for title, key in (("precision after 4 days", "laterPrecision"), ("recall after 4 days", "laterRecall")):
            _say(f"{name}, {title}, seed by seed: {_seeds(rows, 'stuck', key)}\n")
    if bots := found.get("bots"):
        alarms = statistics.mean(row["stuck"]["botAlarmShare"] for row in bots)
        humans = statistics.mean(row["stuck"]["humansSuspected"] for row in bots)
        _say(f"bots: {alarms:.2%} of alarms were for bots, {humans:.2%} of humans were suspected.\n")


def _tell_bandit(found: dict[str, list[Row]]) -> None:
    _say("### Bandit\n")
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
            _say(f"{name}, engine / reference, seed by seed: {' '.join(_ratio([row], 'reference') for row in some)}\n")


def _ratio(rows: Sequence[Row], against: str) -> str:
    own = statistics.mean(row["bandit"]["policy"] - row["bandit"]["uniform"] for row in rows)
    ideal = statistics.mean(row["bandit"][against] - row["bandit"]["uniform"] for row in rows)
    return f"{own / ideal:.2f}"


def _tell_newcomers(found: dict[str, list[Row]]) -> None:
    told = {name: [row for row in rows if "newcomer" in row] for name, rows in found.items()}
    for name, rows in told.items():
        for row in rows:
            arm = row["newcomer"]
            stops = ", ".join(f"{stop['trigger']} ({stop['confidence']:.3f})" for stop in arm["stops"]) or "nowhere"
            _say(
                f"{name}, seed {row['seed']}: eligible in {arm['eligible']:,} of {arm['decisions']:,} decisions; share in the newest fifth "
                f"of these {arm['lateShare']:.1%}; stopped upon {stops}; other arms stopped: {arm['stoppedOthers']}.\n"
            )


def _tell_lift(found: dict[str, list[Row]]) -> None:
    rows = [row for row in found.get("baseline", []) if "lift" in row["lift"]]
    if not rows:
        return
    _say("### Lift\n")
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


def _tell_coverage(name: str, rows: Sequence[Row]) -> None:
    def mean(key: str) -> float:
        return statistics.mean(float(row[key]) for row in rows)

    _say(f"{name}: {len(rows):,} replications of {mean('matured'):.0f} matured people: the whole path covers in {mean('covers'):.1%},")
    _say(f"a lift is claimed in {mean('claimed'):.1%}; width at the end {mean('width'):.3f}, for one look {mean('fixedWidth'):.3f}.\n")


def _mean(rows: Sequence[Row], group: str, key: str) -> str:
    known = [row[group][key] for row in rows if row[group].get(key) is not None]
    return f"{statistics.mean(known):.3f}" if known else "–"


def _seeds(rows: Sequence[Row], group: str, key: str) -> str:
    return " ".join("–" if row[group].get(key) is None else f"{row[group][key]:.2f}" for row in rows)


def _table(head: Sequence[str], rows: Any) -> None:
    _say("| " + " | ".join(head) + " |")
    _say("|" + "---|" * len(head))
    for row in rows:
        _say("| " + " | ".join(row) + " |")
    _say("")


_say: Callable[[str], None] = print


if __name__ == "__main__":
    main()
