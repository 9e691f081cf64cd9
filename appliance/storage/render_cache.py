"""What was made of stored objects and would be dear to make again, on the disk: decoded frames and thumbnails.

All of it is derived and disposable: the folder may be deleted at any moment, and a file that is cut, changed, of another
frame or of an older program is no more than a miss. So nothing is synced, no database knows of it, and the bound is kept by
looking at the folder itself: the time of a file is when it was used last, and the oldest go.

    directory/key                             the cache's own key, wrapped by the master key of a sealed store
    directory/lock                            held while room is made, or a key
    directory/entries/ab/<instance>/<entry>   one frame or picture
    directory/gone/<random>                   on its way out

    entry    = magic (4), salt (16), AES-256-GCM of the content under a key made of the cache's key and the salt
    content  = of a frame: its type and shape, then the values packed by blosc2; of a picture: its bytes

Every entry is sealed, also beside a plain store, whose data set is encrypted itself: the tag is the checksum then, at 10 GB/s.
Names are keyed hashes, so a folder tells nobody that an object he knows is in it. What an entry is of (instance, place of the
frame, pixel format, program that decodes) is part of its name and of what the tag covers.

When the master key is changed, the cache's key is wrapped by the new one at the next start. A key that cannot be opened costs
all that was kept under it, and nothing else. For any thread and any number of processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import math
import os
import secrets
import shutil
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import imagecodecs
import msgspec
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from appliance.domain.errors import Damaged
from appliance.domain.image import FrameDescription, StoredImage
from appliance.storage import decoding, stream, transfer_syntaxes, video
from appliance.storage.decoding import Room, new_room
from appliance.storage.sealing import KEY_BYTES, MasterKeys
from appliance.storage.transfer_syntaxes import CODECS, DEFLATED_EXPLICIT_LITTLE_ENDIAN, Codec

Pixels = NDArray[np.generic]

_DEAR = frozenset({Codec.JPEG_LOSSLESS, Codec.JPEG_LS, Codec.JPEG_2000, Codec.HTJ2K, Codec.JPEG_XL, Codec.VIDEO})
"""Measured (docs/rendering.md): an entry of 512 x 512 of 16 bits is read, unsealed and unpacked in 0.4 ms.

Those take 1.6 to 100 ms and more to decode; RLE, JPEG of 8 or 12 bits and deflated frames 0.3 to 1 ms, for which more
bytes would have to be read than they have.
"""
_MAGIC = b"rc\x00\x01"
_SALT_BYTES = 16
_NONCE = bytes(12)
"""One key has one content only."""
_NAME_BYTES = 16
_FRAME = struct.Struct(">2sBLLL")
"""Type of the values as NumPy writes it, without the byte order; how many axes; rows, columns, samples."""
_LONGEST_BYTES = (1 << 31) - 1
"""Both AES-GCM in one call and blosc2 end there."""
_BLOCK_BYTES = 4096
_PART_AT_ONCE = 8
"""One part in so many of the budget is what entries may come to between two lookings at the folder."""


@dataclass(slots=True)
class CacheFigures:
    """What one process has seen; entries and bytes as they were when it looked last, and what it has added since."""

    entries: int = 0
    size_bytes: int = 0
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    damaged: int = 0


def is_dear(image: StoredImage) -> bool:
    """Whether frames of it are dearer to decode than to read, so that they are kept."""
    syntax = image.description.transfer_syntax_uid
    return syntax == DEFLATED_EXPLICIT_LITTLE_ENDIAN or CODECS.get(syntax) in _DEAR


class RenderCache:
    """Never raises for what it keeps: a disk that is full, or fails, costs time and nothing else."""

    def __init__(
        self,
        directory: Path,
        keys: MasterKeys | None,
        *,
        budget_bytes: int,
        floor_bytes: int = 0,
        writers: int = 1,
    ) -> None:
        """``floor_bytes`` of the file system stay free, twice: the store, which refuses at the floor, goes first.

        ``writers`` is how many processes keep entries in this folder, each at its share of the budget.
        """
        self.figures = CacheFigures()
        self._directory = directory
        self._entries = directory / "entries"
        self._gone = directory / "gone"
        self._keys = keys
        self._budget_bytes = budget_bytes
        self._floor_bytes = floor_bytes
        self._share_bytes = budget_bytes // _PART_AT_ONCE // writers
        self._written_bytes = self._share_bytes  # nobody has looked at the folder yet
        self._key_seen: tuple[int, int] | None = None
        self._key = b""
        self._lock = threading.Lock()

    # Frames

    def frame(self, image: StoredImage, frame_index: int, room: Room = new_room) -> Pixels | None:
        """The stored values as ``decode_frame`` gives them, in memory of ``room``, read-only; None if they are not kept."""
        content = self._read(image.key, _frame_name(image, frame_index))
        try:
            values = None if content is None else _unpacked(content, room)
        except (ValueError, TypeError, struct.error, imagecodecs.Blosc2Error):
            values = None  # sealed by us and not understood: of a program that packed in another way
        self._count(values is not None)
        return values

    def has_frame(self, image: StoredImage, frame_index: int) -> bool:
        """Whether there is an entry; not whether it verifies."""
        with contextlib.suppress(OSError):
            return self._place(image.key, _frame_name(image, frame_index)).exists()
        return False

    def keep_frame(self, image: StoredImage, frame_index: int, values: Pixels) -> None:
        self._keep(image.key, _frame_name(image, frame_index), _packed(values))

    # Slices of volumes

    def thinned(self, image: StoredImage, frame_index: int, name: bytes) -> Pixels | None:
        """What was made of a frame and kept under a name, read-only; None if it is not kept."""
        content = self._read(image.key, _thinned_name(image, frame_index, name))
        try:
            return None if content is None else _unpacked(content, new_room)
        except (ValueError, TypeError, struct.error, imagecodecs.Blosc2Error):
            return None

    def has_thinned(self, image: StoredImage, frame_index: int, name: bytes) -> bool:
        """Whether there is an entry; not whether it verifies."""
        with contextlib.suppress(OSError):
            return self._place(image.key, _thinned_name(image, frame_index, name)).exists()
        return False

    def keep_thinned(self, image: StoredImage, frame_index: int, name: bytes, values: Pixels) -> None:
        """``name`` says all that they depend on beside the frame's values."""
        self._keep(image.key, _thinned_name(image, frame_index, name), _packed(values))

    # Pictures

    def picture(self, key: str, name: str) -> bytes | None:
        """The picture of an instance that was kept under a name."""
        content = self._read(key, _picture_name(key, name))
        self._count(content is not None)
        return content

    def has_picture(self, key: str, name: str) -> bool:
        with contextlib.suppress(OSError):
            return self._place(key, _picture_name(key, name)).exists()
        return False

    def keep_picture(self, key: str, name: str, data: bytes) -> None:
        """``name`` says everything that the picture depends on, the program that draws included."""
        self._keep(key, _picture_name(key, name), data)

    # Room

    def forget(self, key: str) -> None:
        """Nothing that was made of the instance of this key is there any more. Raises OSError where it cannot be removed."""
        doomed = self._gone / secrets.token_hex(8)
        try:
            doomed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Moved first: whoever is writing an entry finds no place for it.
            self._folder(key).rename(doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed)

    def make_room(self) -> None:
        """The entries that were not used for longest are gone until the rest is within the budget; half-written ones too."""
        with self._lock, contextlib.suppress(OSError):
            self._look_and_make_room()

    def _look_and_make_room(self) -> None:
        with self._locked():
            self._written_bytes = 0
            shutil.rmtree(self._gone, ignore_errors=True)
            found = sorted(self._files(), key=lambda file: file[0])
            held_bytes = sum(size for _, size, _ in found)
            allowed_bytes = self._allowed_bytes(held_bytes)
            evicted = 0
            while evicted < len(found) and held_bytes > allowed_bytes:
                _, size_bytes, path = found[evicted]
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # there are others in it, or it is being written into
                    path.parent.rmdir()
                held_bytes -= size_bytes
                evicted += 1
        self.figures.evictions += evicted
        self.figures.entries, self.figures.size_bytes = len(found) - evicted, held_bytes

    def _allowed_bytes(self, held_bytes: int) -> int:
        """What may stay, so that all writers' shares fit besides, and twice the floor is free."""
        free_bytes = shutil.disk_usage(self._directory).free
        by_disk = held_bytes + free_bytes - 2 * self._floor_bytes
        return min(self._budget_bytes, by_disk) - self._budget_bytes // _PART_AT_ONCE

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """(used last, bytes on the disk, path) of each entry, and of what was left half written."""
        for first in _folders_in(self._entries):
            for folder in _folders_in(first):
                with contextlib.suppress(FileNotFoundError):
                    for entry in os.scandir(folder):
                        status = entry.stat()
                        yield status.st_mtime_ns, _on_disk(status.st_size), Path(entry.path)

    # Entries

    def _read(self, key: str, name: bytes) -> bytes | None:
        try:
            place = self._place(key, name)
            data = place.read_bytes()
        except OSError:
            return None
        salt, sealed = data[len(_MAGIC) : len(_MAGIC) + _SALT_BYTES], data[len(_MAGIC) + _SALT_BYTES :]
        try:
            if not data.startswith(_MAGIC):
                raise InvalidTag
            content = self._cipher(salt).decrypt(_NONCE, sealed, name)
        except (InvalidTag, ValueError):
            self.figures.damaged += 1
            with contextlib.suppress(OSError):
                place.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(place)  # the one who makes room goes by it, also after a restart
        return content

    def _keep(self, key: str, name: bytes, content: bytes) -> None:
        size_bytes = _on_disk(len(content))
        if size_bytes > min(self._share_bytes, _LONGEST_BYTES):
            return
        with contextlib.suppress(OSError):
            place, salt = self._place(key, name), secrets.token_bytes(_SALT_BYTES)
            with self._lock:
                if self._written_bytes + size_bytes > self._share_bytes:
                    self._look_and_make_room()
                if shutil.disk_usage(self._directory).free - size_bytes < 2 * self._floor_bytes:
                    return
                self._written_bytes += size_bytes
            _write(place, b"".join((_MAGIC, salt, self._cipher(salt).encrypt(_NONCE, content, name))))
            self.figures.entries += 1
            self.figures.size_bytes += size_bytes

    def _count(self, hit: bool) -> None:
        if hit:
            self.figures.hits += 1
        else:
            self.figures.misses += 1

    def _place(self, key: str, name: bytes) -> Path:
        return self._folder(key) / self._hashed(name)

    def _folder(self, key: str) -> Path:
        hashed = self._hashed(b"instance " + key.encode())
        return self._entries / hashed[:2] / hashed

    def _hashed(self, name: bytes) -> str:
        return hmac.digest(self._current_key(), b"name of " + name, "sha256")[:_NAME_BYTES].hex()

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._current_key(), b"key by " + salt, "sha256"))

    # The key

    def _current_key(self) -> bytes:
        """The key that is in the folder now: another one where the folder was deleted meanwhile. Raises OSError."""
        file = self._directory / "key"
        try:
            status = file.stat()
            if self._key_seen == (status.st_ino, status.st_mtime_ns):
                return self._key
        except FileNotFoundError:
            pass
        with self._locked():
            self._key = self._opened_key(file)
            status = file.stat()
            self._key_seen = status.st_ino, status.st_mtime_ns
        return self._key

    def _opened_key(self, file: Path) -> bytes:
        with contextlib.suppress(FileNotFoundError, Damaged):
            head = file.read_bytes()
            if self._keys is None and len(head) == KEY_BYTES:
                return head
            if self._keys is not None:
                key = self._keys.opened_head(head)[0]
                if (again := self._keys.rewrapped(head)) is not None:
                    _write(file, again)
                return key
        # Nothing that was kept can be read any more.
        shutil.rmtree(self._entries, ignore_errors=True)
        head, key = self._keys.new_head() if self._keys else (secrets.token_bytes(KEY_BYTES),) * 2
        _write(file, head)
        return key

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write(place: Path, data: bytes) -> None:
    """The file is there, whole, or not at all; through a power cut it may be cut, and does not verify then."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = place.with_name(f"{place.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        draft.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _frame_name(image: StoredImage, frame_index: int) -> bytes:
    """All that the values of a frame depend on."""
    about = image.description
    frame = about.frames[frame_index]
    return b"frame " + msgspec.msgpack.encode(
        (_DECODER, image.key, about.transfer_syntax_uid, about.pixel_format, *_place(frame))
    )


def _thinned_name(image: StoredImage, frame_index: int, name: bytes) -> bytes:
    return b"thinned " + name + _frame_name(image, frame_index)


def _place(frame: FrameDescription) -> tuple[object, ...]:
    return frame.fragments, frame.first_bit, frame.stream_index


def _picture_name(key: str, name: str) -> bytes:
    return f"picture {key} {name}".encode()


def _decoder() -> bytes:
    """Another one for each program that decodes: values from before a mended decoder are not met again."""
    digest = hashlib.sha256(f"{imagecodecs.__version__} {av.__version__}".encode())
    for module in (decoding, transfer_syntaxes, stream, video):
        assert module.__file__ is not None, "a module of a file"
        digest.update(Path(module.__file__).read_bytes())
    return digest.digest()[:_NAME_BYTES]


_DECODER = _decoder()


def _packed(values: Pixels) -> bytes:
    """Bits of the same significance together where there are several bytes, then LZ4: half the bytes for 0.2 ms a frame."""
    head = _FRAME.pack(values.dtype.str[1:].encode(), values.ndim, *values.shape, *(1,) * (3 - values.ndim))
    return head + bytes(
        imagecodecs.blosc2_encode(
            # An array, and not its bytes: with the type of its elements comes a tenth less.
            np.ascontiguousarray(values, values.dtype.newbyteorder("<")),  # type: ignore[arg-type]
            compressor="lz4",
            shuffle="bitshuffle" if values.itemsize > 1 else "noshuffle",
            level=5,
            numthreads=1,
        )
    )


def _unpacked(content: bytes, room: Room) -> Pixels:
    kind, axes, *shape = _FRAME.unpack_from(content)
    dtype = np.dtype("<" + kind.decode())
    data = room(math.prod(shape[:axes]) * dtype.itemsize)
    if len(imagecodecs.blosc2_decode(content[_FRAME.size :], numthreads=1, out=data.data)) != len(data):
        raise ValueError("fewer values than described")  # the rest of the room is of another frame
    values: Pixels = data.view(dtype).reshape(shape[:axes])
    values.flags.writeable = False
    return values


def _folders_in(directory: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(directory) if entry.is_dir()]
    except FileNotFoundError:
        return []


def _on_disk(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
