"""A toplevel and two clinics, as processes of their own, that are killed and cut off from each other while all of them write.

Every kind of row is written at the side that owns it: accounts at the toplevel, reports, studies and through them patients at
the clinics. A seed says when a line is cut or mended and who is killed with SIGKILL. In the end everybody runs, all lines are
there, and both sides are compared row by row: what was acknowledged has arrived, and nothing is there twice.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from appliance.domain.changes import SubjectKind
from appliance.storage import copies, feed
from appliance.storage.database import Database, Transaction
from tests.end_to_end.county import County, keep_draft, kill_group, log_in
from tests.end_to_end.running import PASSWORD, RunningAppliance
from tests.services.node_parts import ct_slice, encoded

_SEED = 20261122
_CONVERGE_TIMEOUT_S = 240
_BETWEEN_WRITES_S = 0.2
"""Of one writer: the test is of what becomes of writes, not of how many there can be."""


@dataclass
class Writers:
    """They write, each at its place, as long as they run, and remember what was acknowledged."""

    county: County
    token: str
    acknowledged: dict[str, set[str]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    refused: list[str] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        work: list[tuple[RunningAppliance, Callable[[httpx.Client, int], None]]] = [
            (self.county.central, self._write_account)
        ]
        for number, clinic in enumerate(self.county.clinics, 1):
            work += [(clinic, self._reporter(number)), (clinic, self._sender(number))]
        threads = [threading.Thread(target=self._keep_writing, args=one) for one in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _keep_writing(self, box: RunningAppliance, write: Callable[[httpx.Client, int], None]) -> None:
        number = 0
        with box.client() as client:
            client.headers["Authorization"] = f"Bearer {self.token}"
            while not self._stop.is_set():
                number += 1
                try:
                    write(client, number)
                except httpx.HTTPError:
                    self.unanswered[write.__qualname__] += 1
                self._stop.wait(_BETWEEN_WRITES_S)

    def _note(self, kind: str, name: str, answer: httpx.Response) -> None:
        """503 is no refusal of what was written: a helper of the server is being started again."""
        if answer.status_code in (200, 201):
            self.acknowledged[kind].add(name)
        elif answer.status_code != 503:
            self.refused.append(answer.text)

    def _write_account(self, client: httpx.Client, number: int) -> None:
        clinic = self.county.clinics[number % len(self.county.clinics)]
        person = {
            "username": f"somebody{number}",
            "password": PASSWORD,
            "given_name": "Some",
            "family_name": f"Body{number}",
            "roles": ["physician"],
            "institution_id": self.county.institution_of(clinic),
        }
        self._note("accounts", person["username"], client.post("/api/accounts", json=person))

    def _reporter(self, clinic: int) -> Callable[[httpx.Client, int], None]:
        def write(client: httpx.Client, number: int) -> None:
            text = f"finding {clinic} {number}"
            self._note("reports", text, keep_draft(client, str(UUID(int=clinic)), text))

        return write

    def _sender(self, clinic: int) -> Callable[[httpx.Client, int], None]:
        def write(client: httpx.Client, number: int) -> None:
            name, study = f"Person{clinic}x{number}", f"1.2.{clinic}.{number}"
            ds = ct_slice(1, study=study, series=f"{study}.1")
            ds.PatientID, ds.PatientName, ds.SOPInstanceUID = f"{clinic}-{number}", f"{name}^Eva", f"{study}.1.1"
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            answer = client.post("/api/uploads", content=encoded(ds), headers={"Content-Type": "application/dicom"})
            self._note("studies", study, answer)
            if answer.status_code == 201:
                self.acknowledged["patients"].add(name)

        return write


KINDS = ("accounts", "reports", "studies", "patients")


def trouble(county: County, chance: random.Random, kills: int) -> Counter[str]:
    """Lines are cut and mended and everybody is killed, by lot, first one of each; how often what happened."""
    happened: Counter[str] = Counter()
    victims = [*county.all, *(chance.choice(county.all) for _ in range(kills))][:kills]
    for victim in victims:
        for link in county.links:
            if chance.random() < 0.5:
                link.mend() if link.is_cut else link.cut()
                happened["cut" if link.is_cut else "mended"] += 1
        time.sleep(chance.uniform(0.2, 2.0))
        kill_group(victim)
        happened["killed"] += 1
        time.sleep(chance.uniform(0.0, 0.5))
        victim.start()
    for link in county.links:
        link.mend()
    return happened


def wait_until_converged(county: County) -> None:
    """Nobody has anything to tell anybody."""
    deadline = time.monotonic() + _CONVERGE_TIMEOUT_S
    while left := untold(county):
        assert time.monotonic() < deadline, f"still to be told: {left}"
        time.sleep(0.1)


def untold(county: County) -> dict[str, int]:
    found: dict[str, int] = {}
    for clinic in county.clinics:
        found[f"{clinic.host} up"] = clinic._untold()
        here = id_of(county, clinic)
        end = opened(county.central, "toplevel", lambda tx, here=here: feed.cursor(tx, here))
        below = opened(clinic, "institution", copies.state).cursor
        found[f"{clinic.host} down"] = 0 if end == below else 1
    return {where: count for where, count in found.items() if count}


def id_of(county: County, clinic: RunningAppliance) -> UUID:
    return UUID(county.institution_of(clinic))


def url_of(box: RunningAppliance, role: str) -> str:
    url = str(box.settings[role]["database"])
    return f"sqlite:///{box.directory / url.removeprefix('sqlite:///')}" if url.startswith("sqlite:") else url


def opened(box: RunningAppliance, role: str, work: Callable[[Transaction], Any]) -> Any:  # Any: what it returns
    """What ``work`` reads in the database of a role, beside the server."""
    database = Database(url_of(box, role))
    try:
        return database.read(work)
    finally:
        database.close()


def differing_rows(county: County, clinic: RunningAppliance) -> tuple[int, int]:
    """How many rows of the copy were compared with those of the toplevel, and how many of either stand at one side only."""
    here = id_of(county, clinic)

    def rows(tx: Transaction, wanted: dict[SubjectKind, list[UUID]] | None) -> set[str]:
        found = set()
        for kind, columns in copies.TABLES.items():
            for column in columns:
                query = column.model.select().dicts()
                for row in tx.rows(query):
                    if wanted is None or row[column.name] in wanted[kind]:
                        found.add(f"{column.model._meta.table_name} {sorted(row.items())}")
        return found

    def followed(tx: Transaction) -> dict[SubjectKind, list[UUID]]:
        told = [one for _, one in feed.after(tx, here, 0, limit=1_000_000)]
        return {kind: [one.subject_id for one in told if one.kind == kind] for kind in SubjectKind}

    above = opened(county.central, "toplevel", lambda tx: rows(tx, followed(tx)))
    below = opened(clinic, "institution", lambda tx: rows(tx, None))
    return len(above | below), len(above ^ below)


def names_at(box: RunningAppliance, role: str, query: str) -> Counter[str]:
    with contextlib.closing(
        sqlite3.connect(f"file:{url_of(box, role).removeprefix('sqlite:///')}?mode=ro", uri=True)
    ) as rows:
        return Counter(row[0] for row in rows.execute(query))


def arrived(county: County) -> dict[str, Counter[str]]:
    """What is there of each kind, and how often, where it has to arrive in the end."""
    found = {kind: Counter[str]() for kind in KINDS}
    copied: Counter[str] = Counter()
    for clinic in county.clinics:
        copied += names_at(clinic, "institution", "SELECT username FROM account")
        found["reports"] += names_at(clinic, "institution", "SELECT findings FROM report_version")
        found["studies"] += names_at(clinic, "institution", "SELECT study_uid FROM study_at_node")
    found["accounts"] = names_at(
        county.central, "toplevel", "SELECT username FROM account WHERE institution_id IS NOT NULL"
    )
    assert copied == found["accounts"]
    found["patients"] = names_at(county.central, "toplevel", "SELECT family_name FROM patient")
    return found


def survive(county: County, kills: int, seed: int) -> None:
    with county.central.client() as client:
        token = log_in(client, "chief").json()["access_token"]
    writers = Writers(county, token)
    started = time.monotonic()
    with writers.running():
        happened = trouble(county, random.Random(seed), kills)
        mended = time.monotonic()
    wait_until_converged(county)
    converged_s = time.monotonic() - mended
    took_s = mended - started
    found = arrived(county)

    print(
        f"\nseed {seed}: {dict(happened)} in {took_s:.0f} s, {sum(writers.unanswered.values())} writes without an answer"
    )
    print(f"{'':10}{'acknowledged':>14}{'arrived':>9}{'lost':>6}{'duplicates':>12}")
    lost = duplicates = 0
    for kind in KINDS:
        missing = writers.acknowledged[kind] - found[kind].keys()
        twice = sum(count - 1 for count in found[kind].values())
        lost, duplicates = lost + len(missing), duplicates + twice
        is_there = len(writers.acknowledged[kind]) - len(missing)
        print(f"{kind:10}{len(writers.acknowledged[kind]):14}{is_there:9}{len(missing):6}{twice:12}")
    compared = [differing_rows(county, clinic) for clinic in county.clinics]
    for clinic, (count, differing) in zip(county.clinics, compared, strict=True):
        print(f"{clinic.host}: {count} rows compared with the toplevel's, {differing} differ")
    print(f"converged {converged_s:.1f} s after the last line was mended and the writers were told to stop")

    assert (lost, duplicates) == (0, 0)
    assert all(differing == 0 for _, differing in compared)
    assert all(writers.acknowledged[kind] for kind in KINDS)
    assert writers.refused == []


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    made = County(tmp_path, clinics=2, central_roles=["toplevel"])
    made.central.settings["toplevel"]["access_token_s"] = 24 * 3600
    for clinic in made.clinics:
        clinic.settings["roles"].remove("web")
    made.central.create_account("chief", "superuser")
    try:
        made.start()
        yield made
    finally:
        made.kill()


def test_nothing_acknowledged_is_lost_or_there_twice_after_a_kill_of_each(county: County) -> None:
    survive(county, kills=3, seed=_SEED)


@pytest.mark.long
def test_nothing_acknowledged_is_lost_or_there_twice_after_many_kills(county: County) -> None:
    """Some seconds each; ``APPLIANCE_TEST_KILLS`` says another number."""
    survive(county, kills=int(os.environ.get("APPLIANCE_TEST_KILLS", "60")), seed=_SEED + 1)
