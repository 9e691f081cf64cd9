"""Pixels become bytes: PNG, JPEG and WebP by libvips, JPEG XL by imagecodecs; on any thread, without the interpreter's lock.

The settings are those that were measured to be worth their time: PNG with a filter (the default has none and is a fifth
larger), WebP without loss only at effort 0 and Q 0 (others take up to fifty times as long), no effort above 2.
"""

from __future__ import annotations

import logging
from typing import Any

import imagecodecs
import numpy as np
import pyvips
from numpy.typing import NDArray

from appliance.domain.views import Encoding

logging.getLogger("pyvips").setLevel(logging.WARNING)  # it tells of every picture at info level

_DEFAULT_JPEG_QUALITY = 90


def encode(pixels: NDArray[np.uint8], encoding: Encoding) -> bytes:
    """``pixels``, (rows, columns) or (rows, columns, 3), in the format and quality of ``encoding``."""
    return _ENCODERS[encoding.media_type](pixels, encoding.quality)


def _vips(pixels: NDArray[np.uint8]) -> Any:  # pyvips has no types
    rows, columns = pixels.shape[:2]
    bands = 1 if pixels.ndim == 2 else pixels.shape[2]
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels), columns, rows, bands, "uchar")
    return image.copy(interpretation="b-w" if bands == 1 else "srgb")


def _png(pixels: NDArray[np.uint8], quality: int | None) -> bytes:
    return bytes(_vips(pixels).pngsave_buffer(compression=2, filter="sub", keep="none"))


def _jpeg(pixels: NDArray[np.uint8], quality: int | None) -> bytes:
    return bytes(_vips(pixels).jpegsave_buffer(Q=quality or _DEFAULT_JPEG_QUALITY, keep="none"))


def _webp(pixels: NDArray[np.uint8], quality: int | None) -> bytes:
    image = _vips(pixels)
    if quality is None:
        return bytes(image.webpsave_buffer(lossless=True, Q=0, effort=0, keep="none"))
    return bytes(image.webpsave_buffer(Q=quality, effort=2, keep="none"))


def _jxl(pixels: NDArray[np.uint8], quality: int | None) -> bytes:
    if quality is None:
        return bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, effort=1))
    return bytes(imagecodecs.jpegxl_encode(pixels, level=quality, effort=1))


_ENCODERS = {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp, "image/jxl": _jxl}
