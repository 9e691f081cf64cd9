"""What a physician wrote about a patient: versions, of which the last may be a draft and none of the others ever changes.

A report begins as a draft, which its author changes as often as he likes and may discard. Signing ends that: a version that is
signed is amended by another one, which begins as a draft with the same content. What is signed is the content with whose it is,
who wrote it and when, as bytes that anybody can make again (``signed_bytes``); the hash of them is kept with the version.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import dataclass, fields
from enum import StrEnum
from uuid import UUID

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
from appliance.domain.people import Gender


class VersionState(StrEnum):
    DRAFT = "draft"
    SIGNED = "signed"
    UNSIGNED = "unsigned"
    """Of a time before reports were signed; it is not changed any more than a signed one."""


@dataclass(frozen=True, slots=True)
class ReportText:
    """The four parts of a report."""

    description: str = ""
    findings: str = ""
    conclusion: str = ""
    recommendation: str = ""

    @property
    def parts(self) -> tuple[str, str, str, str]:
        return self.description, self.findings, self.conclusion, self.recommendation


@dataclass(frozen=True, slots=True)
class ImageLink:
    """A series, an instance or a frame that a report points to, at whatever institution."""

    institution_id: InstitutionId
    node_id: NodeId
    """Where it lay when it was attached."""
    study_uid: StudyUid
    series_uid: SeriesUid
    instance_uid: InstanceUid | None = None
    """None: the series as a whole."""
    frame: int | None = None
    """Counts from 1; None: the instance as a whole."""


@dataclass(frozen=True, slots=True)
class ReportContent:
    """All of a version that its author decides."""

    text: ReportText = ReportText()
    record_type: str = ""
    """The name of one, as it was when it was chosen."""
    date: datetime.date | None = None
    """Of what is reported on."""
    study_uid: StudyUid | None = None
    images: tuple[ImageLink, ...] = ()
    reason: str = ""
    """Why the version before is amended; empty in a first version."""

    @property
    def is_blank(self) -> bool:
        return not any(part.strip() for part in self.text.parts)


def changed_parts(before: ReportContent, after: ReportContent) -> tuple[str, ...]:
    """The names of what differs, in the order of the report."""
    of_text = [field.name for field in fields(ReportText)]
    others = [field.name for field in fields(ReportContent) if field.name != "text"]
    return (
        *(name for name in of_text if getattr(before.text, name) != getattr(after.text, name)),
        *(name for name in others if getattr(before, name) != getattr(after, name)),
    )


@dataclass(frozen=True, slots=True)
class PatientWritten:
    """Whom a version is about, as they were called when it was signed."""

    family_name: str
    given_name: str
    birth_date: datetime.date | None
    gender: Gender | None
    number: str = ""
    """By which the institution knows them; empty where it knows none."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote or signed, as they were called then."""

    id: AccountId
    name: str


@dataclass(frozen=True, slots=True)
class Signature:
    by: Writer
    at: datetime.datetime
    """With time zone."""
    patient_id: PatientId
    """Under whose id it was signed; the report may since be another's, with whom this one was merged."""
    patient: PatientWritten
    institution_name: str
    sha256: str
    """Of ``signed_bytes``, in hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Version:
    number: int
    """Counts from 1; each amends the one before."""
    state: VersionState
    revision: int
    """Counts how often it was kept."""
    content: ReportContent
    author: Writer
    begun_at: datetime.datetime
    """With time zone, as is the other."""
    changed_at: datetime.datetime
    signature: Signature | None = None

    @property
    def tag(self) -> str:
        """Differs whenever anything of it does."""
        return f"{self.number}.{self.revision}"

    @property
    def is_draft(self) -> bool:
        return self.state is VersionState.DRAFT


@dataclass(frozen=True, slots=True)
class Report:
    id: ReportId
    patient_id: PatientId
    versions: tuple[Version, ...]
    """The oldest first, never none; only the last can be a draft."""

    @property
    def last(self) -> Version:
        return self.versions[-1]

    @property
    def final(self) -> Version | None:
        """The newest version that is no draft."""
        return next((version for version in reversed(self.versions) if not version.is_draft), None)

    def seen_by(self, account_id: AccountId) -> Report | None:
        """The report without a draft of somebody else; None where there is nothing but that."""
        if not self.last.is_draft or self.last.author.id == account_id:
            return self
        return Report(self.id, self.patient_id, self.versions[:-1]) if len(self.versions) > 1 else None


def signed_bytes(
    report_id: ReportId, version: Version, institution_id: InstitutionId, signature: Signature, before: str
) -> bytes:
    """What the hash of a signature is of: JSON (RFC 8259) with sorted names and without blanks, in UTF-8.

    ``before`` is the hash of the version that this one amends, so that the last hash says all of them; empty where there is none.
    ``signature.sha256`` is not in it.
    """
    content, patient = version.content, signature.patient
    said = {
        "report": str(report_id),
        "version": version.number,
        "amends": before,
        "institution": {"id": str(institution_id), "name": signature.institution_name},
        "patient": {
            "id": str(signature.patient_id),
            "family_name": patient.family_name,
            "given_name": patient.given_name,
            "birth_date": _day(patient.birth_date),
            "gender": patient.gender,
            "number": patient.number,
        },
        "author": {"id": str(version.author.id), "name": version.author.name},
        "signed_by": {"id": str(signature.by.id), "name": signature.by.name},
        "signed_at": signature.at.isoformat(),
        "text": {field.name: getattr(content.text, field.name) for field in fields(ReportText)},
        "record_type": content.record_type,
        "date": _day(content.date),
        "study_uid": content.study_uid,
        "images": [_image(image) for image in content.images],
        "reason": content.reason,
    }
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def content_hash(
    report_id: ReportId, version: Version, institution_id: InstitutionId, signature: Signature, before: str
) -> str:
    return hashlib.sha256(signed_bytes(report_id, version, institution_id, signature, before)).hexdigest()


def _day(day: datetime.date | None) -> str | None:
    return day.isoformat() if day else None


def _image(image: ImageLink) -> dict[str, object]:
    values = {field.name: getattr(image, field.name) for field in fields(ImageLink)}
    return {name: str(value) if isinstance(value, UUID) else value for name, value in values.items()}
