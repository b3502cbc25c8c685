"""The outcome model of the doubly robust estimator: shrunken cell means, fitted on earlier decisions only.

The estimator is unbiased for any model; a good model makes its interval narrow. A cell (context, arm) is shrunk towards
"context mean + arm effect", and these towards the overall mean, each with the weight of ``STRENGTH`` decisions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from evaluation.arrays import Floats, Integers
from evaluation.logged import Logged

STRENGTH = 10.0
_BLOCKS: Final = 25
_LEAST, _MOST = 0.02, 0.98


def fit(log: Logged) -> Floats:
    """Return the predicted reward of each context (rows) under each arm (columns)."""
    contexts, arms = len(log.contexts), len(log.arms)
    overall = (float(log.rewards.sum()) + 0.5) / (len(log) + 1.0)
    of_context = _mean(log.context, log.rewards, contexts, np.full(contexts, overall))
    residual = log.rewards - of_context[log.context]
    of_arm = _mean(log.chosen, residual, arms, np.zeros(arms))
    parent = of_context[:, None] + of_arm[None, :]
    cell = log.context * arms + log.chosen
    return np.asarray(np.clip(_mean(cell, log.rewards, contexts * arms, parent.ravel()), _LEAST, _MOST).reshape(contexts, arms))


def _mean(place: Integers, values: Floats, size: int, towards: Floats) -> Floats:
    total = np.bincount(place, weights=values, minlength=size)
    return np.asarray((total + STRENGTH * towards) / (np.bincount(place, minlength=size) + STRENGTH))


def predict_sequentially(log: Logged) -> Floats:
    """Return n × k predictions; each block is predicted from all earlier blocks, the first block with 0.5."""
    size = len(log)
    edges = np.unique(np.linspace(0, size, min(_BLOCKS, max(1, size)) + 1).round().astype(np.int64))
    predicted = np.full((size, len(log.arms)), 0.5)
    for start, stop in pairwise(edges[1:].tolist()):
        predicted[start:stop] = fit(log.part(0, start))[log.context[start:stop]]
    return predicted
