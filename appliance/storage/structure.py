"""How deep and how large a data set may be, found out by walking over its elements without reading their values (PS3.5 §7).

Done before anything builds objects of them: an element costs a parser a hundred times its bytes, and a sequence a level of its
stack. What cannot be walked over is left to the parser, which says what is wrong with it, within the bounds of its process.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec
from pydicom.datadict import DicomDictionary

from appliance.domain.errors import TooLarge
from appliance.storage.stream import Readable, Stream
from appliance.storage.transfer_syntaxes import EXPLICIT_BIG_ENDIAN, IMPLICIT_LITTLE_ENDIAN

_UNDEFINED_LENGTH = 0xFFFFFFFF
_DELIMITERS = 0xFFFE
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
"""Their lengths have four bytes, after two that are reserved (PS3.5 table 7.1-1)."""
_LARGEST_HEADER_BYTES = 12


class DataSetLimits(msgspec.Struct, frozen=True):
    """What one data set may be; each beyond what any known modality writes."""

    nesting_depth: int = 64
    """Sequences in sequences. Structured reports reach 20."""
    element_count: int = 1_000_000
    """Elements and items, at all levels, before the pixels. Ten thousand frames with a group each have 300,000."""
    frame_count: int = 100_000
    """Number of Frames."""
    frame_pixels: int = 1 << 28
    """Rows times columns: 16,384 each way. The largest radiographs have a quarter of it."""


class _Kind(Enum):
    DATA_SET = auto()
    SEQUENCE = auto()
    FRAGMENTS = auto()
    """Items of an encapsulated value, which hold bytes and not elements (PS3.5 A.4)."""


@dataclass(slots=True)
class _Level:
    kind: _Kind
    end: int | None
    """Offset behind it; None where a delimiter ends it."""
    is_implicit: bool


@dataclass(slots=True)
class _Walk:
    stream: Stream
    order: str
    limits: DataSetLimits
    levels: list[_Level]
    elements: int = 0
    depth: int = 0
    pixel_tags: frozenset[int] = field(default_factory=frozenset)

    def step(self) -> bool:
        """Goes over one header, and over its value unless it is a sequence. False at the end, or where nothing makes sense."""
        at = self.stream.tell()
        while (end := self.levels[-1].end) is not None and at >= end:
            if not self._leave():
                return False
        header = self.stream.read(8)
        if len(header) < 8:
            return False
        self._count()
        group, element, length = struct.unpack(f"{self.order}HHL", header)
        if group == _DELIMITERS:
            return self._at_delimiter(element, length)
        return self.levels[-1].kind is _Kind.DATA_SET and self._at_element(group << 16 | element, header, length)

    def _at_delimiter(self, element: int, length: int) -> bool:
        level = self.levels[-1]
        if element == _ITEM and level.kind is _Kind.SEQUENCE:
            self.levels.append(_Level(_Kind.DATA_SET, self._end(length), level.is_implicit))
            return True
        if element == _ITEM and level.kind is _Kind.FRAGMENTS:
            return self._skip(length)
        if element == _ITEM_END and level.kind is _Kind.DATA_SET and level.end is None:
            return self._leave()
        if element == _SEQUENCE_END and level.kind is not _Kind.DATA_SET and level.end is None:
            return self._leave()
        return False

    def _at_element(self, tag: int, header: bytes, length: int) -> bool:
        if tag in self.pixel_tags and len(self.levels) == 1:
            return False
        is_implicit = self.levels[-1].is_implicit or not header[4:6].isalpha()
        vr = DicomDictionary.get(tag, ("",))[0].encode() if is_implicit else header[4:6]
        if not is_implicit:
            if vr in _LONG_VRS:
                more = self.stream.read(4)
                if len(more) < 4:
                    return False
                (length,) = struct.unpack(f"{self.order}L", more)
            else:
                (length,) = struct.unpack(f"{self.order}H", header[6:])
        if vr == b"SQ" or (length == _UNDEFINED_LENGTH and (is_implicit or vr == b"UN")):
            # A sequence of unknown representation is encoded as if implicit (PS3.5 §6.2.2, note 2).
            return self._enter(_Level(_Kind.SEQUENCE, self._end(length), is_implicit or vr == b"UN"))
        if length == _UNDEFINED_LENGTH:
            return self._enter(_Level(_Kind.FRAGMENTS, None, is_implicit))
        return self._skip(length)

    def _enter(self, level: _Level) -> bool:
        self.levels.append(level)
        self.depth += 1
        if self.depth > self.limits.nesting_depth:
            raise TooLarge(
                f"sequences are nested more than {self.limits.nesting_depth} deep",
                key="nested-too-deeply",
                limit=self.limits.nesting_depth,
            )
        return True

    def _leave(self) -> bool:
        """Out of the innermost level; False where that is the data set itself."""
        left = self.levels.pop()
        if left.kind is not _Kind.DATA_SET:
            self.depth -= 1
        return bool(self.levels)

    def _skip(self, length: int) -> bool:
        self.stream.seek(self.stream.tell() + length)
        return not self.stream.fell_short

    def _end(self, length: int) -> int | None:
        return None if length == _UNDEFINED_LENGTH else self.stream.tell() + length

    def _count(self) -> None:
        self.elements += 1
        if self.elements > self.limits.element_count:
            raise TooLarge(
                f"the data set has more than {self.limits.element_count} elements",
                key="too-many-elements",
                limit=self.limits.element_count,
            )


def check_structure(
    content: Readable, start: int, transfer_syntax_uid: str, limits: DataSetLimits, pixel_tags: frozenset[int]
) -> None:
    """Returns if the data set from ``start``, up to its pixels, is within the limits; raises TooLarge."""
    stream = Stream(content, limit_bytes=_LARGEST_HEADER_BYTES)
    stream.seek(start)
    order = ">" if transfer_syntax_uid == EXPLICIT_BIG_ENDIAN else "<"
    whole = _Level(_Kind.DATA_SET, content.size_bytes, transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN)
    walk = _Walk(stream, order, limits, [whole], pixel_tags=pixel_tags)
    while walk.step():
        pass
