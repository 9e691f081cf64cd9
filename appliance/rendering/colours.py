"""Colours as the file means them: through its ICC profile into sRGB, by libvips and Little CMS (PS3.3 C.11.15)."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from appliance.domain.image import ImageDescription
from appliance.rendering.slices import Pixels, colours_of

logging.getLogger("pyvips").setLevel(logging.WARNING)  # it tells of every picture at info level

log = logging.getLogger(__name__)


def in_srgb(
    stored: NDArray[Any], image: ImageDescription, profile: bytes
) -> tuple[NDArray[np.uint8], ImageDescription]:
    """The colours of a frame, (rows, columns, 3), and the image as if it had held them.

    A profile that is none, or of another kind of colours, is left out: the picture is drawn as one without a profile is.
    """
    pixels = colours_of(stored, image)
    form = replace(
        image.pixel_format,
        samples_per_pixel=3,
        photometric_interpretation="RGB",
        bits_stored=8,
        bits_allocated=8,
        high_bit=7,
    )
    plain = replace(image, pixel_format=form, palette=None, icc_profile=None)
    return _transformed(pixels, profile), plain


def _transformed(pixels: Pixels, profile: bytes) -> Pixels:
    rows, columns = pixels.shape[:2]
    source = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels), columns, rows, 3, "uchar")
    source = source.copy(interpretation="srgb")  # a copy is ours alone, and may be written to
    source.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    try:
        found = source.icc_transform("srgb", embedded=True, intent="relative").numpy()
    except pyvips.Error:
        log.warning("an ICC profile of %d bytes is not usable", len(profile))
        return pixels
    return np.asarray(found, np.uint8)
