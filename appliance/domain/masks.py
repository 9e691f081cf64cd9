"""What lies over a frame: its shutter, which hides, and its overlays, which are drawn in white.

References: PS3.3 C.7.6.11 (display shutter), C.7.6.15 (bitmap display shutter), C.9.2 (overlay plane).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.domain.image import ImageDescription, Overlay, Shutter

Mask = NDArray[np.uint8]
"""(rows, columns) of the frame: for each pixel SHOWN, COVERED or DRAWN."""
Bits = NDArray[np.bool_]

SHOWN, COVERED, DRAWN = 0, 1, 2

_WHITE = 255


def has_mask(image: ImageDescription, frame_index: int) -> bool:
    frame = image.frames[frame_index]
    return bool(frame.overlays) or frame.shutter is not None


def mask_of(image: ImageDescription, frame_index: int, bits_of: Callable[[Overlay], Bits]) -> Mask | None:
    """The mask of a frame, None where nothing lies over it. Overlays lie over the shutter (PS3.4 N.2.1).

    ``bits_of`` gives the bits of an overlay, (rows, columns) of its own.
    """
    frame, form = image.frames[frame_index], image.pixel_format
    if not has_mask(image, frame_index):
        return None
    mask = np.zeros((form.rows, form.columns), np.uint8)
    if frame.shutter is not None:
        mask[_covered(frame.shutter, form.rows, form.columns)] = COVERED
        if frame.shutter.bitmap is not None:
            _lay(mask, frame.shutter.bitmap, bits_of(frame.shutter.bitmap), COVERED)
    for overlay in frame.overlays:
        _lay(mask, overlay, bits_of(overlay), DRAWN)
    return mask


def masked(pixels: NDArray[np.uint8], mask: Mask, shutter_grey: int) -> NDArray[np.uint8]:
    """``pixels`` of a whole frame, (rows, columns[, 3]), with its mask over them."""
    covered = pixels.copy()
    covered[mask == COVERED] = shutter_grey
    covered[mask == DRAWN] = _WHITE
    return covered


def shutter_grey(image: ImageDescription, frame_index: int) -> int:
    shutter = image.frames[frame_index].shutter
    return shutter.grey if shutter is not None else 0


def _covered(shutter: Shutter, rows: int, columns: int) -> Bits:
    """Pixels whose centres lie outside of one of the shapes."""
    row, column = np.arange(rows)[:, np.newaxis], np.arange(columns)[np.newaxis, :]
    covered = np.zeros((rows, columns), np.bool_)
    if shutter.rectangle is not None:
        top, bottom, left, right = shutter.rectangle
        covered |= (row < top) | (row > bottom) | (column < left) | (column > right)
    if shutter.circle is not None:
        middle_row, middle_column, radius = shutter.circle
        covered |= (row - middle_row) ** 2 + (column - middle_column) ** 2 > radius**2
    if shutter.polygon:
        covered |= ~_inside(shutter.polygon, rows, columns)
    return covered


def _inside(corners: tuple[tuple[float, float], ...], rows: int, columns: int) -> Bits:
    """By the even-odd rule; a centre on an edge is inside where the next one to the right is."""
    row, column = np.arange(rows)[:, np.newaxis], np.arange(columns)[np.newaxis, :]
    inside = np.zeros((rows, columns), np.bool_)
    for (row_1, column_1), (row_2, column_2) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if row_1 == row_2:
            continue
        crosses = (row_1 > row) != (row_2 > row)
        at = column_1 + (row - row_1) * ((column_2 - column_1) / (row_2 - row_1))
        inside ^= crosses & (column < at)
    return inside


def _lay(mask: Mask, overlay: Overlay, bits: Bits, value: int) -> None:
    """The part of an overlay that lies on the frame."""
    rows, columns = mask.shape
    top, left = max(overlay.first_row, 0), max(overlay.first_column, 0)
    bottom = min(overlay.first_row + overlay.rows, rows)
    right = min(overlay.first_column + overlay.columns, columns)
    if top >= bottom or left >= right:
        return
    part = bits[
        top - overlay.first_row : bottom - overlay.first_row, left - overlay.first_column : right - overlay.first_column
    ]
    mask[top:bottom, left:right][part] = value
