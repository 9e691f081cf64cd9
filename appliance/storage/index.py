"""The tables that only the node writes: what it holds, what it refused to mix, and what it has to tell.

A study is known by its UID, a series by the UIDs of both (one that is used in two studies must not join them), an instance
by its own. Totals of a series are kept beside it, so that neither an ingest nor a listing counts instances.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from peewee import BigIntegerField, BlobField, CompositeKey, IntegerField, TextField

from appliance.domain.changes import Change, NumberedChange, PatientAsHeld, StudyGone, StudyHeld
from appliance.domain.errors import Conflict, NotDrawable, NotFound
from appliance.domain.hierarchy import (
    ParsedInstance,
    PatientAttributes,
    SeriesAttributes,
    StudyAttributes,
)
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.domain.image import ImageDescription, StoredImage, StoredSeries
from appliance.storage.database import Migration, Table, Transaction

_END = "end"
"""The one row of the table that knows the last number of the outbox."""


class StudyRow(Table):
    study_uid = TextField(primary_key=True)
    person_name = TextField()
    patient_id = TextField(index=True)
    issuer = TextField()
    birth_date = TextField(null=True)
    sex = TextField(null=True)
    date = TextField(null=True, index=True)
    time = TextField(null=True)
    description = TextField()
    accession_number = TextField(index=True)
    study_id = TextField()
    referring_physician = TextField()
    institution_name = TextField()

    class Meta:
        table_name = "study"


class SeriesRow(Table):
    study_uid = TextField()
    series_uid = TextField(index=True)
    modality = TextField()
    number = BigIntegerField(null=True)
    description = TextField()
    body_part = TextField()
    laterality = TextField()
    date = TextField(null=True)
    time = TextField(null=True)
    version = TextField()
    instance_count = IntegerField()
    frame_count = IntegerField()
    drawable_count = IntegerField()
    not_drawable_reason = TextField(null=True)

    class Meta:
        table_name = "series"
        primary_key = CompositeKey("study_uid", "series_uid")


class InstanceRow(Table):
    instance_uid = TextField(primary_key=True)
    study_uid = TextField()
    series_uid = TextField()
    key = TextField(index=True)
    md5 = TextField()
    size_bytes = BigIntegerField()
    sop_class_uid = TextField()
    transfer_syntax_uid = TextField()
    number = BigIntegerField(null=True)
    rows = IntegerField(null=True)
    columns = IntegerField(null=True)
    frame_count = IntegerField()
    image = BlobField(null=True)
    not_drawable_reason = TextField(null=True)
    received_at = TextField()

    class Meta:
        table_name = "instance"
        indexes = ((("study_uid", "series_uid"), False),)


class ConflictRow(Table):
    """Bytes that came under the UID of an instance that is held, and are others. What is held stays."""

    instance_uid = TextField()
    refused_key = TextField()
    held_key = TextField()
    noticed_at = TextField()

    class Meta:
        table_name = "conflict"
        primary_key = CompositeKey("instance_uid", "refused_key")


class NodeOutboxRow(Table):
    sequence = BigIntegerField(primary_key=True)
    change = BlobField()

    class Meta:
        table_name = "node_outbox"


class NodeOutboxEndRow(Table):
    """The last number that was given, which must never come again even when all changes were acknowledged."""

    name = TextField(primary_key=True)
    sequence = BigIntegerField()

    class Meta:
        table_name = "node_outbox_end"


def _create(tx: Transaction) -> None:
    tx.create_tables(StudyRow, SeriesRow, InstanceRow, ConflictRow, NodeOutboxRow, NodeOutboxEndRow)


MIGRATIONS = (Migration(1, "studies, series, instances, conflicts, outbox", _create),)


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """The bytes of an instance, as they were received."""

    key: str
    """SHA-256, hexadecimal."""
    md5: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class HeldSeries:
    """A series and how much of it is held."""

    attributes: SeriesAttributes
    version: str
    """Another one whenever an instance came or went."""
    instance_count: int
    frame_count: int
    """Frames of the instances that can be drawn."""
    drawable_count: int
    """Instances that can be drawn."""
    not_drawable_reason: str | None


@dataclass(frozen=True, slots=True)
class HeldStudy:
    """A study, its patient, and its series by number."""

    patient: PatientAttributes
    attributes: StudyAttributes
    series: tuple[HeldSeries, ...]


# Adding and deleting


def key_of(tx: Transaction, instance_uid: InstanceUid) -> str | None:
    """The key of the bytes that are held under a UID; None if none are."""
    key = tx.value(InstanceRow.select(InstanceRow.key).where(InstanceRow.instance_uid == instance_uid))
    return None if key is None else str(key)


def is_held(tx: Transaction, key: str) -> bool:
    """Whether an instance refers to these bytes."""
    return tx.exists(InstanceRow.select(InstanceRow.key).where(InstanceRow.key == key))


def add(tx: Transaction, node_id: UUID, parsed: ParsedInstance, stored: StoredBytes) -> bool:
    """The instance is held, and the outbox says so. False if the very bytes were held before: nothing changed.

    Raises Conflict (``different-instance-same-uid``) where other bytes are held under its UID.
    """
    instance = parsed.instance
    held = key_of(tx, instance.instance_uid)
    if held == stored.key:
        return False
    if held is not None:
        raise different_instance(instance.instance_uid)
    _ensure_study(tx, parsed)
    _count_in_series(tx, parsed)
    tx.insert(
        InstanceRow,
        instance_uid=instance.instance_uid,
        study_uid=parsed.study.study_uid,
        series_uid=parsed.series.series_uid,
        key=stored.key,
        md5=stored.md5,
        size_bytes=stored.size_bytes,
        sop_class_uid=instance.sop_class_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        number=instance.number,
        rows=instance.rows,
        columns=instance.columns,
        frame_count=instance.frame_count,
        image=_packed(parsed.image) if parsed.image else None,
        not_drawable_reason=parsed.not_drawable_reason,
        received_at=_now(),
    )
    put_in_outbox(
        tx, _as_held(_study_row(tx, parsed.study.study_uid), _series_rows(tx, parsed.study.study_uid), node_id)
    )
    return True


def different_instance(instance_uid: InstanceUid) -> Conflict:
    """The refusal of bytes that are not those held under their UID."""
    return Conflict(
        "another instance is held under this UID", key="different-instance-same-uid", instance_uid=instance_uid
    )


def record_conflict(tx: Transaction, instance_uid: InstanceUid, refused_key: str) -> None:
    """It is on record that other bytes came under the UID of an instance that is held."""
    held = key_of(tx, instance_uid)
    is_recorded = (ConflictRow.instance_uid == instance_uid) & (ConflictRow.refused_key == refused_key)
    if held and not tx.exists(ConflictRow.select(ConflictRow.held_key).where(is_recorded)):
        tx.insert(ConflictRow, instance_uid=instance_uid, refused_key=refused_key, held_key=held, noticed_at=_now())


def conflict_count(tx: Transaction) -> int:
    return tx.count(ConflictRow.select())


def delete_study(tx: Transaction, node_id: UUID, study_uid: StudyUid) -> tuple[str, ...]:
    """The study is held no more and the outbox says so; the keys of its bytes, which may go now. Raises NotFound."""
    _study_row(tx, study_uid)
    keys = _delete_instances(tx, InstanceRow.study_uid == study_uid)
    tx.execute(SeriesRow.delete().where(SeriesRow.study_uid == study_uid))
    tx.execute(StudyRow.delete().where(StudyRow.study_uid == study_uid))
    put_in_outbox(tx, StudyGone(study_uid, node_id))
    return keys


def delete_series(tx: Transaction, node_id: UUID, study_uid: StudyUid, series_uid: SeriesUid) -> tuple[str, ...]:
    """Like ``delete_study``, for one series; a study that is empty then goes too."""
    _series_row(tx, study_uid, series_uid)
    keys = _delete_instances(tx, (InstanceRow.study_uid == study_uid) & (InstanceRow.series_uid == series_uid))
    tx.execute(SeriesRow.delete().where(_is_series(study_uid, series_uid)))
    _tell_rest(tx, node_id, study_uid)
    return keys


def delete_instance(
    tx: Transaction, node_id: UUID, study_uid: StudyUid, series_uid: SeriesUid, instance_uid: InstanceUid
) -> tuple[str, ...]:
    """Like ``delete_study``, for one instance; a series or study that is empty then goes too."""
    row = _instance_row(tx, study_uid, series_uid, instance_uid)
    series = _series_row(tx, study_uid, series_uid)
    if series.instance_count == 1:
        return delete_series(tx, node_id, study_uid, series_uid)
    keys = _delete_instances(tx, InstanceRow.instance_uid == instance_uid)
    frames = row.frame_count if row.image else 0
    tx.execute(
        SeriesRow.update(
            version=_new_version(),
            instance_count=SeriesRow.instance_count - 1,
            frame_count=SeriesRow.frame_count - frames,
            drawable_count=SeriesRow.drawable_count - (1 if row.image else 0),
        ).where(_is_series(study_uid, series_uid))
    )
    _tell_rest(tx, node_id, study_uid)
    return keys


# Looking


def study(tx: Transaction, study_uid: StudyUid) -> HeldStudy:
    """A study with its series by number. Raises NotFound."""
    row = _study_row(tx, study_uid)
    return HeldStudy(_patient(row), _study(row), tuple(map(_series, _series_rows(tx, study_uid))))


def series(tx: Transaction, study_uid: StudyUid, series_uid: SeriesUid) -> HeldSeries:
    """A series. Raises NotFound, also where it is of another study."""
    return _series(_series_row(tx, study_uid, series_uid))


def stored_series(tx: Transaction, study_uid: StudyUid, series_uid: SeriesUid) -> StoredSeries:
    """The images of a series, in order of instance number; no file is read. Raises NotFound."""
    version = _series_row(tx, study_uid, series_uid).version
    rows = tx.rows(
        InstanceRow.select(InstanceRow.key, InstanceRow.image)
        .where(
            (InstanceRow.study_uid == study_uid)
            & (InstanceRow.series_uid == series_uid)
            & InstanceRow.image.is_null(False)
        )
        .order_by(InstanceRow.number, InstanceRow.instance_uid)
    )
    return StoredSeries(series_uid, version, tuple(StoredImage(row.key, _unpacked(row.image)) for row in rows))


def stored_image(tx: Transaction, study_uid: StudyUid, series_uid: SeriesUid, instance_uid: InstanceUid) -> StoredImage:
    """The image of an instance. Raises NotFound, and NotDrawable with the reason where it has none that can be drawn."""
    row = _instance_row(tx, study_uid, series_uid, instance_uid)
    if row.image is None:
        raise NotDrawable(str(row.not_drawable_reason), instance_uid=instance_uid)
    return StoredImage(row.key, _unpacked(row.image))


# The outbox


def put_in_outbox(tx: Transaction, change: Change) -> None:
    """The parent will be told, after all that was put before."""
    sequence = int(tx.value(NodeOutboxEndRow.select(NodeOutboxEndRow.sequence)) or 0) + 1
    if not tx.execute(NodeOutboxEndRow.update(sequence=sequence).where(NodeOutboxEndRow.name == _END)):
        tx.insert(NodeOutboxEndRow, name=_END, sequence=sequence)
    tx.insert(NodeOutboxRow, sequence=sequence, change=msgspec.msgpack.encode(change))


def outbox(tx: Transaction, *, limit: int) -> tuple[NumberedChange, ...]:
    """The oldest changes that were not acknowledged, in order."""
    rows = tx.rows(NodeOutboxRow.select().order_by(NodeOutboxRow.sequence).limit(limit))
    return tuple(NumberedChange(row.sequence, msgspec.msgpack.decode(bytes(row.change), type=Change)) for row in rows)


def outbox_length(tx: Transaction) -> int:
    return tx.count(NodeOutboxRow.select())


def acknowledge(tx: Transaction, sequence: int) -> None:
    """Changes up to this number are kept by the parent."""
    tx.execute(NodeOutboxRow.delete().where(NodeOutboxRow.sequence <= sequence))


def _ensure_study(tx: Transaction, parsed: ParsedInstance) -> None:
    """The study is there, as its first instance described it."""
    study, patient = parsed.study, parsed.patient
    if tx.exists(StudyRow.select(StudyRow.study_uid).where(StudyRow.study_uid == study.study_uid)):
        return
    tx.insert(
        StudyRow,
        study_uid=study.study_uid,
        person_name=patient.person_name,
        patient_id=patient.patient_id,
        issuer=patient.issuer,
        birth_date=patient.birth_date,
        sex=patient.sex,
        date=study.date,
        time=study.time,
        description=study.description,
        accession_number=study.accession_number,
        study_id=study.study_id,
        referring_physician=study.referring_physician,
        institution_name=study.institution_name,
    )


def _count_in_series(tx: Transaction, parsed: ParsedInstance) -> None:
    """The series is there, as its first instance described it, and counts one more."""
    series = parsed.series
    frames = len(parsed.image.frames) if parsed.image else 0
    drawable = 1 if parsed.image else 0
    changed = tx.execute(
        SeriesRow.update(
            version=_new_version(),
            instance_count=SeriesRow.instance_count + 1,
            frame_count=SeriesRow.frame_count + frames,
            drawable_count=SeriesRow.drawable_count + drawable,
        ).where(_is_series(parsed.study.study_uid, series.series_uid))
    )
    if changed:
        return
    tx.insert(
        SeriesRow,
        study_uid=parsed.study.study_uid,
        series_uid=series.series_uid,
        modality=series.modality,
        number=series.number,
        description=series.description,
        body_part=series.body_part,
        laterality=series.laterality,
        date=series.date,
        time=series.time,
        version=_new_version(),
        instance_count=1,
        frame_count=frames,
        drawable_count=drawable,
        not_drawable_reason=parsed.not_drawable_reason,
    )


def _delete_instances(tx: Transaction, which: Any) -> tuple[str, ...]:  # Any: peewee has no types
    keys = tuple(row.key for row in tx.rows(InstanceRow.select(InstanceRow.key).where(which)))
    tx.execute(InstanceRow.delete().where(which))
    return keys


def _tell_rest(tx: Transaction, node_id: UUID, study_uid: StudyUid) -> None:
    """The outbox says what is left of a study, which goes if nothing is."""
    rest = _series_rows(tx, study_uid)
    if rest:
        put_in_outbox(tx, _as_held(_study_row(tx, study_uid), rest, node_id))
        return
    tx.execute(StudyRow.delete().where(StudyRow.study_uid == study_uid))
    put_in_outbox(tx, StudyGone(study_uid, node_id))


def _is_series(study_uid: StudyUid, series_uid: SeriesUid) -> Any:
    return (SeriesRow.study_uid == study_uid) & (SeriesRow.series_uid == series_uid)


def _study_row(tx: Transaction, study_uid: StudyUid) -> Any:
    row = tx.first(StudyRow.select().where(StudyRow.study_uid == study_uid))
    if row is None:
        raise NotFound("no such study is held", study_uid=study_uid)
    return row


def _series_rows(tx: Transaction, study_uid: StudyUid) -> list[Any]:
    rows = tx.rows(SeriesRow.select().where(SeriesRow.study_uid == study_uid))
    return sorted(rows, key=lambda row: (row.number is None, row.number or 0, row.series_uid))


def _series_row(tx: Transaction, study_uid: StudyUid, series_uid: SeriesUid) -> Any:
    row = tx.first(SeriesRow.select().where(_is_series(study_uid, series_uid)))
    if row is None:
        raise NotFound("no such series is held", study_uid=study_uid, series_uid=series_uid)
    return row


def _instance_row(tx: Transaction, study_uid: StudyUid, series_uid: SeriesUid, instance_uid: InstanceUid) -> Any:
    row = tx.first(InstanceRow.select().where(InstanceRow.instance_uid == instance_uid))
    if row is None or (row.study_uid, row.series_uid) != (study_uid, series_uid):
        raise NotFound(
            "no such instance is held", study_uid=study_uid, series_uid=series_uid, instance_uid=instance_uid
        )
    return row


def _patient(row: Any) -> PatientAttributes:
    return PatientAttributes(row.person_name, row.patient_id, row.issuer, row.birth_date, row.sex)


def _study(row: Any) -> StudyAttributes:
    return StudyAttributes(
        StudyUid(row.study_uid),
        row.date,
        row.time,
        row.description,
        row.accession_number,
        row.study_id,
        row.referring_physician,
        row.institution_name,
    )


def _series(row: Any) -> HeldSeries:
    attributes = SeriesAttributes(
        SeriesUid(row.series_uid),
        row.modality,
        row.number,
        row.description,
        row.body_part,
        row.laterality,
        row.date,
        row.time,
    )
    reason = None if row.drawable_count else row.not_drawable_reason
    return HeldSeries(attributes, row.version, row.instance_count, row.frame_count, row.drawable_count, reason)


def _as_held(study: Any, series: Sequence[Any], node_id: UUID) -> StudyHeld:
    return StudyHeld(
        study.study_uid,
        node_id,
        PatientAsHeld(study.issuer, study.patient_id, study.person_name, study.birth_date, study.sex),
        study.date,
        study.time,
        study.description,
        study.accession_number,
        tuple(dict.fromkeys(row.modality for row in series if row.modality)),
        len(series),
        sum(row.instance_count for row in series),
    )


def _packed(image: ImageDescription) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(image), level=1)


def _unpacked(data: bytes | memoryview) -> ImageDescription:
    return msgspec.msgpack.decode(zlib.decompress(data), type=ImageDescription)


def _new_version() -> str:
    return uuid4().hex


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
