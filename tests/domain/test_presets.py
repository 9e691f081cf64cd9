"""Which windows are offered for what."""

import pytest

from appliance.domain.presets import window_presets


def names(modality: str, body_part: str = "", unit: str = "") -> list[str]:
    return [window.explanation for window in window_presets(modality, body_part, unit)]


@pytest.mark.parametrize(
    ("body_part", "first"),
    [("CHEST", "Mediastinum"), ("THORAX", "Mediastinum"), ("head", "Brain"), ("L SPINE", "Bone"), ("", "Soft tissue")],
)
def test_a_ct_begins_with_the_likeliest_window_of_its_part_of_the_body(body_part, first):
    assert names("CT", body_part)[0] == first


def test_an_uptake_has_windows_from_nothing_up_and_becquerels_have_none():
    windows = window_presets("PT", "", "GML")

    assert all(window.center - window.width / 2 == 0 for window in windows)
    assert names("PT", unit="BQML") == []


def test_values_that_differ_from_scanner_to_scanner_have_no_presets():
    assert names("MR", "HEAD") == names("CR", "CHEST") == []
