"""Measures the coverage of the lift's confidence sequence: ``python -m benchmarks.coverage_lift --seeds 1000-1999``.

Each seed is one replication without Bytewax. The true lift at a look is the mean difference between the adaptive people who have matured
by then and their untreated twins. A replication covers if the always-valid interval contains the true lift at every look after the burn-in.
In ``no_effect`` every claimed lift is a false positive.
"""

from __future__ import annotations

import json
import statistics
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl

from benchmarks.measure import CATALOG
from benchmarks.replication import ReplicationConfig, argument_parser, configs_of, over_seeds, print_line, relax_gc, replicate
from evaluation.effect import WINDOW, effect, matured

Row = dict[str, Any]

BURN_IN: Final = 50
"""Number of matured people of both groups from which looks count. Before that the true lift is a mean of very few people."""


def cover(config: ReplicationConfig, *, tuned_at: int) -> Row:
    """Run one replication and check whether its intervals contain the true lift."""
    relax_gc()
    run = replicate(config)
    catalog = run.job.plan.catalog
    shares = {"holdout": catalog.holdout, "rules": catalog.rules, "adaptive": 1 - catalog.holdout - catalog.rules}
    lift = effect(run.evidence, run.truth, shares=shares, tuned_at=tuned_at).lift_of("adaptive", "holdout")
    if lift is None:
        return {"seed": config.seed, "matured": 0}
    gains = {
        person.user_id: float(_in_time(person.activated_at, person.signup_at)) - _in_time(person.untreated.activated_at, person.signup_at)
        for person in run.truth.people
    }
    both = matured(run.evidence).filter(pl.col("experiment_group").is_in(["adaptive", "holdout"]))
    adaptive = (both["experiment_group"] == "adaptive").to_numpy()
    gain = np.array([gains.get(user, 0.0) for user in both["user_id"]]) * adaptive
    truth = np.cumsum(gain) / np.maximum(1, np.cumsum(adaptive))
    path = lift.path
    at = truth[path.seen - 1]
    looked = path.seen >= BURN_IN
    inside = (path.lower <= at) & (at <= path.upper)
    return {
        "seed": config.seed,
        "matured": both.height,
        "covers": bool(inside[looked].all()),
        "coversAtEnd": bool(inside[-1]),
        "claimed": lift.claimed,
        "lift": lift.lift,
        "trueLift": float(truth[-1]),
        "width": float(path.upper[-1] - path.lower[-1]),
        "fixedWidth": lift.fixed_upper - lift.fixed_lower,
    }


def _in_time(activated: int | None, signed_up: int) -> bool:
    return activated is not None and activated <= signed_up + WINDOW


def main() -> None:
    """Run the replications and print coverage, claims and widths."""
    parser = argument_parser(__doc__.partition("\n")[0], users=400, days=12)
    parser.set_defaults(catalog=CATALOG, holdout=0.2, rules=0.0)
    parser.add_argument("--tuned-at", type=int, default=300, help="number of people at which the interval is narrowest")
    given = parser.parse_args()
    rows = [row for _, row in over_seeds(partial(cover, tuned_at=given.tuned_at), configs_of(given), given.jobs) if row["matured"]]
    if given.json:
        print_line(json.dumps(rows))
        return
    named = ("covers", "coversAtEnd", "claimed", "lift", "trueLift", "width", "fixedWidth")
    share = {name: statistics.mean(row[name] for row in rows) for name in named}
    people = statistics.mean(row["matured"] for row in rows)
    print_line(f"{given.scenario}: {len(rows)} replications of about {people:.0f} matured people")
    print_line(f"mean lift {share['lift']:.4f}, true lift {share['trueLift']:.4f}; claimed in {share['claimed']:.1%}")
    print_line(f"coverage over all looks {share['covers']:.1%}, at the last look {share['coversAtEnd']:.1%}")
    print_line(f"mean width at the last look {share['width']:.3f}; of a fixed-sample interval {share['fixedWidth']:.3f}")


if __name__ == "__main__":
    main()
