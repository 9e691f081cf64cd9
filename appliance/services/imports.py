"""A folder of files, however deep, and ZIP files, through the road of every other instance.

Nothing is ever written under a name from an archive: members are streamed into the spool. Their sizes are bounded by what is
really read, not by what the archive says.
"""

from __future__ import annotations

import asyncio
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from appliance.domain.errors import ApplianceError, NotDicom, TooLarge
from appliance.domain.preamble import PREAMBLE_BYTES, PREFIX
from appliance.services.ingest import Sender

_AT_ONCE = 4
"""Files under way: one is parsed while others wait for the disk."""
_PIECE_BYTES = 1024 * 1024
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
"""Of a member, and of an archive without any."""
ARCHIVE_START_BYTES = PREAMBLE_BYTES + len(PREFIX)
"""So much of a file tells whether it is an archive."""
_LARGEST_DIRECTORY_BYTES = 16 * 1024 * 1024
"""Of an archive: zipfile reads it at once, and makes an object of every entry of 46 bytes or more."""
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The others, which no CD uses, are inflated without a bound: a kilobyte of bzip2 may be 20 MB."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What one archive may be."""

    unpacked_bytes: int = 64 * 1024**3
    """Of all members together, as they are read."""
    members: int = 100_000


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file, or of one member of an archive."""

    name: str
    """Path below the folder; for a member ``archive.zip/path``. Only ever shown."""
    outcome: Literal["stored", "already-there", "ignored", "refused"]
    """``ignored`` is a DICOMDIR: it lists the files of a CD, which come in by themselves."""
    key: str | None = None
    """Of the refusal."""
    message: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    instance_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """One more file or member is done."""

    last: FileOutcome
    files_done: int
    files: int
    """Files of the folder; an archive counts once, when its last member is done."""


@dataclass(slots=True)
class Tally:
    """How many of each, and every refusal."""

    stored: int = 0
    already_there: int = 0
    ignored: int = 0
    refused: list[FileOutcome] = field(default_factory=list)

    def add(self, outcome: FileOutcome) -> None:
        if outcome.outcome == "refused":
            self.refused.append(outcome)
        elif outcome.outcome == "stored":
            self.stored += 1
        elif outcome.outcome == "ignored":
            self.ignored += 1
        else:
            self.already_there += 1

    def reasons(self) -> list[tuple[str, int]]:
        """Each reason with how often it came, the most frequent first."""
        return Counter(outcome.message or "" for outcome in self.refused).most_common()


async def import_folder(
    sender: Sender, folder: Path, limits: ArchiveLimits = ArchiveLimits()
) -> AsyncIterator[Progress]:
    """Everything below ``folder`` (or one file), reported file by file as it is done, in no order. Links are not followed.

    A file that is refused never ends the import; a full store does (StoreFull).
    """
    files = await asyncio.to_thread(lambda: sorted(_files_below(folder)))
    done: asyncio.Queue[FileOutcome | Path | BaseException] = asyncio.Queue(maxsize=64)
    waiting = iter(files)

    async def work() -> None:
        for path in waiting:
            try:
                async for outcome in _outcomes(sender, path, _name_below(folder, path), limits):
                    await done.put(outcome)
            except Exception as error:  # whatever it is, whoever waits for the outcomes has to hear it
                await done.put(error)
                return
            await done.put(path)

    workers = [asyncio.create_task(work()) for _ in range(_AT_ONCE)]
    files_done = 0
    try:
        while files_done < len(files):
            event = await done.get()
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, Path):
                files_done += 1
            else:
                yield Progress(event, files_done, len(files))
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def import_archive(
    sender: Sender, file: IO[bytes], limits: ArchiveLimits = ArchiveLimits(), *, within: str = ""
) -> AsyncIterator[FileOutcome]:
    """One outcome for each member of a ZIP file, in its order; their names begin with ``within``.

    Raises NotDicom (``archive-damaged``) and TooLarge (``archive-too-large``) for what is wrong with the whole of it, before any
    member; and StoreFull, after some perhaps, which are kept.
    """
    try:
        archive = await asyncio.to_thread(zipfile.ZipFile, _Bounded(file))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise NotDicom("the ZIP file is damaged", key="archive-damaged") from None
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > limits.members:
            raise TooLarge(f"a ZIP file of more than {limits.members} files", key="archive-too-large")
        unpacking = _Unpacking(limits.unpacked_bytes)
        for member in members:
            yield await _import_member(sender, archive, member, within + _printable(member.filename), unpacking)


class _Bounded:
    """A file as zipfile needs one, which refuses to read a directory that would fill the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, _LARGEST_DIRECTORY_BYTES + 1) if size >= 0 else _LARGEST_DIRECTORY_BYTES + 1)
        if len(data) > _LARGEST_DIRECTORY_BYTES:
            raise TooLarge("a ZIP file whose directory is too large", key="archive-too-large")
        return data


@dataclass(slots=True)
class _Unpacking:
    """How much an archive may still unpack to."""

    left_bytes: int

    def take(self, size_bytes: int) -> None:
        self.left_bytes -= size_bytes
        self.check()

    def check(self) -> None:
        if self.left_bytes < 0:
            raise TooLarge("the ZIP file unpacks to too much", key="archive-too-large")


async def _outcomes(sender: Sender, path: Path, name: str, limits: ArchiveLimits) -> AsyncIterator[FileOutcome]:
    """Of a file: one; of an archive: one for each member, or a refusal of the archive."""
    try:
        with await asyncio.to_thread(path.open, "rb") as file:
            if not await asyncio.to_thread(_is_archive, file):
                yield await _import_one(sender, file, name)
                return
            async for outcome in import_archive(sender, file, limits, within=f"{name}/"):
                yield outcome
    except OSError as error:
        yield FileOutcome(name, "refused", "unreadable-file", f"The file cannot be read: {error.strerror}")
    except (NotDicom, TooLarge) as error:
        yield _refused(name, error)


async def _import_member(
    sender: Sender, archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, unpacking: _Unpacking
) -> FileOutcome:
    if member.compress_type not in _METHODS:
        return FileOutcome(name, "refused", "archive-method", "This member of the ZIP file is packed in an unusual way")
    try:
        unpacking.check()
        with await asyncio.to_thread(archive.open, member) as file:
            return await _import_one(sender, file, name, unpacking)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError):
        return FileOutcome(name, "refused", "archive-damaged", "This member of the ZIP file is damaged")
    except RuntimeError:  # what zipfile raises for a password
        return FileOutcome(name, "refused", "archive-encrypted", "This member of the ZIP file needs a password")
    except TooLarge as error:
        return _refused(name, error)


async def _import_one(sender: Sender, file: IO[bytes], name: str, unpacking: _Unpacking | None = None) -> FileOutcome:
    """The outcome of a file, or of a member of an archive."""
    try:
        async with sender.receive() as reception:
            piece = await asyncio.to_thread(file.read, _PIECE_BYTES)
            if unpacking and looks_like_archive(piece):
                raise NotDicom("an archive in an archive is not opened", key="nested-archive")
            while piece:
                if unpacking:
                    unpacking.take(len(piece))
                await reception.write(piece)
                piece = await asyncio.to_thread(file.read, _PIECE_BYTES)
            stored = await reception.finish()
    except ApplianceError as error:
        if error.key in _ENDING:
            raise
        return _refused(name, error)
    return FileOutcome(
        name,
        stored.outcome,
        study_uid=stored.study_uid,
        series_uid=stored.series_uid,
        instance_uid=stored.instance_uid,
    )


def _refused(name: str, error: ApplianceError) -> FileOutcome:
    return FileOutcome(name, "ignored" if error.key == "dicomdir" else "refused", error.key, error.message)


_ENDING = frozenset({"store-full", "database-away", "database-busy", "helper-away"})
"""What is no fault of the file: the next one would meet it too."""


def _is_archive(file: IO[bytes]) -> bool:
    start = file.read(ARCHIVE_START_BYTES)
    file.seek(0)
    return looks_like_archive(start)


def looks_like_archive(start: bytes) -> bool:
    """Whether a file that begins so is a ZIP file, and not a DICOM file whose preamble is that of one (PS3.10 §7.1)."""
    return start.startswith(_ZIP_STARTS) and start[PREAMBLE_BYTES:ARCHIVE_START_BYTES] != PREFIX


def _files_below(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
        return
    for directory, _, names in os.walk(folder):
        yield from (path for name in names if (path := Path(directory, name)).is_file() and not path.is_symlink())


def _name_below(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder)) if path != folder else path.name


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)[:255]
