"""What an institution knows of its patients: the studies that its nodes hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from appliance.domain.accounts import Account, Right
from appliance.domain.changes import (
    Acknowledgement,
    AuditHead,
    Change,
    Delivery,
    InstitutionHere,
    NodeHere,
    NumberedChange,
    Pointers,
    PointersWanted,
    Releases,
    ReleasesWanted,
    StudyGone,
    StudyHeld,
)
from appliance.domain.errors import BadRequest, NotAllowed, NotFound
from appliance.domain.identifiers import InstitutionId, PatientId, StudyUid
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import inbox, institution, known_patients, reports
from appliance.storage.database import Transaction

_LONGEST_TEXT = 100_000
"""Characters of one part of a report."""
_RELEASES_AT_ONCE = 1000


class Institution:
    """Studies of one institution."""

    def __init__(self, database: DatabaseThreads, here: InstitutionHere, *, on_change: Callable[[], None]) -> None:
        """``on_change`` is called when there is something for the toplevel."""
        self.id = InstitutionId(here.institution_id)
        self._on_change = on_change
        self._here = here
        self._database = database

    async def announce(self) -> None:
        """The toplevel will be told that this institution is here."""
        await self._database.run(self._announce)

    async def studies(self, account: Account, patient_id: PatientId) -> tuple[StudyHeld, ...]:
        """The patient's studies at this institution, newest first; none of a patient who was never here."""
        account.require(Right.VIEW)
        return await self._database.read(
            lambda tx: institution.studies_of(tx, known_patients.now_called(tx, patient_id))
        )

    async def study(self, account: Account, study_uid: StudyUid) -> tuple[PatientId, tuple[StudyHeld, ...]]:
        """Whose a study is, and what the nodes hold of it. NotFound, also while it waits for its patient."""
        account.require(Right.VIEW)

        def work(tx: Transaction) -> tuple[PatientId, tuple[StudyHeld, ...]]:
            found = inbox.study_patient(tx, study_uid)
            if found.patient_id is None:
                raise NotFound("no such study is held", study_uid=study_uid)
            return found.patient_id, institution.held_studies(tx, (study_uid,))

        return await self._database.read(work)

    async def nodes(self, account: Account) -> tuple[NodeHere, ...]:
        """The nodes here; any account may know them."""
        return await self._database.read(institution.nodes)

    async def take_delivery(self, delivery: Delivery) -> Acknowledgement:
        """All changes of ``delivery`` are kept, those that were heard before left out; from a node known by its key."""
        acknowledgement = await self._database.run(lambda tx: self._take(tx, delivery))
        self._on_change()
        return acknowledgement

    async def releases(self, wanted: ReleasesWanted) -> Releases:
        """Which studies of a node are a patient's, of those that changed since it was told last."""
        return await self._database.read(
            lambda tx: inbox.releases(tx, wanted.child_id, wanted.after, limit=_RELEASES_AT_ONCE)
        )

    async def pointers(self, wanted: PointersWanted) -> Pointers:
        """Which reports of this institution point to what a node holds."""
        return await self._database.read(
            lambda tx: Pointers(reports.pointing_to(tx, wanted.study_uid, wanted.series_uid, wanted.instance_uid))
        )

    def _take(self, tx: Transaction, delivery: Delivery) -> Acknowledgement:
        last = institution.DELIVERIES.last(tx, delivery.child_id)
        new = [numbered for numbered in delivery.changes if numbered.sequence > last]
        for change in _newest_of_each_study(new):
            self._keep(tx, delivery.child_id, change)
        last = max([last, *(numbered.sequence for numbered in new)])
        institution.DELIVERIES.keep(tx, delivery.child_id, last)
        return Acknowledgement(last)

    def _keep(self, tx: Transaction, child_id: UUID, change: Change) -> None:
        if not isinstance(change, NodeHere | StudyHeld | StudyGone | AuditHead):
            raise BadRequest("An institution takes no such change", key="unknown-change", change=type(change).__name__)
        if (change.keeper_id if isinstance(change, AuditHead) else change.node_id) != child_id:
            raise NotAllowed("A node speaks only of itself", key="other-node")
        if isinstance(change, AuditHead):
            institution.OUTBOX.put(tx, AuditHead(child_id, "node", change.sequence, change.hash))
        elif isinstance(change, NodeHere):
            institution.keep_node(tx, change)
            self._announce(tx)
        elif isinstance(change, StudyGone):
            institution.forget_study(tx, change.study_uid, change.node_id)
        else:
            institution.keep_study(tx, change)

    def _announce(self, tx: Transaction) -> None:
        here = self._here
        nodes = institution.nodes(tx)
        institution.OUTBOX.put(tx, InstitutionHere(here.institution_id, here.name, here.base_url, nodes))


def _newest_of_each_study(changes: Sequence[NumberedChange]) -> list[Change]:
    """``changes`` without what a later one of the same study replaces; a study tells of itself with each instance."""
    newest: dict[object, Change] = {}
    for numbered in changes:
        change = numbered.change
        subject = change.study_uid if isinstance(change, StudyHeld | StudyGone) else numbered.sequence
        newest.pop(subject, None)
        newest[subject] = change
    return list(newest.values())
