"""What was measured, in both engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from appliance.domain.identifiers import AccountId, InstanceUid, MeasurementId, SeriesUid, StudyUid
from appliance.domain.measurements import Drawn, Measurement
from appliance.domain.measuring import Kind
from appliance.domain.reports import Writer
from appliance.storage import institution, measurements
from appliance.storage.database import Database, migrate

AT = datetime(2026, 11, 22, 10, 54, tzinfo=UTC)
STUDY = StudyUid("1.1")
DRAWN = Drawn(
    STUDY,
    SeriesUid("1.1.1"),
    InstanceUid("1.1.1.1"),
    3,
    Kind.FREEHAND,
    ((0.1, 2.0), (511.25, 3.5), (1 / 3, 40.0)),
    "Rundherd – 山田",
)
ONE = Measurement(MeasurementId(UUID(int=4)), DRAWN, 1, Writer(AccountId(UUID(int=5)), "Ana Anić"), AT, AT)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "institution", institution.MIGRATIONS)
    made.run(lambda tx: measurements.add(tx, ONE))
    yield made
    made.close()


def test_what_was_drawn_comes_back_to_the_last_bit(database: Database) -> None:
    assert database.read(lambda tx: measurements.measurement(tx, ONE.id)) == ONE


def test_those_of_a_study_come_in_the_order_of_their_making(database: Database) -> None:
    calibration = replace(DRAWN, kind=Kind.CALIBRATION, points=((0.0, 0.0), (0.0, 9.0)), length_mm=12.7)
    earlier = Measurement(MeasurementId(UUID(int=9)), calibration, 1, ONE.author, AT - timedelta(hours=1), AT)
    elsewhere = replace(ONE, id=MeasurementId(UUID(int=7)), drawn=replace(DRAWN, study_uid=StudyUid("2.1")))
    for one in (earlier, elsewhere):
        database.run(lambda tx, one=one: measurements.add(tx, one))  # type: ignore[misc]

    assert database.read(lambda tx: measurements.of_study(tx, STUDY)) == (earlier, ONE)
    assert database.read(lambda tx: measurements.count_of_study(tx, STUDY)) == 2


def test_it_may_be_moved_and_named_anew_and_stays_whose_it_is(database: Database) -> None:
    drawn = replace(DRAWN, points=((1.0, 1.0), (2.0, 2.0), (3.0, 1.0)), text="")
    changed = replace(ONE, drawn=drawn, revision=2, changed_at=AT + timedelta(minutes=1))

    database.run(lambda tx: measurements.change(tx, changed))

    assert database.read(lambda tx: measurements.measurement(tx, ONE.id)) == changed


def test_what_is_removed_is_gone(database: Database) -> None:
    database.run(lambda tx: measurements.remove(tx, ONE.id))

    assert database.read(lambda tx: measurements.of_study(tx, STUDY)) == ()
