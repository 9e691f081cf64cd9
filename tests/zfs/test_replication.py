"""What is planned for what both sides have; that zfs(8) carries it is for the machine tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfs import names, replication
from zfs.manifests import Comparison, Difference
from zfs.names import Place
from zfs.replication import Copy, Outcome, Plan, plan, read_copies, read_holds
from zfs.running import Refusal

ONE, TWO, THREE, FOUR = (names.snapshot(datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=n)) for n in range(4))
ALL = [ONE, TWO, THREE, FOUR]


def copies(*told: str) -> list[Copy]:
    """Verified, those in brackets not."""
    return [Copy(name.strip("()"), not name.startswith("(")) for name in told]


def test_the_first_copy_carries_everything() -> None:
    assert plan([ONE, TWO], []) == Plan(TWO, None, (), is_sent=False)


def test_the_next_builds_upon_the_newest_that_was_compared() -> None:
    assert plan([ONE, TWO, THREE], copies(ONE, TWO)) == Plan(THREE, TWO, (), is_sent=False)


def test_a_copy_that_was_not_compared_is_removed_and_sent_again() -> None:
    assert plan([ONE, TWO, THREE], copies(ONE, f"({TWO})")) == Plan(THREE, ONE, (TWO,), is_sent=False)
    assert plan([ONE, TWO], copies(ONE, f"({TWO})")) == Plan(TWO, ONE, (TWO,), is_sent=False)


def test_what_is_there_and_was_compared_is_not_sent_again() -> None:
    assert plan([ONE, TWO], copies(TWO)).is_sent


def test_a_first_copy_that_went_wrong_is_begun_anew() -> None:
    assert plan([ONE, TWO], copies(f"({ONE})")) == Plan(TWO, None, (ONE,), is_sent=False)


def test_a_backup_that_nothing_can_be_built_upon_is_never_overwritten() -> None:
    with pytest.raises(Refusal, match=f"ends with {ONE}, which this pool has no more"):
        plan([THREE], copies(ONE, f"({TWO})"))
    with pytest.raises(Refusal, match=f"ends with {TWO}"):
        plan([ONE, THREE], copies(ONE, TWO))


@given(
    source=st.sets(st.sampled_from(ALL), min_size=1).map(sorted),
    target=st.dictionaries(st.sampled_from(ALL), st.booleans()),
)
def test_only_what_was_compared_on_both_sides_is_built_upon_and_no_backup_is_lost(
    source: list[str], target: dict[str, bool]
) -> None:
    there = [Copy(name, target[name]) for name in sorted(target)]
    verified = {copy.name for copy in there if copy.is_verified}
    try:
        planned = plan(source, there)
    except Refusal:
        assert max(verified) not in source
        return
    assert planned.newest == source[-1]
    assert not verified & set(planned.to_remove)
    assert planned.base == max(verified, default=None)
    left = [copy.name for copy in there if copy.name not in planned.to_remove]
    assert not planned.base or left[-1] == planned.base, "zfs receives only upon the newest of the target"
    assert planned.is_sent == (planned.base == planned.newest)


def test_streams_are_never_raw_and_never_force() -> None:
    for base in (None, ONE):
        sender, _, receiver = replication._stream(
            "tank/r/instances", Plan(TWO, base, (), is_sent=False), Place("spare/i")
        )
        words = [*sender, *receiver]
        assert not {"-w", "--raw", "-F", "-R"} & set(words)
        assert ("-i" in words) == (base is not None)
        assert "-u" in receiver, "nothing is mounted there"


def test_what_the_target_has_is_read_with_whether_it_was_compared() -> None:
    told = f"spare/i@{ONE}\tabc123\nspare/i@by-hand\t-\nspare/i@{TWO}\t-\n"

    assert read_copies(told) == copies(ONE, f"({TWO})")


def test_holds_are_those_of_the_same_copy() -> None:
    told = f"tank/r@{ONE}\tcopied-to:spare/i\tSun Mar  1 00:00 2026\ntank/r@{TWO}\tcopied-to:box:x\tSun Mar  1 01:00 2026\n"

    assert read_holds(told, "copied-to:spare/i") == {f"tank/r@{ONE}"}


def test_the_report_is_well_only_if_every_data_set_is() -> None:
    bad = Comparison(files=2, differences=1, first_differences=(Difference("a", "is not in the copy"),))
    well = Outcome("tank/r/database", TWO, ONE, Comparison(files=1))

    told = json.loads(replication.as_json([well, Outcome("tank/r/instances", TWO, ONE, bad)]))

    assert not told["is_well"]
    assert [each["is_well"] for each in told["data_sets"]] == [True, False]
    assert told["data_sets"][1]["comparison"]["first_differences"] == [{"path": "a", "what": "is not in the copy"}]
