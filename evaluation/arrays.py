"""Names for the arrays that the statistics work on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def ratio(part: float, whole: float) -> float | None:
    """Return ``part / whole``, None where there is nothing to measure: that is not 0."""
    return part / whole if whole else None
