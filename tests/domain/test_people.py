"""Names: how they are folded for a search and taken out of DICOM."""

from __future__ import annotations

import pytest

from appliance.domain.people import family_and_given, folded


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Müller", "muller"),
        ("ŠIMIĆ", "simic"),
        ("Đorđević", "dordevic"),
        ("  Anna   Maria ", "anna maria"),
        ("Łukasz Sørensen", "lukasz sorensen"),
        ("山田", "山田"),
        ("", ""),
    ],
)
def test_folding_removes_case_marks_and_superfluous_blanks(name: str, expected: str) -> None:
    assert folded(name) == expected


@pytest.mark.parametrize(
    ("person_name", "expected"),
    [
        ("Doe^Jane", ("Doe", "Jane")),
        ("Doe^Jane^Q^Dr^Jr", ("Doe", "Jane Q")),
        ("Doe", ("Doe", "")),
        ("", ("", "")),
        ("^^^^", ("", "")),
        ("=山田^太郎", ("山田", "太郎")),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", ("Yamada", "Tarou")),
    ],
)
def test_a_person_name_gives_family_and_given_names_of_its_first_group(
    person_name: str, expected: tuple[str, str]
) -> None:
    assert family_and_given(person_name) == expected
