"""Who may deliver to the roles of an appliance: tokens that wait to be redeemed, the children, and what they signed lately.

Functions here take a ``Transaction`` and the role that they are for: roles may share a database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from peewee import BlobField, CharField, CompositeKey, DateTimeField, TextField, UUIDField

from appliance.domain.enrolment import EnrolledChild
from appliance.storage.database import Migration, Table, Transaction


class EnrolmentTokenRow(Table):
    """A token, until it ends. Its secret is kept as a hash."""

    role = CharField(max_length=16)
    secret_sha256 = BlobField()
    ends_at = DateTimeField()
    child_id = UUIDField(null=True)
    """The only child that may redeem it, and may have a key already; any new one where there is none."""
    redeemed_by = TextField(null=True)
    """The public key that did: it may ask again, if the answer was lost on the way."""

    class Meta:
        table_name = "enrolment_token"
        primary_key = CompositeKey("role", "secret_sha256")


class ChildRow(Table):
    role = CharField(max_length=16)
    child_id = UUIDField()
    name = TextField()
    public_key = TextField()
    enrolled_at = DateTimeField()
    seen_at = DateTimeField(null=True)

    class Meta:
        table_name = "child"
        primary_key = CompositeKey("role", "child_id")


class NonceRow(Table):
    """A request that was taken, for as long as its signature is good: the same one again is refused, by every process."""

    role = CharField(max_length=16)
    child_id = UUIDField()
    nonce = CharField(max_length=64)
    ends_at = DateTimeField(index=True)

    class Meta:
        table_name = "child_nonce"
        primary_key = CompositeKey("role", "child_id", "nonce")


MIGRATIONS = (Migration(1, "children", lambda tx: tx.create_tables(EnrolmentTokenRow, ChildRow, NonceRow)),)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that has not ended."""

    child_id: UUID | None
    redeemed_by: str | None


# Times are kept in UTC without a zone, which every engine stores alike.
def _plain(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def _zoned(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


def put_token(tx: Transaction, role: str, secret_sha256: bytes, ends_at: datetime, child_id: UUID | None) -> None:
    tx.execute(EnrolmentTokenRow.delete().where(EnrolmentTokenRow.ends_at < _plain(datetime.now(UTC))))
    tx.insert(EnrolmentTokenRow, role=role, secret_sha256=secret_sha256, ends_at=_plain(ends_at), child_id=child_id)


def token(tx: Transaction, role: str, secret_sha256: bytes) -> Token | None:
    """None if there is none, or it has ended."""
    is_good = EnrolmentTokenRow.ends_at >= _plain(datetime.now(UTC))
    row = tx.first(EnrolmentTokenRow.select().where(_is_token(role, secret_sha256) & is_good))
    return Token(row.child_id, row.redeemed_by) if row else None


def redeem_token(tx: Transaction, role: str, secret_sha256: bytes, public_key: str) -> None:
    tx.execute(EnrolmentTokenRow.update(redeemed_by=public_key).where(_is_token(role, secret_sha256)))


def _is_token(role: str, secret_sha256: bytes) -> Any:  # Any: peewee has no types
    return (EnrolmentTokenRow.role == role) & (EnrolmentTokenRow.secret_sha256 == secret_sha256)


def keep_child(tx: Transaction, role: str, child_id: UUID, name: str, public_key: str) -> None:
    """The child is known by this key from now on, and by no other."""
    forget_child(tx, role, child_id)
    now = _plain(datetime.now(UTC))
    tx.insert(ChildRow, role=role, child_id=child_id, name=name, public_key=public_key, enrolled_at=now, seen_at=None)


def forget_child(tx: Transaction, role: str, child_id: UUID) -> bool:
    """Whether there was such a child; it may not deliver any more."""
    return tx.execute(ChildRow.delete().where(_is_child(role, child_id))) > 0


def child(tx: Transaction, role: str, child_id: UUID) -> EnrolledChild | None:
    row = tx.first(ChildRow.select().where(_is_child(role, child_id)))
    return _child(row) if row else None


def children(tx: Transaction, role: str) -> tuple[EnrolledChild, ...]:
    """By name."""
    rows = tx.rows(ChildRow.select().where(ChildRow.role == role).order_by(ChildRow.name, ChildRow.child_id))
    return tuple(_child(row) for row in rows)


def _is_child(role: str, child_id: UUID) -> Any:
    return (ChildRow.role == role) & (ChildRow.child_id == child_id)


def _child(row: Any) -> EnrolledChild:
    seen_at = _zoned(row.seen_at) if row.seen_at else None
    return EnrolledChild(row.child_id, row.name, row.public_key, _zoned(row.enrolled_at), seen_at)


def note_nonce(tx: Transaction, role: str, child_id: UUID, nonce: str, ends_at: datetime) -> bool:
    """Whether the child has not used the nonce before; it has now."""
    now = _plain(datetime.now(UTC))
    this = (NonceRow.role == role) & (NonceRow.child_id == child_id) & (NonceRow.nonce == nonce)
    if tx.exists(NonceRow.select(NonceRow.nonce).where(this)):
        return False
    tx.execute(NonceRow.delete().where(NonceRow.ends_at < now))
    tx.insert(NonceRow, role=role, child_id=child_id, nonce=nonce, ends_at=_plain(ends_at))
    tx.execute(ChildRow.update(seen_at=now).where(_is_child(role, child_id)))
    return True
