"""What one appliance tells the one above it: a numbered list, delivered in order, each change at least once.

A change is a whole statement about one thing ("this study is held so"), never a difference, so that hearing it twice
or hearing only the last of several does no harm.
"""

from __future__ import annotations

import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from appliance.domain.measurements import Measurement

Sequence = Annotated[int, msgspec.Meta(ge=1)]


class PatientNumber(msgspec.Struct, frozen=True):
    """A number of a patient and who gave it: Patient ID and Issuer of Patient ID (PS3.3 C.7.1.1)."""

    issuer: str
    value: str


class PatientRecord(msgspec.Struct, frozen=True):
    """What a new patient is called."""

    family_name: str
    given_name: str
    birth_date: datetime.date | None
    gender: Literal["F", "M", "O"] | None


class PatientAsHeld(msgspec.Struct, frozen=True):
    """The patient of a study, as its DICOM names them."""

    issuer: str
    value: str
    """Patient ID."""
    person_name: str
    """Patient's Name, as in DICOM."""
    birth_date: str | None
    """YYYY-MM-DD."""
    sex: str | None
    other_numbers: tuple[PatientNumber, ...] = ()
    """Other Patient IDs Sequence, those with an issuer."""

    @property
    def number(self) -> PatientNumber:
        return PatientNumber(self.issuer, self.value)


class StudyHeld(msgspec.Struct, frozen=True, tag="study-held"):
    """A study is held at a node, with so much in it; replaces what was said of it before."""

    study_uid: str
    node_id: UUID
    patient: PatientAsHeld
    date: str | None
    time: str | None
    description: str
    accession_number: str
    modalities: tuple[str, ...]
    series_count: int
    instance_count: int


class StudyGone(msgspec.Struct, frozen=True, tag="study-gone"):
    """A study is no longer held at a node."""

    study_uid: str
    node_id: UUID


class NodeHere(msgspec.Struct, frozen=True, tag="node-here"):
    """A node, and where browsers reach it."""

    node_id: UUID
    name: str
    base_url: str
    draws_for: UUID | None = None
    """It keeps nothing itself and draws what this node keeps."""


class InstitutionHere(msgspec.Struct, frozen=True, tag="institution-here"):
    """An institution, where browsers reach it, and its nodes."""

    institution_id: UUID
    name: str
    base_url: str
    nodes: tuple[NodeHere, ...]


class PatientHere(msgspec.Struct, frozen=True, tag="patient-here"):
    """An institution holds something of a patient, as a physician said."""

    institution_id: UUID
    patient_id: UUID
    numbers: tuple[PatientNumber, ...] = ()
    """By which the institution knows them from now on; none where only one study was assigned."""
    instead_of: UUID | None = None
    """Whose the numbers were as far as the physician saw; those that meanwhile belong to somebody else stay there."""
    record: PatientRecord | None = None
    """Makes the patient, where there is none of this id."""


class PatientNotHere(msgspec.Struct, frozen=True, tag="patient-not-here"):
    """An institution holds nothing of a patient any more: what it held was another's."""

    institution_id: UUID
    patient_id: UUID


class NumbersFree(msgspec.Struct, frozen=True, tag="numbers-free"):
    """An institution was wrong about whose these numbers are, and does not know it now."""

    institution_id: UUID
    patient_id: UUID
    """Whose they were; numbers that belong to somebody else stay."""
    numbers: tuple[PatientNumber, ...]


TrailBelow = Literal["node", "institution"]
"""Who keeps a trail whose heads go up."""


class AuditHead(msgspec.Struct, frozen=True, tag="audit-head"):
    """The newest record of an audit trail; an institution tells its own and passes on those of its nodes."""

    keeper_id: UUID
    """The node or the institution that keeps the trail."""
    room: TrailBelow
    sequence: Sequence
    hash: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


Change = StudyHeld | StudyGone | NodeHere | InstitutionHere | PatientHere | PatientNotHere | NumbersFree | AuditHead


class NumberedChange(msgspec.Struct, frozen=True):
    sequence: Sequence
    change: Change


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes from one child, in order of their sequence numbers."""

    child_id: UUID
    changes: tuple[NumberedChange, ...]


class Question(msgspec.Struct, frozen=True):
    """Whose is this study?"""

    study_uid: str
    patient: PatientAsHeld


class Questions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an institution asks the toplevel."""

    child_id: UUID
    studies: tuple[Question, ...] = ()
    may_create: bool = False
    """Whether an unknown Patient ID with a name and a birth date makes a patient (``new_patients: create``)."""
    patient_ids: tuple[UUID, ...] = ()
    """Are there such patients, and what are they called?"""
    patients_after: int | None = None
    """What is new, after this number, of patients whom the institution holds something of?"""
    audit_heads: bool = False
    """Which heads of its audit trails, and of its nodes', are kept?"""


class Answer(msgspec.Struct, frozen=True):
    """Whose a study is, or why that is for a person to say (``matching.Reason``)."""

    study_uid: str
    patient_id: UUID | None
    reason: str | None
    candidate_id: UUID | None = None
    """Whom the number belongs to, where something else contradicts."""


class PatientTold(msgspec.Struct, frozen=True):
    """A patient as the toplevel knows them; replaces what was said of them before."""

    patient_id: UUID
    record: PatientRecord
    numbers: tuple[PatientNumber, ...] = ()
    """By which the institution that is told knows them, then those of insurers."""
    merged: tuple[UUID, ...] = ()
    """Patients who turned out to be this one: what was theirs is this one's."""


class Answers(msgspec.Struct, frozen=True):
    studies: tuple[Answer, ...] = ()
    patient_ids: tuple[UUID, ...] = ()
    """Those of the question that there are."""
    patients: tuple[PatientTold, ...] = ()
    """What these are called, and what is new of others."""
    patients_last: int = 0
    """The number up to which ``patients`` says what is new."""
    is_all_news: bool = True
    audit_heads: tuple[AuditHead, ...] = ()


class ReleaseCursor(msgspec.Struct, frozen=True):
    """How far a node has heard which studies are a patient's."""

    sequence: int = 0
    study_uid: str = ""
    """The last one of this number."""


class ReleasesWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of my studies are a patient's, of those that changed since?"""

    child_id: UUID
    after: ReleaseCursor


class Release(msgspec.Struct, frozen=True):
    """A study is a patient's and may be seen at other institutions; or it waits, and may not."""

    study_uid: str
    is_released: bool


class Releases(msgspec.Struct, frozen=True):
    studies: tuple[Release, ...]
    cursor: ReleaseCursor
    is_all: bool
    """Whether there is nothing after these."""


class PointersWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which reports point to images of this study, or only of this series, or to this instance?"""

    child_id: UUID
    study_uid: str
    series_uid: str | None = None
    instance_uid: str | None = None


class Pointers(msgspec.Struct, frozen=True):
    reports: tuple[UUID, ...]
    """Of the institution itself; what is written at others is not known there."""


class MeasurementsWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured in a study of mine?"""

    child_id: UUID
    study_uid: str


class MeasurementsTold(msgspec.Struct, frozen=True):
    measurements: tuple[Measurement, ...]
    """The oldest first."""


class RecordType(msgspec.Struct, frozen=True):
    """Of what type a record may be, at every institution."""

    id: UUID
    name: str
    is_active: bool
    """Whether new records may be of it; those that are, stay so."""


class RecordTypesWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which record types were made or changed since?"""

    child_id: UUID
    after: int
    """How far the institution has heard; 0 of nothing."""


class RecordTypes(msgspec.Struct, frozen=True):
    types: tuple[RecordType, ...]
    last: int
    """How far it has heard with these."""
    is_all: bool
    """Whether there is nothing after these."""


class SubjectKind(StrEnum):
    """What the feed of an institution speaks of."""

    ACCOUNT = "account"
    """Of its own people."""
    INSTITUTION = "institution"
    """Any, with its nodes: the directory."""
    PATIENT = "patient"
    """Of whom it holds something or whom its people have opened."""


Plain = str | int | bool | None
"""A value of a column as it travels: identifiers and times as text (ISO 8601), bytes in base64."""


class SubjectNow(msgspec.Struct, frozen=True):
    """All rows of one subject as they are at the toplevel now; none where there is no such subject for this institution."""

    kind: SubjectKind
    id: UUID
    rows: dict[str, list[dict[str, Plain]]] = {}
    """By table, then by column."""
    second_factor: bytes | None = None
    """Of an account that has one: the secret of its authenticator app."""


class FeedCursor(msgspec.Struct, frozen=True):
    """How far an institution has heard its feed."""

    number: int = 0
    epoch: UUID | None = None
    """Of which beginning of the feed; None before the first answer."""


class FeedWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What has changed since?"""

    child_id: UUID
    after: FeedCursor
    wait_s: float = 0.0
    """So long the answer may wait for something to tell."""


class Feed(msgspec.Struct, frozen=True):
    """What has changed, in order, each subject once and as it is now."""

    subjects: tuple[SubjectNow, ...]
    cursor: FeedCursor
    behind: int
    """So many wait after these."""
    is_from_start: bool
    """Whether this is the beginning of a feed that is not the one of the question: what was heard before is void."""


class Acknowledgement(msgspec.Struct, frozen=True):
    """Everything up to this sequence number is kept by the parent."""

    sequence: int
