"""Passkeys: made, used, kept, and everything that is none."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fido2.cose import ES256, ES384, CoseKey
from fido2.utils import websafe_decode
from fido2.webauthn import AttestedCredentialData
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.domain.accounts import Account, Role
from appliance.domain.errors import (
    BadRequest,
    Conflict,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    TooManyAttempts,
)
from appliance.http.webauthn import Authentication, Registration
from appliance.services import passkeys as module
from appliance.services.accounts import Accounts, Session, Whence, account_to_create
from appliance.services.audit import AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.passkeys import NewPasskey, PasskeyProof, Passkeys, RelyingParty, relying_party
from appliance.services.second_factors import SecondFactors, code_at
from appliance.services.tokens import TokenSigner
from appliance.storage import audit, passkeys, toplevel
from appliance.storage.database import Database, migrate
from appliance.storage.passkeys import KeptPasskey
from tests.services.authenticator import Authenticator, Json
from tests.services.node_parts import SOMEBODY

PASSWORD = "correct horse battery"
HERE = Whence("192.0.2.1")
ORIGIN = "https://box.example:8443"
PARTY = RelyingParty("box.example", ORIGIN)


@dataclass
class Somebody:
    accounts: Accounts
    account: Account
    phone: Authenticator

    async def make(self, name: str = "Phone", by: Authenticator | None = None) -> KeptPasskey:
        """A passkey of theirs, on the phone or on another authenticator."""
        options = await self.accounts.begin_passkey(self.account, PASSWORD, HERE)
        return await self.add((by or self.phone).make(options), name)

    async def add(self, made: Json, name: str = "Phone") -> KeptPasskey:
        new = msgspec.convert(made, Registration).new_passkey()
        return await self.accounts.add_passkey(self.account, name, new, SOMEBODY)

    async def log_in(self, used: Json | None = None, whence: Whence = HERE) -> Session:
        used = used or self.phone.use(self.accounts.passkey_request())
        return await self.accounts.log_in_with_passkey(proof_of(used), whence)

    async def refused(self, used: Json | None = None) -> str:
        """The key of the refusal of what would be a login."""
        with pytest.raises(NotAuthenticated) as caught:
            await self.log_in(used)
        return caught.value.key


def proof_of(used: Json) -> PasskeyProof:
    return msgspec.convert(used, Authentication).proof()


@pytest.fixture
async def ana(tmp_path: Path) -> AsyncIterator[Somebody]:
    """Somebody with a phone and no passkey yet."""
    database = Database(f"sqlite:///{tmp_path}/toplevel.sqlite")
    migrate(database, "toplevel", toplevel.MIGRATIONS)
    migrate(database, "audit", audit.MIGRATIONS)
    threads = DatabaseThreads(database)
    key_file = tmp_path / "second-factors.key"
    accounts = Accounts(
        threads,
        TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600),
        AuditTrail("toplevel", tmp_path / "audit-head"),
        SecondFactors(key_file),
        Passkeys(key_file, PARTY),
        session_lifetime=timedelta(days=7),
    )
    wanted = account_to_create("ana", given_name="", family_name="", roles=[Role.PHYSICIAN], institution_id=None)
    yield Somebody(accounts, await accounts.create(wanted, PASSWORD, SOMEBODY), Authenticator(ORIGIN))
    await accounts.close()
    await threads.close()


async def test_a_passkey_logs_its_owner_in(ana: Somebody) -> None:
    await ana.make()

    session = await ana.log_in()

    assert session.account.username == "ana"
    assert session.device_secret


async def test_it_stands_for_both_factors(ana: Somebody) -> None:
    begun = await ana.accounts.begin_second_factor(ana.account, PASSWORD, HERE)
    code = code_at(base64.b32decode(begun.secret), int(time.time()) // 30)
    await ana.accounts.turn_on_second_factor(ana.account, code, SOMEBODY)
    await ana.make()

    await ana.log_in()


async def test_it_must_be_found_without_a_username_and_know_its_owner(ana: Somebody) -> None:
    options = await ana.accounts.begin_passkey(ana.account, PASSWORD, HERE)

    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert ana.accounts.passkey_request()["userVerification"] == "required"
    assert "allowCredentials" not in ana.accounts.passkey_request()


async def test_the_authenticator_learns_the_id_and_the_name_of_the_account(ana: Somebody) -> None:
    options: Json = await ana.accounts.begin_passkey(ana.account, PASSWORD, HERE)

    assert websafe_decode(options["user"]["id"]) == ana.account.id.bytes
    assert (options["user"]["name"], options["rp"]["id"]) == ("ana", "box.example")


async def test_a_proof_is_taken_once(ana: Somebody) -> None:
    await ana.make()
    used = ana.phone.use(ana.accounts.passkey_request())
    await ana.log_in(used)

    assert await ana.refused(used) == "challenge-over"


async def test_who_only_asks_leaves_nothing_behind(ana: Somebody) -> None:
    for _ in range(5):
        ana.accounts.passkey_request()
        await ana.accounts.begin_passkey(ana.account, PASSWORD, HERE)

    spent = await ana.accounts._database.read(lambda tx: tx.count(passkeys.SpentChallengeRow.select()))
    assert spent == 0


async def test_an_answer_may_take_five_minutes_and_no_longer(ana: Somebody, monkeypatch: pytest.MonkeyPatch) -> None:
    await ana.make()
    asked = [ana.accounts.passkey_request() for _ in range(2)]
    now = time.time()

    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now + 299))
    await ana.log_in(ana.phone.use(asked[0]))
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now + 302))
    assert await ana.refused(ana.phone.use(asked[1])) == "challenge-over"


async def test_what_was_spent_is_forgotten_when_it_is_too_old_anyhow(ana: Somebody) -> None:
    database, now = ana.accounts._database, datetime.now(UTC)

    await database.run(lambda tx: passkeys.spend_challenge(tx, b"old", forget_before=now))
    await database.run(lambda tx: passkeys.spend_challenge(tx, b"new", forget_before=now + timedelta(minutes=1)))

    assert await database.read(lambda tx: tx.count(passkeys.SpentChallengeRow.select())) == 1


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"origin": "https://box.example"}, "other-origin"),
        ({"origin": "https://evil.example:8443"}, "other-origin"),
        ({"is_framed": True}, "other-origin"),
        ({"recognises": False}, "owner-not-recognised"),
    ],
)
async def test_another_page_or_an_unknown_owner_is_refused(ana: Somebody, change: Json, key: str) -> None:
    await ana.make()
    other = replace(ana.phone, **change)

    assert await ana.refused(other.use(ana.accounts.passkey_request())) == key
    with pytest.raises(BadRequest) as caught:
        await ana.make(by=replace(other, passkeys=[]))
    assert caught.value.key == key


async def test_a_passkey_of_another_relying_party_proves_nothing(ana: Somebody) -> None:
    await ana.make()
    elsewhere = {**ana.accounts.passkey_request(), "rpId": "example"}

    assert await ana.refused(ana.phone.use(elsewhere)) == "wrong-passkey"


async def test_another_key_under_the_same_id_proves_nothing(ana: Somebody) -> None:
    await ana.make()
    (mine,) = ana.phone.passkeys
    forged = replace(mine, key=ec.generate_private_key(ec.SECP256R1()))

    assert await ana.refused(ana.phone.use(ana.accounts.passkey_request(), forged)) == "wrong-passkey"


async def test_it_is_its_owners_and_nobody_elses(ana: Somebody) -> None:
    await ana.make()
    (mine,) = ana.phone.passkeys
    renamed = replace(mine, user_handle=UUID(int=7).bytes)

    assert await ana.refused(ana.phone.use(ana.accounts.passkey_request(), renamed)) == "wrong-passkey"


async def test_a_challenge_that_was_not_made_here_is_none(ana: Somebody) -> None:
    await ana.make()
    for challenge in ("", "AAAA", "A" * 75):
        asked = {**ana.accounts.passkey_request(), "challenge": challenge}
        assert await ana.refused(ana.phone.use(asked)) == "wrong-passkey"


async def test_a_challenge_is_good_for_what_it_was_made_for(ana: Somebody) -> None:
    await ana.make()
    to_add = await ana.accounts.begin_passkey(ana.account, PASSWORD, HERE)
    to_log_in = ana.accounts.passkey_request()

    assert await ana.refused(ana.phone.use({**to_log_in, "challenge": to_add["challenge"]})) == "wrong-passkey"
    made = Authenticator(ORIGIN).make({**to_add, "challenge": to_log_in["challenge"]})
    with pytest.raises(BadRequest) as caught:
        await ana.add(made)
    assert caught.value.key == "wrong-passkey"


async def test_nobody_adds_a_passkey_by_what_another_was_asked(ana: Somebody) -> None:
    wanted = account_to_create("eva", given_name="", family_name="", roles=[Role.PHYSICIAN], institution_id=None)
    eva = Somebody(ana.accounts, await ana.accounts.create(wanted, PASSWORD, SOMEBODY), Authenticator(ORIGIN))
    made = ana.phone.make(await ana.accounts.begin_passkey(ana.account, PASSWORD, HERE))

    with pytest.raises(BadRequest):
        await eva.add(made)

    assert await ana.accounts.passkeys(eva.account) == ()


async def test_a_copy_is_found_out_by_its_count(ana: Somebody) -> None:
    await ana.make()
    copy = replace(ana.phone)
    await ana.log_in()

    assert await ana.refused(copy.use(ana.accounts.passkey_request())) == "passkey-copied"


async def test_one_that_does_not_count_is_taken_as_it_is(ana: Somebody) -> None:
    ana.phone.counts = False
    ana.phone.is_synced = True
    assert (await ana.make()).is_synced

    await ana.log_in()
    await ana.log_in()


async def test_the_password_is_asked_for_first(ana: Somebody) -> None:
    with pytest.raises(NotAllowed) as caught:
        await ana.accounts.begin_passkey(ana.account, "wrong password", HERE)

    assert caught.value.key == "wrong-password"


async def test_an_authenticator_hears_which_ones_there_are(ana: Somebody) -> None:
    await ana.make()

    with pytest.raises(ValueError, match="has one already"):
        await ana.make()


async def test_the_same_passkey_is_not_added_twice(ana: Somebody) -> None:
    await ana.make()
    (mine,) = ana.phone.passkeys

    with pytest.raises(Conflict) as caught:
        await ana.make(by=Authenticator(ORIGIN, next_id=mine.id))

    assert caught.value.key == "passkey-known"


async def test_a_public_key_that_is_none_never_proves_anything(ana: Somebody) -> None:
    kept = await ana.make()
    broken = AttestedCredentialData.create(bytes(16), kept.credential_id, CoseKey({1: 2, 3: ES256.ALGORITHM, -1: 1}))
    row = passkeys.PasskeyRow
    await ana.accounts._database.run(lambda tx: tx.execute(row.update(credential_data=bytes(broken))))

    assert await ana.refused() == "wrong-passkey"


async def test_a_kind_that_was_not_asked_for_is_refused(ana: Somebody) -> None:
    options = await ana.accounts.begin_passkey(ana.account, PASSWORD, HERE)

    with pytest.raises(BadRequest) as caught:
        await ana.add(ana.phone.make(options, ES384))

    assert caught.value.key == "other-kind-of-passkey"


async def test_there_is_an_end_of_them(ana: Somebody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    for name in ("Phone", "Key"):
        await ana.make(name, by=Authenticator(ORIGIN))

    with pytest.raises(Conflict) as caught:
        await ana.make(by=Authenticator(ORIGIN))

    assert caught.value.key == "too-many-passkeys"


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb", "a\u202eb"])
async def test_a_name_is_one_line_that_can_be_read(ana: Somebody, name: str) -> None:
    kept = await ana.make()

    with pytest.raises(BadRequest) as caught:
        await ana.accounts.rename_passkey(ana.account, kept.id, name, SOMEBODY)

    assert caught.value.key == "wrong-name"


async def test_they_are_listed_named_and_removed(ana: Somebody) -> None:
    phone, key = await ana.make("Phone"), await ana.make("Key", by=Authenticator(ORIGIN))

    await ana.accounts.rename_passkey(ana.account, key.id, " Blue key ", SOMEBODY)
    assert [one.name for one in await ana.accounts.passkeys(ana.account)] == ["Phone", "Blue key"]

    await ana.accounts.remove_passkey(ana.account, phone.id, SOMEBODY)
    assert [one.name for one in await ana.accounts.passkeys(ana.account)] == ["Blue key"]
    assert await ana.refused() == "unknown-passkey"


async def test_when_it_was_used_is_known(ana: Somebody) -> None:
    await ana.make()
    (before,) = await ana.accounts.passkeys(ana.account)
    await ana.log_in()
    (after,) = await ana.accounts.passkeys(ana.account)

    assert before.used_at is None
    assert after.used_at is not None
    assert after.used_at >= after.created_at


async def test_those_of_others_are_not_there(ana: Somebody) -> None:
    kept = await ana.make()
    wanted = account_to_create("eva", given_name="", family_name="", roles=[Role.PHYSICIAN], institution_id=None)
    eva = await ana.accounts.create(wanted, PASSWORD, SOMEBODY)

    with pytest.raises(NotFound):
        await ana.accounts.rename_passkey(eva, kept.id, "Mine", SOMEBODY)
    with pytest.raises(NotFound):
        await ana.accounts.remove_passkey(eva, kept.id, SOMEBODY)

    assert [one.name for one in await ana.accounts.passkeys(ana.account)] == ["Phone"]


async def test_an_administrator_removes_all_of_them(ana: Somebody) -> None:
    await ana.make()
    await ana.make(by=Authenticator(ORIGIN))

    await ana.accounts.remove_passkeys(ana.account, SOMEBODY)

    assert await ana.refused() == "unknown-passkey"


async def test_who_was_shut_out_is_told_so_once_they_have_proven_who_they_are(ana: Somebody) -> None:
    await ana.make()
    await ana.accounts.set_active(ana.account, SOMEBODY, is_active=False)

    with pytest.raises(NotAllowed) as caught:
        await ana.log_in()

    assert caught.value.key == "account-deactivated"
    stranger = replace(ana.phone, recognises=False)
    assert await ana.refused(stranger.use(ana.accounts.passkey_request())) == "owner-not-recognised"


async def test_who_keeps_failing_is_slowed_down_and_keeps_nobody_else_out(
    ana: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.services.accounts._FIRST_WAIT_S", 60.0)
    monkeypatch.setattr("appliance.services.accounts._FREE_ATTEMPTS_OF_AN_ADDRESS", 3)
    await ana.make()
    stranger = replace(ana.phone, recognises=False)
    for _ in range(3):
        assert await ana.refused(stranger.use(ana.accounts.passkey_request())) == "owner-not-recognised"

    with pytest.raises(TooManyAttempts):
        await ana.log_in(stranger.use(ana.accounts.passkey_request()))
    await ana.log_in(whence=Whence("192.0.2.2"))


async def test_logging_in_is_no_failure(ana: Somebody) -> None:
    await ana.make()
    for _ in range(3):
        await ana.log_in()

    failures = await ana.accounts._database.read(lambda tx: toplevel.failures(tx, "address 192.0.2.1"))
    assert failures.count == 0


async def test_what_was_done_is_on_record(ana: Somebody) -> None:
    kept = await ana.make()
    await ana.log_in()
    await ana.refused(replace(ana.phone, recognises=False).use(ana.accounts.passkey_request()))
    await ana.accounts.rename_passkey(ana.account, kept.id, "Old phone", SOMEBODY)
    await ana.accounts.remove_passkey(ana.account, kept.id, SOMEBODY)
    await ana.refused()

    rows = await ana.accounts._database.read(lambda tx: tx.rows(audit.AuditRow.select()))

    assert [(row.action, row.outcome, row.reason) for row in rows[1:]] == [
        ("add-passkey", "done", ""),
        ("log-in", "done", "passkey"),
        ("log-in", "failed", "owner-not-recognised"),
        ("rename-passkey", "done", ""),
        ("remove-passkey", "done", ""),
        ("log-in", "failed", "unknown-passkey"),
    ]
    assert {row.subject_uid for row in rows if row.subject_kind == "passkey"} == {str(kept.id)}


async def test_an_appliance_without_a_host_name_says_so(ana: Somebody, tmp_path: Path) -> None:
    ana.accounts._passkeys = Passkeys(tmp_path / "second-factors.key", relying_party("https://192.0.2.9:8443", None))

    with pytest.raises(Conflict) as caught:
        ana.accounts.passkey_request()

    assert caught.value.key == "no-host-name"
    assert ana.accounts.relying_party_id is None


@pytest.mark.parametrize(
    ("base_url", "domain", "party"),
    [
        ("https://Box.Example:8443/", None, RelyingParty("box.example", "https://box.example:8443")),
        ("https://box.example:443", None, RelyingParty("box.example", "https://box.example")),
        ("https://box.clinic.example", "clinic.example", RelyingParty("clinic.example", "https://box.clinic.example")),
        ("https://[2001:db8::1]", None, None),
    ],
)
def test_the_relying_party_follows_from_the_address_of_the_toplevel(
    base_url: str, domain: str | None, party: RelyingParty | None
) -> None:
    assert relying_party(base_url, domain) == party


@st.composite
def mutations(draw: st.DrawFn, original: bytes) -> bytes:
    """``original`` with some bytes set to others, and cut."""
    mutant = bytearray(original)
    for _ in range(draw(st.integers(1, 8))):
        mutant[draw(st.integers(0, len(mutant) - 1))] = draw(st.integers(0, 255))
    return bytes(mutant[: draw(st.integers(0, len(mutant)))])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_bytes_that_no_authenticator_made_are_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    phone = Authenticator(ORIGIN)
    options = {"rp": {"id": PARTY.id}, "user": {"id": "AAAA"}, "challenge": "AAAA", "rpId": PARTY.id}
    new = msgspec.convert(phone.make(options), Registration).new_passkey()
    proof = proof_of(phone.use(options))

    def broken(part: bytes) -> bytes:
        return data.draw(st.one_of(st.just(part), st.binary(max_size=80), mutations(part)))

    new = NewPasskey(broken(new.client_data), broken(new.attestation_object))
    proof = replace(proof, client_data=broken(proof.client_data), authenticator_data=broken(proof.authenticator_data))
    for parse in (lambda: module._registration(new), lambda: module._assertion(proof)):
        try:
            module._read(parse)
        except module._Unproven as error:
            assert error.key == "unreadable-passkey"
