"""What an institution is told of the toplevel's rows, and what it keeps of them: both engines at both ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import Feed, FeedCursor, SubjectKind
from appliance.domain.errors import SettingsError
from appliance.domain.identifiers import AccountId, InstitutionId, PatientId
from appliance.domain.people import Patient, PatientIdentity
from appliance.storage import copies, feed, institutions, toplevel
from appliance.storage.database import Database, Transaction, migrate
from appliance.storage.toplevel import InstitutionEntry, NodeEntry

CLINIC, OTHER = InstitutionId(UUID(int=1)), InstitutionId(UUID(int=2))
START = FeedCursor()


@pytest.fixture
def above(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "toplevel", toplevel.MIGRATIONS)
    yield made
    made.close()


@pytest.fixture
def below(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/copy.sqlite")
    migrate(made, "copy", copies.MIGRATIONS)
    migrate(made, "toplevel", toplevel.MIGRATIONS)
    yield made
    made.close()


def account(username: str, at: InstitutionId | None = CLINIC, number: int = 7) -> Account:
    return Account(AccountId(UUID(int=number)), username, "Ana", "Anić", frozenset({Role.PHYSICIAN}), at)


def patient(number: int) -> Patient:
    return Patient(PatientId(UUID(int=number)), f"Müller{number}", "Eva", date(1970, 1, 31), "F")


def have_patient(above: Database, number: int, at: InstitutionId = CLINIC) -> PatientId:
    """Of whom an institution holds something."""

    def work(tx: Transaction) -> None:
        toplevel.add_patient(tx, patient(number))
        toplevel.note_held(tx, PatientId(UUID(int=number)), at)

    above.run(work)
    return PatientId(UUID(int=number))


def told(above: Database, after: FeedCursor = START, at: InstitutionId = CLINIC) -> Feed:
    above.run(lambda tx: copies.begin(tx, at))
    heard = above.read(lambda tx: copies.told(tx, at, after))
    assert heard is not None
    return heard


def follow(above: Database, below: Database, after: FeedCursor = START) -> FeedCursor:
    """Everything is heard and taken."""
    while True:
        heard = told(above, after)
        below.run(lambda tx, heard=heard: copies.take(tx, heard))  # type: ignore[misc]
        after = heard.cursor
        if not heard.behind:
            return after


def kept(database: Database) -> dict[str, list[str]]:
    """All rows of the tables that are copied, as they are in a database."""
    columns = [column for columns in copies.TABLES.values() for column in columns]

    def read(tx: Transaction) -> dict[str, list[str]]:
        return {
            column.model._meta.table_name: sorted(str(row) for row in tx.rows(column.model.select().dicts()))
            for column in columns
        }

    return database.read(read)


def test_a_copy_has_the_rows_of_the_toplevel_one_by_one(above: Database, below: Database) -> None:
    entry = InstitutionEntry(CLINIC, "Clinic", "https://clinic.test", (NodeEntry(UUID(int=3), "Node", "https://n"),))
    above.run(lambda tx: toplevel.keep_institution(tx, entry))
    above.run(lambda tx: toplevel.create_account(tx, account("ana"), "hash"))
    number = PatientIdentity(CLINIC, "ISSUER", "77")
    above.run(lambda tx: toplevel.know_number(tx, number, have_patient_in(tx, 5)))

    follow(above, below)

    assert kept(below) == kept(above)
    assert len(kept(below)["patient_identity"]) == 1


def have_patient_in(tx: Transaction, number: int) -> PatientId:
    toplevel.add_patient(tx, patient(number))
    toplevel.note_held(tx, PatientId(UUID(int=number)), CLINIC)
    return PatientId(UUID(int=number))


def test_only_its_own_people_and_patients_go_down(above: Database, below: Database) -> None:
    above.run(lambda tx: toplevel.create_account(tx, account("ivo", OTHER, 8), "hash"))
    above.run(lambda tx: toplevel.create_account(tx, account("chief", None, 9), "hash"))
    have_patient(above, 5, OTHER)
    have_patient(above, 6, CLINIC)

    follow(above, below)

    assert below.read(toplevel.account_ids) == ()
    assert [one.id for one in below.read(lambda tx: toplevel.search_patients(tx, "", limit=9, offset=0))[0]] == [
        UUID(int=6)
    ]


def test_a_change_is_told_after_the_number_that_was_heard(above: Database, below: Database) -> None:
    above.run(lambda tx: toplevel.create_account(tx, account("ana"), "hash"))
    cursor = follow(above, below)

    above.run(lambda tx: toplevel.set_active(tx, AccountId(UUID(int=7)), is_active=False))
    news = told(above, cursor)

    assert [one.id for one in news.subjects] == [UUID(int=7)]
    follow(above, below, cursor)
    found = below.read(lambda tx: toplevel.credentials(tx, "ana"))
    assert found is not None
    assert not found.is_active


@pytest.mark.parametrize(
    "change",
    [
        lambda tx, who: toplevel.set_password_hash(tx, who, "other"),
        lambda tx, who: toplevel.set_active(tx, who, is_active=False),
        lambda tx, who: toplevel.change_account(tx, account("ana", CLINIC), toplevel._NOTHING_KEPT),
        lambda tx, who: toplevel.change_account(tx, account("ana", OTHER), toplevel._NOTHING_KEPT),
    ],
    ids=["password", "shut out", "changed", "moved"],
)
def test_every_change_of_an_account_is_told(
    change: Callable[[Transaction, AccountId], None], tmp_path: Path, below: Database
) -> None:
    above = Database(f"sqlite:///{tmp_path}/toplevel.sqlite")
    migrate(above, "toplevel", toplevel.MIGRATIONS)
    above.run(lambda tx: toplevel.create_account(tx, account("ana"), "hash"))
    cursor = follow(above, below)

    above.run(lambda tx: change(tx, AccountId(UUID(int=7))))

    assert [one.id for one in told(above, cursor).subjects] == [UUID(int=7)]
    above.close()


def test_who_works_elsewhere_now_is_gone_here_and_known_there(above: Database, below: Database) -> None:
    above.run(lambda tx: toplevel.create_account(tx, account("ana"), "hash"))
    cursor = follow(above, below)
    elsewhere = told(above, at=OTHER).cursor

    moved = account("ana", OTHER)
    above.run(lambda tx: toplevel.change_account(tx, moved, toplevel._NOTHING_KEPT))
    follow(above, below, cursor)

    assert below.read(toplevel.account_ids) == ()
    news = told(above, elsewhere, OTHER).subjects
    assert [row["institution_id"] for row in news[0].rows["account"]] == [str(OTHER)]


def test_a_patient_who_was_opened_is_told_of_from_then_on(above: Database, below: Database) -> None:
    known = have_patient(above, 5, OTHER)
    cursor = follow(above, below)

    above.run(lambda tx: feed.follow(tx, CLINIC, SubjectKind.PATIENT, known))
    above.run(lambda tx: toplevel.know_number(tx, PatientIdentity(OTHER, "", "42"), known))
    follow(above, below, cursor)

    found = below.read(lambda tx: toplevel.patient(tx, known))
    assert found is not None
    assert [number.value for number in found.identities] == ["42"]
    assert found.institution_ids == (OTHER,)


def test_a_number_that_becomes_anothers_is_theirs_in_the_copy(above: Database, below: Database) -> None:
    first, second = have_patient(above, 5), have_patient(above, 6)
    number = PatientIdentity(CLINIC, "", "42")
    above.run(lambda tx: toplevel.know_number(tx, number, first))
    cursor = follow(above, below)

    above.run(lambda tx: toplevel.know_number(tx, number, second, instead_of=first))
    follow(above, below, cursor)

    assert kept(below) == kept(above)


def test_a_username_that_goes_to_another_account_goes_so_in_the_copy(above: Database, below: Database) -> None:
    above.run(lambda tx: toplevel.create_account(tx, account("ana", number=7), "hash"))
    cursor = follow(above, below)

    def replace(tx: Transaction) -> None:
        toplevel.change_account(tx, account("ana", OTHER, 7), toplevel._NOTHING_KEPT)
        tx.execute(toplevel.AccountRow.update(username="ana2").where(toplevel.AccountRow.id == UUID(int=7)))
        toplevel.create_account(tx, account("ana", number=8), "hash")

    above.run(replace)
    follow(above, below, cursor)

    assert below.read(toplevel.account_ids) == (UUID(int=8),)


def test_what_is_deleted_is_deleted(above: Database, below: Database) -> None:
    entry = InstitutionEntry(OTHER, "Other", "https://other.test", (NodeEntry(UUID(int=3), "Node", "https://n"),))
    above.run(lambda tx: toplevel.keep_institution(tx, entry))
    cursor = follow(above, below)

    above.run(lambda tx: institutions.delete(tx, OTHER))
    follow(above, below, cursor)

    assert below.read(toplevel.directory) == ()


def test_many_changes_of_one_subject_are_told_once(above: Database, below: Database) -> None:
    above.run(lambda tx: toplevel.create_account(tx, account("ana"), "hash"))
    cursor = follow(above, below)

    for number in range(5):
        above.run(lambda tx, number=number: toplevel.set_password_hash(tx, AccountId(UUID(int=7)), f"hash {number}"))  # type: ignore[misc]

    assert len(told(above, cursor).subjects) == 1


def test_a_long_feed_comes_in_parts_that_leave_nothing_out(above: Database, below: Database) -> None:
    for number in range(10, 260):
        have_patient(above, number)

    first = told(above)
    follow(above, below)

    assert len(first.subjects) == 200
    assert first.behind == 50
    assert kept(below) == kept(above)


def test_hearing_the_same_twice_does_no_harm(above: Database, below: Database) -> None:
    have_patient(above, 5)
    heard = told(above)

    for _ in range(2):
        below.run(lambda tx: copies.take(tx, heard))

    assert kept(below) == kept(above)


def test_an_institution_that_is_ahead_of_a_toplevel_that_was_restored_begins_anew(
    above: Database, below: Database
) -> None:
    have_patient(above, 5)
    cursor = follow(above, below)
    below.run(lambda tx: toplevel.add_patient(tx, patient(99)))  # as one that was there before the restoring

    follow(above, below, FeedCursor(cursor.number + 10, cursor.epoch))

    assert kept(below) == kept(above)


def test_a_feed_that_has_begun_anew_is_known_by_its_epoch(above: Database, below: Database) -> None:
    have_patient(above, 5)
    cursor = follow(above, below)
    above.run(lambda tx: feed.end(tx, CLINIC))

    assert told(above, cursor).is_from_start


def test_nothing_is_noted_for_an_institution_that_never_asked(above: Database) -> None:
    have_patient(above, 5)

    assert above.read(feed.ends) == ()
    assert above.read(lambda tx: feed.followers(tx, SubjectKind.PATIENT, UUID(int=5))) == ()


def test_when_the_toplevel_was_heard_is_kept(below: Database) -> None:
    at = datetime(2026, 11, 22, 10, 54, tzinfo=UTC)
    cursor = FeedCursor(7, UUID(int=4))

    below.run(lambda tx: copies.note_heard(tx, cursor, at))

    assert below.read(copies.state) == copies.CopyState(cursor, at)


def test_the_database_of_a_toplevel_takes_no_copy_and_that_of_a_copy_is_no_toplevels(
    above: Database, below: Database
) -> None:
    with pytest.raises(SettingsError, match="is that of a toplevel"):
        above.read(copies.refuse_toplevel)
    with pytest.raises(SettingsError, match="keeps a copy"):
        below.read(copies.refuse_copy)
    below.read(copies.refuse_toplevel)
    above.read(copies.refuse_copy)
