"""The outbox of all roles, in both engines: numbered, acknowledged, and taken over from the tables that each role had."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import msgspec
import pytest

from appliance.domain.changes import NodeHere
from appliance.storage.database import Database, Transaction
from appliance.storage.outbox import Deliveries, Outbox, unite

NODE, OTHER = UUID(int=2), UUID(int=3)
OUTBOX, NEIGHBOUR = Outbox("node"), Outbox("institution")
DELIVERIES = Deliveries("institution")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    made.run(lambda tx: unite(tx, "node"))
    yield made
    made.close()


def here(name: str) -> NodeHere:
    return NodeHere(NODE, name, "https://node")


def put(database: Database, outbox: Outbox, *names: str) -> None:
    for name in names:
        database.run(lambda tx, name=name: outbox.put(tx, here(name)))  # type: ignore[misc]


def waiting(database: Database, outbox: Outbox = OUTBOX) -> list[tuple[int, str]]:
    told = database.read(lambda tx: outbox.waiting(tx, limit=9))
    return [(numbered.sequence, numbered.change.name) for numbered in told]  # type: ignore[union-attr]


def test_changes_are_numbered_in_order_until_they_are_acknowledged(database: Database) -> None:
    put(database, OUTBOX, "a", "b", "c")

    database.run(lambda tx: OUTBOX.acknowledge(tx, 2))

    assert waiting(database) == [(3, "c")]
    assert database.read(OUTBOX.length) == 1


def test_a_number_never_comes_again(database: Database) -> None:
    put(database, OUTBOX, "a", "b")
    database.run(lambda tx: OUTBOX.acknowledge(tx, 2))

    put(database, OUTBOX, "c")

    assert waiting(database) == [(3, "c")]


def test_roles_that_share_a_database_have_numbers_of_their_own(database: Database) -> None:
    put(database, OUTBOX, "a", "b")
    put(database, NEIGHBOUR, "x")

    database.run(lambda tx: OUTBOX.acknowledge(tx, 2))

    assert waiting(database) == []
    assert waiting(database, NEIGHBOUR) == [(1, "x")]


def test_each_child_is_heard_up_to_its_own_number(database: Database) -> None:
    for child, sequence in ((NODE, 4), (OTHER, 2), (NODE, 7)):
        database.run(lambda tx, at=(child, sequence): DELIVERIES.keep(tx, *at))  # type: ignore[misc]

    assert [database.read(lambda tx, c=child: DELIVERIES.last(tx, c)) for child in (NODE, OTHER, UUID(int=9))] == [
        7,
        2,
        0,
    ]  # type: ignore[misc]
    assert database.read(lambda tx: Deliveries("toplevel").last(tx, NODE)) == 0


def test_what_a_role_kept_in_tables_of_its_own_is_taken_over(database: Database) -> None:
    packed = msgspec.msgpack.encode(here("before"))

    def as_it_was(tx: Transaction) -> None:
        run = tx._engine.execute_sql
        blob, uuid = ("BYTEA", "UUID") if "Postgresql" in type(tx._engine).__name__ else ("BLOB", "TEXT")
        run(f"CREATE TABLE institution_outbox (sequence INTEGER PRIMARY KEY, change {blob})")
        run("CREATE TABLE institution_outbox_end (name VARCHAR(16) PRIMARY KEY, sequence INTEGER)")
        run(f"CREATE TABLE institution_delivered (child_id {uuid} PRIMARY KEY, sequence INTEGER)")
        mark = tx._engine.param
        run(f"INSERT INTO institution_outbox VALUES (5, {mark})", (packed,))
        run("INSERT INTO institution_outbox_end VALUES ('end', 5)")
        run(f"INSERT INTO institution_delivered VALUES ({mark}, 17)", (NODE.hex,))

    database.run(as_it_was)

    for _ in range(2):
        database.run(lambda tx: unite(tx, "institution"))

    assert waiting(database, NEIGHBOUR) == [(5, "before")]
    assert database.read(lambda tx: DELIVERIES.last(tx, NODE)) == 17
    put(database, NEIGHBOUR, "after")
    assert waiting(database, NEIGHBOUR) == [(5, "before"), (6, "after")]
