"""An institution and its toplevel, with a line between them that can be cut: who gets in, who is shut out, what is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import Feed, FeedWanted, PatientHere, PatientRecord, PatientTold
from appliance.domain.errors import Conflict, NotAllowed, NotAuthenticated, Unavailable
from appliance.domain.identifiers import InstitutionId, PatientId
from appliance.services import feed as feed_service
from appliance.services.accounts import Accounts, Whence, account_to_create
from appliance.services.audit import AuditTrail
from appliance.services.copies import KeptTrust, KnownHere, ToplevelCopy, know_new_patient
from appliance.services.database_threads import DatabaseThreads
from appliance.services.feed import Feeds
from appliance.services.passkeys import PasskeyProof, Passkeys
from appliance.services.second_factors import SecondFactors, code_at
from appliance.services.tokens import PublicKey, TokenSigner, TokenVerifier, Trust, public_key_of
from appliance.services.trust import SigningKeys, TrustKeeper
from appliance.storage import audit, copies, feed, institution, kept_trust, known_patients, second_factors, toplevel
from appliance.storage.database import Database, migrate
from tests.services.node_parts import SOMEBODY

CLINIC = InstitutionId(UUID(int=1))
PASSWORD, OTHER_PASSWORD = "correct horse battery", "another horse battery"
AT_CLINIC = Whence("192.0.2.7")
NOBODY = Account(toplevel.new_account_id(), "x", "X", "X", frozenset({Role.PHYSICIAN}), CLINIC)


@dataclass
class Line:
    feeds: Feeds
    is_cut: bool = False
    asked: list[FeedWanted] = field(default_factory=list)

    async def ask(self, wanted: FeedWanted) -> Feed:
        self.asked.append(wanted)
        if self.is_cut:
            raise Unavailable("the parent cannot be reached", key="parent-away")
        return await self.feeds.tell(wanted)


@dataclass
class Bench:
    above: DatabaseThreads
    below: DatabaseThreads
    line: Line
    central: Accounts
    factors: SecondFactors
    clinic: Accounts
    copy: ToplevelCopy
    verifier: TokenVerifier
    folder: Path

    async def settle(self) -> None:
        """All that there is to tell is heard."""
        while await self.above.read(lambda tx: feed.cursor(tx, CLINIC)) != (await self.copy.state()).cursor:
            await self.copy.follow()

    async def create(self, username: str = "ana") -> Account:
        account = account_to_create(
            username, given_name="Ana", family_name="Anić", roles=[Role.PHYSICIAN], institution_id=CLINIC
        )
        return await self.central.create(account, PASSWORD, SOMEBODY)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(feed_service, "_LOOK_EVERY_S", 0.01)
    made: list[DatabaseThreads] = []
    for name in ("above", "below"):
        database = Database(f"sqlite:///{tmp_path}/{name}.sqlite")
        if name == "below":
            migrate(database, "copy", copies.MIGRATIONS)
            migrate(database, "institution", institution.MIGRATIONS)
        for room, migrations in (
            ("toplevel", toplevel.MIGRATIONS),
            ("audit", audit.MIGRATIONS),
            ("trust", kept_trust.MIGRATIONS),
        ):
            migrate(database, room, migrations)
        made.append(DatabaseThreads(database))
        database.close()
    above, below = made
    factors = SecondFactors(tmp_path / "above.key")
    central = accounts_of(above, factors, tmp_path, "above", TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600))
    line = Line(Feeds(above, factors))
    verifier = TokenVerifier()
    keys = SigningKeys(tmp_path / "own.pem")
    signer = TokenSigner(keys.signing, lifetime_s=600)
    keeper = TrustKeeper(below, keys, signer, verifier)
    await keeper.look()
    own_factors = SecondFactors(tmp_path / "below.key")
    copy = ToplevelCopy(below, CLINIC, line.ask, own_factors, bound=timedelta(hours=72), on_shut_out=keeper.look)
    clinic = accounts_of(below, own_factors, tmp_path, "below", signer, copy)
    await copy.follow()
    yield Bench(above, below, line, central, factors, clinic, copy, verifier, tmp_path)
    await line.feeds.close()
    await central.close()
    await clinic.close()
    await above.close()
    await below.close()


def accounts_of(
    database: DatabaseThreads,
    factors: SecondFactors,
    folder: Path,
    name: str,
    signer: TokenSigner,
    copy: ToplevelCopy | None = None,
) -> Accounts:
    return Accounts(
        database,
        signer,
        AuditTrail("toplevel", folder / f"{name}-head"),
        factors,
        Passkeys(folder / f"{name}.key", None),
        session_lifetime=timedelta(days=1),
        admission=copy.refuse_if_too_old if copy else None,
    )


async def test_its_own_people_log_in_at_the_clinic_while_the_toplevel_is_dark(bench: Bench) -> None:
    created = await bench.create()
    await bench.settle()
    bench.line.is_cut = True

    session = await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC)

    assert session.account == created
    assert bench.verifier.verify(session.access_token.text)[0] == created
    with pytest.raises(NotAuthenticated):
        await bench.clinic.log_in("ana", OTHER_PASSWORD, AT_CLINIC)


async def test_a_second_factor_is_asked_for_at_the_clinic_too(bench: Bench) -> None:
    account = await bench.create()
    made = await bench.central.begin_second_factor(account, PASSWORD, AT_CLINIC)
    secret = await turned_on(bench, account)
    assert made.secret
    await bench.settle()
    bench.line.is_cut = True

    with pytest.raises(NotAuthenticated) as refusal:
        await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC)
    assert refusal.value.key == "second-factor-needed"
    step = int(datetime.now(UTC).timestamp()) // 30
    await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC, code_at(secret, step + 1))
    with pytest.raises(NotAuthenticated) as refusal:
        await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC, code_at(secret, step + 1))
    assert refusal.value.key == "wrong-code"


async def turned_on(bench: Bench, account: Account) -> bytes:
    """The secret of the account's app, which counts from now on."""
    kept = await bench.above.read(lambda tx: second_factors.authenticator(tx, account.id))
    assert kept is not None
    secret = bench.factors._opened(kept.sealed_secret, account.id)
    step = int(datetime.now(UTC).timestamp()) // 30
    await bench.central.turn_on_second_factor(account, code_at(secret, step), SOMEBODY)
    return secret


async def test_a_recovery_code_is_good_only_where_it_was_made(bench: Bench) -> None:
    account = await bench.create()
    await bench.central.begin_second_factor(account, PASSWORD, AT_CLINIC)
    await turned_on(bench, account)
    codes = await bench.central.make_recovery_codes(account, PASSWORD, AT_CLINIC)
    await bench.settle()

    with pytest.raises(NotAuthenticated) as refusal:
        await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC, codes[0])

    assert refusal.value.key == "wrong-code"


async def test_who_turned_the_second_factor_off_is_asked_for_none(bench: Bench) -> None:
    account = await bench.create()
    await bench.central.begin_second_factor(account, PASSWORD, AT_CLINIC)
    await turned_on(bench, account)
    await bench.settle()

    await bench.central.turn_off_second_factor(account, PASSWORD, AT_CLINIC)
    await bench.settle()

    await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC)


async def test_who_is_shut_out_at_the_toplevel_is_out_at_the_clinic_with_their_sessions(bench: Bench) -> None:
    account = await bench.create()
    await bench.settle()
    session = await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC)

    await bench.central.set_active(account, SOMEBODY, is_active=False)
    await bench.settle()

    with pytest.raises(NotAuthenticated):
        bench.verifier.verify(session.access_token.text)
    with pytest.raises(NotAuthenticated):
        await bench.clinic.renew(session.refresh_secret)
    with pytest.raises(NotAllowed) as refusal:
        await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC)
    assert refusal.value.key == "account-deactivated"


async def test_sessions_of_an_old_password_are_over(bench: Bench) -> None:
    account = await bench.create()
    await bench.settle()
    session = await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC)

    await bench.central.replace_password(account, OTHER_PASSWORD, SOMEBODY)
    await bench.settle()

    with pytest.raises(NotAuthenticated):
        await bench.clinic.renew(session.refresh_secret)
    await bench.clinic.log_in("ana", OTHER_PASSWORD, AT_CLINIC)


async def test_a_change_that_touches_no_right_ends_no_session(bench: Bench) -> None:
    account = await bench.create()
    await bench.settle()
    session = await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC)

    await bench.above.run(lambda tx: toplevel.change_account(tx, account, toplevel._NOTHING_KEPT))
    await bench.settle()

    await bench.clinic.renew(session.refresh_secret)


async def test_nobody_is_let_in_on_the_word_of_a_copy_that_is_too_old(bench: Bench) -> None:
    await bench.create()
    await bench.settle()
    session = await bench.clinic.log_in("ana", PASSWORD, AT_CLINIC)
    bench.line.is_cut = True
    long_ago = datetime.now(UTC) - timedelta(hours=73)
    await bench.below.run(lambda tx: copies.note_heard(tx, copies.state(tx).cursor, long_ago))
    bench.copy._state = None  # as after a start

    for attempt in (bench.clinic.log_in("ana", PASSWORD, AT_CLINIC), bench.clinic.renew(session.refresh_secret)):
        with pytest.raises(Unavailable) as refusal:
            await attempt
        assert refusal.value.key == "copy-too-old"
        assert refusal.value.fields["bound_hours"] == 72


async def test_a_passkey_is_of_the_toplevel_alone(bench: Bench) -> None:
    with pytest.raises(Conflict):
        bench.clinic.passkey_request()
    with pytest.raises(Conflict):
        await bench.clinic.log_in_with_passkey(PasskeyProof(b"x", b"{}", b"", b"", b""), AT_CLINIC)


async def test_a_change_is_told_to_who_waits_for_it(bench: Bench) -> None:
    await bench.settle()
    waiting = asyncio.create_task(bench.copy.follow())
    await asyncio.sleep(0.05)
    assert not waiting.done()

    await bench.create()

    async with asyncio.timeout(10):
        await waiting
    assert len(await bench.below.read(toplevel.account_ids)) == 1


async def test_whoever_waits_is_answered_when_the_toplevel_stops(bench: Bench) -> None:
    waiting = asyncio.create_task(bench.copy.follow())
    await asyncio.sleep(0.05)

    await bench.line.feeds.close()

    async with asyncio.timeout(10):
        await waiting


async def test_a_patient_who_was_made_at_the_clinic_is_found_there_at_once(bench: Bench) -> None:
    bench.line.is_cut = True
    record = PatientRecord("Muster", "Eva", date(1970, 1, 31), "F")
    here = PatientHere(CLINIC, PatientId(UUID(int=5)), (), None, record)

    await bench.below.run(lambda tx: know_new_patient(tx, here))

    found, total = await KnownHere(bench.below, CLINIC).search_patients(NOBODY, "mus", limit=10, offset=0)
    assert (total, found[0].given_name) == (1, "Eva")
    assert found[0].institution_ids == (CLINIC,)


async def test_whoever_was_merged_with_a_patient_leads_to_them_in_the_dark(bench: Bench) -> None:
    kept, before = PatientId(UUID(int=5)), PatientId(UUID(int=6))
    record = PatientRecord("Muster", "Eva", date(1970, 1, 31), "F")
    await bench.below.run(lambda tx: know_new_patient(tx, PatientHere(CLINIC, kept, (), None, record)))
    await bench.below.run(lambda tx: known_patients.keep(tx, PatientTold(kept, record, merged=(before,))))
    bench.line.is_cut = True

    found = await KnownHere(bench.below, CLINIC).patient(NOBODY, before)

    assert (found.id, found.given_name) == (kept, "Eva")


async def test_the_directory_of_the_clinic_names_the_clinic_alone(bench: Bench) -> None:
    for institution_id, name in ((CLINIC, "Clinic"), (InstitutionId(UUID(int=2)), "Other")):
        entry = toplevel.InstitutionEntry(institution_id, name, "https://localhost", ())
        await bench.above.run(lambda tx, entry=entry: toplevel.keep_institution(tx, entry))  # type: ignore[misc]
    await bench.settle()

    directory = await KnownHere(bench.below, CLINIC).directory(NOBODY)

    assert [entry.name for entry in directory] == ["Clinic"]


async def test_what_was_trusted_is_trusted_again_after_a_start_without_a_line(bench: Bench) -> None:
    key: PublicKey = public_key_of(Ed25519PrivateKey.generate().public_key())
    used: list[Trust] = []

    async def use(trust: Trust) -> None:
        used.append(trust)

    await KeptTrust(bench.below, "node", use).hear(Trust((key,)))
    await KeptTrust(bench.below, "node", use).recall()
    await KeptTrust(bench.below, "institution", use).recall()

    assert used == [Trust((key,)), Trust((key,))]


async def test_an_institution_signs_tokens_beside_those_of_its_toplevel_and_tells_both(
    tmp_path: Path, bench: Bench
) -> None:
    above = TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600)
    verifier = TokenVerifier()
    keys = SigningKeys(tmp_path / "other.pem")
    signer = TokenSigner(keys.signing, lifetime_s=600)
    keeper = TrustKeeper(bench.below, keys, signer, verifier)

    await keeper.hear(Trust((above.public_key,)))

    for token in (above.sign(NOBODY), signer.sign(NOBODY)):
        assert verifier.verify(token.text)[0] == NOBODY
    assert [key.id for key in verifier.trust.keys] == [above.public_key.id, signer.public_key.id]
