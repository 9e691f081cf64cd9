"""What is made of what a viewer was seen to do on a line."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from benchmarks.line import PROFILES, Line
from benchmarks.sitting import Requests, Sitting, judged_ride
from benchmarks.slow_line import _with_turn, compared, show
from benchmarks.viewers import Viewer


@dataclass(frozen=True)
class Judge:
    """Of a viewer only what says whether a picture is exact."""

    draws_whole_frames: bool = False
    name: str = "ours"
    patience_s: float = 60

    def is_exact(self, state: dict[str, Any]) -> bool:
        return self.draws_whole_frames or state.get("settled") == "true"

    def is_all_bits(self, state: dict[str, Any]) -> bool:
        return self.draws_whole_frames or state.get("proven") == "true"


OURS = cast(Viewer, Judge())
THEIRS = cast(Viewer, Judge(draws_whole_frames=True))


def state(at: float, number: int, **said: str) -> tuple[float, dict[str, Any]]:
    return at, {"number": number, **said}


def test_slices_that_were_passed_and_not_seen_are_dropped():
    sampled = {
        "wheels": [0, 1000, 2000],
        "slices": [[100, 1], [2100, 3]],
        "states": [state(2100, 3)],
    }

    found = judged_ride(sampled, 0, 3, OURS)

    assert (found["dropped"], found["slices_per_s"], found["wheel_per_s"]) == (1, 0.5, 1.0)


def test_a_screen_that_keeps_the_pace_of_the_hand_has_its_rate_and_is_behind_by_what_the_line_takes():
    sampled = {
        "wheels": [0, 100, 200],
        "slices": [[250, 1], [350, 2], [450, 3]],
        "states": [state(250, 1), state(350, 2), state(450, 3)],
    }

    found = judged_ride(sampled, 0, 3, OURS)

    assert (found["slices_per_s"], found["wheel_per_s"], found["behind_s"]) == (10.0, 10.0, 0.25)


async def test_what_has_not_come_by_the_end_is_missing_and_said_to_be(tmp_path: Path) -> None:
    said: list[str] = []
    sitting = Sitting(OURS, cast(Line, None), PROFILES["none"], tmp_path, said.append, ends_at=time.monotonic())

    found = await sitting._step(("heap_mb",), asyncio.sleep(3600, {"heap_mb": 1.0}))

    assert found == {"heap_mb": None}
    assert sitting.missing == ["ours: heap_mb: did not end"]


def test_a_stack_may_be_gone_through_the_other_way():
    sampled = {"wheels": [0, 1000], "slices": [[500, 9], [1000, 8]], "states": [state(1000, 8)]}

    assert judged_ride(sampled, 10, 8, OURS)["dropped"] == 0


def test_the_stop_is_over_when_the_last_slice_is_exact_and_later_proven():
    sampled = {
        "wheels": [0, 1000],
        "slices": [[900, 1], [1100, 2]],
        "states": [state(900, 1, settled="true"), state(1100, 2), state(1600, 2, settled="true"),
                   state(2500, 2, settled="true", proven="true")],
    }  # fmt: skip

    found = judged_ride(sampled, 0, 2, OURS)

    assert (found["stop_to_exact_s"], found["stop_to_all_bits_s"]) == (0.6, 1.5)


def test_a_slice_that_was_there_before_the_last_notch_took_no_time():
    sampled = {"wheels": [0, 1000], "slices": [[500, 1]], "states": [state(500, 1)]}

    assert judged_ride(sampled, 0, 1, THEIRS)["stop_to_exact_s"] == 0


def test_what_never_became_exact_has_no_figure():
    sampled = {"wheels": [0, 1000], "slices": [[1500, 1]], "states": [state(1500, 1)]}

    assert judged_ride(sampled, 0, 1, OURS)["stop_to_exact_s"] is None


def test_a_ride_that_showed_nothing_has_a_rate_of_nothing():
    found = judged_ride({"wheels": [0, 1000], "slices": [], "states": []}, 0, 2, THEIRS)

    assert (found["slices_per_s"], found["dropped"], found["stop_to_exact_s"]) == (0, 2, None)


def test_requests_are_counted_with_their_bytes_and_those_taken_back():
    requests = Requests()
    for number, uid in enumerate(["1.2", "1.3", "1.2"]):
        requests.on_asked({"requestId": str(number), "request": {"url": f"/instances/{uid}/frames/1"}})
        requests.on_came({"requestId": str(number), "dataLength": 100 + number})
    requests.on_came({"requestId": "0", "dataLength": 1000})
    requests.on_failed({"requestId": "2", "canceled": True})
    requests.on_failed({"requestId": "1", "errorText": "net::ERR_FAILED"})

    assert (requests.asked, requests.taken_back) == (3, 1)
    assert requests.bytes_of_first("1.2") == 1100
    assert requests.bytes_of_first("1.9") == 0


def test_a_ratio_above_1_is_in_our_favour_whichever_way_is_better():
    ours = {"cold_first_slice_s": 2.0, "slices_per_s": 30.0, "wheel_per_s": 30.0}
    theirs = {"cold_first_slice_s": 50.0, "slices_per_s": 3.0, "wheel_per_s": 30.0}

    assert compared(ours, theirs)["ratio_vs_ohif"] == {"cold_first_slice_s": 25.0, "slices_per_s": 10.0}


def test_there_is_no_ratio_to_nothing():
    found = compared({"dropped": 0, "heap_mb": None}, {"dropped": 12, "heap_mb": 5.0})

    assert found["ratio_vs_ohif"] == {"dropped": None, "heap_mb": None}


def test_a_volume_that_was_turned_on_the_unshaped_line_only_stands_for_all():
    turned = {"volume_frames_per_s": 2.0, "volume_asked": 0, "volume_taken_back": 0}

    assert _with_turn([{"heap_mb": 1.0}], [turned]) == [{"heap_mb": 1.0, **turned}]
    assert _with_turn([{**turned, "volume_frames_per_s": 7.0}], [turned])[0]["volume_frames_per_s"] == 7


def test_a_table_without_ohif_says_why(capsys):
    figures = {"2G": compared({"dropped": 0, "heap_mb": None})}
    show({"slow-line": figures, "missing": ["OHIF is not measured: there is no npm"]})

    said = capsys.readouterr().out
    assert "OHIF is not measured: there is no npm" in said
    assert ["heap_mb", "-"] in [line.split() for line in said.splitlines()]


def test_a_table_with_ohif_has_its_figures_and_the_ratios(capsys):
    show({"slow-line": {"2G": compared({"wasted_bytes": 2000}, {"wasted_bytes": 1_900_000})}, "missing": []})

    assert capsys.readouterr().out.splitlines()[1].split() == ["wasted_bytes", "2,000", "1,900,000", "950"]


def test_a_viewer_for_which_no_time_was_left_has_no_figures_and_spoils_no_others() -> None:
    ours, theirs = _with_turn([{"cold_first_slice_s": 1.0, "volume_frames_per_s": 5.0}, {}], [{}, {}])

    assert compared(ours, theirs)["ratio_vs_ohif"] == {"cold_first_slice_s": None, "volume_frames_per_s": None}
