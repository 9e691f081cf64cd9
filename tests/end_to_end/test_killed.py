"""A server that is killed with SIGKILL, again and again, while instances come in.

What was acknowledged is there after every restart, bit for bit; what was not is complete or absent; nothing is half there.
The whole process group goes, or now and then only a helper, over which the server must neither fall nor refuse good files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest

from appliance.storage.instances import InstanceStore, StoreSettings, open_store
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one
from tests.services.node_parts import ct_slice, encoded

_SENDERS = 3
_SEED = 20261122


@dataclass
class Load:
    """Some senders that upload instances, each another, as fast as they are answered, and remember what was acknowledged."""

    appliance: RunningAppliance
    token: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    """SHA-256 by SOP Instance UID."""
    unanswered: dict[str, str] = field(default_factory=dict)
    """The same of what was sent and never answered."""
    refused: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**9)))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._stop.clear()
        senders = [threading.Thread(target=self._send) for _ in range(_SENDERS)]
        for sender in senders:
            sender.start()
        try:
            yield
        finally:
            self._stop.set()
            for sender in senders:
                sender.join()

    def _send(self) -> None:
        with self.appliance.client() as client:
            while not self._stop.is_set():
                with self._lock:
                    number = next(self._numbers)
                uid, data = instance(number)
                key = hashlib.sha256(data).hexdigest()
                self.unanswered[uid] = key
                try:
                    answer = client.post(
                        "/api/uploads",
                        content=data,
                        headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/dicom"},
                    )
                except httpx.HTTPError:
                    self._stop.wait(0.05)
                    continue
                if answer.status_code == 201:
                    self.acknowledged[uid] = self.unanswered.pop(uid)
                else:
                    self.refused.append(answer.text)


def instance(number: int) -> tuple[str, bytes]:
    """A slice of 8 kB to 2 MB of noise; twenty make a series."""
    side = (64, 128, 256, 1024)[number % 4]
    ds = ct_slice(number, study=f"1.2.3.{number // 100}", series=f"1.2.3.{number // 100}.{number // 20}")
    ds.Rows = ds.Columns = side
    ds.PixelData = np.random.default_rng(number).integers(0, 4096, (side, side), "<u2").tobytes()
    return str(ds.SOPInstanceUID), encoded(ds)


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[RunningAppliance]:
    appliance = all_in_one(tmp_path)
    appliance.own_group = True
    appliance.settings["roles"].remove("web")
    appliance.settings["toplevel"]["access_token_s"] = 24 * 3600
    appliance.create_account()
    try:
        yield appliance
    finally:
        kill_group(appliance)


def kill_group(appliance: RunningAppliance) -> None:
    if appliance.process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(appliance.process.pid, signal.SIGKILL)
        appliance.process.wait()


def kill_a_helper(appliance: RunningAppliance, chance: random.Random) -> None:
    """One of the processes that the server started, parsers and render processes."""
    assert appliance.process is not None
    pid = appliance.process.pid
    helpers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(chance.choice(helpers)), signal.SIGKILL)


def wait_for_reconciliation(appliance: RunningAppliance) -> dict[str, float]:
    """The figures of the comparison of store and index, when it is done."""
    with appliance.client() as client:
        for _ in range(600):
            lines = client.get("/metrics").text.splitlines()
            figures = {
                line.partition('what="')[2].partition('"')[0]: float(line.rpartition(" ")[2])
                for line in lines
                if line.startswith("appliance_reconciliation{")
            }
            if figures.get("done") == 1:
                return figures
            time.sleep(0.05)
    raise AssertionError("store and index are not compared")


def store_of(appliance: RunningAppliance) -> InstanceStore:
    instances = appliance.settings["node"]["instances"]
    return open_store(
        StoreSettings(appliance.directory / instances["directory"], appliance.directory / instances["key"], 0)
    )


def held(appliance: RunningAppliance) -> dict[str, str]:
    """The key of each instance in the index; totals of series agree with the rows."""
    file = appliance.directory / appliance.settings["node"]["database"].removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        keys = dict(database.execute("SELECT instance_uid, key FROM instance").fetchall())
        counted = database.execute("SELECT study_uid, series_uid, instance_count FROM series").fetchall()
        rows = database.execute("SELECT study_uid, series_uid, count(*) FROM instance GROUP BY 1, 2").fetchall()
    assert sorted(counted) == sorted(rows)
    return keys


def check(appliance: RunningAppliance, load: Load, verified: set[str]) -> None:
    """All that was acknowledged is there, and all that is there is whole; bytes are read once each."""
    store, keys = store_of(appliance), held(appliance)
    lost = {uid for uid, key in load.acknowledged.items() if keys.get(uid) != key}
    assert not lost, f"{len(lost)} acknowledged instances are lost or changed"
    assert all(load.acknowledged.get(uid, load.unanswered.get(uid)) == key for uid, key in keys.items())
    for uid, key in keys.items():
        if uid not in verified:
            with store.open(key) as reader:
                assert hashlib.sha256(reader.read_all()).hexdigest() == key
            verified.add(uid)
    assert len([place for part in store.places() for place in part]) == len(keys)
    assert list(store.spool_directory.iterdir()) == []
    assert len(store.aside_places()) == 0


def survive(appliance: RunningAppliance, kills: int) -> None:
    chance = random.Random(_SEED)
    appliance.start()
    with appliance.client() as client:
        answer = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD})
    load = Load(appliance, answer.json()["access_token"])
    verified: set[str] = set()
    indexed_again = helpers_killed = 0
    for number in range(kills):
        with load.running():
            if number % 4 == 3:
                time.sleep(chance.uniform(0.1, 0.5))
                kill_a_helper(appliance, chance)
                helpers_killed += 1
            time.sleep(chance.uniform(0.05, 1.0))
            kill_group(appliance)
        appliance.start()
        indexed_again += int(wait_for_reconciliation(appliance)["indexed_again"])
        check(appliance, load, verified)
    print(
        f"{kills} kills of all processes, {helpers_killed} of a helper: {len(load.acknowledged)} instances acknowledged, "
        f"0 lost, 0 changed; {len(load.unanswered)} unanswered, of these {len(verified) - len(load.acknowledged)} kept whole; "
        f"{indexed_again} indexed again after a restart"
    )
    assert load.refused == []
    assert len(load.acknowledged) > kills


def test_nothing_acknowledged_is_lost_over_ten_kills(appliance: RunningAppliance) -> None:
    survive(appliance, kills=10)


@pytest.mark.long
def test_nothing_acknowledged_is_lost_over_a_thousand_kills(appliance: RunningAppliance) -> None:
    """Five seconds each; ``APPLIANCE_TEST_KILLS`` says another number."""
    survive(appliance, kills=int(os.environ.get("APPLIANCE_TEST_KILLS", "1000")))
