"""The tables that only the institution writes: what its nodes hold. Reports are in ``reports``, whose a study is in ``inbox``.

Functions here take a ``Transaction`` and return values of ``domain``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec
from peewee import BlobField, CharField, CompositeKey, TextField, UUIDField

from appliance.domain import matching
from appliance.domain.changes import NodeHere, PatientAsHeld, PatientHere, StudyHeld
from appliance.domain.identifiers import PatientId
from appliance.storage import inbox, known_patients, measurements, record_types, report_access, reports
from appliance.storage.database import Migration, Table, Transaction
from appliance.storage.inbox import StudyAtNodeRow
from appliance.storage.outbox import Deliveries, Outbox, OutboxRow, unite

OUTBOX = Outbox("institution")
DELIVERIES = Deliveries("institution")
_VARIABLES = 500
"""Values in one statement: engines allow a thousand or more."""
_PATIENTS_OF_VERSION_1 = UUID("5b0f2d0a-6a2b-5d0b-9f0e-3f2f3c1f7a11")
"""Version 1 made the ids of patients in this namespace, from institution, issuer and number."""


class HeldStudyOfVersion1Row(Table):
    """Studies as version 1 kept them; read once, by the migration."""

    study_uid = CharField(max_length=64)
    node_id = UUIDField()
    patient_id = UUIDField()
    held = BlobField()

    class Meta:
        table_name = "held_study"
        primary_key = CompositeKey("study_uid", "node_id")


class KnownNodeRow(Table):
    id = UUIDField(primary_key=True)
    name = TextField()
    base_url = TextField()
    draws_for = UUIDField(null=True)

    class Meta:
        table_name = "node"


def _create(tx: Transaction) -> None:
    tx.create_tables(KnownNodeRow)


def _part_studies_from_patients(tx: Transaction) -> None:
    """Studies stay whose they were by the rule of version 1, which made a patient of each Patient ID without asking."""
    tx.create_tables(StudyAtNodeRow)
    inbox.create_tables(tx)
    if tx.has_table("held_study"):
        for row in tx.rows(HeldStudyOfVersion1Row.select()):
            tx.insert(StudyAtNodeRow, study_uid=row.study_uid, node_id=row.node_id, held=bytes(row.held))
            inbox.note_patient(tx, _held(row), PatientId(row.patient_id))
        tx.drop_table("held_study")
    for row in tx.rows(OutboxRow.select().where(OutboxRow.role == OUTBOX.role)):
        told = msgspec.msgpack.decode(bytes(row.change))
        if told["type"] == "patient-held":
            this = (OutboxRow.role == OUTBOX.role) & (OutboxRow.sequence == row.sequence)
            tx.execute(OutboxRow.update(change=msgspec.msgpack.encode(_as_told_now(told))).where(this))


def _as_told_now(told: dict[str, Any]) -> PatientHere:
    """What version 1 said of a patient whom it held something of, whose id it made from the number."""
    held = msgspec.convert(told["patient"], PatientAsHeld)
    institution_id = UUID(told["institution_id"])
    made = uuid5(_PATIENTS_OF_VERSION_1, f"{institution_id}\n{held.issuer}\n{held.value}")
    return PatientHere(institution_id, made, (held.number,), None, matching.record_of(held))


MIGRATIONS = (
    Migration(1, "reports, nodes", _create),
    Migration(2, "one outbox for all roles", lambda tx: unite(tx, OUTBOX.role)),
    Migration(3, "whose a study is, apart from where it lies", _part_studies_from_patients),
    Migration(4, "nodes hear which studies wait", inbox.number_studies),
    Migration(5, "record types", record_types.create_known),
    Migration(20, "reports have versions", reports.create),
    Migration(21, "patients as the toplevel tells of them", known_patients.create),
    Migration(22, "who said why they need reports", report_access.create),
    Migration(23, "nodes that only draw", lambda tx: tx.add_columns(KnownNodeRow.draws_for)),
    Migration(40, "what was measured", measurements.create),
)


# Studies


def keep_study(tx: Transaction, held: StudyHeld) -> None:
    """``held`` replaces what was known of the study at that node; whose it is, is in ``inbox``."""
    this = _is_at(held.study_uid, held.node_id)
    before = tx.first(StudyAtNodeRow.select().where(this))
    tx.execute(StudyAtNodeRow.delete().where(this))
    tx.insert(StudyAtNodeRow, study_uid=held.study_uid, node_id=held.node_id, held=msgspec.msgpack.encode(held))
    inbox.note_study(tx, held, _held(before).patient if before else None)


def forget_study(tx: Transaction, study_uid: str, node_id: UUID) -> None:
    tx.execute(StudyAtNodeRow.delete().where(_is_at(study_uid, node_id)))
    if not tx.exists(StudyAtNodeRow.select().where(StudyAtNodeRow.study_uid == study_uid)):
        inbox.forget(tx, study_uid)


def studies_of(tx: Transaction, patient_id: PatientId) -> tuple[StudyHeld, ...]:
    """The patient's studies, newest first."""
    studies = held_studies(tx, inbox.study_uids_of(tx, patient_id))
    return tuple(sorted(studies, key=lambda study: (study.date or "", study.time or "", study.study_uid), reverse=True))


def held_studies(tx: Transaction, study_uids: Sequence[str]) -> tuple[StudyHeld, ...]:
    """What the nodes hold of these studies, in no order; a study that lies at several nodes comes as often."""
    found: list[StudyHeld] = []
    for start in range(0, len(study_uids), _VARIABLES):
        wanted = StudyAtNodeRow.study_uid << study_uids[start : start + _VARIABLES]
        found += map(_held, tx.rows(StudyAtNodeRow.select().where(wanted)))
    return tuple(found)


def _is_at(study_uid: str, node_id: UUID) -> Any:
    return (StudyAtNodeRow.study_uid == study_uid) & (StudyAtNodeRow.node_id == node_id)


def _held(row: Any) -> StudyHeld:
    return msgspec.msgpack.decode(bytes(row.held), type=StudyHeld)


# Nodes


def keep_node(tx: Transaction, node: NodeHere) -> None:
    values = {"name": node.name, "base_url": node.base_url, "draws_for": node.draws_for}
    if not tx.execute(KnownNodeRow.update(**values).where(KnownNodeRow.id == node.node_id)):
        tx.insert(KnownNodeRow, id=node.node_id, **values)


def nodes(tx: Transaction) -> tuple[NodeHere, ...]:
    rows = tx.rows(KnownNodeRow.select().order_by(KnownNodeRow.name, KnownNodeRow.id))
    return tuple(NodeHere(row.id, row.name, row.base_url, row.draws_for) for row in rows)
