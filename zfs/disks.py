"""The machine's disks, and whether they hold anything: what is not surely blank is never touched without being told."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zfs.running import HERE, Refusal

_LOOKED_AT_BYTES = 1 << 20
"""At either end: partition tables, file systems, LVM, RAID, LUKS and ZFS all leave their mark there."""
_BY_ID = Path("/dev/disk/by-id")
_COLUMNS = "KNAME,PATH,TYPE,SIZE,MODEL,SERIAL,FSTYPE,PTTYPE,MOUNTPOINTS,RO,RM,ROTA"
_LIKED_NAMES = ("nvme-eui", "wwn-", "nvme-", "ata-", "scsi-", "virtio-")
"""Names by what a disk is come before those by where it is plugged in."""


@dataclass(frozen=True)
class Disk:
    """A whole disk."""

    path: str
    """Under a name that stays when cables are changed, where it has one."""
    size_bytes: int
    model: str = ""
    serial: str = ""
    is_rotating: bool = False
    in_use: tuple[str, ...] = ()
    """What uses it now: it is never taken, whoever says so."""
    left_over: tuple[str, ...] = ()
    """What somebody may want back: it is only taken if that is said."""

    def __str__(self) -> str:
        kind = "disk" if self.is_rotating else "SSD"
        holds = "; ".join(self.in_use + self.left_over) or "blank"
        return f"{self.path}: {self.size_bytes / 1e9:.0f} GB {kind} {self.model} {self.serial}".rstrip() + f": {holds}"


def read(listed: str, names: Mapping[str, str], blank: Mapping[str, bool]) -> list[Disk]:
    """The disks in what lsblk printed as JSON; ``names`` and ``blank`` are by kernel device (/dev/sda).

    A disk that ``blank`` does not know is taken as not blank.
    """
    entries: Sequence[Mapping[str, Any]] = json.loads(listed)["blockdevices"]  # Any: lsblk's numbers, texts and lists
    return [_disk(e, names, blank) for e in entries if e["type"] == "disk" and e["size"] and not _is_memory(e)]


def _is_memory(entry: Mapping[str, Any]) -> bool:
    return str(entry["kname"]).rpartition("/")[2].startswith(("zram", "ram"))


def _disk(entry: Mapping[str, Any], names: Mapping[str, str], blank: Mapping[str, bool]) -> Disk:
    in_use = [f"{part['kname']} is mounted at {where}" for part, where in _mounts(entry)]
    if entry["ro"]:
        in_use.append("it cannot be written")
    if entry["rm"]:
        in_use.append("it can be pulled out")
    for below in _below(entry):
        if below["type"] not in ("part", "disk"):
            in_use.append(f"{below['kname']} ({below['type']}) is made of it")
    left_over = [f"partition {child['kname']}" for child in entry.get("children", ())]
    left_over += [f"{part['fstype']} on {part['kname']}" for part in _all_of(entry) if part.get("fstype")]
    if entry.get("pttype") and not left_over:
        left_over.append(f"partition table {entry['pttype']}")
    device = str(entry["path"])
    if not left_over and not blank.get(device, False):
        left_over.append("bytes that are not zero")
    return Disk(
        names.get(device, device),
        int(entry["size"]),
        str(entry["model"] or "").strip(),
        str(entry["serial"] or "").strip(),
        bool(entry["rota"]),
        tuple(in_use),
        tuple(left_over),
    )


def _below(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for child in entry.get("children", ()):
        yield child
        yield from _below(child)


def _all_of(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield entry
    yield from _below(entry)


def _mounts(entry: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    for part in _all_of(entry):
        for where in part.get("mountpoints") or ():
            if where:
                yield part, where


def found_here() -> list[Disk]:
    """The disks of this machine; both ends of each are read. Needs root."""
    listed = HERE.run("lsblk", "--json", "--bytes", "--output", _COLUMNS)
    devices = [str(e["path"]) for e in json.loads(listed)["blockdevices"] if e["type"] == "disk" and e["size"]]
    return read(listed, names_by_id(), {device: is_blank(Path(device)) for device in devices})


def names_by_id(folder: Path = _BY_ID) -> dict[str, str]:
    """The lasting name of each device, by its present one."""
    found: dict[str, str] = {}
    links = [link for link in folder.iterdir() if link.is_symlink()] if folder.is_dir() else []
    for link in sorted(links, key=lambda link: (_liking(link.name), link.name)):
        if "-part" not in link.name:
            found.setdefault(os.path.realpath(link), str(link))
    return found


def _liking(name: str) -> int:
    return next((n for n, prefix in enumerate(_LIKED_NAMES) if name.startswith(prefix)), len(_LIKED_NAMES))


def is_blank(device: Path) -> bool:
    """Whether both ends of the device, or all of a short one, are zero. Refusal where it cannot be read."""
    try:
        with device.open("rb") as opened:
            head = opened.read(_LOOKED_AT_BYTES)
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - _LOOKED_AT_BYTES))
            tail = opened.read(_LOOKED_AT_BYTES)
    except OSError as error:
        raise Refusal(f"{device} cannot be looked at: {error.strerror}", "run it as root") from error
    return not head.strip(b"\0") and not tail.strip(b"\0")


def chosen(disks: Sequence[Disk], wanted: Sequence[str], erase: Sequence[str]) -> list[Disk]:
    """The disks for a pool: those ``wanted`` by path, or all blank ones; ``erase`` are paths that may lose what they hold.

    Refusal naming each disk that may not be taken, and why.
    """
    by_path = {disk.path: disk for disk in disks}
    unknown = [path for path in (*wanted, *erase) if path not in by_path]
    if unknown:
        there = "; ".join(map(str, disks)) or "none"
        raise Refusal(f"{', '.join(unknown)}: no such disk", f"there are: {there}")
    paths = list(dict.fromkeys((*wanted, *erase))) or [d.path for d in disks if not d.in_use and not d.left_over]
    complaints = []
    for disk in (by_path[path] for path in paths):
        if disk.in_use:
            complaints.append(f"{disk.path} is in use: {'; '.join(disk.in_use)}")
        elif disk.left_over and disk.path not in erase:
            complaints.append(f"{disk.path} holds something: {'; '.join(disk.left_over)}")
    if complaints:
        raise Refusal("\n".join(complaints), "choose others, or say --erase PATH for what nobody wants back")
    return [by_path[path] for path in paths]


def clearing(disks: Sequence[Disk]) -> list[tuple[str, ...]]:
    """The commands after which those that may be erased are blank to whoever looks for partitions.

    Old partitions keep their names until udev has seen the new ones; zpool takes the old name for the new one, and fails when
    it goes. wipefs refuses what is mounted or part of a pool in use.
    """
    used = [disk.path for disk in disks if disk.left_over]
    return [("wipefs", "--quiet", "--all", *used), ("udevadm", "settle")] if used else []
