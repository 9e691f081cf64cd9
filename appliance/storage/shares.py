"""Links by which a study is shown to somebody without an account. Of a link's secret and PIN only hashes are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from peewee import BlobField, DateTimeField, IntegerField, TextField, UUIDField

from appliance.domain.identifiers import AccountId, InstitutionId, StudyUid
from appliance.domain.shares import Share, ShareState
from appliance.storage.database import Table, Transaction

MOST_FAILURES = 10
"""Wrong PINs until a link is locked: of a million PINs that is one chance in a hundred thousand."""
_FORGOTTEN_AFTER = timedelta(days=365)
"""What was shared stays in its maker's list so long after its end."""


class ShareRow(Table):
    id = UUIDField(primary_key=True)
    secret_sha256 = BlobField(index=True)
    pin_hash = TextField()
    account_id = UUIDField(index=True)
    institution_id = UUIDField()
    study_uid = TextField()
    recipient = TextField()
    made_at = DateTimeField()
    ends_at = DateTimeField()
    revoked_at = DateTimeField(null=True)
    failures = IntegerField()
    """Wrong PINs since the last right one."""
    failed_at = DateTimeField(null=True)
    opened = IntegerField()
    opened_at = DateTimeField(null=True)

    class Meta:
        table_name = "share"


def create(tx: Transaction) -> None:
    tx.create_tables(ShareRow)


@dataclass(frozen=True, slots=True)
class KeptShare:
    """A link, and what it is tried against."""

    share: Share
    pin_hash: str
    failures: int
    failed_at: datetime | None


def keep(tx: Transaction, share: Share, secret_sha256: bytes, pin_hash: str) -> None:
    tx.execute(ShareRow.delete().where(ShareRow.ends_at < _plain(share.made_at - _FORGOTTEN_AFTER)))
    tx.insert(
        ShareRow,
        id=share.id,
        secret_sha256=secret_sha256,
        pin_hash=pin_hash,
        account_id=share.account_id,
        institution_id=share.institution_id,
        study_uid=share.study_uid,
        recipient=share.recipient,
        made_at=_plain(share.made_at),
        ends_at=_plain(share.ends_at),
        failures=0,
        opened=0,
    )


def by_secret(tx: Transaction, secret_sha256: bytes, now: datetime) -> KeptShare | None:
    row = tx.first(ShareRow.select().where(ShareRow.secret_sha256 == secret_sha256))
    return _kept(row, now) if row else None


def by_id(tx: Transaction, share_id: UUID, now: datetime) -> Share | None:
    row = tx.first(ShareRow.select().where(ShareRow.id == share_id))
    return _kept(row, now).share if row else None


def of_account(tx: Transaction, account_id: AccountId, now: datetime) -> tuple[Share, ...]:
    """The newest first."""
    query = ShareRow.select().where(ShareRow.account_id == account_id).order_by(ShareRow.made_at.desc(), ShareRow.id)
    return tuple(_kept(row, now).share for row in tx.rows(query))


def revoke(tx: Transaction, share_id: UUID, now: datetime) -> None:
    tx.execute(ShareRow.update(revoked_at=_plain(now)).where(ShareRow.id == share_id))


def count_failure(tx: Transaction, share_id: UUID, now: datetime) -> None:
    """One more wrong PIN, until it is known to be right (``count_opening``)."""
    values = {"failures": ShareRow.failures + 1, "failed_at": _plain(now)}
    tx.execute(ShareRow.update(**values).where(ShareRow.id == share_id))


def count_opening(tx: Transaction, share_id: UUID, now: datetime) -> None:
    values = {"failures": 0, "failed_at": None, "opened": ShareRow.opened + 1, "opened_at": _plain(now)}
    tx.execute(ShareRow.update(**values).where(ShareRow.id == share_id))


def _kept(row: Any, now: datetime) -> KeptShare:
    share = Share(
        id=row.id,
        account_id=AccountId(row.account_id),
        institution_id=InstitutionId(row.institution_id),
        study_uid=StudyUid(row.study_uid),
        recipient=row.recipient,
        made_at=_zoned(row.made_at),
        ends_at=_zoned(row.ends_at),
        state=_state(row, now),
        opened=row.opened,
        opened_at=_zoned(row.opened_at) if row.opened_at else None,
    )
    return KeptShare(share, row.pin_hash, row.failures, _zoned(row.failed_at) if row.failed_at else None)


def _state(row: Any, now: datetime) -> ShareState:
    if row.revoked_at is not None:
        return ShareState.REVOKED
    if _zoned(row.ends_at) <= now:
        return ShareState.ENDED
    return ShareState.LOCKED if row.failures >= MOST_FAILURES else ShareState.OPEN


# Times are kept in UTC without a zone, which every engine stores alike.
def _plain(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def _zoned(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
