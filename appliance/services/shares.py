"""Showing a study to a physician without an account: the toplevel's side.

It is here and not at the institution that holds the study, since only the toplevel signs what every node believes, tells all of
them within a minute what is no good any more, and has an address that somebody outside reaches. What is given out says which
institution and which study it is for, and the nodes of that institution hold to it; the toplevel need not know what they hold.

The secret of a link stands in the fragment of its address, which browsers send to nobody. The PIN goes another way, by telephone,
and is Argon2id's; a wrong one makes the next wait, and ten lock the link. An attempt is counted before the PIN is looked at, so
that many at once gain nothing.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from appliance.domain.accounts import Account, Role
from appliance.domain.audit import Action, Actor, ActorKind, Event, Outcome, Subject
from appliance.domain.errors import BadRequest, NotAllowed, NotAuthenticated, NotFound, TooManyAttempts
from appliance.domain.identifiers import StudyUid
from appliance.domain.shares import Share, ShareState
from appliance.services.audit import AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.passwords import Passwords
from appliance.services.tokens import AccessToken, TokenSigner
from appliance.storage import shares, toplevel
from appliance.storage.database import Transaction
from appliance.storage.shares import KeptShare

T = TypeVar("T")

SHORTEST_HOURS, LONGEST_HOURS = 1, 30 * 24
LONGEST_RECIPIENT = 100
_SECRET_BYTES = 32
_PIN_DIGITS = 6
_LONGEST_SECRET = 100
_FREE_ATTEMPTS = 3
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class NewShare:
    """What its maker is shown once."""

    share: Share
    secret: str
    pin: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What a guest gets."""

    share: Share
    guest: Account
    access_token: AccessToken
    institution: toplevel.InstitutionEntry | None
    """Where the study is; None where it is not in the directory any more."""


class Shares:
    """Links, and who opens them."""

    def __init__(
        self,
        database: DatabaseThreads,
        signer: TokenSigner,
        trail: AuditTrail,
        on_revoked: Callable[[], Awaitable[None]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._signer = signer
        self._trail = trail
        self._on_revoked = on_revoked
        self._now = now
        self._pins = Passwords()

    async def close(self) -> None:
        await self._pins.close()

    async def make(self, account: Account, study_uid: StudyUid, hours: int, recipient: str, by: Actor) -> NewShare:
        """A link to a study of the account's institution, and its PIN. Raises BadRequest."""
        if account.institution_id is None:
            raise BadRequest("Who belongs to no institution has no study to share", key="no-institution")
        if not SHORTEST_HOURS <= hours <= LONGEST_HOURS:
            raise BadRequest(
                f"A link is good for {SHORTEST_HOURS} to {LONGEST_HOURS} hours", key="wrong-hours", parameter="hours"
            )
        if len(recipient) > LONGEST_RECIPIENT or not recipient.isprintable():
            raise BadRequest(f"A recipient has at most {LONGEST_RECIPIENT} characters", parameter="recipient")
        secret, pin = secrets.token_urlsafe(_SECRET_BYTES), f"{secrets.randbelow(10**_PIN_DIGITS):0{_PIN_DIGITS}}"
        pin_hash, now = await self._pins.hash_again(pin), self._now()
        share = Share(
            uuid4(), account.id, account.institution_id, study_uid, recipient.strip(), now, now + timedelta(hours=hours),
            ShareState.OPEN, 0, None,
        )  # fmt: skip
        event = Event(by, Action.SHARE, _subject(share))
        await self._recorded(lambda tx: shares.keep(tx, share, _sha256(secret), pin_hash), event)
        return NewShare(share, secret, pin)

    async def made_by(self, account: Account) -> tuple[Share, ...]:
        """The newest first."""
        return await self._database.read(lambda tx: shares.of_account(tx, account.id, self._now()))

    async def revoke(self, account: Account, share_id: UUID, by: Actor) -> None:
        """Nobody opens it any more, and who has is out within a minute. NotFound for what is somebody else's."""

        def end(tx: Transaction) -> tuple[None, Event]:
            share = shares.by_id(tx, share_id, self._now())
            if share is None or (share.account_id != account.id and Role.SUPERUSER not in account.roles):
                raise NotFound("There is no such link", key="no-such-share")
            shares.revoke(tx, share_id, self._now())
            toplevel.revoke(tx, share_id)
            return None, Event(by, Action.END_SHARE, _subject(share))

        await self._carried_out(end)
        await self._on_revoked()

    async def open(self, secret: str, pin: str, address: str) -> Opened:
        """A token for the study, and where that is.

        Raises NotAuthenticated for a link that is none and for a wrong PIN, NotAllowed for one that is over, TooManyAttempts.
        """
        now = self._now()
        kept = await self._database.run(lambda tx: _counted(tx, secret, now))
        if kept is None:  # nobody finds a secret by the time that an answer takes
            raise NotAuthenticated("There is no such link", key="no-such-link")
        share = kept.share
        by = Actor(ActorKind.GUEST, str(share.id), "", address)
        wanted = Event(by, Action.OPEN_SHARE, _subject(share))
        if share.state is not ShareState.OPEN:
            await self._put(replace(wanted, outcome=Outcome.REFUSED, reason=f"share-{share.state}"))
            raise NotAllowed("The link is not good any more", key=f"share-{share.state}")
        if not await self._pins.is_right(kept.pin_hash, pin):
            await self._put(replace(wanted, outcome=Outcome.FAILED, reason="wrong-pin"))
            left = shares.MOST_FAILURES - kept.failures - 1
            raise NotAuthenticated("The PIN is wrong", key="wrong-pin", attempts_left=left)
        return await self._let_in(share, wanted, now)

    async def _let_in(self, share: Share, wanted: Event, now: datetime) -> Opened:
        def enter(tx: Transaction) -> tuple[toplevel.InstitutionEntry | None, Event]:
            shares.count_opening(tx, share.id, now)
            here = (one for one in toplevel.directory(tx) if one.id == share.institution_id)
            return next(here, None), wanted

        institution = await self._carried_out(enter)
        guest = share.guest()
        return Opened(share, guest, self._signer.sign(guest, share.id, ends_at=share.ends_at), institution)

    async def _put(self, event: Event) -> None:
        await self._recorded(lambda tx: None, event)

    async def _recorded(self, work: Callable[[Transaction], None], event: Event) -> None:
        def recording(tx: Transaction) -> tuple[None, Event]:
            work(tx)
            return None, event

        await self._carried_out(recording)

    async def _carried_out(self, work: Callable[[Transaction], tuple[T, Event]]) -> T:
        """What ``work`` did and what it was are on record together."""
        return await self._database.call(lambda database: self._trail.carry_out(database, work))


def _counted(tx: Transaction, secret: str, now: datetime) -> KeptShare | None:
    """What the link is of, the attempt counted; None for no link. Raises TooManyAttempts while slowed down."""
    kept = shares.by_secret(tx, _sha256(secret), now) if len(secret) <= _LONGEST_SECRET else None
    if kept is None or kept.share.state is not ShareState.OPEN:
        return kept
    if not toplevel.may_log_in(tx, kept.share.account_id):  # what somebody shared ends when they are shut out
        return replace(kept, share=replace(kept.share, state=ShareState.REVOKED))
    if kept.failed_at is not None and kept.failures >= _FREE_ATTEMPTS:
        wait_s = min(_FIRST_WAIT_S * 2 ** (kept.failures - _FREE_ATTEMPTS), _LONGEST_WAIT_S)
        left_s = wait_s - (now - kept.failed_at).total_seconds()
        if left_s > 0:
            raise TooManyAttempts("Too many wrong PINs: wait a little", retry_after_s=math.ceil(left_s))
    shares.count_failure(tx, kept.share.id, now)
    return kept


def _subject(share: Share) -> Subject:
    return Subject("share", str(share.id), share.study_uid)


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
