"""What an institution keeps of its toplevel, so that it works while that is away: its own people, patients, the directory.

The copy is taken from the feed of the toplevel (``services.feed``), in order, each answer in one transaction together with the
number that it reaches, so that nothing is lost or taken twice wherever either of the two is killed. Whoever was shut out at the
toplevel, or has another password there, loses the sessions that they began here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec

from appliance.domain.accounts import Account, Right
from appliance.domain.changes import Feed, FeedWanted, PatientHere, SubjectKind
from appliance.domain.errors import NotFound, Unavailable
from appliance.domain.identifiers import AccountId, InstitutionId, PatientId
from appliance.domain.people import Patient
from appliance.services.database_threads import DatabaseThreads
from appliance.services.feed import LONGEST_WAIT_S
from appliance.services.second_factors import SecondFactors
from appliance.services.synchronisation import TellFeed
from appliance.services.tokens import Trust
from appliance.storage import copies, kept_trust, known_patients, toplevel
from appliance.storage.database import Transaction
from appliance.storage.toplevel import InstitutionEntry

_NOTE_EVERY = timedelta(seconds=30)
"""So often it is noted that the toplevel has answered, where it had nothing to tell."""


class ToplevelCopy:
    """The rows of the toplevel at an institution, and when they were last known to be as they are there."""

    def __init__(
        self,
        database: DatabaseThreads,
        institution_id: InstitutionId,
        ask: TellFeed,
        factors: SecondFactors,
        *,
        bound: timedelta,
        on_shut_out: Callable[[], Awaitable[None]],
    ) -> None:
        """For ``bound`` after the toplevel was last heard the copy is good enough to let people in. ``on_shut_out`` is called
        when sessions that were begun here are over."""
        self.behind = 0
        """So many subjects have changed that were not heard yet, as the toplevel said last."""
        self._database = database
        self._institution_id = institution_id
        self._ask = ask
        self._factors = factors
        self._bound = bound
        self._on_shut_out = on_shut_out
        self._state: copies.CopyState | None = None

    async def state(self) -> copies.CopyState:
        if self._state is None:
            self._state = await self._database.read(copies.state)
        return self._state

    async def heard_at(self) -> datetime | None:
        """When the toplevel answered last, also before a restart; None if it never has."""
        return (await self.state()).heard_at

    async def refuse_if_too_old(self) -> None:
        """Returns while people are let in on the word of the copy: whom the toplevel has shut out meanwhile is not heard here."""
        heard_at = await self.heard_at()
        if heard_at is None or datetime.now(UTC) - heard_at > self._bound:
            raise Unavailable(
                "The central server was not heard for so long that nobody is let in here on the word of a copy",
                key="copy-too-old",
                heard_at=heard_at.isoformat() if heard_at else None,
                bound_hours=self._bound / timedelta(hours=1),
            )

    async def follow(self) -> float:
        """The next answer of the toplevel was taken; at once again after it. Unavailable if it is away."""
        state = await self.state()
        heard = await self._ask(FeedWanted(self._institution_id, state.cursor, LONGEST_WAIT_S))
        now = datetime.now(UTC)
        self.behind = heard.behind
        if heard.cursor == state.cursor and state.heard_at is not None and now - state.heard_at < _NOTE_EVERY:
            return 0.0
        has_ended = await self._database.run(lambda tx: self._take(tx, heard, now))
        self._state = copies.CopyState(heard.cursor, now)
        if has_ended:
            await self._on_shut_out()
        return 0.0

    def _take(self, tx: Transaction, heard: Feed, now: datetime) -> bool:
        """Whether sessions are over by what was heard."""
        told = [AccountId(subject.id) for subject in heard.subjects if subject.kind is SubjectKind.ACCOUNT]
        # From the start, also who is not in it any more is to be seen.
        looked_at = toplevel.account_ids(tx) if heard.is_from_start else told
        before = {account_id: toplevel.credentials_of(tx, account_id) for account_id in looked_at}
        copies.take(tx, heard)
        for subject in heard.subjects:
            if subject.kind is SubjectKind.ACCOUNT:
                self._factors.adopt(tx, AccountId(subject.id), subject.second_factor)
        copies.note_heard(tx, heard.cursor, now)
        ended = [one for one in before if _is_over(before[one], toplevel.credentials_of(tx, one))]
        for account_id in ended:
            toplevel.end_sessions(tx, account_id)
            toplevel.forget_devices(tx, account_id)
        return bool(ended)


def _is_over(before: toplevel.Credentials | None, now: toplevel.Credentials | None) -> bool:
    """Whether sessions from before may go on no longer."""
    if before is None:
        return False
    if now is None or (before.is_active and not now.is_active):
        return True
    return before.password_hash != now.password_hash or before.account.roles != now.account.roles


class KnownHere:
    """Patients and the directory, as an institution knows them without asking."""

    def __init__(self, database: DatabaseThreads, institution_id: InstitutionId) -> None:
        self._database = database
        self._institution_id = institution_id

    async def directory(self, account: Account) -> tuple[InstitutionEntry, ...]:
        """This institution alone: a session that began here is believed nowhere else."""
        entries = await self._database.read(toplevel.directory)
        return tuple(entry for entry in entries if entry.id == self._institution_id)

    async def search_patients(
        self, account: Account, search: str, *, limit: int, offset: int
    ) -> tuple[tuple[Patient, ...], int]:
        """As ``services.toplevel`` has it, of those who are known here."""
        account.require(Right.VIEW)
        return await self._database.read(lambda tx: toplevel.search_patients(tx, search, limit=limit, offset=offset))

    async def patient(self, account: Account, patient_id: PatientId) -> Patient:
        account.require(Right.VIEW)
        found = await self._database.read(lambda tx: toplevel.patient(tx, known_patients.now_called(tx, patient_id)))
        if found is None:
            raise NotFound("No such patient is known here", key="no-such-patient")
        return found


def know_new_patient(tx: Transaction, here: PatientHere) -> None:
    """A patient who was made here is found here at once, also while the toplevel has not heard of them."""
    record = here.record
    if record is None or not tx.has_table(copies.CopyRow._meta.table_name):
        return
    patient_id, institution_id = PatientId(here.patient_id), InstitutionId(here.institution_id)
    patient = Patient(patient_id, record.family_name, record.given_name, record.birth_date, record.gender)
    toplevel.add_patient(tx, patient)
    toplevel.note_held(tx, patient_id, institution_id)


class KeptTrust:
    """Which tokens are good, as the parent said last: a child that starts while it is away goes by that."""

    def __init__(self, database: DatabaseThreads, role: str, use: Callable[[Trust], Awaitable[None]]) -> None:
        """``use`` is called with what is trusted from then on."""
        self._database = database
        self._role = role
        self._use = use
        self._last: Trust | None = None

    async def recall(self) -> None:
        """What was heard before the start is trusted."""
        kept = await self._database.read(lambda tx: kept_trust.kept(tx, self._role))
        if kept is not None:
            self._last = msgspec.msgpack.decode(kept, type=Trust)
            await self._use(self._last)

    async def hear(self, trust: Trust) -> None:
        """The parent has said so, and it is kept."""
        if trust != self._last:
            encoded = msgspec.msgpack.encode(trust)
            await self._database.run(lambda tx: kept_trust.keep(tx, self._role, encoded))
            self._last = trust
        await self._use(trust)
