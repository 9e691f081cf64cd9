"""Whose a study is: matched only where nothing is left to guess, otherwise a reason for which it waits for a person.

    what is known                                   what else is there                      outcome
    no Patient ID                                   anything                                waits: no-id
    Patient ID known at this institution            name or birth date is another's         waits: …-differs
                                                    neither can be compared                 waits: too-little
                                                    insurance number of somebody else       waits: several-patients
                                                    one agrees, nothing contradicts         matched
    only an insurance number known, of one patient  name and birth date agree               matched
                                                    one of them is another's                waits: …-differs
                                                    one of them is missing                  waits: too-little
    insurance numbers of several patients           anything                                waits: several-patients
    nothing                                         anything                                waits: unknown-id

Nothing that is missing or blank ever agrees with anything, nor with another blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum, StrEnum

from appliance.domain.changes import PatientAsHeld, PatientNumber, PatientRecord
from appliance.domain.identifiers import PatientId
from appliance.domain.people import Patient, family_and_given, folded, gender_of


class Reason(StrEnum):
    """Why a study waits for a physician."""

    NOT_ASKED = "not-asked"
    """The toplevel has not answered yet."""
    NO_ID = "no-id"
    UNKNOWN_ID = "unknown-id"
    NAME_DIFFERS = "name-differs"
    BIRTH_DATE_DIFFERS = "birth-date-differs"
    NAME_AND_BIRTH_DATE_DIFFER = "name-and-birth-date-differ"
    TOO_LITTLE = "too-little"
    """The number is known, and neither name nor birth date says whether it is the same person."""
    SEVERAL_PATIENTS = "several-patients"
    TAKEN_BACK = "taken-back"
    """A physician took a wrong assignment back."""


@dataclass(frozen=True, slots=True)
class Matched:
    patient_id: PatientId


@dataclass(frozen=True, slots=True)
class Waits:
    reason: Reason
    candidate_id: PatientId | None = None
    """Whom the number belongs to, where something else contradicts."""


Outcome = Matched | Waits


class Comparison(Enum):
    AGREES = "agrees"
    DIFFERS = "differs"
    MISSING = "missing"
    """On one side or on both."""


_CONTRADICTIONS = {
    (Comparison.DIFFERS, Comparison.DIFFERS): Reason.NAME_AND_BIRTH_DATE_DIFFER,
    (Comparison.DIFFERS, Comparison.AGREES): Reason.NAME_DIFFERS,
    (Comparison.DIFFERS, Comparison.MISSING): Reason.NAME_DIFFERS,
    (Comparison.AGREES, Comparison.DIFFERS): Reason.BIRTH_DATE_DIFFERS,
    (Comparison.MISSING, Comparison.DIFFERS): Reason.BIRTH_DATE_DIFFERS,
}
"""By how the name and how the birth date compares."""


def match(held: PatientAsHeld, by_id: Patient | None, by_insurance: Sequence[Patient]) -> Outcome:
    """Whose a study of ``held`` is.

    ``by_id`` is whom the institution knows by its Patient ID, ``by_insurance`` who is known anywhere by one of its insurance
    numbers.
    """
    if is_blank(held.number):
        return Waits(Reason.NO_ID)
    known = {patient.id: patient for patient in (*([by_id] if by_id else ()), *by_insurance)}
    if len(known) > 1:
        return Waits(Reason.SEVERAL_PATIENTS, by_id.id if by_id else None)
    if not known:
        return Waits(Reason.UNKNOWN_ID)
    (patient,) = known.values()
    name, birth_date = compare_names(held, patient), compare_birth_dates(held, patient)
    contradiction = _CONTRADICTIONS.get((name, birth_date))
    if contradiction:
        return Waits(contradiction, patient.id)
    agreeing = [name, birth_date].count(Comparison.AGREES)
    # A number of one's own house is strong; one that came from outside needs all the rest.
    if agreeing < (1 if by_id else 2):
        return Waits(Reason.TOO_LITTLE, patient.id)
    return Matched(patient.id)


def is_blank(number: PatientNumber) -> bool:
    """Whether a number is no number: a blank never says who somebody is."""
    return not number.value.strip()


def may_become_patient(held: PatientAsHeld) -> bool:
    """Whether ``held`` says enough of an unknown patient for a record to be made of it without a person."""
    record = record_of(held)
    has_name = bool(_words(f"{record.family_name} {record.given_name}"))
    return not is_blank(held.number) and has_name and record.birth_date is not None


def record_of(held: PatientAsHeld) -> PatientRecord:
    """What a study calls its patient."""
    family_name, given_name = family_and_given(held.person_name)
    return PatientRecord(family_name, given_name, birth_date_of(held), gender_of(held.sex))


def insurance_numbers(held: PatientAsHeld, insurers: Iterable[str]) -> tuple[PatientNumber, ...]:
    """The numbers of ``held`` that one of ``insurers`` (issuers) gave."""
    issuers = {issuer for issuer in insurers if issuer.strip()}
    numbers = (held.number, *held.other_numbers)
    return tuple(number for number in numbers if not is_blank(number) and number.issuer in issuers)


def compare_names(held: PatientAsHeld, patient: Patient) -> Comparison:
    """Without case, marks and order of the components; one of the groups of the DICOM name is enough (PS3.5 §6.2.1.1)."""
    theirs = _words(f"{patient.family_name} {patient.given_name}")
    ours = _names(held)
    if not theirs or not ours:
        return Comparison.MISSING
    return Comparison.AGREES if theirs in ours else Comparison.DIFFERS


def compare_birth_dates(held: PatientAsHeld, patient: Patient) -> Comparison:
    """By the day."""
    born = birth_date_of(held)
    if born is None or patient.birth_date is None:
        return Comparison.MISSING
    return Comparison.AGREES if born == patient.birth_date else Comparison.DIFFERS


def birth_date_of(held: PatientAsHeld) -> date | None:
    """The birth date; None where it is missing or no date."""
    try:
        return date.fromisoformat(held.birth_date) if held.birth_date else None
    except ValueError:
        return None


def _names(held: PatientAsHeld) -> set[tuple[str, ...]]:
    """The words of each group of the name that has any."""
    groups = (_words(" ".join(family_and_given(group))) for group in held.person_name.split("="))
    return {words for words in groups if words}


def _words(name: str) -> tuple[str, ...]:
    return tuple(sorted(re.findall(r"\w+", folded(name))))
