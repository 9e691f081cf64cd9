"""The records of a trail as administrators look for them, by their numbers: the newest first, or the oldest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from peewee import fn

from appliance.domain.audit import Action, Actor, ActorKind, Event, Outcome, Subject
from appliance.domain.identifiers import InstitutionId
from appliance.storage.audit import AuditRow
from appliance.storage.database import Transaction
from appliance.storage.toplevel import AccountRow


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records are meant; what is None is not asked for."""

    actor: str | None = None
    """The id or the name of whoever did it."""
    action: Action | None = None
    outcome: Outcome | None = None
    subject: str | None = None
    """The UID of what it was done to, or of the study that it is of."""
    since: datetime | None = None
    until: datetime | None = None
    """Records before this moment."""


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event that is on record."""

    sequence: int
    event: Event
    hash: str


def records(
    tx: Transaction,
    room: str,
    wanted: AuditFilter,
    *,
    of: InstitutionId | None,
    after: int | None,
    is_descending: bool,
    limit: int,
) -> tuple[KeptEvent, ...]:
    """At most ``limit`` records beyond number ``after``; of a toplevel, with ``of``, only those of one institution:
    what its people did, what was done to their accounts, and what was done by it or to it."""
    row = AuditRow
    query = row.select().where(row.room == room)
    for condition in _conditions(wanted):
        query = query.where(condition)
    if of is not None:
        query = query.where(_is_of(of))
    if after is not None:
        query = query.where(row.sequence < after if is_descending else row.sequence > after)
    order = row.sequence.desc() if is_descending else row.sequence
    return tuple(map(_kept, tx.rows(query.order_by(order).limit(limit))))


def _conditions(wanted: AuditFilter) -> list[Any]:  # Any: peewee has no types
    row, found = AuditRow, []
    if wanted.actor is not None:
        found.append((row.actor_id == wanted.actor) | (row.actor_name == wanted.actor))
    if wanted.action is not None:
        found.append(row.action == str(wanted.action))
    if wanted.outcome is not None:
        found.append(row.outcome == str(wanted.outcome))
    if wanted.subject is not None:
        found.append((row.subject_uid == wanted.subject) | (row.study_uid == wanted.subject))
    if wanted.since is not None:
        found.append(row.at >= _written(wanted.since))
    if wanted.until is not None:
        found.append(row.at < _written(wanted.until))
    return found


def _is_of(institution_id: InstitutionId) -> Any:
    # Ids are text here and UUIDs there, which engines write with hyphens or without.
    people = AccountRow.select(_bare(AccountRow.id.cast("TEXT"))).where(AccountRow.institution_id == institution_id)
    row, own = AuditRow, str(institution_id)
    by_people = (row.actor_kind == str(ActorKind.ACCOUNT)) & _bare(row.actor_id).in_(people)
    of_people = (row.subject_kind == "account") & _bare(row.subject_uid).in_(people)
    by_itself = (row.actor_kind == str(ActorKind.APPLIANCE)) & (row.actor_id == own)
    of_itself = (row.subject_kind == "institution") & (row.subject_uid == own)
    return by_people | of_people | by_itself | of_itself


def _bare(text: Any) -> Any:
    return fn.REPLACE(text, "-", "")


def _written(at: datetime) -> str:
    """As the column has it: text in this form is in the order of time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _kept(row: Any) -> KeptEvent:
    event = Event(
        Actor(ActorKind(row.actor_kind), row.actor_id, row.actor_name, row.address),
        Action(row.action),
        Subject(row.subject_kind, row.subject_uid, row.study_uid),
        Outcome(row.outcome),
        row.reason,
        row.instances,
        row.size_bytes,
        datetime.fromisoformat(row.at),
    )
    return KeptEvent(row.sequence, event, row.hash)
