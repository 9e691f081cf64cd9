"""A folder of files, however deep, and the ZIP files in it, through the road of every other instance.

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

from appliance.domain.errors import ApplianceError, NotDicom
from appliance.services.ingest import Ingest

_AT_ONCE = 4
"""Files under way: one is parsed while others wait for the disk."""
_PIECE_BYTES = 1024 * 1024
_MOST_MEMBERS = 200_000
_ZIP_START = b"PK\x03\x04"
_DICM = slice(128, 132)


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file, or of one member of an archive."""

    name: str
    """Path below the folder; for a member ``archive.zip/path``."""
    outcome: Literal["stored", "already-there", "refused"]
    key: str | None = None
    """Of the refusal."""
    message: str | None = None


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
    refused: list[FileOutcome] = field(default_factory=list)

    def add(self, outcome: FileOutcome) -> None:
        if outcome.outcome == "refused":
            self.refused.append(outcome)
        elif outcome.outcome == "stored":
            self.stored += 1
        else:
            self.already_there += 1

    def reasons(self) -> list[tuple[str, int]]:
        """Each reason with how often it came, the most frequent first."""
        return Counter(outcome.message or "" for outcome in self.refused).most_common()


async def import_folder(ingest: Ingest, folder: Path) -> AsyncIterator[Progress]:
    """Everything below ``folder`` (or one file), reported file by file as it is done, in no order. Links are not followed.

    A file that is refused never ends the import; a full store does (StoreFull).
    """
    files = await asyncio.to_thread(lambda: sorted(_files_below(folder)))
    done: asyncio.Queue[FileOutcome | Path | BaseException] = asyncio.Queue(maxsize=64)
    waiting = iter(files)

    async def work() -> None:
        for path in waiting:
            try:
                async for outcome in _outcomes(ingest, path, _name_below(folder, path)):
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


async def _outcomes(ingest: Ingest, path: Path, name: str) -> AsyncIterator[FileOutcome]:
    """Of a file: one; of an archive: one for each member, or a refusal of the archive."""
    try:
        with await asyncio.to_thread(path.open, "rb") as file:
            if not await asyncio.to_thread(_is_archive, file):
                yield await _import_one(ingest, file, name)
                return
            async for outcome in _members(ingest, file, name):
                yield outcome
    except OSError as error:
        yield FileOutcome(name, "refused", "unreadable-file", f"The file cannot be read: {error.strerror}")


async def _members(ingest: Ingest, file: IO[bytes], name: str) -> AsyncIterator[FileOutcome]:
    try:
        archive = await asyncio.to_thread(zipfile.ZipFile, file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        yield FileOutcome(name, "refused", "archive-damaged", "The ZIP file is damaged")
        return
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > _MOST_MEMBERS:
            yield FileOutcome(
                name, "refused", "archive-too-large", f"The ZIP file has more than {_MOST_MEMBERS} members"
            )
            return
        for member in members:
            yield await _import_member(ingest, archive, member, f"{name}/{_printable(member.filename)}")


async def _import_member(ingest: Ingest, archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> FileOutcome:
    try:
        with await asyncio.to_thread(archive.open, member) as file:
            return await _import_one(ingest, file, name, in_archive=True)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError):
        return FileOutcome(name, "refused", "archive-damaged", "This member of the ZIP file is damaged")
    except RuntimeError:  # what zipfile raises for a password
        return FileOutcome(name, "refused", "archive-encrypted", "This member of the ZIP file needs a password")


async def _import_one(ingest: Ingest, file: IO[bytes], name: str, *, in_archive: bool = False) -> FileOutcome:
    try:
        async with ingest.receive() as reception:
            piece = await asyncio.to_thread(file.read, _PIECE_BYTES)
            if in_archive and _looks_like_archive(piece):
                raise NotDicom("an archive in an archive is not opened", key="nested-archive")
            while piece:
                await reception.write(piece)
                piece = await asyncio.to_thread(file.read, _PIECE_BYTES)
            stored = await reception.finish()
    except ApplianceError as error:
        if error.key in _ENDING:
            raise
        return FileOutcome(name, "refused", error.key, error.message)
    return FileOutcome(name, stored.outcome)


_ENDING = frozenset({"store-full", "database-away", "database-busy", "helper-away"})
"""What is no fault of the file: the next one would meet it too."""


def _is_archive(file: IO[bytes]) -> bool:
    start = file.read(132)
    file.seek(0)
    return _looks_like_archive(start)


def _looks_like_archive(start: bytes) -> bool:
    """A ZIP file, and not a DICOM file whose preamble is that of one (PS3.10 §7.1)."""
    return start.startswith(_ZIP_START) and start[_DICM] != b"DICM"


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
