"""From stored values to the grey that is shown: the grey-scale pipeline of the standard in NumPy.

    stored values → modality LUT → VOI LUT or window → presentation (MONOCHROME1, INVERSE, the viewer's invert) → 0…255

It is the truth that shaders are tested against. For values of 16 bits or fewer the whole pipeline is one table of
65,536 greys (``grey_table``), which a shader can use as well: then the two agree by construction.

References: PS3.3 C.7.5.1.1.2 (padding), C.7.6.3.1.2 (photometric interpretation), C.7.6.3.1.5 and .6 (palette), C.11.1
(modality LUT), C.11.2 (VOI LUT), C.11.4 (presentation LUT).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.domain.image import ImageDescription, LookUpTable, PixelFormat, Window
from appliance.domain.views import PixelValue
from appliance.domain.voi import Voi, VoiChoice, luts_of, voi_of

Values = NDArray[Any]
"""Numbers of any type: stored values, or values after the modality LUT."""
Grey = NDArray[np.uint8]

TABLE_LENGTH = 1 << 16
_SIGN = 0x8000
"""Signed 16-bit values are offset by half the range wherever they are an index or a texel."""

_NARROWEST = 1e-30
"""A window must divide by its width."""
_MOST_SAMPLES = 1 << 16
"""Enough values to find percentiles of a picture to a fraction of a grey."""
_BACKGROUND_SHARE = 0.04
"""A lowest or highest value that alone fills more of a picture than this is its surroundings, not content."""
_CT_SOFT_TISSUE_HU = (-200.0, 300.0)
_CT_SOFT_TISSUE_SHARE = 0.02


def has_table(pixel_format: PixelFormat) -> bool:
    """Whether every stored value has a place in a table of 65,536: integers of 16 bits or fewer."""
    return pixel_format.kind == "integer" and pixel_format.bits_allocated <= 16


def table_index(stored: Values) -> NDArray[np.uint16]:
    """The place of each stored value in a ``grey_table``, in the same shape: signed values start at -32768."""
    if stored.dtype.kind == "i":
        return np.bitwise_xor(stored.astype(np.int16).view(np.uint16), np.uint16(_SIGN))
    return stored.astype(np.uint16, copy=False)


def table_values(*, is_signed: bool) -> NDArray[np.int32]:
    """The stored value at each place of a ``grey_table``."""
    return np.arange(TABLE_LENGTH, dtype=np.int32) - (_SIGN if is_signed else 0)


def modality_values(stored: Values, image: ImageDescription, frame_index: int) -> NDArray[np.float64]:
    """Values after the modality LUT, in the shape of ``stored``.

    References: PS3.3 C.11.1.1 (table), C.11.1.1.2 (rescale slope and intercept).
    """
    if image.modality_lut is not None:
        return _looked_up(stored, image.modality_lut).astype(np.float64)
    frame = image.frames[frame_index]
    return np.asarray(stored.astype(np.float64) * frame.rescale_slope + frame.rescale_intercept)


def pixel_value(samples: tuple[int | float, ...], image: ImageDescription, frame_index: int) -> PixelValue:
    """What the ``samples`` of one pixel of a frame mean."""
    if image.is_colour:
        return PixelValue(samples, None, is_padding=False)
    stored = np.asarray(samples[:1])
    padding = is_padding(stored, image.pixel_format)
    if padding is not None and padding[0]:
        return PixelValue(samples, None, is_padding=True)
    return PixelValue(samples, float(modality_values(stored, image, frame_index)[0]), is_padding=False)


def is_padding(stored: Values, pixel_format: PixelFormat) -> NDArray[np.bool_] | None:
    """Where ``stored`` is no image (PS3.3 C.7.5.1.1.2); None where the file names no padding."""
    if pixel_format.padding is None:
        return None
    low, high = sorted(pixel_format.padding)
    return np.asarray((stored >= low) & (stored <= high))


def windowed(values: Values, window: Window) -> NDArray[np.float32]:
    """``values`` through ``window``, 0…1, in their shape.

    A LINEAR window narrower than 1, which the standard forbids and float pictures need, is taken as LINEAR_EXACT.

    References: PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT).
    """
    center, width = _center_and_width(window)
    x = values.astype(np.float64)
    if window.function == "sigmoid":
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-4 * (x - center) / width)), np.float32)
    if width == 0:  # LINEAR of width 1 is a threshold
        return np.asarray(x > center, np.float32)
    return np.asarray(np.clip((x - center) / width + 0.5, 0, 1), np.float32)


def window_ends(window: Window) -> tuple[float, float] | None:
    """The values that ``window`` shows black and white, straight between them; None for SIGMOID, which has no ends."""
    if window.function == "sigmoid":
        return None
    center, width = _center_and_width(window)
    return center - width / 2, center + width / 2


def _center_and_width(window: Window) -> tuple[float, float]:
    width = max(window.width, _NARROWEST)
    if window.function == "linear" and width >= 1:
        return window.center - 0.5, width - 1
    return window.center, width


def looked_up_grey(values: Values, table: LookUpTable) -> NDArray[np.float32]:
    """``values`` through a VOI LUT, 0…1 (PS3.3 C.11.2.1.1)."""
    largest = float((1 << table.bits) - 1)
    return np.asarray(np.clip(_looked_up(np.rint(values).astype(np.int64), table) / largest, 0, 1), np.float32)


def voi_grey(values: Values, voi: Voi) -> NDArray[np.float32]:
    """``values`` through a window or a VOI LUT, 0…1."""
    return windowed(values, voi) if isinstance(voi, Window) else looked_up_grey(values, voi)


def is_inverted(image: ImageDescription, *, invert: bool = False) -> bool:
    """Whether low values are shown white.

    MONOCHROME1 and Presentation LUT Shape INVERSE say the same thing twice (PS3.3 C.8.11.3): together they invert once.
    """
    by_file = image.pixel_format.photometric_interpretation == "MONOCHROME1" or image.presentation_inverse
    return by_file != invert


def presented(part: NDArray[np.float32], image: ImageDescription, *, invert: bool = False) -> Grey:
    """The output of the VOI LUT or window, 0…1, as grey (PS3.3 C.11.4, C.11.6)."""
    table = image.presentation_lut
    if table is not None:
        entries = np.frombuffer(table.values, "<u2")
        places = np.rint(part * (len(entries) - 1)).astype(np.int64)
        part = entries[places].astype(np.float32) / np.float32((1 << table.bits) - 1)
    if is_inverted(image, invert=invert):
        part = 1 - part
    return np.asarray(np.rint(np.clip(part, 0, 1) * 255), np.uint8)


def drawn(stored: Values, image: ImageDescription, frame_index: int, *, voi: Voi, invert: bool = False) -> Grey:
    """One frame as grey, 0…255, in the shape of ``stored``. Padding is black."""
    grey = presented(voi_grey(modality_values(stored, image, frame_index), voi), image, invert=invert)
    padding = is_padding(stored, image.pixel_format)
    if padding is not None:
        grey[padding] = 0
    return grey


def grey_table(image: ImageDescription, frame_index: int, *, voi: Voi, invert: bool = False) -> Grey:
    """The grey of every stored value, (65536,), by ``table_index``; for formats that ``has_table``."""
    stored = table_values(is_signed=image.pixel_format.is_signed)
    return drawn(stored, image, frame_index, voi=voi, invert=invert)


def palette_table(image: ImageDescription) -> Grey:
    """The colour of every stored value, (65536, 3), of a PALETTE COLOR image (PS3.3 C.7.6.3.1.5)."""
    assert image.palette is not None
    stored = table_values(is_signed=image.pixel_format.is_signed)
    return np.stack([_palette_channel(stored, channel) for channel in image.palette], axis=-1)


def chosen_voi(
    stored: Values, image: ImageDescription, frame_index: int, asked: Window | None, choice: VoiChoice | None = None
) -> Voi:
    """What to draw a frame with: the window or the choice that is asked for, the file's first, or a window found from the values.

    A file without a window means its VOI LUT: none is found better than what the file wants. LINEAR counts in whole numbers:
    one of width 1 is a threshold. Of pixels that are no integers it is taken as LINEAR_EXACT. Raises NotDrawable for a choice
    that the frame has not.
    """
    if choice is not None and asked is None:
        return _counted(voi_of(image, frame_index, choice), image)
    for window in image.frames[frame_index].windows if asked is None else (asked,):
        if window.width > 0 and np.isfinite([window.center, window.width]).all():
            return _counted(window, image)
    if luts := luts_of(image, frame_index):
        return luts[0]
    return default_window(modality_values(_sample(stored, image), image, frame_index), image.modality, image.value_unit)


def has_own_voi(image: ImageDescription, frame_index: int) -> bool:
    """Whether the file says how the frame is to be seen, so that nothing has to be found from its values."""
    return bool(image.frames[frame_index].windows or luts_of(image, frame_index))


def _counted(voi: Voi, image: ImageDescription) -> Voi:
    if isinstance(voi, Window) and voi.function == "linear" and image.pixel_format.kind != "integer":
        return replace(voi, function="linear-exact")
    return voi


def default_window(values: Values, modality: str, unit: str = "") -> Window:
    """A window in which ``values``, after the modality LUT and without padding, show what they hold.

    CT in Hounsfield units shows soft tissue where there is any; PET and NM run from zero to their high end; segmentations
    from nothing to their highest label or fraction; all others between robust percentiles, leaving the empty background out
    of the count.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return Window(0.5, 1.0, "linear-exact")
    if modality == "CT" and unit in {"HU", ""} and _has_soft_tissue(finite):
        return Window(40.0, 400.0, explanation="Soft tissue")
    if modality == "SEG":
        return _between(0.0, max(float(finite.max()), 1.0))
    if modality in {"PT", "NM"} and finite.min() >= 0:
        positive = finite[finite > 0]
        high = float(np.percentile(positive, 99.5)) if positive.size else 1.0
        return _between(0.0, high)
    content = _without_background(finite)
    low, high = (float(value) for value in np.percentile(content, (0.5, 99.5)))
    if high - low <= 0:  # nearly everything has one value: show what is left of the range
        low, high = float(content.min()), float(content.max())
    if high - low <= 0:  # two values, as in a mask: the one is the background of the other
        low, high = float(finite.min()), float(finite.max())
    return _between(low, high)


def window_of_part(stored: Values, image: ImageDescription, frame_index: int) -> Window:
    """A window from nearly the lowest to nearly the highest of the ``stored`` values of a part of a frame, padding left out.

    Other than ``default_window`` it knows no tissue: it shows what differs in this part, whatever that is.
    """
    values = modality_values(_sample(stored, image), image, frame_index)
    return default_window(values, modality="")


def _between(low: float, high: float) -> Window:
    width = high - low
    if width <= 0:
        low, width = low - 0.5, 1.0
    return Window(low + width / 2, width, "linear-exact")


def _has_soft_tissue(values: Values) -> bool:
    low, high = _CT_SOFT_TISSUE_HU
    return float(np.mean((values > low) & (values < high))) >= _CT_SOFT_TISSUE_SHARE


def _without_background(values: Values) -> Values:
    """``values`` without the lowest one and the highest one, where that alone fills much of the picture."""
    for extreme in (values.min(), values.max()):
        others = values[values != extreme]
        if 0 < others.size < (1 - _BACKGROUND_SHARE) * values.size:
            values = others
    return values


def _sample(stored: Values, image: ImageDescription) -> Values:
    """At most about 65,000 stored values spread over the frame, without padding."""
    flat = stored.reshape(-1)
    flat = flat[:: max(1, flat.size // _MOST_SAMPLES) | 1]  # odd: an even step can run along a column
    padding = is_padding(flat, image.pixel_format)
    if padding is not None and not padding.all():
        flat = flat[~padding]
    return flat


def _looked_up(values: Values, table: LookUpTable) -> NDArray[np.uint16]:
    """Entries of a table; below its first value the first, above its last the last (PS3.3 C.11.1.1.1)."""
    entries = np.frombuffer(table.values, "<u2")
    return np.asarray(entries[np.clip(values.astype(np.int64) - table.first_mapped, 0, len(entries) - 1)])


def _palette_channel(stored: Values, table: LookUpTable) -> Grey:
    colours = _looked_up(stored, table)
    # Tables that say 16 bits and hold 8 are common; a true 16-bit table has a colour above 255.
    bits = 8 if int(np.frombuffer(table.values, "<u2").max(initial=0)) <= 255 else max(table.bits, 8)
    return np.asarray(colours >> (bits - 8), np.uint8)
