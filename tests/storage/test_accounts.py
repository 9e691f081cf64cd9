"""Accounts and institutions as they are listed, on both engines; those of an older appliance too."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from appliance.domain.accounts import Account, Contact, Role
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.domain.institutions import InstitutionState, PointingTo
from appliance.domain.listing import PartWanted, Place
from appliance.domain.staff import Particulars
from appliance.storage import accounts, enrolment, institutions, toplevel
from appliance.storage.accounts import AccountFilter
from appliance.storage.database import Database, MigrationRow, Transaction, migrate
from appliance.storage.institutions import InstitutionFilter
from appliance.storage.toplevel import AccountWordRow, InstitutionEntry

CLINIC, OTHER = InstitutionId(UUID(int=1)), InstitutionId(UUID(int=2))
KEPT = Particulars(Contact("ana@example.org", "1", "Ilica 1\nZagreb"), is_doctor=True)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "toplevel", toplevel.MIGRATIONS)
    migrate(made, "enrolment", enrolment.MIGRATIONS)
    for username, family_name, roles, at in (
        ("ana", "Šarić", {Role.PHYSICIAN}, CLINIC),
        ("ivo", "Anić", {Role.ADMINISTRATOR, Role.PHYSICIAN}, CLINIC),
        ("eva", "Žilić", {Role.SUPERUSER}, OTHER),
    ):
        account = Account(AccountId(uuid4()), username, "", family_name, frozenset(roles), at)
        made.run(lambda tx, account=account: toplevel.create_account(tx, account, "", KEPT))  # type: ignore[misc]
    for institution_id, name in ((CLINIC, "Riverside"), (OTHER, "Čakovec 100%")):
        entry = InstitutionEntry(institution_id, name, "https://localhost", ())
        made.run(lambda tx, entry=entry: toplevel.keep_institution(tx, entry))  # type: ignore[misc]
    yield made
    made.close()


def usernames(database: Database, part: PartWanted, wanted: AccountFilter | None = None) -> list[str]:
    found = database.read(lambda tx: accounts.accounts(tx, wanted or AccountFilter(), part))
    return [entry.account.username for entry in found.rows]


def institution_names(database: Database, wanted: InstitutionFilter, here: InstitutionId | None = None) -> list[str]:
    found = database.read(lambda tx: institutions.institutions(tx, wanted, PartWanted("name", 50), here))
    return [record.name for record in found.rows]


def test_accounts_are_sorted_by_their_folded_names_in_both_directions(database: Database) -> None:
    assert usernames(database, PartWanted("name", 50)) == ["ivo", "ana", "eva"]
    assert usernames(database, PartWanted("name", 50, is_descending=True)) == ["eva", "ana", "ivo"]
    assert usernames(database, PartWanted("username", 50)) == ["ana", "eva", "ivo"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AccountFilter("sar"), ["ana"]),
        (AccountFilter(role=Role.PHYSICIAN), ["ivo", "ana"]),
        (AccountFilter(role=Role.SUPERUSER), ["eva"]),
        (AccountFilter(institution_id=OTHER), ["eva"]),
        (AccountFilter(role=Role.PHYSICIAN, is_active=True, search="iv"), ["ivo"]),
        (AccountFilter(is_active=False), []),
    ],
)
def test_accounts_are_found_by_what_is_asked_for(database: Database, wanted: AccountFilter, found: list[str]) -> None:
    assert usernames(database, PartWanted("name", 50), wanted) == found


def test_a_part_begins_after_the_one_before_also_when_that_row_has_gone(database: Database) -> None:
    first = database.read(lambda tx: accounts.accounts(tx, AccountFilter(), PartWanted("name", 1)))
    database.run(lambda tx: tx.execute(toplevel.AccountRow.delete().where(toplevel.AccountRow.username == "ivo")))

    assert usernames(database, PartWanted("name", 1, after=first.end)) == ["ana"]


def test_a_place_whose_id_is_none_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="UUID"):
        usernames(database, PartWanted("name", 1, after=Place("a", "b")))


def test_what_is_kept_beside_an_account_is_given_back(database: Database) -> None:
    (entry,) = database.read(lambda tx: accounts.accounts(tx, AccountFilter("ana"), PartWanted("name", 1))).rows

    assert (entry.particulars, entry.is_active) == (KEPT, True)


def test_accounts_and_institutions_of_an_older_appliance_are_in_the_lists(database: Database) -> None:
    def as_before(tx: Transaction) -> None:
        tx.execute(toplevel.AccountRow.update(sort_name=None, email=None, is_doctor=None))
        tx.execute(toplevel.InstitutionRow.update(sort_name=None, shown_name=None, address=None))
        tx.drop_table(AccountWordRow._meta.table_name)
        tx.execute(MigrationRow.delete().where((MigrationRow.room == "toplevel") & (MigrationRow.number >= 8)))

    database.run(as_before)

    migrate(database, "toplevel", toplevel.MIGRATIONS)

    assert usernames(database, PartWanted("name", 50)) == ["ivo", "ana", "eva"]
    assert usernames(database, PartWanted("name", 50), AccountFilter("zil")) == ["eva"]
    assert institution_names(database, InstitutionFilter()) == ["Čakovec 100%", "Riverside"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (InstitutionFilter("cako"), ["Čakovec 100%"]),
        (InstitutionFilter("0%"), ["Čakovec 100%"]),
        (InstitutionFilter("_"), []),
        (InstitutionFilter(state=InstitutionState.ENROLLED), ["Čakovec 100%"]),
        (InstitutionFilter(state=InstitutionState.HERE), ["Riverside"]),
        (InstitutionFilter(state=InstitutionState.NOT_ENROLLED), []),
    ],
)
def test_institutions_are_found_by_name_and_state(
    database: Database, wanted: InstitutionFilter, found: list[str]
) -> None:
    database.run(lambda tx: enrolment.keep_child(tx, "institution", OTHER, "Other", "key"))

    assert institution_names(database, wanted, here=CLINIC) == found


def test_what_points_to_an_institution_is_counted(database: Database) -> None:
    pointing = database.read(lambda tx: institutions.pointing_to(tx, CLINIC, None))

    assert pointing == PointingTo(accounts=2, patients=0, numbers=0, is_believed=False)
