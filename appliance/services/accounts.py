"""Logging in, staying logged in, logging out: the toplevel's side.

A password is checked by Argon2id in a thread of its own (it costs 50 ms and 64 MiB on purpose). A browser gets an access
token for minutes and a refresh secret, kept here only as its hash, that is spent at each renewal.

Failures slow down whoever makes them, by username and by address, without locking an account for good: after a few free
attempts the wait doubles up to a bound, and a wait that is over allows one more attempt.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import math
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from appliance.domain.accounts import Account, Role
from appliance.domain.audit import Action, Actor, Event, Outcome, Subject
from appliance.domain.errors import BadRequest, NotAuthenticated, TooManyAttempts
from appliance.domain.identifiers import InstitutionId
from appliance.services.audit import AuditTrail, Recorded, somebody, somebody_unknown
from appliance.services.database_threads import DatabaseThreads
from appliance.services.tokens import AccessToken, TokenSigner
from appliance.storage import toplevel
from appliance.storage.database import Transaction

P = ParamSpec("P")
T = TypeVar("T")

_SHORTEST_PASSWORD = 8
"""NIST SP 800-63B §3.1.1.2 for a password that is not the only factor; longer is asked for by policy, not by code."""
_LONGEST_PASSWORD = 1024
_FREE_ATTEMPTS = 5
_LONGEST_WAIT_S = 300
_FORGET_FAILURES_AFTER = timedelta(hours=1)
_PASSWORD_THREADS = 2
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """What a browser gets when it logs in or renews."""

    account: Account
    access_token: AccessToken
    refresh_secret: str


class Accounts:
    """Credentials and sessions."""

    def __init__(
        self, database: DatabaseThreads, signer: TokenSigner, trail: AuditTrail, *, session_lifetime: timedelta
    ) -> None:
        self.session_lifetime = session_lifetime
        self._trail = trail
        self._database = database
        self._signer = signer
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(_PASSWORD_THREADS, thread_name_prefix="password")
        # Verified when there is no such account, so that the time of an answer does not tell which usernames exist.
        self._nobodys_hash = self._hasher.hash(secrets.token_urlsafe())

    async def create(self, account: Account, password: str, by: Actor) -> Account:
        """The account exists, with an id of its own; Conflict if its username is taken, BadRequest for a weak password."""
        if not account.username.strip() or account.username != account.username.strip():
            raise BadRequest("The username is empty or begins or ends with a blank", parameter="username")
        if not account.roles:
            raise BadRequest("The account has no role", parameter="roles")
        if not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
            raise BadRequest(
                f"A password has {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters", parameter="password"
            )
        created = replace(account, id=toplevel.new_account_id())
        password_hash = await self._in_thread(self._hasher.hash, password)
        event = Event(by, Action.CREATE_ACCOUNT, Subject("account", str(created.id)))
        await self._recorded(lambda tx: toplevel.create_account(tx, created, password_hash), event)
        return created

    async def log_in(self, username: str, password: str, address: str) -> Session:
        """A new session; NotAuthenticated for wrong credentials, TooManyAttempts while slowed down."""
        subjects = (f"account {username.casefold()[:64]}", f"address {address}")
        await self._database.read(lambda tx: _refuse_if_slowed(tx, subjects))
        found = await self._database.read(lambda tx: toplevel.credentials(tx, username))
        password_hash = found.password_hash if found else self._nobodys_hash
        is_right = await self._in_thread(self._verify, password_hash, password[:_LONGEST_PASSWORD])
        if found is None or not is_right:
            who = somebody(found.account, address) if found else somebody_unknown(address)
            failed = Event(who, Action.LOG_IN, _subject(found), Outcome.FAILED, "wrong-credentials")
            await self._recorded(lambda tx: _count_failures(tx, subjects), failed)
            raise NotAuthenticated("The username or the password is wrong", key="wrong-credentials")
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        account = found.account

        def begin(tx: Transaction) -> None:
            toplevel.forget_failures(tx, subjects[0])
            toplevel.begin_session(tx, _sha256(secret), account.id, self.session_lifetime)

        await self._recorded(begin, Event(somebody(account, address), Action.LOG_IN, _subject(found)))
        return Session(account, self._signer.sign(account), secret)

    async def renew(self, refresh_secret: str) -> Session:
        """The session goes on with a new secret; NotAuthenticated if it has ended or the secret was spent."""
        return await self._begin_again(_sha256(refresh_secret))

    async def log_out(self, refresh_secret: str) -> None:
        """The session is over; nothing happens if it was."""
        await self._database.run(lambda tx: toplevel.spend_session(tx, _sha256(refresh_secret)))

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    async def _begin_again(self, spent_sha256: bytes) -> Session:
        secret = secrets.token_urlsafe(_SECRET_BYTES)

        def exchange(tx: Transaction) -> Account | None:
            account_id = toplevel.spend_session(tx, spent_sha256)
            account = toplevel.account(tx, account_id) if account_id else None
            if account:
                toplevel.begin_session(tx, _sha256(secret), account.id, self.session_lifetime)
            return account

        account = await self._database.run(exchange)
        if account is None:
            raise NotAuthenticated("The session has ended", key="session-ended")
        return Session(account, self._signer.sign(account), secret)

    async def _recorded(self, work: Callable[[Transaction], None], event: Event) -> None:
        """``work`` is done and on record, or neither."""

        def both(tx: Transaction) -> Recorded:
            work(tx)
            return self._trail.record(tx, event)

        await self._database.call(lambda database: self._trail.tell(database.run(both)))

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        work = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


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


def _refuse_if_slowed(tx: Transaction, subjects: Iterable[str]) -> None:
    for subject in subjects:
        failures = toplevel.failures(tx, subject)
        wait_s = _wait_s(failures.count) - failures.age.total_seconds()
        if wait_s > 0:
            raise TooManyAttempts(
                "Too many wrong passwords; wait before the next attempt", retry_after_s=math.ceil(wait_s)
            )


def _subject(found: toplevel.Credentials | None) -> Subject:
    return Subject("account", str(found.account.id) if found else "")


def _wait_s(failures: int) -> float:
    """How long after the last of so many failures the next attempt is allowed, in seconds."""
    if failures < _FREE_ATTEMPTS:
        return 0
    return min(_LONGEST_WAIT_S, 2.0 ** min(failures - _FREE_ATTEMPTS, 16))


def _count_failures(tx: Transaction, subjects: Iterable[str]) -> None:
    for subject in subjects:
        toplevel.count_failure(tx, subject, forget_after=_FORGET_FAILURES_AFTER)


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
