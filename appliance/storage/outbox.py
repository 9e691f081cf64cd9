"""What the roles have to tell the appliance above them, and what they took from those below: one outbox for all roles.

Functions here take a ``Transaction``. A change is put in the transaction that writes the rows which it speaks of; its number
is one more than the last that the role gave, also when all before it are acknowledged and gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import msgspec
from peewee import BigIntegerField, BlobField, CharField, CompositeKey, UUIDField, Value
from peewee import Table as Named

from appliance.domain.changes import Change, NumberedChange
from appliance.storage.database import Statement, Table, Transaction, given, insertion


class OutboxRow(Table):
    """A change that was not acknowledged. Roles may share a database, so each row says whose it is."""

    role = CharField(max_length=16)
    sequence = BigIntegerField()
    change = BlobField()
    """``domain.changes.Change`` in MessagePack."""

    class Meta:
        table_name = "outbox"
        primary_key = CompositeKey("role", "sequence")


class OutboxEndRow(Table):
    """The last number that a role gave."""

    role = CharField(max_length=16, primary_key=True)
    sequence = BigIntegerField()

    class Meta:
        table_name = "outbox_end"


class DeliveredRow(Table):
    """The last change that a role took from each child."""

    role = CharField(max_length=16)
    child_id = UUIDField()
    sequence = BigIntegerField()

    class Meta:
        table_name = "delivered"
        primary_key = CompositeKey("role", "child_id")


_END = Statement(OutboxEndRow.select(OutboxEndRow.sequence).where(OutboxEndRow.role == given("role")))
_BEGIN = insertion(OutboxEndRow)
_MOVE_END = Statement(
    OutboxEndRow.update({OutboxEndRow.sequence: given("sequence")}).where(OutboxEndRow.role == given("role"))
)
_ADD = insertion(OutboxRow)


@dataclass(frozen=True, slots=True)
class Outbox:
    """Changes of one role for its parent, in order, until it has acknowledged them."""

    role: str

    def put(self, tx: Transaction, change: Change) -> None:
        """The parent will be told, after all that was put before."""
        end = tx.each(_END, role=self.role)
        sequence = int(end[0][0]) + 1 if end else 1
        tx.each(_MOVE_END if end else _BEGIN, role=self.role, sequence=sequence)
        tx.each(_ADD, role=self.role, sequence=sequence, change=msgspec.msgpack.encode(change))

    def waiting(self, tx: Transaction, *, limit: int) -> tuple[NumberedChange, ...]:
        """The oldest changes that were not acknowledged, in order."""
        rows = tx.rows(OutboxRow.select().where(OutboxRow.role == self.role).order_by(OutboxRow.sequence).limit(limit))
        return tuple(
            NumberedChange(row.sequence, msgspec.msgpack.decode(bytes(row.change), type=Change)) for row in rows
        )

    def length(self, tx: Transaction) -> int:
        return tx.count(OutboxRow.select().where(OutboxRow.role == self.role))

    def acknowledge(self, tx: Transaction, sequence: int) -> None:
        """Changes up to this number are kept by the parent."""
        tx.execute(OutboxRow.delete().where((OutboxRow.role == self.role) & (OutboxRow.sequence <= sequence)))


@dataclass(frozen=True, slots=True)
class Deliveries:
    """How far one role has heard its children."""

    role: str

    def last(self, tx: Transaction, child_id: UUID) -> int:
        """The last sequence number that was taken from a child; 0 before the first."""
        return int(tx.value(DeliveredRow.select(DeliveredRow.sequence).where(self._of(child_id))) or 0)

    def keep(self, tx: Transaction, child_id: UUID, sequence: int) -> None:
        """Changes of the child up to this number are taken."""
        if not tx.execute(DeliveredRow.update(sequence=sequence).where(self._of(child_id))):
            tx.insert(DeliveredRow, role=self.role, child_id=child_id, sequence=sequence)

    def _of(self, child_id: UUID) -> object:
        return (DeliveredRow.role == self.role) & (DeliveredRow.child_id == child_id)


def unite(tx: Transaction, role: str) -> None:
    """The tables are there, with what ``role`` kept in tables of its own before they were one for all."""
    tx.create_tables(OutboxRow, OutboxEndRow, DeliveredRow)
    mine = Value(role)
    for name, table, columns in (
        (f"{role}_outbox", OutboxRow, ("sequence", "change")),
        (f"{role}_outbox_end", OutboxEndRow, ("sequence",)),
        (f"{role}_delivered", DeliveredRow, ("child_id", "sequence")),
    ):
        if tx.has_table(name):
            before = Named(name, columns)
            rows = before.select(mine, *(getattr(before, column) for column in columns))
            tx.execute(table.insert_from(rows, ("role", *columns)))
            tx.drop_table(name)
