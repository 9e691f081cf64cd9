"""Heads that came up from the trails below, on both engines: what they show that nothing at the box itself could."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from appliance.domain.changes import AuditHead
from appliance.domain.identifiers import InstitutionId
from appliance.storage import audit, audit_heads, toplevel
from appliance.storage.audit import AuditHeadRow, AuditRow, Head, walk
from appliance.storage.database import Database, Transaction, migrate
from tests.storage.test_audit import event

CLINIC, OTHER, NODE = InstitutionId(UUID(int=1)), InstitutionId(UUID(int=2)), UUID(int=3)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "audit", audit.MIGRATIONS)
    migrate(made, "toplevel", toplevel.MIGRATIONS)
    yield made
    made.close()


def hear(database: Database, sequence: int, mark: str = "a", *, minutes: int = 0, of: UUID = NODE) -> str | None:
    head = AuditHead(of, "node", sequence, mark * 64)
    return database.run(lambda tx: audit_heads.hear(tx, CLINIC, head, NOON + timedelta(minutes=minutes)))


def kept(database: Database) -> list[int]:
    return sorted(head.sequence for head in database.read(lambda tx: audit_heads.heads(tx, CLINIC)))


def test_the_newest_head_is_kept_and_of_those_before_it_one_an_hour(database: Database) -> None:
    for number in range(1, 200):
        assert hear(database, number, minutes=number) is None

    assert kept(database)[-1] == 199
    assert kept(database)[0] == 1
    assert 4 <= len(kept(database)) <= 6


def test_a_head_that_is_told_twice_is_one(database: Database) -> None:
    assert [hear(database, 5), hear(database, 5)] == [None, None]
    assert kept(database) == [5]


@pytest.mark.parametrize(("sequence", "mark", "fault"), [(5, "b", "rewritten"), (4, "a", "cut")])
def test_a_head_that_contradicts_one_before_it_is_a_fault_that_stays(
    database: Database, sequence: int, mark: str, fault: str
) -> None:
    hear(database, 5)

    assert hear(database, sequence, mark, minutes=1) == fault
    assert hear(database, 6, minutes=2) is None

    (chain,) = database.read(lambda tx: audit_heads.chains(tx, CLINIC))
    assert (chain.keeper_id, chain.sequence, chain.fault, chain.fault_at) == (
        NODE,
        6,
        fault,
        NOON + timedelta(minutes=1),
    )


def test_an_institution_is_told_of_its_own_trails_only(database: Database) -> None:
    hear(database, 5)

    assert database.read(lambda tx: audit_heads.heads(tx, OTHER)) == ()
    assert database.read(lambda tx: audit_heads.chains(tx, OTHER)) == ()
    assert len(database.read(lambda tx: audit_heads.chains(tx, None))) == 1


def write(tx: Transaction, first: int, last: int) -> Head:
    heads = [audit.record(tx, "node", event(number)) for number in range(first, last + 1)]
    return heads[-1]


def empty(tx: Transaction) -> None:
    for table in (AuditRow, AuditHeadRow):
        tx.execute(table.delete().where(table.room == "node"))


def test_a_trail_that_somebody_wrote_anew_with_all_that_is_noted_at_the_box_is_found_by_the_heads_above(
    database: Database,
) -> None:
    went_up = database.run(lambda tx: write(tx, 1, 5))
    database.run(lambda tx: write(tx, 6, 8))
    assert walk(database, "node", above=[went_up]).fault is None

    database.run(empty)
    forged = database.run(lambda tx: write(tx, 101, 112))

    assert walk(database, "node", forged).fault is None
    fault = walk(database, "node", forged, above=[went_up]).fault
    assert fault is not None
    assert (fault.kind, fault.sequence) == ("rewritten", 5)


def test_a_trail_that_was_cut_with_all_that_is_noted_at_the_box_is_found_by_the_heads_above(database: Database) -> None:
    database.run(lambda tx: write(tx, 1, 5))
    went_up = database.run(lambda tx: write(tx, 6, 8))

    database.run(empty)
    forged = database.run(lambda tx: write(tx, 1, 4))

    assert walk(database, "node", forged).fault is None
    fault = walk(database, "node", forged, above=[went_up]).fault
    assert fault is not None
    assert fault.kind == "cut"


def test_a_head_is_told_once_and_again_when_there_is_another(database: Database) -> None:
    def untold(tx: Transaction) -> Head | None:
        return audit.untold_head(tx, "node")

    assert database.run(untold) is None
    first = database.run(lambda tx: write(tx, 1, 2))
    assert [database.run(untold), database.run(untold)] == [first, None]
    second = database.run(lambda tx: write(tx, 3, 3))
    assert [database.run(untold), database.run(untold)] == [second, None]
    database.run(empty)
    again = database.run(lambda tx: write(tx, 9, 9))
    assert database.run(untold) == again
