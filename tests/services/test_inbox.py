"""Whose a study is: a toplevel and two institutions, joined by a line that can be cut."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import (
    Answers,
    Delivery,
    InstitutionHere,
    NumberedChange,
    PatientAsHeld,
    PatientNumber,
    PatientRecord,
    Questions,
    StudyGone,
    StudyHeld,
)
from appliance.domain.errors import BadRequest, Conflict, NotAllowed, NotFound, Unavailable
from appliance.domain.identifiers import AccountId, InstitutionId, PatientId, StudyUid
from appliance.domain.people import Patient
from appliance.services import matching
from appliance.services.audit import AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.inbox import Decision, Inbox
from appliance.services.institution import Institution
from appliance.services.matching import Matching
from appliance.services.toplevel import Toplevel
from appliance.storage import audit, institution, toplevel
from appliance.storage.audit import AuditRow
from appliance.storage.database import Database, migrate
from tests.services.node_parts import SOMEBODY

NODE = UUID(int=7)
CLINIC, OTHER = InstitutionId(UUID(int=1)), InstitutionId(UUID(int=2))
EVA = PatientRecord("Muster", "Eva", date(1970, 1, 31), "F")


def physician(of: InstitutionId, name: str = "Ana", role: Role = Role.PHYSICIAN) -> Account:
    return Account(AccountId(uuid4()), name.lower(), name, "Anić", frozenset({role}), of)


@dataclass
class Clinic:
    """An institution with its databases; nothing is told or asked by itself."""

    id: InstitutionId
    database: DatabaseThreads
    above: Toplevel
    trail: AuditTrail
    may_create: bool = False
    is_dark: bool = False
    sequence: int = 0
    physician: Account = field(init=False)
    service: Institution = field(init=False)
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        self.physician = physician(self.id)
        self.service = Institution(self.database, InstitutionHere(self.id, "", "", ()), on_change=lambda: None)
        self.inbox = Inbox(self.database, self.id, self.ask, self.trail, on_change=lambda: None)

    async def ask(self, questions: Questions) -> Answers:
        if self.is_dark:
            raise Unavailable("the parent cannot be reached", key="parent-away")
        return await self.above.answer(questions)

    async def take(self, *changes: StudyHeld | StudyGone) -> None:
        """A node tells of studies; then the line does what it can."""
        numbered = tuple(NumberedChange(self.sequence + i + 1, change) for i, change in enumerate(changes))
        self.sequence += len(changes)
        await self.service.take_delivery(Delivery(NODE, numbered))
        await self.synchronise()

    async def synchronise(self) -> None:
        """What an uplink does in one round: first all that there is to tell, then all that there is to ask."""
        if self.is_dark:
            return
        waiting = await self.database.read(lambda tx: institution.OUTBOX.waiting(tx, limit=500))
        if waiting:
            kept = await self.above.take_delivery(Delivery(self.id, waiting))
            await self.database.run(lambda tx: institution.OUTBOX.acknowledge(tx, kept.sequence))
        await Matching(self.database, self.id, self.ask, may_create=self.may_create).ask()

    async def waiting(self) -> dict[str, str]:
        """Why each study waits."""
        studies, total = await self.inbox.waiting(self.physician, limit=50, offset=0)
        assert total == len(studies)
        return {str(study.whose.study_uid): str(study.whose.reason) for study in studies}

    async def studies(self, patient_id: PatientId) -> set[str]:
        return {study.study_uid for study in await self.service.studies(self.physician, patient_id)}

    async def assign(
        self, uid: str, to: PatientId | None, seen: PatientId | None = None, *, alone: bool = False
    ) -> None:
        await self.inbox.assign(self.physician, Decision(StudyUid(uid), to, seen, not alone), SOMEBODY)
        await self.synchronise()

    async def create(self, uid: str, record: PatientRecord = EVA, *, alone: bool = False) -> PatientId:
        made = PatientId(uuid4())
        await self.inbox.create(self.physician, Decision(StudyUid(uid), made, None, not alone, record), SOMEBODY)
        await self.synchronise()
        return made

    async def patients(self) -> list[Patient]:
        found, _ = await self.above.search_patients(self.physician, "", limit=50, offset=0)
        return list(found)


@pytest.fixture
async def clinics(tmp_path: Path) -> AsyncIterator[tuple[Clinic, Clinic]]:
    async with contextlib.AsyncExitStack() as stack:

        def opened(name: str, migrations: object) -> DatabaseThreads:
            database = Database(f"sqlite:///{tmp_path}/{name}.sqlite")
            migrate(database, name.partition("-")[0], migrations)  # type: ignore[arg-type]
            migrate(database, "audit", audit.MIGRATIONS)
            threads = DatabaseThreads(database)
            stack.push_async_callback(threads.close)
            return threads

        above = Toplevel(opened("toplevel", toplevel.MIGRATIONS), insurers=["INSURER"])
        yield (
            Clinic(
                CLINIC,
                opened("institution-1", institution.MIGRATIONS),
                above,
                AuditTrail("institution", tmp_path / "audit-1"),
            ),
            Clinic(
                OTHER,
                opened("institution-2", institution.MIGRATIONS),
                above,
                AuditTrail("institution", tmp_path / "audit-2"),
            ),
        )


@pytest.fixture
def clinic(clinics: tuple[Clinic, Clinic]) -> Clinic:
    return clinics[0]


def study(
    uid: str,
    value: str = "4711",
    name: str = "Muster^Eva",
    born: str | None = "1970-01-31",
    *,
    issuer: str = "",
    insured: str = "",
) -> StudyHeld:
    others = (PatientNumber("INSURER", insured),) if insured else ()
    patient = PatientAsHeld(issuer, value, name, born, "F", others)
    return StudyHeld(uid, NODE, patient, "2026-11-22", None, "CT chest", "", ("CT",), 1, 160)


# By the rule


async def test_an_unknown_number_waits_and_nobody_is_made_of_it(clinic: Clinic) -> None:
    await clinic.take(study("1.1"))

    assert await clinic.waiting() == {"1.1": "unknown-id"}
    assert await clinic.patients() == []


async def test_an_assigned_number_brings_its_later_studies_and_those_that_wait(clinic: Clinic) -> None:
    await clinic.take(study("1.1"), study("1.2"))

    eva = await clinic.create("1.1")
    await clinic.take(study("1.3", name="EVA^MUSTER"))

    assert await clinic.studies(eva) == {"1.1", "1.2", "1.3"}
    assert await clinic.waiting() == {}
    (kept,) = await clinic.patients()
    assert (kept.id, kept.family_name, kept.birth_date) == (eva, "Muster", date(1970, 1, 31))
    assert kept.institution_ids == (CLINIC,)
    assert [identity.value for identity in kept.identities] == ["4711"]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (study("1.2", born="1970-01-30"), "birth-date-differs"),
        (study("1.2", name="Bauer^Berta"), "name-differs"),
        (study("1.2", name="Bauer^Berta", born="1980-02-01"), "name-and-birth-date-differ"),
        (study("1.2", name="", born=None), "too-little"),
    ],
)
async def test_a_known_number_with_something_that_contradicts_waits_with_the_reason(
    clinic: Clinic, other: StudyHeld, reason: str
) -> None:
    await clinic.take(study("1.1"))
    eva = await clinic.create("1.1")

    await clinic.take(other)

    assert await clinic.waiting() == {"1.2": reason}
    assert await clinic.studies(eva) == {"1.1"}
    ((waits, *_), _) = await clinic.inbox.waiting(clinic.physician, limit=9, offset=0)
    assert waits.whose.candidate_id == eva


async def test_an_insurance_number_is_known_at_another_institution(clinics: tuple[Clinic, Clinic]) -> None:
    here, there = clinics
    await here.take(study("1.1", "4711", insured="99"))
    eva = await here.create("1.1")

    await there.take(
        study("2.1", "X-1", insured="99"),
        study("2.2", "99", issuer="INSURER"),
        study("2.3", "X-2", insured="99", born="1970-01-30"),
        study("2.4", "X-3", insured="98"),
        study("2.5", "4711"),
    )
    await there.take(study("2.6", "X-1"))

    assert await there.studies(eva) == {"2.1", "2.2", "2.6"}
    assert await there.waiting() == {"2.3": "birth-date-differs", "2.4": "unknown-id", "2.5": "unknown-id"}
    (kept,) = await here.patients()
    assert set(kept.institution_ids) == {CLINIC, OTHER}


async def test_an_institution_with_numbers_of_its_own_may_make_patients_and_still_does_not_guess(
    clinic: Clinic,
) -> None:
    clinic.may_create = True
    await clinic.take(
        study("1.1"),
        study("1.2"),
        study("1.3", born="1970-01-30"),
        study("1.4", "", born="1970-01-31"),
        study("1.5", "4712", name=""),
        study("1.6", "4713", born=None),
        study("1.7", "4714"),
    )

    waiting = await clinic.waiting()

    assert waiting == {"1.3": "birth-date-differs", "1.4": "no-id", "1.5": "unknown-id", "1.6": "unknown-id"}
    studies = [await clinic.studies(patient.id) for patient in await clinic.patients()]
    assert sorted(studies, key=len) == [{"1.7"}, {"1.1", "1.2"}], "the same name and birth date are not one person"


# By a person


async def test_a_study_without_a_number_is_assigned_alone(clinic: Clinic) -> None:
    await clinic.take(study("1.1", ""), study("1.2", ""))

    with pytest.raises(BadRequest) as refused:
        await clinic.create("1.1")
    assert refused.value.key == "no-number"
    eva = await clinic.create("1.1", alone=True)

    assert await clinic.studies(eva) == {"1.1"}
    assert await clinic.waiting() == {"1.2": "no-id"}
    (kept,) = await clinic.patients()
    assert (kept.identities, kept.institution_ids) == ((), (CLINIC,))


async def test_a_study_with_the_number_of_another_is_assigned_without_taking_it_from_them(clinic: Clinic) -> None:
    await clinic.take(study("1.1"))
    eva = await clinic.create("1.1")
    await clinic.take(study("1.2", name="Bauer^Berta", born="1980-02-01"))

    berta = await clinic.create("1.2", PatientRecord("Bauer", "Berta", date(1980, 2, 1), "F"), alone=True)
    await clinic.take(study("1.3"))

    assert await clinic.studies(eva) == {"1.1", "1.3"}
    assert await clinic.studies(berta) == {"1.2"}


async def test_a_wrong_assignment_is_moved_with_all_that_came_by_its_number(clinic: Clinic) -> None:
    await clinic.take(study("1.1"), study("9.1", "1", "Meier^Eva"))
    wrong = await clinic.create("1.1")
    right = await clinic.create("9.1", PatientRecord("Muster", "Eva", date(1970, 1, 31), "F"))
    await clinic.take(study("1.2"))
    assert await clinic.studies(wrong) == {"1.1", "1.2"}

    await clinic.assign("1.1", right, seen=wrong)

    assert await clinic.studies(wrong) == set()
    assert await clinic.studies(right) == {"9.1", "1.1", "1.2"}
    held = {patient.id: patient.institution_ids for patient in await clinic.patients()}
    assert held == {wrong: (), right: (CLINIC,)}
    _, history = await clinic.inbox.study(clinic.physician, StudyUid("1.1"))
    assert {(one.previous_patient_id, one.patient_id) for one in history} == {(wrong, right), (None, wrong)}


async def test_a_number_that_was_taken_back_matches_nobody(clinic: Clinic) -> None:
    await clinic.take(study("1.1"))
    eva = await clinic.create("1.1")
    await clinic.take(study("1.2"))

    await clinic.assign("1.1", None, seen=eva)
    await clinic.take(study("1.3"))

    assert await clinic.waiting() == {"1.1": "taken-back", "1.2": "unknown-id", "1.3": "unknown-id"}


async def test_the_second_of_two_physicians_hears_who_was_first(clinic: Clinic) -> None:
    await clinic.take(study("1.1"))
    await clinic.create("1.1")

    with pytest.raises(Conflict) as refused:
        await clinic.create("1.1")

    assert refused.value.key == "assigned-meanwhile"
    assert refused.value.fields["by"] == "Ana Anić"
    assert len(await clinic.patients()) == 1


@pytest.mark.parametrize(
    ("record", "key"),
    [
        (PatientRecord(" ", "", None, None), "no-name"),
        (PatientRecord("M" * 65, "", None, None), "bad-request"),
        (PatientRecord("Muster", "", date.today() + timedelta(days=2), None), "bad-request"),
    ],
)
async def test_a_patient_who_cannot_be_is_refused(clinic: Clinic, record: PatientRecord, key: str) -> None:
    await clinic.take(study("1.1"))

    with pytest.raises(BadRequest) as refused:
        await clinic.create("1.1", record)

    assert refused.value.key == key
    assert await clinic.waiting() == {"1.1": "unknown-id"}


async def test_nobody_is_assigned_to_who_is_not_there(clinic: Clinic) -> None:
    await clinic.take(study("1.1"))

    with pytest.raises(NotFound):
        await clinic.assign("1.1", PatientId(uuid4()))


async def test_a_study_that_is_gone_is_not_assigned(clinic: Clinic) -> None:
    await clinic.take(study("1.1"))
    await clinic.take(StudyGone("1.1", NODE))

    assert await clinic.waiting() == {}
    with pytest.raises(NotFound):
        await clinic.create("1.1")


# Whose inbox it is


@pytest.mark.parametrize("who", [physician(OTHER), physician(CLINIC, role=Role.ADMINISTRATOR)])
async def test_only_physicians_of_the_institution_see_and_decide(clinic: Clinic, who: Account) -> None:
    await clinic.take(study("1.1"))
    decision = Decision(StudyUid("1.1"), PatientId(uuid4()), None, True, EVA)

    for attempt in (
        clinic.inbox.waiting(who, limit=1, offset=0),
        clinic.inbox.study(who, StudyUid("1.1")),
        clinic.inbox.assign(who, decision, SOMEBODY),
        clinic.inbox.create(who, decision, SOMEBODY),
    ):
        with pytest.raises(NotAllowed):
            await attempt
    assert await clinic.waiting() == {"1.1": "unknown-id"}


async def test_who_decided_what_is_on_record_and_what_was_refused_too(clinic: Clinic) -> None:
    await clinic.take(study("1.1"))
    eva = await clinic.create("1.1")
    with pytest.raises(Conflict):
        await clinic.create("1.1")
    await clinic.assign("1.1", None, seen=eva)
    await clinic.assign("1.1", eva)
    with pytest.raises(NotAllowed):
        await clinic.inbox.assign(physician(OTHER), Decision(StudyUid("1.1"), None, eva, False), SOMEBODY)

    records = await clinic.database.read(lambda tx: tx.rows(AuditRow.select().order_by(AuditRow.sequence)))

    said = [(one.action, one.subject_kind, one.subject_uid, one.study_uid, one.outcome, one.reason) for one in records]
    assert said == [
        ("create-patient", "patient", str(eva), "1.1", "done", ""),
        ("take-back", "study", "1.1", "1.1", "done", ""),
        ("assign", "patient", str(eva), "1.1", "done", ""),
        ("take-back", "study", "1.1", "1.1", "refused", "other-institution"),
    ]
    assert {(one.room, one.actor_name, one.address) for one in records} == {("institution", "ana", "192.0.2.1")}


# While the line is down


async def test_in_the_dark_a_study_waits_and_is_asked_about_when_the_line_is_back(clinic: Clinic) -> None:
    await clinic.take(study("1.1"))
    eva = await clinic.create("1.1")
    clinic.is_dark = True
    await clinic.take(study("1.2"))
    assert await clinic.waiting() == {"1.2": "not-asked"}

    clinic.is_dark = False
    await clinic.synchronise()

    assert await clinic.studies(eva) == {"1.1", "1.2"}


async def test_an_assignment_in_the_dark_goes_up_later(clinic: Clinic) -> None:
    clinic.is_dark = True
    await clinic.take(study("1.1"), study("1.2"))

    eva = await clinic.create("1.1")
    await clinic.assign("1.2", eva, alone=True)
    assert await clinic.studies(eva) == {"1.1", "1.2"}
    assert await clinic.patients() == []

    clinic.is_dark = False
    await clinic.take(study("1.3"))

    assert await clinic.studies(eva) == {"1.1", "1.2", "1.3"}
    assert [patient.id for patient in await clinic.patients()] == [eva]


async def test_in_the_dark_nobody_is_assigned_to_whom_this_institution_does_not_know(
    clinics: tuple[Clinic, Clinic],
) -> None:
    here, there = clinics
    await there.take(study("2.1"))
    eva = await there.create("2.1")
    here.is_dark = True
    await here.take(study("1.1"))

    with pytest.raises(Unavailable) as refused:
        await here.assign("1.1", eva)
    assert refused.value.key == "toplevel-away"

    here.is_dark = False
    await here.assign("1.1", eva)
    assert await here.studies(eva) == {"1.1"}


async def test_in_the_dark_a_number_is_not_taken_from_somebody_unseen(clinic: Clinic) -> None:
    await clinic.take(study("1.1"))
    eva = await clinic.create("1.1")
    clinic.is_dark = True
    await clinic.take(study("1.2", name="Bauer^Berta"))
    berta = await clinic.create("1.2", PatientRecord("Bauer", "Berta", None, "F"))

    clinic.is_dark = False
    await clinic.take(study("1.3"))

    assert await clinic.studies(berta) == {"1.2"}
    assert await clinic.studies(eva) == {"1.1", "1.3"}


async def test_what_waits_is_asked_about_again_after_a_while(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    await clinic.take(study("1.1", insured="99"))
    assert await clinic.waiting() == {"1.1": "unknown-id"}
    await clinic.take(study("1.2", "4712", insured="99"))
    eva = await clinic.create("1.2")
    assert await clinic.waiting() == {"1.1": "unknown-id"}

    monkeypatch.setattr(matching, "_AGAIN_AFTER", timedelta(0))
    await clinic.synchronise()

    assert await clinic.studies(eva) == {"1.1", "1.2"}
