"""Type aliases for the arrays of the statistics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def ratio(part: float, whole: float) -> float | None:
    """Return ``part / whole``, or None if ``whole`` is 0: no data is not a rate of 0."""
    return part / whole if whole else None
