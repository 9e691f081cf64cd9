"""What doors answer where that is no value of a room below, for the document of ``http.openapi``."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import msgspec

from appliance.domain.accounts import Right, Role
from appliance.domain.audit import Action, ActorKind, Outcome
from appliance.domain.changes import RecordType
from appliance.domain.enrolment import EnrolledChild
from appliance.domain.institutions import InstitutionRecord
from appliance.domain.measuring import Kind, Point
from appliance.domain.nodes import NodeRecord
from appliance.domain.people import Gender, PatientIdentity
from appliance.domain.reports import ImageLink, PatientWritten, VersionState, Writer
from appliance.http.patients import Directory
from appliance.services.doctor import Finding, Verdict
from appliance.services.synchronisation import LineState
from appliance.storage.audit_heads import ToldChain

Day = date
"""Where a field is called so."""


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457; ``type`` is a stable key. Some have fields of their own."""

    type: str
    title: str
    status: int


class Account(msgspec.Struct, frozen=True):
    id: UUID
    username: str
    given_name: str
    family_name: str
    roles: list[Role]
    institution_id: UUID | None


class Rights(msgspec.Struct, frozen=True):
    everywhere: list[Right]
    at_home: list[Right]
    """Only at the account's own institution."""


class OwnAccount(Account, frozen=True):
    """As the one sees it whose it is."""

    rights: Rights


class AccountEntry(Account, frozen=True):
    """As administrators see it."""

    email: str
    phone: str
    address: str
    is_doctor: bool
    is_active: bool


class AccountEntries(msgspec.Struct, frozen=True):
    accounts: list[AccountEntry]
    total: int
    next: str | None


class Grant(msgspec.Struct, frozen=True):
    access_token: str
    expires_in_s: int
    account: OwnAccount
    directory: Directory | None = None


class Session(msgspec.Struct, frozen=True):
    id: UUID
    began_at: datetime
    renewed_at: datetime
    address: str
    browser: str
    is_this: bool


class Sessions(msgspec.Struct, frozen=True):
    sessions: list[Session]


class RecoveryCodes(msgspec.Struct, frozen=True):
    """Shown once."""

    recovery_codes: list[str]


class Passkey(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    created_at: datetime
    used_at: datetime | None
    is_synced: bool


class Passkeys(msgspec.Struct, frozen=True):
    passkeys: list[Passkey]
    relying_party_id: str | None


class Institutions(msgspec.Struct, frozen=True):
    institutions: list[InstitutionRecord]
    total: int
    next: str | None


class Nodes(msgspec.Struct, frozen=True):
    nodes: list[NodeRecord]
    total: int
    next: str | None


class RecordTypes(msgspec.Struct, frozen=True):
    record_types: list[RecordType]
    total: int
    next: str | None


class RecordTypesHere(msgspec.Struct, frozen=True):
    record_types: list[RecordType]


class Patient(msgspec.Struct, frozen=True):
    id: UUID
    family_name: str
    given_name: str
    birth_date: date | None
    gender: Gender | None
    identities: list[PatientIdentity]
    institution_ids: list[UUID]
    address: str
    email: str
    phone: str
    tag: str


class Patients(msgspec.Struct, frozen=True):
    patients: list[Patient]
    total: int


class Study(msgspec.Struct, frozen=True):
    study_uid: str
    node_id: UUID
    date: str | None
    time: str | None
    description: str
    accession_number: str
    modalities: list[str]
    series_count: int
    instance_count: int


class Studies(msgspec.Struct, frozen=True):
    studies: list[Study]


class Person(msgspec.Struct, frozen=True):
    id: UUID
    name: str


class ReportSignature(msgspec.Struct, frozen=True):
    by: Writer
    at: datetime
    patient: PatientWritten
    institution_name: str
    sha256: str
    is_intact: bool


class ReportVersion(msgspec.Struct, frozen=True):
    number: int
    state: VersionState
    author: Writer
    begun_at: datetime
    changed_at: datetime
    description: str
    findings: str
    conclusion: str
    recommendation: str
    record_type: str
    date: Day | None
    study_uid: str | None
    images: list[ImageLink]
    reason: str
    signature: ReportSignature | None


class Report(msgspec.Struct, frozen=True):
    id: UUID
    patient_id: UUID
    tag: str
    versions: list[ReportVersion]


class Reports(msgspec.Struct, frozen=True):
    reports: list[Report]


class Measurement(msgspec.Struct, frozen=True):
    id: UUID
    study_uid: str
    series_uid: str
    instance_uid: str
    frame: int
    kind: Kind
    points: list[Point]
    text: str
    length_mm: float | None
    tag: str
    author: Writer
    created_at: datetime
    changed_at: datetime


class Measurements(msgspec.Struct, frozen=True):
    measurements: list[Measurement]


class AccessToReports(msgspec.Struct, frozen=True):
    until: datetime


class PatientInFile(msgspec.Struct, frozen=True):
    """As the instances of a study say."""

    name: str
    id: str
    issuer: str
    birth_date: str | None
    sex: str | None


class WaitingStudy(msgspec.Struct, frozen=True):
    study_uid: str
    study: Study
    patient: PatientInFile
    reason: str | None
    candidate_id: UUID | None
    since: datetime


class Waiting(msgspec.Struct, frozen=True):
    studies: list[WaitingStudy]
    total: int


class Assignment(msgspec.Struct, frozen=True):
    id: UUID
    study_uid: str
    patient_id: UUID | None
    previous_patient_id: UUID | None
    with_number: bool
    assigned_at: datetime
    by: Person


class PlacedStudy(WaitingStudy, frozen=True):
    patient_id: UUID | None
    assignments: list[Assignment]


class Children(msgspec.Struct, frozen=True):
    children: list[EnrolledChild]


class NewToken(msgspec.Struct, frozen=True):
    token: str
    ends_at: datetime


class ExaminationOfMachine(msgspec.Struct, frozen=True):
    """``verdict`` is the worst of all findings."""

    at: datetime
    verdict: Verdict
    findings: tuple[Finding, ...]


class Lines(msgspec.Struct, frozen=True):
    lines: list[LineState]


class AuditActor(msgspec.Struct, frozen=True):
    kind: ActorKind
    id: str
    name: str
    address: str


class AuditSubject(msgspec.Struct, frozen=True):
    kind: str
    uid: str
    study_uid: str


class AuditRecord(msgspec.Struct, frozen=True):
    sequence: int
    at: datetime
    actor: AuditActor
    action: Action
    subject: AuditSubject
    outcome: Outcome
    reason: str
    instances: int
    size_bytes: int
    hash: str


class AuditChains(msgspec.Struct, frozen=True):
    chains: list[ToldChain]


class AuditRecords(msgspec.Struct, frozen=True):
    records: list[AuditRecord]
    next: str | None
