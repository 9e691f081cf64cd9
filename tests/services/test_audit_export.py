"""Records of the trail as DICOM audit messages and as FHIR AuditEvents."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from xml.etree import ElementTree as Xml

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from appliance.domain.audit import Action, Actor, ActorKind, Event, Outcome, Subject, dicom_subject, patient_subject
from appliance.domain.identifiers import PatientId, StudyUid
from appliance.services.audit_export import KINDS, Format, message
from appliance.storage.audit_lists import KeptEvent
from tests.http.central import CLINIC

ANA = Actor(ActorKind.ACCOUNT, "9f2c", "ana", "192.0.2.7")
AT = datetime(2026, 11, 22, 21, 30, tzinfo=UTC)
SOURCE = "https://clinic.test"


def kept(action: Action, subject: Subject, outcome: Outcome = Outcome.DONE, **more: object) -> KeptEvent:
    event = Event(ANA, action, subject, outcome, at=AT, **more)  # type: ignore[arg-type]
    return KeptEvent(7, event, "ab" * 32)


def dicom(record: KeptEvent) -> Xml.Element:
    return Xml.fromstring(message(record, "node", SOURCE, Format.DICOM))


def fhir(record: KeptEvent) -> AuditEvent:
    return AuditEvent.model_validate_json(message(record, "node", SOURCE, Format.FHIR))


def test_an_opened_study_is_a_dicom_audit_message() -> None:
    said = dicom(kept(Action.OPEN, dicom_subject(StudyUid("1.2.3"))))

    assert [part.tag for part in said] == [
        "EventIdentification",
        "ActiveParticipant",
        "AuditSourceIdentification",
        "ParticipantObjectIdentification",
    ]
    assert said[0].attrib == {
        "EventActionCode": "R",
        "EventDateTime": "2026-11-22T21:30:00.000+00:00",
        "EventOutcomeIndicator": "0",
    }
    assert said[0][0].attrib == {
        "csd-code": "110103",
        "codeSystemName": "DCM",
        "originalText": "DICOM Instances Accessed",
    }
    assert said[1].attrib["UserName"] == "ana"
    assert said[1].attrib["NetworkAccessPointID"] == "192.0.2.7"
    assert said[3].attrib["ParticipantObjectID"] == "1.2.3"
    assert said[3][0].attrib["csd-code"] == "110180"


def test_the_place_in_the_chain_is_told_in_a_dicom_audit_message() -> None:
    said = dicom(kept(Action.OPEN, dicom_subject(StudyUid("1.2.3"))))

    details = {
        one.attrib["type"]: base64.b64decode(one.attrib["value"]) for one in said.iter("ParticipantObjectDetail")
    }
    assert details == {"sequence": b"7", "hash": b"ab" * 32}


def test_an_opened_study_is_a_fhir_audit_event() -> None:
    said = fhir(kept(Action.OPEN, dicom_subject(StudyUid("1.2.3"))))

    assert (said.type.code, said.action, said.outcome) == ("110103", "R", "0")
    assert said.recorded == AT
    assert said.agent[0].altId == "ana"
    assert said.entity[0].what.identifier.value == "1.2.3"


def test_a_patient_is_referred_to_by_the_id_of_ours() -> None:
    patient_id = PatientId(CLINIC)
    record = kept(Action.OPEN, patient_subject(patient_id))

    assert fhir(record).entity[0].what.reference == f"Patient/{patient_id}"
    assert dicom(record)[0][0].attrib["csd-code"] == "110110"


@pytest.mark.parametrize(("outcome", "indicator"), [(Outcome.DONE, "0"), (Outcome.REFUSED, "4"), (Outcome.FAILED, "8")])
def test_how_it_ended_and_why_is_told(outcome: Outcome, indicator: str) -> None:
    record = kept(Action.LOG_IN, Subject("account", "9f2c"), outcome, reason="wrong-code")

    assert dicom(record)[0].attrib["EventOutcomeIndicator"] == indicator
    assert dicom(record)[0].findtext("EventOutcomeDescription") == "wrong-code"
    assert (fhir(record).outcome, fhir(record).outcomeDesc) == (indicator, "wrong-code")


def test_a_deleted_study_is_an_event_of_its_own() -> None:
    deleted = dicom(kept(Action.DELETE, dicom_subject(StudyUid("1.2.3"))))

    assert deleted[0][0].attrib["originalText"] == "DICOM Study Deleted"


def test_every_action_is_an_event_in_both() -> None:
    assert set(KINDS) == set(Action)
    for action in Action:
        record = kept(action, Subject("node"), reason="r", instances=2, size_bytes=3)
        ours = [code.attrib["csd-code"] for code in dicom(record)[0].iter("EventTypeCode")][-1]
        assert (ours, fhir(record).subtype[-1].code) == (action, action)


def test_who_is_not_known_is_told_as_such() -> None:
    event = Event(Actor(ActorKind.ACCOUNT, "", "", ""), Action.LOG_IN, Subject("account"), Outcome.FAILED, at=AT)
    record = KeptEvent(1, event, "cd" * 32)

    assert dicom(record)[1].attrib["UserID"] == "unknown"
    assert fhir(record).agent[0].who.identifier.value == "unknown"
