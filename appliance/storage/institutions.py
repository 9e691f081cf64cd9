"""Institutions as administrators list and describe them, and what points to one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

from appliance.domain.changes import SubjectKind
from appliance.domain.identifiers import InstitutionId
from appliance.domain.institutions import InstitutionRecord, InstitutionState, PointingTo
from appliance.domain.listing import Part, PartWanted
from appliance.domain.people import folded
from appliance.storage import enrolment, feed
from appliance.storage.database import Transaction, matches
from appliance.storage.enrolment import ChildRow
from appliance.storage.listing import Sorting, literal, rows_of
from appliance.storage.toplevel import AccountRow, InstitutionRow, NodeRow, PatientIdentityRow, PatientInstitutionRow

SORTINGS = {"name": Sorting(InstitutionRow.sort_name)}
CHILDREN = "institution"
"""What the children of a toplevel are called in the tables of enrolment."""


@dataclass(frozen=True, slots=True)
class InstitutionFilter:
    """Which institutions are meant; what is None is not asked for."""

    search: str | None = None
    """Part of the name that is shown; diacritics and case are folded."""
    state: InstitutionState | None = None


def institutions(
    tx: Transaction, wanted: InstitutionFilter, part: PartWanted, here: InstitutionId | None
) -> Part[InstitutionRecord]:
    """Those that fit; ``here`` is in the same process. Raises ValueError for a place that is none of this list."""
    query = InstitutionRow.select()
    if wanted.search is not None:
        query = query.where(matches(InstitutionRow.sort_name, f"%{literal(folded(wanted.search))}%"))
    if wanted.state is not None:
        query = query.where(_is_in(wanted.state, here))
    total = tx.count(query)
    rows, end = rows_of(tx, query, InstitutionRow.id, SORTINGS[part.sort], part)
    return Part(tuple(_record(tx, row, here) for row in rows), end, total)


def institution(tx: Transaction, institution_id: InstitutionId, here: InstitutionId | None) -> InstitutionRecord | None:
    row = tx.first(InstitutionRow.select().where(InstitutionRow.id == institution_id))
    return _record(tx, row, here) if row else None


def describe(tx: Transaction, institution_id: InstitutionId, shown_name: str | None, address: str) -> bool:
    """Whether there is such an institution; it is called and found so. Without a name it is called as it calls itself."""
    this = InstitutionRow.id == institution_id
    own_name = tx.value(InstitutionRow.select(InstitutionRow.name).where(this))
    if own_name is None:
        return False
    values = {"shown_name": shown_name, "sort_name": folded(shown_name or own_name), "address": address}
    feed.tell_everybody(tx, SubjectKind.INSTITUTION, institution_id)
    return tx.execute(InstitutionRow.update(**values).where(this)) > 0


def pointing_to(tx: Transaction, institution_id: InstitutionId, here: InstitutionId | None) -> PointingTo:
    return PointingTo(
        accounts=tx.count(AccountRow.select().where(AccountRow.institution_id == institution_id)),
        patients=tx.count(PatientInstitutionRow.select().where(PatientInstitutionRow.institution_id == institution_id)),
        numbers=tx.count(PatientIdentityRow.select().where(PatientIdentityRow.institution_id == institution_id)),
        is_believed=institution_id == here or enrolment.child(tx, CHILDREN, institution_id) is not None,
    )


def delete(tx: Transaction, institution_id: InstitutionId) -> None:
    """It is not there, nor are its nodes. How far it was heard stays known, so that nothing of it is taken twice."""
    tx.execute(NodeRow.delete().where(NodeRow.institution_id == institution_id))
    tx.execute(InstitutionRow.delete().where(InstitutionRow.id == institution_id))
    feed.end(tx, institution_id)
    feed.changed(tx, SubjectKind.INSTITUTION, institution_id)


def _is_in(state: InstitutionState, here: InstitutionId | None) -> Any:  # Any: peewee has no types
    is_here = InstitutionRow.id == (here or UUID(int=0))
    if state is InstitutionState.HERE:
        return is_here
    enrolled = ChildRow.select(ChildRow.child_id).where(ChildRow.role == CHILDREN)
    is_enrolled = InstitutionRow.id.in_(enrolled)
    return ~is_here & (is_enrolled if state is InstitutionState.ENROLLED else ~is_enrolled)


def _record(tx: Transaction, row: Any, here: InstitutionId | None) -> InstitutionRecord:
    child = enrolment.child(tx, CHILDREN, row.id)
    told_at = row.seen_at.replace(tzinfo=UTC)
    nodes = tx.rows(NodeRow.select().where(NodeRow.institution_id == row.id).order_by(NodeRow.name, NodeRow.id))
    state = InstitutionState.ENROLLED if child else InstitutionState.NOT_ENROLLED
    return InstitutionRecord(
        id=InstitutionId(row.id),
        name=row.shown_name or row.name,
        own_name=row.name,
        address=row.address or "",
        base_url=row.base_url,
        node_urls=tuple(node.base_url for node in nodes),
        state=InstitutionState.HERE if row.id == here else state,
        seen_at=max(told_at, child.seen_at) if child and child.seen_at else told_at,
    )
