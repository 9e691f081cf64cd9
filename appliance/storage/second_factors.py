"""What proves somebody beside their password: the secret of their authenticator app, sealed, and recovery codes, as hashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from peewee import BigIntegerField, BlobField, BooleanField, CompositeKey, UUIDField

from appliance.domain.changes import SubjectKind
from appliance.storage import feed
from appliance.storage.database import Table, Transaction


class AuthenticatorRow(Table):
    account_id = UUIDField(primary_key=True)
    sealed_secret = BlobField()
    is_on = BooleanField()
    """Not before its owner has shown a code of it."""
    last_step = BigIntegerField()
    """Of the last code that was taken (RFC 6238 §5.2: each is taken once)."""

    class Meta:
        table_name = "authenticator"


class RecoveryCodeRow(Table):
    account_id = UUIDField()
    code_hash = BlobField()

    class Meta:
        table_name = "recovery_code"
        primary_key = CompositeKey("account_id", "code_hash")


def create(tx: Transaction) -> None:
    tx.create_tables(AuthenticatorRow, RecoveryCodeRow)


@dataclass(frozen=True, slots=True)
class Authenticator:
    sealed_secret: bytes
    is_on: bool
    last_step: int


def authenticator(tx: Transaction, account_id: UUID) -> Authenticator | None:
    row = tx.first(AuthenticatorRow.select().where(AuthenticatorRow.account_id == account_id))
    return Authenticator(bytes(row.sealed_secret), bool(row.is_on), row.last_step) if row else None


def keep_authenticator(tx: Transaction, account_id: UUID, kept: Authenticator) -> None:
    tx.execute(AuthenticatorRow.delete().where(AuthenticatorRow.account_id == account_id))
    tx.insert(
        AuthenticatorRow,
        account_id=account_id,
        sealed_secret=kept.sealed_secret,
        is_on=kept.is_on,
        last_step=kept.last_step,
    )


def forget(tx: Transaction, account_id: UUID) -> None:
    """Nothing but the password proves who this is."""
    feed.changed(tx, SubjectKind.ACCOUNT, account_id)
    tx.execute(AuthenticatorRow.delete().where(AuthenticatorRow.account_id == account_id))
    tx.execute(RecoveryCodeRow.delete().where(RecoveryCodeRow.account_id == account_id))


def replace_recovery_codes(tx: Transaction, account_id: UUID, hashes: Iterable[bytes]) -> None:
    tx.execute(RecoveryCodeRow.delete().where(RecoveryCodeRow.account_id == account_id))
    for code_hash in hashes:
        tx.insert(RecoveryCodeRow, account_id=account_id, code_hash=code_hash)


def spend_recovery_code(tx: Transaction, account_id: UUID, code_hash: bytes) -> bool:
    """Whether there was such a code; it is gone."""
    this = (RecoveryCodeRow.account_id == account_id) & (RecoveryCodeRow.code_hash == code_hash)
    return tx.execute(RecoveryCodeRow.delete().where(this)) > 0


def recovery_code_count(tx: Transaction, account_id: UUID) -> int:
    return tx.count(RecoveryCodeRow.select().where(RecoveryCodeRow.account_id == account_id))
