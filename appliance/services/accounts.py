"""Logging in, staying logged in, logging out, and being shut out: the toplevel's side.

A browser gets an access token for minutes and a refresh secret, kept here only as its hash, that is spent at each renewal. A
spent one is good for a minute more: the answer with the new one may be lost with the line, or two tabs ask at once.

Failures slow down whoever makes them and deny the service to nobody. They are counted by username and by address: after a few
free attempts the wait doubles up to five minutes, and a wait that is over allows one more attempt. A browser in which somebody
was logged in before is known by a cookie of its own and counted by itself: who guesses at a physician's password from elsewhere
does not keep them out of their own workstation. An attempt is counted before the password is looked at, so that many at once
gain nothing.
"""

from __future__ import annotations

import functools
import hashlib
import math
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from appliance.domain.accounts import Account, Contact, Role
from appliance.domain.audit import Action, Actor, Event, Outcome, Subject
from appliance.domain.errors import BadRequest, NotAllowed, NotAuthenticated, NotFound, TooManyAttempts
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.domain.staff import Particulars
from appliance.services.audit import AuditTrail, somebody, somebody_unknown
from appliance.services.database_threads import DatabaseThreads
from appliance.services.passkeys import NewPasskey, PasskeyProof, Passkeys
from appliance.services.passwords import Passwords
from appliance.services.second_factors import FactorState, NewAuthenticator, SecondFactors
from appliance.services.tokens import AccessToken, TokenSigner
from appliance.storage import toplevel
from appliance.storage.database import Transaction
from appliance.storage.passkeys import KeptPasskey

T = TypeVar("T")

_FREE_ATTEMPTS = 5
_FREE_ATTEMPTS_OF_AN_ADDRESS = 30
"""A clinic behind one address is many people."""
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 300
_FORGET_FAILURES_AFTER = timedelta(hours=1)
_FORGET_DEVICE_AFTER = timedelta(days=180)
_SPENT_IS_GOOD_FOR = timedelta(minutes=1)
"""Four times as long as the page waits for an answer before it asks again."""
_SECRET_BYTES = 32
_LONGEST_USERNAME = 64
_NOTHING_KEPT = Particulars()
_LONGEST_BROWSER = 300


@dataclass(frozen=True, slots=True)
class Whence:
    """Where an attempt to log in comes from."""

    address: str
    browser: str = ""
    """What it calls itself (User-Agent)."""
    device_secret: str | None = None
    """What it was given when somebody logged in there before."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a browser gets when it logs in or renews."""

    id: UUID
    account: Account
    access_token: AccessToken
    refresh_secret: str
    device_secret: str | None = None
    """By which it is known from now on; None at a renewal."""


async def nobody_to_tell() -> None:
    return


class Accounts:
    """Credentials and sessions."""

    def __init__(
        self,
        database: DatabaseThreads,
        signer: TokenSigner,
        trail: AuditTrail,
        factors: SecondFactors,
        passkeys: Passkeys,
        *,
        session_lifetime: timedelta,
        on_revoked: Callable[[], Awaitable[None]] = nobody_to_tell,
        admission: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``on_revoked`` is called when tokens that have not ended are no good any more. Where ``admission`` is given, the
        accounts are a copy, in which nothing is changed here, and it refuses when that is too old to let anybody in."""
        self.session_lifetime = session_lifetime
        self._trail = trail
        self._database = database
        self._signer = signer
        self._factors = factors
        self._passkeys = passkeys
        self._passwords = Passwords()
        self._on_revoked = on_revoked
        self._admission = admission

    async def create(
        self, account: Account, password: str, by: Actor, particulars: Particulars = _NOTHING_KEPT
    ) -> Account:
        """The account exists, with an id of its own; Conflict if its username is taken, BadRequest for a weak password."""
        if not account.username.strip() or account.username != account.username.strip():
            raise BadRequest("The username is empty or begins or ends with a blank", parameter="username")
        if len(account.username.casefold()) > _LONGEST_USERNAME or not account.username.isprintable():
            raise BadRequest(
                f"The username has more than {_LONGEST_USERNAME} characters, or some that cannot be printed",
                parameter="username",
            )
        if not account.roles:
            raise BadRequest("The account has no role", parameter="roles")
        created = replace(account, id=toplevel.new_account_id())
        password_hash = await self._passwords.hash(password, _about(created))
        event = Event(by, Action.CREATE_ACCOUNT, _subject(created))
        await self._recorded(lambda tx: toplevel.create_account(tx, created, password_hash, particulars), event)
        return created

    async def log_in(self, username: str, password: str, whence: Whence, code: str | None = None) -> Session:
        """A new session; NotAuthenticated for wrong credentials, NotAllowed for an account that is shut out, TooManyAttempts
        while slowed down. With a second factor on, ``code`` is one of its codes or a recovery code."""
        found, subjects = await self._counted(username, whence)
        if not await self._passwords.is_right(found.password_hash if found else None, password) or found is None:
            who = somebody(found.account, whence.address) if found else somebody_unknown(whence.address)
            event = Event(
                who, Action.LOG_IN, _subject(found.account if found else None), Outcome.FAILED, "wrong-credentials"
            )
            await self._recorded(lambda tx: _stamp(tx, subjects), event)
            raise NotAuthenticated("The username or the password is wrong", key="wrong-credentials")
        account, who = found.account, somebody(found.account, whence.address)
        if not found.is_active:
            event = Event(who, Action.LOG_IN, _subject(account), Outcome.REFUSED, "account-deactivated")
            await self._recorded(lambda tx: None, event)
            raise _deactivated()
        await self._ask_second_factor(found.account, code, who, subjects)
        is_to_renew = self._admission is None and self._passwords.is_old(found.password_hash)
        newer_hash = await self._passwords.hash_again(password) if is_to_renew else None

        def settle(tx: Transaction) -> None:
            toplevel.forget_failures(tx, subjects[0])
            for subject in subjects[1:]:
                toplevel.take_back_failure(tx, subject)
            if newer_hash:
                toplevel.set_password_hash(tx, account.id, newer_hash)

        return await self._enter(account, who, whence, settle)

    async def log_in_with_passkey(self, proof: PasskeyProof, whence: Whence) -> Session:
        """A new session: a passkey is both factors. NotAuthenticated for one that is unknown or proves nothing, NotAllowed for an
        account that is shut out, TooManyAttempts while slowed down, Conflict where there are no passkeys."""
        found, subjects = await self._counted_passkey(proof, whence)
        who = somebody(found.account, whence.address) if found else somebody_unknown(whence.address)
        try:
            if found is None:
                raise NotAuthenticated("This passkey is not known here, or not any more", key="unknown-passkey")
            settle = functools.partial(self._settle_passkey, proof, subjects, is_active=found.is_active)
            return await self._enter(found.account, who, whence, settle, by_what="passkey")
        except (NotAuthenticated, NotAllowed) as error:
            outcome = Outcome.REFUSED if isinstance(error, NotAllowed) else Outcome.FAILED
            event = Event(who, Action.LOG_IN, _subject(found.account if found else None), outcome, error.key)
            await self._recorded(lambda tx: _stamp(tx, subjects), event)
            raise

    def _settle_passkey(
        self, proof: PasskeyProof, subjects: tuple[str, ...], tx: Transaction, *, is_active: bool
    ) -> None:
        self._passkeys.prove(tx, proof)
        if not is_active:
            raise _deactivated()
        _take_back(tx, subjects)

    async def _enter(
        self,
        account: Account,
        who: Actor,
        whence: Whence,
        settle: Callable[[Transaction], None],
        *,
        by_what: str = "",
    ) -> Session:
        """A new session, on record; ``settle`` is done in its transaction."""
        if self._admission is not None:
            await self._admission()
        secret, device_secret = _new_secret(), whence.device_secret or _new_secret()
        kept = _begun(account.id, whence)

        def begin(tx: Transaction) -> None:
            settle(tx)
            toplevel.know_device(tx, _sha256(device_secret), account.id, forget_after=_FORGET_DEVICE_AFTER)
            toplevel.begin_session(tx, _sha256(secret), kept, self.session_lifetime)

        await self._recorded(begin, Event(who, Action.LOG_IN, _subject(account), reason=by_what))
        return Session(kept.id, account, self._signer.sign(account, kept.id), secret, device_secret)

    async def _ask_second_factor(
        self, account: Account, code: str | None, who: Actor, subjects: tuple[str, ...]
    ) -> None:
        """Returns if ``code`` is right, or none is asked for."""
        if not (await self.second_factor(account)).is_on:
            return
        if code is None:
            await self._database.run(lambda tx: _take_back(tx, subjects))
            raise NotAuthenticated("A code of the second factor is needed too", key="second-factor-needed")
        if not await self._database.run(lambda tx: self._factors.is_right(tx, account.id, code)):
            event = Event(who, Action.LOG_IN, _subject(account), Outcome.FAILED, "wrong-code")
            await self._recorded(lambda tx: _stamp(tx, subjects), event)
            raise NotAuthenticated("The code is wrong, or was used", key="wrong-code")

    async def renew(self, refresh_secret: str) -> Session:
        """The session goes on with a new secret; NotAuthenticated if it has ended or the secret was spent a while ago."""
        if self._admission is not None:
            await self._admission()
        secret = _new_secret()

        def exchange(tx: Transaction) -> tuple[toplevel.KeptSession, Account] | None:
            session = toplevel.spend_session(tx, _sha256(refresh_secret), good_for=_SPENT_IS_GOOD_FOR)
            account = toplevel.account(tx, session.account_id) if session else None
            if session is None or account is None:
                return None
            session = replace(session, renewed_at=datetime.now(UTC))
            toplevel.begin_session(tx, _sha256(secret), session, self.session_lifetime)
            return session, account

        exchanged = await self._database.run(exchange)
        if exchanged is None:
            raise NotAuthenticated("The session has ended", key="session-ended")
        session, account = exchanged
        return Session(session.id, account, self._signer.sign(account, session.id), secret)

    async def log_out(self, refresh_secret: str) -> None:
        """The session is over, its token too; nothing happens if it was."""

        def end(tx: Transaction) -> None:
            session = toplevel.spend_session(tx, _sha256(refresh_secret))
            if session is not None:
                toplevel.end_session(tx, session)

        await self._database.run(end)
        await self._on_revoked()

    # What somebody does with their own account

    async def sessions(self, account: Account) -> tuple[toplevel.KeptSession, ...]:
        """Where the account is logged in, the newest first."""
        return await self._database.read(lambda tx: toplevel.sessions_of(tx, account.id))

    async def end_session(self, account: Account, session_id: UUID, by: Actor) -> None:
        """One of the account's sessions is over; NotFound if it has none of this id."""

        def end(tx: Transaction) -> None:
            session = next((one for one in toplevel.sessions_of(tx, account.id) if one.id == session_id), None)
            if session is None:
                raise NotFound("There is no such session", key="no-such-session")
            toplevel.end_session(tx, session)

        await self._recorded(end, Event(by, Action.END_SESSION, Subject("session", str(session_id))))
        await self._on_revoked()

    async def contact(self, account: Account) -> Contact:
        found = await self._database.read(lambda tx: toplevel.contact(tx, account.id))
        if found is None:
            raise _no_such_account()
        return found

    async def set_contact(self, account: Account, contact: Contact, by: Actor) -> None:
        contact.require_plausible()

        def change(tx: Transaction) -> None:
            if not toplevel.set_contact(tx, account.id, contact):
                raise _no_such_account()

        await self._recorded(change, Event(by, Action.CHANGE_CONTACT, _subject(account)))

    async def change_password(
        self, account: Account, old: str, new: str, whence: Whence, *, kept_session: UUID | None
    ) -> None:
        """The password is another, and all sessions are over but ``kept_session``.

        NotAllowed where ``old`` is wrong, TooManyAttempts while slowed down, BadRequest where ``new`` is weak.
        """
        await self._confirm(account, old, whence, Action.CHANGE_PASSWORD)
        password_hash = await self._passwords.hash(new, _about(account))

        def change(tx: Transaction) -> None:
            toplevel.set_password_hash(tx, account.id, password_hash)
            for session in toplevel.sessions_of(tx, account.id):
                if session.id != kept_session:
                    toplevel.end_session(tx, session)

        by = somebody(account, whence.address)
        await self._recorded(change, Event(by, Action.CHANGE_PASSWORD, _subject(account)))
        await self._on_revoked()

    async def second_factor(self, account: Account) -> FactorState:
        return await self._database.read(lambda tx: self._factors.state(tx, account.id))

    async def begin_second_factor(self, account: Account, password: str, whence: Whence) -> NewAuthenticator:
        """What an authenticator app is told; it counts from ``turn_on_second_factor`` on."""
        await self._confirm(account, password, whence, Action.TURN_ON_SECOND_FACTOR)
        return await self._database.run(lambda tx: self._factors.begin(tx, account.id, account.username))

    async def turn_on_second_factor(self, account: Account, code: str, by: Actor) -> tuple[str, ...]:
        """The recovery codes, shown once."""
        event = Event(by, Action.TURN_ON_SECOND_FACTOR, _subject(account))
        return await self._carried_out(lambda tx: self._factors.turn_on(tx, account.id, code), event)

    async def make_recovery_codes(self, account: Account, password: str, whence: Whence) -> tuple[str, ...]:
        """New ones, shown once; the old are worth nothing."""
        await self._confirm(account, password, whence, Action.MAKE_RECOVERY_CODES)
        event = Event(somebody(account, whence.address), Action.MAKE_RECOVERY_CODES, _subject(account))
        return await self._carried_out(lambda tx: self._factors.make_recovery_codes(tx, account.id), event)

    async def turn_off_second_factor(self, account: Account, password: str, whence: Whence) -> None:
        await self._confirm(account, password, whence, Action.TURN_OFF_SECOND_FACTOR)
        await self.remove_second_factor(account, somebody(account, whence.address))

    @property
    def relying_party_id(self) -> str | None:
        """Of passkeys; None where there are none."""
        return self._passkeys.party.id if self._passkeys.party else None

    def passkey_request(self) -> dict[str, object]:
        """What the authenticator of whoever wants to log in is asked; Conflict where there are no passkeys."""
        return self._passkeys.request_options()

    async def passkeys(self, account: Account) -> tuple[KeptPasskey, ...]:
        """Those of the account, the oldest first."""
        return await self._database.read(lambda tx: self._passkeys.of(tx, account.id))

    async def begin_passkey(self, account: Account, password: str, whence: Whence) -> dict[str, object]:
        """What an authenticator is asked to make; what it made counts from ``add_passkey`` on."""
        await self._confirm(account, password, whence, Action.ADD_PASSKEY)
        return await self._database.read(lambda tx: self._passkeys.creation_options(tx, account))

    async def add_passkey(self, account: Account, name: str, new: NewPasskey, by: Actor) -> KeptPasskey:
        passkey_id = uuid4()
        event = Event(by, Action.ADD_PASSKEY, _passkey_subject(passkey_id))
        return await self._carried_out(lambda tx: self._passkeys.add(tx, account.id, passkey_id, name, new), event)

    async def rename_passkey(self, account: Account, passkey_id: UUID, name: str, by: Actor) -> None:
        event = Event(by, Action.RENAME_PASSKEY, _passkey_subject(passkey_id))
        await self._recorded(lambda tx: self._passkeys.rename(tx, account.id, passkey_id, name), event)

    async def remove_passkey(self, account: Account, passkey_id: UUID, by: Actor) -> None:
        event = Event(by, Action.REMOVE_PASSKEY, _passkey_subject(passkey_id))
        await self._recorded(lambda tx: self._passkeys.remove(tx, account.id, passkey_id), event)

    async def _confirm(self, account: Account, password: str, whence: Whence, action: Action) -> None:
        """Returns if who is logged in knows the password still; NotAllowed otherwise, counted and on record as a login is."""
        found, subjects = await self._counted(account.username, whence)
        if not await self._passwords.is_right(found.password_hash if found else None, password):
            by = somebody(account, whence.address)
            event = Event(by, action, _subject(account), Outcome.FAILED, "wrong-password")
            await self._recorded(lambda tx: _stamp(tx, subjects), event)
            raise NotAllowed("The password is wrong", key="wrong-password")
        await self._database.run(lambda tx: _take_back(tx, subjects))

    # What an administrator does with another

    async def remove_second_factor(self, account: Account, by: Actor) -> None:
        """Only the password is asked for from now on: for whoever lost their app and their recovery codes."""
        event = Event(by, Action.TURN_OFF_SECOND_FACTOR, _subject(account))
        await self._recorded(lambda tx: self._factors.turn_off(tx, account.id), event)

    async def remove_passkeys(self, account: Account, by: Actor) -> None:
        """None logs them in any more: for whoever lost the device that holds them."""
        event = Event(by, Action.REMOVE_PASSKEY, _subject(account))
        await self._recorded(lambda tx: self._passkeys.remove_all(tx, account.id), event)

    async def replace_password(self, account: Account, password: str, by: Actor) -> None:
        """The password is another, and all sessions are over: for whoever forgot theirs. BadRequest for a weak one."""
        password_hash = await self._passwords.hash(password, _about(account))

        def change(tx: Transaction) -> None:
            toplevel.set_password_hash(tx, account.id, password_hash)
            toplevel.end_sessions(tx, account.id)

        await self._recorded(change, Event(by, Action.CHANGE_PASSWORD, _subject(account)))
        await self._on_revoked()

    async def account(self, account_id: AccountId) -> Account:
        found = await self._database.read(lambda tx: toplevel.account(tx, account_id))
        if found is None:
            raise _no_such_account()
        return found

    async def account_named(self, username: str) -> Account:
        found = await self._database.read(lambda tx: toplevel.credentials(tx, username))
        if found is None:
            raise _no_such_account()
        return found.account

    async def set_active(self, account: Account, by: Actor, *, is_active: bool) -> None:
        """Whether somebody may log in. Who may not any more is logged out everywhere, within a minute where the line is up."""

        def change(tx: Transaction) -> None:
            toplevel.set_active(tx, account.id, is_active=is_active)
            if not is_active:
                toplevel.end_sessions(tx, account.id)
                toplevel.forget_devices(tx, account.id)

        action = Action.REACTIVATE_ACCOUNT if is_active else Action.DEACTIVATE_ACCOUNT
        await self._recorded(change, Event(by, action, _subject(account)))
        await self._on_revoked()

    async def close(self) -> None:
        await self._passwords.close()

    async def _counted(self, username: str, whence: Whence) -> tuple[toplevel.Credentials | None, tuple[str, ...]]:
        """Whose username it is, and by what their attempt is counted now; TooManyAttempts while that has to wait."""

        def count(tx: Transaction) -> tuple[toplevel.Credentials | None, tuple[str, ...]]:
            found = toplevel.credentials(tx, username)
            subjects = _counted_by(tx, username, found, whence)
            _count(tx, subjects)
            return found, subjects

        return await self._database.run(count)

    async def _counted_passkey(
        self, proof: PasskeyProof, whence: Whence
    ) -> tuple[toplevel.Credentials | None, tuple[str, ...]]:
        """The same for a passkey. It is counted by device or address only: it cannot be guessed, and who shows it to us
        without being able to use it shall not keep its owner out."""

        def count(tx: Transaction) -> tuple[toplevel.Credentials | None, tuple[str, ...]]:
            owner = self._passkeys.claimed_owner(tx, proof)
            found = toplevel.credentials_of(tx, owner) if owner else None
            subjects = _counted_by(tx, "", found, whence)[-1:]
            _count(tx, subjects)
            return found, subjects

        return await self._database.run(count)

    async def _recorded(self, work: Callable[[Transaction], None], event: Event) -> None:
        """``work`` is done and on record, or neither."""
        await self._carried_out(work, event)

    async def _carried_out(self, work: Callable[[Transaction], T], event: Event) -> T:
        """What ``work`` returned, which is on record."""
        return await self._database.call(lambda database: self._trail.carry_out(database, lambda tx: (work(tx), event)))


def account_to_create(
    username: str,
    *,
    given_name: str,
    family_name: str,
    roles: Iterable[Role],
    institution_id: InstitutionId | None,
) -> Account:
    """An account as it is handed to ``Accounts.create``, which gives it its id."""
    return Account(toplevel.new_account_id(), username, given_name, family_name, frozenset(roles), institution_id)


def _counted_by(tx: Transaction, username: str, found: toplevel.Credentials | None, whence: Whence) -> tuple[str, ...]:
    if found is not None and whence.device_secret is not None:
        device_sha256 = _sha256(whence.device_secret)
        if toplevel.is_known_device(tx, device_sha256, found.account.id):
            return (f"device {device_sha256.hex()} {found.account.id}",)
    return (f"account {username.casefold()[:64]}", f"address {whence.address}")


def _count(tx: Transaction, subjects: tuple[str, ...]) -> None:
    """As failures, until it is known better; TooManyAttempts where one of them has to wait."""
    _refuse_if_slowed(tx, subjects)
    for subject in subjects:
        toplevel.count_failure(tx, subject, forget_after=_FORGET_FAILURES_AFTER)


def _refuse_if_slowed(tx: Transaction, subjects: Iterable[str]) -> None:
    for subject in subjects:
        failures = toplevel.failures(tx, subject)
        free = _FREE_ATTEMPTS_OF_AN_ADDRESS if subject.startswith("address ") else _FREE_ATTEMPTS
        wait_s = _wait_s(failures.count, free) - failures.age.total_seconds()
        if wait_s > 0:
            raise TooManyAttempts(
                "Too many wrong passwords; wait before the next attempt", retry_after_s=math.ceil(wait_s)
            )


def _take_back(tx: Transaction, subjects: Iterable[str]) -> None:
    for subject in subjects:
        toplevel.take_back_failure(tx, subject)


def _stamp(tx: Transaction, subjects: Iterable[str]) -> None:
    for subject in subjects:
        toplevel.stamp_failure(tx, subject)


def _wait_s(failures: int, free: int = _FREE_ATTEMPTS) -> float:
    """How long after the last of so many failures the next attempt is allowed, in seconds."""
    if failures < free:
        return 0
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures - free, 16))


def _begun(account_id: AccountId, whence: Whence) -> toplevel.KeptSession:
    now = datetime.now(UTC)
    return toplevel.KeptSession(uuid4(), account_id, now, now, whence.address, whence.browser[:_LONGEST_BROWSER])


def _about(account: Account) -> tuple[str, ...]:
    """What a password must not be made of."""
    return (account.username, account.given_name, account.family_name)


def _no_such_account() -> NotFound:
    return NotFound("There is no such account", key="no-such-account")


def _deactivated() -> NotAllowed:
    return NotAllowed("This account was deactivated", key="account-deactivated")


def _passkey_subject(passkey_id: UUID) -> Subject:
    return Subject("passkey", str(passkey_id))


def _subject(account: Account | None) -> Subject:
    return Subject("account", str(account.id) if account else "")


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
