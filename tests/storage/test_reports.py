"""Reports and their versions in both engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from appliance.domain.changes import PatientRecord, PatientTold
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
from appliance.storage import institution, known_patients, reports
from appliance.storage.database import Database, MigrationRow, Transaction, migrate
from appliance.storage.reports import ReportOfVersion1Row

PATIENT, OTHER = PatientId(UUID(int=3)), PatientId(UUID(int=6))
REPORT = ReportId(UUID(int=4))
ANA = Writer(AccountId(UUID(int=5)), "Ana Anić")
AT = datetime(2026, 11, 22, 10, 54, tzinfo=UTC)
IMAGES = (
    ImageLink(InstitutionId(UUID(int=1)), NodeId(UUID(int=2)), StudyUid("1.1"), SeriesUid("1.1.1")),
    ImageLink(
        InstitutionId(UUID(int=8)), NodeId(UUID(int=9)), StudyUid("2.1"), SeriesUid("2.1.1"), InstanceUid("2.1.1.1"), 3
    ),
)
CONTENT = ReportContent(
    ReportText("CT chest", "Kein Rundherd – 山田", "Normal.", ""), "Nalaz", date(2026, 11, 20), StudyUid("1.1"), IMAGES
)
DRAFT = Version(1, VersionState.DRAFT, 1, CONTENT, ANA, AT, AT)
SIGNATURE = Signature(ANA, AT, PATIENT, PatientWritten("Muster", "Eva", None, "F", "4711"), "Clinic", "ab" * 32)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "institution", institution.MIGRATIONS)
    yield made
    made.close()


def kept(database: Database) -> Report | None:
    return database.read(lambda tx: reports.report(tx, REPORT))


def begin(database: Database, version: Version = DRAFT) -> None:
    database.run(lambda tx: reports.begin(tx, REPORT, PATIENT, version))


def sign(database: Database) -> None:
    database.run(lambda tx: reports.sign(tx, REPORT, replace(DRAFT, revision=2), SIGNATURE))


def test_a_draft_is_read_as_it_was_kept(database: Database) -> None:
    begin(database)

    assert kept(database) == Report(REPORT, PATIENT, (DRAFT,))
    assert database.read(lambda tx: reports.reports_of(tx, PATIENT)) == (kept(database),)
    assert database.read(lambda tx: reports.reports_of(tx, OTHER)) == ()


def test_a_draft_that_is_changed_has_the_images_that_it_has_now(database: Database) -> None:
    begin(database)
    later = AT + timedelta(minutes=1)
    changed = replace(DRAFT, revision=2, content=replace(CONTENT, images=IMAGES[1:]), changed_at=later)

    database.run(lambda tx: reports.keep_draft(tx, REPORT, changed))

    assert kept(database) == Report(REPORT, PATIENT, (changed,))


def test_nothing_changes_or_removes_what_is_signed(database: Database) -> None:
    begin(database)
    sign(database)
    signed = Report(REPORT, PATIENT, (replace(DRAFT, state=VersionState.SIGNED, revision=2, signature=SIGNATURE),))
    assert kept(database) == signed

    def try_all(tx: Transaction) -> None:
        reports.keep_draft(tx, REPORT, replace(DRAFT, revision=9, content=ReportContent(ReportText("forged"))))
        reports.discard_draft(tx, REPORT, 1)
        reports.sign(tx, REPORT, DRAFT, replace(SIGNATURE, sha256="cd" * 32))

    database.run(try_all)

    assert kept(database) == signed


def test_an_amendment_is_one_version_more_and_its_draft_can_be_discarded(database: Database) -> None:
    begin(database)
    sign(database)
    amendment = Version(2, VersionState.DRAFT, 1, replace(CONTENT, reason="Typing error"), ANA, AT, AT)

    database.run(lambda tx: reports.add_version(tx, REPORT, amendment))
    with_draft = kept(database)
    database.run(lambda tx: reports.discard_draft(tx, REPORT, 2))

    assert with_draft is not None
    assert with_draft.versions[1] == amendment
    assert [version.number for version in kept(database).versions] == [1]  # type: ignore[union-attr]


def test_a_report_that_was_only_a_draft_is_gone_with_it(database: Database) -> None:
    begin(database)

    database.run(lambda tx: reports.discard_draft(tx, REPORT, 1))

    assert kept(database) is None
    assert not database.read(lambda tx: reports.has_reports(tx, PATIENT))


def test_reports_from_before_there_were_versions_are_unsigned_ones(database: Database) -> None:
    def as_it_was(tx: Transaction) -> None:
        tx.create_tables(ReportOfVersion1Row)
        tx.insert(
            ReportOfVersion1Row,
            id=REPORT,
            patient_id=PATIENT,
            study_uid="1.1",
            created_at=AT.replace(tzinfo=None),
            author_id=ANA.id,
            author_name=ANA.name,
            description="CT chest",
            findings="",
            conclusion="Normal.",
            recommendation="",
        )
        tx.execute(MigrationRow.delete().where(MigrationRow.number == 20))

    database.run(as_it_was)
    migrate(database, "institution", institution.MIGRATIONS)

    (version,) = kept(database).versions  # type: ignore[union-attr]
    assert version.state is VersionState.UNSIGNED
    assert version.content == ReportContent(
        ReportText("CT chest", "", "Normal.", ""), date=AT.date(), study_uid=StudyUid("1.1")
    )
    assert (version.author, version.begun_at) == (ANA, AT)


def test_what_was_a_merged_patients_is_the_others_and_stays_so_when_it_is_told_again(database: Database) -> None:
    begin(database)
    told = PatientTold(OTHER, PatientRecord("Muster", "Eva", None, "F"), merged=(PATIENT,))

    moved = [database.run(lambda tx: known_patients.keep(tx, told)) for _ in range(2)]

    assert moved == [True, False]
    assert kept(database) == Report(REPORT, OTHER, (DRAFT,))
    assert database.read(lambda tx: known_patients.now_called(tx, PATIENT)) == OTHER
    assert database.read(lambda tx: known_patients.known(tx, OTHER)) == told


def test_somebody_who_was_merged_twice_is_the_last_one(database: Database) -> None:
    last = PatientId(UUID(int=7))
    record = PatientRecord("Muster", "Eva", None, "F")
    database.run(lambda tx: known_patients.keep(tx, PatientTold(OTHER, record, merged=(PATIENT,))))

    database.run(lambda tx: known_patients.keep(tx, PatientTold(last, record, merged=(OTHER,))))

    assert database.read(lambda tx: known_patients.now_called(tx, PATIENT)) == last
    assert database.read(lambda tx: known_patients.known(tx, OTHER)) is None


@pytest.mark.parametrize(
    ("uids", "is_found"),
    [
        (("1.1",), True),
        (("1.1", "1.1.1"), True),
        (("1.1", "1.1.1", "1.1.1.1"), False),
        (("2.1", "2.1.1", "2.1.1.1"), True),
        (("2.1", "2.1.2"), False),
        (("1",), False),
    ],
)
def test_what_points_to_images_is_found_by_study_series_and_instance(
    database: Database, uids: tuple[str, ...], is_found: bool
) -> None:
    begin(database)

    found = database.read(lambda tx: reports.pointing_to(tx, *uids))

    assert found == ((REPORT,) if is_found else ())
