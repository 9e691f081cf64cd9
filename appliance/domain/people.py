"""Patients and their names, as the toplevel knows them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Literal

from appliance.domain.identifiers import InstitutionId, PatientId

Gender = Literal["F", "M", "O"]
"""Patient's Sex (PS3.3 C.7.1.1): female, male, other."""


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """The number under which an institution knows a patient: Patient ID and Issuer of Patient ID."""

    institution_id: InstitutionId
    issuer: str
    value: str


@dataclass(frozen=True, slots=True)
class Patient:
    id: PatientId
    family_name: str
    given_name: str
    birth_date: date | None
    gender: Gender | None
    identities: tuple[PatientIdentity, ...] = ()
    institution_ids: tuple[InstitutionId, ...] = ()
    """Where something of this patient is held."""


def gender_of(sex: str | None) -> Gender | None:
    """Patient's Sex where it is one of the three; None otherwise."""
    return sex if sex in ("F", "M", "O") else None  # type: ignore[return-value]


def folded(name: str) -> str:
    """``name`` as it is compared in a search: no case, no marks, single blanks."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(plain.replace("đ", "d").replace("ł", "l").replace("ø", "o").split())


def family_and_given(person_name: str) -> tuple[str, str]:
    """Family and given names of a DICOM Person Name (PS3.5 §6.2.1.1): first group that is not empty."""
    groups = person_name.split("=")
    alphabetic = next((group for group in groups if group.strip("^ ")), "")
    components = [*alphabetic.split("^"), "", ""]
    family, given, middle = (component.strip() for component in components[:3])
    return family, f"{given} {middle}".strip()
