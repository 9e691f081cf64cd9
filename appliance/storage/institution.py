"""The tables that only the institution writes: its reports and what its nodes hold.

Functions here take a ``Transaction`` and return values of ``domain``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from peewee import BlobField, CharField, CompositeKey, DateTimeField, TextField, UUIDField

from appliance.domain.changes import NodeHere, StudyHeld
from appliance.domain.identifiers import AccountId, PatientId, ReportId, StudyUid
from appliance.domain.reports import Report, ReportText
from appliance.storage.database import Migration, Table, Transaction
from appliance.storage.outbox import Deliveries, Outbox, unite

OUTBOX = Outbox("institution")
DELIVERIES = Deliveries("institution")


class HeldStudyRow(Table):
    """A study that one of the nodes holds, as the node said."""

    study_uid = CharField(max_length=64)
    node_id = UUIDField()
    patient_id = UUIDField(index=True)
    held = BlobField()
    """``changes.StudyHeld`` in MessagePack."""

    class Meta:
        table_name = "held_study"
        primary_key = CompositeKey("study_uid", "node_id")


class ReportRow(Table):
    id = UUIDField(primary_key=True)
    patient_id = UUIDField(index=True)
    study_uid = CharField(max_length=64, null=True)
    created_at = DateTimeField()
    author_id = UUIDField()
    author_name = TextField()
    description = TextField()
    findings = TextField()
    conclusion = TextField()
    recommendation = TextField()

    class Meta:
        table_name = "report"


class KnownNodeRow(Table):
    id = UUIDField(primary_key=True)
    name = TextField()
    base_url = TextField()

    class Meta:
        table_name = "node"


def _create(tx: Transaction) -> None:
    tx.create_tables(HeldStudyRow, ReportRow, KnownNodeRow)


MIGRATIONS = (
    Migration(1, "held studies, reports, nodes", _create),
    Migration(2, "one outbox for all roles", lambda tx: unite(tx, OUTBOX.role)),
)


# Studies


def keep_study(tx: Transaction, held: StudyHeld, patient_id: PatientId) -> None:
    """``held`` replaces what was known of the study at that node."""
    forget_study(tx, held.study_uid, held.node_id)
    tx.insert(
        HeldStudyRow,
        study_uid=held.study_uid,
        node_id=held.node_id,
        patient_id=patient_id,
        held=msgspec.msgpack.encode(held),
    )


def forget_study(tx: Transaction, study_uid: str, node_id: UUID) -> None:
    tx.execute(HeldStudyRow.delete().where((HeldStudyRow.study_uid == study_uid) & (HeldStudyRow.node_id == node_id)))


def studies_of(tx: Transaction, patient_id: PatientId) -> tuple[StudyHeld, ...]:
    """The patient's studies, newest first."""
    rows = tx.rows(HeldStudyRow.select().where(HeldStudyRow.patient_id == patient_id))
    studies = [msgspec.msgpack.decode(row.held, type=StudyHeld) for row in rows]
    return tuple(sorted(studies, key=lambda study: (study.date or "", study.time or "", study.study_uid), reverse=True))


# Reports


def keep_report(tx: Transaction, report: Report) -> None:
    tx.insert(
        ReportRow,
        id=report.id,
        patient_id=report.patient_id,
        study_uid=report.study_uid,
        created_at=report.created_at.astimezone(UTC).replace(tzinfo=None),
        author_id=report.author_id,
        author_name=report.author_name,
        description=report.text.description,
        findings=report.text.findings,
        conclusion=report.text.conclusion,
        recommendation=report.text.recommendation,
    )


def reports_of(tx: Transaction, patient_id: PatientId) -> tuple[Report, ...]:
    """The patient's reports, newest first."""
    query = ReportRow.select().where(ReportRow.patient_id == patient_id)
    return tuple(_report(row) for row in tx.rows(query.order_by(ReportRow.created_at.desc(), ReportRow.id)))


def _report(row: Any) -> Report:
    return Report(
        id=ReportId(row.id),
        patient_id=PatientId(row.patient_id),
        study_uid=StudyUid(row.study_uid) if row.study_uid else None,
        created_at=row.created_at.replace(tzinfo=UTC),
        author_id=AccountId(row.author_id),
        author_name=row.author_name,
        text=ReportText(row.description, row.findings, row.conclusion, row.recommendation),
    )


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


# Nodes


def keep_node(tx: Transaction, node: NodeHere) -> None:
    values = {"name": node.name, "base_url": node.base_url}
    if not tx.execute(KnownNodeRow.update(**values).where(KnownNodeRow.id == node.node_id)):
        tx.insert(KnownNodeRow, id=node.node_id, **values)


def nodes(tx: Transaction) -> tuple[NodeHere, ...]:
    rows = tx.rows(KnownNodeRow.select().order_by(KnownNodeRow.name, KnownNodeRow.id))
    return tuple(NodeHere(row.id, row.name, row.base_url) for row in rows)
