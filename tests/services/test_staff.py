"""Accounts as administrators list, make and change them: their own institution's, whatever they leave out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.domain.accounts import NOWHERE, Account, Contact, Role
from appliance.domain.errors import BadRequest, Conflict, NotAllowed, NotFound
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.domain.listing import PartWanted, Place
from appliance.domain.staff import Particulars
from appliance.services.accounts import Accounts, Whence
from appliance.services.audit import Auditing, AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.passkeys import Passkeys
from appliance.services.second_factors import SecondFactors
from appliance.services.staff import PersonWanted, Staff
from appliance.services.tokens import TokenSigner
from appliance.storage import audit, toplevel
from appliance.storage.accounts import AccountFilter
from appliance.storage.database import Database, migrate
from appliance.storage.toplevel import InstitutionEntry
from tests.services.node_parts import SOMEBODY

PASSWORD = "correct horse battery"
CLINIC, OTHER = InstitutionId(UUID(int=1)), InstitutionId(UUID(int=2))
FIRST = PartWanted("name", 50)
REACHED = Contact("ana@example.org", "+385 1 234", "Ilica 1\nZagreb")
KEPT = Particulars(REACHED, is_doctor=True)
EVA = PersonWanted("Eva", "Žilić", frozenset({Role.PHYSICIAN}), CLINIC, KEPT)


def account(*roles: Role, at: InstitutionId | None = CLINIC, number: int = 99) -> Account:
    return Account(AccountId(UUID(int=number)), "adam", "Adam", "Adamić", frozenset(roles), at)


ADMINISTRATOR = account(Role.ADMINISTRATOR)
SUPERUSER = account(Role.SUPERUSER, at=None)


@dataclass
class Bench:
    staff: Staff
    accounts: Accounts
    database: DatabaseThreads
    revoked: list[str]

    async def create(self, username: str, person: PersonWanted = EVA, by: Account = SUPERUSER) -> Account:
        return (await self.staff.create(by, SOMEBODY, username, PASSWORD, person)).account

    async def usernames(self, by: Account, wanted: AccountFilter, part: PartWanted = FIRST) -> list[str]:
        return [entry.account.username for entry in (await self.staff.listed(by, wanted, part)).rows]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    database = Database(f"sqlite:///{tmp_path}/toplevel.sqlite")
    migrate(database, "toplevel", toplevel.MIGRATIONS)
    migrate(database, "audit", audit.MIGRATIONS)
    for institution_id, name in ((CLINIC, "Clinic"), (OTHER, "Other")):
        entry = InstitutionEntry(institution_id, name, "https://localhost", ())
        database.run(lambda tx, entry=entry: toplevel.keep_institution(tx, entry))  # type: ignore[misc]
    threads = DatabaseThreads(database)
    trail = AuditTrail("toplevel", tmp_path / "audit-head")
    signer = TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600)
    factors = SecondFactors(tmp_path / "second-factors.key")
    passkeys = Passkeys(tmp_path / "second-factors.key", None)
    accounts = Accounts(threads, signer, trail, factors, passkeys, session_lifetime=timedelta(days=1))
    revoked: list[str] = []

    async def on_revoked() -> None:
        revoked.append("told")

    staff = Staff(threads, Auditing(trail, threads), accounts, on_revoked=on_revoked)
    yield Bench(staff, accounts, threads, revoked)
    await accounts.close()
    await threads.close()


async def test_an_administrator_sees_the_accounts_of_their_institution_and_a_superuser_all(bench: Bench) -> None:
    await bench.create("eva")
    await bench.create("ivo", replace(EVA, institution_id=OTHER))
    await bench.create("root", replace(EVA, institution_id=None))

    assert await bench.usernames(ADMINISTRATOR, AccountFilter()) == ["eva"]
    assert await bench.usernames(ADMINISTRATOR, AccountFilter(institution_id=CLINIC)) == ["eva"]
    assert set(await bench.usernames(SUPERUSER, AccountFilter())) == {"eva", "ivo", "root"}
    assert await bench.usernames(SUPERUSER, AccountFilter(institution_id=OTHER)) == ["ivo"]


async def test_an_administrator_of_no_institution_is_refused_and_sees_nobody(bench: Bench) -> None:
    await bench.create("root", replace(EVA, institution_id=None))

    with pytest.raises(NotAllowed) as refused:
        await bench.usernames(account(Role.ADMINISTRATOR, at=None), AccountFilter())

    assert refused.value.key == "other-institution"


async def test_asking_for_another_institution_or_without_the_right_is_refused(bench: Bench) -> None:
    with pytest.raises(NotAllowed) as of_another:
        await bench.staff.listed(ADMINISTRATOR, AccountFilter(institution_id=OTHER), FIRST)
    with pytest.raises(NotAllowed) as by_a_physician:
        await bench.staff.listed(account(Role.PHYSICIAN), AccountFilter(), FIRST)

    assert (of_another.value.key, by_a_physician.value.key) == ("other-institution", "missing-right")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AccountFilter("zil"), ["eva"]),
        (AccountFilter("ŽILIĆ e"), ["eva"]),
        (AccountFilter("ilic"), []),
        (AccountFilter("iv"), ["ivo"]),
        (AccountFilter(role=Role.ADMINISTRATOR), ["ivo"]),
        (AccountFilter(is_active=False), ["ivo"]),
        (AccountFilter(is_active=True), ["eva"]),
        (AccountFilter(), ["ivo", "eva"]),
    ],
)
async def test_accounts_are_found_by_what_is_asked_for(bench: Bench, wanted: AccountFilter, found: list[str]) -> None:
    await bench.create("eva")
    ivo = await bench.create("ivo", replace(EVA, family_name="Anić", roles=frozenset({Role.ADMINISTRATOR})))
    await bench.accounts.set_active(ivo, SOMEBODY, is_active=False)

    assert await bench.usernames(ADMINISTRATOR, wanted) == found


@pytest.mark.parametrize("search", ["", " ", "\u0301"])
async def test_a_search_for_nothing_is_refused_and_does_not_find_all(bench: Bench, search: str) -> None:
    with pytest.raises(BadRequest):
        await bench.staff.listed(SUPERUSER, AccountFilter(search), FIRST)


@pytest.fixture
async def people(bench: Bench) -> None:
    """Somebody of each institution, and of none, who may log in or may not."""
    for number, at in enumerate([CLINIC, OTHER, None] * 2):
        person = Account(AccountId(UUID(int=100 + number)), f"eva{number}", "Eva", "Žilić", frozenset(Role), at)
        await bench.database.run(lambda tx, person=person: toplevel.create_account(tx, person, ""))  # type: ignore[misc]
    await bench.database.run(lambda tx: toplevel.set_active(tx, AccountId(UUID(int=100)), is_active=False))


@pytest.mark.usefixtures("people")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    home=st.sampled_from([CLINIC, OTHER, None]),
    search=st.none() | st.sampled_from(["", "zil", "e", "%", "_"]) | st.text(max_size=4),
    institution_id=st.sampled_from([None, CLINIC, OTHER, NOWHERE]),
    role=st.none() | st.sampled_from(Role),
    is_active=st.none() | st.booleans(),
    is_descending=st.booleans(),
)
async def test_no_filter_shows_an_administrator_people_of_another_institution(
    bench: Bench,
    home: InstitutionId | None,
    search: str | None,
    institution_id: InstitutionId | None,
    role: Role | None,
    is_active: bool | None,
    is_descending: bool,
) -> None:
    wanted = AccountFilter(search, institution_id, role, is_active)

    try:
        found = await bench.staff.listed(
            account(Role.ADMINISTRATOR, at=home), wanted, PartWanted("name", 50, is_descending)
        )
    except (BadRequest, NotAllowed):
        return

    assert all(home is not None and entry.account.institution_id == home for entry in found.rows)
    assert found.total == len(found.rows)


@pytest.mark.parametrize("is_descending", [False, True])
async def test_the_parts_of_a_list_are_together_the_whole_of_it_in_order(bench: Bench, is_descending: bool) -> None:
    for number in range(5):
        await bench.create(f"eva{number}")  # all of one name: only their ids tell them apart
    await bench.create("ana", replace(EVA, family_name="Anić"))
    whole = await bench.usernames(SUPERUSER, AccountFilter(), PartWanted("name", 50, is_descending))

    seen: list[str] = []
    place: Place | None = None
    while True:
        part = PartWanted("name", 2, is_descending, place)
        found = await bench.staff.listed(SUPERUSER, AccountFilter(), part)
        seen += [entry.account.username for entry in found.rows]
        place = found.end
        if place is None:
            break

    assert seen == whole
    assert (seen[-1] if is_descending else seen[0]) == "ana"
    assert found.total == 6


async def test_a_place_of_another_list_is_refused(bench: Bench) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        await bench.staff.listed(SUPERUSER, AccountFilter(), PartWanted("name", 2, after=Place("a", "no id")))


async def test_an_account_that_is_made_can_log_in_and_has_what_was_said_of_its_person(bench: Bench) -> None:
    made = await bench.staff.create(ADMINISTRATOR, SOMEBODY, "eva", PASSWORD, EVA)

    session = await bench.accounts.log_in("eva", PASSWORD, Whence("192.0.2.1"))

    assert session.account == made.account
    assert (made.particulars, made.is_active) == (KEPT, True)
    (listed,) = (await bench.staff.listed(ADMINISTRATOR, AccountFilter(), FIRST)).rows
    assert listed == made


@pytest.mark.parametrize(
    ("person", "key"),
    [
        (replace(EVA, institution_id=OTHER), "other-institution"),
        (replace(EVA, institution_id=None), "other-institution"),
        (replace(EVA, roles=frozenset({Role.SUPERUSER})), "missing-right"),
    ],
)
async def test_an_administrator_makes_nobody_who_is_not_theirs_to_make(
    bench: Bench, person: PersonWanted, key: str
) -> None:
    with pytest.raises(NotAllowed) as refused:
        await bench.create("eva", person, by=ADMINISTRATOR)

    assert refused.value.key == key


@pytest.mark.parametrize(
    "person",
    [
        replace(EVA, family_name=""),
        replace(EVA, family_name=" Žilić"),
        replace(EVA, given_name="E\nva"),
        replace(EVA, given_name="E" * 65),
        replace(EVA, roles=frozenset()),
        replace(EVA, particulars=Particulars(replace(REACHED, email="eva"))),
        replace(EVA, particulars=Particulars(replace(REACHED, email="e\x00@example.org"))),
        replace(EVA, particulars=Particulars(replace(REACHED, phone="1\x00"))),
        replace(EVA, particulars=Particulars(replace(REACHED, address="a" * 501))),
    ],
)
async def test_a_person_who_cannot_be_kept_is_refused_by_name_of_the_field(bench: Bench, person: PersonWanted) -> None:
    with pytest.raises(BadRequest) as refused:
        await bench.create("eva", person)

    assert "parameter" in refused.value.fields


@pytest.mark.parametrize("username", ["", " ", " eva", "e" * 65, "e\x00"])
async def test_a_username_that_cannot_be_kept_is_refused(bench: Bench, username: str) -> None:
    with pytest.raises(BadRequest):
        await bench.create(username)


async def test_nobody_works_at_an_institution_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.create("eva", replace(EVA, institution_id=InstitutionId(UUID(int=77))))


async def test_a_changed_account_is_found_by_its_new_name_and_keeps_its_tokens(bench: Bench) -> None:
    eva = await bench.create("eva")

    changed = await bench.staff.change(ADMINISTRATOR, SOMEBODY, eva.id, replace(EVA, family_name="Perić"))

    assert changed.account == replace(eva, family_name="Perić")
    assert await bench.usernames(ADMINISTRATOR, AccountFilter("peri")) == ["eva"]
    assert await bench.usernames(ADMINISTRATOR, AccountFilter("zil")) == []
    assert bench.revoked == []


async def test_tokens_with_other_rights_are_no_good_any_more(bench: Bench) -> None:
    eva = await bench.create("eva")

    await bench.staff.change(ADMINISTRATOR, SOMEBODY, eva.id, replace(EVA, roles=frozenset({Role.ADMINISTRATOR})))

    revoked = await bench.database.read(lambda tx: toplevel.revocations(tx, _long_ago()))
    assert [one.subject for one in revoked] == [eva.id]
    assert bench.revoked == ["told"]


async def test_an_account_is_moved_only_by_who_may_have_it_at_both_places(bench: Bench) -> None:
    eva = await bench.create("eva")

    with pytest.raises(NotAllowed):
        await bench.staff.change(ADMINISTRATOR, SOMEBODY, eva.id, replace(EVA, institution_id=OTHER))
    moved = await bench.staff.change(SUPERUSER, SOMEBODY, eva.id, replace(EVA, institution_id=OTHER))

    assert moved.account.institution_id == OTHER
    with pytest.raises(NotAllowed):
        await bench.staff.change(ADMINISTRATOR, SOMEBODY, eva.id, EVA)


async def test_nobody_changes_their_own_rights(bench: Bench) -> None:
    adam = await bench.create("adam", replace(EVA, roles=frozenset({Role.ADMINISTRATOR})))

    with pytest.raises(Conflict) as refused:
        await bench.staff.change(adam, SOMEBODY, adam.id, EVA)

    assert refused.value.key == "own-account"


def _long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)
