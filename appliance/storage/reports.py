"""Reports and their versions, written by the institution alone.

Functions here take a ``Transaction`` and return values of ``domain``. A row of a version is changed while it is a draft and
never after: every statement that changes or removes one says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from peewee import CharField, CompositeKey, DateField, DateTimeField, IntegerField, TextField, UUIDField

from appliance.domain.identifiers import (
    AccountId,
    InstanceUid,
    InstitutionId,
    NodeId,
    PatientId,
    ReportId,
    SeriesUid,
    StudyUid,
)
from appliance.domain.people import gender_of
from appliance.domain.reports import (
    ImageLink,
    PatientWritten,
    Report,
    ReportContent,
    ReportText,
    Signature,
    Version,
    VersionState,
    Writer,
)
from appliance.storage.database import Table, Transaction

_VARIABLES = 500
"""Values in one statement: engines allow a thousand or more."""


class ReportOfVersion1Row(Table):
    """Reports as they were kept when they had no versions; read once, by the migration."""

    id = UUIDField(primary_key=True)
    patient_id = UUIDField(index=True)
    study_uid = CharField(max_length=64, null=True)
    created_at = DateTimeField()
    author_id = UUIDField()
    author_name = TextField()
    description = TextField()
    findings = TextField()
    conclusion = TextField()
    recommendation = TextField()

    class Meta:
        table_name = "report"


class ReportPatientRow(Table):
    """Whose a report is."""

    id = UUIDField(primary_key=True)
    patient_id = UUIDField(index=True)

    class Meta:
        table_name = "report_patient"


class ReportVersionRow(Table):
    report_id = UUIDField()
    number = IntegerField()
    state = CharField(max_length=8)
    revision = IntegerField()
    author_id = UUIDField()
    author_name = TextField()
    begun_at = DateTimeField()
    changed_at = DateTimeField()
    description = TextField()
    findings = TextField()
    conclusion = TextField()
    recommendation = TextField()
    record_type = TextField()
    date = DateField(null=True)
    study_uid = CharField(max_length=64, null=True)
    reason = TextField()
    signer_id = UUIDField(null=True)
    """This and all that follows: empty until it is signed."""
    signer_name = TextField(null=True)
    signed_at = DateTimeField(null=True)
    signed_patient_id = UUIDField(null=True)
    patient_family_name = TextField(null=True)
    patient_given_name = TextField(null=True)
    patient_birth_date = DateField(null=True)
    patient_gender = CharField(max_length=1, null=True)
    patient_number = TextField(null=True)
    institution_name = TextField(null=True)
    sha256 = CharField(max_length=64, null=True)

    class Meta:
        table_name = "report_version"
        primary_key = CompositeKey("report_id", "number")


class ReportImageRow(Table):
    """An image that a version points to."""

    report_id = UUIDField()
    number = IntegerField()
    position = IntegerField()
    institution_id = UUIDField()
    node_id = UUIDField()
    study_uid = CharField(max_length=64, index=True)
    series_uid = CharField(max_length=64)
    instance_uid = CharField(max_length=64, null=True)
    frame = IntegerField(null=True)

    class Meta:
        table_name = "report_image"
        primary_key = CompositeKey("report_id", "number", "position")


def create(tx: Transaction) -> None:
    """The tables are there; reports of the time before are first versions without a signature."""
    tx.create_tables(ReportPatientRow, ReportVersionRow, ReportImageRow)
    if not tx.has_table("report"):
        return
    for row in tx.rows(ReportOfVersion1Row.select()):
        text = ReportText(row.description, row.findings, row.conclusion, row.recommendation)
        study_uid = StudyUid(row.study_uid) if row.study_uid else None
        author, at = Writer(AccountId(row.author_id), row.author_name), _zoned(row.created_at)
        content = ReportContent(text, date=at.date(), study_uid=study_uid)
        version = Version(1, VersionState.UNSIGNED, 1, content, author, at, at)
        tx.insert(ReportPatientRow, id=row.id, patient_id=row.patient_id)
        _insert(tx, ReportId(row.id), version)
    tx.drop_table("report")


# Writing


def begin(tx: Transaction, report_id: ReportId, patient_id: PatientId, draft: Version) -> None:
    """A new report of the patient, with nothing but a draft."""
    tx.insert(ReportPatientRow, id=report_id, patient_id=patient_id)
    _insert(tx, report_id, draft)


def add_version(tx: Transaction, report_id: ReportId, draft: Version) -> None:
    """The report has one version more."""
    _insert(tx, report_id, draft)


def keep_draft(tx: Transaction, report_id: ReportId, draft: Version) -> None:
    """The draft is as said."""
    changed = tx.execute(
        ReportVersionRow.update(
            revision=draft.revision, changed_at=_plain(draft.changed_at), **_content_values(draft.content)
        ).where(_is_draft(report_id, draft.number))
    )
    if changed:
        _keep_images(tx, report_id, draft)


def sign(tx: Transaction, report_id: ReportId, signed: Version, signature: Signature) -> None:
    """The draft is signed, and not changed from now on."""
    patient = signature.patient
    tx.execute(
        ReportVersionRow.update(
            state=VersionState.SIGNED,
            revision=signed.revision,
            signer_id=signature.by.id,
            signer_name=signature.by.name,
            signed_at=_plain(signature.at),
            signed_patient_id=signature.patient_id,
            patient_family_name=patient.family_name,
            patient_given_name=patient.given_name,
            patient_birth_date=patient.birth_date,
            patient_gender=patient.gender,
            patient_number=patient.number,
            institution_name=signature.institution_name,
            sha256=signature.sha256,
        ).where(_is_draft(report_id, signed.number))
    )


def discard_draft(tx: Transaction, report_id: ReportId, number: int) -> None:
    """The draft is not there any more, nor the report if there was nothing else of it."""
    if not tx.execute(ReportVersionRow.delete().where(_is_draft(report_id, number))):
        return
    tx.execute(ReportImageRow.delete().where(_is_image_of(report_id, number)))
    if not tx.exists(ReportVersionRow.select().where(ReportVersionRow.report_id == report_id)):
        tx.execute(ReportPatientRow.delete().where(ReportPatientRow.id == report_id))


def repoint(tx: Transaction, before: PatientId, after: PatientId) -> int:
    """Reports of one patient are another's, with whom the first was merged; how many."""
    return tx.execute(ReportPatientRow.update(patient_id=after).where(ReportPatientRow.patient_id == before))


def _insert(tx: Transaction, report_id: ReportId, version: Version) -> None:
    tx.insert(
        ReportVersionRow,
        report_id=report_id,
        number=version.number,
        state=version.state,
        revision=version.revision,
        author_id=version.author.id,
        author_name=version.author.name,
        begun_at=_plain(version.begun_at),
        changed_at=_plain(version.changed_at),
        **_content_values(version.content),
    )
    _keep_images(tx, report_id, version)


def _content_values(content: ReportContent) -> dict[str, object]:
    return {
        **asdict(content.text),
        "record_type": content.record_type,
        "date": content.date,
        "study_uid": content.study_uid,
        "reason": content.reason,
    }


def _keep_images(tx: Transaction, report_id: ReportId, version: Version) -> None:
    tx.execute(ReportImageRow.delete().where(_is_image_of(report_id, version.number)))
    for position, image in enumerate(version.content.images):
        tx.insert(ReportImageRow, report_id=report_id, number=version.number, position=position, **asdict(image))


def _is_draft(report_id: ReportId, number: int) -> Any:
    row = ReportVersionRow
    return (row.report_id == report_id) & (row.number == number) & (row.state == VersionState.DRAFT)


def pointing_to(
    tx: Transaction, study_uid: str, series_uid: str | None = None, instance_uid: str | None = None
) -> tuple[ReportId, ...]:
    """The reports of which a version points to an image of a study, or of a series, or to an instance."""
    wanted = ReportImageRow.study_uid == study_uid
    if series_uid is not None:
        wanted &= ReportImageRow.series_uid == series_uid
    if instance_uid is not None:
        wanted &= ReportImageRow.instance_uid == instance_uid
    query = ReportImageRow.select(ReportImageRow.report_id).where(wanted).distinct().order_by(ReportImageRow.report_id)
    return tuple(ReportId(row.report_id) for row in tx.rows(query))


def _is_image_of(report_id: ReportId, number: int) -> Any:
    return (ReportImageRow.report_id == report_id) & (ReportImageRow.number == number)


# Looking


def report(tx: Transaction, report_id: ReportId) -> Report | None:
    """A report with all of its versions."""
    found = _reports(tx, ReportPatientRow.id == report_id)
    return found[0] if found else None


def reports_of(tx: Transaction, patient_id: PatientId) -> tuple[Report, ...]:
    """The patient's reports, the one that was begun last first."""
    found = _reports(tx, ReportPatientRow.patient_id == patient_id)
    return tuple(sorted(found, key=lambda one: (one.versions[0].begun_at, str(one.id)), reverse=True))


def has_reports(tx: Transaction, patient_id: PatientId) -> bool:
    return tx.exists(ReportPatientRow.select().where(ReportPatientRow.patient_id == patient_id))


def _reports(tx: Transaction, which: Any) -> list[Report]:
    patients = {row.id: PatientId(row.patient_id) for row in tx.rows(ReportPatientRow.select().where(which))}
    ids = list(patients)
    images: dict[tuple[UUID, int], list[ImageLink]] = {}
    for row in _of(tx, ReportImageRow, ids, ReportImageRow.position):
        images.setdefault((row.report_id, row.number), []).append(_image(row))
    versions: dict[UUID, list[Version]] = {}
    for row in _of(tx, ReportVersionRow, ids, ReportVersionRow.number):
        version = _version(row, tuple(images.get((row.report_id, row.number), ())))
        versions.setdefault(row.report_id, []).append(version)
    return [Report(ReportId(id_), patients[id_], tuple(versions[id_])) for id_ in ids]


def _of(tx: Transaction, table: Any, report_ids: Sequence[UUID], order: Any) -> Iterable[Any]:
    for start in range(0, len(report_ids), _VARIABLES):
        wanted = table.report_id << report_ids[start : start + _VARIABLES]
        yield from tx.rows(table.select().where(wanted).order_by(order))


def _version(row: Any, images: tuple[ImageLink, ...]) -> Version:
    content = ReportContent(
        ReportText(row.description, row.findings, row.conclusion, row.recommendation),
        row.record_type,
        row.date,
        StudyUid(row.study_uid) if row.study_uid else None,
        images,
        row.reason,
    )
    return Version(
        row.number,
        VersionState(row.state),
        row.revision,
        content,
        Writer(AccountId(row.author_id), row.author_name),
        _zoned(row.begun_at),
        _zoned(row.changed_at),
        _signature(row) if row.sha256 else None,
    )


def _signature(row: Any) -> Signature:
    patient = PatientWritten(
        row.patient_family_name,
        row.patient_given_name,
        row.patient_birth_date,
        gender_of(row.patient_gender),
        row.patient_number,
    )
    return Signature(
        Writer(AccountId(row.signer_id), row.signer_name),
        _zoned(row.signed_at),
        PatientId(row.signed_patient_id),
        patient,
        row.institution_name,
        row.sha256,
    )


def _image(row: Any) -> ImageLink:
    return ImageLink(
        InstitutionId(row.institution_id),
        NodeId(row.node_id),
        StudyUid(row.study_uid),
        SeriesUid(row.series_uid),
        InstanceUid(row.instance_uid) if row.instance_uid else None,
        row.frame,
    )


def _plain(moment: datetime) -> datetime:
    """UTC without a zone, which every engine stores alike."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _zoned(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
