"""Text burned into a picture: white with a black outline, so that it is read on bone and on air alike.

Pango lays it out: names have accents, and run from right to left where their script does.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pyvips
from numpy.typing import NDArray

from appliance.domain.annotations import Annotation
from appliance.domain.errors import NotDrawable

Pixels = NDArray[np.uint8]

_FONT = "DejaVu Sans"
"""Of Debian's fonts-dejavu-core (``provisioning/debian.py``); has Latin, Greek, Cyrillic, Hebrew and Arabic letters."""
_LINE_SHARE = 1 / 40
"""Height of the letters over the height of the picture."""
_SMALLEST_PX = 9
_LARGEST_PX = 96
_MARGIN_SHARE = 1 / 64


def annotated(pixels: Pixels, annotation: Annotation) -> Pixels:
    """A copy of ``pixels``, (rows, columns) or (rows, columns, 3), with the patient above and the technique below."""
    out = pixels.copy()
    margin = max(2, round(min(out.shape[:2]) * _MARGIN_SHARE))
    if annotation.patient:
        _write(out, annotation.patient, margin, at_top=True)
    if annotation.technique:
        _write(out, annotation.technique, margin, at_top=False)
    return out


def _write(out: Pixels, lines: Sequence[str], margin: int, *, at_top: bool) -> None:
    rows, columns = out.shape[:2]
    size_px = min(max(rows * _LINE_SHARE, _SMALLEST_PX), _LARGEST_PX)
    letters = _letters(lines, size_px)
    # Half of the height for each block: lines that are too wide or too many become smaller, and are never cut.
    share = min(1.0, (columns - 2 * margin) / letters.shape[1], (rows / 2 - margin) / letters.shape[0])
    if share < 1:
        letters = _letters(lines, max(size_px * share, 1.0))[: rows // 2, :columns]
    outline_px = max(1, round(size_px * share / 10))
    letters = np.pad(letters, outline_px)
    top = margin if at_top else rows - margin - letters.shape[0]
    place = out[max(top, 0) :, margin:][: letters.shape[0], : letters.shape[1]]
    letters = letters[: place.shape[0], : place.shape[1]]
    shade = _widened(letters, outline_px)
    if out.ndim == 3:
        letters, shade = letters[..., np.newaxis], shade[..., np.newaxis]
    darkened = place.astype(np.float32) * (255.0 - shade) / 255
    place[...] = np.rint(darkened + (255 - darkened) * (letters / 255.0))


def _letters(lines: Sequence[str], size_px: float) -> Pixels:
    """How much of each pixel is covered by letters, 0 to 255, (rows, columns)."""
    text = "\n".join(escape(line, quote=False) for line in lines)  # Pango reads markup
    try:
        # 72 points to the inch: then a point is a pixel.
        image = pyvips.Image.text(text, font=f"{_FONT} {size_px:.1f}", dpi=72)
    except pyvips.Error as error:
        raise NotDrawable("The annotation cannot be written.", key="no-text") from error
    return np.asarray(image.numpy(), np.uint8).reshape(image.height, image.width)


def _widened(letters: Pixels, by_px: int) -> Pixels:
    """The largest value within ``by_px`` of each pixel, along rows and columns."""
    for axis in (0, 1):
        shifted = [
            np.roll(letters, step, axis) for step in range(-by_px, by_px + 1)
        ]  # the rim is empty: nothing comes round
        letters = np.maximum.reduce(shifted)
    return letters
