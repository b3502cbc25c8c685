"""Scores stuck detection on a log in which nobody was guided. The truth comes from the events alone, without code of the engine.

*Episode*: a person at a step, from its becoming current (all earlier steps are complete; the first one: the person's first event) to its
completion. Completing a later step ends it as *left*; if the step is optional, the person is then at the next one. *Activation* ends the
episode of that moment, as left if its step is open, and no other begins. Events of the same time count in the order of the path.

*Horizon*: the 90th percentile of the last 200 completion times of the step that were known when the episode began. Episodes with fewer than
50, or with less than the horizon of follow-up, are not scored. *Stuck*: neither completed nor left within the horizon.

*Frontier*: at each share of the horizon, among those still waiting, how well a score ranks who is stuck. *Time alone* is the score that
everything is measured against: the faded share of stuck people among those who waited as long at this step before, as known by then.

*Alarms*: the first alarm of an episode counts. It is right if the person is stuck and it comes within half of the horizon. *Lead*: the time
left before the horizon ends, as a share of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.frontier import curve

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NEVER: Final = int(np.iinfo(np.int64).max)
"""A time that never comes."""

SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of the horizon at which people are scored."""

KEY: Final = ["user_id", "step_id"]
SCORES: Final = {"user_id": pl.String(), "step_id": pl.String(), "share": pl.Float64(), "score": pl.Float64(), "horizon_ms": pl.Float64()}
"""Columns of the scores to judge."""
ALARMS: Final = {"user_id": pl.String(), "step_id": pl.String(), "at": pl.Int64()}
"""Columns of the alarms to judge; ``at`` in ms."""

_KNOWN: Final = 200
_LEAST_KNOWN: Final = 50
_QUANTILE: Final = 0.9
_HALF_LIFE: Final = 200
_CONFIDENCE: Final = 0.95
_BINS: Final = 10
_LEAST_ALARMS: Final = 30


class Calibration(NamedTuple):
    """``error``: mean |predicted - observed| over ten equal-count bins. ``inside``: share of the bins whose count of stuck people lies in
    the 95 % interval of the binomial distribution with the mean prediction. ``smallest``: predictions in the smallest bin.
    """

    error: float
    inside: float
    smallest: int


def timestamp_ms(text: str) -> int:
    """Return an RFC 3339 time in milliseconds since the epoch, rounded."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def episodes(
    lines: Iterable[bytes], steps: Mapping[str, str], optional: Collection[str] = (), activates: Collection[Collection[str]] = ()
) -> pl.DataFrame:
    """Return the scored episodes, by onset: ``user_id step_id onset done left horizon stuck`` (times in ms).

    ``steps``: step -> the name of the ``track`` event that completes it, in path order. ``optional``: those that may be skipped.
    ``activates``: groups of steps; a person is activated, and at no step any more, once one of each group is complete. Without a group,
    or with a group that names none of ``steps``, nobody is. ``done`` and ``left`` are the largest integer where that never happened.
    """
    begins: dict[str, int] = {}
    first: dict[tuple[str, str], int] = {}
    until = 0
    for line in lines:
        event = json.loads(line)
        who, at = event["userId"], timestamp_ms(event["timestamp"])
        begins[who], until = min(begins.get(who, at), at), max(until, at)
        if event["eventType"] == "track":
            what = (who, event["name"])
            first[what] = min(first.get(what, at), at)
    may_skip = {step: step in optional for step in steps}
    rows = [
        row
        for who, at in begins.items()
        for row in episodes_of(who, at, [first.get((who, name), NEVER) for name in steps.values()], may_skip, activates)
    ]
    frame = pl.DataFrame(
        rows,
        schema={"user_id": pl.String(), "step_id": pl.String(), "onset": pl.Int64(), "done": pl.Int64(), "left": pl.Int64()},
        orient="row",
    ).sort("onset", maintain_order=True)
    frame = frame.with_columns(horizon=pl.Series(_horizons(frame), dtype=pl.Int64))
    followed = (pl.col("horizon") > 0) & (pl.col("onset") + pl.col("horizon") <= until)
    return frame.filter(followed).with_columns(stuck=_lasted() > pl.col("horizon"))


def episodes_of(
    who: str, begin: int, times: Sequence[int], may_skip: Mapping[str, bool], activates: Collection[Collection[str]] = ()
) -> Iterator[tuple[str, str, int, int, int]]:
    """Yield the episodes of one person: ``user_id step_id onset done left``, in path order.

    ``times``: when each step was completed, ``NEVER`` if it was not. ``may_skip``: step -> whether it is optional. Both in path order.
    """
    never = NEVER, -1
    moments = [(time, position) if time < NEVER else never for position, time in enumerate(times)]
    moment_of = dict(zip(may_skip, moments, strict=True))
    activated = max((min((moment_of.get(step, never) for step in group), default=never) for group in activates), default=never)
    onset = begin, -1
    for position, (step, optional) in enumerate(may_skip.items()):
        done, later = moments[position], min(moments[position + 1 :], default=never)
        if min(done, later) > onset:  # the step that skips others is done, and they are skipped, at the onset itself
            left = min(later, activated)
            yield who, step, onset[0], done[0], left[0] if left < done else NEVER
        ends = min(done, later) if optional else done
        if ends >= activated:
            return
        onset = max(onset, ends)


def _lasted() -> pl.Expr:
    return pl.min_horizontal("done", "left") - pl.col("onset")


def _horizons(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Return each episode's horizon, 0 without one. Those who left did not complete; a completion counts once it has happened."""
    horizons = np.zeros(frame.height, dtype=np.int64)
    step, onset, done, left = (frame[name].to_numpy() for name in ("step_id", "onset", "done", "left"))
    for each in np.unique(step):
        mine = np.flatnonzero(step == each)
        ended = mine[(done[mine] < NEVER) & (left[mine] == NEVER)]
        ended = ended[np.argsort(done[ended], kind="stable")]
        when, took = done[ended], (done - onset)[ended]
        for episode in mine:
            known = int(np.searchsorted(when, onset[episode]))
            if known >= _LEAST_KNOWN:
                horizons[episode] = int(np.quantile(took[max(0, known - _KNOWN) : known], _QUANTILE))
    return horizons


def waiting(frame: pl.DataFrame, share: float) -> pl.DataFrame:
    """Return the episodes that are still open after ``share`` of their horizon, with that moment as ``at``."""
    after = (pl.col("horizon") * share).cast(pl.Int64)
    return frame.filter(_lasted() > after).with_columns(at=pl.col("onset") + after)


def time_alone(frame: pl.DataFrame) -> Floats:
    """Return the time-only score of each episode of ``waiting``, as known at its ``at``."""
    scores, decay = np.zeros(frame.height), 0.5 ** (1 / _HALF_LIFE)
    step, at, stuck = (frame[name].to_numpy() for name in ("step_id", "at", "stuck"))
    known = (frame["onset"] + frame["horizon"]).to_numpy()
    for each in np.unique(step):
        mine = np.flatnonzero(step == each)
        ended, count, hits, taken = mine[np.argsort(known[mine], kind="stable")], 1.0, 0.5, 0
        for episode in mine[np.argsort(at[mine], kind="stable")]:
            while taken < len(ended) and known[ended[taken]] <= at[episode]:
                count, hits, taken = count * decay + 1, hits * decay + stuck[ended[taken]], taken + 1
            scores[episode] = hits / count
    return scores


def calibration(score: Floats, stuck: Bools) -> Calibration | None:
    """Return the calibration of ``score``, None with fewer than ten predictions."""
    if len(score) < _BINS:
        return None
    bins = np.array_split(np.argsort(score, kind="stable"), _BINS)
    errors, inside = [], []
    for each in bins:
        predicted, observed = float(score[each].mean()), int(stuck[each].sum())
        low, high = binomial_interval(len(each), predicted)
        errors.append(abs(predicted - observed / len(each)))
        inside.append(low <= observed <= high)
    return Calibration(float(np.mean(errors)), float(np.mean(inside)), min(map(len, bins)))


def binomial_interval(count: int, share: float) -> tuple[int, int]:
    """Return the central interval of a binomial distribution that holds 0.95 of it."""
    if not 0 < share < 1:
        return (0, 0) if share <= 0 else (count, count)
    numbers = np.arange(count + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    logs = factorials[count] - factorials - factorials[::-1] + numbers * math.log(share) + (count - numbers) * math.log1p(-share)
    below, tail = np.cumsum(np.exp(logs)), (1 - _CONFIDENCE) / 2
    return int(np.searchsorted(below, tail)), min(count, int(np.searchsorted(below, 1 - tail)))


def frontier(frame: pl.DataFrame, scores: pl.DataFrame) -> list[dict[str, Any]]:
    """Return one row for each of ``SHARES``: who waits, what time alone and ``scores`` (``SCORES``) say of it.

    ``time_alone`` and ``engine`` are average precisions on the people with a score; ``scored`` is their share of those waiting.
    ``timeout`` is the precision of alarming everybody who waits so long. Without scores the engine's columns are None.
    """
    rows = []
    for share in SHARES:
        people = waiting(frame, share)
        people = people.with_columns(time=pl.Series(time_alone(people), dtype=pl.Float64))
        mine = scores.filter((pl.col("share") - share).abs() < 1e-6).unique(KEY, keep="last", maintain_order=True)
        both = people.join(mine.select(*KEY, "score", "horizon_ms"), on=KEY, how="inner", maintain_order="left")
        stuck, score = both["stuck"].to_numpy(), both["score"].to_numpy()
        found, plain = calibration(score, stuck), calibration(both["time"].to_numpy(), stuck)
        rows.append(
            {
                "share": share,
                "waiting": people.height,
                "stuck": int(people["stuck"].sum()),
                "timeout": float(people["stuck"].to_numpy().mean()) if people.height else None,
                "scored": both.height / people.height if people.height else None,
                "time_alone": average_precision(both["time"].to_numpy(), stuck) if both.height else None,
                "engine": average_precision(score, stuck) if both.height else None,
                "calibration_error": found.error if found else None,
                "bins_inside": found.inside if found else None,
                "time_alone_error": plain.error if plain else None,
                "time_alone_inside": plain.inside if plain else None,
                "smallest_bin": found.smallest if found else None,
            }
        )
    return rows


def alarm_figures(frame: pl.DataFrame, alarms: pl.DataFrame, scores: pl.DataFrame, asked: float) -> dict[str, Any]:
    """Judge ``alarms`` (``ALARMS``), beside the earliest timeout of the same precision.

    ``reachable``: whether some threshold on ``scores``, chosen in hindsight, has the ``asked`` precision with at least 30 alarms.
    ``best_recall`` is the most that such a threshold finds. A timeout finds everybody who is stuck, with a lead of one minus its share;
    ``timeout_share`` is None if none within half of the horizon is as precise.
    """
    stuck = int(frame["stuck"].sum())
    first = alarms.sort("at", maintain_order=True).unique(KEY, keep="first", maintain_order=True)
    mine = frame.join(first, on=KEY, how="inner", maintain_order="left")
    since = pl.col("at") - pl.col("onset")
    right = mine.filter(pl.col("stuck") & (since >= 0) & (since * 2 <= pl.col("horizon")))
    lead = right.select(((pl.col("horizon") - since) / pl.col("horizon")).median()).item()
    precision = right.height / mine.height if mine.height else None
    best = _best_recall(frame, scores, asked)
    late = mine.filter(since * 2 > pl.col("horizon"))
    return {
        "asked": asked,
        "alarms": mine.height,
        "late": late.height,
        "late_share": late.height / mine.height if mine.height else None,
        "late_but_stuck": int(late["stuck"].sum()),
        "early": mine.filter(since < 0).height,
        "precision": precision,
        "recall": right.height / stuck if stuck else None,
        "lead": lead,
        "reachable": best is not None,
        "best_recall": best,
        "timeout_share": None if precision is None else earliest_timeout(frame, precision),
        "asked_timeout_share": earliest_timeout(frame, asked),
    }


def earliest_timeout(frame: pl.DataFrame, precision: float) -> float | None:
    """Return the smallest share of the horizon, in hundredths up to a half, at which a timeout has ``precision``."""
    for hundredth in range(1, 51):
        stuck = waiting(frame, hundredth / 100)["stuck"].to_numpy()
        if len(stuck) and stuck.mean() >= precision:
            return hundredth / 100
    return None


def _best_recall(frame: pl.DataFrame, scores: pl.DataFrame, asked: float) -> float | None:
    """Return the recall of the lowest threshold on each episode's highest score that has the ``asked`` precision, None without one."""
    highest = scores.group_by(KEY).agg(pl.col("score").max())
    both = frame.join(highest, on=KEY, how="inner").sort("score", descending=True)
    if both.is_empty():
        return None
    hits, score = np.cumsum(both["stuck"].to_numpy()), both["score"].to_numpy()
    count = np.arange(1, len(hits) + 1)
    good = (hits >= asked * count) & (count >= _LEAST_ALARMS) & np.append(np.diff(score) != 0, True)
    return float(hits[good].max() / frame["stuck"].sum()) if good.any() else None


def horizon_figures(frame: pl.DataFrame, scores: pl.DataFrame) -> dict[str, float | None]:
    """Compare the engine's horizons with the true ones, once for each scored episode.

    ``ratio``: the median of engine ÷ truth. ``error``: the 90th percentile of the factor between the two, whichever is larger, minus one.
    """
    mine = scores.sort("share").unique(KEY, keep="first", maintain_order=True)
    both = frame.join(mine, on=KEY, how="inner")
    if both.is_empty():
        return {"ratio": None, "error": None}
    logs = np.log(np.maximum(both["horizon_ms"].to_numpy(), 1.0) / both["horizon"].to_numpy())
    return {"ratio": float(np.exp(np.median(logs))), "error": float(np.exp(np.quantile(np.abs(logs), 0.9)) - 1)}


def average_precision(score: Floats, stuck: Bools) -> float:
    """Return the average precision of ``score``; equal scores count as one group. 0 without a stuck person."""
    found = curve(score, stuck)
    return found.average if found else 0.0
