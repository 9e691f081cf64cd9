"""Heads of the audit trails below, as they came up: kept where who writes those trails cannot reach.

A chain that was cut, or written anew, does not contain a head that is kept here. The newest is kept, and of those before it one
an hour: whoever writes a chain anew soon tells heads of the new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from peewee import BigIntegerField, CompositeKey, DateTimeField, TextField, UUIDField

from appliance.domain.changes import AuditHead
from appliance.domain.identifiers import InstitutionId
from appliance.storage.audit import Head
from appliance.storage.database import Table, Transaction

_KEPT_EVERY = timedelta(hours=1)


class ToldChainRow(Table):
    """A trail of an institution or of one of its nodes."""

    institution_id = UUIDField()
    keeper_id = UUIDField()
    """The institution or the node that keeps the trail."""
    room = TextField()
    fault = TextField(null=True)
    """How the first head that contradicts those before it does so: ``cut`` or ``rewritten``."""
    fault_at = DateTimeField(null=True)

    class Meta:
        table_name = "audit_chain"
        primary_key = CompositeKey("institution_id", "keeper_id")


class ToldHeadRow(Table):
    institution_id = UUIDField()
    keeper_id = UUIDField()
    sequence = BigIntegerField()
    hash = TextField()
    told_at = DateTimeField()

    class Meta:
        table_name = "audit_told_head"
        primary_key = CompositeKey("institution_id", "keeper_id", "sequence")


def create(tx: Transaction) -> None:
    tx.create_tables(ToldChainRow, ToldHeadRow)


@dataclass(frozen=True, slots=True)
class ToldChain:
    """What is known of a trail below."""

    institution_id: UUID
    keeper_id: UUID
    room: str
    sequence: int
    """Of the newest head that contradicts none before it."""
    told_at: datetime
    fault: str | None
    fault_at: datetime | None


def hear(tx: Transaction, institution_id: InstitutionId, told: AuditHead, now: datetime) -> str | None:
    """The head is kept; or it contradicts those that are kept: then how, which stays on record."""
    newest = tx.rows(_heads(institution_id, told.keeper_id).order_by(ToldHeadRow.sequence.desc()).limit(2))
    if not newest:
        values = {"institution_id": institution_id, "keeper_id": told.keeper_id}
        tx.insert(ToldChainRow, **values, room=told.room, fault=None, fault_at=None)
    fault = _contradiction(tx, institution_id, told, newest)
    if fault is not None:
        unknown = _is_of(ToldChainRow, institution_id, told.keeper_id) & ToldChainRow.fault.is_null()
        tx.execute(ToldChainRow.update(fault=fault, fault_at=_plain(now)).where(unknown))
        return fault
    if newest and newest[0].sequence == told.sequence:
        return None
    if len(newest) == 2 and newest[0].told_at - newest[1].told_at < _KEPT_EVERY:
        this = _is_of(ToldHeadRow, institution_id, told.keeper_id) & (ToldHeadRow.sequence == newest[0].sequence)
        tx.execute(ToldHeadRow.delete().where(this))
    tx.insert(
        ToldHeadRow,
        institution_id=institution_id,
        keeper_id=told.keeper_id,
        sequence=told.sequence,
        hash=told.hash,
        told_at=_plain(now),
    )
    return None


def _contradiction(tx: Transaction, institution_id: InstitutionId, told: AuditHead, newest: list[Any]) -> str | None:
    same = tx.first(_heads(institution_id, told.keeper_id).where(ToldHeadRow.sequence == told.sequence))
    if same is not None and same.hash != told.hash:
        return "rewritten"
    return "cut" if newest and told.sequence < newest[0].sequence else None


def heads(tx: Transaction, institution_id: InstitutionId) -> tuple[AuditHead, ...]:
    """Those that are kept of an institution's trails, and its nodes'."""
    chains = {row.keeper_id: row.room for row in tx.rows(_chains(institution_id))}
    rows = tx.rows(ToldHeadRow.select().where(ToldHeadRow.institution_id == institution_id))
    return tuple(AuditHead(row.keeper_id, chains[row.keeper_id], row.sequence, row.hash) for row in rows)


def chains(tx: Transaction, institution_id: InstitutionId | None) -> tuple[ToldChain, ...]:
    """The trails of one institution and its nodes, or of all."""
    found: list[ToldChain] = []
    for row in tx.rows(_chains(institution_id).order_by(ToldChainRow.institution_id, ToldChainRow.keeper_id)):
        newest = tx.first(_heads(row.institution_id, row.keeper_id).order_by(ToldHeadRow.sequence.desc()))
        assert newest is not None, "a chain begins with a head"
        found.append(
            ToldChain(
                row.institution_id,
                row.keeper_id,
                row.room,
                newest.sequence,
                newest.told_at.replace(tzinfo=UTC),
                row.fault,
                row.fault_at.replace(tzinfo=UTC) if row.fault_at else None,
            )
        )
    return tuple(found)


def as_anchors(told: tuple[AuditHead, ...], keeper_id: UUID) -> tuple[Head, ...]:
    """The heads of one trail, as it is compared with them."""
    return tuple(Head(one.sequence, one.hash) for one in told if one.keeper_id == keeper_id)


def _chains(institution_id: InstitutionId | None) -> Any:  # Any: peewee has no types
    query = ToldChainRow.select()
    return query if institution_id is None else query.where(ToldChainRow.institution_id == institution_id)


def _heads(institution_id: UUID, keeper_id: UUID) -> Any:
    return ToldHeadRow.select().where(_is_of(ToldHeadRow, institution_id, keeper_id))


def _is_of(table: Any, institution_id: UUID, keeper_id: UUID) -> Any:
    return (table.institution_id == institution_id) & (table.keeper_id == keeper_id)


def _plain(at: datetime) -> datetime:
    """In UTC without a zone, which every engine stores alike."""
    return at.astimezone(UTC).replace(tzinfo=None)
