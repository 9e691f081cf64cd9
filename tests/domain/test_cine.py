"""How long frames are shown."""

from __future__ import annotations

from typing import Any

from appliance.domain.attributes import Attributes
from appliance.domain.cine import frame_durations_ms


def durations(indexes: list[int], **values: Any) -> tuple[float, ...]:
    model = {name.removeprefix("t"): {"vr": "DS", "Value": value} for name, value in values.items()}
    return frame_durations_ms(Attributes(model), indexes)


def test_a_frame_time_is_that_of_every_frame() -> None:
    assert durations([0, 1, 2], t00181063=[40]) == (40, 40, 40)


def test_a_vector_says_when_the_next_frame_comes() -> None:
    assert durations([0, 1, 2, 3], t00181065=[0, 30, 50, 70]) == (30, 50, 70, 70)
    assert durations([2, 0], t00181065=[0, 30, 50, 70]) == (70, 30)


def test_a_vector_that_is_too_short_does_not_count() -> None:
    assert durations([0, 5], t00181065=[0, 30], t00181063=[40]) == (40, 40)


def test_what_is_recommended_for_display_comes_first() -> None:
    assert durations([0, 1], t00082144=[25], t00181063=[10], t00180040=[30]) == (40, 40)


def test_the_cine_rate_is_taken_where_nothing_else_is_said() -> None:
    assert durations([0, 1], t00180040=[20]) == (50, 50)


def test_a_file_that_does_not_say_is_shown_at_ten_frames_a_second() -> None:
    assert durations([0, 1]) == (100, 100)
    assert durations([0], t00181063=[0], t00180040=[-3], t00082144=["x"]) == (100,)


def test_times_that_nobody_could_watch_are_bounded() -> None:
    assert durations([0], t00181063=[1e9]) == (10_000,)
    assert durations([0], t00082144=[1e9]) == (1,)
