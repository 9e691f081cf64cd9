"""What a printed report says, read back from the PDF."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO
from uuid import UUID

import pypdf
import pytest

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
from appliance.rendering.printed_reports import PrintedReport, languages, printed

ANA = Writer(AccountId(UUID(int=5)), "Ana Anić")
AT = datetime(2026, 11, 22, 10, 54, tzinfo=UTC)
PATIENT = PatientWritten("Šimić", "Đurđica Željka", date(1970, 1, 31), "F", "HR-4711")
SIGNATURE = Signature(ANA, AT, PatientId(UUID(int=3)), PATIENT, "Klinika Čakovec", "ab" * 32)
IMAGE = ImageLink(
    InstitutionId(UUID(int=1)), NodeId(UUID(int=2)), StudyUid("1.2"), SeriesUid("1.2.3"), InstanceUid("1.2.3.4"), 7
)
CONTENT = ReportContent(
    ReportText("CT toraksa", "Žarište <8 mm & <b>čvor</b>\nbez izljeva", "Uredno.", "Kontrola za 3 mjeseca."),
    "Nalaz CT-a",
    date(2026, 11, 20),
    StudyUid("1.2"),
    (IMAGE,),
)
SIGNED = Version(1, VersionState.SIGNED, 2, CONTENT, ANA, AT, AT, SIGNATURE)


def wanted(*versions: Version, number: int = 1, language: str = "en", is_intact: bool = True) -> PrintedReport:
    report = Report(ReportId(UUID(int=9)), PatientId(UUID(int=3)), versions)
    return PrintedReport(report, versions[number - 1], "Klinika Čakovec", PATIENT, is_intact, language)


def pages(of: PrintedReport) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(BytesIO(printed(of))).pages]


def test_it_says_who_wrote_what_about_whom_and_who_signed() -> None:
    (text,) = pages(wanted(SIGNED))

    for said in (
        "Klinika Čakovec", "Nalaz CT-a", "Šimić, Đurđica Željka", "31/01/1970", "female", "HR-4711", "20/11/2026",
        "CT toraksa", "Žarište <8 mm & <b>čvor</b>", "bez izljeva", "Uredno.", "Kontrola za 3 mjeseca.", "1.2.3.4",
        "frame 7", "Version 1", str(UUID(int=9)), "Signed by Ana Anić, 22/11/2026 10:54:00 UTC", "ab" * 32, "Page 1 of 1",
    ):  # fmt: skip
        assert said in text, said


@pytest.mark.parametrize(
    ("language", "said"), [("hr", "Potpisano: Ana Anić, 22.11.2026. 10:54:00 UTC"), ("xx", "Signed by Ana Anić")]
)
def test_it_speaks_the_language_that_is_asked_for_and_english_where_it_does_not_know_it(
    language: str, said: str
) -> None:
    assert said in pages(wanted(SIGNED, language=language))[0]
    assert languages() == ("en", "hr")


def test_a_draft_says_that_it_is_one_and_is_not_signed() -> None:
    (text,) = pages(wanted(replace(SIGNED, state=VersionState.DRAFT, signature=None)))

    assert "Draft, not signed" in text
    assert "Signed by" not in text


def test_an_amended_version_names_the_newer_one_and_the_newer_one_says_why() -> None:
    second = replace(SIGNED, number=2, content=replace(CONTENT, reason="Side was wrong"))

    assert "There is a newer version of this report: 2." in pages(wanted(SIGNED, second))[0]
    assert "Amends version 1. Reason: Side was wrong" in pages(wanted(SIGNED, second, number=2))[0]


def test_what_is_not_what_was_signed_is_said() -> None:
    assert "not what was signed" in pages(wanted(SIGNED, is_intact=False))[0]
    assert "not what was signed" not in pages(wanted(SIGNED))[0]


def test_long_findings_go_over_pages_and_none_of_them_is_lost() -> None:
    lines = [f"Nodule number {number} is unchanged." for number in range(300)]
    long = replace(SIGNED, content=replace(CONTENT, text=ReportText("CT", "\n".join(lines))))

    text = pages(wanted(long))

    assert len(text) > 3
    assert all(line in "".join(text) for line in lines)
    assert f"Page {len(text)} of {len(text)}" in text[-1]


def test_one_word_that_is_longer_than_a_line_is_broken() -> None:
    word = "x" * 5000
    (first, *others) = pages(wanted(replace(SIGNED, content=replace(CONTENT, text=ReportText(word)))))

    assert "".join([first, *others]).replace("\n", "").count("x") >= 5000
