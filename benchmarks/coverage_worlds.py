"""Synthetic logs and experiments with known true values, for the coverage benchmarks and the statistical tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evaluation.arrays import Floats
from evaluation.logged import Logged

STEPS = ("install", "connect", "invite")
SEGMENTS = ("engineer", "analyst", "manager")
_FLOOR, _BATCH, _DRAWS = 0.05, 25, 64
ARMS = ("aggressive", "moderate", "passive", "visual")


def success_rates(rng: np.random.Generator) -> Floats:
    """Draw the success rate of each context (step × segment) under each arm: contexts, arms and their interaction have effects."""
    shape = (len(STEPS), len(SEGMENTS), len(ARMS))
    logits = (
        -0.4
        + rng.normal(0, 0.5, (shape[0], 1, 1))
        + rng.normal(0, 0.3, (1, shape[1], 1))
        + rng.normal(0, 0.3, (1, 1, shape[2]))
        + rng.normal(0, 0.4, (1, shape[1], shape[2]))
        + rng.normal(0, 0.2, shape)
    )
    return np.asarray(1.0 / (1.0 + np.exp(-logits))).reshape(-1, len(ARMS))


def thompson_logs(replications: int, size: int, rng: np.random.Generator, *, sleeping: float = 0.0) -> Iterator[tuple[Logged, Floats]]:
    """Run Thompson sampling with an exploration floor in ``replications`` worlds at once; yield each log and its true mu (n × k).

    Propensities are the shares of 64 posterior draws in which the arm was best, mixed with the floor. The arm is drawn with
    these probabilities. The posterior is refreshed every 25 decisions. ``sleeping``: probability that the last arm is not eligible.
    """
    rates = np.stack([success_rates(rng) for _ in range(replications)])
    cells, arms = rates.shape[1], rates.shape[2]
    contexts = rng.integers(0, cells, (replications, size))
    awake = rng.random((replications, size)) >= sleeping
    wins = np.ones((replications, cells, arms))
    losses = np.ones((replications, cells, arms))
    chances = np.zeros((replications, size, arms))
    chosen = np.zeros((replications, size), dtype=np.int64)
    rewards = np.zeros((replications, size))
    rows = np.arange(replications)[:, None]
    for start in range(0, size, _BATCH):
        stop = min(size, start + _BATCH)
        total = wins + losses
        mean = wins / total
        spread = np.sqrt(mean * (1 - mean) / (total + 1))
        sampled = mean[..., None] + spread[..., None] * rng.standard_normal((*mean.shape, _DRAWS))
        here = contexts[:, start:stop]
        for available in (True, False):
            usable = sampled if available else sampled[:, :, :-1]
            best = usable.argmax(axis=2)
            count = usable.shape[2]
            share = np.stack([(best == arm).mean(axis=2) for arm in range(count)], axis=2)
            share = _FLOOR + (1 - count * _FLOOR) * share
            where = awake[:, start:stop] == available
            block = chances[:, start:stop, :count]
            block[where] = share[rows, here][where]
        cumulative = chances[:, start:stop].cumsum(axis=2)
        pick = (rng.random((replications, stop - start, 1)) > cumulative / cumulative[..., -1:]).sum(axis=2)
        won = rng.random((replications, stop - start)) < rates[rows, here, pick]
        chosen[:, start:stop], rewards[:, start:stop] = pick, won
        np.add.at(wins, (rows, here, pick), won)
        np.add.at(losses, (rows, here, pick), ~won)
    names = tuple(("stuck:errors", step, segment) for step in STEPS for segment in SEGMENTS)
    for r in range(replications):
        log = Logged(ARMS, names, contexts[r], chosen[r], chances[r] > 0, chances[r], rewards[r])
        yield log, rates[r][contexts[r]]


def experiment(size: int, rates: tuple[float, float], share: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return outcome and group (1 treated with probability ``share``) of people whose activation rates are (untreated, treated)."""
    treated = (rng.random(size) < share).astype(np.float64)
    outcome = (rng.random(size) < np.where(treated > 0, rates[1], rates[0])).astype(np.float64)
    return outcome, treated
