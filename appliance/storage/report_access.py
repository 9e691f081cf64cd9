"""Who said why they need the reports of a patient that are otherwise kept from them; only ever added to."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from peewee import DateTimeField, TextField, UUIDField

from appliance.domain.identifiers import AccountId, PatientId
from appliance.domain.reports import Writer
from appliance.storage.database import Table, Transaction


class BrokenGlassRow(Table):
    id = UUIDField(primary_key=True)
    account_id = UUIDField(index=True)
    account_name = TextField()
    patient_id = UUIDField(index=True)
    reason = TextField()
    at = DateTimeField()
    until = DateTimeField()

    class Meta:
        table_name = "broken_glass"


def create(tx: Transaction) -> None:
    tx.create_tables(BrokenGlassRow)


def open_reports(
    tx: Transaction, who: Writer, patient_id: PatientId, reason: str, *, at: datetime, until: datetime
) -> None:
    """Reports of the patient are open to somebody for a while."""
    tx.insert(
        BrokenGlassRow,
        id=uuid4(),
        account_id=who.id,
        account_name=who.name,
        patient_id=patient_id,
        reason=reason,
        at=_plain(at),
        until=_plain(until),
    )


def is_open(tx: Transaction, account_id: AccountId, patient_id: PatientId, *, at: datetime) -> bool:
    row = BrokenGlassRow
    theirs = (row.account_id == account_id) & (row.patient_id == patient_id)
    return tx.exists(row.select().where(theirs & (row.until > _plain(at))))


def _plain(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
