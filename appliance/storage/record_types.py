"""Of which types records may be: what the toplevel says, and what an institution has heard of it.

Each change takes the next number of a feed, so that an institution asks for what came after the last that it has heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from peewee import BigIntegerField, BooleanField, TextField, UUIDField, fn

from appliance.domain.changes import RecordType, RecordTypes
from appliance.domain.listing import Part, PartWanted
from appliance.domain.people import folded
from appliance.storage.database import Table, Transaction, matches
from appliance.storage.listing import Sorting, literal, rows_of


class RecordTypeRow(Table):
    """At the toplevel."""

    id = UUIDField(primary_key=True)
    name = TextField()
    sort_name = TextField(unique=True)
    """Folded: no two types are told apart by marks or case only."""
    is_active = BooleanField()
    sequence = BigIntegerField(index=True)
    """Of its last change."""

    class Meta:
        table_name = "record_type"


class KnownRecordTypeRow(Table):
    """At an institution."""

    id = UUIDField(primary_key=True)
    name = TextField()
    is_active = BooleanField()

    class Meta:
        table_name = "known_record_type"


class HeardRow(Table):
    """How far the institution has heard: one row."""

    last = BigIntegerField(primary_key=True)

    class Meta:
        table_name = "record_types_heard"


SORTINGS = {"name": Sorting(RecordTypeRow.sort_name)}


@dataclass(frozen=True, slots=True)
class RecordTypeFilter:
    """Which types are meant; what is None is not asked for."""

    search: str | None = None
    """Part of the name; diacritics and case are folded."""
    is_active: bool | None = None


def create(tx: Transaction) -> None:
    tx.create_tables(RecordTypeRow)


def create_known(tx: Transaction) -> None:
    tx.create_tables(KnownRecordTypeRow, HeardRow)


# At the toplevel


def record_types(tx: Transaction, wanted: RecordTypeFilter, part: PartWanted) -> Part[RecordType]:
    """The types that fit. Raises ValueError for a place that is none of this list."""
    query = RecordTypeRow.select()
    if wanted.search is not None:
        query = query.where(matches(RecordTypeRow.sort_name, f"%{literal(folded(wanted.search))}%"))
    if wanted.is_active is not None:
        query = query.where(RecordTypeRow.is_active == wanted.is_active)
    total = tx.count(query)
    rows, end = rows_of(tx, query, RecordTypeRow.id, SORTINGS[part.sort], part)
    return Part(tuple(map(_record_type, rows)), end, total)


def has_name(tx: Transaction, name: str, *, beside: UUID | None = None) -> bool:
    """Whether there is a type of this name, ``beside`` one."""
    query = RecordTypeRow.select(RecordTypeRow.id).where(RecordTypeRow.sort_name == folded(name))
    return tx.value(query) not in (None, beside)


def add(tx: Transaction, added: RecordType) -> None:
    tx.insert(RecordTypeRow, id=added.id, **_values(tx, added))


def change(tx: Transaction, changed: RecordType) -> bool:
    """Whether there is such a type; it is as said."""
    return tx.execute(RecordTypeRow.update(**_values(tx, changed)).where(RecordTypeRow.id == changed.id)) > 0


def told_after(tx: Transaction, after: int, *, limit: int) -> RecordTypes:
    """What was made or changed after a number, the oldest change first.

    Of a number that was never given (this database is older than what the institution has heard of it) all there is.
    """
    last = int(tx.value(RecordTypeRow.select(fn.MAX(RecordTypeRow.sequence))) or 0)
    after = after if after <= last else 0
    query = RecordTypeRow.select().where(RecordTypeRow.sequence > after).order_by(RecordTypeRow.sequence)
    rows = tx.rows(query.limit(limit))
    heard = rows[-1].sequence if rows else after
    return RecordTypes(tuple(map(_record_type, rows)), heard, is_all=heard == last)


def _values(tx: Transaction, record_type: RecordType) -> dict[str, object]:
    return {
        "name": record_type.name,
        "sort_name": folded(record_type.name),
        "is_active": record_type.is_active,
        "sequence": tx.next_number(RecordTypeRow.sequence),
    }


def _record_type(row: Any) -> RecordType:  # Any: peewee has no types
    return RecordType(row.id, row.name, bool(row.is_active))


# At an institution


def known(tx: Transaction) -> tuple[RecordType, ...]:
    """In the order of their names."""
    rows = tx.rows(KnownRecordTypeRow.select())
    return tuple(sorted(map(_record_type, rows), key=lambda one: (folded(one.name), str(one.id))))


def heard(tx: Transaction) -> int:
    return int(tx.value(HeardRow.select(HeardRow.last)) or 0)


def keep(tx: Transaction, told: RecordTypes) -> None:
    """What the toplevel told is known from now on, and how far that was."""
    for one in told.types:
        tx.execute(KnownRecordTypeRow.delete().where(KnownRecordTypeRow.id == one.id))
        tx.insert(KnownRecordTypeRow, id=one.id, name=one.name, is_active=one.is_active)
    tx.execute(HeardRow.delete().where(HeardRow.last >= 0))
    tx.insert(HeardRow, last=told.last)
