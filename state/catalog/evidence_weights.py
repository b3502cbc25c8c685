"""The weights of evidence that ``onramp catalog fit`` learned from a log, as one line of text for a catalog.

A weight is the number of a feature (``state/stuck/evidence.py``), and the mean and variance of what it adds to a score, in logits. Six
bytes for each, in base64: features are hashed, so numbers in plain text would say no more.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping
from typing import Final

FEATURES: Final = 4_096
"""Places for features: their numbers are below it. With 1,024 the permit log loses nothing either (`benchmarks/stuck`)."""
_WEIGHT: Final = struct.Struct("<Hee")

Weights = Mapping[int, tuple[float, float]]
"""Number of a feature → mean and variance."""


def render(weights: Weights) -> str:
    """The text of ``weights``. Means and variances lose digits: three stay."""
    packed = b"".join(_WEIGHT.pack(number, *weights[number]) for number in sorted(weights))
    return base64.b64encode(packed).decode()


def read(text: str) -> Weights:
    """The weights in ``text``. Raises ``ValueError``, with one sentence, if ``onramp catalog fit`` has not written it."""
    try:
        packed = base64.b64decode(text, validate=True)
        weights = {number: (mean, variance) for number, mean, variance in _WEIGHT.iter_unpack(packed)}
    except (binascii.Error, ValueError, struct.error):
        raise ValueError("the weights are damaged: remove `evidence`, or run `onramp catalog fit` again") from None
    for number, (mean, variance) in weights.items():
        if number >= FEATURES or not math.isfinite(mean) or not 0.0 < variance < math.inf:
            raise ValueError("the weights are damaged: remove `evidence`, or run `onramp catalog fit` again")
    return weights
