"""Files that read as noise without the key, and say so when a bit of them was changed.

    file   = head, chunk 0, chunk 1, …, seal
    head   = magic (8), id of the master key (8), log2 of the chunk size (1), nonce (12), data key wrapped by it (32 + 16)
    chunk  = AES-256-GCM of up to ``CHUNK_BYTES`` of the content, and its tag (16)
    seal   = the tag (16) of nothing, over the name and the size of the content

Every file has a random data key of its own, so counting up from zero gives each chunk a nonce that is never used twice,
and a chunk of another file or place does not verify. The rest of the head is authenticated by the wrapping. The seal is
written last: a file that was cut, put under another name or never finished has no valid one, and it is checked whenever
a file is opened. A range needs only the chunks that it touches.

Changing the master key means adding a line at the top of the key file: new files are wrapped by the first key, old
ones name theirs, and none is rewritten; ``storage.rotation`` does that, and wraps the data keys of old files anew.

References: NIST SP 800-38D (GCM; §8.2.1 for the nonce by construction).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import secrets
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.domain.errors import Damaged, SettingsError

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 17
"""A frame of CT spans five; a header read of a few kilobytes costs the decryption of one, about 40 µs."""
_AT_ONCE_BYTES = 1 << 20
"""Opened in one go, and so what a thread keeps for it, twice."""
TAG_BYTES = 16
KEY_BYTES = 32

_MAGIC = b"sealed\x00\x01"
_KEY_ID_BYTES = 8
_START = struct.Struct(f">8s{_KEY_ID_BYTES}sB")
_NONCE_BYTES = 12
HEAD_BYTES = _START.size + _NONCE_BYTES + KEY_BYTES + TAG_BYTES
_SEAL_NONCE = b"\xff" * _NONCE_BYTES
"""No chunk has this number."""


class MasterKeys:
    """The keys that wrap the data keys: the first for new files, all of them for old ones.

    Those of a file are read again when it has changed, so that a new key needs no restart. For several threads at once.
    """

    def __init__(self, keys: list[bytes], file: Path | None = None) -> None:
        self._file = file
        self._seen = _state_of(file)
        self._ring = _Ring(_key_id(keys[0]), {_key_id(key): AESGCM(key) for key in keys})

    @classmethod
    def from_file(cls, path: Path) -> MasterKeys:
        """The keys of a file: one a line, 32 bytes in hexadecimal or Base64; ``#`` begins a comment.

        Refused (SettingsError) if others than the owner may read it.
        """
        return cls(_keys_in(path), path)

    def new_head(self) -> tuple[bytes, bytes]:
        """A head for a new file, and the data key that it wraps."""
        self.look_again()
        data_key = secrets.token_bytes(KEY_BYTES)
        return self._wrapped(data_key, CHUNK_BYTES.bit_length() - 1), data_key

    def opened_head(self, head: bytes) -> tuple[bytes, int]:
        """The data key that a head wraps, and the size of a chunk in bytes. Raises Damaged."""
        if len(head) < HEAD_BYTES:
            raise Damaged("a stored file is shorter than its head")
        start, rest = head[: _START.size], head[_START.size : HEAD_BYTES]
        magic, key_id, chunk_bits = _START.unpack(start)
        if key_id not in self._ring.ciphers:
            self.look_again()
        cipher = self._ring.ciphers.get(key_id)
        if magic != _MAGIC or cipher is None:
            raise Damaged("a stored file is not sealed by a key of the key file", key_id=key_id.hex())
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], start), 1 << chunk_bits
        except InvalidTag as error:
            raise Damaged("the head of a stored file does not verify") from error

    def rewrapped(self, head: bytes) -> bytes | None:
        """The same head wrapped by the first key; None if it is already. Raises Damaged."""
        data_key, chunk_bytes = self.opened_head(head)
        if _START.unpack(head[: _START.size])[1] == self._ring.current:
            return None
        return self._wrapped(data_key, chunk_bytes.bit_length() - 1)

    def _wrapped(self, data_key: bytes, chunk_bits: int) -> bytes:
        ring = self._ring
        start, nonce = _START.pack(_MAGIC, ring.current, chunk_bits), secrets.token_bytes(_NONCE_BYTES)
        return start + nonce + ring.ciphers[ring.current].encrypt(nonce, data_key, start)

    def look_again(self) -> None:
        """The keys are those of the file now; those from before if it cannot be used just now."""
        state = _state_of(self._file)
        if self._file is None or state == self._seen:
            return
        self._seen = state
        try:
            keys = _keys_in(self._file)
        except SettingsError as error:
            log.error("the keys are used as they were: %s", error.message)
            return
        self._ring = _Ring(_key_id(keys[0]), {_key_id(key): AESGCM(key) for key in keys})


@dataclass(frozen=True, slots=True)
class _Ring:
    current: bytes
    """Id of the key for new files."""
    ciphers: dict[bytes, AESGCM]


def _state_of(file: Path | None) -> tuple[int, int, int] | None:
    """Another one whenever the file was changed or replaced; None if it is not there."""
    try:
        status = file.stat() if file else None
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size) if status else None


def _keys_in(path: Path) -> list[bytes]:
    try:
        mode = path.stat().st_mode
        lines = path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the key file {path} cannot be read") from error
    if mode & 0o077:
        raise SettingsError(f"the key file {path} may be read by others: chmod 600 {path}")
    keys = [_decoded_key(line, path) for line in map(str.strip, lines) if line and not line.startswith("#")]
    if not keys:
        raise SettingsError(f"the key file {path} holds no key")
    return keys


def new_key() -> str:
    """A random master key, as a line of a key file."""
    return secrets.token_hex(KEY_BYTES)


def create_key(path: Path) -> None:
    """A new key file with one random key, readable by its owner alone. Raises FileExistsError rather than replace one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(new_key() + "\n")
        file.flush()
        os.fsync(descriptor)


class SealedWriter:
    """Writes one sealed file, from the start to the seal."""

    def __init__(self, file: BinaryIO, keys: MasterKeys) -> None:
        head, self.data_key = keys.new_head()
        self._cipher = AESGCM(self.data_key)
        self._file = file
        self._rest = bytearray()
        self._chunks = 0
        self._size_bytes = 0
        file.write(head)

    def write(self, data: bytes) -> None:
        self._size_bytes += len(data)
        coming = memoryview(data)
        if self._rest:
            missing = CHUNK_BYTES - len(self._rest)
            self._rest += coming[:missing]
            coming = coming[missing:]
            if len(self._rest) < CHUNK_BYTES:
                return
            self._write_chunk(self._rest)
        whole = len(coming) - len(coming) % CHUNK_BYTES
        for start in range(0, whole, CHUNK_BYTES):
            self._write_chunk(coming[start : start + CHUNK_BYTES])
        self._rest = bytearray(coming[whole:])

    def end(self, name: bytes) -> None:
        """All content is in the file, and the seal says that it is complete, under this name."""
        if self._rest:
            self._write_chunk(self._rest)
        self._file.write(self._cipher.encrypt(_SEAL_NONCE, b"", _sealed(name, self._size_bytes)))

    def _write_chunk(self, chunk: bytearray | memoryview) -> None:
        self._file.write(self._cipher.encrypt(_chunk_nonce(self._chunks), chunk, None))
        self._chunks += 1


class _Room(threading.local):
    """Memory of a thread into which chunks are read and opened: new memory for each costs as much as opening it does."""

    def __init__(self) -> None:
        self._sealed = self._opened = self._chunk = memoryview(bytearray())

    def sealed(self, size_bytes: int) -> memoryview:
        self._sealed = _at_least(size_bytes, self._sealed)
        return self._sealed[:size_bytes]

    def opened(self, size_bytes: int) -> memoryview:
        self._opened = _at_least(size_bytes, self._opened)
        return self._opened[:size_bytes]

    def chunk(self, size_bytes: int) -> memoryview:
        """For a chunk of which only a part is wanted."""
        self._chunk = _at_least(size_bytes, self._chunk)
        return self._chunk[:size_bytes]


def _at_least(size_bytes: int, memory: memoryview) -> memoryview:
    return memory if len(memory) >= size_bytes else memoryview(bytearray(size_bytes))


_room = _Room()


class SealedReader:
    """Reads a sealed file at any offset; from several threads at once, since it keeps no position."""

    def __init__(self, descriptor: int, data_key: bytes, size_bytes: int, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._descriptor = descriptor
        self.data_key = data_key
        self._cipher = AESGCM(data_key)
        self._chunk_bytes = chunk_bytes
        self.size_bytes = size_bytes

    @classmethod
    def opened(cls, descriptor: int, keys: MasterKeys, name: bytes) -> SealedReader:
        """The reader of a complete file. Raises Damaged if it is not complete, or not the file of that name."""
        reader = cls.unnamed(descriptor, keys)
        reader.check_seal(name)
        return reader

    @classmethod
    def unnamed(cls, descriptor: int, keys: MasterKeys) -> SealedReader:
        """The reader of a file of which it is not known whether it is complete, nor its name. Raises Damaged."""
        data_key, chunk_bytes = _opened_head(descriptor, keys)
        body_bytes = os.fstat(descriptor).st_size - HEAD_BYTES - TAG_BYTES
        size_bytes = body_bytes - -(-body_bytes // (chunk_bytes + TAG_BYTES)) * TAG_BYTES
        if size_bytes < 0:
            raise Damaged("a stored file is shorter than its head and seal")
        return cls(descriptor, data_key, size_bytes, chunk_bytes)

    def read_at(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``; fewer at the end of the content. Raises Damaged."""
        end = min(offset + length, self.size_bytes)
        if offset < 0 or end <= offset:
            return b""
        at_once = max(_AT_ONCE_BYTES, self._chunk_bytes)
        pieces = []
        for start in (offset, *range(offset - offset % at_once + at_once, end, at_once)):
            opened = _room.opened(min(start - start % at_once + at_once, end) - start)
            self.read_into(start, opened)
            pieces.append(bytes(opened))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_into(self, offset: int, into: memoryview) -> int:
        """``into`` is filled from ``offset``; how many bytes there were, fewer at the end of the content. Raises Damaged.

        Whole chunks are opened where they are wanted, without another copy.
        """
        end = min(offset + len(into), self.size_bytes)
        if offset < 0 or end <= offset:
            return 0
        at_once = max(1, _AT_ONCE_BYTES // self._chunk_bytes)
        last = (end - 1) // self._chunk_bytes
        for first in range(offset // self._chunk_bytes, last + 1, at_once):
            for number, sealed in self._sealed_chunks(first, min(last, first + at_once - 1)):
                start = number * self._chunk_bytes
                until = start + len(sealed) - TAG_BYTES
                if offset <= start and until <= end:
                    self._open(number, sealed, into[start - offset : until - offset])
                    continue
                chunk = _room.chunk(until - start)
                self._open(number, sealed, chunk)
                part = chunk[max(offset - start, 0) : end - start]
                at = max(start - offset, 0)
                into[at : at + len(part)] = part
        return end - offset

    def _sealed_chunks(self, first: int, last: int) -> Iterator[tuple[int, memoryview]]:
        """The number of each chunk, and its bytes as they are stored, until this thread reads others."""
        stride = self._chunk_bytes + TAG_BYTES
        content_end = self.size_bytes + -(-self.size_bytes // self._chunk_bytes) * TAG_BYTES
        start, end = first * stride, min((last + 1) * stride, content_end)
        sealed = _room.sealed(end - start)
        if os.preadv(self._descriptor, [sealed], HEAD_BYTES + start) != end - start:
            raise Damaged("a stored file became shorter while it was read")
        for n, at in enumerate(range(0, end - start, stride)):
            yield first + n, sealed[at : at + stride]

    def _open(self, number: int, sealed: memoryview, into: memoryview) -> None:
        try:
            self._cipher.decrypt_into(_chunk_nonce(number), sealed, None, into)
        except InvalidTag as error:
            raise Damaged("a stored file does not verify") from error

    def check_seal(self, name: bytes) -> None:
        """Returns if the file is complete and of that name; raises Damaged."""
        chunks = -(-self.size_bytes // self._chunk_bytes)
        try:
            seal = os.pread(self._descriptor, TAG_BYTES, HEAD_BYTES + self.size_bytes + chunks * TAG_BYTES)
            self._cipher.decrypt(_SEAL_NONCE, seal, _sealed(name, self.size_bytes))
        except InvalidTag as error:
            raise Damaged("a stored file has no valid seal") from error


def _opened_head(descriptor: int, keys: MasterKeys) -> tuple[bytes, int]:
    try:
        return keys.opened_head(os.pread(descriptor, HEAD_BYTES, 0))
    except Damaged:
        # A rotation of the key may have been writing it just then, and a read beside a write can see a part of it.
        return keys.opened_head(os.pread(descriptor, HEAD_BYTES, 0))


def read_exactly_at(descriptor: int, length: int, offset: int) -> bytes:
    """``length`` bytes of a file from ``offset``, fewer only where it ends: one ``pread`` gives at most 2 GiB."""
    first = os.pread(descriptor, length, offset)
    if len(first) in (0, length):
        return first
    pieces = [first]
    while piece := os.pread(descriptor, length - sum(map(len, pieces)), offset + sum(map(len, pieces))):
        pieces.append(piece)
    return b"".join(pieces)


def fill_from(descriptor: int, into: memoryview, offset: int) -> int:
    """``into`` is filled with a file from ``offset``; how many bytes there were, fewer only where it ends."""
    filled = 0
    while read := os.preadv(descriptor, [into[filled:]], offset + filled):
        filled += read
    return filled


def _decoded_key(line: str, path: Path) -> bytes:
    try:
        key = bytes.fromhex(line) if len(line) == 2 * KEY_BYTES else base64.b64decode(line, validate=True)
    except (ValueError, binascii.Error) as error:
        raise SettingsError(f"a line of the key file {path} is neither hexadecimal nor Base64") from error
    if len(key) != KEY_BYTES:
        raise SettingsError(f"a key in {path} has {len(key)} bytes: expected {KEY_BYTES}")
    return key


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"id of a master key" + key).digest()[:_KEY_ID_BYTES]


def _chunk_nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "big")


def _sealed(name: bytes, size_bytes: int) -> bytes:
    return size_bytes.to_bytes(8, "big") + name
