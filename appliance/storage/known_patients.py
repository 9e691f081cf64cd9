"""Patients as the toplevel told an institution of them; written by the institution alone, and only by that.

Functions here take a ``Transaction``.
"""

from __future__ import annotations

from typing import Any

import msgspec
from peewee import BigIntegerField, BlobField, CharField, UUIDField

from appliance.domain.changes import PatientTold
from appliance.domain.identifiers import PatientId
from appliance.storage import inbox, reports
from appliance.storage.database import Table, Transaction

_THE_FEED = "patients"


class KnownPatientRow(Table):
    id = UUIDField(primary_key=True)
    told = BlobField()
    """``changes.PatientTold`` in MessagePack."""

    class Meta:
        table_name = "known_patient"


class MergedPatientRow(Table):
    """Somebody who turned out to be another."""

    id = UUIDField(primary_key=True)
    patient_id = UUIDField(index=True)

    class Meta:
        table_name = "merged_patient"


class HeardRow(Table):
    """How far the institution has heard a feed of its parent."""

    feed = CharField(max_length=16, primary_key=True)
    sequence = BigIntegerField()

    class Meta:
        table_name = "heard"


def create(tx: Transaction) -> None:
    tx.create_tables(KnownPatientRow, MergedPatientRow, HeardRow)


def keep(tx: Transaction, told: PatientTold) -> bool:
    """The patient is known as told, and has what was of those who were merged into them; whether that was anything."""
    values: dict[Any, Any] = {KnownPatientRow.told: msgspec.msgpack.encode(told)}
    if not tx.execute(KnownPatientRow.update(values).where(KnownPatientRow.id == told.patient_id)):
        tx.insert(KnownPatientRow, id=told.patient_id, told=values[KnownPatientRow.told])
    moved = 0
    for before in told.merged:
        moved += _merge(tx, PatientId(before), PatientId(told.patient_id))
    return moved > 0


def _merge(tx: Transaction, before: PatientId, after: PatientId) -> int:
    tx.execute(KnownPatientRow.delete().where(KnownPatientRow.id == before))
    tx.execute(MergedPatientRow.update(patient_id=after).where(MergedPatientRow.patient_id == before))
    if not tx.execute(MergedPatientRow.update(patient_id=after).where(MergedPatientRow.id == before)):
        tx.insert(MergedPatientRow, id=before, patient_id=after)
    return reports.repoint(tx, before, after) + inbox.repoint(tx, before, after)


def now_called(tx: Transaction, patient_id: PatientId) -> PatientId:
    """The id of the patient, who may since have been merged with another."""
    found = tx.value(MergedPatientRow.select(MergedPatientRow.patient_id).where(MergedPatientRow.id == patient_id))
    return PatientId(found) if found else patient_id


def known(tx: Transaction, patient_id: PatientId) -> PatientTold | None:
    row = tx.first(KnownPatientRow.select().where(KnownPatientRow.id == patient_id))
    return msgspec.msgpack.decode(bytes(row.told), type=PatientTold) if row else None


def heard(tx: Transaction) -> int:
    """The last change of a patient that was heard; 0 before the first."""
    return int(tx.value(HeardRow.select(HeardRow.sequence).where(HeardRow.feed == _THE_FEED)) or 0)


def note_heard(tx: Transaction, sequence: int) -> None:
    if not tx.execute(HeardRow.update(sequence=sequence).where(HeardRow.feed == _THE_FEED)):
        tx.insert(HeardRow, feed=_THE_FEED, sequence=sequence)
