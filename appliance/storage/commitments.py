"""Storage commitments that were promised and whose results a peer has not heard yet: they outlive the process that promised.

What is kept is the request: its result is found when it is told. Several processes tell; each takes one for a while before it
does, so that a second one takes it up only when the first has died over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec
from peewee import BigIntegerField, BlobField, IntegerField, TextField, UUIDField

from appliance.storage.database import Migration, Table, Transaction
from appliance.storage.dimse_queries import CommitmentRequest


class CommitmentRow(Table):
    id = UUIDField(primary_key=True)
    ae_title = TextField()
    request = BlobField()
    attempts = IntegerField()
    due_ms = BigIntegerField(index=True)
    expires_ms = BigIntegerField()

    class Meta:
        table_name = "commitment"


MIGRATIONS = (Migration(1, "commitments to be told", lambda tx: tx.create_tables(CommitmentRow)),)


@dataclass(frozen=True, slots=True)
class Promised:
    """A commitment to be told. Times are milliseconds since 1970, of the clock on the wall: they outlive a process."""

    id: UUID
    ae_title: str
    request: CommitmentRequest
    attempts: int
    """That failed, up to now."""
    expires_ms: int


def promise(tx: Transaction, ae_title: str, request: CommitmentRequest, *, due_ms: int, expires_ms: int) -> None:
    """The peer will be told, from ``due_ms`` on and until it expires."""
    tx.insert(
        CommitmentRow,
        id=uuid4(),
        ae_title=ae_title,
        request=msgspec.msgpack.encode(request),
        attempts=0,
        due_ms=due_ms,
        expires_ms=expires_ms,
    )


def count(tx: Transaction) -> int:
    return tx.count(CommitmentRow.select())


def next_due_ms(tx: Transaction) -> int | None:
    """When the next one is due; None if none waits."""
    due_ms = tx.value(CommitmentRow.select(CommitmentRow.due_ms).order_by(CommitmentRow.due_ms))
    return None if due_ms is None else int(due_ms)


def take(tx: Transaction, *, now_ms: int, until_ms: int) -> Promised | None:
    """One that is due; nobody else takes it before ``until_ms``."""
    row = tx.first(CommitmentRow.select().where(CommitmentRow.due_ms <= now_ms).order_by(CommitmentRow.due_ms))
    if row is None:
        return None
    tx.execute(CommitmentRow.update(due_ms=until_ms).where(_is(row.id)))
    request = msgspec.msgpack.decode(bytes(row.request), type=CommitmentRequest)
    return Promised(row.id, row.ae_title, request, row.attempts, row.expires_ms)


def put_off(tx: Transaction, promised: Promised, *, due_ms: int) -> None:
    """It could not be told, and is due again later."""
    tx.execute(CommitmentRow.update(due_ms=due_ms, attempts=promised.attempts + 1).where(_is(promised.id)))


def forget(tx: Transaction, promised: Promised) -> None:
    """It was told, or never will be."""
    tx.execute(CommitmentRow.delete().where(_is(promised.id)))


def _is(commitment_id: UUID) -> Any:
    return CommitmentRow.id == commitment_id
