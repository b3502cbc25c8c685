"""Measures stuck detection, the bandit and the lift against the sealed truth: ``python -m benchmarks.measure --scenario baseline``.

Each seed is one replication without Bytewax (``benchmarks.replication``), on the catalog ``benchmarks/trial.yaml``.
``tests/flows/test_offline_runner.py`` proves that the job makes the same decisions. Each figure has a lower and an upper comparison:

- stuck: the best fixed timeout, and an *informed observer* (``population.observer``: fitted to 3,000 untreated people of the same scenario,
  sees every event, judges at H/2);
- bandit: uniform choice, and Thompson sampling that knows the true prior and needs no exploration floor (``evaluation.reference``).
  Values are expected rewards over the fifth of the decisions that follows the first ``--decisions``;
- lift: activation within 7 days of sign-up, adaptive minus holdout, and the true lift against the untreated twins.

Seeds below 1000 are for tuning. ``--out FILE`` appends one JSON line for each seed.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from benchmarks.bandit_contenders import earned, global_arms, independent_cells
from benchmarks.replication import Replication, ReplicationConfig, argument_parser, configs_of, over_seeds, print_line, relax_gc, replicate
from evaluation.bandit_value import Exposed, exposed, last, part, values
from evaluation.effect import effect
from evaluation.episodes import first_alarms
from evaluation.integrity import check
from evaluation.prior import Prior, prior_for
from evaluation.reference import reference
from evaluation.scenarios import NEW_ARM
from evaluation.stuck import label_by_truth, score
from evaluation.stuck_bounds import bounds, timeouts_table
from population.describe import labelled_features, untreated_episodes
from population.observer import Observer
from population.product import Product
from sources.closed_loop import START, describe
from state.duration import DAY
from state.records.facts import ArmStopFact

Row = dict[str, Any]

CATALOG: Final = str(Path(__file__).with_name("trial.yaml"))
_TRAINING_SEED_OFFSET: Final = 50_000
"""Added to a seed for the people that the observer is fitted to, so that no reported seed is used for training."""
_OBSERVER_PEOPLE: Final = 3_000
WARM_UP: Final = 4 * DAY
"""From the first event on. Before that there are too few completions to estimate completion times of about a day."""


def measure(config: ReplicationConfig, *, decisions: int, observer: bool) -> Row:
    """Run one replication and measure it."""
    relax_gc()
    run = replicate(config)
    row: Row = {"scenario": config.scenario, "seed": config.seed, "users": config.users, "days": config.days, "events": run.job.events}
    row["stuck"] = _stuck(run, observer=observer)
    row["bandit"] = _bandit(run, decisions)
    row["lift"] = _lift(run)
    row["findings"] = [f"{each.name}: {each.detail}" for each in check(run.evidence, run.truth) if not each.ok]
    if run.job.plan.component.get(NEW_ARM):
        row["newcomer"] = _new_arm(run)
    row["seconds"] = round(run.seconds, 1)
    return row


def _stuck(run: Replication, *, observer: bool) -> Row:
    episodes = label_by_truth(run.truth, run.evidence.until)
    found = score(episodes, run.evidence.signals)
    edges = bounds(episodes)
    humans = {person.user_id for person in run.truth.people if not person.bot}
    suspected = {row["user_id"] for row in run.evidence.decisions.filter(reason="suspected_bot").iter_rows(named=True)}
    alarms = first_alarms(run.evidence.signals)
    for_bots = alarms.filter(~pl.col("user_id").is_in(humans)).height
    row: Row = {
        "episodes": found.episodes,
        "prevalence": found.prevalence,
        "alarms": found.alarms,
        "precision": found.precision,
        "recall": found.recall,
        "leadHours": None if found.lead is None else found.lead / 3_600_000,
        "botAlarmShare": for_bots / max(alarms.height, 1),
        "humansSuspected": len(suspected & humans) / len(humans),
        "f1": found.f1,
        "everyonePrecision": edges.everyone.precision,
        "timeoutPrecision": edges.best_timeout.precision,
        "timeoutRecall": edges.best_timeout.recall,
        "timeoutF1": edges.best_timeout.f1,
        "timeoutPrecisionAtOurRecall": _timeout_at(episodes, found.recall),
        **_after_warm_up(run, episodes),
    }
    if observer:
        row |= _observer_recall(run, found.precision)
    return row


def _timeout_at(episodes: pl.DataFrame, recall: float | None) -> float | None:
    """Return the best precision of the fixed timeouts that reach at least this recall."""
    rules = [rule.precision for rule in timeouts_table(episodes) if rule.precision and (rule.recall or 0.0) >= (recall or 0.0)]
    return max(rules, default=None)


def _after_warm_up(run: Replication, episodes: pl.DataFrame) -> Row:
    """Compute the same figures for episodes that began after ``WARM_UP``, as in a job that has run for some days."""
    from_then = START + WARM_UP
    later = episodes.filter(pl.col("onset") >= from_then)
    known = later.select("user_id", "step_id")
    found = score(later, run.evidence.signals.join(known, on=["user_id", "step_id"], how="semi"))
    return {
        "laterPrecision": found.precision,
        "laterRecall": found.recall,
        "laterF1": found.f1,
        "laterTimeoutF1": bounds(later).best_timeout.f1,
        "laterTimeoutPrecisionAtOurRecall": _timeout_at(later, found.recall),
    }


def _observer_recall(run: Replication, precision: float | None) -> Row:
    """Compute the recall of the informed observer on the untreated people of this world, judged at H/2."""
    config = run.config
    product = msgspec.convert(describe(config.scenario_catalog()), Product)
    own, people = untreated_episodes(product, config.scenario, config.seed, min(config.users, _OBSERVER_PEOPLE), config.days)
    _, training = untreated_episodes(product, config.scenario, config.seed + _TRAINING_SEED_OFFSET, _OBSERVER_PEOPLE, config.days)
    horizons = own.horizons()
    rows, truth, positives = labelled_features(people, horizons, 0.5)
    scores = Observer(*labelled_features(training, horizons, 0.5)[:2])(rows)
    return {
        "observerRecallAt90": _recall_at(scores, truth, positives, 0.9),
        "observerRecallAtOurs": None if precision is None else _recall_at(scores, truth, positives, precision),
    }


def _recall_at(scores: Any, positive: Sequence[bool], positives: int, precision: float) -> float:
    """Return the highest recall of the thresholds with at least this precision."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = np.cumsum(np.asarray(positive, dtype=float)[order])
    good = hits / np.arange(1, len(order) + 1) >= precision
    return float(hits[good].max() / positives) if good.any() and positives else 0.0


def _bandit(run: Replication, decisions: int) -> Row:
    everything = exposed(run.evidence, run.truth)
    row: Row = {"shown": len(everything.log)}
    changed = run.truth.world.changed_at
    begin = int(np.searchsorted(everything.shown_at, changed)) if changed is not None else 0
    considered = part(everything, begin, min(len(everything.log), begin + decisions * 5 // 4))
    row["decisions"] = len(considered.log)
    recent = last(considered)
    found = values(recent)
    if found is None:
        return row
    prior = prior_for(run.truth.world.prior, considered)
    floor = run.job.plan.catalog.learning.exploration_floor * recent.log.eligible.sum(axis=1).mean()
    ideal = _reference_value(considered, prior, run.config.seed)
    row |= {
        "uniform": found.uniform,
        "policy": found.policy,
        "bestFixed": found.best_fixed,
        "bestPolicy": found.best_policy,
        "reference": ideal,
        "referenceWithFloor": _with_floor(ideal, found.uniform, floor),
        "referenceGreedy": _reference_value(considered, prior, run.config.seed, greedy=True),
        "globalArms": _with_floor(earned(considered, global_arms, window=DAY, seed=run.config.seed), found.uniform, floor),
        "independentCells": _with_floor(earned(considered, independent_cells, window=DAY, seed=run.config.seed), found.uniform, floor),
    }
    return row


def _with_floor(value: float, uniform: float, floor: float) -> float:
    """Return the value of a policy that chooses uniformly in a share ``floor`` of its decisions."""
    return value + floor * (uniform - value)


def _reference_value(shown: Exposed, prior: Prior, seed: int, *, greedy: bool = False) -> float:
    found = reference(shown, prior, seed=seed, greedy=greedy)
    assert found is not None, "something was shown"
    return found.value


def _lift(run: Replication) -> Row:
    catalog = run.job.plan.catalog
    shares = {"holdout": catalog.holdout, "rules": catalog.rules, "adaptive": 1 - catalog.holdout - catalog.rules}
    found = effect(run.evidence, run.truth, shares=shares)
    lift = found.lift_of("adaptive", "holdout")
    row: Row = {"matured": sum(each.people for each in found.groups), "rates": {each.group: each.rate for each in found.groups}}
    if lift is not None and found.true_lift is not None:
        row |= {
            "lift": lift.lift,
            "interval": [lift.lower, lift.upper],
            "claimed": lift.claimed,
            "claimedAfter": lift.claimed_after,
            "trueLift": found.true_lift.lift,
            "covers": lift.lower <= found.true_lift.lift <= lift.upper,
        }
    return row


def _new_arm(run: Replication) -> Row:
    """Describe the arm that appears half-way: its share of the decisions in which it was eligible, and where it was stopped."""
    decided = run.evidence.decisions.filter(outcome="decided", experiment_group="adaptive").sort("decided_at")
    offered = [
        (arm == NEW_ARM, dict(zip(arms, chances, strict=True))[NEW_ARM])
        for arm, arms, chances in decided.select("arm", "arms", "propensities").iter_rows()
        if NEW_ARM in arms
    ]
    late = offered[-max(1, len(offered) // 5) :]
    stops = [fact for fact in run.job.facts(ArmStopFact) if fact.arm == NEW_ARM]
    return {
        "decisions": decided.height,
        "eligible": len(offered),
        "lateShare": statistics.mean(chance for _, chance in late) if late else None,
        "stops": [
            {"trigger": f.trigger, "confidence": f.confidence, "rate": f.rate, "othersRate": f.others_rate, "at": f.stopped_at}
            for f in stops
        ],
        "stoppedOthers": sum(fact.arm != NEW_ARM for fact in run.job.facts(ArmStopFact)),
    }


def main() -> None:
    """Run the replications and print a summary or JSON."""
    parser = argument_parser(__doc__.partition("\n")[0], users=3000, days=14)
    parser.set_defaults(catalog=CATALOG)
    parser.add_argument("--decisions", type=int, default=10_000, help="shown decisions before those whose value is measured")
    parser.add_argument("--observer", action="store_true", help="also fit the informed observer")
    parser.add_argument("--out", type=Path, help="file to which one JSON line for each seed is appended")
    given = parser.parse_args()
    task = partial(measure, decisions=given.decisions, observer=given.observer)
    rows: list[Row] = []
    for _, row in over_seeds(task, configs_of(given), given.jobs):
        rows.append(row)
        if given.out is not None:
            with given.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
    if given.json:
        print_line(json.dumps(rows))
    else:
        summarise(rows)


_SHOWN: Final = {
    "stuck": (
        *("prevalence", "precision", "recall", "f1", "timeoutPrecision", "timeoutRecall", "timeoutF1", "timeoutPrecisionAtOurRecall"),
        *("laterPrecision", "laterRecall", "laterF1", "laterTimeoutF1", "laterTimeoutPrecisionAtOurRecall"),
        *("observerRecallAt90", "observerRecallAtOurs", "botAlarmShare", "humansSuspected"),
    ),
    "bandit": (
        *("decisions", "uniform", "policy", "bestFixed", "bestPolicy"),
        *("reference", "referenceWithFloor", "referenceGreedy", "globalArms", "independentCells"),
    ),
    "lift": ("matured", "trueLift", "lift", "claimed", "covers"),
    "newcomer": ("decisions", "eligible", "lateShare"),
}


def summarise(rows: Sequence[Row]) -> None:
    """Print each figure as its mean and its value for every seed."""
    for part_of, names in _SHOWN.items():
        for name in names:
            known = [float(row[part_of][name]) for row in rows if row.get(part_of, {}).get(name) is not None]
            if known:
                seeds = " ".join(f"{value:.3f}" for value in known)
                print_line(f"{part_of}.{name}: mean {statistics.mean(known):.4f}  [{seeds}]")
    gained = [(row["bandit"]["policy"] - row["bandit"]["uniform"], row["bandit"]) for row in rows if row["bandit"].get("reference")]
    for name in ("reference", "referenceWithFloor", "referenceGreedy"):
        if gained:
            ideal = statistics.mean(bandit[name] - bandit["uniform"] for _, bandit in gained)
            print_line(
                f"bandit: (policy - uniform) / ({name} - uniform), of the means: {statistics.mean(own for own, _ in gained) / ideal:.3f}"
            )
    for row in rows:
        for finding in row["findings"]:
            print_line(f"seed {row['seed']}: {finding}")
        for stop in row.get("newcomer", {}).get("stops", []):
            print_line(f"seed {row['seed']}: new arm stopped on {stop['trigger']} with confidence {stop['confidence']:.4f}")


if __name__ == "__main__":
    main()
