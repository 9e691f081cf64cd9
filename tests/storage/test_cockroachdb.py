"""What a toplevel of many processes asks of its database, as CockroachDB takes it.

Without a server of CockroachDB (``APPLIANCE_TEST_COCKROACHDB``) peewee's class for it speaks to PostgreSQL, whose wire it shares
and which is given its one type of a name of its own; what only the server itself can refuse is not seen so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from peewee import AutoField, IdentityField, SchemaManager

from appliance.domain.changes import SubjectKind
from appliance.storage import (
    audit,
    enrolment,
    feed,
    kept_trust,
    outbox,
    passkeys,
    record_types,
    second_factors,
    toplevel,
)
from appliance.storage.database import Database, Table, migrate
from appliance.storage.feed import Followed
from tests.postgresql import Postgresql

ROOMS = {
    "toplevel": toplevel.MIGRATIONS,
    "audit": audit.MIGRATIONS,
    "enrolment": enrolment.MIGRATIONS,
    "trust": kept_trust.MIGRATIONS,
}
_MODULES = (toplevel, audit, enrolment, feed, kept_trust, outbox, passkeys, record_types, second_factors)
TABLES = sorted(
    {
        kind
        for module in _MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Table)
    }
    - {Table},
    key=lambda table: str(table._meta.table_name),
)


@pytest.fixture
def database(postgresql: Postgresql) -> Iterator[Database]:
    url = postgresql.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DOMAIN bytes AS bytea")
    made = Database(url.replace("postgresql://", "cockroachdb://", 1))
    yield made
    made.close()


def test_the_tables_of_a_toplevel_are_made(database: Database) -> None:
    for room, migrations in ROOMS.items():
        migrate(database, room, migrations)

    database.run(lambda tx: feed.begin(tx, UUID(int=1), [Followed(SubjectKind.PATIENT, UUID(int=5))]))
    assert database.read(feed.ends) == ((UUID(int=1), 1),)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table._meta.table_name)
def test_no_table_has_a_key_that_the_engine_counts(table: type[Table], database: Database) -> None:
    statement, _ = SchemaManager(table, database._engine)._create_table().query()

    assert not any(isinstance(field, AutoField | IdentityField) for field in table._meta.sorted_fields)
    without_names = re.sub(r'"[^"]*"', "", statement).upper()
    assert not re.search(r"SERIAL|SEQUENCE|IDENTITY|NEXTVAL", without_names)
