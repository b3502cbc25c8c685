"""Measures how well the engine notices, chooses and reports, against sealed truth: ``python -m benchmarks.measure --scenario baseline``.

One engine-free replication a seed (``benchmarks.replication``; ``tests/flows/test_offline_runner.py`` proves that the job decides alike), on
``benchmarks/trial.yaml``. Each figure stands between a floor and a ceiling:

- stuck: between the best fixed timeout and an *informed observer* (``population.observer``: fitted to 3,000 untreated people of the same
  scenario, sees every event, judges at H/2);
- bandit: between uniform choice and a Thompson reference that knows the true prior and needs no exploration floor
  (``evaluation.reference``; ``--exact`` takes the Markov chains of ``benchmarks.bandit_reference`` instead, slowly). Values are expected
  rewards over the fifth of the decisions that follow on ``--decisions``;
- lift: activation within 7 days of sign-up, adaptive against holdout, beside what the untreated twins say.

Seeds below 1000 are for tuning. ``--out FILE`` keeps one JSON line a seed.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from benchmarks.bandit_reference import Reference as Exact
from benchmarks.replication import Replication, World, _quieten, arguments, over_seeds, replicate, say, worlds_of
from benchmarks.simple_learners import earned, global_arms, independent_cells
from evaluation.bandit_value import Exposed, exposed, last, part, values
from evaluation.effect import effect
from evaluation.integrity import check
from evaluation.prior import Prior, prior_for
from evaluation.reference import reference
from evaluation.scenarios import NEWCOMER
from evaluation.stuck import first_alarms, label_by_truth, score
from evaluation.stuck_bounds import bounds, timeouts_table
from population.describe import labelled_features, untreated_steps
from population.observer import Observer
from population.product import Product
from sources.closed_loop import START, describe
from state.duration import DAY
from state.records.facts import ArmStopFact

Row = dict[str, Any]

CATALOG: Final = str(Path(__file__).with_name("trial.yaml"))
_ELSEWHERE: Final = 50_000
"""Added to a seed for the people that the observer learns from: no reported seed's."""
_OBSERVED: Final = 3_000
WARM_UP: Final = 4 * DAY
"""From the first event on: until then there is hardly anything to learn completion times of a day from."""


def measure(world: World, *, decisions: int, observer: bool, exact: bool) -> Row:
    """Run one replication and measure it."""
    _quieten()
    run = replicate(world)
    row: Row = {"scenario": world.scenario, "seed": world.seed, "users": world.users, "days": world.days, "events": run.job.events}
    row["stuck"] = _stuck(run, observer=observer)
    row["bandit"] = _bandit(run, decisions, exact=exact)
    row["lift"] = _lift(run)
    row["findings"] = [f"{each.name}: {each.detail}" for each in check(run.evidence, run.truth) if not each.ok]
    if run.job.plan.component.get(NEWCOMER):
        row["newcomer"] = _newcomer(run)
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
        **_later(run, episodes),
    }
    if observer:
        row |= _observed(run, found.precision)
    return row


def _timeout_at(episodes: pl.DataFrame, recall: float | None) -> float | None:
    """The best precision of any fixed timeout that finds as many."""
    rules = [rule.precision for rule in timeouts_table(episodes) if rule.precision and (rule.recall or 0.0) >= (recall or 0.0)]
    return max(rules, default=None)


def _later(run: Replication, episodes: pl.DataFrame) -> Row:
    """The same for what began after ``WARM_UP``: what a job does that has run for a while."""
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


def _observed(run: Replication, precision: float | None) -> Row:
    """What the informed observer reaches on the untreated people of this world, judging at H/2."""
    world = run.world
    product = msgspec.convert(describe(world.staged()), Product)
    own, lives = untreated_steps(product, world.scenario, world.seed, min(world.users, _OBSERVED), world.days)
    _, training = untreated_steps(product, world.scenario, world.seed + _ELSEWHERE, _OBSERVED, world.days)
    horizons = own.horizons()
    rows, truth, positives = labelled_features(lives, horizons, 0.5)
    scores = Observer(*labelled_features(training, horizons, 0.5)[:2])(rows)
    return {
        "observerRecallAt90": _recall_at(scores, truth, positives, 0.9),
        "observerRecallAtOurs": None if precision is None else _recall_at(scores, truth, positives, precision),
    }


def _recall_at(scores: Any, positive: Sequence[bool], positives: int, precision: float) -> float:
    """The most recall of any threshold with at least ``precision``."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = np.cumsum(np.asarray(positive, dtype=float)[order])
    good = hits / np.arange(1, len(order) + 1) >= precision
    return float(hits[good].max() / positives) if good.any() and positives else 0.0


def _bandit(run: Replication, decisions: int, *, exact: bool) -> Row:
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
    ideal = _exact(considered, prior.terms, prior.mean, run.world.seed) if exact else _laplace(considered, prior, run.world.seed)
    row |= {
        "uniform": found.uniform,
        "policy": found.policy,
        "bestFixed": found.best_fixed,
        "bestPolicy": found.best_policy,
        "reference": ideal,
        "referenceWithFloor": _with_floor(ideal, found.uniform, floor),
        "referenceGreedy": _laplace(considered, prior, run.world.seed, greedy=True),
        "globalArms": _with_floor(earned(considered, global_arms, window=DAY, seed=run.world.seed), found.uniform, floor),
        "independentCells": _with_floor(earned(considered, independent_cells, window=DAY, seed=run.world.seed), found.uniform, floor),
    }
    return row


def _with_floor(value: float, uniform: float, floor: float) -> float:
    """What a policy earns that chooses uniformly in a share ``floor`` of its decisions."""
    return value + floor * (uniform - value)


def _laplace(shown: Exposed, prior: Prior, seed: int, *, greedy: bool = False) -> float:
    found = reference(shown, prior, seed=seed, greedy=greedy)
    assert found is not None, "something was shown"
    return found.value


def _exact(shown: Exposed, terms: Mapping[tuple[str, ...], float], mean: float, seed: int) -> float:
    """The same yardstick by Markov chains that are exact up to their Monte Carlo error."""
    contexts, arms = shown.log.contexts, len(shown.log.arms)
    triggers, steps, segments = (sorted({context[place] for context in contexts}) for place in range(3))
    numbered = [(triggers.index(t), steps.index(s), segments.index(g)) for t, s, g in contexts]
    sds = {
        "mean": mean, "intercept": 1.0, "step": 1.0, "segment": 1.0, "arm": terms["trigger", "arm"],
        "arm_segment": terms["trigger", "segment", "arm"], "arm_step": terms["trigger", "step", "arm"],
    }  # fmt: skip
    ideal = Exact(sds, len(triggers), arms, len(steps), len(segments), seed=seed)
    rng = np.random.default_rng([seed, 5])
    waiting: list[tuple[int, int, int, int, int, bool]] = []
    earned: list[float] = []
    told = 0
    for row, at in enumerate(shown.shown_at):
        while told < len(waiting) and waiting[told][0] + DAY <= at:
            ideal.observe(*waiting[told][1:])
            told += 1
        trigger, step, segment = numbered[shown.log.context[row]]
        able = np.flatnonzero(shown.log.eligible[row])
        arm = int(able[rng.choice(len(able), p=(chances := ideal.propensities(trigger, step, segment, able.tolist())) / chances.sum())])
        waiting.append((int(at), trigger, arm, step, segment, bool(rng.random() < shown.expected[row, arm])))
        earned.append(float(shown.expected[row, arm]))
    return float(np.mean(earned[-max(1, round(0.2 * len(earned))) :]))


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


def _newcomer(run: Replication) -> Row:
    """What became of the arm that appeared half-way: its share of the decisions in which it was eligible, and whether it was stopped."""
    decided = run.evidence.decisions.filter(outcome="decided", experiment_group="adaptive").sort("decided_at")
    offered = [
        (arm == NEWCOMER, dict(zip(arms, chances, strict=True))[NEWCOMER])
        for arm, arms, chances in decided.select("arm", "arms", "propensities").iter_rows()
        if NEWCOMER in arms
    ]
    late = offered[-max(1, len(offered) // 5) :]
    stops = [fact for fact in run.job.facts(ArmStopFact) if fact.arm == NEWCOMER]
    return {
        "decisions": decided.height,
        "eligible": len(offered),
        "lateShare": statistics.mean(chance for _, chance in late) if late else None,
        "stops": [
            {"trigger": f.trigger, "confidence": f.confidence, "rate": f.rate, "othersRate": f.others_rate, "at": f.stopped_at}
            for f in stops
        ],
        "stoppedOthers": sum(fact.arm != NEWCOMER for fact in run.job.facts(ArmStopFact)),
    }


def main() -> None:
    """Measure, and say it in a few lines."""
    parser = arguments(__doc__.partition("\n")[0], users=3000, days=14)
    parser.set_defaults(catalog=CATALOG)
    parser.add_argument("--decisions", type=int, default=10_000, help="shown decisions after which the policy is valued")
    parser.add_argument("--observer", action="store_true", help="fit the informed observer too")
    parser.add_argument("--exact", action="store_true", help="the reference by Markov chains: slow")
    parser.add_argument("--out", type=Path, help="file for one JSON line a seed")
    given = parser.parse_args()
    task = partial(measure, decisions=given.decisions, observer=given.observer, exact=given.exact)
    rows: list[Row] = []
    for _, row in over_seeds(task, worlds_of(given), given.jobs):
        rows.append(row)
        if given.out is not None:
            with given.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
    if given.json:
        say(json.dumps(rows))
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
    """Print means and, seed by seed, the figures that are asked for."""
    for part_of, names in _SHOWN.items():
        for name in names:
            known = [float(row[part_of][name]) for row in rows if row.get(part_of, {}).get(name) is not None]
            if known:
                seeds = " ".join(f"{value:.3f}" for value in known)
                say(f"{part_of}.{name}: mean {statistics.mean(known):.4f}  [{seeds}]")
    gained = [(row["bandit"]["policy"] - row["bandit"]["uniform"], row["bandit"]) for row in rows if row["bandit"].get("reference")]
    for name in ("reference", "referenceWithFloor", "referenceGreedy"):
        if gained:
            ideal = statistics.mean(bandit[name] - bandit["uniform"] for _, bandit in gained)
            say(f"bandit: (policy - uniform) / ({name} - uniform), of the means: {statistics.mean(own for own, _ in gained) / ideal:.3f}")
    for row in rows:
        for finding in row["findings"]:
            say(f"seed {row['seed']}: {finding}")
        for stop in row.get("newcomer", {}).get("stops", []):
            say(f"seed {row['seed']}: newcomer stopped upon {stop['trigger']} with confidence {stop['confidence']:.4f}")


if __name__ == "__main__":
    main()
