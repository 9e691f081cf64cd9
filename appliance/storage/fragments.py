"""Where the frames of encapsulated pixel data are (PS3.5 A.4)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from appliance.domain.errors import NotDrawable
from appliance.storage.stream import Readable, Stream

Span = tuple[int, int]
"""(offset, length) in bytes of the object."""

_HEADER = struct.Struct("<HHL")
_ITEM = (0xFFFE, 0xE000)
_DELIMITER = (0xFFFE, 0xE0DD)
_MOST_FRAGMENTS = 1_000_000
_STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP", b"\xff\x0a", b"\x00\x00\x00\x0cJXL")
"""With what a JPEG, JPEG-LS, JPEG 2000 or JPEG XL stream begins."""


@dataclass(frozen=True, slots=True)
class Fragments:
    """The items of encapsulated pixel data."""

    offset_table: tuple[int, ...]
    """Basic Offset Table: of each frame's first item, from the first item after the table. Often empty."""
    spans: tuple[Span, ...]
    first_item: int
    """Offset in the object of the first item after the table."""


def read_fragments(reader: Readable, offset: int) -> Fragments:
    """The fragments of the pixel data whose value begins at ``offset``.

    A missing delimiter at the end is forgiven if the last fragment is whole; NotDrawable if it is not.
    """
    stream = Stream(reader, limit_bytes=1 << 26)
    stream.seek(offset)
    table_span = _next_item(stream, reader.size_bytes)
    if table_span is None:
        raise NotDrawable("the encapsulated pixel data has no offset table item", key="pixel-data-damaged")
    stream.seek(table_span[0])
    table = stream.read(table_span[1])
    offsets = struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4])
    first_item = stream.tell()
    spans: list[Span] = []
    while (span := _next_item(stream, reader.size_bytes)) and len(spans) < _MOST_FRAGMENTS:
        spans.append(span)
        stream.seek(sum(span))
    return Fragments(offsets, tuple(spans), first_item)


def frames_of(
    fragments: Fragments, frame_count: int, reader: Readable, extended: Sequence[int] = ()
) -> tuple[tuple[Span, ...], ...]:
    """For each frame its fragments.

    ``extended`` is the Extended Offset Table (PS3.3 C.7.6.3.1.8), empty if there is none. Where no table serves, a frame is one
    fragment, or begins where a fragment begins like a stream. NotDrawable if neither comes out at ``frame_count``.
    """
    spans = fragments.spans
    if not spans:
        raise NotDrawable("the pixel data is empty", key="pixel-data-damaged")
    if frame_count == 1:
        return (spans,)
    for table in (extended, fragments.offset_table):
        starts = _starts_by_table(fragments, table) if len(table) == frame_count else None
        if starts:
            return _cut(spans, starts)
    if len(spans) == frame_count:
        return tuple((span,) for span in spans)
    starts = [n for n, span in enumerate(spans) if reader.read_at(span[0], 8).startswith(_STARTS)]
    if len(starts) != frame_count or starts[0] != 0:
        raise NotDrawable(
            f"{len(spans)} fragments of pixel data for {frame_count} frames, and no offset table that fits",
            key="pixel-data-damaged",
        )
    return _cut(spans, starts)


def _next_item(stream: Stream, size_bytes: int) -> Span | None:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    group, element, length = _HEADER.unpack(header)
    if (group, element) == _DELIMITER:
        return None
    if (group, element) != _ITEM:
        raise NotDrawable(
            f"found ({group:04X},{element:04X}) in encapsulated pixel data, expected an item", key="pixel-data-damaged"
        )
    if stream.tell() + length > size_bytes:
        raise NotDrawable("the pixel data ends in the middle of a fragment", key="pixel-data-damaged")
    return stream.tell(), length


def _starts_by_table(fragments: Fragments, table: Sequence[int]) -> list[int] | None:
    """The number of each frame's first fragment; None if the table points elsewhere than at fragments, or backwards."""
    numbers = {span[0] - _HEADER.size - fragments.first_item: n for n, span in enumerate(fragments.spans)}
    starts = [numbers.get(offset, -1) for offset in table]
    is_sound = starts[0] == 0 and all(before < after for before, after in pairwise(starts))
    return starts if is_sound else None


def _cut(spans: Sequence[Span], starts: Sequence[int]) -> tuple[tuple[Span, ...], ...]:
    return tuple(tuple(spans[start:end]) for start, end in pairwise([*starts, len(spans)]))
