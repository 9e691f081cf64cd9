"""Which tokens are good, as the appliance above said last: kept, so that a child can start while that is away."""

from __future__ import annotations

from peewee import BlobField, CharField

from appliance.storage.database import Migration, Table, Transaction


class TrustRow(Table):
    """Public keys and who is shut out; nothing in it is secret."""

    role = CharField(max_length=16, primary_key=True)
    trust = BlobField()
    """MessagePack, as ``services.tokens`` has it."""

    class Meta:
        table_name = "kept_trust"


MIGRATIONS = (Migration(1, "trust", lambda tx: tx.create_tables(TrustRow)),)


def keep(tx: Transaction, role: str, trust: bytes) -> None:
    tx.execute(TrustRow.delete().where(TrustRow.role == role))
    tx.insert(TrustRow, role=role, trust=trust)


def kept(tx: Transaction, role: str) -> bytes | None:
    row = tx.first(TrustRow.select().where(TrustRow.role == role))
    return bytes(row.trust) if row else None
