"""How far evidence is believed, by what it said of earlier episodes before their end was known (Wolpert 1992, stacking).

A score adds ``believed(added)`` to the logit of what time alone says; ``added`` is what evidence would add (``state/stuck/score.py``):

    believed(added) = trust · added + correction(added)

One factor is not enough: small contributions are often noise where large ones are true, and several signs at once overstate. So the
correction is linear between ``KNOTS``, 0 where evidence adds nothing, and constant beyond them. Trust and correction are learned together,
as a logistic regression with a diagonal Gaussian posterior. The less evidence says, the closer the score is to that of time alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from state.stuck.score_state import CORRECTION_VARIANCE, KNOTS, TRUST, Calibration

_LAST: Final = len(KNOTS) - 2
_LOWEST: Final = KNOTS[0]
_HIGHEST: Final = KNOTS[-1]
_TRUST_FORGET: Final = 1.001
"""With 1.002 trust wanders: on the traffic fines of docs/measurements.md average precision is 0.015 below that of time alone, with this
0.011, with 1.0005 0.004. But with 1.0005 made-up scores are off by more than 0.04 (`tests/state/test_stuck_score.py`), and with 1.0007
average precision is more than 0.01 below that of time alone in a world (`benchmarks.stuck --only 13 --seed 1`)."""
_FORGET: Final = 1.0005
"""Growth of the variances of trust and correction with each try, up to the prior's: what was learned long ago counts less."""
FITTED_TRUST: Final = 0.02
"""Variance of the trust that a catalog has from a log. With 0.05 precision is 0.003 higher and recall 0.006 lower
(`benchmarks.measure --seeds 500-507 --users 2000 --days 21 --history 1500`)."""
_LARGEST: Final = 30.0
"""A probability that differs from 1 by less than 1e-13."""


def learn(known: Calibration, offset: float, added: float, *, stuck: bool) -> None:
    """Learn from a prediction whose outcome is known. ``offset``: the logit of what time alone says."""
    correction, variances = known.correction, known.variances
    left, far = _place(added)
    near = 1.0 - far
    guess = logistic(offset + known.trust * added + near * correction[left] + far * correction[left + 1])
    curvature = max(guess * (1.0 - guess), 1e-3)
    of_trust, of_left, of_right = known.variance * added, variances[left] * near, variances[left + 1] * far
    share = 1.0 / (of_trust * added + of_left * near + of_right * far + 1.0 / curvature)
    step = share * (stuck - guess) / curvature
    known.trust += of_trust * step
    correction[left] += of_left * step
    correction[left + 1] += of_right * step
    known.variance = min((known.variance - share * of_trust * of_trust) * _TRUST_FORGET, TRUST[1])
    variances[left] = min((variances[left] - share * of_left * of_left) * _FORGET, CORRECTION_VARIANCE)
    variances[left + 1] = min((variances[left + 1] - share * of_right * of_right) * _FORGET, CORRECTION_VARIANCE)


def belief(known: Calibration) -> tuple[float, list[float]]:
    """Trust and correction for a score. Evidence that was rather wrong than right is not believed at all."""
    return (known.trust, known.correction.copy()) if known.trust > 0.0 else (0.0, [0.0] * len(KNOTS))


def believed(trust: float, correction: Sequence[float], added: float) -> float:
    """What of ``added`` is believed, in logits."""
    left, far = _place(added)
    return trust * added + (1.0 - far) * correction[left] + far * correction[left + 1]


def _place(added: float) -> tuple[int, float]:
    """The knot below ``added``, and how far it is on the way to the next."""
    if not added > _LOWEST:
        return 0, 0.0
    if added >= _HIGHEST:
        return _LAST, 1.0
    left = bisect_right(KNOTS, added) - 1
    low = KNOTS[left]
    return left, (added - low) / (KNOTS[left + 1] - low)


def logistic(logit: float) -> float:
    """The probability with this logit."""
    if not -_LARGEST < logit < _LARGEST:
        logit = math.copysign(_LARGEST, logit)
    return 1.0 / (1.0 + math.exp(-logit))
