"""Studies and the outbox of an institution, in both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import msgspec
import pytest

from appliance.domain.changes import (
    Answer,
    PatientAsHeld,
    PatientHere,
    PatientNumber,
    PatientRecord,
    StudyHeld,
)
from appliance.domain.errors import NotFound
from appliance.domain.identifiers import AccountId, PatientId, StudyUid
from appliance.domain.matching import Reason
from appliance.storage import inbox, institution
from appliance.storage.database import Database, MigrationRow, Transaction, migrate
from appliance.storage.inbox import Assignment, StudyPatient
from appliance.storage.outbox import OutboxRow

NODE, PATIENT = UUID(int=2), PatientId(UUID(int=3))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "institution", institution.MIGRATIONS)
    yield made
    made.close()


def held(uid: str, day: str | None = None, instances: int = 1, *, value: str = "4711") -> StudyHeld:
    patient = PatientAsHeld("", value, "Muster^Eva", "1970-01-31", "F")
    return StudyHeld(uid, NODE, patient, day, None, "Chest", "", ("CT",), 1, instances)


def keep(database: Database, *studies: StudyHeld) -> None:
    for study in studies:
        database.run(lambda tx, study=study: institution.keep_study(tx, study))  # type: ignore[misc]


def assign(database: Database, study_uid: str, patient_id: PatientId | None) -> None:
    moment = datetime(2026, 11, 22, 10, 54, tzinfo=UTC)
    decided = Assignment(
        uuid4(), StudyUid(study_uid), patient_id, None, False, AccountId(UUID(int=5)), "Ana Anić", moment
    )
    database.run(lambda tx: inbox.decide(tx, decided))


def state(database: Database, study_uid: str = "1.1") -> StudyPatient:
    return database.read(lambda tx: inbox.study_patient(tx, StudyUid(study_uid)))


def answered(database: Database, patient_id: PatientId | None, reason: str | None = None) -> None:
    """The toplevel answers all that is asked now."""

    def take(tx: Transaction) -> None:
        for study in inbox.to_ask(tx, asked_before=datetime.now(UTC), limit=9):
            inbox.take_answer(tx, study, Answer(study.study_uid, patient_id, reason))

    database.run(take)


def test_studies_come_newest_first_and_what_is_said_again_replaces(database: Database) -> None:
    keep(database, held("1.1", "2026-01-01"), held("1.2"), held("1.3", "2026-02-01"), held("1.1", "2026-01-01", 7))
    answered(database, PATIENT)

    studies = database.read(lambda tx: institution.studies_of(tx, PATIENT))

    assert [(study.study_uid, study.instance_count) for study in studies] == [("1.3", 1), ("1.1", 7), ("1.2", 1)]


def test_a_study_waits_until_somebody_says_whose_it_is(database: Database) -> None:
    keep(database, held("1.1"))

    assert database.read(lambda tx: institution.studies_of(tx, PATIENT)) == ()
    assert state(database).reason is Reason.NOT_ASKED
    assert database.read(inbox.waiting_count) == 1

    assign(database, "1.1", PATIENT)

    assert [study.study_uid for study in database.read(lambda tx: institution.studies_of(tx, PATIENT))] == ["1.1"]
    assert database.read(inbox.waiting_count) == 0


def test_a_study_without_a_patient_id_is_never_asked_about(database: Database) -> None:
    keep(database, held("1.1", value=" "))

    assert state(database).reason is Reason.NO_ID
    assert database.read(lambda tx: inbox.to_ask(tx, asked_before=datetime.now(UTC), limit=9)) == ()


def test_what_a_person_said_is_not_asked_about_and_no_answer_changes_it(database: Database) -> None:
    keep(database, held("1.1"))
    (asked,) = database.read(lambda tx: inbox.to_ask(tx, asked_before=datetime.now(UTC), limit=9))
    assign(database, "1.1", None)

    assert not database.run(lambda tx: inbox.take_answer(tx, asked, Answer("1.1", PATIENT, None)))

    assert state(database).reason is Reason.TAKEN_BACK
    answered(database, PATIENT)
    assert state(database).patient_id is None


def test_a_study_that_was_answered_is_asked_about_again_only_later_or_when_its_number_changed_hands(
    database: Database,
) -> None:
    keep(database, held("1.1"))
    before = datetime.now(UTC)
    answered(database, None, "unknown-id")

    assert state(database).reason is Reason.UNKNOWN_ID
    assert database.read(lambda tx: inbox.to_ask(tx, asked_before=before, limit=9)) == ()
    assert len(database.read(lambda tx: inbox.to_ask(tx, asked_before=datetime.now(UTC), limit=9))) == 1

    database.run(lambda tx: inbox.ask_again(tx, PatientNumber("", "4711")))
    assert len(database.read(lambda tx: inbox.to_ask(tx, asked_before=before, limit=9))) == 1


def test_another_patient_in_the_header_is_another_question(database: Database) -> None:
    keep(database, held("1.1"))
    answered(database, PATIENT)

    keep(database, held("1.1", instances=2))
    assert state(database).patient_id == PATIENT
    keep(database, held("1.1", value="4712"))
    assert state(database).patient_id is None


def test_two_nodes_that_disagree_do_not_ask_forever(database: Database) -> None:
    other = msgspec.structs.replace(held("1.1", value="4712"), node_id=UUID(int=9))
    keep(database, held("1.1"), other)
    answered(database, PATIENT)

    keep(database, held("1.1", instances=2), other)

    assert state(database).patient_id == PATIENT


def test_a_study_that_no_node_holds_waits_no_more_and_its_history_stays(database: Database) -> None:
    keep(database, held("1.1"))
    assign(database, "1.1", PATIENT)

    database.run(lambda tx: institution.forget_study(tx, "1.1", NODE))

    with pytest.raises(NotFound):
        state(database)
    (kept,) = database.read(lambda tx: inbox.history(tx, StudyUid("1.1")))
    assert (kept.account_name, kept.patient_id) == ("Ana Anić", PATIENT)


def test_studies_of_version_1_stay_with_their_patients(database: Database) -> None:
    """Rows and changes as the first version wrote them, which made a patient of each Patient ID."""
    clinic = UUID(int=1)
    made = UUID("275da4db-8d06-59b0-9c4c-5dfafd261db8")  # of institution 1, no issuer, 4711, by that version
    study = held("1.1")
    told = {
        "type": "patient-held",
        "institution_id": str(clinic),
        "patient": {"issuer": "", "value": "4711", "person_name": "Muster^Eva", "birth_date": "1970-01-31", "sex": "F"},
    }

    def as_it_was(tx: Transaction) -> None:
        for table in ("study_at_node", "study_patient", "assignment"):
            tx.drop_table(table)
        tx.create_tables(institution.HeldStudyOfVersion1Row)
        tx.insert(
            institution.HeldStudyOfVersion1Row,
            study_uid="1.1",
            node_id=NODE,
            patient_id=made,
            held=msgspec.msgpack.encode(study),
        )
        tx.insert(OutboxRow, role="institution", sequence=4, change=msgspec.msgpack.encode(told))
        tx.execute(MigrationRow.delete().where(MigrationRow.number == 3))

    database.run(as_it_was)
    migrate(database, "institution", institution.MIGRATIONS)

    assert database.read(lambda tx: institution.studies_of(tx, PatientId(made))) == (study,)
    assert database.read(inbox.waiting_count) == 0
    ((sequence, change),) = [
        (told.sequence, told.change) for told in database.read(lambda tx: institution.OUTBOX.waiting(tx, limit=9))
    ]
    assert sequence == 4
    assert change == PatientHere(
        clinic,
        made,
        (PatientNumber("", "4711"),),
        None,
        PatientRecord("Muster", "Eva", date(1970, 1, 31), "F"),
    )
