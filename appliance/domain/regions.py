"""Which pixels lie in a region of a frame, and what their values are.

A pixel is in a region if its centre is. Padding is no image and is counted apart.

References: PS3.3 C.11.1.1 (values after the modality LUT), C.7.5.1.1.2 (padding).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.domain.grayscale import Values, is_padding, modality_values
from appliance.domain.image import ImageDescription
from appliance.domain.measuring import Kind, Point


@dataclass(frozen=True, slots=True)
class Region:
    kind: Kind
    """One of ``measuring.REGIONS``."""
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class RegionValues:
    """Of the pixels in a region that are image."""

    count: int
    padding_count: int
    """Pixels in the region that are none."""
    mean: float | None
    """This and what follows: after the modality LUT; None of colours, and where there is no pixel."""
    standard_deviation: float | None
    """Of these pixels themselves: the root of the mean square of the distances from ``mean``."""
    minimum: float | None
    maximum: float | None


def region_values(stored: Values, image: ImageDescription, frame_index: int, region: Region) -> RegionValues:
    """``stored`` is (rows, columns), or (rows, columns, samples), of the whole frame."""
    rows, columns, inside = covered(region, stored.shape[0], stored.shape[1])
    part = stored[rows, columns]
    if image.is_colour:
        return RegionValues(int(inside.sum()), 0, None, None, None, None)
    padding = is_padding(part, image.pixel_format)
    is_image = inside if padding is None else inside & ~padding
    count = int(is_image.sum())
    padding_count = int(inside.sum()) - count
    if not count:
        return RegionValues(0, padding_count, None, None, None, None)
    values = modality_values(part[is_image], image, frame_index)
    found = (values.mean(), values.std(), values.min(), values.max())
    if not all(map(np.isfinite, found)):  # floats may be none
        return RegionValues(count, padding_count, None, None, None, None)
    mean, deviation, least, most = map(float, found)
    return RegionValues(count, padding_count, mean, deviation, least, most)


def covered(region: Region, rows: int, columns: int) -> tuple[slice, slice, NDArray[np.bool_]]:
    """The rows and columns of a frame around a region, and which of these pixels are in it: (rows, columns) of that part."""
    xs, ys = [point[0] for point in region.points], [point[1] for point in region.points]
    down, along = _centres(min(ys), max(ys), rows), _centres(min(xs), max(xs), columns)
    y = np.arange(down.start, down.stop) + 0.5
    x = np.arange(along.start, along.stop) + 0.5
    if region.kind is Kind.FREEHAND:
        return down, along, _inside_outline(region.points, x, y)
    if region.kind is Kind.ELLIPSE:
        return down, along, _inside_ellipse(region.points, x, y)
    return down, along, np.ones((y.size, x.size), bool)


def _centres(first: float, last: float, count: int) -> slice:
    """The pixels whose centres lie from ``first`` to ``last``, both included, of those that there are."""
    start = min(max(math.ceil(first - 0.5), 0), count)
    return slice(start, max(start, min(math.floor(last - 0.5) + 1, count)))


def _inside_ellipse(points: Sequence[Point], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    (x0, y0), (x1, y1) = points
    across, down = abs(x1 - x0) / 2, abs(y1 - y0) / 2
    if not across or not down:
        return np.zeros((y.size, x.size), bool)
    right, below = ((x - (x0 + x1) / 2) / across) ** 2, ((y - (y0 + y1) / 2) / down) ** 2
    return np.asarray(right[np.newaxis, :] + below[:, np.newaxis] <= 1)


def _inside_outline(points: Sequence[Point], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """By the even-odd rule: each edge turns over all pixels to the right of it, in the rows that it crosses."""
    turned = np.zeros((y.size, x.size + 1), bool)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        crossed = np.flatnonzero((y0 > y) != (y1 > y))
        if crossed.size:
            at = x0 + (x1 - x0) * (y[crossed] - y0) / (y1 - y0)
            turned[crossed, np.searchsorted(x, at, side="right")] ^= True
    return np.asarray(np.logical_xor.accumulate(turned, axis=1)[:, : x.size])
