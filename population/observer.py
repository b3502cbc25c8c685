"""The informed observer: a classifier that predicts at one moment which steps will not be completed within their horizon.

It shows how well behaviour predicts this at all. It is fitted to the untreated people of another seed.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from population.clock import HOUR
from population.rhythm import activity_level
from population.untreated import TimedAct
from population.world import UntreatedEpisode

Table = NDArray[np.float64]

_FAST: Final = 1_500
"""Maximum time in ms between clicks of one burst, as visible in session recordings."""


def features(episode: UntreatedEpisode, tau: int, horizon: int) -> list[float]:
    """Return the features observable ``tau`` ms after the step began, from events and the person's time zone."""
    now = episode.since + tau
    seen = [one for one in episode.trajectory.acts if one[0] <= now]
    last_at = seen[-1][0] if seen else episode.since
    session = seen[-1][1] if seen else 0
    last = [what.kind for _, number, what in seen if number == session]
    errors, burst = last.count("error"), _burst(seen, session)
    pages, others, work = last.count("page"), last.count("other"), last.count("work")
    length = (last_at - next((at for at, number, _ in seen if number == session), last_at)) / HOUR
    troubled = float(errors >= 2 or burst >= 3 or pages >= 3 or length > 0.4)
    bored = float(others >= 1 and pages == 0 and work == 0)
    nothing = float(not seen)
    visits = len({number for _, number, _ in seen})
    all_errors = sum(what.kind == "error" for *_, what in seen)
    silence = math.log1p((now - last_at) / HOUR)
    ahead = max(1, (horizon - tau) // 8)
    activity = sum(activity_level(now + ahead * part, episode.person.offset) for part in range(8)) / 8
    base = [errors, float(burst), pages, others, work, length, all_errors, troubled, bored, nothing, visits, silence, activity]
    interactions = [
        kind * other
        for kind in (troubled, bored, nothing, 1.0 - max(troubled, bored, nothing))
        for other in (silence, activity, visits, work)
    ]
    return [1.0, *base, *interactions, math.log(horizon / HOUR), (now - last_at) / horizon]


def _burst(seen: list[TimedAct], session: int) -> int:
    longest = run = 1
    before = None
    for at, number, what in seen:
        if number != session:
            continue
        run = run + 1 if before is not None and before[1] is what and at - before[0] < _FAST else 1
        longest, before = max(longest, run), (at, what)
    return longest


class Observer:
    """Logistic regression with a small ridge penalty, fitted by Newton's method."""

    def __init__(self, rows: list[list[float]], positive: list[bool]) -> None:
        table, truth = np.array(rows), np.array(positive, dtype=np.float64)
        self._middle, self._width = table.mean(axis=0), table.std(axis=0) + 1e-9
        self._middle[0], self._width[0] = 0.0, 1.0
        scaled = self._scaled(table)
        weights: Table = np.zeros(table.shape[1])
        for _ in range(25):
            share = self._share(scaled, weights)
            slope = scaled.T @ (truth - share) - weights
            bend: Table = (scaled * (share * (1 - share))[:, None]).T @ scaled + np.eye(len(weights))
            weights = weights + np.linalg.solve(bend, slope)
        self._weights = weights

    def _scaled(self, table: Table) -> Table:
        result: Table = np.clip((table - self._middle) / self._width, -6, 6)
        return result

    @staticmethod
    def _share(scaled: Table, weights: Table) -> Table:
        result: Table = 1.0 / (1.0 + np.exp(-np.clip(scaled @ weights, -30, 30)))
        return result

    def __call__(self, rows: list[list[float]]) -> Table:
        """Return for each row the probability that the step is not completed in time."""
        return self._share(self._scaled(np.array(rows)), self._weights)


def at_recall(scores: Any, positive: list[bool], positives: int, recall: float) -> tuple[float, float]:
    """Return precision and recall of the strictest threshold that reaches ``recall``. ``positives``: all, also those without a score."""
    hit, best = 0, (0.0, 0.0)
    for alarms, place in enumerate(np.argsort(-np.asarray(scores), kind="stable"), start=1):
        hit += positive[int(place)]
        best = (hit / alarms, hit / positives)
        if best[1] >= recall:
            break
    return best
