"""Patients and institutions as the toplevel keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from uuid import UUID

import pytest

from appliance.domain.identifiers import InstitutionId, patient_id_for
from appliance.domain.people import Patient, PatientIdentity
from appliance.storage import toplevel
from appliance.storage.database import Database, migrate
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
    identity = PatientIdentity(CLINIC, "", number)
    birth_date = date.fromisoformat(born) if born else None
    return Patient(patient_id_for(CLINIC, "", number), family_name, given_name, birth_date, "F", (identity,))


def names(database: Database, search: str, **page: int) -> list[str]:
    limits = {"limit": 50, "offset": 0} | page
    found, _ = database.read(lambda tx: toplevel.search_patients(tx, search, **limits))
    return [patient.family_name for patient in found]


def keep(database: Database, *patients: Patient) -> None:
    for one in patients:
        database.run(lambda tx, one=one: toplevel.keep_patient(tx, one))  # type: ignore[misc]


@pytest.mark.parametrize("search", ["müll", "MULL", "mull", "anna", "ann mul", "mül ann", ""])
def test_a_patient_is_found_by_the_beginning_of_any_name_in_any_order(database: Database, search: str) -> None:
    keep(database, patient("Müller", "Anna"))

    assert names(database, search) == ["Müller"]


@pytest.mark.parametrize("search", ["uller", "anna peter", "%", "_", "mul%", "'; DROP TABLE patient; --"])
def test_a_patient_is_not_found_by_the_middle_of_a_name_nor_by_wildcards(database: Database, search: str) -> None:
    keep(database, patient("Müller", "Anna"))

    assert names(database, search) == []


@pytest.mark.parametrize("search", ["1970", "1970-01", "1970-01-31", "19700131", "mull 1970"])
def test_a_patient_is_found_by_the_birth_date(database: Database, search: str) -> None:
    keep(database, patient("Müller", "Anna", "1970-01-31"), patient("Müller", "Berta", "1971-01-31"))

    assert names(database, search) == ["Müller"]


def test_a_patient_is_found_by_the_whole_number_and_not_by_a_part_of_it(database: Database) -> None:
    keep(database, patient("Müller", "Anna", number="HR-12345"))

    assert names(database, "hr-12345") == ["Müller"]
    assert names(database, "hr-123") == []


def test_patients_come_by_name_a_page_at_a_time(database: Database) -> None:
    keep(database, *(patient(name, "Anna") for name in ("Cerny", "Adams", "Brown")))

    assert names(database, "anna", limit=2) == ["Adams", "Brown"]
    assert names(database, "anna", limit=2, offset=2) == ["Cerny"]


def test_the_total_counts_what_is_on_no_page(database: Database) -> None:
    keep(database, *(patient(name, "Anna") for name in ("Cerny", "Adams", "Brown")))

    _, total = database.read(lambda tx: toplevel.search_patients(tx, "anna", limit=1, offset=0))

    assert total == 3


def test_a_patient_that_is_kept_again_is_renamed_and_not_doubled(database: Database) -> None:
    keep(database, patient("Müller", "Anna", number="1"), patient("Maier", "Anna", number="1"))

    assert names(database, "") == ["Maier"]
    assert names(database, "muller") == []


def test_the_same_number_at_another_institution_is_another_patient() -> None:
    assert patient_id_for(CLINIC, "", "1") != patient_id_for(OTHER, "", "1")


def test_the_directory_names_institutions_and_their_nodes(database: Database) -> None:
    node = NodeEntry(UUID(int=9), "Node 1", "https://clinic.example")
    entry = InstitutionEntry(CLINIC, "Clinic", "https://clinic.example", (node,))

    database.run(lambda tx: toplevel.keep_institution(tx, entry))
    database.run(lambda tx: toplevel.keep_institution(tx, entry))

    assert database.read(toplevel.directory) == (entry,)
