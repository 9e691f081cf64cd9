"""Patients and their names, as the toplevel knows them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from appliance.domain.identifiers import InstitutionId, PatientId

Gender = Literal["F", "M", "O"]
"""Patient's Sex (PS3.3 C.7.1.1): female, male, other."""


EVERYWHERE = InstitutionId(UUID(int=0))
"""In the place of the institution, of a number that is not one institution's."""


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """The number under which an institution knows a patient: Patient ID and Issuer of Patient ID.

    The number of an insurer is known everywhere, and no institution's own: ``EVERYWHERE``.
    """

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
    address: str = ""
    email: str = ""
    phone: str = ""
    revision: int = 0
    """Grows with every change of what is said of them."""


def gender_of(sex: str | None) -> Gender | None:
    """Patient's Sex where it is one of the three; None otherwise."""
    return sex if sex in ("F", "M", "O") else None  # type: ignore[return-value]


def folded(name: str) -> str:
    """``name`` as it is compared in a search: no case, no marks, single blanks."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(plain.replace("đ", "d").replace("ł", "l").replace("ø", "o").split())


def searched(search: str) -> tuple[frozenset[str], ...]:
    """What is looked for: of each word of a search the beginnings of words that it fits, which are it and the dates that it can
    mean, as ISO 8601 has them."""
    return tuple(frozenset((word, *_as_dates(word))) for word in folded(search).split())


_DATES = (
    (re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})?"), (1, 2, 3)),
    (re.compile(r"([0-9]{1,2})[./]([0-9]{1,2})[./]([0-9]{4})\.?"), (3, 2, 1)),
)
"""19700131 and 197001; 31.1.1970. and 31/01/1970."""


def _as_dates(word: str) -> tuple[str, ...]:
    for pattern, order in _DATES:
        match = pattern.fullmatch(word)
        if match:
            return ("-".join(part.zfill(2) for part in (match[group] for group in order) if part),)
    return ()


def family_and_given(person_name: str) -> tuple[str, str]:
    """Family and given names of a DICOM Person Name (PS3.5 §6.2.1.1): first group that is not empty."""
    groups = person_name.split("=")
    alphabetic = next((group for group in groups if group.strip("^ ")), "")
    components = [*alphabetic.split("^"), "", ""]
    family, given, middle = (component.strip() for component in components[:3])
    return family, f"{given} {middle}".strip()
