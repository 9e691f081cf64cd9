"""Records of an audit trail in the words of others: DICOM audit messages, and FHIR AuditEvents.

Each message names the event by a code of DICOM's, as near as there is one, and by our own action beside it, so that nothing of a
record is lost; its place in the chain is told by number and hash. There is no patient data in a record, so there is none in a
message: patients are the ids of ours.

References: PS3.15 A.5.1 (the message), A.5.2 (its codes), A.5.3 (which event is which); PS3.16 CID 400, 401; RFC 3881 §5.5
(participant objects); FHIR R4 AuditEvent.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from xml.etree import ElementTree as Xml

import msgspec

from appliance.domain.audit import Action, Event, Outcome
from appliance.services.audit import AuditTrail
from appliance.storage.audit_lists import AuditFilter, KeptEvent, records
from appliance.storage.database import Database, Transaction

OUR_CODES = "99APPLIANCE"
"""Coding scheme designator of our actions and of what they are done to (PS3.16 §8: 99 is private)."""
_DCM_SYSTEM = "http://dicom.nema.org/resources/ontology/DCM"
_OURS_SYSTEM = "urn:appliance:audit"
_ENTITY_TYPES = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ENTITY_ROLES = "http://terminology.hl7.org/CodeSystem/object-role"
_RECORDS_AT_ONCE = 1000
_IP_ADDRESS = "2"
"""NetworkAccessPointTypeCode (PS3.15 A.5.1)."""


class Format(StrEnum):
    DICOM = "dicom"
    FHIR = "fhir"


@dataclass(frozen=True, slots=True)
class Code:
    """Of DCM (PS3.16 Annex D)."""

    value: str
    meaning: str


_ACCESSED = Code("110103", "DICOM Instances Accessed")
_TRANSFERRED = Code("110104", "DICOM Instances Transferred")
_STUDY_DELETED = Code("110105", "DICOM Study Deleted")
_EXPORT = Code("110106", "Export")
_PATIENT_RECORD = Code("110110", "Patient Record")
_QUERY = Code("110112", "Query")
_SECURITY_ALERT = Code("110113", "Security Alert")
_AUTHENTICATION = Code("110114", "User Authentication")
_LOG_USED = Code("110101", "Audit Log Used")
_LOGIN = Code("110122", "Login")
_LOGOUT = Code("110123", "Logout")
_EMERGENCY = Code("110127", "Emergency Override Started")
_SOFTWARE = Code("110131", "Software Configuration")
_SECURITY = Code("110134", "Security Configuration")
_ROLES = Code("110136", "Security Roles Changed")
_ATTRIBUTES = Code("110137", "User security Attributes Changed")


@dataclass(frozen=True, slots=True)
class Kind:
    """What an action is called there."""

    event: Code
    action: str
    """C, R, U, D or E: create, read, update, delete, execute."""
    type: Code | None = None


_OF_PEOPLE = {action: Kind(_SECURITY_ALERT, code, _ATTRIBUTES) for action, code in (
    (Action.CREATE_ACCOUNT, "C"),
    (Action.DEACTIVATE_ACCOUNT, "U"),
    (Action.REACTIVATE_ACCOUNT, "U"),
    (Action.CHANGE_CONTACT, "U"),
    (Action.CHANGE_PASSWORD, "U"),
    (Action.TURN_ON_SECOND_FACTOR, "U"),
    (Action.TURN_OFF_SECOND_FACTOR, "U"),
    (Action.MAKE_RECOVERY_CODES, "U"),
    (Action.ADD_PASSKEY, "C"),
    (Action.RENAME_PASSKEY, "U"),
    (Action.REMOVE_PASSKEY, "D"),
)}  # fmt: skip

KINDS: Mapping[Action, Kind] = {
    **_OF_PEOPLE,
    Action.CHANGE_ACCOUNT: Kind(_SECURITY_ALERT, "U", _ROLES),
    Action.LOG_IN: Kind(_AUTHENTICATION, "E", _LOGIN),
    Action.END_SESSION: Kind(_AUTHENTICATION, "E", _LOGOUT),
    Action.SEARCH: Kind(_QUERY, "E"),
    Action.LIST_INBOX: Kind(_QUERY, "E"),
    Action.OPEN: Kind(_ACCESSED, "R"),
    Action.RETRIEVE: Kind(_TRANSFERRED, "R"),
    Action.EXPORT: Kind(_EXPORT, "R"),
    Action.ANONYMISE: Kind(_EXPORT, "R"),
    Action.SHARE: Kind(_SECURITY_ALERT, "C", _SECURITY),
    Action.OPEN_SHARE: Kind(_AUTHENTICATION, "E", _LOGIN),
    Action.END_SHARE: Kind(_SECURITY_ALERT, "D", _SECURITY),
    Action.KEEP_APART: Kind(_TRANSFERRED, "C"),
    Action.RESOLVE_CONFLICT: Kind(_ACCESSED, "U"),
    Action.DELETE: Kind(_ACCESSED, "D"),
    Action.CREATE_PATIENT: Kind(_PATIENT_RECORD, "C"),
    Action.ASSIGN: Kind(_PATIENT_RECORD, "U"),
    Action.TAKE_BACK: Kind(_PATIENT_RECORD, "U"),
    Action.CHANGE_PATIENT: Kind(_PATIENT_RECORD, "U"),
    Action.MERGE_PATIENTS: Kind(_PATIENT_RECORD, "U"),
    Action.DELETE_PATIENT: Kind(_PATIENT_RECORD, "D"),
    Action.BREAK_GLASS: Kind(_SECURITY_ALERT, "E", _EMERGENCY),
    Action.READ_REPORTS: Kind(_PATIENT_RECORD, "R"),
    Action.PRINT_REPORT: Kind(_PATIENT_RECORD, "R"),
    Action.AMEND_REPORT: Kind(_PATIENT_RECORD, "U"),
    Action.SIGN_REPORT: Kind(_PATIENT_RECORD, "U"),
    Action.DISCARD_DRAFT: Kind(_PATIENT_RECORD, "U"),
    Action.WRITE_REPORT: Kind(_PATIENT_RECORD, "U"),
    Action.READ_MEASUREMENTS: Kind(_PATIENT_RECORD, "R"),
    Action.MEASURE: Kind(_PATIENT_RECORD, "U"),
    Action.DELETE_MEASUREMENT: Kind(_PATIENT_RECORD, "D"),
    Action.EXPORT_MEASUREMENTS: Kind(_TRANSFERRED, "R"),
    Action.READ_AUDIT: Kind(_LOG_USED, "R"),
    Action.ROTATE_KEY: Kind(_SECURITY_ALERT, "U", _SECURITY),
    Action.ROTATE_SIGNING_KEY: Kind(_SECURITY_ALERT, "U", _SECURITY),
    Action.MAKE_ENROLMENT_TOKEN: Kind(_SECURITY_ALERT, "C", _SECURITY),
    Action.ENROL: Kind(_SECURITY_ALERT, "C", _SECURITY),
    Action.END_ENROLMENT: Kind(_SECURITY_ALERT, "D", _SECURITY),
    Action.CHANGE_INSTITUTION: Kind(_SECURITY_ALERT, "U", _SOFTWARE),
    Action.DELETE_INSTITUTION: Kind(_SECURITY_ALERT, "D", _SOFTWARE),
    Action.DELETE_NODE: Kind(_SECURITY_ALERT, "D", _SOFTWARE),
    Action.CREATE_RECORD_TYPE: Kind(_SECURITY_ALERT, "C", _SOFTWARE),
    Action.CHANGE_RECORD_TYPE: Kind(_SECURITY_ALERT, "U", _SOFTWARE),
}
_OUTCOMES = {Outcome.DONE: "0", Outcome.REFUSED: "4", Outcome.FAILED: "8"}
"""Success, minor failure (the person may try again), serious failure."""


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """What something is to RFC 3881: its type, its role, and what kind of id it has."""

    type: str
    role: str
    id_code: str
    id_meaning: str
    id_scheme: str = OUR_CODES


_PERSON, _SYSTEM_OBJECT, _ORGANISATION = "1", "2", "3"
_OBJECTS = {
    "patient": ObjectKind(_PERSON, "1", "2", "Patient Number", "RFC-3881"),
    "account": ObjectKind(_PERSON, "6", "11", "User Identifier", "RFC-3881"),
    "study": ObjectKind(_SYSTEM_OBJECT, "3", "110180", "Study Instance UID", "DCM"),
    "report": ObjectKind(_SYSTEM_OBJECT, "3", "9", "Report Number", "RFC-3881"),
    "institution": ObjectKind(_ORGANISATION, "4", "institution", "institution"),
    "audit": ObjectKind(_SYSTEM_OBJECT, "13", "12", "URI", "RFC-3881"),
}


def kind_of(event: Event) -> Kind:
    """What an event is called there; that depends on what it was done to too."""
    kind = KINDS[event.action]
    if event.action is Action.DELETE and event.subject.kind == "study":
        return Kind(_STUDY_DELETED, kind.action)
    if event.action is Action.OPEN and event.subject.kind == "patient":
        return Kind(_PATIENT_RECORD, kind.action)
    return kind


def object_kind_of(event: Event) -> ObjectKind:
    kind = event.subject.kind
    return _OBJECTS.get(kind) or ObjectKind(_SYSTEM_OBJECT, "4", kind, kind)


def messages(database: Database, trail: AuditTrail, wanted: AuditFilter, source: str, form: Format) -> Iterator[bytes]:
    """Each record that is wanted, the oldest first, as ``message`` has it: in pieces, beside processes that write."""
    last = 0
    while found := database.read(lambda tx, after=last: _piece(tx, trail.room, wanted, after)):  # type: ignore[misc]
        for kept in found:
            yield message(kept, trail.room, source, form)
        last = found[-1].sequence


def _piece(tx: Transaction, room: str, wanted: AuditFilter, after: int) -> tuple[KeptEvent, ...]:
    return records(tx, room, wanted, of=None, after=after, is_descending=False, limit=_RECORDS_AT_ONCE)


def message(kept: KeptEvent, room: str, source: str, form: Format) -> bytes:
    """One record of the trail of ``room``, on one line; ``source`` is the base URL of who keeps it."""
    return dicom_message(kept, room, source) if form is Format.DICOM else fhir_event(kept, room, source)


def dicom_message(kept: KeptEvent, room: str, source: str) -> bytes:
    """PS3.15 A.5.1, as XML without a declaration."""
    event, kind = kept.event, kind_of(kept.event)
    root = Xml.Element("AuditMessage")
    identification = Xml.SubElement(
        root,
        "EventIdentification",
        EventActionCode=kind.action,
        EventDateTime=event.at.isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=_OUTCOMES[event.outcome],
    )
    _code(identification, "EventID", kind.event.value, "DCM", kind.event.meaning)
    if kind.type is not None:
        _code(identification, "EventTypeCode", kind.type.value, "DCM", kind.type.meaning)
    _code(identification, "EventTypeCode", event.action, OUR_CODES, event.action)
    if event.reason:
        Xml.SubElement(identification, "EventOutcomeDescription").text = event.reason
    _participant(root, event)
    audit_source = Xml.SubElement(root, "AuditSourceIdentification", AuditSourceID=f"{source}#{room}")
    _code(audit_source, "AuditSourceTypeCode", "4", "RFC-3881", "Application Server")
    _object(root, kept)
    written: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=False)
    return written


def _participant(root: Xml.Element, event: Event) -> None:
    actor = event.actor
    attributes = {"UserID": actor.id or actor.name or "unknown", "UserIsRequestor": "true"}
    if actor.name:
        attributes["UserName"] = actor.name
    if actor.address:
        attributes |= {"NetworkAccessPointID": actor.address, "NetworkAccessPointTypeCode": _IP_ADDRESS}
    participant = Xml.SubElement(root, "ActiveParticipant", attributes)
    _code(participant, "RoleIDCode", actor.kind, OUR_CODES, actor.kind)


def _object(root: Xml.Element, kept: KeptEvent) -> None:
    event, kind = kept.event, object_kind_of(kept.event)
    there = Xml.SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=event.subject.uid or event.subject.kind,
        ParticipantObjectTypeCode=kind.type,
        ParticipantObjectTypeCodeRole=kind.role,
    )
    _code(there, "ParticipantObjectIDTypeCode", kind.id_code, kind.id_scheme, kind.id_meaning)
    Xml.SubElement(there, "ParticipantObjectName").text = event.subject.kind
    for name, value in _details(kept):
        # xs:base64Binary, as the schema has it
        Xml.SubElement(there, "ParticipantObjectDetail", type=name, value=_base64(value))


def _code(parent: Xml.Element, name: str, value: str, scheme: str, meaning: str) -> None:
    Xml.SubElement(parent, name, {"csd-code": value, "codeSystemName": scheme, "originalText": meaning})


def fhir_event(kept: KeptEvent, room: str, source: str) -> bytes:
    """A FHIR R4 AuditEvent, as JSON."""
    event, kind, thing = kept.event, kind_of(kept.event), object_kind_of(kept.event)
    actor, subject = event.actor, event.subject
    subtypes = [_coding(_DCM_SYSTEM, kind.type.value, kind.type.meaning)] if kind.type else []
    agent: dict[str, object] = {
        "type": {"coding": [_coding(_OURS_SYSTEM, actor.kind, actor.kind)]},
        "who": {"identifier": {"value": actor.id or "unknown"}},
        "requestor": True,
    }
    if actor.name:
        agent["altId"] = actor.name
    if actor.address:
        agent["network"] = {"address": actor.address, "type": _IP_ADDRESS}
    entity: dict[str, object] = {
        "what": {"reference": f"Patient/{subject.uid}"}
        if subject.kind == "patient" and subject.uid
        else {"identifier": {"value": subject.uid or subject.kind}},
        "type": _coding(_ENTITY_TYPES, thing.type, _TYPE_NAMES[thing.type]),
        "role": _coding(_ENTITY_ROLES, thing.role, _ROLE_NAMES[thing.role]),
        "name": subject.kind,
        "detail": [{"type": name, "valueString": value} for name, value in _details(kept)],
    }
    resource: dict[str, object] = {
        "resourceType": "AuditEvent",
        "id": kept.hash,
        "type": _coding(_DCM_SYSTEM, kind.event.value, kind.event.meaning),
        "subtype": [*subtypes, _coding(_OURS_SYSTEM, event.action, event.action)],
        "action": kind.action,
        "recorded": event.at.isoformat(timespec="milliseconds"),
        "outcome": _OUTCOMES[event.outcome],
        "agent": [agent],
        "source": {"site": room, "observer": {"identifier": {"value": source}}},
        "entity": [entity],
    }
    if event.reason:
        resource["outcomeDesc"] = event.reason
    return msgspec.json.encode(resource)


_TYPE_NAMES = {_PERSON: "Person", _SYSTEM_OBJECT: "System Object", _ORGANISATION: "Organization"}
_ROLE_NAMES = {"1": "Patient", "3": "Report", "4": "Domain Resource", "6": "User", "13": "Security Resource"}


def _coding(system: str, code: str, display: str) -> dict[str, str]:
    return {"system": system, "code": code, "display": display}


def _details(kept: KeptEvent) -> list[tuple[str, str]]:
    """What has no place of its own in a message."""
    event = kept.event
    found = [("sequence", str(kept.sequence)), ("hash", kept.hash)]
    if event.subject.study_uid and event.subject.kind != "study":
        found.append(("study", event.subject.study_uid))
    if event.instances:
        found += [("instances", str(event.instances)), ("bytes", str(event.size_bytes))]
    return found


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
