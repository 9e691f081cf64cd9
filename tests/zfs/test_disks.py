"""Which disks may be taken: only such as surely hold nothing, and others only by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zfs.disks import Disk, chosen, clearing, is_blank, names_by_id, read
from zfs.running import Refusal

GB = 10**9
BLANK = Disk("/dev/disk/by-id/ata-BLANK", 4000 * GB)
OTHER_BLANK = Disk("/dev/disk/by-id/ata-BLANK-2", 4000 * GB)
OLD = Disk("/dev/disk/by-id/ata-OLD", 4000 * GB, left_over=("ext4 on /dev/sdc1",))
SYSTEM = Disk("/dev/disk/by-id/nvme-SYSTEM", 500 * GB, in_use=("/dev/nvme0n1p2 is mounted at /",))
ALL = [BLANK, OTHER_BLANK, OLD, SYSTEM]


def block(path: str, **others: Any) -> dict[str, Any]:
    """An entry as lsblk of util-linux 2.38 prints it, of a disk that was never used."""
    entry = {
        "kname": path,
        "path": path,
        "type": "disk",
        "size": 4000 * GB,
        "model": "ST4000",
        "serial": "ZZ1",
        "ro": False,
    }
    return {**entry, "fstype": None, "pttype": None, "mountpoints": [None], "rm": False, "rota": True, **others}


def listed(*entries: dict[str, Any], blank: bool = True) -> list[Disk]:
    found = {entry["path"]: blank for entry in entries}
    return read(json.dumps({"blockdevices": entries}), {}, found)


def test_a_disk_that_was_never_used_is_blank() -> None:
    disk = listed(block("/dev/sdb"))[0]

    assert (disk.in_use, disk.left_over) == ((), ())
    assert str(disk) == "/dev/sdb: 4000 GB disk ST4000 ZZ1: blank"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (block("/dev/sda", mountpoints=["/"]), "/dev/sda is mounted at /"),
        (block("/dev/sda", children=[block("/dev/sda1", type="part", mountpoints=["/boot"])]), "mounted at /boot"),
        (block("/dev/sda", children=[block("/dev/sda2", type="part", mountpoints=["[SWAP]"])]), "mounted at [SWAP]"),
        (block("/dev/sda", children=[block("/dev/md0", type="raid1")]), "/dev/md0 (raid1) is made of it"),
        (
            block("/dev/sda", children=[block("/dev/sda1", type="part", children=[block("/dev/dm-0", type="crypt")])]),
            "/dev/dm-0 (crypt) is made of it",
        ),
        (block("/dev/sda", ro=True), "it cannot be written"),
        (block("/dev/sdx", rm=True), "it can be pulled out"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_uses_a_disk_is_said(entry: dict[str, Any], said: str) -> None:
    assert any(said in use for use in listed(entry)[0].in_use)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (block("/dev/sdb", fstype="zfs_member"), "zfs_member on /dev/sdb"),
        (block("/dev/sdb", pttype="gpt"), "partition table gpt"),
        (block("/dev/sdb", children=[block("/dev/sdb1", type="part", fstype="ntfs")]), "ntfs on /dev/sdb1"),
        (block("/dev/sdb", children=[block("/dev/sdb1", type="part")]), "partition /dev/sdb1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_somebody_may_want_back_is_said(entry: dict[str, Any], said: str) -> None:
    assert said in listed(entry)[0].left_over


def test_a_disk_that_no_program_knows_and_that_is_not_zero_is_not_blank() -> None:
    assert listed(block("/dev/sdb"), blank=False)[0].left_over == ("bytes that are not zero",)


def test_a_disk_that_was_not_looked_at_is_not_blank() -> None:
    assert read(json.dumps({"blockdevices": [block("/dev/sdb")]}), {}, {})[0].left_over


def test_memory_and_loops_and_empty_slots_are_no_disks() -> None:
    entries = [
        block("/dev/zram0"),
        block("/dev/loop0", type="loop"),
        block("/dev/sr0", type="rom"),
        block("/dev/sdz", size=0),
    ]

    assert listed(*entries) == []


@settings(deadline=None, max_examples=40)  # it writes files
@given(head=st.binary(max_size=40), gap=st.integers(0, 3 << 20), tail=st.binary(max_size=40))
def test_a_device_is_blank_only_if_both_ends_are_zero(
    tmp_path_factory: Any, head: bytes, gap: int, tail: bytes
) -> None:
    device = tmp_path_factory.getbasetemp() / "device"
    device.write_bytes(head + b"\0" * gap + tail)

    assert is_blank(device) == (not any(head) and not any(tail))


def test_a_device_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be looked at"):
        is_blank(tmp_path / "nothing")


def test_a_disk_is_called_by_what_it_is_and_not_by_where_it_is_plugged_in(tmp_path: Path) -> None:
    (tmp_path / "sda").touch()
    for name in ("usb-0:1", "ata-ST4000_ZZ1", "wwn-0x5000", "wwn-0x5000-part1"):
        (tmp_path / name).symlink_to(tmp_path / "sda")

    assert names_by_id(tmp_path) == {str(tmp_path / "sda"): str(tmp_path / "wwn-0x5000")}


def test_without_a_choice_all_blank_disks_are_taken_and_no_other() -> None:
    assert chosen(ALL, [], []) == [BLANK, OTHER_BLANK]


def test_a_disk_that_holds_something_is_taken_only_if_that_is_said() -> None:
    with pytest.raises(Refusal, match="ata-OLD holds something: ext4"):
        chosen(ALL, [BLANK.path, OLD.path], [])

    assert chosen(ALL, [BLANK.path], [OLD.path]) == [BLANK, OLD]


def test_a_disk_in_use_is_never_taken_whoever_says_so() -> None:
    with pytest.raises(Refusal, match="nvme-SYSTEM is in use"):
        chosen(ALL, [SYSTEM.path], [SYSTEM.path])


def test_a_disk_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(Refusal, match=r"no such disk[^$]*ata-BLANK"):
        chosen(ALL, ["/dev/sdq"], [])


def test_only_what_may_be_erased_is_cleared_and_its_old_names_are_waited_for() -> None:
    assert clearing([BLANK]) == []
    assert clearing([BLANK, OLD]) == [("wipefs", "--quiet", "--all", OLD.path), ("udevadm", "settle")]


@given(wanted=st.sets(st.sampled_from(ALL)), erase=st.sets(st.sampled_from(ALL)))
def test_whatever_is_asked_for_nothing_is_taken_that_holds_something_unsaid(
    wanted: set[Disk], erase: set[Disk]
) -> None:
    try:
        taken = chosen(ALL, [disk.path for disk in wanted], [disk.path for disk in erase])
    except Refusal:
        assert any(disk.in_use or (disk.left_over and disk not in erase) for disk in wanted | erase)
        return
    assert not any(disk.in_use for disk in taken)
    assert all(disk in erase for disk in taken if disk.left_over)
    assert len(set(taken)) == len(taken)
