"""What is in a snapshot: each file with its size, its time and, where it is read, its SHA-256.

Instances are written once, so of the many only those are read that are new or changed since a snapshot that was compared
before; all others must be there with the same size and time. Two manifests are compared while they come, in the order of
``walk``.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from zfs.running import Refusal


class Entry(NamedTuple):
    """A file of a snapshot."""

    path: str
    """From the data set's own root; bytes that are not UTF-8 as Python's file system encoding has them."""
    size_bytes: int
    modified_ns: int
    sha256: str | None
    """None where it was not read, being as it was in the snapshot before."""

    @property
    def place(self) -> tuple[str, ...]:
        """By which entries are in order: a folder's files and folders by name, each folder with all below it."""
        return tuple(self.path.split("/"))


@dataclass(frozen=True)
class Difference:
    """A file that is not the same on both sides."""

    path: str
    what: str


@dataclass
class Comparison:
    """What a comparison found, and a hash of all that it looked at on the first side."""

    files: int = 0
    files_read: int = 0
    bytes_read: int = 0
    differences: int = 0
    first_differences: tuple[Difference, ...] = ()
    digest: str = ""

    @property
    def is_equal(self) -> bool:
        return self.differences == 0


def walk(root: Path, before: Path | None = None) -> Iterator[Entry]:
    """All files below ``root``, in order; those that are in ``before`` with the same size and time are not read.

    Refusal for what is neither a file nor a folder, which the appliance never makes.
    """
    yield from _walk(root, before, "")


def _walk(root: Path, before: Path | None, inside: str) -> Iterator[Entry]:
    with os.scandir(root / inside) as listed:
        found = sorted(listed, key=lambda entry: entry.name)
    for entry in found:
        path = f"{inside}/{entry.name}" if inside else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, before, path)
        elif entry.is_file(follow_symlinks=False):
            now = entry.stat(follow_symlinks=False)
            is_known = before is not None and _is_as_before(before / path, now)
            yield Entry(path, now.st_size, now.st_mtime_ns, None if is_known else _sha256(root / path))
        else:
            raise Refusal(f"{path!r} is neither a file nor a folder")


def _is_as_before(file: Path, now: os.stat_result) -> bool:
    try:
        then = file.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(then.st_mode) and (then.st_size, then.st_mtime_ns) == (now.st_size, now.st_mtime_ns)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_line(entry: Entry) -> str:
    """An entry as one line of JSON."""
    return json.dumps(entry)


def read_lines(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of lines that ``write_line`` wrote."""
    for line in lines:
        yield Entry(*json.loads(line))


def compare(first: Iterable[Entry], second: Iterable[Entry], *, named: int = 20) -> Comparison:
    """Both sides, entry by entry; at most ``named`` differences are kept by name."""
    outcome, digest = Comparison(), hashlib.sha256()
    differences: list[Difference] = []
    for ours, theirs in _side_by_side(first, second):
        if ours is not None:
            outcome.files += 1
            digest.update(write_line(ours).encode() + b"\n")
            if ours.sha256 is not None:
                outcome.files_read += 1
                outcome.bytes_read += ours.size_bytes
        if ours != theirs:
            outcome.differences += 1
            if len(differences) < named:
                differences.append(_difference(ours, theirs))
    outcome.first_differences = tuple(differences)
    outcome.digest = digest.hexdigest()
    return outcome


def _difference(ours: Entry | None, theirs: Entry | None) -> Difference:
    if theirs is None:
        assert ours is not None
        return Difference(ours.path, "is not in the copy")
    if ours is None:
        return Difference(theirs.path, "is only in the copy")
    if ours.size_bytes != theirs.size_bytes:
        return Difference(ours.path, f"has {ours.size_bytes} bytes, and {theirs.size_bytes} in the copy")
    if ours.modified_ns != theirs.modified_ns:
        return Difference(ours.path, "has another time in the copy")
    return Difference(ours.path, "has other bytes in the copy")


def _side_by_side(first: Iterable[Entry], second: Iterable[Entry]) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Pairs of the same path, or one alone; both sides are in order."""
    left, right = iter(first), iter(second)
    ours, theirs = next(left, None), next(right, None)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and ours.place < theirs.place):
            yield ours, None
            ours = next(left, None)
        elif ours is None or theirs.place < ours.place:
            yield None, theirs
            theirs = next(right, None)
        else:
            yield ours, theirs
            ours, theirs = next(left, None), next(right, None)
