"""How the pool is, and what somebody should look at."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.zfs.pool_states import NOW, TB, disk, printed, scan
from zfs import names, status
from zfs.layout import BOX, RECORDS, ROOT
from zfs.running import Refusal
from zfs.snapshots import Snapshot
from zfs.status import Status, read

UNLOCKED = {
    ds.name: {"used": "5", "available": "7", "mounted": "yes" if ds.mountpoint else "no", "keystatus": "available"}
    for ds in BOX.data_sets
}
LOCKED = {name: {**found, "mounted": "no", "keystatus": "unavailable"} for name, found in UNLOCKED.items()}
AN_HOUR_AGO = [Snapshot(names.snapshot(NOW - timedelta(hours=1)), NOW - timedelta(hours=1))]


def seen(*disks: dict[str, Any], data_sets: Any = UNLOCKED, taken: Any = AN_HOUR_AGO, **pool: Any) -> Status:
    pool.setdefault("scanned", scan())
    return read(printed(*(disks or (disk("a"), disk("b"))), **pool), BOX, data_sets, taken, NOW)


def test_a_pool_that_is_well_has_no_problems() -> None:
    found = seen()

    assert found.problems == []
    assert (found.state, found.allocated_bytes, found.size_bytes) == ("ONLINE", TB, 4 * TB)
    assert [disk.name for disk in found.disks] == ["a", "b"]
    assert {ds.name for ds in found.data_sets} == {
        f"{RECORDS}/database",
        f"{RECORDS}/instances",
        f"{ROOT}/render-cache",
    }


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (seen(damaged=2), "2 files are damaged"),
        (seen(disk("a"), disk("b", "FAULTED"), state="DEGRADED"), "the pool is DEGRADED"),
        (seen(disk("a"), disk("b", "FAULTED"), state="DEGRADED"), "disk b is FAULTED"),
        (seen(disk("a"), disk("b", checksum_errors=45)), "disk b is ONLINE, 0 read, 0 write, 45 checksum errors"),
        (seen(data_sets=LOCKED), "the pool is locked"),
        (seen(allocated=35 * TB // 10), "the pool is 87 % full"),
        (seen(data_sets={**UNLOCKED, f"{RECORDS}/instances": LOCKED[f"{RECORDS}/instances"] | {"keystatus": "available"}}),
         f"{RECORDS}/instances is not mounted"),
        (seen(scanned=None), "no scrub has ended for 45 days"),
        (seen(scanned=scan(ended=NOW - timedelta(days=46))), "no scrub has ended for 45 days"),
        (seen(scanned=scan(state="CANCELED", ended=NOW - timedelta(days=46))), "no scrub has ended for 45 days"),
        (seen(taken=[]), "there is no snapshot of the last three hours"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_not_well_is_said(found: Status, problem: str) -> None:
    assert any(said.startswith(problem) for said in found.problems), found.problems


def test_of_a_locked_pool_only_that_is_said() -> None:
    assert seen(data_sets=LOCKED, taken=[]).problems == ["the pool is locked: its key is not loaded"]


def test_a_scrub_that_runs_is_no_problem() -> None:
    found = seen(scanned=scan(state="SCANNING", ended=NOW - timedelta(days=99)))

    assert found.scan is not None
    assert found.scan.ended is None
    assert found.problems == []


def test_data_that_is_lost_is_said_first() -> None:
    assert seen(damaged=1, data_sets=LOCKED, state="DEGRADED").problems[0].startswith("1 files are damaged")


def test_disks_of_every_class_are_seen() -> None:
    told = json.loads(printed(disk("a"), disk("b"), scanned=scan()))
    told["pools"]["tank"]["logs"] = {"log": disk("log")}
    told["pools"]["tank"]["spares"] = {"spare": disk("spare", "AVAIL")}

    found = read(json.dumps(told), BOX, UNLOCKED, AN_HOUR_AGO, NOW)

    assert [disk.name for disk in found.disks] == ["a", "b", "log", "spare"]
    assert found.problems == [], "a spare that waits is well"


def test_it_is_json_that_others_can_read(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    status.write(seen(disk("a"), disk("b", "REMOVED"), state="DEGRADED").as_json(), file)

    told = json.loads(file.read_text())
    assert told["problems"] == ["the pool is DEGRADED", "disk b is REMOVED, 0 read, 0 write, 0 checksum errors"]
    assert told["newest_snapshot"] == "2026-03-29T11:00:00+00:00"
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("told", ["", "{}", '{"pools": {}}', '{"pools": {"other": {}}}'])
def test_what_is_not_understood_is_refused(told: str) -> None:
    with pytest.raises(Refusal, match="told nothing of tank"):
        read(told, BOX, {}, [], NOW)


def test_two_looks_at_the_same_pool_are_equal() -> None:
    assert seen() == replace(seen())


RECORDED = Path(__file__).parent / "recorded"
"""What `zpool status -j --json-int -p` of OpenZFS 2.3.9 printed on the machine of the machine tests."""


def test_what_openzfs_really_prints_of_a_new_pool_is_understood() -> None:
    found = read((RECORDED / "new-mirror.json").read_text(), BOX, UNLOCKED, AN_HOUR_AGO, NOW)

    assert (found.state, found.size_bytes, found.allocated_bytes) == ("ONLINE", 2013265920, 1757184)
    assert [(d.name, d.state, d.path) for d in found.disks] == [
        (f"virtio-disk{n}", "ONLINE", f"/dev/disk/by-id/virtio-disk{n}-part1") for n in range(3)
    ]
    assert found.problems == ["no scrub has ended for 45 days"]


def test_what_openzfs_really_prints_of_a_scrub_that_has_ended_is_understood() -> None:
    told = (RECORDED / "scrubbed-mirror.json").read_text()
    ended = datetime(2026, 11, 23, 1, 6, tzinfo=UTC)

    found = read(told, BOX, UNLOCKED, AN_HOUR_AGO, ended)

    assert found.scan is not None
    assert (found.scan.function, found.scan.state, found.scan.errors) == ("SCRUB", "FINISHED", 0)
    assert found.scan.ended is not None
    assert abs(found.scan.ended - ended) < timedelta(minutes=5)
    assert "no scrub has ended for 45 days" not in found.problems
