"""The rows of the toplevel that an institution needs, told and kept: the same tables at both ends, compared row by row.

A subject travels with all its rows in all its tables, so what is added to a table is told without anything being said here. An
institution whose toplevel is elsewhere keeps them in its own database, in tables of the same names, and never writes to them
but by what it is told; so a database is either a toplevel's or has a copy, and is refused as the other.

Functions here take a ``Transaction``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from peewee import BigIntegerField, BlobField, CharField, DateField, DateTimeField, UUIDField

from appliance.domain.changes import Feed, FeedCursor, Plain, SubjectKind, SubjectNow
from appliance.domain.errors import SettingsError
from appliance.domain.identifiers import InstitutionId
from appliance.storage import feed
from appliance.storage.database import Migration, Table, Transaction
from appliance.storage.feed import Followed
from appliance.storage.toplevel import (
    AccountRow,
    InstitutionRow,
    NodeRow,
    PatientIdentityRow,
    PatientInstitutionRow,
    PatientRow,
    PatientWordRow,
)

_AT_ONCE = 200
"""Subjects of one answer."""
_ROOM = "toplevel"

TABLES: dict[SubjectKind, tuple[Any, ...]] = {
    SubjectKind.ACCOUNT: (AccountRow.id,),
    SubjectKind.INSTITUTION: (InstitutionRow.id, NodeRow.institution_id),
    SubjectKind.PATIENT: (
        PatientRow.id,
        PatientWordRow.patient_id,
        PatientIdentityRow.patient_id,
        PatientInstitutionRow.patient_id,
    ),
}
"""Where the rows of a subject are, and the column that says whose they are.

Who was merged into a patient is none of it: that is heard by ``services.patient_news``, which moves what was theirs, also where
the toplevel is in the same process and there is no copy.
"""


class CopyRow(Table):
    """How far the copy goes; its table is what tells a copy from a toplevel."""

    role = CharField(max_length=16, primary_key=True)
    number = BigIntegerField()
    epoch = UUIDField(null=True)
    heard_at = DateTimeField(null=True)

    class Meta:
        table_name = "copy"


MIGRATIONS = (Migration(1, "a copy of the toplevel's rows", lambda tx: tx.create_tables(CopyRow)),)


def refuse_copy(tx: Transaction) -> None:
    """Returns if the database can be a toplevel's; SettingsError where it has a copy."""
    if tx.has_table(CopyRow._meta.table_name):
        raise SettingsError(
            "toplevel.database: is that of an institution, which keeps a copy of its toplevel's rows in it"
        )


def refuse_toplevel(tx: Transaction) -> None:
    """Returns if the database can have a copy; SettingsError where it is a toplevel's."""
    if tx.has_table(AccountRow._meta.table_name) and not tx.has_table(CopyRow._meta.table_name):
        raise SettingsError(
            "institution.database: is that of a toplevel; an institution with a parent needs one of its own"
        )


# The toplevel's side


def begin(tx: Transaction, institution_id: InstitutionId) -> None:
    """The institution has a feed, which begins with all that it needs."""
    if feed.cursor(tx, institution_id) is None:
        feed.begin(tx, institution_id, list(_needed(tx, institution_id)))


def _needed(tx: Transaction, institution_id: InstitutionId) -> Iterator[Followed]:
    """The directory first, then who works there, then whom it holds something of."""
    wanted = (
        (SubjectKind.INSTITUTION, InstitutionRow.select(InstitutionRow.id)),
        (SubjectKind.ACCOUNT, AccountRow.select(AccountRow.id).where(AccountRow.institution_id == institution_id)),
        (
            SubjectKind.PATIENT,
            PatientInstitutionRow.select(PatientInstitutionRow.patient_id).where(
                PatientInstitutionRow.institution_id == institution_id
            ),
        ),
    )
    for kind, query in wanted:
        for (subject_id,) in tx.rows(query.tuples()):
            yield Followed(kind, subject_id)


def told(tx: Transaction, institution_id: InstitutionId, after: FeedCursor) -> Feed | None:
    """What comes after a cursor; None where the feed has not begun. A cursor of another beginning, or beyond the end, is as 0."""
    end = feed.cursor(tx, institution_id)
    if end is None:
        return None
    is_from_start = after.epoch != end.epoch or after.number > end.number
    number = 0 if is_from_start else after.number
    followed = feed.after(tx, institution_id, number, limit=_AT_ONCE)
    reached = followed[-1][0] if followed else number
    subjects = tuple(_now(tx, institution_id, [one for _, one in followed]))
    return Feed(subjects, FeedCursor(reached, end.epoch), feed.count_after(tx, institution_id, reached), is_from_start)


def _now(tx: Transaction, institution_id: InstitutionId, followed: Sequence[Followed]) -> Iterator[SubjectNow]:
    rows = {one: dict[str, list[dict[str, Plain]]]() for one in followed}
    for kind, columns in TABLES.items():
        ids = [one.subject_id for one in followed if one.kind == kind]
        for column in columns if ids else ():
            for row in tx.rows(column.model.select().where(column << ids)):
                table, subject = column.model._meta.table_name, Followed(kind, getattr(row, column.name))
                rows[subject].setdefault(table, []).append(_plain(row))
    for one in followed:
        yield SubjectNow(one.kind, one.subject_id, rows[one] if _is_for(institution_id, one, rows[one]) else {})


def _is_for(institution_id: InstitutionId, one: Followed, rows: dict[str, list[dict[str, Plain]]]) -> bool:
    """Of accounts an institution knows those of its own people, and nobody's who works elsewhere by now."""
    if one.kind is not SubjectKind.ACCOUNT:
        return True
    return any(row["institution_id"] == str(institution_id) for row in rows.get(AccountRow._meta.table_name, ()))


# The institution's side


@dataclass(frozen=True, slots=True)
class CopyState:
    cursor: FeedCursor
    heard_at: datetime | None
    """When the toplevel answered last; None before the first time."""


def state(tx: Transaction) -> CopyState:
    row = tx.first(CopyRow.select().where(CopyRow.role == _ROOM))
    if row is None:
        return CopyState(FeedCursor(), None)
    return CopyState(FeedCursor(row.number, row.epoch), row.heard_at.replace(tzinfo=UTC) if row.heard_at else None)


def take(tx: Transaction, heard: Feed) -> None:
    """The copy is as it was told."""
    if heard.is_from_start:
        for columns in TABLES.values():
            for column in columns:
                tx.execute(column.model.delete())
    for subject in heard.subjects:
        for column in TABLES[subject.kind]:
            tx.execute(column.model.delete().where(column == subject.id))
            for row in subject.rows.get(column.model._meta.table_name, ()):
                _put(tx, column.model, row)


def note_heard(tx: Transaction, cursor: FeedCursor, at: datetime) -> None:
    """The toplevel has answered, and the copy goes so far."""
    values = {"number": cursor.number, "epoch": cursor.epoch, "heard_at": at.astimezone(UTC).replace(tzinfo=None)}
    if not tx.execute(CopyRow.update(**values).where(CopyRow.role == _ROOM)):
        tx.insert(CopyRow, role=_ROOM, **values)


def _put(tx: Transaction, table: Any, row: dict[str, Plain]) -> None:
    """The row stands instead of any that has the same key: what it was of another subject is told later."""
    values = {
        field: _kept(field, row[field.column_name]) for field in table._meta.sorted_fields if field.column_name in row
    }
    keys = [table._meta.primary_key.field_names if table._meta.composite_key else (table._meta.primary_key.name,)]
    keys += [(field.name,) for field in table._meta.sorted_fields if field.unique]
    for key in keys:
        is_same = [field == values[field] for field in values if field.name in key]
        tx.execute(table.delete().where(*is_same))
    tx.execute(table.insert(values))


def _plain(row: Any) -> dict[str, Plain]:
    return {field.column_name: _travelling(getattr(row, field.name)) for field in row._meta.sorted_fields}


def _travelling(value: object) -> Plain:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    assert value is None or isinstance(value, str | int | bool), type(value)
    return value


def _kept(field: Any, value: Plain) -> object:
    """ValueError for text that is no value of the column."""
    if value is None or not isinstance(value, str):
        return value
    if isinstance(field, UUIDField):
        return UUID(value)
    if isinstance(field, DateTimeField):
        return datetime.fromisoformat(value)
    if isinstance(field, DateField):
        return date.fromisoformat(value)
    if isinstance(field, BlobField):
        return base64.b64decode(value)
    return value
