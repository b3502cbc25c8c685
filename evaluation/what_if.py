"""What another catalog would have changed: decisions of two runs over the same events side by side, and the value of the other policy.

Both runs begin with empty state and read the same events, so what differs comes from the catalog. The events followed from what users
really saw: what they would have done after other guidance is not in them. Only the logged probabilities can say something about that, and
only about decisions that both make at the same moment, and with arms and texts that the log could show (``off_policy.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from evaluation.arrays import Floats
from evaluation.evidence import Evidence
from evaluation.logged import Logged, from_frame, logged_frame
from evaluation.off_policy import Refused, Value, evaluate

Change = Literal["same", "another_arm", "another_text", "added", "dropped"]
CHANGES: Final[tuple[Change, ...]] = ("same", "another_arm", "another_text", "added", "dropped")
NO_TRIGGER: Final = "no_trigger"
"""The reason where the other run made no decision request: no alarm, no such step, another path."""
_SITUATION: Final = ("user_id", "trigger", "step_id")

DECISION: Final = pl.Schema(
    {
        "decision_id": pl.String(),
        "user_id": pl.String(),
        "trigger": pl.String(),
        "step_id": pl.String(),
        "outcome": pl.String(),
        "reason": pl.String(),
        "arm": pl.String(),
        "arms": pl.List(pl.String()),
        "propensities": pl.List(pl.Float64()),
        "decided_at": pl.Int64(),
        "catalog_version": pl.String(),
        "text": pl.String(),
        "same_text": pl.List(pl.Boolean()),
    }
)
"""A decision of a run. ``text`` is what the user would have read, empty for none; ``same_text`` tells for each of ``arms`` whether the
catalogs of both runs show the same there."""


@dataclass(frozen=True, slots=True)
class Treated:
    """A trigger of a user at a step, and what each run did. ``reason``: why the run without guidance gave none. Times in ms."""

    user: str
    trigger: str
    step: str
    change: Change
    before: str
    after: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs. ``before`` and ``after`` are the numbers of recommendations of each run."""

    before: int
    after: int
    treated: tuple[Treated, ...]

    def count(self, change: Change) -> int:
        """Return how many triggers led to this change."""
        return sum(each.change == change for each in self.treated)

    def users(self, change: Change | None = None) -> int:
        """Return how many users had such a change; without one, any that is not ``same``."""
        return len({each.user for each in self.treated if (each.change != "same" if change is None else each.change == change)})

    def reasons(self) -> list[tuple[Change, str, int, int]]:
        """Return what was added and dropped by reason, the most frequent first: change, reason, triggers, users."""
        found: dict[tuple[Change, str], list[str]] = {}
        for each in self.treated:
            if each.change in {"added", "dropped"}:
                found.setdefault((each.change, each.reason), []).append(each.user)
        rows = [(change, reason, len(users), len(set(users))) for (change, reason), users in found.items()]
        return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))


def decisions_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the decisions of a run, and its refusals to decide, in order of time."""
    return pl.DataFrame([{name: row[name] for name in DECISION} for row in rows], schema=DECISION).sort("decided_at", "decision_id")


def compare(before: pl.DataFrame, after: pl.DataFrame) -> Comparison:
    """Pair the recommendations of two runs: the n-th upon a trigger at a step with the n-th of the same user there."""
    old, new = _recommended(before), _recommended(after)
    joined = old.join(new, on=[*_SITUATION, "turn"], how="full", coalesce=True, suffix="_after", maintain_order="left_right")
    declined = {"added": _declined(before), "dropped": _declined(after)}
    treated: list[Treated] = []
    for row in joined.iter_rows(named=True):
        was, becomes = row["arm"], row["arm_after"]
        change: Change
        if was is None or becomes is None:
            change = "added" if was is None else "dropped"
        elif was != becomes:
            change = "another_arm"
        else:
            change = "same" if row["text"] == row["text_after"] else "another_text"
        user, trigger, step = (row[name] for name in _SITUATION)
        at = row["decided_at"] if was is not None else row["decided_at_after"]
        reason = _nearest(declined[change].get((user, trigger, step), ()), at) if change in declined else ""
        treated.append(Treated(user, trigger, step, change, was or "", becomes or "", reason, at))
    return Comparison(old.height, new.height, tuple(sorted(treated, key=lambda each: (each.at, each.user, each.trigger, each.step))))


def _recommended(frame: pl.DataFrame) -> pl.DataFrame:
    decided = frame.filter(pl.col("outcome") == "decided")
    return decided.select(*_SITUATION, "arm", "text", "decided_at", turn=pl.int_range(pl.len()).over(_SITUATION))


def _declined(frame: pl.DataFrame) -> dict[tuple[str, str, str], list[tuple[int, str]]]:
    found: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    refusals = frame.filter(pl.col("outcome") != "decided").select(*_SITUATION, "decided_at", "reason")
    for user, trigger, step, at, reason in refusals.iter_rows():
        found.setdefault((user, trigger, step), []).append((at, reason))
    return found


def _nearest(refusals: Sequence[tuple[int, str]], at: int) -> str:
    return min(refusals, key=lambda each: abs(each[0] - at))[1] if refusals else NO_TRIGGER


@dataclass(frozen=True, slots=True)
class Worth:
    """The value of the other catalog's choices on the logged decisions where it can be known.

    ``shown``: shown decisions of the log in the range. Of them ``elsewhere`` are those at which the other catalog decides nothing, or not
    at the same moment, and ``uncovered`` those at which it may show an arm or a text that the log could not. ``logged`` is what the log's
    own choices earned on the rest, and ``other`` what the other catalog's would have.
    """

    shown: int
    elsewhere: int
    uncovered: int
    logged: Value | Refused
    other: Value | Refused


def worth(evidence: Evidence, before: pl.DataFrame, after: pl.DataFrame, *, since: int | None = None, until: int | None = None) -> Worth:
    """Estimate it, doubly robust, from the logged decisions of the range.

    ``before`` is the run with the catalog in force. What the log showed under another version of it is not known, so those decisions are
    not covered.
    """
    frame = logged_frame(evidence)
    frame = frame.filter((pl.col("decided_at") >= (since or 0)) & (pl.col("decided_at") < (until if until is not None else 2**62)))
    other = after.filter(pl.col("outcome") == "decided").unique([*_SITUATION, "decided_at"], keep="first", maintain_order=True)
    both = frame.join(
        other.select(*_SITUATION, "decided_at", "same_text", arms_after="arms", propensities_after="propensities"),
        on=[*_SITUATION, "decided_at"],
        how="inner",
        maintain_order="left",
    )
    columns = ("arms", "propensities", "arms_after", "propensities_after", "same_text")
    covered = pl.Series([_covers(*row) for row in both.select(columns).iter_rows()], dtype=pl.Boolean())
    known = pl.col("catalog_version").fill_null("").is_in(before["catalog_version"].fill_null("").unique().implode())
    comparable = both.filter(covered & known)
    log = from_frame(comparable)
    target = _target(log, comparable)
    return Worth(
        shown=frame.height,
        elsewhere=frame.height - both.height,
        uncovered=both.height - comparable.height,
        logged=evaluate(log, lambda some: some.propensities),
        other=evaluate(log, lambda _: target),
    )


def _covers(arms: list[str], chances: list[float], arms_after: list[str], chances_after: list[float], same_text: list[bool]) -> bool:
    possible = {arm for arm, chance in zip(arms, chances, strict=True) if chance > 0}
    return all(arm in possible and same for arm, chance, same in zip(arms_after, chances_after, same_text, strict=True) if chance > 0)


def _target(log: Logged, frame: pl.DataFrame) -> Floats:
    number = {arm: index for index, arm in enumerate(log.arms)}
    target = np.zeros((len(log), len(log.arms)))
    for place, (arms, chances) in enumerate(frame.select("arms_after", "propensities_after").iter_rows()):
        for arm, chance in zip(arms, chances, strict=True):
            if chance > 0:
                target[place, number[arm]] += chance
    return target
