"""Every block of the pool read and compared with its checksum; what is wrong is mended from the other disks."""

from __future__ import annotations

from typing import Literal

from zfs import status
from zfs.layout import Layout
from zfs.running import HERE, Machine, Refusal
from zfs.status import Scan, Status

Deed = Literal["start", "wait"]


def plan(last: Scan | None) -> Deed:
    """Whether to start a scrub or to wait for the one that runs. Refusal while a new disk is being filled."""
    if last is None or not last.is_running:
        return "start"
    if last.function == "SCRUB":
        return "wait"
    raise Refusal("a disk is being filled", "scrub when it has ended; `appliance-zfs status` says when")


def scrub(layout: Layout, machine: Machine = HERE) -> Status:
    """How the pool is after a whole scrub."""
    if plan(status.look(layout, machine).scan) == "start":
        machine.run("zpool", "scrub", "-w", layout.pool)
    else:
        machine.run("zpool", "wait", "-t", "scrub", layout.pool)
    return status.look(layout, machine)
