"""Which way a viewer goes, and what is ahead of him."""

from __future__ import annotations

from appliance.domain.identifiers import SeriesUid
from appliance.services.travel import Ahead, Travel

CT, MR = SeriesUid("1.2"), SeriesUid("1.3")
COUNT = 100


def gone(*positions: int, series_uid: SeriesUid = CT) -> list[Ahead | None]:
    travel = Travel(4)
    return [travel.ahead("a", series_uid, position, COUNT) for position in positions]


def test_a_first_slice_has_no_direction() -> None:
    assert gone(10) == [None]


def test_the_second_has_one_and_the_next_four_are_ahead() -> None:
    assert gone(10, 11)[-1] == Ahead((12, 13, 14, 15), anew=True)
    assert gone(10, 9)[-1] == Ahead((8, 7, 6, 5), anew=True)


def test_who_goes_on_is_told_only_what_is_new() -> None:
    assert gone(10, 11, 12)[-1] == Ahead((16,), anew=False)
    assert gone(10, 9, 7)[-1] == Ahead((4, 3), anew=False)


def test_who_overtakes_what_was_ahead_is_told_what_is_ahead_now() -> None:
    assert gone(10, 11, 19)[-1] == Ahead((20, 21, 22, 23), anew=False)


def test_who_turns_round_begins_anew() -> None:
    assert gone(10, 11, 12, 11)[-1] == Ahead((10, 9, 8, 7), anew=True)


def test_the_same_slice_again_keeps_the_direction() -> None:
    assert gone(10, 11, 11) == [None, Ahead((12, 13, 14, 15), anew=True), None]
    assert gone(10, 11, 11, 12)[-1] == Ahead((16,), anew=False)


def test_a_jump_drops_what_was_ahead() -> None:
    assert gone(10, 11, 60) == [None, Ahead((12, 13, 14, 15), anew=True), Ahead((), anew=True)]


def test_nothing_lies_beyond_the_ends() -> None:
    assert gone(97, 98)[-1] == Ahead((99,), anew=True)
    assert gone(97, 98, 99)[-1] is None
    assert gone(1, 0)[-1] == Ahead((), anew=True)


def test_another_series_drops_what_was_ahead_and_viewers_do_not_mix() -> None:
    travel = Travel(4)
    travel.ahead("a", CT, 10, COUNT)
    travel.ahead("a", CT, 11, COUNT)

    assert travel.ahead("b", CT, 12, COUNT) is None
    assert travel.ahead("a", MR, 12, COUNT) == Ahead((), anew=True)


def test_nothing_is_ahead_where_nothing_is_wanted_ahead() -> None:
    travel = Travel(0)
    travel.ahead("a", CT, 10, COUNT)

    assert travel.ahead("a", CT, 11, COUNT) == Ahead((), anew=True)
    assert travel.ahead("a", CT, 12, COUNT) is None
