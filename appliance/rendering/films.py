"""Frames become a moving picture: GIF and WebP by libvips, MP4 by PyAV, in it VP9 by libvpx.

VP9 and not H.264: every browser of today plays both, libvpx is under a BSD licence, and the only H.264 encoder in PyAV's wheel is
libx264, under the GPL. AV1 (SVT-AV1) is smaller, and is not played by every browser yet.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any, Protocol

import av
import numpy as np
import pyvips
from numpy.typing import NDArray

from appliance.domain.views import Encoding
from appliance.rendering.encoders import vips_image

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

_SHORTEST_GIF_MS = 20
"""Browsers show shorter ones for 100 ms."""
_MILLISECOND = Fraction(1, 1000)


class Film(Protocol):
    """Takes frames of one size, (rows, columns) or (rows, columns, 3), one after the other."""

    def add(self, pixels: Pixels) -> None: ...

    def finish(self) -> bytes: ...


def opened_film(encoding: Encoding, durations_ms: Sequence[float]) -> Film:
    """A film in the format and quality of ``encoding``, whose frames are shown so long."""
    return _FILMS[encoding.media_type](encoding.quality, durations_ms)


@cache
def film_types() -> tuple[str, ...]:
    """What the libraries of this machine can make, each tried once."""
    return tuple(media_type for media_type in _FILMS if _is_made(media_type))


def _is_made(media_type: str) -> bool:
    film = _FILMS[media_type](80, (100.0, 100.0))
    try:
        for grey in (0, 255):
            film.add(np.full((16, 16), grey, np.uint8))
        return bool(film.finish())
    except (pyvips.Error, av.FFmpegError, ValueError) as error:  # ValueError: no such codec
        log.warning("%s cannot be made here: %s", media_type, error)
        return False


class _Joined:
    """All frames below one another, which is what libvips makes animations of."""

    def __init__(self, durations_ms: Sequence[float], shortest_ms: int) -> None:
        self._durations_ms = [max(shortest_ms, round(one)) for one in durations_ms]
        self._frames: list[Pixels] = []

    def add(self, pixels: Pixels) -> None:
        self._frames.append(pixels)

    def _image(self) -> Any:  # pyvips has no types
        image = pyvips.Image.arrayjoin([vips_image(one) for one in self._frames], across=1).copy()
        image.set_type(pyvips.GValue.gint_type, "page-height", self._frames[0].shape[0])
        image.set_type(pyvips.GValue.array_int_type, "delay", self._durations_ms)
        image.set_type(pyvips.GValue.gint_type, "loop", 0)  # for ever
        return image


class _Gif(_Joined):
    def __init__(self, quality: int | None, durations_ms: Sequence[float]) -> None:
        super().__init__(durations_ms, _SHORTEST_GIF_MS)

    def finish(self) -> bytes:
        return bytes(self._image().gifsave_buffer(effort=1, dither=0, keep="none"))


class _Webp(_Joined):
    def __init__(self, quality: int | None, durations_ms: Sequence[float]) -> None:
        super().__init__(durations_ms, 1)
        self._quality = quality

    def finish(self) -> bytes:
        if self._quality is None:
            return bytes(self._image().webpsave_buffer(lossless=True, Q=0, effort=0, keep="none"))
        return bytes(self._image().webpsave_buffer(Q=self._quality, effort=2, keep="none"))


class _Mp4:
    """Each frame is encoded when it comes; only encoded bytes are kept."""

    def __init__(self, quality: int | None, durations_ms: Sequence[float]) -> None:
        self._durations_ms = durations_ms
        # From 50 of 63, rough, to 10, from which on only noise is kept better.
        self._options = {
            "deadline": "realtime",
            "cpu-used": "8",
            "b": "0",
            "crf": str(50 - round(0.4 * (quality or 100))),
        }
        self._bytes = io.BytesIO()
        self._container: Any = None  # PyAV's streams are of many kinds
        self._stream: Any = None
        self._count = 0

    def add(self, pixels: Pixels) -> None:
        if self._container is None:
            self._open(pixels.shape[1], pixels.shape[0])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="gray" if pixels.ndim == 2 else "rgb24")
        frame.pts, frame.time_base = round(sum(self._durations_ms[: self._count])), _MILLISECOND
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode())
        self._container.close()
        return self._bytes.getvalue()

    def _open(self, width: int, height: int) -> None:
        self._container = av.open(self._bytes, "w", format="mp4")
        # The rate says how long the last frame is shown; the others end where the next begins.
        rate = Fraction(1000 / self._durations_ms[-1]).limit_denominator(1000)
        self._stream = self._container.add_stream("libvpx-vp9", rate=rate, options=self._options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = _MILLISECOND


_FILMS: dict[str, Callable[[int | None, Sequence[float]], Film]] = {
    "image/gif": _Gif,
    "image/webp": _Webp,
    "video/mp4": _Mp4,
}
