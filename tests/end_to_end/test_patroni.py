"""A toplevel on three PostgreSQL under Patroni: the one that takes the writes is killed while there are many."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.end_to_end.county import County, kill_group, log_in
from tests.patroni import Cluster, make_database, running_patroni
from tests.postgresql import PostgresqlMissing

pytestmark = pytest.mark.long
_WRITERS = 4
_BEFORE, _AFTER = 200, 200
"""So many rows are acknowledged before the kill, and after it, at least."""
_LONGEST_S = 300


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    try:
        with running_patroni() as running:
            yield running
    except PostgresqlMissing as missing:
        pytest.fail(str(missing))


@dataclass
class Written:
    """What the writers were told."""

    acknowledged: dict[str, float] = field(default_factory=dict)
    """Patients' ids, with when they were acknowledged on the monotonic clock."""
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def longest_gap_s(self) -> float:
        """Between two acknowledgements, of whichever writer."""
        times = sorted(self.acknowledged.values())
        return max(after - before for before, after in itertools.pairwise(times))


def keep_writing(county: County, token: dict[str, str], written: Written, stop: threading.Event) -> None:
    number = 0
    with county.central.client() as client:
        while not stop.is_set():
            number += 1
            names = {"family_name": f"Load{threading.get_ident()}", "given_name": f"Number{number}"}
            try:
                answer = client.post("/api/patients", json=names, headers=token, timeout=30)
            except httpx.HTTPError:
                written.refused += 1
                continue
            if answer.status_code == 201:
                with written.lock:
                    written.acknowledged[answer.json()["id"]] = time.monotonic()
            else:
                assert answer.status_code == 503, answer.text
                written.refused += 1
                time.sleep(0.2)


def wait_for_writes(written: Written, count: int) -> None:
    deadline = time.monotonic() + _LONGEST_S
    while len(written.acknowledged) < count:
        assert time.monotonic() < deadline, f"{len(written.acknowledged)} of {count} were acknowledged"
        time.sleep(0.1)


def test_a_leader_that_is_killed_under_load_loses_no_acknowledged_row(cluster: Cluster, tmp_path: Path) -> None:
    county = County(tmp_path, clinics=0, central_roles=["toplevel"], database=make_database(cluster, "county"))
    county.central.settings["toplevel"]["access_token_s"] = 24 * 3600
    county.central.create_account("chief", "superuser")
    written, stop = Written(), threading.Event()
    try:
        county.start()
        with county.central.client() as client:
            token = {"Authorization": f"Bearer {log_in(client, 'chief').json()['access_token']}"}
        writers = [threading.Thread(target=keep_writing, args=(county, token, written, stop)) for _ in range(_WRITERS)]
        for writer in writers:
            writer.start()
        wait_for_writes(written, _BEFORE)
        killed, before = cluster.leader(), len(written.acknowledged)
        killed.kill()
        wait_for_writes(written, before + _AFTER)
        stop.set()
        for writer in writers:
            writer.join()
        assert county.central.stop() == 0
    finally:
        stop.set()
        kill_group(county.central)

    assert cluster.leader() is not killed
    with psycopg.connect(cluster.url("county")) as connection:
        kept = {str(row[0]) for row in connection.execute("SELECT id FROM patient").fetchall()}
    lost = set(written.acknowledged) - kept
    print(
        f"\nleader killed after {before} acknowledged rows by {_WRITERS} writers: {len(written.acknowledged)} in all, "
        f"{len(lost)} lost, {written.refused} writes without an answer or refused, "
        f"longest gap {written.longest_gap_s():.1f} s"
    )
    assert lost == set()
