"""The audit trail: events in a table that only grows, each sealed to the one before it.

    hash of a record = SHA-256(hash of the record before it, the record as JSON)

A record is written in the transaction of what it tells of: neither is there without the other. Whoever writes takes the row
of the chain's head first, so that records of several processes stand one after the other, on every engine. Each room of the
appliance that audits has a chain of its own, numbered from 1 without gaps.

A chain proves that nothing was changed, taken out or moved *before* a record that is known to be right. That record is the head;
it is kept in the database too, and outside of it by ``AuditAnchor``: a database alone could be written anew, chain and head.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Literal

import msgspec
from peewee import BigIntegerField, CompositeKey, TextField

from appliance.domain.audit import Event
from appliance.domain.errors import Damaged
from appliance.storage.database import Database, Migration, Table, Transaction

_ROWS_AT_ONCE = 1000


class AuditRow(Table):
    room = TextField()
    sequence = BigIntegerField()
    at = TextField()
    actor_kind = TextField()
    actor_id = TextField()
    actor_name = TextField()
    address = TextField()
    action = TextField()
    subject_kind = TextField()
    subject_uid = TextField()
    study_uid = TextField()
    outcome = TextField()
    reason = TextField()
    instances = BigIntegerField()
    size_bytes = BigIntegerField()
    hash = TextField()

    class Meta:
        table_name = "audit"
        primary_key = CompositeKey("room", "sequence")


class AuditHeadRow(Table):
    """The last record of a room; who writes the next one takes this row first."""

    room = TextField(primary_key=True)
    sequence = BigIntegerField()
    hash = TextField()

    class Meta:
        table_name = "audit_head"


class ToldAboveRow(Table):
    """The last head of a room that was put into its outbox."""

    room = TextField(primary_key=True)
    sequence = BigIntegerField()
    hash = TextField()

    class Meta:
        table_name = "audit_told_above"


MIGRATIONS = (
    Migration(1, "audit trail", lambda tx: tx.create_tables(AuditRow, AuditHeadRow)),
    Migration(2, "heads that went up", lambda tx: tx.create_tables(ToldAboveRow)),
)

_SEALED = (
    "room", "sequence", "at", "actor_kind", "actor_id", "actor_name", "address", "action", "subject_kind", "subject_uid",
    "study_uid", "outcome", "reason", "instances", "size_bytes",
)  # fmt: skip
"""The columns that the hash covers, in the order of its JSON array: all but the hash itself."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last record that is known to be right."""

    sequence: int
    hash: str
    """SHA-256, hexadecimal."""


NOTHING = Head(0, "")
"""The head of a chain without a record."""


def record(tx: Transaction, room: str, event: Event) -> Head:
    """The event is on record when the transaction is; the head of the chain with it."""
    # The update comes before the look: it makes others wait, or collide and repeat, who would read the same head.
    if not tx.execute(AuditHeadRow.update(sequence=AuditHeadRow.sequence + 1).where(AuditHeadRow.room == room)):
        tx.insert(AuditHeadRow, room=room, sequence=1, hash=NOTHING.hash)
    before = _head(tx, room)  # its number is the new one by now, its hash the old one
    values = _values(room, before.sequence, event)
    head = Head(before.sequence, _hash(before.hash, [values[name] for name in _SEALED]))
    tx.insert(AuditRow, **values, hash=head.hash)
    tx.execute(AuditHeadRow.update(hash=head.hash).where(AuditHeadRow.room == room))
    return head


def record_count(tx: Transaction, room: str) -> int:
    return tx.count(AuditRow.select().where(AuditRow.room == room))


def untold_head(tx: Transaction, room: str) -> Head | None:
    """The head, if it is another than was told last; it counts as told when the transaction is done."""
    head = _head(tx, room)
    told = tx.first(ToldAboveRow.select().where(ToldAboveRow.room == room))
    if head == NOTHING or (told is not None and (told.sequence, told.hash) == (head.sequence, head.hash)):
        return None
    values = {"sequence": head.sequence, "hash": head.hash}
    if told is None:
        tx.insert(ToldAboveRow, room=room, **values)
    else:
        tx.execute(ToldAboveRow.update(**values).where(ToldAboveRow.room == room))
    return head


def _values(room: str, sequence: int, event: Event) -> dict[str, str | int]:
    actor, subject = event.actor, event.subject
    return {
        "room": room,
        "sequence": sequence,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_kind": str(actor.kind),
        "actor_id": actor.id,
        "actor_name": actor.name,
        "address": actor.address,
        "action": str(event.action),
        "subject_kind": subject.kind,
        "subject_uid": subject.uid,
        "study_uid": subject.study_uid,
        "outcome": str(event.outcome),
        "reason": event.reason,
        "instances": event.instances,
        "size_bytes": event.size_bytes,
    }


def _hash(before: str, sealed: list[str | int]) -> str:
    return hashlib.sha256(bytes.fromhex(before) + msgspec.json.encode(sealed)).hexdigest()


# Outside of the database


class AuditAnchor:
    """A small file with the newest head of one room, beside the database and not in it. Any number of processes write it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def head(self) -> Head:
        """The head as it was noted last. Raises Damaged for a file that is not ours."""
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=Head)
        except FileNotFoundError:
            return NOTHING
        except msgspec.DecodeError as error:
            raise Damaged(f"{self.file} is not the head of an audit trail", key="audit-anchor") from error

    def advance(self, head: Head) -> None:
        """The file says this head, durably, unless it says a later one already."""
        with self._alone():
            if self.head().sequence >= head.sequence:
                return
            new = self.file.with_name(f"{self.file.name}.new")
            with new.open("wb") as file:
                file.write(msgspec.json.encode(head))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.file)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.with_name(f"{self.file.name}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


# Whether it is as it was written

Break = Literal["changed", "missing", "moved", "cut", "added", "rewritten"]


@dataclass(frozen=True, slots=True)
class Fault:
    """The first record that is not as it was written; nothing after it is proven."""

    kind: Break
    sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What a walk along a chain found."""

    room: str
    records: int
    """That are as they were written, from the first on."""
    head: Head
    fault: Fault | None
    heads_above: int = 0
    """That went up at some time, and that the chain was compared with."""


def walk(
    database: Database,
    room: str,
    anchor: Head = NOTHING,
    on_records: Callable[[int], object] = lambda count: None,
    above: Sequence[Head] = (),
) -> Proof:
    """The chain from its first record to its head, in pieces, beside processes that write to it.

    ``anchor`` is a head that was noted outside of the database, ``above`` are those that the appliance above keeps.
    """
    # The head is looked at first, so that records which come meanwhile are not taken for strangers.
    known = database.read(lambda tx: _head(tx, room))
    noted: dict[int, set[str]] = {}
    for head in (known, anchor, *above):
        noted.setdefault(head.sequence, set()).add(head.hash)
    last = NOTHING
    while rows := database.read(lambda tx, after=last.sequence: _after(tx, room, after)):  # type: ignore[misc]
        for row in rows:
            fault = _fault(database, room, row, last, noted)
            if fault is not None:
                return Proof(room, last.sequence, last, fault, len(above))
            last = Head(row.sequence, row.hash)
        on_records(len(rows))
    fault = _end_fault(database, room, last, max(noted))
    return Proof(room, fault.sequence - 1 if fault else last.sequence, last, fault, len(above))


def _after(tx: Transaction, room: str, sequence: int) -> list[AuditRow]:
    return tx.rows(
        AuditRow.select()
        .where((AuditRow.room == room) & (AuditRow.sequence > sequence))
        .order_by(AuditRow.sequence)
        .limit(_ROWS_AT_ONCE)
    )


def _head(tx: Transaction, room: str) -> Head:
    row = tx.first(AuditHeadRow.select().where(AuditHeadRow.room == room))
    return NOTHING if row is None else Head(row.sequence, row.hash)


def _fault(database: Database, room: str, row: AuditRow, last: Head, noted: Mapping[int, set[str]]) -> Fault | None:
    """What is wrong with the record that follows ``last``."""
    expected = last.sequence + 1
    if row.sequence != expected:
        return Fault("missing", expected, f"record {expected} is missing; the next that is there is {row.sequence}")
    if not _follows(row, expected, last.hash):
        stands_at = _found_elsewhere(database, room, expected, last.hash)
        if stands_at is not None:
            return Fault("moved", expected, f"the record that was {expected} stands at {stands_at}")
        return Fault("changed", expected, f"record {expected} is not what was written there")
    if noted.get(expected, set()) - {row.hash}:
        return Fault(
            "rewritten", expected, f"record {expected} is sound in itself, and not the one that was noted as head"
        )
    return None


def _follows(row: AuditRow, sequence: int, before: str) -> bool:
    sealed = [sequence if name == "sequence" else getattr(row, name) for name in _SEALED]
    return bool(_hash(before, sealed) == row.hash)


def _found_elsewhere(database: Database, room: str, sequence: int, before: str) -> int | None:
    """Where the record stands that was written as ``sequence``, if it was only moved."""
    after = sequence
    while rows := database.read(lambda tx, after=after: _after(tx, room, after)):  # type: ignore[misc]
        for row in rows:
            if _follows(row, sequence, before):
                return int(row.sequence)
        after = rows[-1].sequence
    return None


def _end_fault(database: Database, room: str, last: Head, furthest: int) -> Fault | None:
    """What is wrong after the last record: the trail may be neither longer nor shorter than its heads say, of which
    ``furthest`` is the last."""
    if last.sequence < furthest:
        return Fault("cut", last.sequence + 1, f"the trail ends after {last.sequence} of {furthest} records")
    now = database.read(lambda tx: _head(tx, room))
    if now.sequence < last.sequence:
        return Fault(
            "added", now.sequence + 1, f"there are records up to {last.sequence}, the head says {now.sequence}"
        )
    return None
