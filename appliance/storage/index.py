"""The tables that only the node writes: what it holds, what it refused to mix, and what it has to tell.

A study is known by its UID, a series by the UIDs of both (one that is used in two studies must not join them), an instance
by its own. Totals of a series are kept beside it, so that neither an ingest nor a listing counts instances.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from peewee import BigIntegerField, BlobField, CompositeKey, IntegerField, TextField, fn

from appliance.domain.changes import PatientAsHeld, PatientNumber, StudyGone, StudyHeld
from appliance.domain.errors import NotDrawable, NotFound
from appliance.domain.hierarchy import (
    ParsedInstance,
    PatientAttributes,
    SeriesAttributes,
    StudyAttributes,
    not_held,
)
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.domain.image import DESCRIPTION_VERSION, ImageDescription, StoredImage, StoredSeries
from appliance.domain.people import folded
from appliance.storage import releases
from appliance.storage.database import Migration, Statement, Table, Transaction, given, insertion
from appliance.storage.outbox import Outbox, unite

_VARIABLES = 500
"""Values in one statement: engines allow a thousand or more."""
OUTBOX = Outbox("node")


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
    timezone = TextField(null=True)
    person_folded = TextField(null=True)
    person_words = TextField(null=True)
    referring_folded = TextField(null=True)
    referring_words = TextField(null=True)
    other_ids = TextField(null=True)
    """Issuers and values of Other Patient IDs Sequence, as JSON; none of studies older than this column."""

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
    performed_date = TextField(null=True)
    performed_time = TextField(null=True)
    scheduled_step_id = TextField(null=True)
    requested_procedure_id = TextField(null=True)
    version = TextField()
    instance_count = IntegerField()
    frame_count = IntegerField()
    drawable_count = IntegerField()
    not_drawable_reason = TextField(null=True)

    class Meta:
        table_name = "series"
        primary_key = CompositeKey("study_uid", "series_uid")
        indexes = ((("modality",), False),)


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
    received_at = TextField(index=True)
    bits_allocated = IntegerField(null=True)
    preamble = TextField(null=True)
    missing_since = TextField(null=True)
    described_by = IntegerField(null=True)
    """The DESCRIPTION_VERSION by which ``image``, or the reason why there is none, was made; none of programs before it."""

    class Meta:
        table_name = "instance"
        indexes = ((("study_uid", "series_uid", "number", "instance_uid"), False), (("sop_class_uid",), False))


class MetadataRow(Table):
    """The data set of an instance in the DICOM JSON model, packed; none where it is too long to keep."""

    instance_uid = TextField(primary_key=True)
    json = BlobField()

    class Meta:
        table_name = "metadata"


class ConflictRow(Table):
    """Bytes that came under the UID of an instance that is held, and are others. What is held stays, and so do they."""

    instance_uid = TextField()
    refused_key = TextField(index=True)
    held_key = TextField()
    noticed_at = TextField()
    study_uid = TextField(null=True, index=True)
    series_uid = TextField(null=True)
    md5 = TextField(null=True)
    size_bytes = BigIntegerField(null=True)

    class Meta:
        table_name = "conflict"
        primary_key = CompositeKey("instance_uid", "refused_key")


class RemovalRow(Table):
    """Bytes that no row refers to any more and that are still to be removed; a crash must not make them come back."""

    key = TextField(primary_key=True)

    class Meta:
        table_name = "removal"


def _create(tx: Transaction) -> None:
    tx.create_tables(StudyRow, SeriesRow, InstanceRow, ConflictRow)


def _make_searchable(tx: Transaction) -> None:
    """What QIDO-RS asks for; of instances that are held already, as much as is known without reading them."""
    tx.create_tables(MetadataRow)
    tx.add_columns(
        StudyRow.timezone,
        StudyRow.person_folded,
        StudyRow.person_words,
        StudyRow.referring_folded,
        StudyRow.referring_words,
        SeriesRow.performed_date,
        SeriesRow.performed_time,
        SeriesRow.scheduled_step_id,
        SeriesRow.requested_procedure_id,
        InstanceRow.bits_allocated,
    )
    tx.create_tables(SeriesRow, InstanceRow)
    known = (StudyRow.study_uid, StudyRow.person_name, StudyRow.referring_physician)  # later columns are not there yet
    for row in tx.rows(StudyRow.select(*known).where(StudyRow.person_folded.is_null())):
        names = _searched_names(row.person_name, row.referring_physician)
        tx.execute(StudyRow.update(**names).where(StudyRow.study_uid == row.study_uid))


def _keep_conflicts_apart(tx: Transaction) -> None:
    tx.add_columns(ConflictRow.study_uid, ConflictRow.series_uid, ConflictRow.md5, ConflictRow.size_bytes)
    tx.add_columns(InstanceRow.preamble, InstanceRow.missing_since)
    tx.create_tables(ConflictRow, RemovalRow)


def _find_by_time(tx: Transaction) -> None:
    tx.create_tables(InstanceRow)


MIGRATIONS = (
    Migration(1, "studies, series, instances, conflicts, outbox", _create),
    Migration(2, "columns and metadata for DICOMweb", _make_searchable),
    Migration(3, "bytes of conflicts, removals, preambles, what is missing", _keep_conflicts_apart),
    Migration(4, "one outbox for all roles", lambda tx: unite(tx, OUTBOX.role)),
    Migration(5, "other patient ids", lambda tx: tx.add_columns(StudyRow.other_ids)),
    Migration(6, "an index of the time at which instances came", _find_by_time),
    Migration(7, "what described an instance", lambda tx: tx.add_columns(InstanceRow.described_by)),
    Migration(8, "studies that are released", releases.create_tables),
)


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """The bytes of an instance, as they were received."""

    key: str
    """SHA-256, hexadecimal."""
    md5: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class KnownConflict:
    """Other bytes that came under the UID of an instance that is held, kept apart from it."""

    instance_uid: InstanceUid
    study_uid: StudyUid | None
    """Of the instance that is held. None of conflicts older than version 0.2, whose bytes were not kept."""
    series_uid: SeriesUid | None
    held_key: str
    """SHA-256 of the bytes that are shown and given back."""
    refused_key: str
    """SHA-256 of the others."""
    refused_size_bytes: int | None
    noticed_at: str


@dataclass(frozen=True, slots=True)
class ConflictList:
    conflicts: tuple[KnownConflict, ...]
    total: int


@dataclass(frozen=True, slots=True)
class KeptApart:
    """A conflict whose bytes are there."""

    study_uid: StudyUid
    series_uid: SeriesUid
    instance_uid: InstanceUid
    """Of the instance that is held, as are those above."""
    held_key: str
    refused: StoredBytes


Kept = Literal["stored", "already-there", "conflict"]


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


_KEY_HELD = Statement(
    InstanceRow.select(InstanceRow.key, InstanceRow.missing_since).where(
        InstanceRow.instance_uid == given("instance_uid")
    )
)


def key_of(tx: Transaction, instance_uid: InstanceUid) -> str | None:
    """The key of the bytes that are held under a UID; None if none are."""
    return next((str(key) for key, _ in tx.each(_KEY_HELD, instance_uid=instance_uid)), None)


def is_held(tx: Transaction, key: str) -> bool:
    """Whether an instance, or a conflict with one, refers to these bytes."""
    return tx.exists(InstanceRow.select(InstanceRow.key).where(InstanceRow.key == key)) or tx.exists(
        ConflictRow.select(ConflictRow.refused_key).where(ConflictRow.refused_key == key)
    )


def add(tx: Transaction, node_id: UUID, parsed: ParsedInstance, stored: StoredBytes) -> Kept:
    """``add_all`` for one."""
    return add_all(tx, node_id, [(parsed, stored)])[0]


def add_all(tx: Transaction, node_id: UUID, arrived: Sequence[tuple[ParsedInstance, StoredBytes]]) -> list[Kept]:
    """What became of instances whose bytes have their place, in the same order.

    ``stored``: it is held now, and the outbox says so. ``already-there``: the very bytes were held before. ``conflict``: other
    bytes are held under its UID, and stay; these are on record as a conflict with them.
    """
    outcomes = [_add_instance(tx, parsed, stored) for parsed, stored in arrived]
    new: dict[StudyUid, list[ParsedInstance]] = {}
    for (parsed, _), outcome in zip(arrived, outcomes, strict=True):
        if outcome == "stored":
            new.setdefault(parsed.study.study_uid, []).append(parsed)
    for some in new.values():
        OUTBOX.put(tx, _count_in_study(tx, node_id, some))
    return outcomes


_ADD_INSTANCE = insertion(InstanceRow)
_ADD_METADATA = insertion(MetadataRow)


def _add_instance(tx: Transaction, parsed: ParsedInstance, stored: StoredBytes) -> Kept:
    """The rows of the instance alone."""
    instance = parsed.instance
    for key, missing_since in tx.each(_KEY_HELD, instance_uid=instance.instance_uid):
        if key != stored.key:
            _record_conflict(tx, instance.instance_uid, stored)
            return "conflict"
        if missing_since is not None:
            mark_missing(tx, key, missing=False)
        return "already-there"
    tx.each(
        _ADD_INSTANCE,
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
        bits_allocated=instance.bits_allocated,
        preamble=parsed.preamble or None,
        missing_since=None,
        described_by=DESCRIPTION_VERSION,
    )
    if parsed.metadata:
        tx.each(_ADD_METADATA, instance_uid=instance.instance_uid, json=parsed.metadata)
    return "stored"


def _record_conflict(tx: Transaction, instance_uid: InstanceUid, stored: StoredBytes) -> None:
    held = tx.rows(InstanceRow.select().where(InstanceRow.instance_uid == instance_uid))[0]
    is_recorded = (ConflictRow.instance_uid == held.instance_uid) & (ConflictRow.refused_key == stored.key)
    if not tx.exists(ConflictRow.select(ConflictRow.held_key).where(is_recorded & ConflictRow.md5.is_null(False))):
        tx.execute(ConflictRow.delete().where(is_recorded))  # of a version that did not keep the bytes
        tx.insert(
            ConflictRow,
            instance_uid=held.instance_uid,
            refused_key=stored.key,
            held_key=held.key,
            noticed_at=_now(),
            study_uid=held.study_uid,
            series_uid=held.series_uid,
            md5=stored.md5,
            size_bytes=stored.size_bytes,
        )


def conflicts(tx: Transaction, *, limit: int, offset: int = 0) -> tuple[KnownConflict, ...]:
    """The conflicts, the newest first."""
    rows = tx.rows(
        ConflictRow.select()
        .order_by(ConflictRow.noticed_at.desc(), ConflictRow.instance_uid, ConflictRow.refused_key)
        .limit(limit)
        .offset(offset)
    )
    return tuple(
        KnownConflict(
            InstanceUid(row.instance_uid),
            None if row.study_uid is None else StudyUid(row.study_uid),
            None if row.series_uid is None else SeriesUid(row.series_uid),
            row.held_key,
            row.refused_key,
            row.size_bytes,
            row.noticed_at,
        )
        for row in rows
    )


def kept_apart(tx: Transaction, instance_uid: InstanceUid, refused_key: str) -> KeptApart:
    """A conflict, and what is held now. Raises NotFound, also where the bytes were not kept."""
    row = tx.first(ConflictRow.select().where(_is_conflict(instance_uid, refused_key)))
    held = tx.first(InstanceRow.select().where(InstanceRow.instance_uid == instance_uid))
    if row is None or held is None or row.md5 is None:
        raise NotFound("no such bytes are kept apart", key="not-kept-apart", instance_uid=instance_uid)
    return KeptApart(
        StudyUid(held.study_uid),
        SeriesUid(held.series_uid),
        instance_uid,
        held.key,
        StoredBytes(refused_key, row.md5, row.size_bytes),
    )


def drop_conflict(tx: Transaction, apart: KeptApart) -> str:
    """What is held stays, the conflict is over; the key of the other bytes, which may go now."""
    tx.execute(ConflictRow.delete().where(_is_conflict(apart.instance_uid, apart.refused.key)))
    _note_removal(tx, apart.refused.key)
    return apart.refused.key


def replace_held(tx: Transaction, node_id: UUID, apart: KeptApart, parsed: ParsedInstance) -> str:
    """The bytes that were kept apart are held, as ``parsed`` describes them; the key of those before, which may go now.

    A series or study of which nothing else is held is described by them too. Other conflicts of the instance stay.
    """
    held = tx.rows(InstanceRow.select().where(InstanceRow.instance_uid == apart.instance_uid))[0]
    series = _series_row(tx, apart.study_uid, apart.series_uid)
    tx.execute(ConflictRow.delete().where(_is_conflict(apart.instance_uid, apart.refused.key)))
    tx.execute(MetadataRow.delete().where(MetadataRow.instance_uid == apart.instance_uid))
    tx.execute(InstanceRow.delete().where(InstanceRow.instance_uid == apart.instance_uid))
    if series.instance_count == 1:
        tx.execute(SeriesRow.delete().where(_is_series(apart.study_uid, apart.series_uid)))
    else:
        _count_less(tx, held)
    is_study_empty = not _series_told(tx, apart.study_uid)
    if apart.study_uid != parsed.study.study_uid:
        _tell_rest(tx, node_id, apart.study_uid)
    elif is_study_empty:
        tx.execute(StudyRow.delete().where(StudyRow.study_uid == apart.study_uid))
    add(tx, node_id, parsed, apart.refused)
    others = ConflictRow.instance_uid == apart.instance_uid
    named = {"study_uid": parsed.study.study_uid, "series_uid": parsed.series.series_uid}
    tx.execute(ConflictRow.update(held_key=apart.refused.key, **named).where(others))
    _note_removal(tx, apart.held_key)
    return apart.held_key


def _is_conflict(instance_uid: InstanceUid, refused_key: str) -> Any:
    return (ConflictRow.instance_uid == instance_uid) & (ConflictRow.refused_key == refused_key)


def _note_removal(tx: Transaction, key: str) -> None:
    tx.execute(RemovalRow.delete().where(RemovalRow.key == key))
    tx.insert(RemovalRow, key=key)


def conflict_count(tx: Transaction) -> int:
    return tx.count(ConflictRow.select())


def delete_study(tx: Transaction, node_id: UUID, study_uid: StudyUid) -> tuple[str, ...]:
    """The study is held no more and the outbox says so; the keys of its bytes, which may go now. Raises NotFound."""
    _study_row(tx, study_uid)
    keys = _delete_instances(tx, InstanceRow.study_uid == study_uid)
    tx.execute(SeriesRow.delete().where(SeriesRow.study_uid == study_uid))
    _forget_study(tx, node_id, study_uid)
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
    _count_less(tx, row)
    _tell_rest(tx, node_id, study_uid)
    return keys


def _count_less(tx: Transaction, gone: Any) -> None:
    """The series of an instance that is held no more, and that has others, counts without it."""
    frames = gone.frame_count if gone.image else 0
    tx.execute(
        SeriesRow.update(
            version=_new_version(),
            instance_count=SeriesRow.instance_count - 1,
            frame_count=SeriesRow.frame_count - frames,
            drawable_count=SeriesRow.drawable_count - (1 if gone.image else 0),
        ).where(_is_series(StudyUid(gone.study_uid), SeriesUid(gone.series_uid)))
    )


def removals(tx: Transaction, *, limit: int) -> tuple[str, ...]:
    """Keys of bytes that are still to be removed."""
    return tuple(row.key for row in tx.rows(RemovalRow.select().order_by(RemovalRow.key).limit(limit)))


def is_removal(tx: Transaction, key: str) -> bool:
    """Whether these bytes are to be removed."""
    return tx.exists(RemovalRow.select().where(RemovalRow.key == key))


def forget_removal(tx: Transaction, key: str) -> None:
    """The bytes of a key are removed, or held again."""
    tx.execute(RemovalRow.delete().where(RemovalRow.key == key))


# What is kept, row by row, to be compared with the store


@dataclass(frozen=True, slots=True)
class ReceivedSeries:
    """A series of which something came."""

    study_uid: StudyUid
    series_uid: SeriesUid
    last_at: str
    """When the newest of it came, ISO 8601 in UTC."""


@dataclass(frozen=True, slots=True)
class KeptRow:
    """One row that refers to bytes."""

    instance_uid: InstanceUid
    stored: StoredBytes
    is_missing: bool
    """As it was marked."""
    is_conflict: bool = False
    has_old_description: bool = False
    """Whether an older program described it, by less than is known today."""


def kept_after(tx: Transaction, after: str, *, limit: int) -> tuple[KeptRow, ...]:
    """The next rows of instances in order of their UIDs, after that of ``after``; from the first where it is empty."""
    rows = tx.rows(
        InstanceRow.select(
            InstanceRow.instance_uid,
            InstanceRow.key,
            InstanceRow.md5,
            InstanceRow.size_bytes,
            InstanceRow.missing_since,
            InstanceRow.described_by,
        )
        .where(InstanceRow.instance_uid > after)
        .order_by(InstanceRow.instance_uid)
        .limit(limit)
    )
    return tuple(
        KeptRow(
            InstanceUid(row.instance_uid),
            StoredBytes(row.key, row.md5, row.size_bytes),
            row.missing_since is not None,
            has_old_description=(row.described_by or 0) < DESCRIPTION_VERSION,
        )
        for row in rows
    )


def describe_again(tx: Transaction, key: str, parsed: ParsedInstance) -> bool:
    """The instance of these bytes is described as ``parsed`` has it; whether that is anything else than before.

    Its series has another version then, and counts what can be drawn now. Does nothing if no instance has these bytes.
    """
    rows = tx.rows(InstanceRow.select().where(InstanceRow.key == key))
    if not rows:
        return False
    row, packed = rows[0], _packed(parsed.image) if parsed.image else None
    before = bytes(row.image) if row.image is not None else None
    drawable_frames = len(parsed.image.frames) if parsed.image else 0
    tx.execute(
        InstanceRow.update(
            image=packed,
            not_drawable_reason=parsed.not_drawable_reason,
            frame_count=parsed.instance.frame_count,
            described_by=DESCRIPTION_VERSION,
        ).where(InstanceRow.instance_uid == row.instance_uid)
    )
    if packed == before and row.not_drawable_reason == parsed.not_drawable_reason:
        return False
    tx.execute(
        SeriesRow.update(
            version=_new_version(),
            frame_count=SeriesRow.frame_count + drawable_frames - (row.frame_count if before else 0),
            drawable_count=SeriesRow.drawable_count + (packed is not None) - (before is not None),
        ).where(_is_series(row.study_uid, row.series_uid))
    )
    return True


def kept_conflicts_after(tx: Transaction, after: str, *, limit: int) -> tuple[KeptRow, ...]:
    """The next conflicts whose bytes are kept, in order of the keys of these, after ``after``."""
    rows = tx.rows(
        ConflictRow.select()
        .where((ConflictRow.refused_key > after) & ConflictRow.md5.is_null(False))
        .order_by(ConflictRow.refused_key)
        .limit(limit)
    )
    return tuple(
        KeptRow(
            InstanceUid(row.instance_uid),
            StoredBytes(row.refused_key, row.md5, row.size_bytes),
            is_missing=False,
            is_conflict=True,
        )
        for row in rows
    )


def mark_missing(tx: Transaction, key: str, *, missing: bool) -> None:
    """The instance of these bytes says that they are not there, since now; or that they are."""
    tx.execute(InstanceRow.update(missing_since=_now() if missing else None).where(InstanceRow.key == key))


def instance_count(tx: Transaction) -> int:
    return tx.count(InstanceRow.select(InstanceRow.instance_uid))


def received_since(tx: Transaction, since: str, *, limit: int) -> tuple[ReceivedSeries, ...]:
    """Series of which instances came at ``since`` (ISO 8601, UTC) or later, the newest first."""
    last = fn.MAX(InstanceRow.received_at)
    rows = tx.rows(
        InstanceRow.select(InstanceRow.study_uid, InstanceRow.series_uid, last.alias("last"))
        .where(InstanceRow.received_at >= since)
        .group_by(InstanceRow.study_uid, InstanceRow.series_uid)
        .order_by(last.desc())
        .limit(limit)
    )
    return tuple(ReceivedSeries(StudyUid(row.study_uid), SeriesUid(row.series_uid), row.last) for row in rows)


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


_STUDY_TOLD = Statement(
    StudyRow.select(
        StudyRow.issuer,
        StudyRow.patient_id,
        StudyRow.person_name,
        StudyRow.birth_date,
        StudyRow.sex,
        StudyRow.other_ids,
        StudyRow.date,
        StudyRow.time,
        StudyRow.description,
        StudyRow.accession_number,
    ).where(StudyRow.study_uid == given("study_uid"))
)
_ADD_STUDY = insertion(StudyRow)
_SERIES_TOLD = Statement(
    SeriesRow.select(SeriesRow.series_uid, SeriesRow.modality, SeriesRow.number, SeriesRow.instance_count).where(
        SeriesRow.study_uid == given("study_uid")
    )
)
_ADD_SERIES = insertion(SeriesRow)
_COUNT_IN_SERIES = Statement(
    SeriesRow.update(
        {
            SeriesRow.version: given("version"),
            SeriesRow.instance_count: SeriesRow.instance_count + given("instances"),
            SeriesRow.frame_count: SeriesRow.frame_count + given("frames"),
            SeriesRow.drawable_count: SeriesRow.drawable_count + given("drawable"),
        }
    ).where((SeriesRow.study_uid == given("study_uid")) & (SeriesRow.series_uid == given("series_uid")))
)


def _series_told(tx: Transaction, study_uid: StudyUid) -> dict[str, tuple[int | None, str, int]]:
    """Number, modality and instances of each series of a study."""
    rows = tx.each(_SERIES_TOLD, study_uid=study_uid)
    return {series_uid: (number, modality, count) for series_uid, modality, number, count in rows}


def _count_in_study(tx: Transaction, node_id: UUID, new: Sequence[ParsedInstance]) -> StudyHeld:
    """The study of new instances and their series are there and count them; what the parent is to know of it."""
    study_uid = new[0].study.study_uid
    told = tx.each(_STUDY_TOLD, study_uid=study_uid)
    if not told:
        _add_study(tx, new[0])
        told = tx.each(_STUDY_TOLD, study_uid=study_uid)
    held = _series_told(tx, study_uid)
    by_series: dict[SeriesUid, list[ParsedInstance]] = {}
    for parsed in new:
        by_series.setdefault(parsed.series.series_uid, []).append(parsed)
    for series_uid, some in by_series.items():
        number, modality, count = held.get(series_uid, (some[0].series.number, some[0].series.modality, 0))
        _count_in_series(tx, some, is_new=series_uid not in held)
        held[series_uid] = (number, modality, count + len(some))
    return _as_held(told[0], held, study_uid, node_id)


def _as_held(
    told: Sequence[Any], series: Mapping[str, tuple[int | None, str, int]], study_uid: StudyUid, node_id: UUID
) -> StudyHeld:
    """What the parent is to know: ``told`` as _STUDY_TOLD reads it, of each series number, modality and instances."""
    issuer, patient_id, person_name, birth_date, sex, other_ids, date, time, description, accession_number = told
    others = tuple(PatientNumber(*other) for other in _other_ids(other_ids))
    ordered = sorted(series.items(), key=lambda item: (item[1][0] is None, item[1][0] or 0, item[0]))
    return StudyHeld(
        study_uid,
        node_id,
        PatientAsHeld(issuer, patient_id, person_name, birth_date, sex, others),
        date,
        time,
        description,
        accession_number,
        tuple(dict.fromkeys(modality for _, (_, modality, _) in ordered if modality)),
        len(ordered),
        sum(count for _, (_, _, count) in ordered),
    )


def _add_study(tx: Transaction, parsed: ParsedInstance) -> None:
    """The study is there, as its first instance described it."""
    study, patient = parsed.study, parsed.patient
    tx.each(
        _ADD_STUDY,
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
        timezone=study.timezone,
        other_ids=msgspec.json.encode(patient.other_ids).decode() if patient.other_ids else None,
        **_searched_names(patient.person_name, study.referring_physician),
    )


def _count_in_series(tx: Transaction, new: Sequence[ParsedInstance], *, is_new: bool) -> None:
    """The series is there, as its first instance described it, and counts so many more."""
    first, series = new[0], new[0].series
    frames = sum(len(parsed.image.frames) for parsed in new if parsed.image)
    drawable = sum(1 for parsed in new if parsed.image)
    if not is_new:
        tx.each(
            _COUNT_IN_SERIES,
            study_uid=first.study.study_uid,
            series_uid=series.series_uid,
            version=_new_version(),
            instances=len(new),
            frames=frames,
            drawable=drawable,
        )
        return
    tx.each(
        _ADD_SERIES,
        study_uid=first.study.study_uid,
        series_uid=series.series_uid,
        modality=series.modality,
        number=series.number,
        description=series.description,
        body_part=series.body_part,
        laterality=series.laterality,
        date=series.date,
        time=series.time,
        performed_date=series.performed_date,
        performed_time=series.performed_time,
        scheduled_step_id=series.scheduled_step_id,
        requested_procedure_id=series.requested_procedure_id,
        version=_new_version(),
        instance_count=len(new),
        frame_count=frames,
        drawable_count=drawable,
        not_drawable_reason=next((parsed.not_drawable_reason for parsed in new if parsed.not_drawable_reason), None),
    )


def _delete_instances(tx: Transaction, which: Any) -> tuple[str, ...]:  # Any: peewee has no types
    """The instances and what conflicted with them are held no more; the keys of all, noted for removal."""
    rows = tx.rows(InstanceRow.select(InstanceRow.instance_uid, InstanceRow.key).where(which))
    keys = [row.key for row in rows]
    for start in range(0, len(rows), _VARIABLES):
        conflicting = ConflictRow.instance_uid << [row.instance_uid for row in rows[start : start + _VARIABLES]]
        keys += [row.refused_key for row in tx.rows(ConflictRow.select().where(conflicting))]
        tx.execute(ConflictRow.delete().where(conflicting))
    gone = InstanceRow.select(InstanceRow.instance_uid).where(which)
    tx.execute(MetadataRow.delete().where(MetadataRow.instance_uid.in_(gone)))
    tx.execute(InstanceRow.delete().where(which))
    for key in keys:
        _note_removal(tx, key)
    return tuple(keys)


def _tell_rest(tx: Transaction, node_id: UUID, study_uid: StudyUid) -> None:
    """The outbox says what is left of a study, which goes if nothing is."""
    if rest := _series_told(tx, study_uid):
        told = tx.each(_STUDY_TOLD, study_uid=study_uid)[0]
        OUTBOX.put(tx, _as_held(told, rest, study_uid, node_id))
        return
    _forget_study(tx, node_id, study_uid)


def _forget_study(tx: Transaction, node_id: UUID, study_uid: StudyUid) -> None:
    tx.execute(StudyRow.delete().where(StudyRow.study_uid == study_uid))
    releases.forget(tx, study_uid)
    OUTBOX.put(tx, StudyGone(study_uid, node_id))


def _is_series(study_uid: StudyUid, series_uid: SeriesUid) -> Any:
    return (SeriesRow.study_uid == study_uid) & (SeriesRow.series_uid == series_uid)


def _study_row(tx: Transaction, study_uid: StudyUid) -> Any:
    row = tx.first(StudyRow.select().where(StudyRow.study_uid == study_uid))
    if row is None:
        raise not_held(study_uid)
    return row


def _series_rows(tx: Transaction, study_uid: StudyUid) -> list[Any]:
    rows = tx.rows(SeriesRow.select().where(SeriesRow.study_uid == study_uid))
    return sorted(rows, key=lambda row: (row.number is None, row.number or 0, row.series_uid))


def _series_row(tx: Transaction, study_uid: StudyUid, series_uid: SeriesUid) -> Any:
    row = tx.first(SeriesRow.select().where(_is_series(study_uid, series_uid)))
    if row is None:
        raise not_held(study_uid, series_uid)
    return row


def totals(tx: Transaction) -> tuple[int, int, int]:
    """How many studies, series and instances are held."""
    studies = tx.count(StudyRow.select())
    row = tx.first(SeriesRow.select(fn.COUNT(SeriesRow.series_uid), fn.SUM(SeriesRow.instance_count)).tuples())
    series, instances = row or (0, 0)
    return studies, int(series), int(instances or 0)


def _instance_row(tx: Transaction, study_uid: StudyUid, series_uid: SeriesUid, instance_uid: InstanceUid) -> Any:
    row = tx.first(InstanceRow.select().where(InstanceRow.instance_uid == instance_uid))
    if row is None or (row.study_uid, row.series_uid) != (study_uid, series_uid):
        raise not_held(study_uid, series_uid, instance_uid)
    return row


def _patient(row: Any) -> PatientAttributes:
    return PatientAttributes(
        row.person_name, row.patient_id, row.issuer, row.birth_date, row.sex, tuple(_other_ids(row.other_ids))
    )


def _other_ids(column: str | None) -> list[tuple[str, str]]:
    return msgspec.json.decode(column, type=list[tuple[str, str]]) if column else []


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


def _searched_names(person_name: str, referring_physician: str) -> dict[str, str]:
    """The columns by which names are found."""
    return {
        "person_folded": folded_name(person_name),
        "person_words": folded_words(person_name),
        "referring_folded": folded_name(referring_physician),
        "referring_words": folded_words(referring_physician),
    }


def folded_name(person_name: str) -> str:
    """A DICOM Person Name as it is compared: folded, and without the marks that follow its last component."""
    return "=".join(group.rstrip("^ ") for group in folded(person_name).split("="))


def folded_words(person_name: str) -> str:
    """The words of a name, each after a blank."""
    return "".join(f" {word}" for word in re.split(r"[\s^=,.]+", folded(person_name)) if word)


def _packed(image: ImageDescription) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(image), level=1)


def _unpacked(data: bytes | memoryview) -> ImageDescription:
    return msgspec.msgpack.decode(zlib.decompress(data), type=ImageDescription)


def _new_version() -> str:
    return uuid4().hex


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
