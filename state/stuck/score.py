"""The score: the probability that a person will neither complete nor leave the step within its horizon without help.

It has two parts, each learned from past episodes:

- *Time alone*: the faded share of stuck people among those who waited as long at this step before (``state/stuck/score_state.py``).
- *Evidence*: what the features of ``state/stuck/evidence.py`` add, in logits. A logistic regression with the logit of time alone as its
  offset, learned online with a diagonal Gaussian posterior, one row at a time (assumed-density filtering; MacKay 1992 for predictions).

How much of what evidence adds is believed is learned as well (``state/stuck/calibration.py``).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from state.catalog.evidence_weights import FEATURES
from state.stuck import calibration
from state.stuck.calibration import FITTED_TRUST, believed, logistic
from state.stuck.evidence import Kind, feature
from state.stuck.row import Row
from state.stuck.score_state import Calibration, ScoreState, Share

SHARES: Final[tuple[float, ...]] = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of the horizon at which everyone who still waits is scored."""
BUCKETS: Final = len(SHARES) + 1
"""Bucket 0 is before the first share, where only evidence leads to a score; bucket n begins at ``SHARES[n - 1]``."""

_FADE: Final = 0.5 ** (1 / 200)
"""Episodes after which one counts half, in the shares of time alone."""
_OWN_WEIGHT: Final = 20.0
"""Held-out people after whom their own share counts half, beside that of everyone."""
_FITTED_WEIGHT: Final = 50.0
"""Episodes that a share of the catalog counts for; they fade as others do."""
_PRIOR_VARIANCE: Final = 0.2**2
_LEARNING_WEIGHT: Final = 0.25
"""Weight of a row: those of one episode repeat each other. `benchmarks/stuck` chose it and the prior."""
_FORGET: Final = 1.0001
"""Growth of the variance with each row, up to the prior's: what was learned long ago counts less."""
_CLIP: Final = 6.0
_LOW: Final = 1.0 / (1.0 + math.exp(_CLIP))

_SIGN: Final = 1.5
"""What a sign of being stuck, by the catalog's thresholds, adds before there are data, in logits."""
_LONG_WAIT: Final = 0.8
"""The same for having waited for half of the horizon."""
_PRIOR_MEANS: Final[dict[int, float]] = {
    **{feature(sign, count): _SIGN for sign in (Kind.ERROR_BURSTS, Kind.RAGE_CLICKS, Kind.CIRCLES) for count in (1, 2, 3)},
    feature(Kind.SLOW, 1): _SIGN,
    feature(Kind.BUCKET, len(SHARES)): _LONG_WAIT,
}
_SIGN_VARIANCE: Final = 0.5
_PRIOR: Final[dict[int, tuple[float, float]]] = {each: (mean, _SIGN_VARIANCE) for each, mean in _PRIOR_MEANS.items()}


class ScoreLearner:
    """Learns the score from episodes whose end is known."""

    def __init__(self, state: ScoreState | None = None) -> None:
        """Continue from ``state``."""
        state = state or ScoreState()
        self._shares: Final = dict(state.shares)
        known = list(map(copy.deepcopy, state.calibrations)) or [Calibration(mean, variance) for mean, variance in state.trust]
        self._calibrations: Final = known or [Calibration() for _ in range(BUCKETS)]
        self._learned: Final = set(state.weights)
        self._means, self._variances = [0.0] * FEATURES, [_PRIOR_VARIANCE] * FEATURES
        for each, (mean, variance) in (*_PRIOR.items(), *state.weights.items()):
            self._means[each], self._variances[each] = mean, variance

    def state(self) -> ScoreState:
        """The snapshot. Shares and calibrations of it change with what is learned afterwards."""
        trust = [(each.trust, each.variance) for each in self._calibrations]
        return ScoreState(self._shares, dict(self.weights), trust, self._calibrations)

    def score(self) -> Score:
        """The score as it was learned so far."""
        shares = {step: [_value(share) for share in shares] for step, shares in self._shares.items()}
        beliefs = [calibration.belief(each) for each in self._calibrations]
        return Score(shares, self._means.copy(), self._variances.copy(), beliefs)

    def begin(self, step: str, shares: Sequence[float]) -> None:
        """Begin with the shares of stuck people that an earlier log of unguided people has (``BUCKETS`` of them), if none are known."""
        weight = _FITTED_WEIGHT
        self._shares.setdefault(step, [Share(weight, weight * share, weight, weight * share) for share in shares])

    def begin_evidence(self, weights: Mapping[int, tuple[float, float]], trust: Sequence[float]) -> None:
        """Begin with what an earlier log says that evidence adds, if nothing is known. ``trust``: how far it is believed, by bucket."""
        if self._learned:
            return
        self._learned.update(weights)
        for each, (mean, variance) in weights.items():
            self._means[each], self._variances[each] = mean, variance
        self._calibrations[:] = [Calibration(mean, FITTED_TRUST) for mean in trust]

    @property
    def weights(self) -> Mapping[int, tuple[float, float]]:
        """Feature → mean and variance of what it adds, where that was learned."""
        return {each: (self._means[each], self._variances[each]) for each in sorted(self._learned)}

    @property
    def trust(self) -> Sequence[float]:
        """How much of what evidence adds is believed, by bucket."""
        return [each.trust for each in self._calibrations]

    def learn(self, step: str, rows: Sequence[Row], *, stuck: bool, unaided: bool, counts: bool = True) -> None:
        """Learn from an episode whose end is known. ``rows`` in order of time. ``counts``: also for the shares of time alone."""
        of_step = self._of_step(step)
        for row in rows:
            offset = _logit(row.time)
            calibration.learn(self._calibrations[row.bucket], offset, row.added, stuck=stuck)
            self._regress(row.features, offset, stuck)
        for bucket in {row.bucket for row in rows if row.bucket and counts}:
            _count(of_step[bucket], stuck=stuck, unaided=unaided)

    def enter(self, step: str, *, stuck: bool, unaided: bool) -> None:
        """Count an episode that began, once its end is known."""
        _count(self._of_step(step)[0], stuck=stuck, unaided=unaided)

    def begin_anew(self, step: str) -> None:
        """The horizon of ``step`` was learned: what was counted at shares of an expected one says nothing."""
        self._shares[step] = [Share() for _ in range(BUCKETS)]

    def count(self, step: str, buckets: int, *, stuck: bool, unaided: bool) -> None:
        """Count an episode that waited into so many buckets after the first, once its end is known."""
        for share in self._of_step(step)[: buckets + 1]:
            _count(share, stuck=stuck, unaided=unaided)

    def _of_step(self, step: str) -> list[Share]:
        known = self._shares.get(step)
        if known is None:
            known = self._shares[step] = [Share() for _ in range(BUCKETS)]
        return known

    def _regress(self, features: tuple[int, ...], offset: float, stuck: bool) -> None:
        means, variances = self._means, self._variances
        spread = sum(map(variances.__getitem__, features))
        guess = _moderated(offset + sum(map(means.__getitem__, features)), spread)
        curvature = max(guess * (1.0 - guess), 1e-3) * _LEARNING_WEIGHT
        step = (stuck - guess) * _LEARNING_WEIGHT / curvature
        gain = 1.0 / (spread + 1.0 / curvature)
        self._learned.update(features)
        for each in features:
            variance = variances[each]
            share = variance * gain
            means[each] += share * step
            narrower = variance * (1.0 - share) * _FORGET
            if narrower > _PRIOR_VARIANCE and narrower > variance:
                narrower = max(variance, _PRIOR_VARIANCE)
            variances[each] = narrower


_UNKNOWN: Final[tuple[float, ...]] = (0.0, _PRIOR_VARIANCE)
_Sent = tuple[Mapping[str, Sequence[float]], dict[int, tuple[float, float]], Sequence[tuple[float, Sequence[float]]]]


class Prediction(NamedTuple):
    """A score; the share that time alone gives; and what evidence adds to its logit, before trust."""

    score: float
    time: float
    added: float


class Score:
    """A score as it was learned up to a time (``ScoreLearner.score``). Immutable."""

    __slots__ = ("_beliefs", "_means", "_shares", "_variances")

    def __init__(
        self,
        shares: Mapping[str, Sequence[float]],
        means: Sequence[float],
        variances: Sequence[float],
        beliefs: Sequence[tuple[float, Sequence[float]]],
    ) -> None:
        """``means`` and ``variances``: of the weights, by feature. ``beliefs``: trust and correction, by bucket."""
        self._shares, self._means, self._variances, self._beliefs = shares, means, variances, beliefs

    def __reduce__(self) -> tuple[Callable[..., Score], _Sent]:
        """For other processes: only the weights that are known, a small part of all."""
        weights = enumerate(zip(self._means, self._variances, strict=True))
        return _received, (self._shares, {number: weight for number, weight in weights if weight != _UNKNOWN}, self._beliefs)

    def time_alone(self, step: str, bucket: int) -> float:
        """The share of stuck people among those who waited as long at this step before; one half before there were any."""
        known = self._shares.get(step)
        return known[bucket] if known is not None else 0.5

    def predict(self, step: str, bucket: int, features: Sequence[int]) -> Prediction:
        """The score of a person with these features."""
        time = self.time_alone(step, bucket)
        offset = _logit(time)
        total, spread = sum(map(self._means.__getitem__, features), offset), sum(map(self._variances.__getitem__, features))
        added = total / math.sqrt(1.0 + math.pi * spread / 8.0) - offset
        return Prediction(logistic(offset + believed(*self._beliefs[bucket], added)), time, added)

    def weight(self, number: int) -> float:
        """What the feature ``number`` adds, in logits."""
        return self._means[number]

    @property
    def trust(self) -> list[float]:
        """How much of what evidence adds is believed, by bucket."""
        return [trust for trust, _ in self._beliefs]

    @property
    def shares(self) -> Mapping[str, Sequence[float]]:
        """Step → bucket → share of stuck people among those who waited."""
        return self._shares


def _received(
    shares: Mapping[str, Sequence[float]],
    known: Mapping[int, tuple[float, float]],
    beliefs: Sequence[tuple[float, Sequence[float]]],
) -> Score:
    """The score that another process sent."""
    means, variances = [0.0] * FEATURES, [_PRIOR_VARIANCE] * FEATURES
    for each, (mean, variance) in known.items():
        means[each], variances[each] = mean, variance
    return Score(shares, means, variances, beliefs)


def bucket_at(elapsed: int, horizon: int) -> int:
    """The bucket of somebody who has waited for ``elapsed`` of ``horizon``."""
    bucket = 0
    for share in SHARES:
        if elapsed < share * horizon:
            break
        bucket += 1
    return bucket


def last_look(*, settled: bool) -> int:
    """The last bucket in which an alarm is raised. At half of a learned horizon, which may be a little too long, it would come too late.

    Before a horizon is learned, half of it is the time that the catalog names.
    """
    return BUCKETS - 2 if settled else BUCKETS - 1


def _count(share: Share, *, stuck: bool, unaided: bool) -> None:
    """Count an episode."""
    share.everyone, share.stuck = share.everyone * _FADE + 1.0, share.stuck * _FADE + stuck
    if unaided:
        share.unaided, share.unaided_stuck = share.unaided * _FADE + 1.0, share.unaided_stuck * _FADE + stuck


def _value(share: Share) -> float:
    """The share of stuck people among those who get no help."""
    everyone = (share.stuck + 0.5) / (share.everyone + 1.0)
    return (share.unaided_stuck + _OWN_WEIGHT * everyone) / (share.unaided + _OWN_WEIGHT)


def _moderated(logit: float, variance: float) -> float:
    """The mean of the logistic function over a Gaussian (MacKay 1992, equation 11)."""
    return logistic(logit / math.sqrt(1.0 + math.pi * variance / 8.0))


def _logit(share: float) -> float:
    """The logit of a share, between -``_CLIP`` and ``_CLIP``."""
    if _LOW < share < 1.0 - _LOW:
        return math.log(share / (1.0 - share))
    return math.copysign(_CLIP, share - 0.5)
