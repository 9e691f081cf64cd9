"""What lies under each pixel of a smaller picture, as a mean: on the processor, on any thread.

The same as the shader's ``sample_shrunk.glsl``: each pixel of the source counts by the area of it that is covered. Here rows are
made fewer first and columns then, which gives the same means with far fewer products than looking at every pixel under
every other: a software rasteriser takes six times as long for 5 megapixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


def means(values: NDArray[Any], region: tuple[float, float, float, float], size: tuple[int, int]) -> Values:
    """``region`` (x, y, width, height, in pixels, within ``values``) as a picture of ``size`` (width, height), not enlarged.

    Arrays are (rows, columns) or (rows, columns, samples).
    """
    x, y, width, height = region
    fewer_rows = _means_of_rows(values, y, height, size[1])
    fewer = _means_of_rows(np.ascontiguousarray(fewer_rows.swapaxes(0, 1)), x, width, size[0])
    return np.ascontiguousarray(fewer.swapaxes(0, 1))


def _means_of_rows(values: NDArray[Any], start: float, length: float, count: int) -> Values:
    """``count`` rows instead of those from ``start`` on, over ``length``."""
    flat = values.reshape(len(values), -1)
    made = np.empty((count, flat.shape[1]), np.float32)
    firsts, weights = _weights(start, length, count)
    for number, (first, weight) in enumerate(zip(firsts.tolist(), weights, strict=True)):
        rows = flat[first : first + weights.shape[1]]
        np.dot(weight[: len(rows)], rows.astype(np.float32), out=made[number])
    return made.reshape(count, *values.shape[1:])


def _weights(start: float, length: float, count: int) -> tuple[NDArray[np.intp], Values]:
    """Of each pixel, the first source pixel under it, and the part that each from it on has in the mean: (count, most)."""
    edges = start + np.arange(count + 1) * (length / count)
    low, high = edges[:-1, np.newaxis], edges[1:, np.newaxis]
    firsts = np.floor(edges[:-1]).astype(np.intp)
    under = firsts[:, np.newaxis] + np.arange(math.ceil(length / count) + 1)
    covered = np.clip(np.minimum(high, under + 1) - np.maximum(low, under), 0, None)
    return firsts, (covered / covered.sum(1, keepdims=True)).astype(np.float32)
