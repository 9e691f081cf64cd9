"""One picture of a video, or all of it as browsers play it, by FFmpeg through PyAV (BSD-3; FFmpeg in its wheels: LGPL).

A video is one stream over all fragments of the pixel data (PS3.5 §8.2.5 to §8.2.9), bare or in an MPEG-TS or MP4 container.
Its packets are read without being decoded; decoding begins at the last key frame from which the wanted picture can be
reached, and ends with it. Where the stream gives its pictures no times, it begins with the first.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable, TooLarge
from appliance.domain.image import FrameDescription, PixelFormat
from appliance.storage.stream import Readable

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED, ISO/IEC 23091-2 table 4
_HIGH_DEFINITION_ROWS = 720
"""From here on a stream that does not tell its colours has those of BT.709, below those of BT.601."""

_ALLOWED = {
    "format_whitelist": "mpegts,mpeg,mpegvideo,h264,hevc,mov",
    "codec_whitelist": "mpeg1video,mpeg2video,h264,hevc",
    "protocol_whitelist": "none",
}
"""FFmpeg knows formats that name other files, to be opened by it: a stream of pixel data is none of them."""


class _Fragments(io.RawIOBase):
    """The fragments as one file that can be read and sought in."""

    def __init__(self, reader: Readable, fragments: Sequence[tuple[int, int]]) -> None:
        self._reader = reader
        self._fragments = fragments
        self._starts = [0]
        for _, length in fragments:
            self._starts.append(self._starts[-1] + length)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:  # a writable buffer, which typing has no word for before Python 3.12
        if self._at >= self._starts[-1]:
            return 0
        number = bisect_right(self._starts, self._at) - 1
        offset, length = self._fragments[number]
        skipped = self._at - self._starts[number]
        data = self._reader.read_at(offset + skipped, min(len(buffer), length - skipped))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def decode_video_frame(form: PixelFormat, frame: FrameDescription, reader: Readable) -> NDArray[np.uint8]:
    """The picture ``frame.stream_index`` in RGB, (rows, columns, 3).

    Raises NotDrawable for a stream that is damaged, of another size than the header says, or too short.
    """
    try:
        file = io.BufferedReader(_Fragments(reader, frame.fragments), 1 << 16)
        with av.open(file, "r", options=_ALLOWED) as container:
            return _picture(container, form, frame.stream_index)
    except (av.error.FFmpegError, ValueError) as error:
        raise _broken(type(error).__name__) from error


PLAYED = frozenset({"h264", "hevc"})
"""What browsers play, by FFmpeg's names; MPEG-2 is played by none."""
_INDEX_BYTES, _INDEX_BYTES_PER_PICTURE = 4096, 40
"""What the index of an MP4 needs at most (ISO/IEC 14496-12 §8.6, §8.7)."""
_LARGEST_FILM_BYTES = 256 * 1024 * 1024


def film_of(fragments: Sequence[tuple[int, int]], reader: Readable) -> bytes:
    """The stored video as MP4, its pictures untouched: only the container is another, with its index in front.

    Raises NotDrawable for a stream that no browser plays, that is damaged, or that has no container; TooLarge.
    """
    if sum(length for _, length in fragments) > _LARGEST_FILM_BYTES:
        raise TooLarge(f"A film of more than {_LARGEST_FILM_BYTES} bytes", key="film-too-large")
    try:
        file = io.BufferedReader(_Fragments(reader, fragments), 1 << 16)
        with av.open(file, "r", options=_ALLOWED) as container:
            if not container.streams.video:
                raise _broken("no video stream")
            return _in_mp4(container, container.streams.video[0])
    except (av.error.FFmpegError, ValueError) as error:
        raise _broken(type(error).__name__) from error


def _in_mp4(container: Any, stream: Any) -> bytes:  # PyAV's types are incomplete
    codec = stream.codec_context.name
    if codec not in PLAYED:
        raise NotDrawable(f"No browser plays {codec}", key="film-not-played", codec=codec)
    packets = [packet for packet in container.demux(stream) if packet.size]
    if any(packet.pts is None or packet.dts is None for packet in packets):
        # Its pictures come in another order than they are shown in.
        raise NotDrawable("A video without a container does not say when its pictures are shown", key="film-not-played")
    # The first picture is shown at 0: in a transport stream its time is that of the sender's clock.
    first_pts = min((packet.pts for packet in packets), default=0)
    data = io.BytesIO()
    # Room for the index is left in front, so that a film begins before all of it is there.
    room_bytes = _INDEX_BYTES + _INDEX_BYTES_PER_PICTURE * len(packets)
    with av.open(data, "w", format="mp4", options={"moov_size": str(room_bytes)}) as film:
        track = film.add_stream_from_template(stream)
        for packet in packets:
            packet.stream = track
            packet.pts, packet.dts = packet.pts - first_pts, packet.dts - first_pts
            film.mux(packet)
    return data.getvalue()


def _picture(container: Any, form: PixelFormat, wanted: int) -> NDArray[np.uint8]:  # PyAV's types are incomplete
    if not container.streams.video:
        raise _broken("no video stream")
    stream = container.streams.video[0]
    stream.thread_count = 1
    size = (stream.codec_context.height, stream.codec_context.width)
    if size != (form.rows, form.columns):
        raise _broken(f"a stream of {size[0]}x{size[1]}, expected {form.rows}x{form.columns}")
    packets = [packet for packet in container.demux(stream) if packet.size]
    start, wanted_pts = _start(packets, wanted)
    skipped = wanted
    for picture in _decoded(stream, packets[start:]):
        if picture.pts == wanted_pts if wanted_pts is not None else skipped == 0:
            return _rgb(picture, form)
        skipped -= 1
    raise NotDrawable(f"the video ends before picture {wanted + 1}", key="no-such-frame")


def _start(packets: Sequence[Any], wanted: int) -> tuple[int, int | None]:
    """The packet to begin with, and the time of the wanted picture; (0, None) where not every packet has a time."""
    times = sorted({packet.pts for packet in packets if packet.pts is not None})
    if len(times) != len(packets) or wanted >= len(times):
        return 0, None
    reached = [n for n, packet in enumerate(packets) if packet.is_keyframe and packet.pts <= times[wanted]]
    return (reached[-1] if reached else 0), times[wanted]


def _decoded(stream: Any, packets: Sequence[Any]) -> Iterator[Any]:
    for packet in packets:
        yield from stream.codec_context.decode(packet)
    yield from stream.codec_context.decode(None)


def _rgb(picture: Any, form: PixelFormat) -> NDArray[np.uint8]:
    is_told = picture.colorspace != _UNSPECIFIED
    usual = Colorspace.ITU709 if form.rows >= _HIGH_DEFINITION_ROWS else Colorspace.ITU601
    colours = picture.reformat(format="rgb24", src_colorspace=picture.colorspace if is_told else usual)
    pixels = np.asarray(colours.to_ndarray(), np.uint8)
    if pixels.shape != (form.rows, form.columns, 3):
        raise _broken(f"a picture of {'x'.join(map(str, pixels.shape))}")
    return pixels


def _broken(found: str) -> NotDrawable:
    return NotDrawable(f"video pixel data cannot be decoded: {found}", key="pixel-data-damaged", codec="video")
