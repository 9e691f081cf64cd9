"""Patients and institutions as the toplevel keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from uuid import UUID, uuid4

import pytest

from appliance.domain.identifiers import AccountId, InstitutionId, PatientId
from appliance.domain.people import Patient, PatientIdentity
from appliance.storage import toplevel
from appliance.storage.database import Database, MigrationRow, Transaction, migrate
from appliance.storage.toplevel import InstitutionEntry, NodeEntry

CLINIC = InstitutionId(UUID(int=1))
OTHER = InstitutionId(UUID(int=2))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "toplevel", toplevel.MIGRATIONS)
    yield made
    made.close()


def patient(family_name: str, given_name: str, born: str | None = None, *, number: str = "") -> Patient:
    number = number or f"{family_name} {given_name}"
    birth_date = date.fromisoformat(born) if born else None
    identity = PatientIdentity(CLINIC, "", number)
    return Patient(PatientId(uuid4()), family_name, given_name, birth_date, "F", (identity,), (CLINIC,))


def names(database: Database, search: str, **page: int) -> list[str]:
    limits = {"limit": 50, "offset": 0} | page
    found, _ = database.read(lambda tx: toplevel.search_patients(tx, search, **limits))
    return [patient.family_name for patient in found]


def keep(database: Database, *patients: Patient) -> None:
    def add(tx: Transaction, one: Patient) -> None:
        toplevel.add_patient(tx, one)
        for identity in one.identities:
            toplevel.know_number(tx, identity, one.id)
        for institution_id in one.institution_ids:
            toplevel.note_held(tx, one.id, institution_id)

    for one in patients:
        database.run(lambda tx, one=one: add(tx, one))  # type: ignore[misc]


@pytest.mark.parametrize("search", ["müll", "MULL", "mull", "anna", "ann mul", "mül ann", ""])
def test_a_patient_is_found_by_the_beginning_of_any_name_in_any_order(database: Database, search: str) -> None:
    keep(database, patient("Müller", "Anna"))

    assert names(database, search) == ["Müller"]


@pytest.mark.parametrize("search", ["uller", "anna peter", "%", "_", "mul%", "'; DROP TABLE patient; --"])
def test_a_patient_is_not_found_by_the_middle_of_a_name_nor_by_wildcards(database: Database, search: str) -> None:
    keep(database, patient("Müller", "Anna"))

    assert names(database, search) == []


@pytest.mark.parametrize(
    "search",
    ["1970", "1970-01", "1970-01-31", "19700131", "197001", "31.1.1970.", "31.01.1970", "31/01/1970", "mull 1970"],
)
def test_a_patient_is_found_by_the_birth_date(database: Database, search: str) -> None:
    keep(database, patient("Müller", "Anna", "1970-01-31"), patient("Müller", "Berta", "1971-01-31"))

    assert names(database, search) == ["Müller"]


def test_a_patient_is_found_by_the_whole_number_and_not_by_a_part_of_it(database: Database) -> None:
    keep(database, patient("Müller", "Anna", number="HR-12345"))

    assert names(database, "hr-12345") == ["Müller"]
    assert names(database, "hr-123") == []


@pytest.mark.parametrize("search", ["šimić đurđa", "simic durda", "DURĐA SIM", "zeljka cor", "čorluka"])
def test_marks_of_croatian_letters_count_neither_in_names_nor_in_searches(database: Database, search: str) -> None:
    keep(database, patient("Šimić Čorluka", "Đurđa Željka"))

    assert names(database, search) == ["Šimić Čorluka"]


def test_a_patient_is_found_by_a_number_together_with_a_name(database: Database) -> None:
    keep(database, patient("Müller", "Anna", number="HR 123_45"), patient("Maier", "Anna", number="HR 12_345"))

    assert names(database, "anna hr123_45") == ["Müller"]
    assert names(database, "hr123_45 anna") == ["Müller"]
    assert names(database, "anna hr12%345") == []


def test_a_patient_whose_two_names_begin_alike_comes_once(database: Database) -> None:
    keep(database, patient("Anic", "Ana Anamarija"))

    assert names(database, "an") == ["Anic"]
    assert names(database, "ana an") == ["Anic"]


def test_more_patients_than_anybody_reads_are_not_counted(database: Database) -> None:
    def add(tx: Transaction) -> None:
        for number in range(toplevel.MOST_FOUND + 5):
            toplevel.add_patient(tx, Patient(PatientId(uuid4()), f"Muster{number:05}", "Anna", None, "F"))

    database.run(add)

    for search in ("anna", "", "anna muster"):
        found, total = database.read(lambda tx, search=search: toplevel.search_patients(tx, search, limit=2, offset=2))  # type: ignore[misc]
        assert (total, [one.family_name for one in found]) == (toplevel.MOST_FOUND, ["Muster00002", "Muster00003"])


def test_a_patient_who_is_changed_is_found_by_the_new_name_alone(database: Database) -> None:
    anna = patient("Müller", "Anna")
    keep(database, anna)

    database.run(lambda tx: toplevel.change_patient(tx, replace(anna, family_name="Maier", phone="+385 1")))

    assert (names(database, "mull"), names(database, "mai")) == ([], ["Maier"])
    assert database.read(lambda tx: toplevel.patient(tx, anna.id)).phone == "+385 1"  # type: ignore[union-attr]


def test_what_pointed_to_a_duplicate_points_to_whom_it_was_merged_with(database: Database) -> None:
    anna, twice = patient("Müller", "Anna", number="1"), patient("Mueller", "Anna", number="2")
    keep(database, anna, replace(twice, institution_ids=(OTHER,)))

    database.run(lambda tx: toplevel.merge_patients(tx, anna.id, twice.id, by=AccountId(UUID(int=5))))

    merged = database.read(lambda tx: toplevel.patient(tx, anna.id))
    assert merged is not None
    assert {identity.value for identity in merged.identities} == {"1", "2"}
    assert set(merged.institution_ids) == {CLINIC, OTHER}
    assert database.read(lambda tx: toplevel.now_called(tx, twice.id)) == anna.id
    assert names(database, "mueller") == []
    assert names(database, "2") == ["Müller"]
    (told,), last = database.read(lambda tx: toplevel.told_after(tx, OTHER, 0, limit=9))
    assert (told.patient_id, told.merged) == (anna.id, (twice.id,))
    assert database.read(lambda tx: toplevel.told_after(tx, OTHER, last, limit=9)) == ((), last)


def test_an_institution_hears_of_its_own_patients_alone_and_of_each_change(database: Database) -> None:
    anna, berta = patient("Anna", "", number="1"), replace(patient("Berta", "", number="2"), institution_ids=(OTHER,))
    keep(database, anna, berta)
    (told,), last = database.read(lambda tx: toplevel.told_after(tx, CLINIC, 0, limit=9))
    assert told.record.family_name == "Anna"

    database.run(lambda tx: toplevel.change_patient(tx, replace(anna, family_name="Ana")))
    (told,), _ = database.read(lambda tx: toplevel.told_after(tx, CLINIC, last, limit=9))

    assert told.record.family_name == "Ana"


def test_patients_of_before_are_found_by_all_words_too(database: Database) -> None:
    keep(database, patient("Müller", "Anna", "1970-01-31", number="HR-12345"))

    def as_it_was(tx: Transaction) -> None:
        tx.drop_table("patient_search")
        tx.execute(MigrationRow.delete().where(MigrationRow.number == 21))

    database.run(as_it_was)
    migrate(database, "toplevel", toplevel.MIGRATIONS)

    for search in ("muller", "1970", "hr-12345"):
        assert names(database, search) == ["Müller"]


def test_patients_come_by_name_a_page_at_a_time(database: Database) -> None:
    keep(database, *(patient(name, "Anna") for name in ("Cerny", "Adams", "Brown")))

    assert names(database, "anna", limit=2) == ["Adams", "Brown"]
    assert names(database, "anna", limit=2, offset=2) == ["Cerny"]


def test_the_total_counts_what_is_on_no_page(database: Database) -> None:
    keep(database, *(patient(name, "Anna") for name in ("Cerny", "Adams", "Brown")))

    _, total = database.read(lambda tx: toplevel.search_patients(tx, "anna", limit=1, offset=0))

    assert total == 3


def test_a_patient_is_read_as_it_was_kept(database: Database) -> None:
    anna = patient("Müller", "Anna", "1970-01-31")
    keep(database, anna)

    assert database.read(lambda tx: toplevel.patient(tx, anna.id)) == replace(anna, revision=1)


def test_a_patient_that_is_added_again_stays_as_it_was(database: Database) -> None:
    anna = patient("Müller", "Anna")
    keep(database, anna, replace(anna, family_name="Maier"))

    assert names(database, "") == ["Müller"]


def test_a_number_of_somebody_is_not_given_to_another_unless_it_is_taken_from_them(database: Database) -> None:
    anna, berta, clara = (patient(name, "", number=name) for name in ("Anna", "Berta", "Clara"))
    keep(database, anna, berta, clara)
    (of_anna,) = anna.identities

    assert not database.run(lambda tx: toplevel.know_number(tx, of_anna, berta.id))
    assert not database.run(lambda tx: toplevel.know_number(tx, of_anna, berta.id, instead_of=clara.id))
    assert database.run(lambda tx: toplevel.know_number(tx, of_anna, berta.id, instead_of=anna.id))

    known = database.read(lambda tx: toplevel.patient_with_number(tx, of_anna))
    assert known is not None
    assert known.id == berta.id


def test_a_number_is_taken_from_its_owner_only(database: Database) -> None:
    anna, berta = patient("Anna", "", number="1"), patient("Berta", "", number="2")
    keep(database, anna, berta)
    (number,) = anna.identities

    database.run(lambda tx: toplevel.forget_number(tx, number, berta.id))
    assert database.read(lambda tx: toplevel.patient_with_number(tx, number)) is not None
    database.run(lambda tx: toplevel.forget_number(tx, number, anna.id))
    assert database.read(lambda tx: toplevel.patient_with_number(tx, number)) is None


def test_the_same_number_at_another_institution_is_nobody(database: Database) -> None:
    keep(database, patient("Müller", "Anna", number="1"))

    assert database.read(lambda tx: toplevel.patient_with_number(tx, PatientIdentity(OTHER, "", "1"))) is None


def test_who_holds_something_of_whom_is_taken_over_from_the_numbers(database: Database) -> None:
    keep(database, replace(patient("Müller", "Anna"), institution_ids=()))

    def as_it_was(tx: Transaction) -> None:
        tx.drop_table("patient_institution")
        tx.execute(MigrationRow.delete().where(MigrationRow.number == 3))

    database.run(as_it_was)
    migrate(database, "toplevel", toplevel.MIGRATIONS)

    found, _ = database.read(lambda tx: toplevel.search_patients(tx, "anna", limit=1, offset=0))
    assert found[0].institution_ids == (CLINIC,)


def test_the_directory_names_institutions_and_their_nodes(database: Database) -> None:
    node = NodeEntry(UUID(int=9), "Node 1", "https://clinic.example")
    entry = InstitutionEntry(CLINIC, "Clinic", "https://clinic.example", (node,))

    database.run(lambda tx: toplevel.keep_institution(tx, entry))
    database.run(lambda tx: toplevel.keep_institution(tx, entry))

    assert database.read(toplevel.directory) == (entry,)
