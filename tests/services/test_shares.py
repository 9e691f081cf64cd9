"""A study is shown by a link: to who has it and its PIN, as long as its maker wants, and to nobody who guesses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.accounts import Account, Right, Role
from appliance.domain.errors import ApplianceError, BadRequest, NotFound
from appliance.domain.identifiers import AccountId, InstitutionId, StudyUid
from appliance.domain.shares import ShareState
from appliance.services.audit import AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.shares import NewShare, Shares
from appliance.services.tokens import TokenSigner, TokenVerifier
from appliance.storage import audit, toplevel
from appliance.storage.audit import AuditRow
from appliance.storage.database import Database, migrate
from appliance.storage.shares import MOST_FAILURES, ShareRow
from tests.services.node_parts import SOMEBODY

STUDY = StudyUid("1.2.3")
CLINIC = InstitutionId(UUID(int=1))
ANA = Account(AccountId(UUID(int=9)), "ana", "Ana", "Anić", frozenset({Role.PHYSICIAN}), CLINIC)
IVO = Account(AccountId(UUID(int=10)), "ivo", "Ivo", "Ivić", frozenset({Role.PHYSICIAN}), CLINIC)


class Toplevel:
    """Its database, and a clock that stands until it is moved."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder}/toplevel.sqlite")
        migrate(self.database, "toplevel", toplevel.MIGRATIONS)
        migrate(self.database, "audit", audit.MIGRATIONS)
        for account in (ANA, IVO):
            self.database.run(lambda tx, account=account: toplevel.create_account(tx, account, "no hash"))  # type: ignore[misc]
        self.now = datetime.now(UTC)
        self.looks = 0
        self.signer = TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600)
        self.threads = DatabaseThreads(self.database)
        trail = AuditTrail("toplevel", folder / "audit-head")
        self.shares = Shares(self.threads, self.signer, trail, self._look, lambda: self.now)

    async def _look(self) -> None:
        self.looks += 1

    async def made(self, **changes: object) -> NewShare:
        wanted = {"study_uid": STUDY, "hours": 24, "recipient": "Dr. Kovač", **changes}
        return await self.shares.make(ANA, by=SOMEBODY, **wanted)  # type: ignore[arg-type]

    async def refused(self, secret: str, pin: str) -> str:
        """The key by which an attempt is refused."""
        with pytest.raises(ApplianceError) as refusal:
            await self.shares.open(secret, pin, "192.0.2.1")
        return refusal.value.key

    def events(self) -> list[tuple[str, str, str]]:
        rows = self.database.read(lambda tx: list(tx.rows(AuditRow.select().order_by(AuditRow.sequence))))
        return [(row.action, row.outcome, row.reason) for row in rows]


@pytest.fixture
async def top(tmp_path: Path) -> AsyncIterator[Toplevel]:
    made = Toplevel(tmp_path)
    yield made
    await made.shares.close()
    await made.threads.close()


def another(pin: str) -> str:
    return f"{(int(pin) + 1) % 10**6:06}"


async def test_link_and_pin_give_a_guest_who_sees_one_study_at_one_institution(top: Toplevel) -> None:
    new = await top.made()

    opened = await top.shares.open(new.secret, new.pin, "192.0.2.1")

    guest, _ = TokenVerifier((top.signer.public_key,)).verify(opened.access_token.text)
    assert (guest.guest_of, guest.institution_id, guest.roles) == (STUDY, CLINIC, frozenset())
    assert [right for right in Right if guest.has(right)] == [Right.VIEW]


async def test_secret_and_pin_are_kept_as_hashes_only(top: Toplevel) -> None:
    new = await top.made()

    row = top.database.read(lambda tx: tx.first(ShareRow.select()))

    assert new.secret not in repr(row.__data__)
    assert row.pin_hash.startswith("$argon2id$")
    assert len(new.secret) >= 43
    assert len(new.pin) == 6


async def test_a_link_that_is_none_and_a_wrong_pin_are_refused(top: Toplevel) -> None:
    new = await top.made()

    assert await top.refused("A" * 43, new.pin) == "no-such-link"
    assert await top.refused("A" * 10_000, new.pin) == "no-such-link"
    assert await top.refused(new.secret, another(new.pin)) == "wrong-pin"
    assert await top.refused(new.secret, "") == "wrong-pin"


async def test_wrong_pins_slow_down(top: Toplevel) -> None:
    new = await top.made()
    for _ in range(3):
        await top.refused(new.secret, another(new.pin))

    assert await top.refused(new.secret, new.pin) == "too-many-attempts"
    top.now += timedelta(seconds=2)
    assert (await top.shares.open(new.secret, new.pin, "192.0.2.1")).share.id == new.share.id


async def test_the_tenth_wrong_pin_locks_the_link_for_good(top: Toplevel) -> None:
    new = await top.made()
    for _ in range(MOST_FAILURES):
        assert await top.refused(new.secret, another(new.pin)) == "wrong-pin"
        top.now += timedelta(minutes=2)

    assert await top.refused(new.secret, new.pin) == "share-locked"
    assert [share.state for share in await top.shares.made_by(ANA)] == [ShareState.LOCKED]


async def test_a_right_pin_begins_the_count_anew(top: Toplevel) -> None:
    new = await top.made()
    for _ in range(2):
        await top.refused(new.secret, another(new.pin))
        await top.shares.open(new.secret, new.pin, "192.0.2.1")

    (share,) = await top.shares.made_by(ANA)

    assert (share.opened, share.state) == (2, ShareState.OPEN)


async def test_a_link_ends_by_itself_and_its_tokens_before_it(top: Toplevel) -> None:
    new = await top.made(hours=1)
    top.now += timedelta(minutes=58)
    opened = await top.shares.open(new.secret, new.pin, "192.0.2.1")
    top.now += timedelta(minutes=3)

    assert opened.access_token.expires_in_s <= 3600
    assert await top.refused(new.secret, new.pin) == "share-ended"


async def test_a_link_that_was_taken_back_opens_no_more_and_its_tokens_are_revoked(top: Toplevel) -> None:
    new = await top.made()
    opened = await top.shares.open(new.secret, new.pin, "192.0.2.1")

    await top.shares.revoke(ANA, new.share.id, SOMEBODY)

    assert await top.refused(new.secret, new.pin) == "share-revoked"
    revoked = top.database.read(lambda tx: toplevel.revocations(tx, datetime.now(UTC) - timedelta(minutes=1)))
    assert [one.subject for one in revoked] == [opened.guest.id]
    assert top.looks == 1


async def test_nobody_lists_or_ends_the_links_of_another(top: Toplevel) -> None:
    new = await top.made()

    assert await top.shares.made_by(IVO) == ()
    with pytest.raises(NotFound):
        await top.shares.revoke(IVO, new.share.id, SOMEBODY)
    assert (await top.shares.open(new.secret, new.pin, "192.0.2.1")).share.id == new.share.id


async def test_what_somebody_shared_ends_when_they_are_shut_out(top: Toplevel) -> None:
    new = await top.made()

    top.database.run(lambda tx: toplevel.set_active(tx, ANA.id, is_active=False))

    assert await top.refused(new.secret, new.pin) == "share-revoked"


async def test_a_link_is_for_an_hour_to_thirty_days(top: Toplevel) -> None:
    for hours in (0, -1, 30 * 24 + 1):
        with pytest.raises(BadRequest):
            await top.made(hours=hours)


async def test_every_opening_is_on_record_also_those_that_are_refused(top: Toplevel) -> None:
    new = await top.made()
    await top.shares.open(new.secret, new.pin, "192.0.2.1")
    await top.shares.open(new.secret, new.pin, "192.0.2.1")
    await top.refused(new.secret, another(new.pin))
    await top.shares.revoke(ANA, new.share.id, SOMEBODY)
    await top.refused(new.secret, new.pin)

    assert top.events() == [
        ("share", "done", ""),
        ("open-share", "done", ""),
        ("open-share", "done", ""),
        ("open-share", "failed", "wrong-pin"),
        ("end-share", "done", ""),
        ("open-share", "refused", "share-revoked"),
    ]
