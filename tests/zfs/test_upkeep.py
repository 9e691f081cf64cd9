"""Scrubs and new disks: what is planned for how the pool is."""

from __future__ import annotations

import pytest

from tests.zfs.pool_states import TB, disk, scan
from tests.zfs.test_status import seen
from zfs import replacement, scrubbing
from zfs.disks import Disk
from zfs.running import Refusal

NEW = Disk("/dev/disk/by-id/new", 4 * TB)


def test_a_scrub_is_started_or_waited_for() -> None:
    assert scrubbing.plan(None) == "start"
    assert scrubbing.plan(seen().scan) == "start"
    assert scrubbing.plan(seen(scanned=scan(state="SCANNING")).scan) == "wait"


def test_nothing_is_scrubbed_while_a_disk_is_filled() -> None:
    with pytest.raises(Refusal, match="a disk is being filled"):
        scrubbing.plan(seen(scanned=scan("RESILVER", "SCANNING")).scan)


@pytest.mark.parametrize("old", ["b", "/dev/disk/by-id/b-part1"])
def test_a_disk_that_fails_is_replaced(old: str) -> None:
    pool = seen(disk("a"), disk("b", "FAULTED"), state="DEGRADED")

    assert replacement.plan(pool, old, NEW) == ("zpool", "replace", "-w", "tank", "b", "/dev/disk/by-id/new")


def test_zpool_is_overruled_only_for_a_disk_that_may_be_erased() -> None:
    used = Disk("/dev/disk/by-id/new", 4 * TB, left_over=("zfs_member on /dev/sdb1",))

    assert "-f" in replacement.plan(seen(), "a", used)


@pytest.mark.parametrize("old", ["c", "mirror-0", "tank"])
def test_what_is_no_disk_of_the_pool_is_refused(old: str) -> None:
    with pytest.raises(Refusal, match="its disks are a, b"):
        replacement.plan(seen(), old, NEW)


def test_a_disk_of_the_pool_replaces_no_other() -> None:
    with pytest.raises(Refusal, match="is in the pool already"):
        replacement.plan(seen(), "a", Disk("/dev/disk/by-id/b", 4 * TB))


def test_the_disk_that_works_is_not_replaced_while_another_does_not() -> None:
    with pytest.raises(Refusal, match="a works and b does not"):
        replacement.plan(seen(disk("a"), disk("b", "UNAVAIL"), state="DEGRADED"), "a", NEW)


def test_two_disks_are_not_filled_at_once() -> None:
    with pytest.raises(Refusal, match="being filled already"):
        replacement.plan(seen(scanned=scan("RESILVER", "SCANNING")), "a", NEW)
