"""The practised restore: what is restored, where it is laid, what goes in the end; that it reads well, the machine tests say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.zfs.scripted import Commands, scripted
from zfs import drill
from zfs.layout import RECORDS, ROOT
from zfs.names import Place
from zfs.replication import VERIFIED
from zfs.running import CommandFailed, Refusal

ONE, TWO = "appliance-20260301T000000Z", "appliance-20260301T010000Z"
PLACES = {"database": "/var/lib/appliance", "instances": "/srv/dicom"}
_LISTED = f"zfs list -H -t snapshot -d 1 -s createtxg -o name,{VERIFIED}"
NO_SCRATCH = {f"zfs get -H -o value {drill.MARK} {drill.SCRATCH}": "!cannot open: dataset does not exist"}
ROOM = {"zfs list -H -p -t snapshot -o logicalreferenced": "1000\n", f"zfs list -H -p -o available {ROOT}": "10000\n"}
COPIES = {
    f"{_LISTED} safe/copies/database": f"safe/copies/database@{ONE}\tabc\nsafe/copies/database@{TWO}\tdef\n",
    f"{_LISTED} safe/copies/instances": f"safe/copies/instances@{ONE}\tabc\nsafe/copies/instances@{TWO}\t-\n",
}


def check(**told: object) -> list[str]:
    """Stands for ``appliance verify --json``."""
    return [sys.executable, "-c", f"print({json.dumps(json.dumps(told))})"]


WELL = check(instances=3, bytes_read=1500, faults=[])


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return scripted(tmp_path, monkeypatch, "zfs", "mount", "umount")


def test_the_newest_copy_that_was_found_equal_on_both_sides_is_restored(commands: Commands) -> None:
    commands.answer({**NO_SCRATCH, **ROOM, **COPIES})

    found = drill.practise(Place("safe/copies"), PLACES, WELL)

    assert (found.snapshot, found.instances, found.bytes_read, found.faults) == (ONE, 3, 1500, 0)
    assert found.is_well
    assert [line for line in commands.said if line.startswith("zfs send")] == [
        f"zfs send -L safe/copies/database@{ONE}",
        f"zfs send -L safe/copies/instances@{ONE}",
    ]


def test_it_is_laid_over_the_data_and_taken_away_again(commands: Commands) -> None:
    commands.answer({**NO_SCRATCH, **ROOM, **COPIES})

    drill.practise(Place("safe/copies"), PLACES, WELL)

    mounted = [line.split()[-2:] for line in commands.said if line.startswith("mount")]
    assert mounted == [
        [f"{drill.SCRATCH}/database", "/var/lib/appliance"],
        [f"{drill.SCRATCH}/instances", "/srv/dicom"],
    ]
    assert [line for line in commands.said if line.startswith("umount")] == [
        "umount /srv/dicom",
        "umount /var/lib/appliance",
    ]


def test_without_copies_the_newest_snapshot_of_the_pool_is_restored(commands: Commands) -> None:
    listed = "zfs list -H -p -t snapshot -d 1 -o name,userrefs"
    commands.answer(
        {
            **NO_SCRATCH, **ROOM,
            f"{listed} {RECORDS}/database": f"x@{ONE}\t0\nx@{TWO}\t0\n",
            f"{listed} {RECORDS}/instances": f"x@{ONE}\t0\nx@{TWO}\t0\n",
        }
    )  # fmt: skip

    assert drill.practise(Place(RECORDS), PLACES, WELL).snapshot == TWO


def fault(kind: str, key: str | None) -> dict[str, object]:
    return {"kind": kind, "file": "3f/x.dcm", "reason": "…", "instance_uid": None, "key": key, "is_conflict": False}


def test_faults_are_counted_and_are_not_well(commands: Commands) -> None:
    commands.answer({**NO_SCRATCH, **ROOM, **COPIES})
    faults = [fault("missing", "ab"), fault("damaged", "cd"), fault("orphaned", None)]

    found = drill.practise(Place("safe/copies"), PLACES, check(instances=3, bytes_read=0, faults=faults))

    assert (found.faults, found.is_well) == (3, False)


def test_an_instance_that_came_in_while_the_snapshot_was_taken_is_told_and_is_no_fault(commands: Commands) -> None:
    commands.answer({**NO_SCRATCH, **ROOM, **COPIES})

    found = drill.practise(
        Place("safe/copies"), PLACES, check(instances=3, bytes_read=0, faults=[fault("orphaned", "ab")])
    )

    assert (found.unindexed, found.faults, found.is_well) == (1, 0, True)


def test_a_check_that_says_nothing_is_an_error_and_no_success(commands: Commands) -> None:
    commands.answer({**NO_SCRATCH, **ROOM, **COPIES})

    with pytest.raises(CommandFailed, match="no such settings"):
        drill.practise(Place("safe/copies"), PLACES, ["sh", "-c", "echo no such settings >&2; exit 2"])
    assert commands.said[-3:-1] == ["umount /srv/dicom", "umount /var/lib/appliance"]


def test_what_does_not_fit_is_not_begun(commands: Commands) -> None:
    commands.answer({**NO_SCRATCH, **COPIES, **ROOM, f"zfs list -H -p -o available {ROOT}": "1100\n"})

    with pytest.raises(Refusal, match="are free"):
        drill.practise(Place("safe/copies"), PLACES, WELL)
    assert commands.verbs == []


def test_a_copy_that_was_never_compared_is_not_restored(commands: Commands) -> None:
    commands.answer({**ROOM, _LISTED: f"x@{ONE}\t-\n"})

    with pytest.raises(Refusal, match="no snapshot of all of database, instances that was found equal"):
        drill.practise(Place("safe/copies"), PLACES, WELL)


def test_what_a_drill_left_is_removed_first_and_what_is_of_others_is_not_touched(commands: Commands) -> None:
    commands.answer({**ROOM, **COPIES, f"zfs get -H -o value {drill.MARK} {drill.SCRATCH}": "yes\n"})
    drill.practise(Place("safe/copies"), PLACES, WELL)
    assert commands.verbs[0] == f"destroy {drill.SCRATCH}"

    commands.answer({**ROOM, **COPIES, f"zfs get -H -o value {drill.MARK} {drill.SCRATCH}": "-\n"})
    before = len(commands.verbs)
    with pytest.raises(Refusal, match="was not made by a drill"):
        drill.practise(Place("safe/copies"), PLACES, WELL)
    assert commands.verbs[before:] == []
