"""Another disk for one of the pool's that fails."""

from __future__ import annotations

from zfs import status
from zfs.disks import Disk, clearing
from zfs.layout import Layout
from zfs.running import HERE, Machine, Refusal
from zfs.status import DiskState, Status


def plan(pool: Status, old: str, new: Disk) -> tuple[str, ...]:
    """The command by which ``new`` takes the place of ``old``, a disk's name or path. Refusal where that would lose."""
    leaving = [disk for disk in pool.disks if old in (disk.name, disk.path)]
    if len(leaving) != 1:
        raise Refusal(
            f"{old} is no disk of the pool",
            f"its disks are {', '.join(disk.name for disk in pool.disks) or 'not known'}",
        )
    if any(_is_same(disk, new) for disk in pool.disks):
        raise Refusal(f"{new.path} is in the pool already")
    others = [disk for disk in pool.disks if disk is not leaving[0] and disk.state != "ONLINE"]
    if others and leaving[0].state == "ONLINE":
        raise Refusal(
            f"{leaving[0].name} works and {', '.join(disk.name for disk in others)} does not", "replace that one first"
        )
    if pool.scan and pool.scan.is_running and pool.scan.function == "RESILVER":
        raise Refusal("a disk is being filled already", "wait until it has ended")
    # zpool looks for leftovers itself, once more; it is overruled only for a disk that may be erased
    force = ("-f",) if new.left_over else ()
    return ("zpool", "replace", "-w", *force, pool.pool, leaving[0].name, new.path)


def _is_same(disk: DiskState, new: Disk) -> bool:
    """ZFS partitions whole disks, and calls the partition or the disk."""
    names = {disk.name, disk.path or ""}
    return any(name in (new.path, new.path.rpartition("/")[2]) or name.startswith(f"{new.path}-part") for name in names)


def replace(layout: Layout, old: str, new: Disk, machine: Machine = HERE) -> Status:
    """How the pool is after ``new`` was filled."""
    command = plan(status.look(layout, machine), old, new)
    for before in clearing([new]):
        machine.run(*before)
    machine.run(*command)
    after = status.look(layout, machine)
    if not any(_is_same(disk, new) and disk.state == "ONLINE" for disk in after.disks):
        raise Refusal(
            f"{new.path} is not in use in the pool, though `zpool replace` ended well", "`zpool status` says more"
        )
    return after
