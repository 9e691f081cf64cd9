"""Codes of an authenticator app, and recovery codes."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.accounts import Account, Role
from appliance.domain.errors import BadRequest, Conflict, Damaged, NotAllowed, NotAuthenticated
from appliance.services import second_factors
from appliance.services.accounts import Accounts, Session, Whence, account_to_create
from appliance.services.audit import AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.passkeys import Passkeys
from appliance.services.second_factors import SecondFactors, code_at
from appliance.services.tokens import TokenSigner
from appliance.storage import audit, toplevel
from appliance.storage.database import Database, migrate
from tests.services.node_parts import SOMEBODY

PASSWORD = "correct horse battery"
HERE = Whence("192.0.2.1")
NOON = 1_800_000_000


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_codes_are_those_of_the_standard(at: int, code: str) -> None:
    """RFC 6238 appendix B, SHA-1."""
    assert code_at(b"12345678901234567890", at // 30, digits=8) == code


@dataclass
class Somebody:
    accounts: Accounts
    account: Account
    secret: bytes = b""
    recovery_codes: tuple[str, ...] = ()

    def code(self, *, steps_later: int = 0) -> str:
        return code_at(self.secret, int(second_factors.time.time()) // 30 + steps_later)

    async def log_in(self, code: str | None) -> Session:
        return await self.accounts.log_in("ana", PASSWORD, HERE, code)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the codes; the last one counts."""
    now = [float(NOON)]

    class Clock:
        time = staticmethod(lambda: now[-1])

    monkeypatch.setattr(second_factors, "time", Clock)
    return now


@pytest.fixture
async def ana(tmp_path: Path, clock: list[float]) -> AsyncIterator[Somebody]:
    """Somebody whose second factor is on."""
    database = Database(f"sqlite:///{tmp_path}/toplevel.sqlite")
    migrate(database, "toplevel", toplevel.MIGRATIONS)
    migrate(database, "audit", audit.MIGRATIONS)
    threads = DatabaseThreads(database)
    accounts = Accounts(
        threads,
        TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600),
        AuditTrail("toplevel", tmp_path / "audit-head"),
        SecondFactors(tmp_path / "second-factors.key"),
        Passkeys(tmp_path / "second-factors.key", None),
        session_lifetime=timedelta(days=7),
    )
    wanted = account_to_create("ana", given_name="", family_name="", roles=[Role.PHYSICIAN], institution_id=None)
    somebody = Somebody(accounts, await accounts.create(wanted, PASSWORD, SOMEBODY))
    begun = await accounts.begin_second_factor(somebody.account, PASSWORD, HERE)
    somebody.secret = base64.b32decode(begun.secret)
    somebody.recovery_codes = await accounts.turn_on_second_factor(somebody.account, somebody.code(), SOMEBODY)
    clock.append(NOON + 300.0)
    yield somebody
    await accounts.close()
    await threads.close()


async def test_a_login_asks_for_a_code_and_takes_the_one_of_the_app(ana: Somebody) -> None:
    with pytest.raises(NotAuthenticated) as asked:
        await ana.log_in(None)
    assert asked.value.key == "second-factor-needed"

    await ana.log_in(ana.code())


async def test_the_qr_code_says_what_the_app_is_told(ana: Somebody) -> None:
    await ana.accounts.turn_off_second_factor(ana.account, PASSWORD, HERE)
    told = await ana.accounts.begin_second_factor(ana.account, PASSWORD, HERE)
    dark = np.array([[module == "1" for module in row] for row in told.qr_code])

    (read,) = zxingcpp.read_barcodes(np.where(np.pad(dark, 4).repeat(4, 0).repeat(4, 1), 0, 255).astype(np.uint8))

    assert read.text == told.uri


@pytest.mark.parametrize("steps_later", [-2, 2, 100])
async def test_a_code_of_another_time_is_wrong(ana: Somebody, steps_later: int) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        await ana.log_in(ana.code(steps_later=steps_later))

    assert refused.value.key == "wrong-code"


@pytest.mark.parametrize("steps_later", [-1, 1])
async def test_a_clock_may_be_half_a_minute_off(ana: Somebody, steps_later: int) -> None:
    await ana.log_in(ana.code(steps_later=steps_later))


async def test_a_code_is_taken_once_and_none_before_it(ana: Somebody) -> None:
    await ana.log_in(ana.code())

    for code in (ana.code(), ana.code(steps_later=-1)):
        with pytest.raises(NotAuthenticated):
            await ana.log_in(code)


async def test_a_recovery_code_is_taken_once_however_it_is_written(ana: Somebody) -> None:
    first = ana.recovery_codes[0]

    await ana.log_in(f" {first.lower().replace('-', ' ')} ")

    with pytest.raises(NotAuthenticated):
        await ana.log_in(first)
    assert (await ana.accounts.second_factor(ana.account)).recovery_codes == 9


async def test_new_recovery_codes_take_the_place_of_the_old(ana: Somebody) -> None:
    new = await ana.accounts.make_recovery_codes(ana.account, PASSWORD, HERE)

    with pytest.raises(NotAuthenticated):
        await ana.log_in(ana.recovery_codes[0])
    await ana.log_in(new[0])
    assert len(set(new) | set(ana.recovery_codes)) == 20


@pytest.mark.parametrize("code", ["", "12345", "1234567", "ABCD-EFGH-IJKL-MNOP", "ⅠⅡⅢⅣⅤⅥ"])
async def test_what_is_no_code_is_wrong(ana: Somebody, code: str) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        await ana.log_in(code)

    assert refused.value.key == "wrong-code"


async def test_wrong_codes_slow_down_as_wrong_passwords_do(ana: Somebody) -> None:
    for _ in range(4):
        with pytest.raises(NotAuthenticated):
            await ana.log_in("000000")

    failures = await ana.accounts._database.read(lambda tx: toplevel.failures(tx, "account ana"))
    assert failures.count == 4


async def test_being_asked_for_a_code_is_no_failure(ana: Somebody) -> None:
    for _ in range(8):
        with pytest.raises(NotAuthenticated) as asked:
            await ana.log_in(None)
        assert asked.value.key == "second-factor-needed"


async def test_it_does_not_count_before_a_code_was_shown(ana: Somebody) -> None:
    await ana.accounts.turn_off_second_factor(ana.account, PASSWORD, HERE)
    await ana.accounts.begin_second_factor(ana.account, PASSWORD, HERE)

    with pytest.raises(BadRequest):
        await ana.accounts.turn_on_second_factor(ana.account, "000000", SOMEBODY)

    await ana.log_in(None)


async def test_a_second_one_does_not_take_the_place_of_one_that_is_on(ana: Somebody) -> None:
    with pytest.raises(Conflict):
        await ana.accounts.begin_second_factor(ana.account, PASSWORD, HERE)

    await ana.log_in(ana.code())


async def test_every_change_asks_for_the_password(ana: Somebody) -> None:
    for change in (
        ana.accounts.begin_second_factor,
        ana.accounts.make_recovery_codes,
        ana.accounts.turn_off_second_factor,
    ):
        with pytest.raises(NotAllowed):
            await change(ana.account, "wrong password", HERE)

    assert (await ana.accounts.second_factor(ana.account)).is_on


async def test_what_was_done_is_on_record(ana: Somebody) -> None:
    await ana.accounts.make_recovery_codes(ana.account, PASSWORD, HERE)
    await ana.accounts.remove_second_factor(ana.account, SOMEBODY)
    with pytest.raises(NotAllowed):
        await ana.accounts.begin_second_factor(ana.account, "wrong password", HERE)

    rows = await ana.accounts._database.read(lambda tx: tx.rows(audit.AuditRow.select()))

    assert [(row.action, row.outcome) for row in rows] == [
        ("create-account", "done"),
        ("turn-on-second-factor", "done"),
        ("make-recovery-codes", "done"),
        ("turn-off-second-factor", "done"),
        ("turn-on-second-factor", "failed"),
    ]


async def test_the_database_alone_holds_neither_secret_nor_recovery_code(ana: Somebody, tmp_path: Path) -> None:
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("toplevel.sqlite*"))

    assert ana.secret not in kept
    assert base64.b32encode(ana.secret) not in kept
    assert not [code for code in ana.recovery_codes if code.replace("-", "").encode() in kept]


async def test_another_key_opens_nothing(ana: Somebody, tmp_path: Path) -> None:
    ana.accounts._factors = SecondFactors(tmp_path / "another.key")

    with pytest.raises(Damaged):
        await ana.log_in(ana.code())
