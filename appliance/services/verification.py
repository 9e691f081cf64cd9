"""Reads every kept byte once more and compares it with what was noted when it came in.

Changes nothing and may run beside a server: what looks wrong is looked at once more while nobody else may touch it, and what was
deleted or came meanwhile is not wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from appliance.domain.errors import Damaged, NotFound
from appliance.domain.identifiers import InstanceUid
from appliance.storage import index
from appliance.storage.database import Database, Transaction
from appliance.storage.index import KeptRow
from appliance.storage.instances import InstanceStore
from appliance.storage.known_places import KnownPlaces

_ROWS_AT_ONCE = 500
_THREADS = 4
"""Digests are taken outside Python's lock; a disk has more than one request in its queue."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be."""

    kind: Literal["missing", "damaged", "orphaned"]
    file: str
    """Below the directory of the store."""
    reason: str
    instance_uid: InstanceUid | None = None
    key: str | None = None
    """SHA-256, as noted; of an orphan as found."""
    is_conflict: bool = False
    """Whether these are the other bytes of a conflict."""


@dataclass(slots=True)
class Verification:
    """What was read, and all that was wrong."""

    instances: int = 0
    conflicts: int = 0
    bytes_read: int = 0
    set_aside: int = 0
    """Files that a comparison at a start set aside; they wait for a person and are not read."""
    faults: list[Fault] = field(default_factory=list)


def row_count(database: Database) -> int:
    """How many rows there are to verify."""
    return database.read(lambda tx: index.instance_count(tx) + index.conflict_count(tx))


def verified(store: InstanceStore, database: Database, on_row: Callable[[], object]) -> Verification:
    """The outcome when all was read; ``on_row`` is called as each row is done, in this thread."""
    began = time.time()
    done, known = Verification(set_aside=len(store.aside_places())), KnownPlaces()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as threads:
        for rows in _pages(database):
            for row, wrong in zip(rows, threads.map(lambda row: _wrong(store, row), rows), strict=True):
                known.add(store.place_of(row.stored.key))
                done.conflicts += row.is_conflict
                done.instances += not row.is_conflict
                done.bytes_read += row.stored.size_bytes
                on_row()
                if wrong and (fault := _fault(store, database, row)):
                    done.faults.append(fault)
    for part in store.places():
        done.faults += filter(None, (_orphan(store, database, place) for place in known.others(part, began)))
    return done


def _pages(database: Database) -> Iterator[tuple[KeptRow, ...]]:
    for next_rows in (index.kept_after, index.kept_conflicts_after):
        last = ""
        while rows := database.read(_page(next_rows, last)):
            yield rows
            last = rows[-1].stored.key if rows[-1].is_conflict else rows[-1].instance_uid


def _page(next_rows: Callable[..., tuple[KeptRow, ...]], after: str) -> Callable[[Transaction], tuple[KeptRow, ...]]:
    return lambda tx: next_rows(tx, after, limit=_ROWS_AT_ONCE)


def _fault(store: InstanceStore, database: Database, row: KeptRow) -> Fault | None:
    """What is wrong with the bytes of a row when nobody may touch them, if anything still is."""
    place = store.place_of(row.stored.key)
    with store.holding_place(place):
        wrong = _wrong(store, row)
        if wrong is None or not database.read(lambda tx: index.is_held(tx, row.stored.key)):
            return None
    kind, reason = wrong
    return Fault(kind, _below(store, place), reason, row.instance_uid, row.stored.key, row.is_conflict)


def _wrong(store: InstanceStore, row: KeptRow) -> tuple[Literal["missing", "damaged"], str] | None:
    try:
        kept = store.examine(store.place_of(row.stored.key))
    except NotFound:
        return "missing", "the file is not there"
    except Damaged as error:
        return "damaged", error.message
    except OSError as error:
        return "damaged", f"the file cannot be read: {error.strerror}"
    if kept.size_bytes != row.stored.size_bytes:
        return "damaged", f"the file has {kept.size_bytes} bytes, expected {row.stored.size_bytes}"
    if kept.md5 != row.stored.md5:
        return "damaged", "the MD5 is not the one that was noted"
    return None


def _orphan(store: InstanceStore, database: Database, place: Path) -> Fault | None:
    """A file that no row refers to, if it is still one when nobody may touch it."""
    key: str | None = None
    with store.holding_place(place):
        try:
            key = store.examine(place).key
            reason = "no row refers to the file; the next start of the server indexes it"
        except NotFound:
            return None
        except Damaged as error:
            reason = f"no row refers to the file, and {error.message}"
        except OSError as error:
            reason = f"no row refers to the file, and it cannot be read: {error.strerror}"
        if key and database.read(lambda tx: index.is_held(tx, key)):
            return None
    return Fault("orphaned", _below(store, place), reason, key=key)


def _below(store: InstanceStore, place: Path) -> str:
    return str(place.relative_to(store.directory))
