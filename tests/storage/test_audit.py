"""The audit trail, on both engines: what is written stays as it is, and every way to tamper with it is found and named."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.domain.audit import Action, Actor, ActorKind, Event, Outcome, Subject
from appliance.domain.errors import Damaged
from appliance.storage import audit
from appliance.storage.audit import NOTHING, AuditAnchor, AuditHeadRow, AuditRow, Head, walk
from appliance.storage.database import Database, Transaction, migrate

ANA = Actor(ActorKind.ACCOUNT, "9", "ana", "192.0.2.1")
RECORDS = 8


def event(number: int) -> Event:
    return Event(ANA, Action.DELETE, Subject("instance", f"1.2.{number}", "1.2"), Outcome.DONE, "", 1, number * 1000)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "audit", audit.MIGRATIONS)
    yield made
    made.close()


def write(database: Database, count: int, room: str = "node") -> Head:
    head = NOTHING
    for number in range(1, count + 1):
        head = database.run(lambda tx, number=number: audit.record(tx, room, event(number)))  # type: ignore[misc]
    return head


@pytest.fixture
def head(database: Database) -> Head:
    """Of a trail of eight records."""
    return write(database, RECORDS)


def test_a_trail_that_nobody_touched_is_whole(database: Database, head: Head) -> None:
    write(database, 3, room="toplevel")

    proof = walk(database, "node", head)

    assert (proof.records, proof.head, proof.fault) == (RECORDS, head, None)
    assert walk(database, "toplevel").records == 3
    assert walk(database, "nowhere").fault is None


def test_a_record_tells_who_what_and_when_in_the_right_order(database: Database, head: Head) -> None:
    rows = database.read(lambda tx: tx.rows(AuditRow.select().order_by(AuditRow.sequence)))

    assert [row.sequence for row in rows] == list(range(1, RECORDS + 1))
    first = rows[0]
    assert (first.actor_kind, first.actor_name, first.address) == ("account", "ana", "192.0.2.1")
    assert (first.action, first.subject_uid, first.study_uid, first.outcome) == ("delete", "1.2.1", "1.2", "done")
    assert (first.instances, first.size_bytes) == (1, 1000)
    assert first.at.endswith("+00:00")


def changed(tx: Transaction) -> None:
    tx.execute(AuditRow.update(actor_name="eva").where(AuditRow.sequence == 4))


def changed_and_hashed_again(tx: Transaction) -> None:
    """By somebody who knows how the hash is made, and stops there."""
    changed(tx)
    before = tx.value(AuditRow.select(AuditRow.hash).where(AuditRow.sequence == 3))
    row = tx.first(AuditRow.select().where(AuditRow.sequence == 4))
    hashed = audit._hash(before, [getattr(row, name) for name in audit._SEALED])
    tx.execute(AuditRow.update(hash=hashed).where(AuditRow.sequence == 4))


def deleted(tx: Transaction) -> None:
    tx.execute(AuditRow.delete().where(AuditRow.sequence == 4))


def deleted_and_numbered_again(tx: Transaction) -> None:
    deleted(tx)
    for number in range(5, RECORDS + 1):
        tx.execute(AuditRow.update(sequence=number - 1).where(AuditRow.sequence == number))


def swapped(tx: Transaction) -> None:
    for old, new in [(4, 99), (6, 4), (99, 6)]:
        tx.execute(AuditRow.update(sequence=new).where(AuditRow.sequence == old))


def cut(tx: Transaction) -> None:
    tx.execute(AuditRow.delete().where(AuditRow.sequence > 6))


def added(tx: Transaction) -> None:
    row = tx.rows(AuditRow.select().where(AuditRow.sequence == RECORDS).dicts())[0]
    row["sequence"] = RECORDS + 1
    values = [row[name] for name in audit._SEALED]
    tx.insert(AuditRow, **{**row, "hash": audit._hash(row["hash"], values)})


def emptied(tx: Transaction) -> None:
    tx.execute(AuditRow.delete().where(AuditRow.room == "node"))


def head_changed(tx: Transaction) -> None:
    tx.execute(AuditHeadRow.update(hash="ab" * 32))


@pytest.mark.parametrize(
    ("tampering", "kind", "sequence"),
    [
        (changed, "changed", 4),
        (changed_and_hashed_again, "changed", 5),
        (deleted, "missing", 4),
        (deleted_and_numbered_again, "changed", 4),
        (swapped, "moved", 4),
        (cut, "cut", 7),
        (added, "added", 9),
        (emptied, "cut", 1),
        (head_changed, "rewritten", 8),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_tampering_is_found_without_anything_from_outside(
    database: Database, head: Head, tampering: Callable[[Transaction], None], kind: str, sequence: int
) -> None:
    database.run(tampering)

    proof = walk(database, "node")

    assert proof.fault is not None
    assert (proof.fault.kind, proof.fault.sequence, proof.records) == (kind, sequence, sequence - 1)


def cut_with_the_head(tx: Transaction) -> None:
    cut(tx)
    last = tx.value(AuditRow.select(AuditRow.hash).where(AuditRow.sequence == 6))
    tx.execute(AuditHeadRow.update(sequence=6, hash=last))


def written_anew(tx: Transaction) -> None:
    """The whole chain from the fourth record on, and its head, as this program would have written them."""
    tx.execute(AuditRow.delete().where(AuditRow.sequence > 3))
    last = tx.value(AuditRow.select(AuditRow.hash).where(AuditRow.sequence == 3))
    tx.execute(AuditHeadRow.update(sequence=3, hash=last))
    for number in range(14, 14 + RECORDS - 3):
        audit.record(tx, "node", event(number))


def forgotten(tx: Transaction) -> None:
    emptied(tx)
    tx.execute(AuditHeadRow.delete().where(AuditHeadRow.room == "node"))


@pytest.mark.parametrize(
    ("tampering", "kind", "sequence"),
    [(cut_with_the_head, "cut", 7), (written_anew, "rewritten", 8), (forgotten, "cut", 1)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_the_database_alone_cannot_show_the_head_outside_of_it_does(
    database: Database, head: Head, tampering: Callable[[Transaction], None], kind: str, sequence: int
) -> None:
    database.run(tampering)

    assert walk(database, "node").fault is None
    fault = walk(database, "node", head).fault
    assert fault is not None
    assert (fault.kind, fault.sequence) == (kind, sequence)


def test_a_transaction_that_fails_leaves_no_record(database: Database, head: Head) -> None:
    def fail(tx: Transaction) -> None:
        audit.record(tx, "node", event(9))
        raise ValueError

    with pytest.raises(ValueError):
        database.run(fail)

    assert walk(database, "node", head).records == RECORDS


def _write_many(url: str, anchor: Path) -> None:
    database = Database(url)
    for number in range(20):
        AuditAnchor(anchor).advance(database.run(lambda tx, number=number: audit.record(tx, "node", event(number))))  # type: ignore[misc]
    database.close()


def test_processes_that_write_at_once_make_one_chain(database: Database, database_url: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(database_url, tmp_path / "head")) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    proof = walk(database, "node", AuditAnchor(tmp_path / "head").head())
    assert (proof.records, proof.fault) == (60, None)
    assert AuditAnchor(tmp_path / "head").head() == proof.head


def test_the_head_outside_never_goes_back(tmp_path: Path) -> None:
    anchor = AuditAnchor(tmp_path / "deep" / "head")
    assert anchor.head() == NOTHING

    anchor.advance(Head(2, "bb"))
    anchor.advance(Head(1, "aa"))

    assert anchor.head() == Head(2, "bb")


def test_a_head_outside_that_is_not_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "head").write_text("something")

    with pytest.raises(Damaged, match="head"):
        AuditAnchor(tmp_path / "head").head()
