"""A server that is killed with SIGKILL, again and again, while instances come in by all doors at once.

What was acknowledged is there after every restart, bit for bit; what was not is complete or absent; nothing is half there.
The whole process group goes, or now and then only a helper, over which the server must neither fall nor refuse good files.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import random
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest

from appliance.storage.instances import InstanceStore, StoreSettings, open_store
from appliance.storage.part10 import data_set_digest
from appliance.storage.stream import InMemory
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one, free_port
from tests.services.node_parts import ct_slice, encoded

_SEED = 20261122
_TITLE = "CT1"
_BATCH = 4
"""Instances of a request of STOW-RS, or of an association."""
_BOUNDARY = "kill"
_STOW_TYPE = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
_ACCEPTED, _FAILED = "00081199", "00081198"
_REFERENCED_UID = "00081155"
_NOISE = np.random.default_rng(_SEED).integers(0, 4096, 1024 * 1024 + 1000, "<u2")


@dataclass(frozen=True)
class Sent:
    """An instance, and what must be kept of it."""

    uid: str
    data: bytes

    @property
    def data_set(self) -> bytes:
        """SHA-256 without meta information, which a sender of C-STORE does not send."""
        return data_set_digest(InMemory(self.data))


DOORS = {"uploads", "STOW", "C-STORE"}


@dataclass
class Load:
    """Senders that send instances, each another, as fast as they are answered, and remember what was acknowledged."""

    appliance: RunningAppliance
    token: str
    folder: Path
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    """SHA-256 of the data set by SOP Instance UID."""
    by_door: Counter[str] = field(default_factory=Counter)
    unanswered: dict[str, bytes] = field(default_factory=dict)
    """The same of what was sent and never answered."""
    refused: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self._stop.clear()
        doors = (self._upload, self._stow, self._stow, self._c_store, self._c_store)
        senders = [threading.Thread(target=door, args=(number,)) for number, door in enumerate(doors)]
        for sender in senders:
            sender.start()
        try:
            yield
        finally:
            self._stop.set()
            for sender in senders:
                sender.join()

    def wait_for_each_door(self, timeout_s: float = 60) -> None:
        """Until one more instance was acknowledged at each door, so that a slow machine's kills mean something."""
        before, end = Counter(self.by_door), time.monotonic() + timeout_s
        while any(self.by_door[door] == before[door] for door in DOORS):
            assert time.monotonic() < end, f"only {self.by_door - before} acknowledged within {timeout_s} s"
            time.sleep(0.01)

    def _next(self, count: int) -> list[Sent]:
        with self._lock:
            numbers = list(itertools.islice(self._numbers, count))
        sent = [instance(number) for number in numbers]
        self.unanswered.update({one.uid: one.data_set for one in sent})
        return sent

    def _acknowledge(self, door: str, uid: str) -> None:
        self.acknowledged[uid] = self.unanswered.pop(uid)
        with self._lock:
            self.by_door[door] += 1

    def _upload(self, _: int) -> None:
        with self.appliance.client() as client:
            while not self._stop.is_set():
                (one,) = self._next(1)
                answer = self._posted(client, "/api/uploads", "application/dicom", one.data)
                if answer is not None and answer.status_code == 201:
                    self._acknowledge("uploads", one.uid)
                elif answer is not None:
                    self.refused.append(answer.text)

    def _stow(self, _: int) -> None:
        with self.appliance.client() as client:
            while not self._stop.is_set():
                batch = self._next(_BATCH)
                body = b"".join(
                    b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (_BOUNDARY.encode(), one.data)
                    for one in batch
                )
                answer = self._posted(
                    client, "/dicom-web/studies", _STOW_TYPE, body + b"--%s--\r\n" % _BOUNDARY.encode()
                )
                if answer is None:
                    continue
                if answer.status_code != 200 or _FAILED in answer.json():
                    self.refused.append(answer.text)
                for item in answer.json().get(_ACCEPTED, {"Value": []})["Value"]:
                    self._acknowledge("STOW", item[_REFERENCED_UID]["Value"][0])

    def _posted(self, client: httpx.Client, path: str, content_type: str, body: bytes) -> httpx.Response | None:
        """The answer, if one came."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        try:
            return client.post(path, content=body, headers=headers)
        except httpx.HTTPError:
            self._stop.wait(0.05)
            return None

    def _c_store(self, sender: int) -> None:
        port = str(self.appliance.settings["node"]["dimse"]["port"])
        files = [self.folder / f"{sender} {number}.dcm" for number in range(_BATCH)]
        while not self._stop.is_set():
            batch = self._next(_BATCH)
            for file, one in zip(files, batch, strict=True):
                file.write_bytes(one.data)
            done = subprocess.run(
                ["storescu", "-v", "-xe", "-aet", _TITLE, "-aec", "BOX", "127.0.0.1", port, *map(str, files)],
                env={**os.environ, "TCP_NODELAY": "1"}, capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
            answers = re.findall(r"Received Store Response \((.*)\)", done.stdout + done.stderr)
            for one, status in zip(batch, answers, strict=False):
                if status == "Success":
                    self._acknowledge("C-STORE", one.uid)
                else:
                    self.refused.append(status)


def instance(number: int) -> Sent:
    """A slice of 8 kB to 2 MB of noise; twenty make a series."""
    side = (64, 128, 256, 1024)[number % 4]
    ds = ct_slice(number, study=f"1.2.3.{number // 100}", series=f"1.2.3.{number // 100}.{number // 20}")
    ds.Rows = ds.Columns = side
    ds.PixelData = _NOISE[number % 1000 :][: side * side].tobytes()
    return Sent(str(ds.SOPInstanceUID), encoded(ds))


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[RunningAppliance]:
    appliance = all_in_one(tmp_path)
    appliance.own_group = True
    appliance.settings["roles"].remove("web")
    appliance.settings["toplevel"]["access_token_s"] = 24 * 3600
    appliance.settings["node"]["dimse"] = {
        "ae_title": "BOX",
        "port": free_port(),
        "peers": [{"ae_title": _TITLE, "hosts": ["127.0.0.1"], "verbs": ["store"]}],
    }
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


def check(appliance: RunningAppliance, load: Load, verified: dict[str, str]) -> None:
    """All that was acknowledged is there, and all that is there is whole; bytes are read once each."""
    store, keys = store_of(appliance), held(appliance)
    lost = load.acknowledged.keys() - keys.keys()
    assert not lost, f"{len(lost)} acknowledged instances are lost"
    assert {uid: keys.get(uid) for uid in verified} == verified
    for uid in keys.keys() - verified.keys():
        with store.open(keys[uid]) as reader:
            content = reader.read_all()
        assert hashlib.sha256(content).hexdigest() == keys[uid]
        assert data_set_digest(InMemory(content)) == load.acknowledged.get(uid, load.unanswered.get(uid)), uid
        verified[uid] = keys[uid]
    assert len([place for part in store.places() for place in part]) == len(keys)
    assert list(store.spool_directory.iterdir()) == []
    assert len(store.aside_places()) == 0


def survive(appliance: RunningAppliance, folder: Path, kills: int) -> None:
    chance = random.Random(_SEED)
    appliance.start()
    with appliance.client() as client:
        answer = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD})
    load = Load(appliance, answer.json()["access_token"], folder)
    verified: dict[str, str] = {}
    indexed_again = helpers_killed = 0
    for number in range(kills):
        with load.running():
            if number % 4 == 3:
                time.sleep(chance.uniform(0.1, 0.5))
                kill_a_helper(appliance, chance)
                helpers_killed += 1
            time.sleep(chance.uniform(0.05, 1.5))
            if number % 2:
                load.wait_for_each_door()
            kill_group(appliance)
        appliance.start()
        indexed_again += int(wait_for_reconciliation(appliance)["indexed_again"])
        check(appliance, load, verified)
        print(
            f"{number + 1} kills of all processes, {helpers_killed} of a helper: "
            f"{len(load.acknowledged)} instances acknowledged {dict(load.by_door)}, 0 lost, 0 changed; "
            f"{len(load.unanswered)} unanswered, of these {len(verified) - len(load.acknowledged)} kept whole; "
            f"{indexed_again} indexed again after a restart",
            flush=True,
        )
    assert load.refused == []
    assert len(load.acknowledged) > kills
    assert set(load.by_door) == DOORS


def test_nothing_acknowledged_is_lost_over_ten_kills(appliance: RunningAppliance, tmp_path: Path) -> None:
    survive(appliance, tmp_path, kills=10)


@pytest.mark.long
def test_nothing_acknowledged_is_lost_over_a_thousand_kills(appliance: RunningAppliance, tmp_path: Path) -> None:
    """Some seconds each; ``APPLIANCE_TEST_KILLS`` says another number."""
    survive(appliance, tmp_path, kills=int(os.environ.get("APPLIANCE_TEST_KILLS", "1000")))
