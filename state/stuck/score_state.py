"""The snapshot of the score (``state/stuck/score.py``): counts for time alone, weights of evidence, and how far it is believed."""

from __future__ import annotations

from typing import Final

import msgspec

KNOTS: Final = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
"""Contributions of evidence, in logits, at which the correction is learned."""
TRUST: Final = (0.5, 0.25)
"""Trust in evidence before it was tried: mean and variance."""
CORRECTION_VARIANCE: Final = 0.05
"""Prior variance of the correction at a knot. With 0.1 calibration is no better, and scores order users worse where evidence says nothing
(`benchmarks.stuck --worlds 20`, seeds 1 and 2)."""


class Share(msgspec.Struct, gc=False, array_like=True):
    """Faded counts of people who waited, and of those of them who were stuck: held out, and all."""

    unaided: float = 0.0
    unaided_stuck: float = 0.0
    everyone: float = 0.0
    stuck: float = 0.0


class Calibration(msgspec.Struct, gc=False, array_like=True):
    """How far evidence is believed in one bucket: mean and variance of trust, and those of the correction at ``KNOTS``."""

    trust: float = TRUST[0]
    variance: float = TRUST[1]
    correction: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(KNOTS))
    variances: list[float] = msgspec.field(default_factory=lambda: [0.0 if knot == 0.0 else CORRECTION_VARIANCE for knot in KNOTS])


class ScoreState(msgspec.Struct, array_like=True):
    """The snapshot of what was learned. ``shares``: step → bucket → counts; ``weights``: feature → mean and variance, where it was learned.

    ``trust``: by bucket, mean and variance, for earlier releases; ``calibrations`` have it too, also by bucket.
    """

    shares: dict[str, list[Share]] = {}
    weights: dict[int, tuple[float, float]] = {}
    trust: list[tuple[float, float]] = []
    calibrations: list[Calibration] = []
