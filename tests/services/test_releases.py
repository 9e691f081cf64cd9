"""What other institutions do not see at a node: studies of which the institution has not said whose they are."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import (
    Answers,
    Delivery,
    InstitutionHere,
    PatientRecord,
    Questions,
    ReleaseCursor,
    Releases,
    ReleasesWanted,
)
from appliance.domain.errors import NotFound, Unavailable
from appliance.domain.identifiers import AccountId, InstitutionId, PatientId, StudyUid
from appliance.services import institution as institutions
from appliance.services.audit import AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.inbox import Decision, Inbox
from appliance.services.institution import Institution
from appliance.services.releases import HeldBack
from appliance.storage import audit, inbox, institution
from appliance.storage.database import Database, migrate
from appliance.storage.releases import FeedCursorRow
from tests.services.node_parts import INSTITUTION_ID, NODE_ID, SOMEBODY, NodeParts, ct_slice, encoded, node_parts

STUDY = StudyUid("1.2.3")
EVA = PatientRecord("Muster", "Eva", None, "F")


def physician(of: UUID, role: Role = Role.PHYSICIAN) -> Account:
    return Account(AccountId(uuid4()), "ana", "Ana", "Anić", frozenset({role}), InstitutionId(of))


ANA, IVO = physician(INSTITUTION_ID), physician(UUID(int=2))


@dataclass
class Clinic:
    """A node and its institution; nothing is told by itself."""

    node: NodeParts
    database: DatabaseThreads
    service: Institution
    inbox: Inbox
    held_back: HeldBack
    is_dark: bool = False

    async def tell(self, wanted: ReleasesWanted) -> Releases:
        if self.is_dark:
            raise Unavailable("the parent cannot be reached", key="parent-away")
        return await self.service.releases(wanted)

    async def store(self, number: int = 1, study: str = STUDY) -> None:
        await self.node.put(encoded(ct_slice(number, study=study, series=f"{study}.1")))

    async def synchronise(self) -> None:
        """The node tells what it holds, and hears what is a patient's."""
        waiting = await self.node.outbox.waiting(500)
        if waiting:
            acknowledged = await self.service.take_delivery(Delivery(NODE_ID, waiting))
            await self.node.outbox.acknowledge(acknowledged.sequence)
        await self.held_back.follow()

    async def assign(self, study: str = STUDY) -> PatientId:
        patient_id = PatientId(uuid4())
        await self.inbox.create(ANA, Decision(StudyUid(study), patient_id, None, False, EVA), SOMEBODY)
        return patient_id

    async def sees(self, account: Account, study: str = STUDY) -> bool:
        try:
            await self.held_back.check(account, StudyUid(study))
        except NotFound:
            return False
        return True


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async def nobody_known(questions: Questions) -> Answers:
        return Answers()

    async with node_parts(tmp_path) as node, contextlib.AsyncExitStack() as stack:
        database = Database(f"sqlite:///{tmp_path}/institution.sqlite")
        migrate(database, "institution", institution.MIGRATIONS)
        migrate(database, "audit", audit.MIGRATIONS)
        trail = AuditTrail("institution", tmp_path / "audit-head-institution")
        threads = DatabaseThreads(database)
        stack.push_async_callback(threads.close)
        here = InstitutionHere(INSTITUTION_ID, "", "", ())
        service = Institution(threads, here, on_change=lambda: None)
        waiting = Inbox(threads, INSTITUTION_ID, nobody_known, trail, on_change=lambda: None)
        made = Clinic(node, threads, service, waiting, held_back=None)  # type: ignore[arg-type]
        made.held_back = HeldBack(node.threads, NODE_ID, INSTITUTION_ID, made.tell)
        yield made


async def test_a_study_is_held_back_from_its_first_instance_on_until_it_is_assigned(clinic: Clinic) -> None:
    await clinic.store()
    assert not await clinic.sees(IVO)
    assert await clinic.sees(ANA)
    assert await clinic.sees(physician(UUID(int=2), Role.SUPERUSER))

    await clinic.synchronise()
    assert not await clinic.sees(IVO)

    await clinic.assign()
    assert not await clinic.sees(IVO)
    await clinic.synchronise()
    assert await clinic.sees(IVO)


async def test_a_study_that_was_taken_back_is_held_back_at_once(clinic: Clinic) -> None:
    await clinic.store()
    await clinic.synchronise()
    eva = await clinic.assign()
    await clinic.synchronise()
    assert await clinic.sees(IVO)

    await clinic.inbox.assign(ANA, Decision(STUDY, None, eva, False), SOMEBODY)
    await clinic.synchronise()

    assert not await clinic.sees(IVO)


async def test_while_the_institution_is_away_what_it_said_holds_and_what_is_new_is_held_back(clinic: Clinic) -> None:
    await clinic.store()
    await clinic.synchronise()
    await clinic.assign()
    await clinic.synchronise()

    clinic.is_dark = True
    await clinic.store(study="1.2.4")
    with pytest.raises(Unavailable):
        await clinic.held_back.follow()

    assert await clinic.sees(IVO)
    assert not await clinic.sees(IVO, "1.2.4")


async def test_a_study_that_was_deleted_and_comes_again_is_released_again_by_the_institution_only(
    clinic: Clinic,
) -> None:
    await clinic.store()
    await clinic.synchronise()
    await clinic.assign()
    await clinic.synchronise()

    await clinic.node.catalogue.delete_study(STUDY, SOMEBODY)
    await clinic.store()
    fresh = HeldBack(clinic.node.threads, NODE_ID, INSTITUTION_ID, clinic.tell)

    with pytest.raises(NotFound):
        await fresh.check(IVO, STUDY)


async def test_a_study_that_another_node_holds_too_is_told_to_the_node_that_it_is_new_to(clinic: Clinic) -> None:
    await clinic.store()
    await clinic.synchronise()
    await clinic.assign()
    other = UUID(int=99)
    last = (await clinic.service.releases(ReleasesWanted(other, ReleaseCursor()))).cursor

    held = (await clinic.database.read(lambda tx: institution.held_studies(tx, [STUDY])))[0]
    await clinic.database.run(lambda tx: institution.keep_study(tx, msgspec.structs.replace(held, node_id=other)))
    told = await clinic.service.releases(ReleasesWanted(other, last))

    assert [(one.study_uid, one.is_released) for one in told.studies] == [(STUDY, True)]


async def test_many_studies_come_in_pages_and_each_once(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(institutions, "_RELEASES_AT_ONCE", 2)
    studies = [f"1.2.{number}" for number in range(10, 17)]
    for study in studies:
        await clinic.store(study=study)
    await clinic.synchronise()
    for study in studies:
        await clinic.assign(study)
    # As after a migration: all of the same number.
    await clinic.database.run(lambda tx: tx.execute(inbox.StudyPatientRow.update(sequence=1)))
    await clinic.node.threads.run(lambda tx: tx.execute(FeedCursorRow.delete()))

    await clinic.held_back.follow()

    assert all([await clinic.sees(IVO, study) for study in studies])


async def test_an_institution_that_was_restored_from_a_backup_tells_all_again(clinic: Clinic) -> None:
    await clinic.store()
    await clinic.synchronise()
    await clinic.assign()

    told = await clinic.service.releases(ReleasesWanted(NODE_ID, ReleaseCursor(10_000)))

    assert [one.is_released for one in told.studies] == [True]
    assert told.cursor.sequence < 10_000


async def test_what_is_released_is_not_looked_up_for_each_picture(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clinic.store()
    await clinic.synchronise()
    await clinic.assign()
    await clinic.synchronise()
    assert await clinic.sees(IVO)

    monkeypatch.setattr(clinic.node.threads, "read", None)  # who asked the database now would fail

    assert await clinic.sees(IVO)
    assert await clinic.sees(ANA)
