"""Pixels become bytes: PNG, JPEG and WebP by libvips, AVIF, JPEG XL and JPEG-LS by imagecodecs; on any thread, without the GIL.

The settings are those that were measured to be worth their time: PNG with a filter (the default has none and is a fifth
larger), JPEG-LS as it is (a fifth smaller than PNG and as fast), WebP without loss only at effort 0 and Q 0 (others take up to
fifty times as long), no effort above 2.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import pyvips
from numpy.typing import NDArray

from appliance.domain.views import Encoding

log = logging.getLogger(__name__)
logging.getLogger("pyvips").setLevel(logging.WARNING)  # it tells of every picture at info level

_DEFAULT_JPEG_QUALITY = 90
_AVIF_SPEED = 10
"""The fastest: the next costs twice the time for a tenth of the bytes."""


def encode(pixels: NDArray[np.uint8], encoding: Encoding) -> bytes:
    """``pixels``, (rows, columns) or (rows, columns, 3), in the format and quality of ``encoding``."""
    if encoding.has_profile and pixels.ndim == 3:
        return _WITH_PROFILE[encoding.media_type](pixels, encoding.quality, profile=_PROFILE)
    return _ENCODERS[encoding.media_type](pixels, encoding.quality)


@cache
def media_types() -> tuple[str, ...]:
    """What the libraries of this machine can make: each is tried once, since builds of them lack encoders."""
    return tuple(media_type for media_type in _ENCODERS if _is_made(media_type))


def _is_made(media_type: str) -> bool:
    try:
        return bool(_ENCODERS[media_type](np.zeros((16, 16), np.uint8), 80))
    except (
        pyvips.Error,
        RuntimeError,
        ImportError,
    ) as error:  # ImportError: a codec that imagecodecs was built without
        log.warning("%s cannot be made here: %s", media_type, error)
        return False


def vips_image(pixels: NDArray[np.uint8]) -> Any:  # pyvips has no types
    """``pixels`` as libvips has them: grey of one band, or sRGB."""
    rows, columns = pixels.shape[:2]
    bands = 1 if pixels.ndim == 2 else pixels.shape[2]
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels), columns, rows, bands, "uchar")
    return image.copy(interpretation="b-w" if bands == 1 else "srgb")


def _png(pixels: NDArray[np.uint8], quality: int | None, **profile: str) -> bytes:
    return bytes(vips_image(pixels).pngsave_buffer(compression=2, filter="sub", **_kept(profile)))


def _jpeg(pixels: NDArray[np.uint8], quality: int | None, **profile: str) -> bytes:
    return bytes(vips_image(pixels).jpegsave_buffer(Q=quality or _DEFAULT_JPEG_QUALITY, **_kept(profile)))


def _webp(pixels: NDArray[np.uint8], quality: int | None, **profile: str) -> bytes:
    image = vips_image(pixels)
    if quality is None:
        return bytes(image.webpsave_buffer(lossless=True, Q=0, effort=0, **_kept(profile)))
    return bytes(image.webpsave_buffer(Q=quality, effort=2, **_kept(profile)))


def _kept(profile: dict[str, str]) -> dict[str, str]:
    return {"keep": "icc", **profile} if profile else {"keep": "none"}


def _avif(pixels: NDArray[np.uint8], quality: int | None) -> bytes:
    if quality is None:
        return bytes(imagecodecs.avif_encode(pixels, level=100, speed=_AVIF_SPEED, numthreads=1))
    # Grey of one channel is taken without loss whatever the level: it is made of three, of which the encoder keeps one.
    formats = imagecodecs.AVIF.PIXEL_FORMAT
    form, three = (formats.YUV400, np.stack([pixels] * 3, -1)) if pixels.ndim == 2 else (formats.YUV420, pixels)
    return bytes(imagecodecs.avif_encode(three, level=quality, speed=_AVIF_SPEED, pixelformat=form, numthreads=1))


def _jxl(pixels: NDArray[np.uint8], quality: int | None) -> bytes:
    if quality is None:
        return bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, effort=1))
    return bytes(imagecodecs.jpegxl_encode(pixels, level=quality, effort=1))


def _jls(pixels: NDArray[np.uint8], quality: int | None) -> bytes:
    return bytes(imagecodecs.jpegls_encode(np.ascontiguousarray(pixels)))


_ENCODERS = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
    "image/avif": _avif,
    "image/jxl": _jxl,
    "image/jls": _jls,
}
_WITH_PROFILE = {"image/jpeg": _jpeg, "image/png": _png, "image/webp": _webp}
_PROFILE = "srgb"
"""Name of the one that libvips brings."""
