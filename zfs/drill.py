"""The restore, practised: a copy is received into a scratch data set, laid over the real one, and read by the appliance.

What is practised is what would be done: the newest copy that was found equal (or, from this pool itself, the newest snapshot)
is sent back and mounted where the appliance has its data, in a mount name space that nobody else sees; ``appliance verify``
then opens its databases and reads every instance by them. The box goes on working meanwhile. The scratch data set goes in the
end.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from zfs import names, replication, snapshots
from zfs.layout import RECORDS, ROOT
from zfs.names import Place
from zfs.running import HERE, CommandFailed, Machine, Refusal, pipe

SCRATCH = f"{ROOT}/drill"
MARK = "org.appliance:drill"
"""Property of the scratch data set: without it nothing of that name is ever removed."""
_ROOM = 1.2
"""So many times the size of the copy must be free, so that a drill never fills the pool."""


@dataclass(frozen=True)
class Drill:
    """What came of it."""

    came_from: str
    snapshot: str
    began: datetime
    ended: datetime
    instances: int
    bytes_read: int
    faults: int
    unindexed: int
    """Instances that are whole and that no row of the database refers to: they came in while the snapshot was taken, and were not
    acknowledged. The server indexes them when it starts."""

    @property
    def is_well(self) -> bool:
        return self.faults == 0

    def as_json(self) -> str:
        """One object; times as RFC 3339."""
        return json.dumps(asdict(self) | {"is_well": self.is_well}, default=lambda moment: moment.isoformat())


def practise(origin: Place, places: Mapping[str, str], check: Sequence[str]) -> Drill:
    """``places`` says where each child of the records is mounted; ``check`` prints what ``appliance verify --json`` prints.

    Needs root, the key, and a mount name space of its own. Refusal where there is nothing to restore, or no room for it.
    """
    began = datetime.now(UTC)
    source = Machine(origin.host)
    snapshot = _newest(origin, list(places), source)
    _refuse_little_room([f"{origin.data_set}/{child}@{snapshot}" for child in places], source)
    with _scratch(), ExitStack() as mounts:
        for child in places:
            send = source.command(["zfs", "send", "-L", f"{origin.data_set}/{child}@{snapshot}"])
            receive = ["zfs", "receive", "-u", "-o", "mountpoint=legacy", "-o", "canmount=noauto", f"{SCRATCH}/{child}"]
            pipe(send, HERE, receive)
        for child, place in places.items():
            mounts.enter_context(_mounted(f"{SCRATCH}/{child}", place))
        told = _checked(check)
    unindexed = sum(_is_whole_orphan(fault) for fault in told["faults"])
    return Drill(
        str(origin), snapshot, began, datetime.now(UTC),
        instances=int(told["instances"]), bytes_read=int(told["bytes_read"]),
        faults=len(told["faults"]) - unindexed, unindexed=unindexed,
    )  # fmt: skip


def _is_whole_orphan(fault: Mapping[str, Any]) -> bool:
    """Of ``appliance verify --json``: only an orphan whose bytes are those that its name says has a key."""
    return bool(fault["kind"] == "orphaned" and fault["key"])


def _newest(origin: Place, children: Sequence[str], source: Machine) -> str:
    """The newest snapshot that all children have, and, of a copy, that was found equal."""
    if origin == Place(RECORDS):
        found = [{s.name for s in snapshots.there(f"{origin.data_set}/{child}", source)} for child in children]
    else:
        found = [
            {c.name for c in replication.copies(f"{origin.data_set}/{child}", source) if c.is_verified}
            for child in children
        ]
    whole = set.intersection(*found)
    if not whole:
        raise Refusal(
            f"{origin} has no snapshot of all of {', '.join(children)} that was found equal", "make a backup first"
        )
    return max(whole, key=lambda name: names.taken_at(name) or datetime.min.replace(tzinfo=UTC))


def _refuse_little_room(wanted: Sequence[str], source: Machine) -> None:
    told = source.run("zfs", "list", "-H", "-p", "-t", "snapshot", "-o", "logicalreferenced", *wanted)
    size = sum(int(line) for line in told.split())
    free = int(HERE.run("zfs", "list", "-H", "-p", "-o", "available", ROOT))
    if free < _ROOM * size:
        raise Refusal(
            f"{size / 1e9:.1f} GB would be restored, and {free / 1e9:.1f} GB are free", "restore on another box"
        )


@contextmanager
def _scratch() -> Iterator[None]:
    """Made, and gone afterwards; one that a drill before left is gone first."""
    _remove()
    HERE.run("zfs", "create", "-u", "-o", f"{MARK}=yes", "-o", "canmount=off", "-o", "mountpoint=none", SCRATCH)
    try:
        yield
    finally:
        _remove()


def _remove() -> None:
    try:
        mark = HERE.run("zfs", "get", "-H", "-o", "value", MARK, SCRATCH).strip()
    except CommandFailed as failed:
        if "does not exist" in failed.said:
            return
        raise
    if mark != "yes":
        raise Refusal(
            f"{SCRATCH} is there and was not made by a drill: nothing of it is changed",
            f"rename it: zfs rename {SCRATCH} …",
        )
    HERE.run("zfs", "destroy", "-r", SCRATCH)


@contextmanager
def _mounted(data_set: str, place: str) -> Iterator[None]:
    HERE.run("mount", "-t", "zfs", "-o", "nodev,nosuid,noexec", data_set, place)
    try:
        yield
    finally:
        HERE.run("umount", place)


def _checked(check: Sequence[str]) -> Mapping[str, Any]:  # Any: what JSON holds
    """What the appliance found; status 1 means that it found faults, which are in what it prints."""
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    try:
        told: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise CommandFailed(check, done.returncode, done.stderr) from error
    return told
