"""Studies, reports and the outbox of an institution, in both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from appliance.domain.changes import PatientAsHeld, StudyHeld
from appliance.domain.identifiers import AccountId, PatientId, ReportId, StudyUid
from appliance.domain.reports import Report, ReportText
from appliance.storage import institution
from appliance.storage.database import Database, migrate

NODE, PATIENT = UUID(int=2), PatientId(UUID(int=3))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "institution", institution.MIGRATIONS)
    yield made
    made.close()


def held(uid: str, date: str | None = None, instances: int = 1) -> StudyHeld:
    patient = PatientAsHeld("", "4711", "Muster^Eva", "1970-01-31", "F")
    return StudyHeld(uid, NODE, patient, date, None, "Chest", "", ("CT",), 1, instances)


def test_studies_come_newest_first_and_what_is_said_again_replaces(database: Database) -> None:
    for study in (held("1.1", "2026-01-01"), held("1.2"), held("1.3", "2026-02-01"), held("1.1", "2026-01-01", 7)):
        database.run(lambda tx, study=study: institution.keep_study(tx, study, PATIENT))  # type: ignore[misc]

    studies = database.read(lambda tx: institution.studies_of(tx, PATIENT))

    assert [(study.study_uid, study.instance_count) for study in studies] == [("1.3", 1), ("1.1", 7), ("1.2", 1)]


def test_a_report_is_read_as_it_was_written(database: Database) -> None:
    report = Report(
        ReportId(UUID(int=4)),
        PATIENT,
        StudyUid("1.1"),
        datetime(2026, 11, 22, 10, 54, tzinfo=UTC),
        AccountId(UUID(int=5)),
        "Ana Anić",
        ReportText("CT chest", "Kein Rundherd – 山田", "Normal.", ""),
    )

    database.run(lambda tx: institution.keep_report(tx, report))

    assert database.read(lambda tx: institution.reports_of(tx, PATIENT)) == (report,)
