"""How alike two pictures are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIDE = 7
_STEADY = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)


def ssim(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Structural similarity of two 8-bit pictures, (rows, columns[, channels]): 1 for equal ones, over 7x7 windows.

    References: Wang et al. 2004, with the usual constants.
    """
    a, b = (_channels(picture) for picture in (one, other))
    mean_a, mean_b = _means(a), _means(b)
    spread_a, spread_b = _means(a * a) - mean_a**2, _means(b * b) - mean_b**2
    together = _means(a * b) - mean_a * mean_b
    alike = (2 * mean_a * mean_b + _STEADY[0]) * (2 * together + _STEADY[1])
    return float((alike / ((mean_a**2 + mean_b**2 + _STEADY[0]) * (spread_a + spread_b + _STEADY[1]))).mean())


def _channels(picture: NDArray[Any]) -> NDArray[np.float64]:
    return np.atleast_3d(picture).astype(np.float64)


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each window, by summed areas."""
    summed = np.pad(values, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0).cumsum(axis=1)
    side = _SIDE
    return (summed[side:, side:] - summed[:-side, side:] - summed[side:, :-side] + summed[:-side, :-side]) / side**2
