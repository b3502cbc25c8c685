"""The value of the bandit's choices: the sealed truth holds the expected reward of each arm for every shown recommendation.

All values are expected rewards, which removes the noise of the outcomes. Only arms that were eligible at a decision count there.

- ``policy``: sum over arms of propensity · expected reward; ``mean``: expected reward of the arms that were shown;
- ``uniform``: all eligible arms with equal probability; ``best_fixed``: for each trigger the arm that is best over all its decisions (where
  it is not eligible, the next best); ``best_policy``: for each context (trigger, step, segment) the arm with the best mean, an upper bound
  for policies that see only these. Both are chosen in hindsight over the whole run, separately before and after a change of the world; in
  contexts with few decisions this is slightly optimistic.
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
    """Shown decisions in order of time, with the expected reward of each arm (n × k, 0 where not eligible). Times in ms.

    ``log.rewards`` is the observed reward, nan while the window is open.
    """

    log: Logged
    expected: Floats
    shown_at: Integers
    best_fixed: Integers
    """The arm of the best fixed policy at each decision."""
    best_policy: Integers


@dataclass(frozen=True, slots=True)
class Values:
    """Mean expected rewards over some decisions. ``observed``: mean reward where the window has closed, nan if nowhere."""

    decisions: int
    policy: float
    mean: float
    observed: float
    uniform: float
    best_fixed: float
    best_policy: float

    @property
    def gap_closed(self) -> float | None:
        """Return the share of the gap between uniform and best policy that the policy closed, None if there is no gap."""
        gap = self.best_policy - self.uniform
        return (self.policy - self.uniform) / gap if gap > 1e-9 else None


@dataclass(frozen=True, slots=True)
class Curves:
    """Cumulative regret in expected reward against other policies, after each decision. Negative: the policy gained."""

    shown_at: Integers
    against_uniform: Floats
    against_best_fixed: Floats
    against_best_policy: Floats


def exposed(evidence: Evidence, truth: SealedTruth) -> Exposed:
    """Join the truth's exposures with the adaptive group's decisions; the first exposure of a decision counts.

    A reward counts as observed once the attribution window has passed, as in ``logged.py``.
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
        .join(evidence.promised("attribution_window_ms", DAY), on="decision_id", maintain_order="left")
        .sort("shown_at", "decision_id")
    )
    known = pl.when(pl.col("shown_at") + pl.col("promised") <= evidence.until).then(pl.col("reward")).fill_null(float("nan"))
    log = from_frame(frame.with_columns(reward=known))
    expected = np.array(
        [[seen[decision].expected.get(arm, 0.0) for arm in log.arms] for decision in frame["decision_id"]], dtype=np.float64
    ).reshape(len(log), len(log.arms))
    return expose(log, expected, frame["shown_at"].to_numpy(), truth.world.changed_at)


def expose(log: Logged, expected: Floats, shown_at: Integers, changed_at: int | None = None) -> Exposed:
    """Combine decisions in order of time with the expected rewards of their arms; find the best arms in hindsight."""
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
    """Return the newest ``share`` of the decisions, at least one if there are any: the learner's performance after learning."""
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
    """Compute the cumulative regret after each decision, against uniform choice and against the best policies in hindsight."""
    rewards = _rewards(shown)
    own = rewards["policy"]
    return Curves(
        shown_at=shown.shown_at,
        against_uniform=np.cumsum(rewards["uniform"] - own),
        against_best_fixed=np.cumsum(rewards["best_fixed"] - own),
        against_best_policy=np.cumsum(rewards["best_policy"] - own),
    )


def regret_curves(shown: Exposed, found: Curves, reference: Floats | None = None) -> dict[str, Floats]:
    """Return, for each policy, the cumulative regret against the best policy after each decision.

    ``reference``: rewards of the learner that knows the prior at each decision, if it was run (``evaluation.reference``).
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
        eligible_here = eligible[:, arm]
        count = np.bincount(group[eligible_here], minlength=groups)
        total = np.bincount(group[eligible_here], weights=expected[eligible_here, arm], minlength=groups)
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
