"""What was measured in pictures, written by the institution alone.

Functions here take a ``Transaction`` and return values of ``domain``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from peewee import BlobField, CharField, DateTimeField, DoubleField, IntegerField, TextField, UUIDField

from appliance.domain.identifiers import AccountId, InstanceUid, MeasurementId, SeriesUid, StudyUid
from appliance.domain.measurements import Drawn, Measurement
from appliance.domain.measuring import Kind, Point
from appliance.domain.reports import Writer
from appliance.storage.database import Table, Transaction


class MeasurementRow(Table):
    id = UUIDField(primary_key=True)
    study_uid = CharField(max_length=64, index=True)
    series_uid = CharField(max_length=64)
    instance_uid = CharField(max_length=64)
    frame = IntegerField()
    kind = CharField(max_length=16)
    points = BlobField()
    """(column, row) each, in MessagePack."""
    text = TextField()
    length_mm = DoubleField(null=True)
    revision = IntegerField()
    author_id = UUIDField()
    author_name = TextField()
    created_at = DateTimeField()
    changed_at = DateTimeField()

    class Meta:
        table_name = "measurement"


def create(tx: Transaction) -> None:
    tx.create_tables(MeasurementRow)


def add(tx: Transaction, new: Measurement) -> None:
    drawn = new.drawn
    tx.insert(
        MeasurementRow,
        id=new.id,
        study_uid=drawn.study_uid,
        series_uid=drawn.series_uid,
        instance_uid=drawn.instance_uid,
        frame=drawn.frame,
        kind=drawn.kind,
        revision=new.revision,
        author_id=new.author.id,
        author_name=new.author.name,
        created_at=_plain(new.created_at),
        changed_at=_plain(new.changed_at),
        **_changeable(drawn),
    )


def change(tx: Transaction, changed: Measurement) -> None:
    """What may be changed of it is as said: all but where it is, of which kind, and whose."""
    values = {"revision": changed.revision, "changed_at": _plain(changed.changed_at), **_changeable(changed.drawn)}
    tx.execute(MeasurementRow.update(**values).where(MeasurementRow.id == changed.id))


def remove(tx: Transaction, measurement_id: MeasurementId) -> None:
    tx.execute(MeasurementRow.delete().where(MeasurementRow.id == measurement_id))


def measurement(tx: Transaction, measurement_id: MeasurementId) -> Measurement | None:
    row = tx.first(MeasurementRow.select().where(MeasurementRow.id == measurement_id))
    return _measurement(row) if row else None


def of_study(tx: Transaction, study_uid: StudyUid) -> tuple[Measurement, ...]:
    """The oldest first."""
    rows = MeasurementRow.select().where(MeasurementRow.study_uid == study_uid)
    return tuple(map(_measurement, tx.rows(rows.order_by(MeasurementRow.created_at, MeasurementRow.id))))


def count_of_study(tx: Transaction, study_uid: StudyUid) -> int:
    return tx.count(MeasurementRow.select().where(MeasurementRow.study_uid == study_uid))


def _changeable(drawn: Drawn) -> dict[str, object]:
    return {"points": msgspec.msgpack.encode(drawn.points), "text": drawn.text, "length_mm": drawn.length_mm}


def _measurement(row: Any) -> Measurement:
    drawn = Drawn(
        StudyUid(row.study_uid),
        SeriesUid(row.series_uid),
        InstanceUid(row.instance_uid),
        row.frame,
        Kind(row.kind),
        msgspec.msgpack.decode(bytes(row.points), type=tuple[Point, ...]),
        row.text,
        row.length_mm,
    )
    author = Writer(AccountId(row.author_id), row.author_name)
    return Measurement(
        MeasurementId(row.id), drawn, row.revision, author, _zoned(row.created_at), _zoned(row.changed_at)
    )


def _plain(moment: datetime) -> datetime:
    """UTC without a zone, which every engine stores alike."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _zoned(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
