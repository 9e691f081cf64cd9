"""How the pool is, for people and as JSON for the health page. Nobody's name is in it: no patient's, and no file's.

References: zpool-status(8) ``-j --json-int``, zfs-list(8), of OpenZFS 2.3.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from zfs import snapshots
from zfs.layout import Layout
from zfs.running import HERE, Machine, Refusal
from zfs.snapshots import Snapshot

_FULL = 0.85
"""Beyond this part of its room ZFS becomes slow."""
_SCRUB_AGE = timedelta(days=45)
"""A month, and the nights that a box may have been off."""
_SNAPSHOT_AGE = timedelta(hours=3)
_LEAVES = ("disk", "file", "missing")


@dataclass(frozen=True)
class DiskState:
    """A disk of the pool and what went wrong with it since it was last cleared."""

    name: str
    state: str
    path: str | None
    read_errors: int
    write_errors: int
    checksum_errors: int

    @property
    def is_well(self) -> bool:
        is_in_place = self.state in ("ONLINE", "AVAIL")  # a spare that waits
        return is_in_place and not (self.read_errors or self.write_errors or self.checksum_errors)


@dataclass(frozen=True)
class Scan:
    """The scrub or resilver that runs or ran last."""

    function: str
    """SCRUB or RESILVER."""
    state: str
    """SCANNING, FINISHED or CANCELED."""
    ended: datetime | None
    errors: int

    @property
    def is_running(self) -> bool:
        return self.state == "SCANNING"


@dataclass(frozen=True)
class DataSetState:
    """A data set that holds files."""

    name: str
    used_bytes: int
    available_bytes: int
    is_mounted: bool


@dataclass(frozen=True)
class Status:
    """All of it."""

    pool: str
    state: str
    size_bytes: int
    allocated_bytes: int
    damaged_files: int
    """Files of which something is lost for good."""
    disks: tuple[DiskState, ...]
    scan: Scan | None
    is_locked: bool
    data_sets: tuple[DataSetState, ...]
    snapshots: int
    newest_snapshot: datetime | None
    looked: datetime

    @property
    def problems(self) -> list[str]:
        """What somebody should look at, worst first; empty when all is well."""
        return [*self._dangers(), *self._neglects()]

    def _dangers(self) -> Iterator[str]:
        if self.damaged_files:
            yield f"{self.damaged_files} files are damaged: restore them from a backup"
        if self.state != "ONLINE":
            yield f"the pool is {self.state}"
        for disk in self.disks:
            if not disk.is_well:
                errors = f"{disk.read_errors} read, {disk.write_errors} write, {disk.checksum_errors} checksum errors"
                yield f"disk {disk.name} is {disk.state}, {errors}"
        if self.is_locked:
            yield "the pool is locked: its key is not loaded"

    def _neglects(self) -> Iterator[str]:
        if self.size_bytes and self.allocated_bytes > _FULL * self.size_bytes:
            yield f"the pool is {100 * self.allocated_bytes // self.size_bytes} % full"
        for data_set in self.data_sets:
            if not data_set.is_mounted and not self.is_locked:
                yield f"{data_set.name} is not mounted"
        last = self.scan
        if last is None or not (last.is_running or (last.ended and self.looked - last.ended < _SCRUB_AGE)):
            yield f"no scrub has ended for {_SCRUB_AGE.days} days"
        if not self.is_locked and not (self.newest_snapshot and self.looked - self.newest_snapshot < _SNAPSHOT_AGE):
            yield "there is no snapshot of the last three hours"

    def as_json(self) -> str:
        """One object; times as RFC 3339, sizes in bytes."""
        plain = asdict(self) | {"problems": self.problems}
        return json.dumps(plain, default=lambda moment: moment.isoformat())


def read(
    told: str, layout: Layout, data_sets: Mapping[str, Mapping[str, str]], taken: Sequence[Snapshot], looked: datetime
) -> Status:
    """``told`` is what zpool status printed as JSON; the properties of ``data_sets`` are used, available, mounted, keystatus."""
    try:
        pool = json.loads(told)["pools"][layout.pool]
        root = pool["vdevs"][layout.pool]
    except (KeyError, ValueError) as error:
        raise Refusal(f"`zpool status -j` told nothing of {layout.pool} that is understood: {error!r}") from error
    scan = pool.get("scan_stats")
    return Status(
        pool=layout.pool,
        state=pool["state"],
        size_bytes=int(root.get("total_space", 0)),
        allocated_bytes=int(root.get("alloc_space", 0)),
        damaged_files=int(pool.get("error_count", 0)),
        disks=tuple(_disk(vdev) for vdev in _leaves(pool)),
        scan=_scan(scan) if scan and scan.get("function") in ("SCRUB", "RESILVER") else None,
        is_locked=any(found.get("keystatus") == "unavailable" for found in data_sets.values()),
        data_sets=tuple(
            DataSetState(ds.name, int(found["used"]), int(found["available"]), found["mounted"] == "yes")
            for ds in layout.data_sets
            if ds.mountpoint and (found := data_sets.get(ds.name))
        ),
        snapshots=len(taken),
        newest_snapshot=max((s.taken for s in taken), default=None),
        looked=looked,
    )


def _leaves(pool: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:  # Any: what JSON holds
    """The disks in all classes of vdevs: data, special, logs, cache, spares."""
    for group in ("vdevs", "special", "dedup", "logs", "l2cache", "spares"):
        for vdev in pool.get(group, {}).values():
            yield from _below(vdev)


def _below(vdev: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if vdev.get("vdev_type") in _LEAVES:
        yield vdev
    for child in vdev.get("vdevs", {}).values():
        yield from _below(child)


def _disk(vdev: Mapping[str, Any]) -> DiskState:
    counts = [int(vdev.get(f"{kind}_errors", 0)) for kind in ("read", "write", "checksum")]
    return DiskState(vdev["name"], vdev["state"], vdev.get("path"), *counts)


def _scan(told: Mapping[str, Any]) -> Scan:
    ended = int(told.get("end_time") or 0)
    is_over = told["state"] != "SCANNING"
    moment = datetime.fromtimestamp(ended, UTC) if ended and is_over else None
    return Scan(told["function"], told["state"], moment, int(told.get("errors", 0)))


def look(layout: Layout, machine: Machine = HERE) -> Status:
    """How the pool is now; anybody may ask."""
    told = machine.run("zpool", "status", "-j", "--json-int", "-p", layout.pool)
    properties = ("used", "available", "mounted", "keystatus")
    listed = machine.run(
        "zfs", "list", "-H", "-p", "-r", "-t", "filesystem", "-o", ",".join(("name", *properties)), layout.pool
    )
    rows = (line.split("\t") for line in listed.splitlines())
    data_sets = {name: dict(zip(properties, values, strict=True)) for name, *values in rows}
    records = next(ds.name for ds in layout.data_sets if "snapshot" in ds.permissions)
    taken = snapshots.there(records, machine) if records in data_sets else []
    return read(told, layout, data_sets, taken, datetime.now(UTC))


def write(told: str, file: Path) -> None:
    """``file`` holds ``told``, JSON that names nobody, whole at every moment, for everybody to read."""
    fresh = file.with_suffix(".new")
    fresh.write_text(told + "\n")
    fresh.chmod(0o644)
    fresh.replace(file)
