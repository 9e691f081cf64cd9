"""Whose a study is: the table of outcomes, and what must never match."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain import matching
from appliance.domain.changes import PatientAsHeld, PatientNumber
from appliance.domain.identifiers import PatientId
from appliance.domain.matching import Comparison, Matched, Reason, Waits, match
from appliance.domain.people import Patient

ANNA = Patient(PatientId(UUID(int=1)), "Müller", "Anna Maria", date(1970, 1, 31), "F")
BERTA = Patient(PatientId(UUID(int=2)), "Bauer", "Berta", date(1980, 2, 1), "F")


def held(
    value: str = "4711", name: str = "Müller^Anna^Maria", born: str | None = "1970-01-31", **more: object
) -> PatientAsHeld:
    return PatientAsHeld("", value, name, born, "F", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("study", "by_id", "by_insurance", "outcome"),
    [
        # a number of this institution
        (held(), ANNA, (), Matched(ANNA.id)),
        (held(name=""), ANNA, (), Matched(ANNA.id)),
        (held(born=None), ANNA, (), Matched(ANNA.id)),
        (held(name="", born=None), ANNA, (), Waits(Reason.TOO_LITTLE, ANNA.id)),
        (held(name="^^", born="1970-02-31"), ANNA, (), Waits(Reason.TOO_LITTLE, ANNA.id)),
        (held(born="1970-01-30"), ANNA, (), Waits(Reason.BIRTH_DATE_DIFFERS, ANNA.id)),
        (held(name="", born="1970-01-30"), ANNA, (), Waits(Reason.BIRTH_DATE_DIFFERS, ANNA.id)),
        (held(name="Müller^Anna"), ANNA, (), Waits(Reason.NAME_DIFFERS, ANNA.id)),
        (held(name="Bauer^Berta", born=None), ANNA, (), Waits(Reason.NAME_DIFFERS, ANNA.id)),
        (held(name="Bauer^Berta", born="1980-02-01"), ANNA, (), Waits(Reason.NAME_AND_BIRTH_DATE_DIFFER, ANNA.id)),
        # an insurance number, known from another institution
        (held(), None, (ANNA,), Matched(ANNA.id)),
        (held(), ANNA, (ANNA,), Matched(ANNA.id)),
        (held(born=None), None, (ANNA,), Waits(Reason.TOO_LITTLE, ANNA.id)),
        (held(name=""), None, (ANNA,), Waits(Reason.TOO_LITTLE, ANNA.id)),
        (held(born="1970-01-30"), None, (ANNA,), Waits(Reason.BIRTH_DATE_DIFFERS, ANNA.id)),
        (held(), None, (ANNA, BERTA), Waits(Reason.SEVERAL_PATIENTS)),
        (held(), ANNA, (BERTA,), Waits(Reason.SEVERAL_PATIENTS, ANNA.id)),
        # nothing
        (held(), None, (), Waits(Reason.UNKNOWN_ID)),
        (held(value=""), None, (), Waits(Reason.NO_ID)),
        (held(value=" "), ANNA, (ANNA,), Waits(Reason.NO_ID)),
    ],
)
def test_the_table_of_outcomes(
    study: PatientAsHeld, by_id: Patient | None, by_insurance: tuple[Patient, ...], outcome: matching.Outcome
) -> None:
    assert match(study, by_id, by_insurance) == outcome


@pytest.mark.parametrize(
    "name",
    [
        "MULLER^ANNA^MARIA",
        "Anna^Müller^Maria",
        "Müller-Anna^Maria",
        "mu\u0308ller^anna maria",
        "Müller^Anna^Maria^Dr.^MD",
        "=山田^太郎=Müller^Anna Maria",
    ],
)
def test_a_name_agrees_without_case_marks_and_order(name: str) -> None:
    assert matching.compare_names(held(name=name), ANNA) is Comparison.AGREES


@pytest.mark.parametrize(
    "name", ["Müller", "Müller^Anna", "Müller^Anna^Mario", "Müller^Anna^Maria Eva", "Mueller^Anna^Maria"]
)
def test_a_name_that_is_nearly_the_same_is_another(name: str) -> None:
    assert matching.compare_names(held(name=name), ANNA) is Comparison.DIFFERS


_BLANKS = st.text(alphabet=" \t\u00a0\u3000", max_size=3)
_TEXTS = _BLANKS | st.text(max_size=12) | st.sampled_from(["4711", "Müller^Anna^Maria", "^^^", "=", "1970-01-31"])
_BIRTH_DATES = st.none() | st.sampled_from([ANNA.birth_date, BERTA.birth_date])
_PATIENTS = st.builds(Patient, st.just(ANNA.id), _TEXTS, _TEXTS, _BIRTH_DATES, st.none())
_OTHERS = st.builds(Patient, st.just(BERTA.id), _TEXTS, _TEXTS, _BIRTH_DATES, st.none())
_FOUND = st.tuples(_PATIENTS, _OTHERS).flatmap(
    lambda known: st.tuples(st.none() | st.sampled_from(known), st.lists(st.sampled_from(known), max_size=2))
)
"""What the toplevel found by Patient ID and by insurance numbers: an id has one record."""


@given(_BLANKS, _TEXTS, _TEXTS, _FOUND)
def test_a_blank_patient_id_never_matches(
    value: str, name: str, born: str, found: tuple[Patient | None, list[Patient]]
) -> None:
    assert match(held(value, name, born), *found) == Waits(Reason.NO_ID)


@given(_TEXTS, _TEXTS, _TEXTS, _FOUND)
def test_a_match_always_rests_on_a_name_or_a_birth_date_that_is_there_on_both_sides(
    value: str, name: str, born: str, found: tuple[Patient | None, list[Patient]]
) -> None:
    by_id, by_insurance = found
    study = held(value, name, born)
    outcome = match(study, by_id, by_insurance)

    if isinstance(outcome, Matched):
        (patient,) = [one for one in (by_id, *by_insurance) if one and one.id == outcome.patient_id][:1]
        compared = {matching.compare_names(study, patient), matching.compare_birth_dates(study, patient)}
        assert Comparison.AGREES in compared
        assert Comparison.DIFFERS not in compared
        if by_id is None:
            assert compared == {Comparison.AGREES}


@given(_BLANKS, _PATIENTS)
def test_what_is_missing_agrees_with_nothing(blank: str, patient: Patient) -> None:
    nobody = Patient(ANNA.id, blank, blank, None, None)

    assert matching.compare_names(held(name=blank), patient) is Comparison.MISSING
    assert matching.compare_names(held(name=blank), nobody) is Comparison.MISSING
    assert matching.compare_birth_dates(held(born=blank), patient) is Comparison.MISSING
    assert matching.compare_birth_dates(held(born=None), nobody) is Comparison.MISSING


@given(_TEXTS, _TEXTS, _TEXTS)
def test_a_record_is_made_only_of_a_number_with_a_name_and_a_birth_date(value: str, name: str, born: str) -> None:
    study = held(value, name, born)

    if matching.may_become_patient(study):
        record = matching.record_of(study)
        assert study.value.strip()
        assert record.birth_date is not None
        assert f"{record.family_name}{record.given_name}".strip()


@pytest.mark.parametrize("without", [{"value": " "}, {"name": "^"}, {"born": None}, {"born": "1970-13-01"}])
def test_a_record_is_not_made_of_less(without: dict[str, str]) -> None:
    assert matching.may_become_patient(held())
    assert not matching.may_become_patient(held(**without))  # type: ignore[arg-type]


def test_only_numbers_of_insurers_count_elsewhere() -> None:
    numbers = (PatientNumber("INSURER", "99"), PatientNumber("INSURER", " "), PatientNumber("OTHER", "98"))

    assert matching.insurance_numbers(held(other_numbers=numbers), ["INSURER"]) == numbers[:1]
    assert matching.insurance_numbers(held(other_numbers=numbers), ["", " "]) == ()
    assert matching.insurance_numbers(PatientAsHeld("INSURER", "99", "", None, None), ["INSURER"]) == numbers[:1]
