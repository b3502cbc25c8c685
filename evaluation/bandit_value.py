"""How good were the bandit's choices? From the sealed truth: what each arm would have earned, at every recommendation shown.

All values are expected rewards, so that luck does not blur them. Only arms that were eligible at a decision count there.

- ``policy``: sum over arms of propensity · expected, what the policy meant to do; ``mean``: expected reward of the arms it did show;
- ``uniform``: every eligible arm alike; ``best_fixed``: per trigger the one arm that is best over all its decisions (where it is not
  eligible, the next best); ``best_policy``: per context (trigger, step, segment) the arm that is best on average there: what any policy
  that sees only these could reach. Both are chosen in hindsight over the whole run, before and after a change of the world apart; in
  contexts of few decisions that is a little too high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from evaluation.arrays import Flags, Floats, Integers
from evaluation.evidence import ADAPTIVE, Evidence, ends
from evaluation.logged import Logged, from_frame
from evaluation.truth import SealedTruth
from state.duration import DAY


@dataclass(frozen=True, slots=True)
class Exposed:
    """Shown decisions in order of time with what each arm would have earned (n × k, 0 where not eligible). Times in ms.

    ``log.rewards`` is the observed reward, nan where the window is still open.
    """

    log: Logged
    expected: Floats
    shown_at: Integers
    best_fixed: Integers
    """The arm that the best fixed policy shows at each decision."""
    best_policy: Integers


@dataclass(frozen=True, slots=True)
class Values:
    """Mean expected rewards over some decisions. ``observed``: what was earned where the window has closed, nan if nowhere."""

    decisions: int
    policy: float
    mean: float
    observed: float
    uniform: float
    best_fixed: float
    best_policy: float

    @property
    def gap_closed(self) -> float | None:
        """How much of the way from uniform to the best policy was gone, None where there is no way to go."""
        way = self.best_policy - self.uniform
        return (self.policy - self.uniform) / way if way > 1e-9 else None


@dataclass(frozen=True, slots=True)
class Curves:
    """Cumulated expected reward that the policy gave away against others (negative: it gained), after each decision."""

    shown_at: Integers
    against_uniform: Floats
    against_best_fixed: Floats
    against_best_policy: Floats


def exposed(evidence: Evidence, truth: SealedTruth, window: int = DAY) -> Exposed:
    """Join the truth's exposures with the adaptive group's decisions; the first exposure of a decision counts.

    A reward counts as observed once the attribution ``window`` (ms) has passed, as in ``logged.py``.
    """
    seen = {exposure.decision_id: exposure for exposure in reversed(truth.exposures())}
    shown = pl.DataFrame(
        {"decision_id": list(seen), "shown_at": [exposure.shown_at for exposure in seen.values()]},
        schema={"decision_id": pl.String(), "shown_at": pl.Int64()},
    )
    frame = (
        evidence.decisions.filter((pl.col("outcome") == "decided") & (pl.col("experiment_group") == ADAPTIVE))
        .join(shown, on="decision_id")
        .join(ends(evidence.outcomes), on="decision_id", how="left", maintain_order="left")
        .sort("shown_at", "decision_id")
    )
    known = pl.when(pl.col("shown_at") + window <= evidence.until).then(pl.col("reward")).fill_null(float("nan"))
    log = from_frame(frame.with_columns(reward=known))
    expected = np.array(
        [[seen[decision].expected.get(arm, 0.0) for arm in log.arms] for decision in frame["decision_id"]], dtype=np.float64
    ).reshape(len(log), len(log.arms))
    return expose(log, expected, frame["shown_at"].to_numpy(), truth.world.changed_at)


def expose(log: Logged, expected: Floats, shown_at: Integers, changed_at: int | None = None) -> Exposed:
    """Put together decisions in order of time and what each arm would have earned; find the best arms in hindsight."""
    triggers = {name: index for index, name in enumerate(sorted({context[0] for context in log.contexts}))}
    trigger = np.array([triggers[context[0]] for context in log.contexts], dtype=np.int64)[log.context]
    era = np.zeros(len(log), dtype=np.int64) if changed_at is None else (shown_at >= changed_at).astype(np.int64)
    return Exposed(
        log=log,
        expected=np.where(log.eligible, expected, 0.0),
        shown_at=shown_at,
        best_fixed=best_arms(2 * trigger + era, expected, log.eligible),
        best_policy=best_arms(2 * log.context + era, expected, log.eligible),
    )


def part(shown: Exposed, start: int, stop: int | None = None) -> Exposed:
    """Return decisions ``start`` to ``stop`` (exclusive)."""
    end = len(shown.log) if stop is None else stop
    rows = slice(start, end)
    return Exposed(shown.log.part(start, end), shown.expected[rows], shown.shown_at[rows], shown.best_fixed[rows], shown.best_policy[rows])


def last(shown: Exposed, share: float = 0.2) -> Exposed:
    """Return the newest ``share`` of the decisions, at least one where there are any: where a learner should have learned."""
    return part(shown, len(shown.log) - max(1, round(share * len(shown.log)))) if len(shown.log) else shown


def values(shown: Exposed) -> Values | None:
    """Compute all values over the decisions given, None if there are none."""
    size = len(shown.log)
    if not size:
        return None
    observed = shown.log.rewards[~np.isnan(shown.log.rewards)]
    rewards = _rewards(shown)
    return Values(
        decisions=size,
        policy=float(rewards["policy"].mean()),
        mean=float(shown.expected[np.arange(size), shown.log.chosen].mean()),
        observed=float(observed.mean()) if observed.size else float("nan"),
        uniform=float(rewards["uniform"].mean()),
        best_fixed=float(rewards["best_fixed"].mean()),
        best_policy=float(rewards["best_policy"].mean()),
    )


def curves(shown: Exposed) -> Curves:
    """Compute the regret after each decision, against uniform and against the best in hindsight."""
    rewards = _rewards(shown)
    own = rewards["policy"]
    return Curves(
        shown_at=shown.shown_at,
        against_uniform=np.cumsum(rewards["uniform"] - own),
        against_best_fixed=np.cumsum(rewards["best_fixed"] - own),
        against_best_policy=np.cumsum(rewards["best_policy"] - own),
    )


def regret_curves(shown: Exposed, found: Curves, reference: Floats | None = None) -> dict[str, Floats]:
    """Who chooses → cumulated expected reward given away against the best policy, after each decision.

    ``reference``: what a learner that knows the prior earned at each decision, where it was run (``evaluation.reference``).
    """
    best = found.against_best_policy
    lines = {
        "random choice": np.asarray(best - found.against_uniform),
        "best single arm": np.asarray(best - found.against_best_fixed),
        "this engine": best,
    }
    if reference is not None:
        lines["knows the prior"] = np.asarray(best + np.cumsum(_rewards(shown)["policy"] - reference))
    return lines


def best_arms(group: Integers, expected: Floats, eligible: Flags) -> Integers:
    """Return for each decision the eligible arm with the highest mean over all decisions of its ``group`` where it was eligible."""
    if not expected.shape[1]:
        return np.zeros(len(group), dtype=np.int64)
    groups = int(group.max(initial=-1)) + 1
    mean = np.full((groups, expected.shape[1]), -np.inf)
    for arm in range(expected.shape[1]):
        awake = eligible[:, arm]
        count = np.bincount(group[awake], minlength=groups)
        total = np.bincount(group[awake], weights=expected[awake, arm], minlength=groups)
        mean[:, arm] = np.where(count > 0, total / np.maximum(1, count), -np.inf)
    return np.asarray(np.where(eligible, mean[group], -np.inf).argmax(axis=1))


def _rewards(shown: Exposed) -> dict[str, Floats]:
    log, expected, rows = shown.log, shown.expected, np.arange(len(shown.log))
    return {
        "policy": (log.propensities * expected).sum(axis=1),
        "uniform": (expected * log.eligible).sum(axis=1) / np.maximum(1, log.eligible.sum(axis=1)),
        "best_fixed": expected[rows, shown.best_fixed],
        "best_policy": expected[rows, shown.best_policy],
    }
