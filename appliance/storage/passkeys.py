"""Passkeys (WebAuthn): public keys of people, and the challenges that were answered.

Nothing here is a secret: the private halves are where their owners keep them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from peewee import BigIntegerField, BlobField, BooleanField, DateTimeField, TextField, UUIDField

from appliance.domain.identifiers import AccountId
from appliance.storage.database import Table, Transaction


class PasskeyRow(Table):
    credential_id = BlobField(primary_key=True)
    """As whoever made it chose it, at most 1,023 bytes: it names one passkey in the world."""
    id = UUIDField(unique=True)
    """By which its owner names it to us."""
    account_id = UUIDField(index=True)
    name = TextField()
    credential_data = BlobField()
    """Attested credential data (WebAuthn §6.5.1): what made it, its id and its public key (COSE)."""
    sign_count = BigIntegerField()
    """Of the last signature; 0 where the authenticator does not count."""
    is_synced = BooleanField()
    """Whether it is copied to other devices of its owner (WebAuthn §6.1.3)."""
    created_at = DateTimeField()
    used_at = DateTimeField(null=True)

    class Meta:
        table_name = "passkey"


class SpentChallengeRow(Table):
    """A challenge is answered once; those that are too old anyhow are forgotten."""

    challenge_sha256 = BlobField(primary_key=True)
    spent_at = DateTimeField(index=True)

    class Meta:
        table_name = "spent_challenge"


def create(tx: Transaction) -> None:
    tx.create_tables(PasskeyRow, SpentChallengeRow)


@dataclass(frozen=True, slots=True)
class KeptPasskey:
    id: UUID
    account_id: AccountId
    name: str
    credential_id: bytes
    credential_data: bytes
    sign_count: int
    is_synced: bool
    created_at: datetime
    used_at: datetime | None = None


def keep(tx: Transaction, passkey: KeptPasskey) -> bool:
    """Whether it is kept now: nobody had one of this credential id before."""
    if of_credential(tx, passkey.credential_id) is not None:
        return False
    tx.insert(
        PasskeyRow,
        credential_id=passkey.credential_id,
        id=passkey.id,
        account_id=passkey.account_id,
        name=passkey.name,
        credential_data=passkey.credential_data,
        sign_count=passkey.sign_count,
        is_synced=passkey.is_synced,
        created_at=_plain(passkey.created_at),
        used_at=None,
    )
    return True


def of_account(tx: Transaction, account_id: AccountId) -> tuple[KeptPasskey, ...]:
    """The oldest first."""
    mine = PasskeyRow.select().where(PasskeyRow.account_id == account_id)
    return tuple(_passkey(row) for row in tx.rows(mine.order_by(PasskeyRow.created_at, PasskeyRow.id)))


def of_credential(tx: Transaction, credential_id: bytes) -> KeptPasskey | None:
    row = tx.first(PasskeyRow.select().where(PasskeyRow.credential_id == credential_id))
    return _passkey(row) if row else None


def note_used(tx: Transaction, passkey: KeptPasskey, *, sign_count: int, is_synced: bool) -> None:
    now = _plain(datetime.now(UTC))
    used = PasskeyRow.update(sign_count=sign_count, is_synced=is_synced, used_at=now)
    tx.execute(used.where(PasskeyRow.id == passkey.id))


def rename(tx: Transaction, account_id: AccountId, passkey_id: UUID, name: str) -> bool:
    """Whether the account has such a passkey."""
    return tx.execute(PasskeyRow.update(name=name).where(_is(account_id, passkey_id))) > 0


def forget(tx: Transaction, account_id: AccountId, passkey_id: UUID) -> bool:
    """Whether the account had such a passkey."""
    return tx.execute(PasskeyRow.delete().where(_is(account_id, passkey_id))) > 0


def forget_all(tx: Transaction, account_id: AccountId) -> None:
    tx.execute(PasskeyRow.delete().where(PasskeyRow.account_id == account_id))


def spend_challenge(tx: Transaction, challenge_sha256: bytes, *, forget_before: datetime) -> bool:
    """Whether it was not spent before."""
    tx.execute(SpentChallengeRow.delete().where(SpentChallengeRow.spent_at < _plain(forget_before)))
    if tx.exists(SpentChallengeRow.select().where(SpentChallengeRow.challenge_sha256 == challenge_sha256)):
        return False
    tx.insert(SpentChallengeRow, challenge_sha256=challenge_sha256, spent_at=_plain(datetime.now(UTC)))
    return True


def _is(account_id: AccountId, passkey_id: UUID) -> Any:  # Any: peewee has no types
    return (PasskeyRow.account_id == account_id) & (PasskeyRow.id == passkey_id)


def _passkey(row: Any) -> KeptPasskey:
    return KeptPasskey(
        id=row.id,
        account_id=AccountId(row.account_id),
        name=row.name,
        credential_id=bytes(row.credential_id),
        credential_data=bytes(row.credential_data),
        sign_count=row.sign_count,
        is_synced=bool(row.is_synced),
        created_at=_zoned(row.created_at),
        used_at=_zoned(row.used_at) if row.used_at else None,
    )


# Times are kept in UTC without a zone, which every engine stores alike.
def _plain(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def _zoned(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
