"""From disks to the layout. What is there is looked at, what is missing is planned, done, and looked for again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from zfs.disks import Disk, clearing
from zfs.layout import KEEPER, OURS, DataSet, Layout, Property
from zfs.running import HERE, Machine, Refusal

_UNEQUAL = 0.9
"""A mirror or RAID is as large as its smallest disk; one below this part of the largest is surely a mistake."""
_TOLD_AS = {("xattr", "on"): "sa"}
"""What OpenZFS 2.3 calls by another name than the one that it was set by: attributes as a folder are `dir` there, never `on`."""
_SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Step:
    """A command, and why."""

    command: tuple[str, ...]
    why: str
    needs_key: bool = False
    """Whether it reads the key from its standard input."""


@dataclass(frozen=True)
class Seen:
    """What there is of a pool; values are as ``zfs get -p`` prints them."""

    has_pool: bool = False
    pool_properties: Mapping[str, str] = field(default_factory=dict)
    data_sets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    permissions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Of ``KEEPER``, for each data set."""


def arrangement(disks: Sequence[Disk]) -> list[str]:
    """The words by which ``zpool create`` puts these disks together, so that any one may fail, and of five or more any two.

    Two or three are mirrored, four are two mirrors; from five on raidz2. Refusal where that cannot be.
    """
    if len(disks) < 2:
        raise Refusal(
            f"{len(disks)} disk: what is on it would be lost with it", "build in another; a pool needs two at least"
        )
    smallest, largest = min(d.size_bytes for d in disks), max(d.size_bytes for d in disks)
    if smallest < _UNEQUAL * largest:
        raise Refusal(
            f"the disks have between {smallest / 1e9:.0f} and {largest / 1e9:.0f} GB: what the larger have more would be lost",
            "name those that belong together",
        )
    paths = [disk.path for disk in disks]
    if len(paths) <= 3:
        return ["mirror", *paths]
    if len(paths) == 4:
        return ["mirror", *paths[:2], "mirror", *paths[2:]]
    if len(paths) <= 10:
        return ["raidz2", *paths]
    raise Refusal(f"{len(paths)} disks are more than one RAID is good for", "name at most ten")


def plan(layout: Layout, seen: Seen, disks: Sequence[Disk] = ()) -> list[Step]:
    """What is to be done so that ``layout`` is there; empty where it is. Refusal for what cannot be changed any more."""
    if seen.has_pool and seen.data_sets.get(layout.pool, {}).get(OURS) != "yes":
        raise Refusal(
            f"there is a pool {layout.pool} that was not made here: nothing of it is changed",
            f"where it is meant to be ours: zfs set {OURS}=yes {layout.pool}",
        )
    complaints = [*_fixed("pool", layout.pool, layout.pool_properties, seen.pool_properties)]
    for data_set in layout.data_sets:
        if data_set.name in seen.data_sets:
            complaints += _fixed("data set", data_set.name, data_set.properties, seen.data_sets[data_set.name])
    if complaints:
        raise Refusal("\n".join(complaints), "copy to a pool that is made anew (docs/box.md)")
    steps = [] if seen.has_pool else [*_clear(disks), _create_pool(layout, disks)]
    if seen.has_pool:
        steps += [
            Step(("zpool", "set", f"{p.name}={p.value}", layout.pool), p.reason)
            for p in layout.pool_properties
            if not _is_so(p, seen.pool_properties)
        ]
        steps += _settings(layout.pool, layout.dataset_root, seen.data_sets.get(layout.pool, {}))
    for data_set in layout.data_sets:
        found = seen.data_sets.get(data_set.name)
        wanted = _with_mountpoint(data_set)
        steps += [_create(data_set, wanted)] if found is None else _settings(data_set.name, wanted, found)
        if missing := set(data_set.permissions) - seen.permissions.get(data_set.name, frozenset()):
            steps.append(
                Step(
                    ("zfs", "allow", "-u", KEEPER, ",".join(sorted(missing)), data_set.name),
                    "services that are not root look after it",
                )
            )
    return steps


def _clear(disks: Sequence[Disk]) -> list[Step]:
    return [Step(command, "what these disks hold may be erased") for command in clearing(disks)]


def _create_pool(layout: Layout, disks: Sequence[Disk]) -> Step:
    options = [word for p in layout.pool_properties for word in ("-o", f"{p.name}={p.value}")]
    options += [word for p in layout.dataset_root for word in ("-O", f"{p.name}={p.value}")]
    # zpool looks for leftovers itself, once more; it is overruled only for a disk that may be erased
    force = ["-f"] if any(disk.left_over for disk in disks) else []
    return Step(("zpool", "create", *force, *options, layout.pool, *arrangement(disks)), "there is no pool")


def _create(data_set: DataSet, wanted: Sequence[Property]) -> Step:
    options = [word for p in wanted for word in ("-o", f"{p.name}={p.value}")]
    is_root = any(p.name == "keyformat" for p in wanted)
    return Step(("zfs", "create", "-u", *options, data_set.name), data_set.reason, needs_key=is_root)


def _settings(name: str, wanted: Sequence[Property], found: Mapping[str, str]) -> list[Step]:
    return [Step(("zfs", "set", f"{p.name}={p.value}", name), p.reason) for p in wanted if not _is_so(p, found)]


def _with_mountpoint(data_set: DataSet) -> tuple[Property, ...]:
    if data_set.mountpoint is None:
        return data_set.properties
    return (*data_set.properties, Property("mountpoint", data_set.mountpoint, "where its mount unit mounts it"))


def _fixed(kind: str, name: str, wanted: Sequence[Property], found: Mapping[str, str]) -> list[str]:
    return [
        f"{kind} {name}: {p.name} is {found[p.name]} and should be {p.value}, which only its creation decides"
        for p in wanted
        if p.is_fixed and p.name in found and not _is_so(p, found)
    ]


def _is_so(wanted: Property, found: Mapping[str, str]) -> bool:
    told = found.get(wanted.name)
    return told is not None and _plain(_TOLD_AS.get((wanted.name, told), told)) == _plain(wanted.value)


def _plain(value: str) -> str:
    """A size as ``zfs get -p`` has it, in bytes; anything else as it is."""
    size = re.fullmatch(r"(\d+)([KMGT])", value)
    return str(int(size[1]) * _SIZES[size[2]]) if size else value


# What there is


def look(layout: Layout, machine: Machine = HERE) -> Seen:
    """What there is of ``layout`` on the machine."""
    if layout.pool not in machine.run("zpool", "list", "-H", "-o", "name").split():
        return Seen()
    names = ",".join(p.name for p in layout.pool_properties)
    pool = read_properties(machine.run("zpool", "get", "-H", "-p", "-o", "name,property,value", names, layout.pool))
    # canmount and mountpoint of the data sets are asked for with the rest
    asked = {p.name for ds in layout.data_sets for p in ds.properties} | {p.name for p in layout.dataset_root}
    told = machine.run(
        "zfs", "get", "-H", "-p", "-r", "-t", "filesystem", "-o", "name,property,value",
        ",".join(sorted(asked | {"mountpoint"})), layout.pool,
    )  # fmt: skip
    data_sets = read_properties(told)
    permissions = {
        ds.name: read_permissions(machine.run("zfs", "allow", ds.name), ds.name, KEEPER)
        for ds in layout.data_sets
        if ds.permissions and ds.name in data_sets
    }
    return Seen(True, pool.get(layout.pool, {}), data_sets, permissions)


def read_properties(told: str) -> dict[str, dict[str, str]]:
    """Name → property → value, of lines of name, property and value divided by tabs."""
    found: dict[str, dict[str, str]] = {}
    for line in told.splitlines():
        name, property_name, value = line.split("\t")
        found.setdefault(name, {})[property_name] = value
    return found


def read_permissions(told: str, data_set: str, account: str) -> frozenset[str]:
    """What ``zfs allow`` prints of the account on this data set itself, without what it inherits."""
    found: set[str] = set()
    is_here = False
    for line in told.splitlines():
        if line.startswith("----"):
            is_here = line.split()[1:4] == ["Permissions", "on", data_set]
        words = line.split()
        if is_here and words[:2] == ["user", account] and len(words) == 3:
            found.update(words[2].split(","))
    return frozenset(found)


def carry_out(
    steps: Sequence[Step], key: str | None, machine: Machine = HERE, keep: Callable[[], None] = lambda: None
) -> None:
    """All steps, one after the other; ``key`` is what those get that need one. Raises CommandFailed at the first that fails.

    ``keep`` is called as soon as the key is in force: whatever fails later, it is kept.
    """
    for step in steps:
        if step.needs_key and key is None:
            raise Refusal(f"{step.command[-1]} needs a key", "say where it comes from: --key-from, or --sheet")
        machine.run(*step.command, given=f"{key}\n".encode() if step.needs_key and key else b"")
        if step.needs_key:
            keep()


def create(
    layout: Layout,
    disks: Sequence[Disk],
    key: str | None,
    machine: Machine = HERE,
    keep: Callable[[], None] = lambda: None,
) -> list[Step]:
    """The layout is there; what was done for it. Refusal where something is still missing afterwards.

    ``keep`` is called as soon as the key is in force.
    """
    steps = plan(layout, look(layout, machine), disks)
    carry_out(steps, key, machine, keep)
    if still := plan(layout, look(layout, machine)) if steps else []:
        raise Refusal("after all steps ended well these are still missing: " + "; ".join(map(_in_words, still)))
    return steps


def _in_words(step: Step) -> str:
    return f"{' '.join(step.command)} ({step.why})"
