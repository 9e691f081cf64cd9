"""Record types as they are kept, on both engines: the feed of the toplevel, and what an institution has heard of it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from appliance.domain.changes import RecordType, RecordTypes
from appliance.storage import institution, record_types, toplevel
from appliance.storage.database import Database, migrate

CT, MR, US = (
    RecordType(UUID(int=number), name, is_active=True) for number, name in ((1, "CT"), (2, "MR"), (3, "Žila"))
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Of a toplevel and an institution."""
    made = Database(database_url)
    migrate(made, "toplevel", toplevel.MIGRATIONS)
    migrate(made, "institution", institution.MIGRATIONS)
    for one in (CT, MR, US):
        made.run(lambda tx, one=one: record_types.add(tx, one))  # type: ignore[misc]
    yield made
    made.close()


def told(database: Database, after: int, *, limit: int = 10) -> RecordTypes:
    return database.read(lambda tx: record_types.told_after(tx, after, limit=limit))


def test_the_feed_tells_what_came_after_a_number_in_the_order_of_changes(database: Database) -> None:
    renamed = RecordType(CT.id, "Computed tomography", is_active=False)
    assert database.run(lambda tx: record_types.change(tx, renamed))

    assert told(database, 0) == RecordTypes((MR, US, renamed), last=4, is_all=True)
    assert told(database, 3) == RecordTypes((renamed,), last=4, is_all=True)
    assert told(database, 4) == RecordTypes((), last=4, is_all=True)


def test_the_feed_tells_part_by_part(database: Database) -> None:
    first = told(database, 0, limit=2)

    assert first == RecordTypes((CT, MR), last=2, is_all=False)
    assert told(database, first.last, limit=2) == RecordTypes((US,), last=3, is_all=True)


def test_a_number_that_was_never_given_is_answered_with_all(database: Database) -> None:
    assert told(database, 99) == RecordTypes((CT, MR, US), last=3, is_all=True)


def test_a_name_is_taken_whatever_its_marks_and_case(database: Database) -> None:
    assert database.read(lambda tx: record_types.has_name(tx, "ZILA"))
    assert not database.read(lambda tx: record_types.has_name(tx, "zila", beside=US.id))
    assert not database.read(lambda tx: record_types.has_name(tx, "PET"))


def test_what_is_heard_replaces_what_was_known_and_is_not_heard_twice(database: Database) -> None:
    database.run(lambda tx: record_types.keep(tx, RecordTypes((US, CT), last=7, is_all=False)))
    retired = RecordType(CT.id, "CT", is_active=False)
    database.run(lambda tx: record_types.keep(tx, RecordTypes((retired,), last=8, is_all=True)))

    assert database.read(record_types.known) == (retired, US)
    assert database.read(record_types.heard) == 8


def test_an_institution_that_has_heard_nothing_begins_at_nothing(database: Database) -> None:
    assert database.read(record_types.known) == ()
    assert database.read(record_types.heard) == 0
