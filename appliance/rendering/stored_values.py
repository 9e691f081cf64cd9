"""The stored values of a frame as bytes from which they come back bit for bit: JPEG-LS, and a digest to prove it.

JPEG-LS (ISO/IEC 14495-1) is the smallest of what can be made within some milliseconds, and its decoder is small enough to be
a part of the page (``webui/src/viewer/pictures/jpegls.ts``); docs/rendering.md has the figures.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, get_args

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.views import StoredValues, ValueType

_MOST_LINES = 65_535
"""Of a JPEG-LS stream without further markers (C.2.2)."""
_WIDEST_SAMPLE_BITS = 16


def encoded_values(stored: NDArray[Any]) -> tuple[bytes, StoredValues]:
    """One component of ``planes`` as JPEG-LS, and what is to be known of the values themselves.

    ``stored`` is (rows, columns), or (rows, columns, 3) of 8 or 16 bits. Raises NotDrawable for other values.
    """
    about = _about(stored)
    return _jpeg_ls(planes(stored)), about


def remaining_values(stored: NDArray[Any], grey: NDArray[np.uint8]) -> tuple[bytes, StoredValues]:
    """What ``grey``, the lossless picture of ``stored``, does not tell of its values: (rows, columns), of 16 bits at most.

    First 256 numbers of 16 bits, little endian: where the values of each grey are, as unsigned planes have them. Then, as
    JPEG-LS, how far each value is from there, raised by half the range and modulo the range. Picture and remainder together
    are as long as the values alone or a tenth longer, and the picture comes first. Raises as ``encoded_values`` does.
    """
    about, plane = _about(stored), planes(stored)
    middles = _middles(plane, grey)
    half = np.array(1 << (8 * plane.itemsize - 1), plane.dtype)
    distances = plane - middles.astype(plane.dtype)[grey] + half
    return middles.astype("<u2").tobytes() + _jpeg_ls(distances), replace(about, is_without_picture=True)


def has_remainder(stored: NDArray[Any], picture: NDArray[np.uint8]) -> bool:
    """Whether ``remaining_values`` can be had: of grey in the frame's own pixels, of at most 16 bits."""
    return stored.ndim == 2 and picture.shape == stored.shape and 8 * stored.itemsize <= _WIDEST_SAMPLE_BITS


def _about(stored: NDArray[Any]) -> StoredValues:
    is_wide_colour = stored.ndim == 3 and 8 * stored.itemsize > _WIDEST_SAMPLE_BITS
    if stored.dtype.name not in get_args(ValueType) or is_wide_colour:
        raise NotDrawable("Stored values of such a type are not given.", key="values-too-wide")
    digest = hashlib.sha256(stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes()).hexdigest()
    samples = 1 if stored.ndim == 2 else stored.shape[2]
    return StoredValues(stored.dtype.name, samples, digest)  # type: ignore[arg-type]


def _jpeg_ls(lines: NDArray[Any]) -> bytes:
    if max(lines.shape) > _MOST_LINES:
        raise NotDrawable(f"Stored values have at most {_MOST_LINES} lines.", key="picture-too-large")
    return bytes(imagecodecs.jpegls_encode(lines))


def _middles(plane: NDArray[Any], grey: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The middle of the values of each grey, (256,); of the lowest and the highest that a window cuts off, its inner end.

    So values on both sides of the end of a window differ by little, which is what makes them short.
    """
    lowest, highest = np.full(256, 1 << 16, np.int64), np.full(256, -1, np.int64)
    np.minimum.at(lowest, grey.reshape(-1), plane.reshape(-1))
    np.maximum.at(highest, grey.reshape(-1), plane.reshape(-1))
    middles = np.where(highest < 0, 0, (lowest + highest) // 2)
    present = np.flatnonzero(highest >= 0)
    first, last = present[np.argmin(lowest[present])], present[np.argmax(highest[present])]
    if first != last:
        middles[first], middles[last] = highest[first], lowest[last]
    return middles.astype(np.uint16)


def planes(stored: NDArray[Any]) -> NDArray[Any]:
    """``stored`` as one unsigned plane of 8 or 16 bits, of which JPEG-LS has no more.

    Signed values are raised by half their range; of colours green, then red less green, then blue less green, modulo their
    range, lie one below the other; of wider values their 16 highest bits, then the next: of floats the bits as IEEE 754 has them.
    """
    width = 8 * stored.itemsize
    unsigned = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if stored.dtype.kind != "u":
        unsigned = np.ascontiguousarray(unsigned).view(f"u{stored.itemsize}")
    if stored.dtype.kind == "i":
        unsigned = unsigned ^ np.array(1 << (width - 1), unsigned.dtype)
    if stored.ndim == 3:
        green = unsigned[..., 1]
        unsigned = np.concatenate([green, unsigned[..., 0] - green, unsigned[..., 2] - green])
    if width > _WIDEST_SAMPLE_BITS:
        shifts = range(width - _WIDEST_SAMPLE_BITS, -1, -_WIDEST_SAMPLE_BITS)
        unsigned = np.concatenate(
            [(unsigned >> np.uint64(shift).astype(unsigned.dtype)).astype(np.uint16) for shift in shifts]
        )
    return np.ascontiguousarray(unsigned)
