"""Names of data sets and snapshots, checked before a command sees them.

What is not of this form never reaches zfs(8): no option, no path, no second word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from zfs.running import Refusal

_PART = r"[A-Za-z][A-Za-z0-9_.-]{0,62}"
_DATA_SET = re.compile(rf"{_PART}(?:/[A-Za-z0-9][A-Za-z0-9_.-]{{0,62}})*")
_HOST = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_-]*@)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_TIME = "%Y%m%dT%H%M%SZ"
_SNAPSHOT = re.compile(r"appliance-(\d{8}T\d{6}Z)")


def data_set(text: str) -> str:
    """``text`` if it is the name of a pool or of a data set; Refusal else."""
    if not _DATA_SET.fullmatch(text) or len(text) > 200:
        raise Refusal(f"{text!r} is no name of a data set: letters, digits, - _ . and / between the parts")
    return text


def snapshot(taken: datetime) -> str:
    """The name of a snapshot of ours, without its data set; ``taken`` is aware. The part after @."""
    return f"appliance-{taken.astimezone(UTC):{_TIME}}"


def taken_at(name: str) -> datetime | None:
    """When the snapshot of this name was taken; None for one that is not ours."""
    found = _SNAPSHOT.fullmatch(name)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], _TIME).replace(tzinfo=UTC)
    except ValueError:  # a month of 13
        return None


@dataclass(frozen=True)
class Place:
    """A data set here, or on another box."""

    data_set: str
    host: str | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """POOL/NAME, or [ACCOUNT@]HOST:POOL/NAME; Refusal else."""
        host, colon, name = text.rpartition(":")
        if colon and not _HOST.fullmatch(host):
            raise Refusal(f"{host!r} is no name of a box: NAME or ACCOUNT@NAME")
        return cls(data_set(name), host if colon else None)

    def __str__(self) -> str:
        return f"{self.host}:{self.data_set}" if self.host else self.data_set
