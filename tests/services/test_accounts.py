"""Logging in: right, wrong, too often wrong; and staying logged in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.accounts import Account, Role
from appliance.domain.errors import BadRequest, Conflict, NotAuthenticated, TooManyAttempts
from appliance.domain.identifiers import InstitutionId
from appliance.services import accounts as module
from appliance.services.accounts import Accounts, account_to_create
from appliance.services.audit import AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.tokens import TokenSigner, TokenVerifier
from appliance.storage import audit, toplevel
from appliance.storage.database import Database, migrate
from tests.services.node_parts import SOMEBODY

PASSWORD = "correct horse battery"
HERE = "192.0.2.1"


@pytest.fixture
def signer() -> TokenSigner:
    return TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600)


@pytest.fixture
async def accounts(tmp_path: Path, signer: TokenSigner) -> AsyncIterator[Accounts]:
    database = Database(f"sqlite:///{tmp_path}/toplevel.sqlite")
    migrate(database, "toplevel", toplevel.MIGRATIONS)
    migrate(database, "audit", audit.MIGRATIONS)
    threads = DatabaseThreads(database)
    made = Accounts(
        threads, signer, AuditTrail("toplevel", tmp_path / "audit-head"), session_lifetime=timedelta(days=7)
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
    assert {row.address for row in rows[1:]} == {HERE}


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


async def test_many_wrong_passwords_slow_the_account_down_even_for_the_right_one(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    for attempt in range(5):
        with pytest.raises(NotAuthenticated):
            await accounts.log_in("ana", "wrong password", f"192.0.2.{attempt + 10}")

    with pytest.raises(TooManyAttempts) as caught:
        await accounts.log_in("ana", PASSWORD, "192.0.2.99")

    assert caught.value.retry_after_s >= 1


async def test_many_wrong_passwords_slow_the_address_down(accounts: Accounts) -> None:
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
            await accounts.log_in("ana", "wrong password", f"192.0.2.{attempt + 10}")
    await accounts.log_in("ana", PASSWORD, HERE)

    with pytest.raises(NotAuthenticated):
        await accounts.log_in("ana", "wrong password", "192.0.2.50")
    await accounts.log_in("ana", PASSWORD, HERE)


async def test_a_session_goes_on_with_a_new_secret_and_the_old_one_is_spent(accounts: Accounts) -> None:
    await accounts.create(somebody(), PASSWORD, SOMEBODY)
    first = await accounts.log_in("ana", PASSWORD, HERE)

    second = await accounts.renew(first.refresh_secret)

    assert second.refresh_secret != first.refresh_secret
    with pytest.raises(NotAuthenticated):
        await accounts.renew(first.refresh_secret)
    await accounts.renew(second.refresh_secret)


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


@pytest.mark.parametrize("password", ["", "short", "x" * 2000])
async def test_a_password_that_is_too_short_or_too_long_is_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(BadRequest):
        await accounts.create(somebody(), password, SOMEBODY)


@pytest.mark.parametrize("username", ["", "  ", " ana"])
async def test_a_blank_username_is_refused(accounts: Accounts, username: str) -> None:
    with pytest.raises(BadRequest):
        await accounts.create(somebody(username), PASSWORD, SOMEBODY)
