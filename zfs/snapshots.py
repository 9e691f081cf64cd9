"""One moment of databases and instances, every hour; and which of them go.

What somebody deletes is in the snapshots until the last one that saw it goes: thirty days, no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from zfs import names
from zfs.running import HERE, Machine


@dataclass(frozen=True)
class Rule:
    """One snapshot of each period is kept, the first, for so many of the newest periods that have any."""

    count: int
    period_of: Callable[[datetime], tuple[int, ...]]
    reason: str


SCHEDULE = (
    Rule(48, lambda t: (t.year, t.month, t.day, t.hour), "what was done by mistake yesterday is found today"),
    Rule(30, lambda t: (t.year, t.month, t.day), "what is missed after the holidays; a deletion is complete after it"),
)
OLDEST = timedelta(days=31)
"""Also where the clock stood still or nobody took any: nothing that was deleted outlives this."""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of ours."""

    name: str
    """The part after @."""
    taken: datetime
    is_held: bool = False
    """Whether something still builds on it: the next copy to another pool."""


def kept(taken: Collection[datetime], schedule: Sequence[Rule] = SCHEDULE) -> set[datetime]:
    """Those that stay of the ones that were taken: by each rule the first of a period, and always the newest of all."""
    stay = {max(taken)} if taken else set()
    for rule in schedule:
        first: dict[tuple[int, ...], datetime] = {}
        for moment in sorted(taken):
            first.setdefault(rule.period_of(moment.astimezone(UTC)), moment)
        stay.update(sorted(first.values())[-rule.count :])
    return stay


def to_remove(found: Sequence[Snapshot], now: datetime, schedule: Sequence[Rule] = SCHEDULE) -> list[Snapshot]:
    """Those that go, oldest first; none that is held, and never the newest."""
    stay = kept([snapshot.taken for snapshot in found], schedule)
    newest = max((snapshot.taken for snapshot in found), default=now)
    gone = [s for s in found if s.taken not in stay or (s.taken < now - OLDEST and s.taken != newest)]
    return sorted((s for s in gone if not s.is_held), key=lambda s: s.taken)


def read(told: str) -> list[Snapshot]:
    """Ours in what ``zfs list -H -p -o name,userrefs`` printed, oldest first; those of others are left alone."""
    found = []
    for line in told.splitlines():
        name, references = line.split("\t")
        ours = name.partition("@")[2]
        taken = names.taken_at(ours)
        if taken is not None:
            found.append(Snapshot(ours, taken, int(references) > 0))
    return sorted(found, key=lambda s: s.taken)


def there(data_set: str, machine: Machine = HERE) -> list[Snapshot]:
    """Ours of the data set itself, oldest first."""
    told = machine.run("zfs", "list", "-H", "-p", "-t", "snapshot", "-d", "1", "-o", "name,userrefs", data_set)
    return read(told)


def take(data_set: str, now: datetime, machine: Machine = HERE) -> Snapshot:
    """A snapshot of the data set and all below at one moment; the one that is there if this second has one."""
    name = names.snapshot(now)
    if name not in {s.name for s in there(data_set, machine)}:
        machine.run("zfs", "snapshot", "-r", f"{data_set}@{name}")
    return next(s for s in there(data_set, machine) if s.name == name)


def prune(data_set: str, now: datetime, machine: Machine = HERE) -> list[Snapshot]:
    """Those that were removed, of the data set and all below."""
    gone = to_remove(there(data_set, machine), now)
    for snapshot in gone:
        machine.run("zfs", "destroy", "-r", f"{names.data_set(data_set)}@{snapshot.name}")
    return gone
