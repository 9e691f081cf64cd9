"""The bytes of instances, unchanged, one file each, under the SHA-256 of their content.

Two ways to keep them, the same behind one interface: as they are, for a directory that is encrypted itself (a ZFS data
set), or sealed (``storage.sealing``). A file comes to be in a spool on the same file system and is renamed into its place
when it is complete and durable; so whatever has a place is whole. No path holds anything that stands in a file.

    directory/spool/<random>            being received
    directory/instances/ab/cd/<name>    kept; the name is a hash of the key, with a secret of the store where it is sealed
    directory/aside/<name>              found without a row, and not readable as DICOM or damaged: kept for a person to judge
    directory/naming                    that secret, sealed
    directory/locks/ab                  held while bytes and their row are changed together
    directory/locks/spool               held while a spooled file is begun, or those without an owner are looked for
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from appliance.domain.errors import Conflict, Damaged, NotFound, SettingsError, StoreFull
from appliance.storage.sealing import MasterKeys, SealedReader, SealedWriter, fill_from, read_exactly_at

_CHECK_FLOOR_EVERY_BYTES = 64 * 1024 * 1024
_EXAMINED_AT_ONCE_BYTES = 8 * 1024 * 1024
_LEVELS = 2
"""Of directories below ``instances``."""
_NAME = re.compile(r"[0-9a-f]{64}")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where and how instances are kept."""

    directory: Path
    """Made if it is not there. One file system, since files are renamed in it."""
    key_file: Path | None = None
    """Master keys (``sealing.create_key``). None keeps plain files: for a directory that is encrypted itself."""
    floor_bytes: int = 1024**3
    """Free space that is never used: a file system that is quite full can neither delete nor repair."""
    is_read_only: bool = False
    """Another node keeps it, and nothing is written here, not even a lock: it may be mounted so."""


class InstanceReader(AbstractContextManager["InstanceReader"], Protocol):
    """The bytes of one instance; may be read from several threads at once, until it is closed."""

    @property
    def size_bytes(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``, fewer at the end. Raises Damaged if they are not what was written."""

    def read_into(self, offset: int, into: memoryview) -> int:
        """``into`` is filled from ``offset``; how many bytes there were, fewer at the end. Raises Damaged as ``read_at`` does."""

    def read_all(self) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SpoolReference:
    """How another process reads a spooled file that has ended: enough for this file and for no other."""

    path: str
    size_bytes: int
    data_key: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeptBytes:
    """What a kept file was found to hold, by reading all of it."""

    key: str
    md5: str
    size_bytes: int


class Spool:
    """One instance on its way in. Ends by ``commit`` or ``abandon``; nothing of it is visible before the first.

    Not for several threads at once.
    """

    def __init__(self, store: InstanceStore) -> None:
        self._store = store
        self._path = store.spool_directory / secrets.token_hex(16)
        store.check_floor()
        with _room_or_full():
            with store.beginning():
                self._file: BinaryIO = open(self._path, "xb", opener=_private)  # noqa: SIM115  # closed at the end
                fcntl.flock(self._file, fcntl.LOCK_EX)  # as long as somebody holds it, nobody sweeps it
            self._writer = SealedWriter(self._file, store.keys) if store.keys else None
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)  # lineage with older indexes, proves nothing
        self.size_bytes = 0
        self._ended = self._is_durable = False
        self.is_moved = False
        """Whether it has its place, or the same bytes had it."""

    @property
    def key(self) -> str:
        """SHA-256 of what was written so far, in hexadecimal."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()

    def write(self, data: bytes) -> None:
        """Raises StoreFull when the file system has no room, or less than the floor."""
        before, self.size_bytes = self.size_bytes, self.size_bytes + len(data)
        if before // _CHECK_FLOOR_EVERY_BYTES != self.size_bytes // _CHECK_FLOOR_EVERY_BYTES:
            self._store.check_floor()
        self._sha256.update(data)
        self._md5.update(data)
        with _room_or_full():
            if self._writer:
                self._writer.write(data)
            else:
                self._file.write(data)

    def end(self) -> SpoolReference:
        """All is written; what another process needs to read it."""
        if not self._ended:
            with _room_or_full():
                if self._writer:
                    self._writer.end(bytes.fromhex(self.key))
                self._file.flush()
        self._ended = True
        return SpoolReference(str(self._path), self.size_bytes, self._writer.data_key if self._writer else None)

    def make_durable(self) -> None:
        """What was written stays through a power cut, though it has no place yet."""
        self.end()
        if not self._is_durable:
            with _room_or_full():
                os.fsync(self._file.fileno())
        self._is_durable = True

    def commit(self) -> str:
        """The key; from now on the instance is kept, and stays so through a power cut."""
        self.make_durable()
        self._store.place([self])
        return self.key

    def move(self) -> int:
        """The file is in its place; how many directories had to be made for it."""
        if self.is_moved:
            return _LEVELS  # it is not known how far the attempt before this one came
        self.make_durable()
        place = self._store.place_of(self.key)
        made = 0
        if self._store.is_whole(self.key):
            self._path.unlink()
        else:
            made = _make_directories(place.parent)
            self._path.replace(place)
        self._file.close()
        self.is_moved = True
        return made

    def abandon(self) -> None:
        """Nothing remains. Does nothing after a commit."""
        if self.is_moved:
            return
        with contextlib.suppress(OSError):  # a full disk refuses once more what could not be written
            self._file.close()
        self._path.unlink(missing_ok=True)


class InstanceStore:
    """Instances in a directory, sealed if there are keys. For any thread and any number of processes."""

    def __init__(
        self, directory: Path, keys: MasterKeys | None, floor_bytes: int, *, is_read_only: bool = False
    ) -> None:
        self.keys = keys
        self._is_read_only = is_read_only
        self.directory = directory
        self.spool_directory = directory / "spool"
        self._instances = directory / "instances"
        self._aside = directory / "aside"
        self._locks = directory / "locks"
        self._floor_bytes = floor_bytes
        if is_read_only:
            _refuse_unlike_store(directory, is_sealed=keys is not None)
        else:
            for path in (self.spool_directory, self._instances, self._locks):
                _make_durable_directories(path)
        self._naming = _naming_secret(directory / "naming", keys) if keys else b""

    def begin(self) -> Spool:
        """An empty spooled file. Raises StoreFull below the floor, Conflict where another node keeps the store."""
        self._refuse_if_read_only()
        return Spool(self)

    def place(self, spools: Iterable[Spool]) -> None:
        """Spooled files are in their places and stay there through a power cut. The directories are flushed once for all.

        Raises StoreFull; then some may be there, and placing them again does no harm.
        """
        changed: set[Path] = set()
        try:
            for spool in spools:
                made = _LEVELS
                try:
                    with _room_or_full():
                        made = spool.move()
                finally:
                    # its own also where the file was there: whoever put it may not have come to this line yet
                    changed.update(self.place_of(spool.key).parents[: made + 1])
        finally:
            for directory in sorted(changed, key=lambda path: len(path.parts), reverse=True):
                if directory.is_dir():
                    _sync_directory(directory)

    def open(self, key: str) -> InstanceReader:
        """The bytes of an instance. Raises NotFound and Damaged."""
        try:
            reader = self._opened(self.place_of(key))
        except NotFound as error:
            raise NotFound(error.message, instance_key=key) from error
        except Damaged as error:
            raise Damaged(error.message, instance_key=key) from error
        try:
            if reader.sealed:
                reader.sealed.check_seal(bytes.fromhex(key))
        except Damaged as error:
            reader.close()
            raise Damaged(error.message, instance_key=key) from error
        return reader

    def _opened(self, place: Path) -> _Reader:
        """The reader of a kept file whose name was not verified."""
        try:
            descriptor = os.open(place, os.O_RDONLY)
        except FileNotFoundError as error:
            raise NotFound("no such instance is stored") from error
        try:
            return _Reader(descriptor, SealedReader.unnamed(descriptor, self.keys) if self.keys else None)
        except BaseException:
            os.close(descriptor)
            raise

    def contains(self, key: str) -> bool:
        return self.place_of(key).exists()

    def delete(self, key: str) -> None:
        """The instance is gone. Readers that are open read on. Does nothing if there is none. Raises Conflict as ``begin``."""
        self._refuse_if_read_only()
        place = self.place_of(key)
        try:
            place.unlink()
        except FileNotFoundError:
            return
        _sync_directory(place.parent)

    @contextlib.contextmanager
    def holding(self, key: str) -> Iterator[None]:
        """Nobody else, in this or another process, puts or removes the bytes of this key meanwhile. May wait.

        Bytes and the row that refers to them are two things: who changes both does it inside.
        """
        with self.holding_all([key]):
            yield

    @contextlib.contextmanager
    def holding_all(self, keys: Iterable[str]) -> Iterator[None]:
        """``holding`` for several keys."""
        self._refuse_if_read_only()
        with contextlib.ExitStack() as held:
            # in one order for everybody, so that no two wait for each other
            for lock in sorted({self.place_of(key).name[:2] for key in keys}):
                held.enter_context(_locked(self._locks / lock, fcntl.LOCK_EX))
            yield

    @contextlib.contextmanager
    def holding_place(self, place: Path) -> Iterator[None]:
        """``holding`` for bytes whose key is not known."""
        self._refuse_if_read_only()
        with _locked(self._locks / place.name[:2], fcntl.LOCK_EX):
            yield

    @contextlib.contextmanager
    def beginning(self) -> Iterator[None]:
        """Nobody sweeps the spool meanwhile: a file is made in it that is not locked yet."""
        with _locked(self._locks / "spool", fcntl.LOCK_SH):
            yield

    def sweep_spool(self) -> int:
        """Removes what was begun by processes that are gone; how many files that were. Others may be receiving meanwhile."""
        with _locked(self._locks / "spool", fcntl.LOCK_EX):
            return sum(_removed_if_left(path) for path in self.spool_directory.iterdir())

    def places(self) -> Iterator[list[Path]]:
        """Every kept file, some hundredth of the store at a time, in no order."""
        for first in _directories_in(self._instances):
            yield [
                Path(entry.path)
                for second in _directories_in(first)
                for entry in os.scandir(second)
                if _NAME.fullmatch(entry.name)
            ]

    def reference(self, key: str) -> SpoolReference:
        """How another process reads the bytes of an instance, and of no other. Raises NotFound and Damaged."""
        with self._opened(self.place_of(key)) as reader:
            if reader.sealed:
                reader.sealed.check_seal(bytes.fromhex(key))
            return SpoolReference(
                str(self.place_of(key)), reader.size_bytes, reader.sealed.data_key if reader.sealed else None
            )

    def examine(self, place: Path) -> KeptBytes:
        """What a kept file holds, all of it read. Raises NotFound, and Damaged where it is not in the place of what it holds."""
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with self._opened(place) as reader:
            for offset in range(0, reader.size_bytes, _EXAMINED_AT_ONCE_BYTES):
                piece = reader.read_at(offset, _EXAMINED_AT_ONCE_BYTES)
                sha256.update(piece)
                md5.update(piece)
            if reader.sealed:
                reader.sealed.check_seal(sha256.digest())
            size_bytes = reader.size_bytes
        if self.place_of(sha256.hexdigest()) != place:
            raise Damaged("a stored file is not the one that was put there")
        return KeptBytes(sha256.hexdigest(), md5.hexdigest(), size_bytes)

    def set_aside(self, place: Path) -> None:
        """The file is among the instances no more, and kept aside, whatever it is."""
        self._refuse_if_read_only()
        _make_durable_directories(self._aside)
        # of a name that may have been set aside before
        place.replace(self._aside / f"{place.name}.{secrets.token_hex(4)}")
        _sync_directory(self._aside)
        _sync_directory(place.parent)

    def aside_places(self, name: str = "") -> list[Path]:
        """The files that were set aside and wait for a person; of one name if it is given."""
        return list(self._aside.glob(f"{name}*")) if self._aside.is_dir() else []

    def check_floor(self, coming_bytes: int = 0) -> None:
        """Raises StoreFull if less than the floor is free, or would be with so many bytes more."""
        free_bytes = shutil.disk_usage(self.spool_directory).free
        if free_bytes - coming_bytes < self._floor_bytes:
            raise StoreFull("the store is full", free_bytes=free_bytes, floor_bytes=self._floor_bytes)

    def room(self) -> tuple[int, int, int]:
        """Bytes of the file system in all, those that are free, and those of them that are kept so."""
        usage = shutil.disk_usage(self.directory)
        return usage.total, usage.free, self._floor_bytes

    def is_whole(self, key: str) -> bool:
        """Whether the instance is kept, complete."""
        try:
            self.open(key).close()
        except (NotFound, Damaged):
            return False
        return True

    def place_of(self, key: str) -> Path:
        """Where the instance of a key is or would be."""
        # Without a secret the name of a file would tell whoever holds the disk that a file he knows is on it.
        return self.place_of_name(hmac.digest(self._naming, bytes.fromhex(key), "sha256").hex() if self.keys else key)

    def place_of_name(self, name: str) -> Path:
        """Where the kept file of a name is or would be."""
        return self._instances / name[:2] / name[2:4] / name

    def _refuse_if_read_only(self) -> None:
        if self._is_read_only:
            raise Conflict("another node keeps this store", key="only-draws")


def open_store(settings: StoreSettings) -> InstanceStore:
    """The store of these settings; its directories are made, unless it is only read.

    Raises SettingsError for a key file that cannot be used, and where there is no store to read.
    """
    keys = MasterKeys.from_file(settings.key_file) if settings.key_file else None
    return InstanceStore(settings.directory, keys, settings.floor_bytes, is_read_only=settings.is_read_only)


def open_spooled(reference: SpoolReference) -> InstanceReader:
    """The bytes of a spooled file that has ended, in this or another process."""
    descriptor = os.open(reference.path, os.O_RDONLY)
    if reference.data_key is None:
        return _Reader(descriptor, None)
    return _Reader(descriptor, SealedReader(descriptor, reference.data_key, reference.size_bytes))


class _Reader:
    """A file descriptor, read as it is or through the seal."""

    def __init__(self, descriptor: int, sealed: SealedReader | None) -> None:
        self._descriptor = descriptor
        self.sealed = sealed
        self.size_bytes = sealed.size_bytes if sealed else os.fstat(descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        if self._descriptor < 0:
            raise ValueError("the instance is closed")
        if self.sealed:
            return self.sealed.read_at(offset, length)
        return read_exactly_at(self._descriptor, length, offset)

    def read_into(self, offset: int, into: memoryview) -> int:
        if self._descriptor < 0:
            raise ValueError("the instance is closed")
        if self.sealed:
            return self.sealed.read_into(offset, into)
        return fill_from(self._descriptor, into, offset)

    def read_all(self) -> bytes:
        return self.read_at(0, self.size_bytes)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _refuse_unlike_store(directory: Path, *, is_sealed: bool) -> None:
    """Returns if a store that is sealed, or is not, lies in a directory. Raises SettingsError."""
    if not (directory / "instances").is_dir():
        raise SettingsError(f"{directory} is no store of instances: is it mounted?")
    if (directory / "naming").is_file() != is_sealed:
        words = ("is not sealed, and a key is named", "is sealed, and no key is named")
        raise SettingsError(f"the store in {directory} {words[not is_sealed]}")


def _naming_secret(path: Path, keys: MasterKeys) -> bytes:
    if not path.exists():
        draft = path.with_name(f"naming.{secrets.token_hex(8)}")
        with open(draft, "xb", opener=_private) as file:
            file.write(keys.new_head()[0])
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, does not replace what another process put there a moment ago.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
        _sync_directory(path.parent)
    return keys.opened_head(path.read_bytes())[0]


@contextlib.contextmanager
def _locked(file: Path, how: int) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)  # ends the lock too


def _removed_if_left(path: Path) -> bool:
    """Whether a spooled file had no owner, whose lock ends with the process, and is gone now."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False  # it ended since it was listed
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _directories_in(directory: Path) -> list[Path]:
    return [Path(entry.path) for entry in os.scandir(directory) if entry.is_dir()]


@contextlib.contextmanager
def _room_or_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull("the store is full") from error
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_directories(path: Path) -> int:
    """The directory is there; how many were missing, it and those above it. The one above these must be made durable too."""
    if path.is_dir():
        return 0
    made = _make_directories(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    return made + 1


def _make_durable_directories(path: Path) -> None:
    """The directory is there and stays there, and so do those above it that were missing."""
    for directory in path.parents[: _make_directories(path)]:
        _sync_directory(directory)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
