"""Whole transactions, on a real SQLite file and on a real PostgreSQL server."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import peewee
import pytest
from peewee import BigIntegerField, IntegerField, TextField

from appliance.domain.errors import SettingsError, Unavailable
from appliance.services.database_threads import DatabaseThreads
from appliance.storage.database import (
    Database,
    Migration,
    Statement,
    Table,
    Transaction,
    given,
    insertion,
    migrate,
    refuse_other_shape,
)


class Counter(Table):
    name = TextField(primary_key=True)
    value = IntegerField()


TABLES = [Migration(1, "counters", lambda tx: tx.create_tables(Counter))]


def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    migrate(database, "test", TABLES)
    database.run(lambda tx: tx.insert(Counter, name="a", value=0))
    yield database
    database.close()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    yield from opened(database_url)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    yield from opened(f"sqlite:///{tmp_path}/rows.sqlite")


def value_of_a(tx: Transaction) -> int:
    return tx.value(Counter.select(Counter.value).where(Counter.name == "a"))


def add_one(tx: Transaction) -> None:
    tx.execute(Counter.update(value=value_of_a(tx) + 1).where(Counter.name == "a"))


def test_no_update_is_lost_between_threads(database):
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: database.run(add_one), range(200)))

    assert database.read(value_of_a) == 200


def test_a_statement_is_carried_out_with_the_values_of_each_time(database):
    find = Statement(Counter.select(Counter.value).where(Counter.name == given("name")))
    raise_by = Statement(
        Counter.update({Counter.value: Counter.value + given("by")}).where(Counter.name == given("name"))
    )
    add = insertion(Counter)

    for number, name in enumerate("bcd"):
        database.run(lambda tx, name=name, value=number: tx.each(add, name=name, value=value))
    database.run(lambda tx: tx.each(raise_by, name="c", by=40))

    assert database.read(lambda tx: [tx.each(find, name=name) for name in "abcdx"]) == [
        [(0,)],
        [(0,)],
        [(41,)],
        [(2,)],
        [],
    ]


def test_a_statement_takes_the_same_key_only_once(database):
    add = insertion(Counter)

    with pytest.raises(peewee.IntegrityError):
        database.run(lambda tx: tx.each(add, name="a", value=1))

    assert database.read(value_of_a) == 0


def test_an_exception_undoes_everything(database):
    def fail(tx: Transaction) -> None:
        add_one(tx)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        database.run(fail)

    assert database.read(value_of_a) == 0


def test_the_whole_function_is_repeated_on_a_collision(database):
    attempts = []

    def collide_twice(tx: Transaction) -> None:
        add_one(tx)
        attempts.append(1)
        if len(attempts) < 3:
            cause = Exception()
            cause.sqlstate = "40001"
            raise peewee.OperationalError("restart transaction") from cause

    database.run(collide_twice)

    assert len(attempts) == 3
    assert database.read(value_of_a) == 1


def test_a_collision_that_does_not_end_is_unavailable(database, monkeypatch):
    monkeypatch.setattr("appliance.storage.database._LONGEST_PAUSE_S", 0.001)

    def collide(tx: Transaction) -> None:
        raise peewee.OperationalError("database is locked")

    with pytest.raises(Unavailable) as refusal:
        database.run(collide)

    assert refusal.value.key == "database-busy"


def test_a_reader_sees_one_moment_while_others_write(database):
    reading, written = threading.Event(), threading.Event()

    def look_twice(tx: Transaction) -> tuple[int, int]:
        before = value_of_a(tx)
        reading.set()
        assert written.wait(5)
        return before, value_of_a(tx)

    with ThreadPoolExecutor(1) as threads:
        looked = threads.submit(database.read, look_twice)
        assert reading.wait(5)
        database.run(add_one)
        written.set()
        assert looked.result() == (0, 0)


def test_two_databases_share_tables_and_no_rows(database, tmp_path):
    other = Database(f"sqlite:///{tmp_path}/other.sqlite")
    migrate(other, "test", TABLES)

    database.run(add_one)

    assert other.read(lambda tx: tx.count(Counter.select())) == 0


def test_a_transaction_inside_a_transaction_raises(database):
    with pytest.raises(RuntimeError, match="inside"):
        database.run(lambda tx: database.run(add_one))


def test_a_table_is_bound_to_no_database(database):
    with pytest.raises(peewee.InterfaceError):
        Counter.create(name="b", value=1)


def test_a_migration_is_carried_out_once(database):
    done = []
    steps = [*TABLES, Migration(2, "more", lambda tx: done.append(2))]

    migrate(database, "test", steps)
    migrate(database, "test", steps)

    assert done == [2]


def test_the_file_is_private(sqlite, tmp_path):
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}

    assert modes == {0o600}


def test_commits_are_durable_and_foreign_keys_kept(sqlite):
    engine = sqlite._engine
    assert engine.execute_sql("PRAGMA journal_mode").fetchone() == ("wal",)
    assert engine.execute_sql("PRAGMA synchronous").fetchone() == (2,)
    assert engine.execute_sql("PRAGMA foreign_keys").fetchone() == (1,)


@pytest.mark.parametrize(
    "url",
    ["", "rows.sqlite", "mysql://x/y", "sqlite://host/x", "sqlite:///", "postgresql://host", "postgresql://host/"],
)
def test_a_url_that_is_not_understood_is_refused(url):
    with pytest.raises(SettingsError):
        Database(url)


def test_numbers_of_a_feed_have_no_gaps(database):
    def add(tx: Transaction) -> None:
        number = tx.next_number(Counter.value)
        tx.insert(Counter, name=f"n{number}", value=number)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: database.run(add), range(40)))

    values = database.read(lambda tx: [row.value for row in tx.rows(Counter.select().order_by(Counter.value))])
    assert values == list(range(41))


async def test_asyncio_runs_transactions_in_threads(database):
    threads = DatabaseThreads(database)

    await threads.run(add_one)

    assert await threads.read(value_of_a) == 1
    await threads.close()


def test_two_that_look_for_a_row_and_insert_it_make_one(database):
    """As ``ensure a row`` is written everywhere: PostgreSQL answers the second insert with a duplicate key, not a collision."""
    together = threading.Barrier(4, timeout=20)
    waited = threading.local()

    def ensure(tx: Transaction) -> None:
        found = tx.exists(Counter.select().where(Counter.name == "b"))
        if not database._engine.database.endswith(".sqlite") and not hasattr(waited, "once"):
            waited.once = True  # SQLite lets one in at a time
            together.wait()
        if not found:
            tx.insert(Counter, name="b", value=1)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: database.run(ensure), range(4)))

    assert database.read(lambda tx: tx.count(Counter.select().where(Counter.name == "b"))) == 1


def test_a_row_that_is_there_already_is_said_and_not_tried_for_ever(database, monkeypatch):
    monkeypatch.setattr("appliance.storage.database._LONGEST_PAUSE_S", 0.001)

    with pytest.raises(peewee.IntegrityError):
        database.run(lambda tx: tx.insert(Counter, name="a", value=1))


def test_reading_does_not_write(postgresql):
    database = Database(postgresql.new_database())
    migrate(database, "test", TABLES)

    with pytest.raises((Unavailable, peewee.InternalError)):
        database.read(lambda tx: tx.insert(Counter, name="b", value=1))
    database.close()


def test_columns_that_are_added_are_empty_and_added_once(database):
    class Wider(Counter):
        comment = TextField(null=True)
        size = BigIntegerField(null=True)

        class Meta:
            table_name = "counter"

    for _ in range(2):
        database.run(lambda tx: tx.add_columns(Wider.comment, Wider.size))

    (row,) = database.read(lambda tx: tx.rows(Wider.select()))
    assert (row.name, row.comment, row.size) == ("a", None, None)


def test_a_server_that_is_not_there_is_unavailable():
    with pytest.raises(Unavailable) as refusal:
        Database("postgresql://nobody@127.0.0.1:1/nothing").read(lambda tx: None)

    assert refusal.value.key == "database-away"


def test_rows_of_another_writer_are_read_and_the_engine_itself_refuses_to_change_them(database, database_url):
    foreign = Database(database_url, is_read_only=True)
    try:
        assert foreign.read(value_of_a) == 0
        database.run(add_one)
        assert foreign.read(value_of_a) == 1

        with pytest.raises(RuntimeError):
            foreign.run(add_one)
        with pytest.raises((Unavailable, peewee.PeeweeException)):
            foreign.read(add_one)
        assert database.read(value_of_a) == 1
    finally:
        foreign.close()


def test_a_database_that_only_another_may_make_is_not_made(tmp_path):
    with pytest.raises(SettingsError, match="there is no database"):
        Database(f"sqlite:///{tmp_path}/missing.sqlite", is_read_only=True).read(value_of_a)
    assert not list(tmp_path.iterdir())


def test_tables_of_another_version_are_refused_by_who_does_not_migrate_them(database, database_url):
    newer = [*TABLES, Migration(2, "more", lambda tx: None)]
    foreign = Database(database_url, is_read_only=True)
    try:
        refuse_other_shape(foreign, "test", TABLES)
        with pytest.raises(SettingsError, match="the shape 1, this program knows 2"):
            refuse_other_shape(foreign, "test", newer)
    finally:
        foreign.close()
