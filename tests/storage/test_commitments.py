"""Commitments that wait to be told, on both engines: each is taken by one at a time, until it was told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.storage import commitments
from appliance.storage.commitments import Promised
from appliance.storage.database import Database, migrate
from appliance.storage.dimse_queries import CommitmentRequest


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "commitments", commitments.MIGRATIONS)
    yield made
    made.close()


def promise(database: Database, transaction_uid: str, due_ms: int) -> None:
    wanted = CommitmentRequest(transaction_uid, (("1.2", "1.2.3"), ("1.2", "1.2.4")))
    database.run(lambda tx: commitments.promise(tx, "CT1", wanted, due_ms=due_ms, expires_ms=1000))


def take(database: Database, now_ms: int, until_ms: int = 500) -> Promised | None:
    return database.run(lambda tx: commitments.take(tx, now_ms=now_ms, until_ms=until_ms))


def test_the_one_that_is_due_first_is_taken_first(database: Database) -> None:
    promise(database, "1.1", 30)
    promise(database, "1.2", 20)

    assert database.read(commitments.next_due_ms) == 20
    assert take(database, 10) is None
    first = take(database, 40)

    assert first is not None
    assert (first.request.transaction_uid, first.ae_title, first.attempts) == ("1.2", "CT1", 0)
    assert first.request.instances == (("1.2", "1.2.3"), ("1.2", "1.2.4"))


def test_what_one_has_taken_another_takes_only_after_its_time(database: Database) -> None:
    promise(database, "1.1", 0)

    assert take(database, 10) is not None
    assert take(database, 499) is None
    assert take(database, 500) is not None


def test_what_is_put_off_comes_again_and_what_was_told_does_not(database: Database) -> None:
    promise(database, "1.1", 0)
    taken = take(database, 10)
    assert taken is not None

    database.run(lambda tx: commitments.put_off(tx, taken, due_ms=50))
    again = take(database, 60)
    assert again is not None
    database.run(lambda tx: commitments.forget(tx, again))

    assert again.attempts == 1
    assert database.read(commitments.count) == 0
    assert database.read(commitments.next_due_ms) is None


def test_those_who_take_at_once_take_different_ones(database: Database) -> None:
    for number in range(8):
        promise(database, f"1.{number}", number)

    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda _: take(database, 100, 10_000), range(8)))

    assert len({one.id for one in taken if one}) == 8
