"""Records of a trail as administrators look for them, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from appliance.domain.accounts import Account, Role
from appliance.domain.audit import Action, Actor, ActorKind, Event, Outcome, Subject
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.storage import audit, audit_lists, toplevel
from appliance.storage.audit_lists import AuditFilter
from appliance.storage.database import Database, migrate

CLINIC, OTHER = InstitutionId(UUID(int=1)), InstitutionId(UUID(int=2))
ANA, IVO = AccountId(UUID("0b7e3c1e-58f2-4f55-9f0b-0c9c8a1d2e3f")), AccountId(UUID(int=12))
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def by(account_id: AccountId, name: str) -> Actor:
    return Actor(ActorKind.ACCOUNT, str(account_id), name, "192.0.2.1")


EVENTS = (
    Event(by(ANA, "ana"), Action.LOG_IN, Subject("account", str(ANA)), at=NOON),
    Event(by(IVO, "ivo"), Action.LOG_IN, Subject("account", str(IVO)), Outcome.FAILED, "wrong-credentials", at=NOON),
    Event(Actor(ActorKind.COMMAND, "deactivate-account", "root"), Action.DEACTIVATE_ACCOUNT, Subject("account", str(ANA))),
    Event(by(ANA, "ana"), Action.OPEN, Subject("series", "1.2.3.4", "1.2.3"), at=NOON + timedelta(hours=1)),
    Event(Actor(ActorKind.APPLIANCE, str(OTHER), "Other"), Action.ENROL, Subject("institution", str(OTHER))),
    Event(by(IVO, "ivo"), Action.CHANGE_INSTITUTION, Subject("institution", str(CLINIC)), Outcome.REFUSED),
)  # fmt: skip
"""Numbered from 1."""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    migrate(made, "toplevel", toplevel.MIGRATIONS)
    migrate(made, "audit", audit.MIGRATIONS)
    for account_id, name, at in ((ANA, "ana", CLINIC), (IVO, "ivo", OTHER)):
        account = Account(account_id, name, "", name, frozenset({Role.PHYSICIAN}), at)
        made.run(lambda tx, account=account: toplevel.create_account(tx, account, ""))  # type: ignore[misc]
    for event in EVENTS:
        made.run(lambda tx, event=event: audit.record(tx, "toplevel", event))  # type: ignore[misc]
    made.run(lambda tx: audit.record(tx, "node", EVENTS[0]))
    yield made
    made.close()


def numbers(
    database: Database,
    wanted: AuditFilter = AuditFilter(),  # noqa: B008  # frozen
    *,
    of: InstitutionId | None = None,
    after: int | None = None,
    is_descending: bool = False,
    limit: int = 50,
) -> list[int]:
    found = database.read(
        lambda tx: audit_lists.records(
            tx, "toplevel", wanted, of=of, after=after, is_descending=is_descending, limit=limit
        )
    )
    return [kept.sequence for kept in found]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AuditFilter(), [1, 2, 3, 4, 5, 6]),
        (AuditFilter(actor="ana"), [1, 4]),
        (AuditFilter(actor=str(ANA)), [1, 4]),
        (AuditFilter(actor="an"), []),
        (AuditFilter(action=Action.LOG_IN), [1, 2]),
        (AuditFilter(outcome=Outcome.FAILED), [2]),
        (AuditFilter(subject="1.2.3"), [4]),
        (AuditFilter(subject="1.2.3.4"), [4]),
        (AuditFilter(subject="1.2"), []),
        (AuditFilter(until=NOON + timedelta(hours=1), actor="ana"), [1]),
        (AuditFilter(since=NOON + timedelta(hours=1), actor="ana"), [4]),
        (AuditFilter(action=Action.LOG_IN, outcome=Outcome.DONE), [1]),
    ],
)
def test_records_are_found_by_what_is_asked_for(database: Database, wanted: AuditFilter, found: list[int]) -> None:
    assert numbers(database, wanted) == found


def test_of_one_institution_are_what_its_people_and_it_did_and_what_was_done_to_them(database: Database) -> None:
    assert numbers(database, of=CLINIC) == [1, 3, 4, 6]
    assert numbers(database, of=OTHER) == [2, 5, 6]
    assert numbers(database, of=InstitutionId(UUID(int=0))) == []


def test_a_filter_within_one_institution_finds_nothing_of_another(database: Database) -> None:
    assert numbers(database, AuditFilter(actor="ivo"), of=CLINIC) == [6]


def test_records_come_part_by_part_in_both_directions(database: Database) -> None:
    assert numbers(database, limit=4) == [1, 2, 3, 4]
    assert numbers(database, after=4, limit=4) == [5, 6]
    assert numbers(database, is_descending=True, limit=4) == [6, 5, 4, 3]
    assert numbers(database, after=3, is_descending=True, limit=4) == [2, 1]


def test_a_record_is_given_back_as_the_event_that_it_is(database: Database) -> None:
    (kept, *_) = database.read(
        lambda tx: audit_lists.records(tx, "toplevel", AuditFilter(), of=None, after=None, is_descending=False, limit=1)
    )

    assert kept.event == replace(EVENTS[0])
    assert len(kept.hash) == 64
