"""What a node holds, in both engines: rows come, conflict and go, and the outbox tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from appliance.domain.changes import PatientNumber
from appliance.domain.errors import NotFound
from appliance.domain.hierarchy import ParsedInstance
from appliance.domain.searches import Filter, Level, Search
from appliance.storage import index, queries
from appliance.storage.database import Database, MigrationRow, Transaction, migrate
from appliance.storage.index import StoredBytes
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory
from tests.services.node_parts import ct_slice, encoded
from tests.storage.test_parsing import with_other_ids

NODE = UUID(int=2)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "node", index.MIGRATIONS)
    migrate(made, "node", index.MIGRATIONS)
    yield made
    made.close()


def add(database: Database, number: int, *, key: str = "", series: str = "1.2.3.1") -> str:
    parsed = parse(InMemory(encoded(ct_slice(number, series=series))))
    stored = StoredBytes(key or f"{number:064x}", "0" * 32, 1 << 33)
    return database.run(lambda tx: index.add(tx, NODE, parsed, stored))


def test_an_instance_is_found_as_it_was_added(database: Database) -> None:
    assert add(database, 2) == "stored"
    assert add(database, 1) == "stored"

    series = database.read(lambda tx: index.stored_series(tx, "1.2.3", "1.2.3.1"))
    study = database.read(lambda tx: index.study(tx, "1.2.3"))

    assert [image.description.instance_number for image in series.images] == [1, 2]
    assert study.patient.person_name == "Muster^Eva"
    assert [held.instance_count for held in study.series] == [2]


def test_several_at_once_are_held_like_one_after_another_and_told_study_by_study(database: Database) -> None:
    def arrived(number: int, key: str = "", **where: str) -> tuple[ParsedInstance, StoredBytes]:
        parsed = parse(InMemory(encoded(ct_slice(number, **where))))
        return parsed, StoredBytes(key or f"{number:064x}", "0" * 32, 1)

    together = [
        arrived(1),
        arrived(2),
        arrived(2),
        arrived(2, key="f" * 64),
        arrived(3, series="1.2.3.2"),
        arrived(4, study="1.9", series="1.9.1"),
    ]
    outcomes = database.run(lambda tx: index.add_all(tx, NODE, together))

    assert outcomes == ["stored", "stored", "already-there", "conflict", "stored", "stored"]
    assert [held.instance_count for held in database.read(lambda tx: index.study(tx, "1.2.3")).series] == [2, 1]
    told = [one.change for one in database.read(lambda tx: index.OUTBOX.waiting(tx, limit=10))]
    assert [(one.study_uid, one.series_count, one.instance_count) for one in told] == [("1.2.3", 2, 3), ("1.9", 1, 1)]


def test_the_same_bytes_are_there_and_others_conflict(database: Database) -> None:
    add(database, 1)

    assert add(database, 1) == "already-there"
    assert add(database, 1, key="f" * 64) == "conflict"
    assert add(database, 1, key="f" * 64) == "conflict"

    (conflict,) = database.read(lambda tx: index.conflicts(tx, limit=10))
    assert (conflict.refused_key, conflict.refused_size_bytes) == ("f" * 64, 1 << 33)
    assert database.read(lambda tx: index.is_held(tx, "f" * 64))


def test_a_deletion_gives_back_all_keys_and_notes_them_until_they_are_removed(database: Database) -> None:
    add(database, 1)
    add(database, 1, key="f" * 64)
    add(database, 2, series="1.2.3.2")

    keys = database.run(lambda tx: index.delete_series(tx, NODE, "1.2.3", "1.2.3.1"))

    assert set(keys) == {f"{1:064x}", "f" * 64} == set(database.read(lambda tx: index.removals(tx, limit=10)))
    assert database.read(index.conflict_count) == 0
    assert len(database.read(lambda tx: index.study(tx, "1.2.3")).series) == 1
    database.run(lambda tx: index.delete_study(tx, NODE, "1.2.3"))
    with pytest.raises(NotFound):
        database.read(lambda tx: index.study(tx, "1.2.3"))


def test_writers_at_once_lose_nothing_and_number_the_outbox_without_gaps(database: Database) -> None:
    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(lambda number: add(database, number), range(24)))

    assert outcomes == ["stored"] * 24
    (held,) = database.read(lambda tx: index.study(tx, "1.2.3")).series
    assert held.instance_count == 24
    told = database.read(lambda tx: index.OUTBOX.waiting(tx, limit=100))
    assert [change.sequence for change in told] == list(range(1, 25))
    assert told[-1].change.instance_count == 24  # type: ignore[union-attr]


def test_the_outbox_tells_the_other_numbers_of_the_patient(database: Database) -> None:
    parsed = parse(InMemory(encoded(with_other_ids())))
    database.run(lambda tx: index.add(tx, NODE, parsed, StoredBytes("a" * 64, "0" * 32, 9)))

    (told,) = database.read(lambda tx: index.OUTBOX.waiting(tx, limit=2))

    assert told.change.patient.other_numbers == (PatientNumber("INSURER", "99"),)  # type: ignore[union-attr]
    assert database.read(lambda tx: index.study(tx, "1.2.3")).patient.other_ids == (("INSURER", "99"),)


def test_rows_are_read_page_by_page_in_order(database: Database) -> None:
    for number in (3, 1, 2):
        add(database, number)

    first = database.read(lambda tx: index.kept_after(tx, "", limit=2))
    rest = database.read(lambda tx: index.kept_after(tx, first[-1].instance_uid, limit=2))

    assert [row.instance_uid for row in (*first, *rest)] == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]


def test_what_is_missing_is_marked_until_it_comes_again(database: Database) -> None:
    add(database, 1)
    database.run(lambda tx: index.mark_missing(tx, f"{1:064x}", missing=True))
    assert [row.is_missing for row in database.read(lambda tx: index.kept_after(tx, "", limit=2))] == [True]

    assert add(database, 1) == "already-there"

    assert [row.is_missing for row in database.read(lambda tx: index.kept_after(tx, "", limit=2))] == [False]


def test_an_index_from_before_dicomweb_becomes_searchable(database: Database) -> None:
    add(database, 1)

    def as_it_was(tx: Transaction) -> None:
        for table, column in (("study", "person_folded"), ("study", "timezone"), ("instance", "bits_allocated")):
            tx._engine.execute_sql(f'ALTER TABLE "{table}" DROP COLUMN "{column}"')
        tx._engine.execute_sql("DROP TABLE metadata")
        tx.execute(MigrationRow.delete().where(MigrationRow.number == 2))

    database.run(as_it_was)
    migrate(database, "node", index.MIGRATIONS)

    wanted = Search(Level.STUDY, (Filter("PatientName", "MUSTER*"),))
    assert len(database.read(lambda tx: queries.search(tx, wanted)).results) == 1
