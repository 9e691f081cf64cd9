"""Values of a volume as the 16-bit texels that a card holds, and back.

A texture stores unsigned 16-bit texels, exactly. Signed values are offset by half the range. Where every slice has the same
rescale, texels are the stored values themselves; where they differ (PET), or values are wider, texels are spread evenly over
the range of the values after the modality LUT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.domain.grayscale import (
    TABLE_LENGTH,
    has_table,
    is_padding,
    modality_values,
    table_index,
    table_values,
    voi_grey,
    window_ends,
)
from appliance.domain.image import ImageDescription, Window
from appliance.domain.voi import Voi

Texels = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class TexelScale:
    """Value after the modality LUT = ``low`` + ``step`` x texel."""

    low: float
    step: float
    keeps_stored: bool
    """Texels are the stored values themselves, offset if signed."""

    def values(self, texels: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(self.low + self.step * texels.astype(np.float64))

    def position(self, value: float) -> float:
        """Where a value lies in 0…1 of the texture's range; beyond it outside of 0…1."""
        return (value - self.low) / self.step / (TABLE_LENGTH - 1)

    def grey_table(self, voi: Voi, *, invert: bool) -> NDArray[np.uint8]:
        """The grey of each of the 65,536 texels."""
        grey = voi_grey(self.values(np.arange(TABLE_LENGTH)), voi)
        return np.rint((1 - grey if invert else grey) * 255).astype(np.uint8)

    def grey_line(self, voi: Voi, *, invert: bool) -> tuple[float, float] | None:
        """Slope and offset of grey, 0…1 where it is between its ends, over a texel in 0…1 of the texture's range.

        None where ``voi`` is not a straight window, or so narrow that it falls between two texels.
        """
        ends = window_ends(voi) if isinstance(voi, Window) else None
        if ends is None or ends[1] - ends[0] < self.step:
            return None
        black, white = (self.position(end) for end in (ends[::-1] if invert else ends))
        return 1 / (white - black), -black / (white - black)


def common_scale(slices: Sequence[tuple[ImageDescription, int]]) -> TexelScale | None:
    """One scale for all slices (image, frame index), from their headers; None where only the values can tell.

    None is for values of more than 16 bits and floats: then ``scale_of_range`` makes one when the range is known.
    """
    if not all(has_table(image.pixel_format) for image, _ in slices):
        return None
    frames = {
        (image.frames[frame].rescale_slope, image.frames[frame].rescale_intercept, image.pixel_format.is_signed)
        for image, frame in slices
    }
    if len(frames) == 1 and all(image.modality_lut is None for image, _ in slices):
        slope, intercept, is_signed = frames.pop()
        if slope > 0:
            return TexelScale(intercept + slope * float(table_values(is_signed=is_signed)[0]), slope, True)
    ends = [modality_values(_ends(image), image, frame) for image, frame in slices]
    return scale_of_range(min(float(each.min()) for each in ends), max(float(each.max()) for each in ends))


def scale_of_range(low: float, high: float) -> TexelScale:
    """Texels spread evenly from ``low`` to ``high``."""
    return TexelScale(low, max(high - low, 1e-30) / (TABLE_LENGTH - 1), False)


def texels_of(stored: NDArray[Any], image: ImageDescription, frame_index: int, scale: TexelScale) -> Texels:
    """One slice as texels, in the shape of ``stored``. Padding becomes the lowest value beside it: air, not an edge."""
    padding = is_padding(stored, image.pixel_format)
    if padding is not None and padding.any():
        others = stored[~padding]
        stored = np.where(padding, others.min() if others.size else stored.min(), stored)
    if scale.keeps_stored:
        return table_index(stored)
    values = np.nan_to_num(modality_values(stored, image, frame_index), nan=scale.low)
    return np.asarray(np.clip(np.rint((values - scale.low) / scale.step), 0, TABLE_LENGTH - 1), np.uint16)


def _ends(image: ImageDescription) -> NDArray[Any]:
    """The least and the largest value that the format can store; all of them where a table comes next."""
    stored = image.pixel_format
    if image.modality_lut is not None:
        return table_values(is_signed=stored.is_signed)
    if stored.is_signed:
        return np.array([-(1 << (stored.bits_stored - 1)), (1 << (stored.bits_stored - 1)) - 1])
    return np.array([0, (1 << stored.bits_stored) - 1])
