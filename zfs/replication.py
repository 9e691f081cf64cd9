"""The newest snapshot to another pool or box, believed only when every file on both sides has the same hash.

Raw encrypted streams have lost data in the field (openzfs/zfs#18739 and its kin), so the stream is not raw: it is decrypted
here, goes to another box by ssh, and is encrypted again there under that pool's own key, which must be loaded to take it and to
compare. What was compared is marked on the copy (``VERIFIED``); only such a snapshot is built upon, and the source keeps it by a
hold until the next. A copy that was not compared, or not equal, is removed by the next run and sent again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from zfs import manifests, names, snapshots
from zfs.manifests import Comparison, Entry
from zfs.names import Place
from zfs.running import HERE, CommandFailed, Machine, Refusal, pipe

VERIFIED = "org.appliance:verified"
"""Property of a snapshot of a copy: the SHA-256 of the manifest that was found on both sides."""
COPY = "org.appliance:copy"
"""Property of a data set that was made by copying, and may be made anew; nothing else on the target is ever touched."""
_PROGRAM = "appliance-zfs"


@dataclass(frozen=True)
class Copy:
    """A snapshot that the target has of one data set."""

    name: str
    """The part after @."""
    is_verified: bool


@dataclass(frozen=True)
class Plan:
    """What carries one data set over."""

    newest: str
    base: str | None
    """What the stream builds upon; None sends everything."""
    to_remove: tuple[str, ...]
    """Of the target: what came after the base and was never compared."""
    is_sent: bool
    """Whether the newest is there already; where it is not verified either, ``to_remove`` has it and it is sent again."""


@dataclass(frozen=True)
class Outcome:
    """What became of one data set."""

    data_set: str
    snapshot: str
    base: str | None
    comparison: Comparison | None
    """None where the newest was there and compared before."""

    @property
    def is_well(self) -> bool:
        return self.comparison is None or self.comparison.is_equal


def plan(source: Sequence[str], target: Sequence[Copy]) -> Plan:
    """What to do so that ``target`` has the newest of ``source``, verified; both are oldest first, and only of ours.

    Refusal where the newest verified snapshot of the target is not on the source any more: nothing can be built upon it, and
    nothing that was a backup is removed to build upon another.
    """
    newest = source[-1]
    base = next((copy.name for copy in reversed(target) if copy.is_verified), None)
    if base is not None and base not in source:
        raise Refusal(f"the copy ends with {base}, which this pool has no more", "copy to another place")
    all_there = [copy.name for copy in target]
    later = all_there[all_there.index(base) + 1 :] if base else all_there
    return Plan(newest, base, tuple(later), is_sent=base == newest)


def read_copies(told: str) -> list[Copy]:
    """Ours in what ``zfs list -H -o name,VERIFIED`` printed, oldest first."""
    found = []
    for line in told.splitlines():
        name, verified = line.split("\t")
        ours = name.partition("@")[2]
        if names.taken_at(ours):
            found.append(Copy(ours, verified != "-"))
    return found


def replicate(records: str, children: Sequence[str], to: Place, *, reads_all: bool = False) -> list[Outcome]:
    """The newest snapshot of ``children`` of ``records`` is below ``to``, and was compared; what became of each.

    ``reads_all`` reads every file on both sides, not only those that came since the last comparison.
    """
    target = Machine(to.host)
    _refuse_open(to.data_set, target)
    taken = [snapshot.name for snapshot in snapshots.there(records)]
    if not taken:
        raise Refusal(f"there is no snapshot of {records}", "`appliance-zfs snapshot` takes one")
    tag = f"copied-to:{to}"
    _hold(records, taken[-1], tag)
    outcomes = [
        _carry(f"{records}/{child}", taken, Place(f"{to.data_set}/{child}", to.host), reads_all) for child in children
    ]
    if all(outcome.is_well for outcome in outcomes):
        _release(records, taken[:-1], tag)
    return outcomes


def _carry(source: str, taken: Sequence[str], to: Place, reads_all: bool) -> Outcome:
    target = Machine(to.host)
    is_there = _exists(to.data_set, target)
    if is_there and target.run("zfs", "get", "-H", "-o", "value", COPY, to.data_set).strip() != "yes":
        raise Refusal(f"{to} is there and is no copy: nothing of it is changed", "name another place")
    to_do = plan(taken, copies(to.data_set, target) if is_there else [])
    if to_do.is_sent:
        return Outcome(source, to_do.newest, to_do.base, None)
    if to_do.base is None and is_there:
        # nothing of it was ever found equal: it is what an interrupted or failed first copy left
        target.run("zfs", "destroy", "-r", to.data_set)
    else:
        for name in to_do.to_remove:
            target.run("zfs", "destroy", f"{to.data_set}@{name}")
    pipe(*_stream(source, to_do, to))
    comparison = compare(source, to, to_do.newest, None if reads_all else to_do.base)
    if comparison.is_equal:
        target.run("zfs", "set", f"{VERIFIED}={comparison.digest}", f"{to.data_set}@{to_do.newest}")
        snapshots.prune(to.data_set, datetime.now(UTC), target)  # what was deleted is not to live on in a copy
    return Outcome(source, to_do.newest, to_do.base, comparison)


def _stream(source: str, to_do: Plan, to: Place) -> tuple[list[str], Machine, list[str]]:
    """The sender, where the stream goes, and the receiver. ``-L`` because records are of 1 MiB; never ``-w``."""
    since = ["-i", f"@{to_do.base}"] if to_do.base else []
    first = (f"{COPY}=yes", "canmount=noauto", "readonly=on", "mountpoint=none")
    options = [] if to_do.base else [word for pair in first for word in ("-o", pair)]
    return (
        ["zfs", "send", "-L", *since, f"{source}@{to_do.newest}"],
        Machine(to.host),
        ["zfs", "receive", "-u", *options, to.data_set],
    )


def compare(source: str, to: Place, newest: str, base: str | None) -> Comparison:
    """All files of the snapshot on both sides; those as in ``base`` on both are not read."""
    with ExitStack() as stack:
        ours = stack.enter_context(entries(source, newest, base))
        if to.host is None:
            theirs: Iterable[Entry] = stack.enter_context(entries(to.data_set, newest, base))
        else:
            since = ["--since", base] if base else []
            command = [_PROGRAM, "manifest", *since, f"{to.data_set}@{newest}"]
            theirs = manifests.read_lines(stack.enter_context(Machine(to.host).lines(*command)))
        return manifests.compare(ours, theirs)


@contextmanager
def entries(data_set: str, newest: str, base: str | None) -> Iterator[Iterator[Entry]]:
    """What is in the snapshot, read while it is mounted here. Needs root, and the key."""
    with ExitStack() as stack:
        root = stack.enter_context(_mounted(f"{data_set}@{newest}"))
        before = stack.enter_context(_mounted(f"{data_set}@{base}")) if base else None
        yield manifests.walk(root, before)


@contextmanager
def _mounted(snapshot: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="appliance-snapshot-") as folder:
        HERE.run("mount", "-t", "zfs", "-o", "ro,nodev,nosuid,noexec", snapshot, folder)
        try:
            yield Path(folder)
        finally:
            HERE.run("umount", folder)


def _refuse_open(data_set: str, machine: Machine) -> None:
    """A copy is as secret as what it is a copy of, and can only be compared where it can be read."""
    told = machine.run("zfs", "get", "-H", "-o", "value", "encryption,keystatus", data_set).split()
    if told[0] == "off":
        raise Refusal(
            f"{data_set} is not encrypted: whoever has its disks could read the copy",
            "make it by `appliance-zfs create`",
        )
    if told[1] != "available":
        raise Refusal(f"{data_set} is locked: nothing can be taken or compared", "load its key first")


def _exists(data_set: str, machine: Machine) -> bool:
    try:
        machine.run("zfs", "list", "-H", "-o", "name", data_set)
    except CommandFailed as failed:
        if "does not exist" in failed.said:
            return False
        raise
    return True


def copies(data_set: str, machine: Machine) -> list[Copy]:
    """What is there of ours, oldest first."""
    told = machine.run(
        "zfs", "list", "-H", "-t", "snapshot", "-d", "1", "-s", "createtxg", "-o", f"name,{VERIFIED}", data_set
    )
    return read_copies(told)


def _hold(records: str, name: str, tag: str) -> None:
    """It stays while it is carried over, and afterwards, since the next copy builds upon it."""
    if not _held(records, [name], tag):
        HERE.run("zfs", "hold", "-r", tag, f"{records}@{name}")


def _release(records: str, former: Sequence[str], tag: str) -> None:
    """Nothing builds upon these any more."""
    for snapshot in _held(records, former, tag):
        HERE.run("zfs", "release", "-r", tag, snapshot)


def _held(records: str, taken: Sequence[str], tag: str) -> list[str]:
    wanted = [f"{records}@{name}" for name in taken]
    held = read_holds(HERE.run("zfs", "holds", "-H", *wanted), tag) if wanted else set()
    return [snapshot for snapshot in wanted if snapshot in held]


def read_holds(told: str, tag: str) -> set[str]:
    """Snapshots that are held by ``tag``, in what ``zfs holds -H`` printed: name, tag and time, divided by tabs."""
    rows = (line.split("\t") for line in told.splitlines())
    return {name for name, held_by, *_ in rows if held_by == tag}


def as_json(outcomes: Sequence[Outcome]) -> str:
    """One object: whether all is well, and each data set."""
    each: list[Mapping[str, object]] = [asdict(outcome) | {"is_well": outcome.is_well} for outcome in outcomes]
    return json.dumps({"is_well": all(outcome.is_well for outcome in outcomes), "data_sets": each})


def summary(outcomes: Sequence[Outcome], to: Place, now: datetime) -> str:
    """The same for the health page, as one object: no file is named, and times are RFC 3339."""
    files = sum(outcome.comparison.files for outcome in outcomes if outcome.comparison)
    differences = sum(outcome.comparison.differences for outcome in outcomes if outcome.comparison)
    return json.dumps(
        {
            "to": str(to), "snapshot": outcomes[0].snapshot, "ended": now.isoformat(), "files": files,
            "differences": differences, "is_well": all(outcome.is_well for outcome in outcomes),
        }
    )  # fmt: skip
