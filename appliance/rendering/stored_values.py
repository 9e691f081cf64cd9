"""The stored values of a frame as bytes from which they come back bit for bit: JPEG-LS, and a digest to prove it.

JPEG-LS (ISO/IEC 14495-1) is the smallest of what can be made within some milliseconds, and its decoder is small enough to be
a part of the page (``webui/src/viewer/pictures/jpegls.ts``); docs/rendering.md has the figures.
"""

from __future__ import annotations

import hashlib
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
    is_wide_colour = stored.ndim == 3 and 8 * stored.itemsize > _WIDEST_SAMPLE_BITS
    if stored.dtype.name not in get_args(ValueType) or is_wide_colour:
        raise NotDrawable("Stored values of such a type are not given.", key="values-too-wide")
    lines = planes(stored)
    if max(lines.shape) > _MOST_LINES:
        raise NotDrawable(f"Stored values have at most {_MOST_LINES} lines.", key="picture-too-large")
    digest = hashlib.sha256(stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes()).hexdigest()
    samples = 1 if stored.ndim == 2 else stored.shape[2]
    return bytes(imagecodecs.jpegls_encode(lines)), StoredValues(stored.dtype.name, samples, digest)  # type: ignore[arg-type]


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
