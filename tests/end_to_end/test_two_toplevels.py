"""A toplevel as two processes on one PostgreSQL, behind one address, with a clinic below them."""

from __future__ import annotations

import copy
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import httpx
import psycopg
import pytest

from appliance.storage import copies, feed
from appliance.storage.database import Database
from tests.end_to_end.county import County, kill_group, log_in
from tests.end_to_end.running import PASSWORD, RunningAppliance, free_port
from tests.postgresql import Postgresql

_EACH = 12
_REFRESH = "__Secure-refresh"
_TIMEOUT_S = 60


@dataclass
class Pair:
    county: County
    second: RunningAppliance
    url: str

    @property
    def processes(self) -> list[RunningAppliance]:
        return [self.county.central, self.second]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, postgresql: Postgresql) -> Iterator[Pair]:
    url = postgresql.new_database()
    county = County(tmp_path_factory.mktemp("pair"), clinics=1, central_roles=["toplevel"], database=url)
    county.central.settings["toplevel"]["access_token_s"] = 24 * 3600
    clinic = county.clinics[0]
    clinic.settings["roles"] = ["institution"]
    del clinic.settings["node"]
    county.central.create_account("chief", "superuser")
    settings = copy.deepcopy(county.central.settings)
    settings["listen"]["port"] = free_port()
    second = RunningAppliance(county.central.directory, settings, county.central.host, name="second", own_group=True)
    try:
        county.start()
        second.start()
        county.links[0].to_ports.append(second.port)
        yield Pair(county, second, url)
    finally:
        county.kill()
        kill_group(second)


@pytest.fixture(scope="module")
def chief(pair: Pair) -> dict[str, str]:
    with pair.second.client() as client:
        return {"Authorization": f"Bearer {log_in(client, 'chief').json()['access_token']}"}


def person(pair: Pair, username: str) -> dict[str, object]:
    return {
        "username": username,
        "password": PASSWORD,
        "given_name": "Some",
        "family_name": "Body",
        "roles": ["physician"],
        "institution_id": pair.county.institution_of(pair.county.clinics[0]),
    }


def copied(pair: Pair) -> set[str]:
    """Usernames in the clinic's copy."""
    clinic = pair.county.clinics[0]
    file = clinic.directory / clinic.settings["institution"]["database"].removeprefix("sqlite:///")
    database = Database(f"sqlite:///{file}")
    try:
        query = copies.AccountRow.select(copies.AccountRow.username)
        return {row.username for row in database.read(lambda tx: tx.rows(query))}
    finally:
        database.close()


def seconds_until_copied(pair: Pair, usernames: set[str]) -> float:
    started = time.monotonic()
    while missing := usernames - copied(pair):
        assert time.monotonic() - started < _TIMEOUT_S, f"{len(missing)} of {len(usernames)} do not arrive"
        time.sleep(0.05)
    return time.monotonic() - started


def test_writers_at_both_processes_lose_nothing_and_the_feed_has_no_gap(pair: Pair, chief: dict[str, str]) -> None:
    def write(number: int) -> tuple[str, int]:
        with pair.processes[number % 2].client() as client:
            username = f"both{number}"
            return username, client.post("/api/accounts", json=person(pair, username), headers=chief).status_code

    with ThreadPoolExecutor(4) as threads:
        answers = dict(threads.map(write, range(2 * _EACH)))

    assert Counter(answers.values()) == {201: 2 * _EACH}
    seconds_until_copied(pair, set(answers))
    institution = UUID(pair.county.institution_of(pair.county.clinics[0]))
    database = Database(pair.url)
    numbers = [number for number, _ in database.read(lambda tx: feed.after(tx, institution, 0, limit=10_000))]
    end = dict(database.read(feed.ends))[institution]
    database.close()
    assert len(set(numbers)) == len(numbers)
    assert numbers[-1] == end


def test_one_username_asked_for_at_both_at_once_is_one_account(pair: Pair, chief: dict[str, str]) -> None:
    barrier = threading.Barrier(2)

    def ask(box: RunningAppliance) -> int:
        with box.client() as client:
            barrier.wait()
            return client.post("/api/accounts", json=person(pair, "single"), headers=chief).status_code

    with ThreadPoolExecutor(2) as threads:
        statuses = list(threads.map(ask, pair.processes))

    assert sorted(statuses) == [201, 409]
    assert pair.rows("SELECT count(*) FROM account WHERE username = 'single'") == [(1,)]


def test_a_session_renewed_at_both_at_once_is_one_that_ends_at_both(pair: Pair) -> None:
    """A secret that is spent is good for a minute more, wherever it was spent, and no longer."""
    first, second = pair.processes
    with first.client() as client:
        spent = log_in(client, "chief").cookies[_REFRESH]

    def renew(box: RunningAppliance, secret: str) -> httpx.Response:
        with box.client() as client:
            return client.post("/api/session/renewal", headers={"Cookie": f"{_REFRESH}={secret}"})

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(renew, pair.processes, [spent, spent]))
    assert [answer.status_code for answer in answers] == [200, 200]
    fresh = [answer.cookies[_REFRESH] for answer in answers]
    of_spent = f"FROM session WHERE secret_sha256 = '\\x{hashlib.sha256(spent.encode()).hexdigest()}'"
    ((is_over_in_a_minute,),) = pair.rows(f"SELECT ends_at < now() AT TIME ZONE 'UTC' + interval '1 minute' {of_spent}")
    assert is_over_in_a_minute

    with first.client() as client:
        assert client.delete("/api/session", headers={"Cookie": f"{_REFRESH}={fresh[0]}"}).status_code == 204

    assert [renew(second, secret).status_code for secret in (spent, *fresh)] == [401] * 3


def test_what_is_written_at_either_reaches_the_clinic(pair: Pair, chief: dict[str, str]) -> None:
    took = []
    for number, box in enumerate(pair.processes):
        with box.client() as client:
            answer = client.post("/api/accounts", json=person(pair, f"either{number}"), headers=chief)
        assert answer.status_code == 201
        took.append(seconds_until_copied(pair, {f"either{number}"}))
    print(f"arrived at the clinic after {took[0]:.2f} s and {took[1]:.2f} s")


def test_when_one_is_killed_the_other_goes_on_and_nothing_acknowledged_is_lost(
    pair: Pair, chief: dict[str, str]
) -> None:
    stop = threading.Event()
    acknowledged: set[str] = set()

    def write(box: RunningAppliance) -> None:
        number = 0
        with box.client() as client:
            while not stop.is_set():
                number += 1
                username = f"{box.name}-{number}"
                try:
                    answer = client.post("/api/accounts", json=person(pair, username), headers=chief)
                except httpx.HTTPError:
                    return
                if answer.status_code == 201:
                    acknowledged.add(username)

    writers = [threading.Thread(target=write, args=(box,)) for box in pair.processes]
    for writer in writers:
        writer.start()
    time.sleep(1)
    kill_group(pair.second)
    before = len(acknowledged)
    deadline = time.monotonic() + _TIMEOUT_S
    while len(acknowledged) < before + 3:
        assert time.monotonic() < deadline, "nothing is acknowledged any more"
        time.sleep(0.05)
    stop.set()
    for writer in writers:
        writer.join()

    there = {row[0] for row in pair.rows("SELECT username FROM account")}
    assert acknowledged <= there
    took_s = seconds_until_copied(pair, acknowledged)
    print(f"{len(acknowledged)} accounts acknowledged, 0 lost; all at the clinic {took_s:.1f} s after the last")
