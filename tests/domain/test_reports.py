"""What is signed of a report, and what others see of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

from appliance.domain.identifiers import AccountId, InstitutionId, NodeId, PatientId, ReportId, SeriesUid, StudyUid
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
    changed_parts,
    content_hash,
    signed_bytes,
)

ANA, IVO = Writer(AccountId(UUID(int=5)), "Ana Anić"), Writer(AccountId(UUID(int=6)), "Ivo Ivić")
AT = datetime(2026, 11, 22, 10, 54, tzinfo=UTC)
REPORT, CLINIC, PATIENT = ReportId(UUID(int=4)), InstitutionId(UUID(int=1)), PatientId(UUID(int=3))
IMAGE = ImageLink(CLINIC, NodeId(UUID(int=2)), StudyUid("1.1"), SeriesUid("1.1.1"))
CONTENT = ReportContent(ReportText("CT", "Žarište"), "Nalaz", date(2026, 11, 20), StudyUid("1.1"), (IMAGE,))
VERSION = Version(1, VersionState.DRAFT, 1, CONTENT, ANA, AT, AT)
SIGNATURE = Signature(ANA, AT, PATIENT, PatientWritten("Muster", "Eva", date(1970, 1, 31), "F", "4711"), "Clinic", "")


def digits(version: Version = VERSION, signature: Signature = SIGNATURE, before: str = "") -> str:
    return content_hash(REPORT, version, CLINIC, signature, before)


def test_what_is_signed_is_json_that_anybody_can_make_again() -> None:
    said = signed_bytes(REPORT, VERSION, CLINIC, SIGNATURE, "")

    assert said.decode() == json.dumps(json.loads(said), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert json.loads(said)["text"]["findings"] == "Žarište"
    assert json.loads(said)["images"] == [
        {
            "institution_id": str(CLINIC),
            "node_id": str(UUID(int=2)),
            "study_uid": "1.1",
            "series_uid": "1.1.1",
            "instance_uid": None,
            "frame": None,
        }
    ]


def test_whatever_is_changed_afterwards_changes_the_hash() -> None:
    patient = SIGNATURE.patient
    others = [
        digits(replace(VERSION, content=replace(CONTENT, text=ReportText("CT", "Zariste")))),
        digits(replace(VERSION, content=replace(CONTENT, images=()))),
        digits(replace(VERSION, content=replace(CONTENT, date=date(2026, 11, 21)))),
        digits(replace(VERSION, content=replace(CONTENT, record_type=""))),
        digits(replace(VERSION, content=replace(CONTENT, reason="x"))),
        digits(replace(VERSION, number=2)),
        digits(replace(VERSION, author=IVO)),
        digits(signature=replace(SIGNATURE, by=IVO)),
        digits(signature=replace(SIGNATURE, at=AT.replace(second=1))),
        digits(signature=replace(SIGNATURE, patient_id=PatientId(UUID(int=7)))),
        digits(signature=replace(SIGNATURE, patient=replace(patient, number="4712"))),
        digits(signature=replace(SIGNATURE, institution_name="Another")),
        digits(before="ab" * 32),
    ]

    assert len({digits(), *others}) == len(others) + 1


def test_a_draft_is_seen_by_its_author_alone() -> None:
    signed = replace(VERSION, state=VersionState.SIGNED, signature=SIGNATURE)
    amendment = replace(VERSION, number=2)

    assert Report(REPORT, PATIENT, (VERSION,)).seen_by(IVO.id) is None
    assert Report(REPORT, PATIENT, (VERSION,)).seen_by(ANA.id) is not None
    assert Report(REPORT, PATIENT, (signed, amendment)).seen_by(IVO.id) == Report(REPORT, PATIENT, (signed,))
    assert Report(REPORT, PATIENT, (signed, amendment)).final == signed


def test_what_differs_is_named() -> None:
    other = replace(CONTENT, text=ReportText("CT", "", "Normal."), images=(), date=None)

    assert changed_parts(CONTENT, other) == ("findings", "conclusion", "date", "images")
    assert changed_parts(CONTENT, CONTENT) == ()
