"""Which snapshots stay, and for how long what was deleted can still be found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from zfs import names, snapshots
from zfs.snapshots import OLDEST, SCHEDULE, Snapshot, kept, to_remove

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
MOMENTS = st.sets(
    st.integers(0, 80 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes)), min_size=1, max_size=200
)


def of(moments: set[datetime], held: set[datetime] | None = None) -> list[Snapshot]:
    return [Snapshot(names.snapshot(moment), moment, moment in (held or set())) for moment in sorted(moments)]


@given(MOMENTS)
def test_the_newest_always_stays(moments: set[datetime]) -> None:
    assert max(moments) in kept(moments)


@given(MOMENTS)
def test_no_more_stay_than_the_rules_count(moments: set[datetime]) -> None:
    assert len(kept(moments)) <= sum(rule.count for rule in SCHEDULE) + 1


@given(MOMENTS)
def test_what_stayed_once_stays_if_it_is_asked_again(moments: set[datetime]) -> None:
    assert kept(kept(moments)) == kept(moments)


@given(MOMENTS, st.data())
def test_what_is_held_never_goes(moments: set[datetime], data: st.DataObject) -> None:
    held = data.draw(st.sets(st.sampled_from(sorted(moments))))

    assert not {snapshot.taken for snapshot in to_remove(of(moments, held), NOW)} & held


@given(MOMENTS)
def test_nothing_but_the_newest_outlives_the_promise_about_deletions(moments: set[datetime]) -> None:
    gone = {snapshot.taken for snapshot in to_remove(of(moments), NOW)}

    assert all(moment >= NOW - OLDEST for moment in moments - gone - {max(moments)})


def test_after_months_of_every_hour_there_are_two_days_of_hours_and_a_month_of_days() -> None:
    there: set[datetime] = set()
    moment = NOW - timedelta(days=90)
    while moment <= NOW:
        there.add(moment)
        there -= {snapshot.taken for snapshot in to_remove(of(there), moment)}
        moment += timedelta(hours=1)

    ages = sorted(NOW - taken for taken in there)
    assert [age for age in ages if age < timedelta(hours=48)] == [timedelta(hours=n) for n in range(48)]
    assert {(NOW - age).date() for age in ages} == {(NOW - timedelta(days=n)).date() for n in range(30)}


def test_names_say_when_and_sort_by_it() -> None:
    moments = [NOW + timedelta(hours=n) for n in range(100)]
    written = [names.snapshot(moment) for moment in moments]

    assert written == sorted(written)
    assert [names.taken_at(name) for name in written] == moments


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    berlin = datetime.fromisoformat("2026-03-29T14:00:00+02:00")

    assert names.snapshot(berlin) == "appliance-20260329T120000Z"


def test_snapshots_of_others_are_left_alone() -> None:
    told = "tank/r@before-the-move\t0\ntank/r@appliance-20260329T120000Z\t1\ntank/r@appliance-20261329T120000Z\t0\n"

    assert snapshots.read(told) == [Snapshot("appliance-20260329T120000Z", NOW, is_held=True)]
