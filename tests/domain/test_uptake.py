"""Standardised uptake values: when they are told, and when not."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.domain.attributes import Attributes
from appliance.domain.uptake import suv_factor


def pet(correction: str = "START", units: str = "BQML", **changes: Any) -> Attributes:
    isotope = {"00181074": 3.0e8, "00181075": 6600.0, "00181072": "100000"}
    values: dict[str, Any] = {
        "00541001": units,
        "00541102": correction,
        "00101030": 75.0,
        "00080021": "20200102",
        "00080031": "115000",
        "00080022": "20200102",
        "00080032": "115500",
        **{tag.removeprefix("t"): value for tag, value in changes.items() if tag.removeprefix("t") not in isotope},
    }
    isotope |= {tag.removeprefix("t"): value for tag, value in changes.items() if tag.removeprefix("t") in isotope}
    items = {tag: {"vr": "DS", "Value": [value]} for tag, value in isotope.items()}
    model: dict[str, Any] = {tag: {"vr": "DS", "Value": [value]} for tag, value in values.items()}
    return Attributes({**model, "00540016": {"vr": "SQ", "Value": [items]}})


def test_a_dose_decays_until_the_scan() -> None:
    # An hour and fifty minutes are one half-life: half of the dose is left.
    assert suv_factor(pet()) == pytest.approx(75_000 / 1.5e8)


def test_values_that_are_corrected_to_the_injection_have_the_whole_dose() -> None:
    assert suv_factor(pet("ADMIN")) == pytest.approx(75_000 / 3e8)


@pytest.mark.parametrize(
    "incomplete",
    [
        pet("NONE"),
        pet(units="CNTS"),
        pet(t00101030=0),
        pet(t00181074=0),
        pet(t00181075=0),
        pet(t00181072="soon"),
        pet(t00181072="120000"),  # given after the scan
        pet(t00080031="120000"),  # a series of a later time than its images
        Attributes({}),
    ],
)
def test_what_is_not_told_is_not_guessed(incomplete: Attributes) -> None:
    assert suv_factor(incomplete) is None
