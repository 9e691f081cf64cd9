"""Who did what to which object, when, from where, and how it ended (PS3.15 A.5).

An event never names a patient: objects are known by their UIDs, people by their accounts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from appliance.domain.identifiers import InstanceUid, PatientId, SeriesUid, StudyUid


class ActorKind(StrEnum):
    ACCOUNT = "account"
    PEER = "peer"
    """A device or an archive of the DICOM network, known by its AE title."""
    COMMAND = "command"
    """Somebody at the shell of the appliance."""
    GUEST = "guest"
    """Somebody to whom a study is shown by a link, known by its id."""
    APPLIANCE = "appliance"
    """An institution or a node, known by its id."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who."""

    kind: ActorKind
    id: str
    """The id of an account, an AE title, the name of a command; empty where it is not known."""
    name: str = ""
    """The username, of the appliance or of the system."""
    address: str = ""
    """From where; empty at the shell."""


class Action(StrEnum):
    DELETE = "delete"
    SEARCH = "search"
    """A list of patients, or of what is held; what was asked for is not kept."""
    OPEN = "open"
    """A study's list of series, its metadata or its pictures, for the first time in a while."""
    RETRIEVE = "retrieve"
    """The objects themselves, for the first time in a while."""
    EXPORT = "export"
    """A study or a series was taken out as a file set."""
    ANONYMISE = "anonymise"
    """The same without who it is of: how dates were treated as the reason."""
    SHARE = "share"
    """A study is shown by a link to whoever has it and its PIN."""
    OPEN_SHARE = "open-share"
    END_SHARE = "end-share"
    """The link is good no longer, by its maker."""
    KEEP_APART = "keep-apart"
    """Other bytes came under the UID of an instance that is held."""
    RESOLVE_CONFLICT = "resolve-conflict"
    """It was decided which of the two stays: ``held-kept`` or ``refused-kept`` as the reason."""
    ROTATE_KEY = "rotate-key"
    LOG_IN = "log-in"
    CREATE_ACCOUNT = "create-account"
    CHANGE_ACCOUNT = "change-account"
    """Its names, roles, institution, or what is kept beside it."""
    DEACTIVATE_ACCOUNT = "deactivate-account"
    REACTIVATE_ACCOUNT = "reactivate-account"
    CHANGE_CONTACT = "change-contact"
    """How somebody is reached, by themselves."""
    CHANGE_PASSWORD = "change-password"  # noqa: S105  # a name
    TURN_ON_SECOND_FACTOR = "turn-on-second-factor"
    TURN_OFF_SECOND_FACTOR = "turn-off-second-factor"
    MAKE_RECOVERY_CODES = "make-recovery-codes"
    ADD_PASSKEY = "add-passkey"
    RENAME_PASSKEY = "rename-passkey"
    REMOVE_PASSKEY = "remove-passkey"
    """One, or all of an account."""
    END_SESSION = "end-session"
    """By its owner, from the list of sessions."""
    ROTATE_SIGNING_KEY = "rotate-signing-key"
    LIST_INBOX = "list-inbox"
    """The studies that wait, with their patients as the DICOM names them, for the first time in a while."""
    ASSIGN = "assign"
    """A study is a patient's, as a person said."""
    CREATE_PATIENT = "create-patient"
    """The same, of a patient who is new."""
    CHANGE_PATIENT = "change-patient"
    DELETE_PATIENT = "delete-patient"
    MERGE_PATIENTS = "merge-patients"
    """Somebody turned out to be another: the reason names the id that is theirs no more."""
    TAKE_BACK = "take-back"
    """A study waits again, as a person said."""
    READ_REPORTS = "read-reports"
    """Of a patient, for the first time in a while."""
    BREAK_GLASS = "break-glass"
    """Somebody said why they need the reports of a patient that are kept from them otherwise."""
    WRITE_REPORT = "write-report"
    """One was begun; what its author changes of a draft is no event."""
    AMEND_REPORT = "amend-report"
    """Another version of a report was begun."""
    SIGN_REPORT = "sign-report"
    DISCARD_DRAFT = "discard-draft"
    PRINT_REPORT = "print-report"
    """A version, as a PDF, for the first time in a while."""
    READ_MEASUREMENTS = "read-measurements"
    """Of a study, for the first time in a while."""
    MEASURE = "measure"
    """A measurement or a mark was made, or changed."""
    DELETE_MEASUREMENT = "delete-measurement"
    EXPORT_MEASUREMENTS = "export-measurements"
    """Of a study, as DICOM, for the first time in a while."""
    CHANGE_INSTITUTION = "change-institution"
    """What it is called, or where it is."""
    DELETE_INSTITUTION = "delete-institution"
    CREATE_RECORD_TYPE = "create-record-type"
    CHANGE_RECORD_TYPE = "change-record-type"
    """Its name, or whether new records may be of it."""
    READ_AUDIT = "read-audit"
    """This trail, for the first time in a while (PS3.15 A.5.3.2, Audit Log Used)."""
    DELETE_NODE = "delete-node"
    """An institution does not name it any more."""
    MAKE_ENROLMENT_TOKEN = "make-enrolment-token"  # noqa: S105  # a name
    """For one institution or node that is to be believed."""
    ENROL = "enrol"
    """An institution or a node redeemed such a token."""
    END_ENROLMENT = "end-enrolment"
    """It is believed no longer."""


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Subject:
    """What it was done to."""

    kind: str
    """``study``, ``series``, ``instance``, ``patient``, ``report``, ``measurement``, ``inbox``, ``account``, ``passkey``,
    ``session``, ``share``, ``institution``, ``node``, ``record-type``, ``audit`` or ``store``."""
    uid: str = ""
    study_uid: str = ""
    """Of a series or an instance, or of what a patient or a report was named for."""


def dicom_subject(
    study_uid: StudyUid, series_uid: SeriesUid | None = None, instance_uid: InstanceUid | None = None
) -> Subject:
    """A study, a series of it, or an instance of that."""
    if instance_uid is not None:
        return Subject("instance", instance_uid, study_uid)
    if series_uid is not None:
        return Subject("series", series_uid, study_uid)
    return Subject("study", study_uid, study_uid)


def patient_subject(patient_id: PatientId, study_uid: StudyUid | None = None) -> Subject:
    """A patient, by the id of ours, and the study that they were named for."""
    return Subject("patient", str(patient_id), study_uid or "")


@dataclass(frozen=True, slots=True)
class Event:
    actor: Actor
    action: Action
    subject: Subject
    outcome: Outcome = Outcome.DONE
    reason: str = ""
    """The key of the refusal, the AE title that objects went to, or by what somebody logged in: ``passkey``, else a password."""
    instances: int = 0
    """How many it was done to."""
    size_bytes: int = 0
    """Of these."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
