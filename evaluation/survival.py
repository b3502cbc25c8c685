"""Kaplan–Meier survival curves for right-censored durations.

Source: Kaplan and Meier 1958; the variance is Greenwood's (1926).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evaluation.arrays import Floats


@dataclass(frozen=True, slots=True)
class Survival:
    """A step function: after ``times[i]`` the share ``surviving[i]`` has not ended. Before the first time it is 1."""

    times: Floats
    surviving: Floats
    standard_error: Floats

    def at(self, time: float) -> float:
        """Return the share with durations longer than ``time``; after the last time, the last share."""
        index = int(np.searchsorted(self.times, time, side="right"))
        return float(self.surviving[index - 1]) if index else 1.0

    def quantile_among_completers(self, share: float) -> float | None:
        """Return the first time at which ``share`` of those that ever end have ended, None if none ends.

        The curve's last level is used as the share that never ends.
        """
        if not self.times.size:
            return None
        level = 1.0 - share * (1.0 - float(self.surviving[-1]))
        reached = np.flatnonzero(self.surviving <= level + 1e-12)
        return float(self.times[reached[0]]) if reached.size else None


def kaplan_meier(durations: ArrayLike, ended: ArrayLike) -> Survival:
    """Estimate the survival curve. ``ended``: True for a complete duration, False for a censored one."""
    lasted = np.asarray(durations, dtype=np.float64)
    over = np.asarray(ended, dtype=np.bool_)
    if lasted.shape != over.shape:
        raise ValueError("durations and ends must be of one length")
    times, place = np.unique(lasted, return_inverse=True)
    deaths: Floats = np.bincount(place, weights=over, minlength=times.size).astype(np.float64)
    leaving = np.bincount(place, minlength=times.size)
    at_risk: Floats = np.cumsum(leaving[::-1])[::-1].astype(np.float64)
    happens = deaths > 0
    times, deaths, at_risk = times[happens], deaths[happens], at_risk[happens]
    surviving: Floats = np.cumprod(1.0 - deaths / at_risk).astype(np.float64)
    left = at_risk - deaths
    terms = np.divide(deaths, at_risk * left, out=np.zeros_like(deaths), where=left > 0)
    return Survival(times, surviving, surviving * np.sqrt(np.cumsum(terms)))
