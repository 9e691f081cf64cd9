"""Logging in: right, wrong, too often wrong; and staying logged in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.accounts import Account, Role
from appliance.domain.errors import BadRequest, Conflict, NotAllowed, NotAuthenticated, NotFound, TooManyAttempts
from appliance.domain.identifiers import InstitutionId
from appliance.services import accounts as module
from appliance.services.accounts import Accounts, Whence, account_to_create
from appliance.services.audit import AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.passkeys import Passkeys
from appliance.services.second_factors import SecondFactors
from appliance.services.tokens import TokenSigner, TokenVerifier
from appliance.storage import audit, toplevel
from appliance.storage.database import Database, migrate
from tests.services.node_parts import SOMEBODY

PASSWORD = "correct horse battery"
HERE = Whence("192.0.2.1")


@pytest.fixture
def signer() -> TokenSigner:
    return TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600)


@pytest.fixture
def slowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first wait is longer than a test takes on a busy machine."""
    monkeypatch.setattr(module, "_FIRST_WAIT_S", 60.0)


@pytest.fixture
async def accounts(tmp_path: Path, signer: TokenSigner) -> AsyncIterator[Accounts]:
    database = Database(f"sqlite:///{tmp_path}/toplevel.sqlite")
    migrate(database, "toplevel", toplevel.MIGRATIONS)
    migrate(database, "audit", audit.MIGRATIONS)
    threads = DatabaseThreads(database)
    made = Accounts(
        threads,
        signer,
        AuditTrail("toplevel", tmp_path / "audit-head"),
        SecondFactors(tmp_path / "second-factors.key"),
        Passkeys(tmp_path / "second-factors.key", None),
        session_lifetime=timedelta(days=7),
    )
    yield made
    await made.close()
    await threads.close()


def somebody(username: str = "Ana") -> Account:
    return account_to_create(
        username,
        given_name="Ana",
        family_name="Anić",
        roles=[Role.PHYSICIAN],
        institution_id=InstitutionId(UUID(int=1)),
    )


async def test_the_right_password_gives_a_token_of_the_account(accounts: Accounts, signer: TokenSigner) -> None:
    created = await accounts.create(somebody(), PASSWORD, SOMEBODY)

    session = await accounts.log_in("ana", PASSWORD, HERE)

    account, _ = TokenVerifier((signer.public_key,)).verify(session.access_token.text)
    assert account.id == created.id
    assert account.family_name == "Anić"


async def test_logging_in_and_failing_to_is_on_record(accounts: Accounts) -> None:
    created = await accounts.create(somebody(), PASSWORD, SOMEBODY)
    await accounts.log_in("ana", PASSWORD, HERE)
    for username in ("ana", "a password in the wrong field"):
        with pytest.raises(NotAuthenticated):
            await accounts.log_in(username, "wrong password", HERE)

    rows = await accounts._database.read(lambda tx: tx.rows(audit.AuditRow.select()))

    assert [(row.action, row.outcome, row.actor_name, row.subject_uid) for row in rows] == [
        ("create-account", "done", "ana", str(created.id)),
        ("log-in", "done", "ana", str(created.id)),
        ("log-in", "failed", "ana", str(created.id)),
        ("log-in", "failed", "", ""),
    ]
    assert {row.address for row in rows[1:]} == {HERE.address}


async def test_a_username_is_compared_without_case(accounts: Accounts) -> None:
    await accounts.create(somebody("Ana"), PASSWORD, SOMEBODY)

    assert (await accounts.log_in("ANA", PASSWORD, HERE)).account.username == "ana"


async def test_a_wrong_password_and_an_unknown_username_are_refused_alike(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)

    with pytest.raises(NotAuthenticated) as wrong:
        await accounts.log_in("ana", "wrong password", HERE)
    with pytest.raises(NotAuthenticated) as unknown:
        await accounts.log_in("nobody", "wrong password", HERE)

    assert (wrong.value.key, wrong.value.message) == (unknown.value.key, unknown.value.message)


async def test_an_empty_password_never_opens(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)

    with pytest.raises(NotAuthenticated):
        await accounts.log_in("ana", "", HERE)


@pytest.mark.usefixtures("slowed")
async def test_many_wrong_passwords_slow_the_account_down_even_for_the_right_one(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    for attempt in range(5):
        with pytest.raises(NotAuthenticated):
            await accounts.log_in("ana", "wrong password", Whence(f"192.0.2.{attempt + 10}"))

    with pytest.raises(TooManyAttempts) as caught:
        await accounts.log_in("ana", PASSWORD, Whence("192.0.2.99"))

    assert caught.value.retry_after_s >= 1


@pytest.mark.usefixtures("slowed")
async def test_many_wrong_passwords_slow_the_address_down(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FREE_ATTEMPTS_OF_AN_ADDRESS", 5)
    for attempt in range(5):
        with pytest.raises(NotAuthenticated):
            await accounts.log_in(f"guess{attempt}", "wrong password", HERE)

    with pytest.raises(TooManyAttempts):
        await accounts.log_in("another", "wrong password", HERE)


async def test_the_wait_grows_and_is_bounded() -> None:
    waits = [module._wait_s(failures) for failures in (0, 4, 5, 6, 7, 100)]

    assert waits == [0, 0, 1, 2, 4, 300]


async def test_a_right_password_forgets_the_failures_of_the_account(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    for attempt in range(4):
        with pytest.raises(NotAuthenticated):
            await accounts.log_in("ana", "wrong password", Whence(f"192.0.2.{attempt + 10}"))
    await accounts.log_in("ana", PASSWORD, HERE)

    with pytest.raises(NotAuthenticated):
        await accounts.log_in("ana", "wrong password", Whence("192.0.2.50"))
    await accounts.log_in("ana", PASSWORD, HERE)


async def test_a_session_goes_on_with_a_new_secret_and_the_old_one_is_spent(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SPENT_IS_GOOD_FOR", timedelta(0))
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    first = await accounts.log_in("ana", PASSWORD, HERE)

    second = await accounts.renew(first.refresh_secret)

    assert second.refresh_secret != first.refresh_secret
    with pytest.raises(NotAuthenticated):
        await accounts.renew(first.refresh_secret)
    await accounts.renew(second.refresh_secret)


async def test_a_session_goes_on_though_the_answer_with_its_new_secret_was_lost(accounts: Accounts) -> None:
    created = await accounts.create(somebody(), PASSWORD, SOMEBODY)
    first = await accounts.log_in("ana", PASSWORD, HERE)
    await accounts.renew(first.refresh_secret)

    again = await accounts.renew(first.refresh_secret)

    assert again.id == first.id
    assert [session.id for session in await accounts.sessions(created)] == [first.id]
    assert (await accounts.renew(again.refresh_secret)).id == first.id


async def test_a_spent_secret_is_not_good_for_longer_because_it_is_used_again(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SPENT_IS_GOOD_FOR", timedelta(seconds=1))
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    session = await accounts.log_in("ana", PASSWORD, HERE)
    began = time.monotonic()

    with pytest.raises(NotAuthenticated):
        while True:
            await accounts.renew(session.refresh_secret)
            await asyncio.sleep(0.1)

    assert time.monotonic() - began >= 1


async def test_logging_out_ends_a_session_under_all_its_secrets(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    first = await accounts.log_in("ana", PASSWORD, HERE)
    second = await accounts.renew(first.refresh_secret)

    await accounts.log_out(second.refresh_secret)

    for secret in (first.refresh_secret, second.refresh_secret):
        with pytest.raises(NotAuthenticated):
            await accounts.renew(secret)


async def test_after_logging_out_the_session_does_not_go_on(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    session = await accounts.log_in("ana", PASSWORD, HERE)

    await accounts.log_out(session.refresh_secret)

    with pytest.raises(NotAuthenticated) as caught:
        await accounts.renew(session.refresh_secret)
    assert caught.value.key == "session-ended"


async def test_a_username_is_taken_once(accounts: Accounts) -> None:
    await accounts.create(somebody("ana"), PASSWORD, SOMEBODY)

    with pytest.raises(Conflict):
        await accounts.create(somebody("Ana"), PASSWORD, SOMEBODY)


@pytest.mark.parametrize("password", ["", "short", "fourteen chars", "x" * 2000])
async def test_a_password_that_is_too_short_or_too_long_is_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(BadRequest):
        await accounts.create(somebody(), password, SOMEBODY)


@pytest.mark.parametrize("username", ["", "  ", " ana"])
async def test_a_blank_username_is_refused(accounts: Accounts, username: str) -> None:
    with pytest.raises(BadRequest):
        await accounts.create(somebody(username), PASSWORD, SOMEBODY)


@pytest.mark.usefixtures("slowed")
async def test_who_was_logged_in_before_is_not_kept_out_by_the_guesses_of_others(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    own = replace(HERE, device_secret=(await accounts.log_in("ana", PASSWORD, HERE)).device_secret)
    for attempt in range(5):
        with pytest.raises(NotAuthenticated):
            await accounts.log_in("ana", "wrong password", Whence(f"192.0.2.{attempt + 10}"))

    with pytest.raises(TooManyAttempts):
        await accounts.log_in("ana", PASSWORD, HERE)
    await accounts.log_in("ana", PASSWORD, own)


@pytest.mark.usefixtures("slowed")
async def test_guesses_in_a_known_browser_are_slowed_down_too(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    own = replace(HERE, device_secret=(await accounts.log_in("ana", PASSWORD, HERE)).device_secret)
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            await accounts.log_in("ana", "wrong password", own)

    with pytest.raises(TooManyAttempts):
        await accounts.log_in("ana", PASSWORD, own)


@pytest.mark.usefixtures("slowed")
async def test_a_known_browser_of_one_is_not_one_of_another(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    await accounts.create(somebody("ivo"), PASSWORD, SOMEBODY)
    of_ivo = replace(HERE, device_secret=(await accounts.log_in("ivo", PASSWORD, HERE)).device_secret)
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            await accounts.log_in("ana", "wrong password", of_ivo)

    with pytest.raises(TooManyAttempts):
        await accounts.log_in("ana", PASSWORD, of_ivo)


@pytest.mark.usefixtures("slowed")
async def test_many_guesses_at_once_gain_nothing(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)

    guesses = [accounts.log_in("ana", f"guess {number}", Whence(f"192.0.2.{number}")) for number in range(20)]
    outcomes = [type(outcome) for outcome in await asyncio.gather(*guesses, return_exceptions=True)]

    assert outcomes.count(NotAuthenticated) == 5
    assert outcomes.count(TooManyAttempts) == 15


async def test_sessions_are_listed_and_ended_one_by_one(accounts: Accounts) -> None:
    created = await accounts.create(somebody(), PASSWORD, SOMEBODY)
    first = await accounts.log_in("ana", PASSWORD, Whence("192.0.2.1", "Firefox"))
    second = await accounts.log_in("ana", PASSWORD, Whence("192.0.2.2", "Chromium"))
    second = await accounts.renew(second.refresh_secret)

    listed = await accounts.sessions(created)
    await accounts.end_session(created, first.id, SOMEBODY)

    assert [(session.address, session.browser) for session in listed] == [
        ("192.0.2.2", "Chromium"),
        ("192.0.2.1", "Firefox"),
    ]
    with pytest.raises(NotAuthenticated):
        await accounts.renew(first.refresh_secret)
    assert (await accounts.renew(second.refresh_secret)).id == second.id


async def test_nobody_ends_the_session_of_another(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    other = await accounts.create(somebody("ivo"), PASSWORD, SOMEBODY)
    session = await accounts.log_in("ana", PASSWORD, HERE)

    with pytest.raises(NotFound):
        await accounts.end_session(other, session.id, SOMEBODY)

    await accounts.renew(session.refresh_secret)


async def test_another_password_ends_all_other_sessions(accounts: Accounts) -> None:
    created = await accounts.create(somebody(), PASSWORD, SOMEBODY)
    here, elsewhere = await accounts.log_in("ana", PASSWORD, HERE), await accounts.log_in("ana", PASSWORD, HERE)

    await accounts.change_password(created, PASSWORD, "another horse battery", HERE, kept_session=here.id)

    with pytest.raises(NotAuthenticated):
        await accounts.renew(elsewhere.refresh_secret)
    await accounts.renew(here.refresh_secret)
    with pytest.raises(NotAuthenticated):
        await accounts.log_in("ana", PASSWORD, HERE)
    await accounts.log_in("ana", "another horse battery", HERE)


@pytest.mark.usefixtures("slowed")
async def test_the_old_password_is_asked_for_and_counted(accounts: Accounts) -> None:
    created = await accounts.create(somebody(), PASSWORD, SOMEBODY)
    for _ in range(5):
        with pytest.raises(NotAllowed):
            await accounts.change_password(created, "wrong password", "another horse battery", HERE, kept_session=None)

    with pytest.raises(TooManyAttempts):
        await accounts.change_password(created, PASSWORD, "another horse battery", HERE, kept_session=None)


async def test_who_is_shut_out_neither_renews_nor_logs_in_until_they_are_let_in_again(accounts: Accounts) -> None:
    created = await accounts.create(somebody(), PASSWORD, SOMEBODY)
    session = await accounts.log_in("ana", PASSWORD, HERE)

    await accounts.set_active(created, SOMEBODY, is_active=False)

    with pytest.raises(NotAuthenticated):
        await accounts.renew(session.refresh_secret)
    with pytest.raises(NotAllowed) as refused:
        await accounts.log_in("ana", PASSWORD, HERE)
    assert refused.value.key == "account-deactivated"
    with pytest.raises(NotAuthenticated):  # who does not know the password does not learn it
        await accounts.log_in("ana", "wrong password", HERE)
    await accounts.set_active(created, SOMEBODY, is_active=True)
    await accounts.log_in("ana", PASSWORD, HERE)
