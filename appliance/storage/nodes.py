"""The nodes of an institution as administrators list them, and what points to one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from appliance.domain.listing import Part, PartWanted
from appliance.domain.nodes import NodeRecord, NodeState
from appliance.storage import enrolment
from appliance.storage.database import Transaction
from appliance.storage.enrolment import ChildRow
from appliance.storage.inbox import StudyAtNodeRow
from appliance.storage.institution import KnownNodeRow
from appliance.storage.listing import Sorting, rows_of

SORTINGS = {"name": Sorting(KnownNodeRow.name)}
CHILDREN = "node"
"""What the children of an institution are called in the tables of enrolment."""


def nodes(tx: Transaction, state: NodeState | None, part: PartWanted, here: UUID | None) -> Part[NodeRecord]:
    """Those in ``state``, or all; ``here`` is in the same process. Raises ValueError for a place that is none of this list."""
    query = KnownNodeRow.select()
    if state is not None:
        query = query.where(_is_in(state, here))
    total = tx.count(query)
    rows, end = rows_of(tx, query, KnownNodeRow.id, SORTINGS[part.sort], part)
    return Part(tuple(_record(tx, row, here) for row in rows), end, total)


def node(tx: Transaction, node_id: UUID, here: UUID | None) -> NodeRecord | None:
    row = tx.first(KnownNodeRow.select().where(KnownNodeRow.id == node_id))
    return _record(tx, row, here) if row else None


def delete(tx: Transaction, node_id: UUID) -> None:
    """It is not named any more. How far it was heard stays known, so that nothing of it is taken twice."""
    tx.execute(KnownNodeRow.delete().where(KnownNodeRow.id == node_id))


def _is_in(state: NodeState, here: UUID | None) -> Any:  # Any: peewee has no types
    is_here = KnownNodeRow.id == (here or UUID(int=0))
    if state is NodeState.HERE:
        return is_here
    is_enrolled = KnownNodeRow.id.in_(ChildRow.select(ChildRow.child_id).where(ChildRow.role == CHILDREN))
    return ~is_here & (is_enrolled if state is NodeState.ENROLLED else ~is_enrolled)


def _record(tx: Transaction, row: Any, here: UUID | None) -> NodeRecord:
    child = enrolment.child(tx, CHILDREN, row.id)
    state = NodeState.ENROLLED if child else NodeState.NOT_ENROLLED
    return NodeRecord(
        id=row.id,
        name=row.name,
        base_url=row.base_url,
        state=NodeState.HERE if row.id == here else state,
        seen_at=child.seen_at if child else None,
        studies=tx.count(StudyAtNodeRow.select().where(StudyAtNodeRow.node_id == row.id)),
        draws_for=row.draws_for,
    )
