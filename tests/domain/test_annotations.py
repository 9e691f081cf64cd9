"""What annotations say of an instance."""

from __future__ import annotations

from typing import Any

from appliance.domain.annotations import Annotation, annotation
from appliance.domain.attributes import Attributes


def attributes(**values: Any) -> Attributes:
    return Attributes({name.removeprefix("t"): {"vr": "LO", "Value": [value]} for name, value in values.items()})


CT = attributes(
    t00100010={"Alphabetic": "Čuček^Željko^^Dr."},
    t00100020="4711",
    t00100030="19700131",
    t00100040="M",
    t00080060="CT",
    t0008103E="Chest 1.0",
    t00080020="20261122",
    t00080030="105400.12",
    t00200011=3,
    t00200013=12,
    t00180060=120,
    t00180050="1.25",
    t00201041=-520.55,
)


def test_the_patient_has_name_number_birth_date_and_sex() -> None:
    assert annotation(CT, ["patient"], 1, 1) == Annotation(patient=("Čuček, Željko", "4711", "1970-01-31  M"))


def test_the_technique_has_what_the_modality_measures() -> None:
    assert annotation(CT, ["technique"], 1, 1).technique == (
        "CT  Chest 1.0",
        "2026-11-22  10:54",
        "series 3  image 12",
        "120 kV  thickness 1.25 mm  at -520.5 mm",
    )


def test_a_frame_of_several_has_its_number() -> None:
    assert annotation(CT, ["technique"], 2, 10).technique[2] == "series 3  image 12  frame 2 of 10"


def test_an_instance_that_says_nothing_has_no_lines() -> None:
    assert annotation(Attributes({}), ["patient", "technique"], 1, 1) == Annotation()


def test_values_of_several_lines_become_one_and_are_not_endless() -> None:
    of = attributes(t00100020="a\r\n\x1bb" + "c" * 500)

    (line,) = annotation(of, ["patient"], 1, 1).patient

    assert line.startswith("a bccc") and len(line) == 128


def test_numbers_that_are_none_are_left_out() -> None:
    assert attributes(t00180060="nan").numbers("00180060") == ()
    assert attributes(t00180060="1e999").numbers("00180060") == ()
    assert Attributes({"00180060": {"vr": "DS", "Value": "x"}}).number("00180060") is None
