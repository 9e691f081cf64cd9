"""Which frames of an instance are meant by its attributes."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.domain.attribute_matching import Wanted, matching_frames

RR_INTERVAL, TEMPORAL_INDEX, ECHO_TIME, MODALITY = "00189070", "00209128", "00189082", "00080060"
DATE, NAME = "00080020", "00100010"


def element(vr: str, *values: object) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def frame(index: int) -> dict[str, Any]:
    """The functional groups of a frame at a point in time."""
    return {"00209111": element("SQ", {TEMPORAL_INDEX: element("UL", index)})}


MULTI_FRAME = {
    MODALITY: element("CS", "MR"),
    RR_INTERVAL: element("FD", 150.5),
    DATE: element("DA", "20261122"),
    NAME: element("PN", {"Alphabetic": "Anić^Ana"}),
    "52009229": element("SQ", {"00189114": element("SQ", {ECHO_TIME: element("FD", 4.5)})}),
    "52009230": element("SQ", frame(1), frame(1), frame(2)),
}
ALL = (0, 1, 2)


@pytest.mark.parametrize(
    ("tag", "value", "frames"),
    [
        (RR_INTERVAL, "140-260", ALL),
        (RR_INTERVAL, "150.5", ALL),
        (RR_INTERVAL, "-160", ALL),
        (RR_INTERVAL, "151-", ()),
        (RR_INTERVAL, "fast", ()),
        (MODALITY, "MR", ALL),
        (MODALITY, "M?", ALL),
        (MODALITY, "*", ALL),
        (MODALITY, "CT", ()),
        (MODALITY, "[M]R", ()),
        (DATE, "20261101-20261130", ALL),
        (DATE, "20261122-", ALL),
        (DATE, "-20261121", ()),
        (NAME, "Ani*", ALL),
        (ECHO_TIME, "4-5", ALL),
        (TEMPORAL_INDEX, "1", (0, 1)),
        (TEMPORAL_INDEX, "2-3", (2,)),
        ("00189999", "1", ()),
    ],
)
def test_frames_match_by_what_stands_for_them(tag: str, value: str, frames: tuple[int, ...]) -> None:
    assert matching_frames(MULTI_FRAME, 3, [Wanted(tag, (value,))]) == frames


def test_any_of_several_values_and_all_of_several_attributes() -> None:
    assert matching_frames(MULTI_FRAME, 3, [Wanted(TEMPORAL_INDEX, ("2", "1"))]) == ALL
    assert matching_frames(MULTI_FRAME, 3, [Wanted(TEMPORAL_INDEX, ("1",)), Wanted(MODALITY, ("CT",))]) == ()


def test_groups_that_are_not_there_or_damaged_match_nothing() -> None:
    damaged = {"52009230": {"vr": "SQ", "Value": [None, "x"]}, MODALITY: {"vr": "CS"}}

    assert matching_frames(damaged, 2, [Wanted(TEMPORAL_INDEX, ("1",))]) == ()
    assert matching_frames(damaged, 2, [Wanted(MODALITY, ("*",))]) == ()
