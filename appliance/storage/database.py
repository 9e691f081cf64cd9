"""Where rows are kept: one engine, whole transactions, numbered migrations.

How a role uses it (``storage/index.py`` is an example):

* Tables are subclasses of ``Table`` at module level. They describe and nothing more: no database is bound to them, so
  two appliances in one process share the classes and never the rows.
* All work is a function of a ``Transaction``: ``database.run(fn)`` to write, ``database.read(fn)`` to look. A query is
  made from the table and given to the transaction: ``tx.rows(Study.select().where(…))``,
  ``tx.execute(Study.update(…))``. Peewee's shortcuts that look for a bound database (``Study.create``, ``study.save``,
  ``Study.get``, iterating over a query, following a foreign key) raise; that is meant.
* What is run for every instance is a ``Statement``, made at module level with ``given("name")`` where values stand and
  executed by ``tx.each(statement, name=value)``: peewee takes ten times as long to write SQL as the engine to carry it out.
* ``fn`` may run several times: the whole of it is repeated when the engine says that transactions collided. It has no
  effect outside the database, keeps no row beyond its end but returns plain or frozen values.
* Keys are natural or UUIDs made by us, numbers of a feed are taken with ``tx.next_number``; conflicts are named by
  columns. Nothing outside this module knows which engine it is.

Peewee keeps a connection for each thread; everything here blocks, so in asyncio it is called through
``services.database_threads``.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import peewee
from peewee import SQL, CompositeKey, IntegerField, Model, SchemaManager, TextField, fn
from playhouse.cockroachdb import CockroachDatabase

from appliance.domain.errors import SettingsError, Unavailable
from appliance.storage import mounts

T = TypeVar("T")

# Peewee writes every statement with its values to the log at level debug, and the values are patients.
logging.getLogger("peewee").setLevel(logging.WARNING)

_ATTEMPTS = 12
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.5
_BUSY_TIMEOUT_S = 10
_COLLISIONS = frozenset({"40001", "40P01"})
"""SQLSTATE of serialization failure and of deadlock (PostgreSQL appendix A; CockroachDB uses the first)."""
_DUPLICATE_KEY = "23505"
"""What PostgreSQL may say instead, when two transactions looked for a row and both insert it (its manual, §13.5)."""

_COCKROACHDB = "cockroachdb"
_SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",  # in WAL mode less than full may lose acknowledged transactions in a power cut
    "foreign_keys": 1,
    "case_sensitive_like": 1,  # as everywhere else, and so that an index serves a pattern that begins with letters
}
_SQLITE_READING_PRAGMAS = {"query_only": 1, "case_sensitive_like": 1}


class Table(Model):
    """Base of all tables; the table is named like the class, in snake case."""

    class Meta:
        legacy_table_names = False


class MigrationRow(Table):
    """A migration that was carried out."""

    room = TextField()
    number = IntegerField()
    name = TextField()

    class Meta:
        table_name = "migration"
        primary_key = CompositeKey("room", "number")


@dataclass(frozen=True, slots=True)
class _Given:
    name: str


def given(name: str) -> Any:  # Any: peewee has no types
    """The place of a value in a ``Statement``. What is put there is of the type that the column has in the engine."""
    return peewee.Value(_Given(name), converter=False)


def insertion(table: type[Table]) -> Statement:
    """One new row, every column given by its name."""
    return Statement(table.insert({column: given(column.name) for column in table._meta.sorted_fields}))


class Statement:
    """A query whose text is written once for each engine."""

    def __init__(self, query: Any) -> None:  # Any: peewee has no types
        self._query = query
        self._written: dict[type, tuple[str, tuple[object, ...]]] = {}

    def for_engine(self, engine: Any, values: Mapping[str, object]) -> tuple[str, tuple[object, ...]]:
        """The text, and the values in its order."""
        written = self._written.get(type(engine))
        if written is None:
            text, places = engine.get_sql_context().sql(self._query).query()
            written = self._written[type(engine)] = (text, tuple(places))
        text, places = written
        return text, tuple(values[place.name] if isinstance(place, _Given) else place for place in places)


class Transaction:
    """The rows as one transaction sees them; valid inside the function that got it, on its thread."""

    def __init__(self, engine: Any) -> None:  # Any: peewee has no types
        self._engine = engine

    def rows(self, query: Any) -> list[Any]:
        """All rows of a query of one table or more, as instances of the table (or as the query says: ``.dicts()``)."""
        return list(query.execute(self._engine))

    def first(self, query: Any) -> Any | None:
        """The first row, None if there is none."""
        return next(iter(self.rows(query.limit(1))), None)

    def value(self, query: Any) -> Any:
        """The first column of the first row, None if there is none."""
        row = self.first(query.tuples())
        return None if row is None else row[0]

    def exists(self, query: Any) -> bool:
        """Whether the query has a row."""
        return self.first(query.tuples()) is not None

    def count(self, query: Any) -> int:
        """How many rows the query has."""
        return int(query.count(self._engine))

    def execute(self, query: Any) -> int:
        """Carries out an update or a delete; how many rows it changed. For inserts the number means nothing."""
        changed = query.execute(self._engine)
        return changed if isinstance(changed, int) else 0

    def insert(self, table: type[Table], **values: object) -> None:
        """One new row."""
        table.insert(**values).execute(self._engine)

    def each(self, statement: Statement, **values: object) -> list[tuple[Any, ...]]:
        """Carries out a statement; its rows, as plain columns, where it is one that has any."""
        cursor = self._engine.execute_sql(*statement.for_engine(self._engine, values))
        return cursor.fetchall() if cursor.description else []

    def next_number(self, column: Any) -> int:
        """One more than the largest value of a column: without gaps, and in the order of the commits.

        Two transactions that take the same number collide and one is repeated; so this is for feeds whose reader must
        not see 8 before 7, which the sequences of an engine do not promise.
        """
        largest = self.value(column.model.select(fn.MAX(column)))
        return 1 if largest is None else int(largest) + 1

    def create_tables(self, *tables: type[Table]) -> None:
        """The tables and their indexes exist; those that did are left as they are."""
        for table in tables:
            schema = SchemaManager(table, self._engine)
            schema.create_table(safe=True)
            schema.create_indexes(safe=True)

    def has_table(self, name: str) -> bool:
        return bool(self._engine.table_exists(name))

    def drop_table(self, name: str) -> None:
        """A table of an older shape, whose rows have gone elsewhere, is no more."""
        self._engine.execute_sql(f'DROP TABLE "{name}"')

    def add_columns(self, *columns: Any) -> None:
        """The columns exist, empty in the rows that are there; those that did are left as they are. They are nullable."""
        for column in columns:
            table = column.model._meta.table_name
            if column.column_name not in {known.name for known in self._engine.get_columns(table)}:
                definition, _ = self._engine.get_sql_context().sql(column.ddl(self._engine.get_sql_context())).query()
                self._engine.execute_sql(f'ALTER TABLE "{table}" ADD COLUMN {definition}')


def matches(column: Any, pattern: str) -> Any:  # Any: peewee has no types
    """Whether a text column fits a pattern of SQL, with ``%`` and ``_``, ``!`` before those that mean themselves.

    Case counts. Peewee's own operator means another language of patterns on SQLite.
    """
    return peewee.NodeList((column, SQL("LIKE"), peewee.Value(pattern), SQL("ESCAPE '!'")))


@dataclass(frozen=True, slots=True)
class Migration:
    """A step from one shape of the tables to the next; carrying it out twice does no harm."""

    number: int
    name: str
    apply: Callable[[Transaction], None]


class Database:
    """One database, opened by URL: ``sqlite:///relative/path``, ``sqlite:////absolute/path``, ``postgresql://…`` as libpq has it,
    ``cockroachdb://…`` the same for a server of CockroachDB.

    A database of PostgreSQL is in UTF-8 and of the locale C, so that text has the same order as in SQLite.

    Raises SettingsError for a URL that it does not understand. Opening touches no file until the first transaction.
    """

    def __init__(self, url: str, *, is_read_only: bool = False) -> None:
        """``is_read_only`` is for rows of which another process is the writer: the engine itself refuses to change them."""
        self._engine = _engine(url, is_read_only)
        self._is_read_only = is_read_only
        self._inside = threading.local()

    def run(self, work: Callable[[Transaction], T]) -> T:
        """What ``work`` returned, when all that it wrote is durable; nothing is written if it raises.

        Repeated as a whole on collisions; ``Unavailable`` when they do not end, or the engine cannot be reached.
        """
        if self._is_read_only:
            raise RuntimeError("these rows have another writer")
        return self._retried(work, "IMMEDIATE")

    def read(self, work: Callable[[Transaction], T]) -> T:
        """What ``work`` returned, all its queries seeing the same moment. It must not write."""
        return self._retried(work, "DEFERRED")

    def close(self) -> None:
        """This thread's connection is closed; the next transaction of the thread opens another."""
        if not self._engine.is_closed():
            self._engine.close()

    def _retried(self, work: Callable[[Transaction], T], mode: str) -> T:
        if getattr(self._inside, "running", False):
            raise RuntimeError("a transaction inside a transaction: hand the outer one down instead")
        self._inside.running = True
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    return self._once(work, mode)
                except (peewee.OperationalError, peewee.InternalError, peewee.IntegrityError) as error:
                    if isinstance(error, peewee.IntegrityError):
                        if _sqlstate(error) != _DUPLICATE_KEY or attempt == _ATTEMPTS - 1:
                            raise
                    elif not _is_collision(error):
                        self.close()  # a connection that was lost stays lost
                        raise Unavailable("the database cannot be used", key="database-away") from error
                    pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt)
                    time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311  # jitter, not a secret
            raise Unavailable("the database is too busy", key="database-busy")
        finally:
            self._inside.running = False

    def _once(self, work: Callable[[Transaction], T], mode: str) -> T:
        self._engine.connect(reuse_if_open=True)
        self._engine.begin(mode)
        try:
            result = work(Transaction(self._engine))
            self._engine.commit()
        except BaseException:
            with suppress(peewee.OperationalError):  # the engine may have rolled back by itself
                self._engine.rollback()
            raise
        return result


def migrate(database: Database, room: str, migrations: Sequence[Migration]) -> None:
    """The tables of ``room`` have their newest shape. Each step is one transaction, taken once, in order of number.

    ``room`` names whose tables they are, since several roles may share a database.
    """
    database.run(lambda tx: tx.create_tables(MigrationRow))
    for migration in sorted(migrations, key=lambda migration: migration.number):
        database.run(lambda tx, step=migration: _apply(tx, room, step))  # type: ignore[misc]


def refuse_other_shape(database: Database, room: str, migrations: Sequence[Migration]) -> None:
    """Returns if the tables of ``room``, which another process migrates, have the shape that this program knows.

    Raises SettingsError.
    """
    wanted = max(migration.number for migration in migrations)
    newest = MigrationRow.select(fn.MAX(MigrationRow.number)).where(MigrationRow.room == room)
    found = database.read(lambda tx: tx.value(newest) if tx.has_table("migration") else None)
    if found != wanted:
        raise SettingsError(
            f"the {room}'s tables have the shape {found or 0}, this program knows {wanted}: both must be of the same version"
        )


def _apply(tx: Transaction, room: str, step: Migration) -> None:
    done = MigrationRow.select().where((MigrationRow.room == room) & (MigrationRow.number == step.number))
    if tx.exists(done):
        return
    step.apply(tx)
    tx.insert(MigrationRow, room=room, number=step.number, name=step.name)


def file_of(url: str) -> Path | None:
    """Where the rows are, of a database that is a file; None of one that is a server's."""
    parts = urlsplit(url)
    return Path(unquote(parts.path[1:])) if parts.scheme == "sqlite" else None


def _engine(url: str, is_read_only: bool) -> Any:
    parts = urlsplit(url)
    if parts.scheme in ("postgresql", "postgres") and len(parts.path) > 1:
        # The URL goes to libpq whole, with all that it may say: hosts, TLS, the file of passwords.
        if is_read_only:
            options = "-c default_transaction_read_only=on"
            return _SerializablePostgresql(url, prefer_psycopg3=True, options=options)
        return _SerializablePostgresql(url, prefer_psycopg3=True)
    if parts.scheme == _COCKROACHDB and len(parts.path) > 1:
        return _SerializableCockroach(url.replace(_COCKROACHDB, "postgresql", 1), prefer_psycopg3=True)
    if parts.scheme != "sqlite" or parts.netloc or len(parts.path) < 2:
        raise SettingsError(
            f"database URL with scheme {parts.scheme!r}: expected sqlite:///path, postgresql://host/name or cockroachdb://host/name"
        )
    path = file_of(url)
    if is_read_only:
        return _ForeignSqlite(str(path), pragmas=_SQLITE_READING_PRAGMAS, timeout=_BUSY_TIMEOUT_S)
    return _PrivateSqlite(str(path), pragmas=_SQLITE_PRAGMAS, timeout=_BUSY_TIMEOUT_S)


_POSTGRESQL_MODES = {"IMMEDIATE": "SERIALIZABLE", "DEFERRED": "REPEATABLE READ READ ONLY"}
"""Writing, the outcome is that of some order of the transactions; reading, all queries see the same moment."""


class _Serializable:
    """The two modes that ``Database`` knows, named as SQLite names them, where they are said as in PostgreSQL."""

    execute_sql: Callable[[str], Any]

    def begin(self, mode: str) -> None:
        self.execute_sql(f"BEGIN TRANSACTION ISOLATION LEVEL {_POSTGRESQL_MODES[mode]}")


class _SerializablePostgresql(_Serializable, peewee.PostgresqlDatabase):  # type: ignore[misc]  # a begin of its own
    pass


class _SerializableCockroach(_Serializable, CockroachDatabase):  # type: ignore[misc]
    """Reading, it takes the level that is asked for as the one above it, which is its own."""


class _PrivateSqlite(peewee.SqliteDatabase):
    """SQLite in a file that only its owner may read."""

    def _connect(self) -> Any:
        # SQLite gives its -wal and -shm files the mode of the database, so making the file first is enough.
        path = Path(self.database)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
        except OSError as error:
            raise SettingsError(f"the database {path} cannot be opened: {error.strerror}") from error
        return super()._connect()  # type: ignore[misc]  # peewee makes it in a way that its types do not say


class _ForeignSqlite(peewee.SqliteDatabase):
    """SQLite in a file that a process of the same machine writes."""

    def _connect(self) -> Any:
        path = Path(self.database)
        if not path.is_file():
            raise SettingsError(f"there is no database {path}")
        kind = mounts.shared_kind(path)
        if (
            kind is not None
        ):  # sqlite.org/wal.html: all who use a file in WAL mode share memory, so they are on one machine
            raise SettingsError(f"{path} is on {kind}: SQLite cannot be read from another machine; PostgreSQL can")
        return super()._connect()  # type: ignore[misc]  # as above


def _is_collision(error: Exception) -> bool:
    if _sqlstate(error) in _COLLISIONS:
        return True
    return "locked" in str(error)  # SQLite: "database is locked", "database table is locked"


def _sqlstate(error: Exception) -> str | None:
    """What the engine says of an error of peewee, which was raised while that of the driver was handled."""
    cause = error.__cause__ or error.__context__ or error
    return getattr(cause, "sqlstate", None)
