"""Bytes that can be read at an offset, as the file that a parser wants; and the inflated form of a deflated object."""

from __future__ import annotations

import io
import zlib
from typing import Any, Protocol

from appliance.domain.errors import NotDicom

_BLOCK_BYTES = 1 << 16
_LOOKING_BYTES = (0, 8, 8192)
"""What pydicom asks for when it only looks whether there is more: the next element; the end of an undefined length."""


class Readable(Protocol):
    """An ``InstanceReader``, as far as parsing and decoding need one."""

    @property
    def size_bytes(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes: ...


class Filling(Readable, Protocol):
    """An ``InstanceReader``, as far as reading into memory that is there needs one."""

    def read_into(self, offset: int, into: memoryview) -> int: ...


class InMemory:
    """Bytes in memory, read like a stored instance."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def read_into(self, offset: int, into: memoryview) -> int:
        part = self._data[offset : offset + len(into)]
        into[: len(part)] = part
        return len(part)


class BeyondHead(Exception):
    """What was asked for is not in the head."""


class Head:
    """The beginning of an object of ``size_bytes``. Raises BeyondHead where more is asked for."""

    def __init__(self, data: bytes, size_bytes: int) -> None:
        self._data = data
        self.size_bytes = size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        if min(offset + length, self.size_bytes) > len(self._data):
            raise BeyondHead
        return self._data[offset : offset + length]


class Stream:
    """A seekable file over a reader that asks it for blocks, since a parser reads eight bytes at a time.

    ``fell_short`` says whether a read met the end in the middle of what it asked for: pydicom goes on with what it got.
    """

    def __init__(self, reader: Readable, limit_bytes: int) -> None:
        self._reader = reader
        self._limit_bytes = limit_bytes
        self._at = 0
        self._block = b""
        self._block_start = 0
        self.fell_short = False

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._reader.size_bytes}[whence]
        self._at = max(0, base + offset)
        self.fell_short = self.fell_short or self._at > self._reader.size_bytes
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes. Raises NotDicom beyond the limit: no element of a header is that long."""
        rest = max(0, self._reader.size_bytes - self._at)
        wanted = rest if size < 0 else size
        length = min(wanted, rest)
        if length < wanted and (length or wanted) not in _LOOKING_BYTES and wanted != _LOOKING_BYTES[-1]:
            self.fell_short = True
        if length > self._limit_bytes:
            raise NotDicom(
                "an element of the header is too long", key="unreadable-dicom", limit_bytes=self._limit_bytes
            )
        data = self._from_block(length) if length < _BLOCK_BYTES else self._reader.read_at(self._at, length)
        self._at += len(data)
        return data

    def _from_block(self, length: int) -> bytes:
        start = self._at - self._block_start
        if start < 0 or start + length > len(self._block):
            self._block_start, start = self._at, 0
            self._block = self._reader.read_at(self._at, _BLOCK_BYTES)
        return self._block[start : start + length]


class ReaderFile(io.RawIOBase):
    """A reader as a binary file of Python's, for libraries that want one. Does not close the reader."""

    def __init__(self, reader: Readable) -> None:
        super().__init__()
        self._reader = reader
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._reader.size_bytes}[whence]
        if base + offset < 0:
            raise ValueError("a place before the beginning of a file")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:  # Any: whatever has a buffer
        view = memoryview(buffer).cast("B")
        data = self._reader.read_at(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def inflated(reader: Readable, data_set_offset: int, limit_bytes: int) -> InMemory:
    """A deflated object with its data set inflated (PS3.5 A.5): the bytes before ``data_set_offset``, then the data set.

    Raises NotDicom if it cannot be inflated or would be longer than the limit.
    """
    packed = reader.read_at(data_set_offset, max(0, reader.size_bytes - data_set_offset))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(packed, limit_bytes)
    except zlib.error as error:
        raise NotDicom("the deflated data set cannot be inflated", key="unreadable-dicom") from error
    if not inflater.eof:
        if len(data) >= limit_bytes:
            raise NotDicom("the deflated data set is too long", key="too-large", limit_bytes=limit_bytes)
        raise NotDicom("the deflated data set ends too early", key="unreadable-dicom")
    return InMemory(reader.read_at(0, data_set_offset) + data)
