"""Record types: said at the toplevel, heard at an institution, in order, after any interruption."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import RecordType, RecordTypes, RecordTypesWanted
from appliance.domain.errors import BadRequest, Conflict, NotAllowed, NotFound, Unavailable
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.domain.listing import PartWanted
from appliance.services import record_types as module
from appliance.services.audit import Auditing, AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.record_types import RecordTypesDefined, RecordTypesKnown
from appliance.storage import audit, institution, toplevel
from appliance.storage.database import Database, migrate
from appliance.storage.record_types import RecordTypeFilter
from tests.services.node_parts import SOMEBODY

CLINIC = InstitutionId(UUID(int=1))
FIRST = PartWanted("name", 50)


def account(role: Role) -> Account:
    return Account(AccountId(UUID(int=9)), "root", "Root", "Root", frozenset({role}), CLINIC)


ROOT = account(Role.SUPERUSER)


@dataclass
class Bench:
    defined: RecordTypesDefined
    known: RecordTypesKnown
    is_away: bool = False
    questions: int = 0

    async def ask(self, wanted: RecordTypesWanted) -> RecordTypes:
        self.questions += 1
        if self.is_away:
            raise Unavailable("away")
        told = await self.defined.tell(msgspec.json.decode(msgspec.json.encode(wanted), type=RecordTypesWanted))
        return msgspec.json.decode(msgspec.json.encode(told), type=RecordTypes)

    async def create(self, *names: str) -> list[RecordType]:
        return [await self.defined.create(ROOT, SOMEBODY, name) for name in names]

    async def names(self, wanted: RecordTypeFilter = RecordTypeFilter()) -> list[str]:  # noqa: B008  # frozen
        return [one.name for one in (await self.defined.listed(wanted, FIRST)).rows]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    above = Database(f"sqlite:///{tmp_path}/toplevel.sqlite")
    below = Database(f"sqlite:///{tmp_path}/institution.sqlite")
    migrate(above, "toplevel", toplevel.MIGRATIONS)
    migrate(above, "audit", audit.MIGRATIONS)
    migrate(below, "institution", institution.MIGRATIONS)
    threads = [DatabaseThreads(above), DatabaseThreads(below)]
    auditing = Auditing(AuditTrail("toplevel", tmp_path / "audit-head"), threads[0])
    made = Bench(RecordTypesDefined(threads[0], auditing), None)  # type: ignore[arg-type]
    made.known = RecordTypesKnown(threads[1], CLINIC, made.ask)
    yield made
    for one in threads:
        await one.close()


async def test_an_institution_hears_of_every_type_and_of_its_changes(bench: Bench) -> None:
    ct, mr = await bench.create("CT", "MR")
    await bench.known.follow()
    await bench.defined.change(ROOT, SOMEBODY, RecordType(ct.id, "Computed tomography", is_active=False))

    before = await bench.known.listed()
    await bench.known.follow()

    assert before == (ct, mr)
    assert await bench.known.listed() == (RecordType(ct.id, "Computed tomography", is_active=False), mr)


async def test_it_hears_of_all_that_changed_while_the_line_was_down_and_knows_the_rest_meanwhile(bench: Bench) -> None:
    await bench.create("CT")
    await bench.known.follow()
    bench.is_away = True
    await bench.create("MR", "US")
    with pytest.raises(Unavailable):
        await bench.known.follow()

    assert [one.name for one in await bench.known.listed()] == ["CT"]
    bench.is_away = False
    await bench.known.follow()
    assert [one.name for one in await bench.known.listed()] == ["CT", "MR", "US"]


async def test_many_types_come_in_several_answers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    await bench.create("A", "B", "C", "D", "E")

    await bench.known.follow()

    assert [one.name for one in await bench.known.listed()] == ["A", "B", "C", "D", "E"]
    assert bench.questions == 3


async def test_a_toplevel_that_is_older_than_what_was_heard_of_it_tells_all_again(bench: Bench) -> None:
    ct, mr = await bench.create("CT", "MR")

    told = await bench.defined.tell(RecordTypesWanted(CLINIC, after=99))

    assert told == RecordTypes((ct, mr), last=2, is_all=True)


async def test_types_are_found_sorted_by_what_is_asked_for(bench: Bench) -> None:
    _, _, old = await bench.create("Žila 50%", "CT", "Old")
    await bench.defined.change(ROOT, SOMEBODY, RecordType(old.id, "Old", is_active=False))

    assert await bench.names() == ["CT", "Old", "Žila 50%"]
    assert await bench.names(RecordTypeFilter("zila")) == ["Žila 50%"]
    assert await bench.names(RecordTypeFilter("%")) == ["Žila 50%"]
    assert await bench.names(RecordTypeFilter(is_active=False)) == ["Old"]
    with pytest.raises(BadRequest):
        await bench.names(RecordTypeFilter(" "))


async def test_two_types_do_not_differ_by_marks_and_case_alone(bench: Bench) -> None:
    ct, mr = await bench.create("CT", "Žila")

    with pytest.raises(Conflict):
        await bench.create("zila")
    with pytest.raises(Conflict):
        await bench.defined.change(ROOT, SOMEBODY, RecordType(ct.id, "ŽILA", is_active=True))
    renamed = await bench.defined.change(ROOT, SOMEBODY, RecordType(mr.id, "ŽILA", is_active=True))
    assert renamed.name == "ŽILA"


@pytest.mark.parametrize("name", ["", " ", " CT", "CT\n", "C" * 101, "\u0301"])
async def test_a_name_that_cannot_be_kept_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(BadRequest):
        await bench.create(name)

    assert await bench.names() == []


async def test_nobody_but_a_superuser_says_what_there_is(bench: Bench) -> None:
    for role in (Role.PHYSICIAN, Role.ADMINISTRATOR):
        with pytest.raises(NotAllowed):
            await bench.defined.create(account(role), SOMEBODY, "CT")

    assert await bench.names() == []


async def test_a_type_that_is_not_there_is_not_changed(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.defined.change(ROOT, SOMEBODY, RecordType(UUID(int=5), "CT", is_active=True))
