"""Putting on record who did what: in the database, beside it, and in the log.

What changes something is put on record in its own transaction (``storage.audit.record``) and then told (``tell``). What is
only looked at is put on record before it is given out: who cannot be audited sees nothing.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from appliance.domain.accounts import Account, Right
from appliance.domain.audit import Action, Actor, ActorKind, Event, Outcome, Subject, dicom_subject
from appliance.domain.errors import NotAllowed
from appliance.domain.identifiers import InstitutionId, StudyUid
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import audit
from appliance.storage.audit import AuditAnchor, Head, Proof
from appliance.storage.database import Database, Transaction

T = TypeVar("T")

log = logging.getLogger(__name__)

NODE: Final = "node"
INSTITUTION: Final = "institution"
TOPLEVEL: Final = "toplevel"
"""The rooms that have a trail."""
_AGAIN_AFTER_S = 15 * 60
"""Who looks at a study goes through a thousand pictures: that is one event, and another one after this time."""
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event that is on record."""

    room: str
    event: Event
    head: Head


class AuditTrail:
    """The trail of one room, from any thread."""

    def __init__(self, room: str, anchor: Path) -> None:
        self.room = room
        self._anchor = AuditAnchor(anchor)

    def record(self, tx: Transaction, event: Event) -> Recorded:
        """On record when the transaction is; to be told then."""
        return Recorded(self.room, event, audit.record(tx, self.room, event))

    def tell(self, recorded: Recorded) -> None:
        """The log has it, and the head is noted beside the database."""
        event, actor, subject = recorded.event, recorded.event.actor, recorded.event.subject
        log.info(
            "audit",
            extra={
                "room": recorded.room,
                "sequence": recorded.head.sequence,
                "hash": recorded.head.hash,
                "at": event.at.isoformat(timespec="microseconds"),
                "actor": {"kind": actor.kind, "id": actor.id, "name": actor.name, "address": actor.address},
                "action": event.action,
                "subject": {"kind": subject.kind, "uid": subject.uid, "study_uid": subject.study_uid},
                "outcome": event.outcome,
                "reason": event.reason,
                "instances": event.instances,
                "size_bytes": event.size_bytes,
            },
        )
        self._anchor.advance(recorded.head)

    def put(self, database: Database, event: Event) -> None:
        """An event that has no transaction of its own is on record, and told."""
        self.tell(database.run(lambda tx: self.record(tx, event)))

    def carry_out(self, database: Database, work: Callable[[Transaction], tuple[T, Event]]) -> T:
        """What ``work`` returned; the event beside it is on record in the same transaction, and told."""

        def recording(tx: Transaction) -> tuple[T, Recorded]:
            result, event = work(tx)
            return result, self.record(tx, event)

        result, recorded = database.run(recording)
        self.tell(recorded)
        return result

    def count(self, database: Database) -> int:
        """How many records there are."""
        return database.read(lambda tx: audit.record_count(tx, self.room))

    def proof(self, database: Database, on_records: Callable[[int], object], above: Sequence[Head] = ()) -> Proof:
        """Whether everything is as it was written; ``above`` are the heads that the appliance above keeps."""
        return audit.walk(database, self.room, self._anchor.head(), on_records, above)


class Auditing:
    """The trail of one room, for those who answer requests."""

    def __init__(self, trail: AuditTrail, database: DatabaseThreads) -> None:
        self.trail = trail
        self._database = database
        self._looked: OrderedDict[Sequence[object], tuple[float, asyncio.Future[None]]] = OrderedDict()

    async def put(self, event: Event) -> None:
        await self._database.call(lambda database: self.trail.put(database, event))

    async def require(self, account: Account, right: Right, at: InstitutionId | None, wanted: Event) -> None:
        """Returns if the account has the right for what it wants; what is refused is put on record. Raises NotAllowed."""
        try:
            account.require(right, at=at)
        except NotAllowed as error:
            await self.put(replace(wanted, outcome=Outcome.REFUSED, reason=error.key))
            raise

    async def looked(self, actor: Actor, action: Action, study_uid: StudyUid) -> None:
        """That somebody looks at a study is on record, once in a while."""
        await self.looked_at(actor, action, dicom_subject(study_uid))

    async def looked_at(self, actor: Actor, action: Action, subject: Subject) -> None:
        """The same for what is no study."""
        await self.put_once((actor, action, subject), Event(actor, action, subject))

    async def put_once(self, name: Sequence[object], event: Event) -> None:
        """An event is on record, unless another of the same name has been for a while."""
        known = self._looked.get(name)
        if known is None or time.monotonic() - known[0] > _AGAIN_AFTER_S or _has_failed(known[1]):
            putting = asyncio.ensure_future(self.put(event))
            known = self._looked[name] = (time.monotonic(), putting)
            self._looked.move_to_end(name)
            while len(self._looked) > _MOST_REMEMBERED:
                self._looked.popitem(last=False)
        # Many pictures are asked for at once: all wait for the one event, and none that goes away takes it along.
        await asyncio.shield(known[1])


def trail_of_store(directory: Path) -> AuditTrail:
    """The trail of a node; its head is noted where the instances are, for all its processes."""
    return AuditTrail(NODE, directory / "audit-head")


def _has_failed(putting: asyncio.Future[None]) -> bool:
    return putting.done() and (putting.cancelled() or putting.exception() is not None)


def somebody(account: Account, address: str) -> Actor:
    """Who is logged in, or shown a study."""
    if account.guest_of is not None:
        return Actor(ActorKind.GUEST, str(account.id), "", address)
    return Actor(ActorKind.ACCOUNT, str(account.id), account.username, address)


def somebody_unknown(address: str) -> Actor:
    """Who tried to log in by a name that is nobody's. The name is not kept: it may be a password in the wrong field."""
    return Actor(ActorKind.ACCOUNT, "", "", address)


def at_the_shell(command: str) -> Actor:
    """Who runs a command of the appliance."""
    return Actor(ActorKind.COMMAND, command, getpass.getuser())


def peer(ae_title: str, address: str) -> Actor:
    """A device or an archive."""
    return Actor(ActorKind.PEER, ae_title, "", address)
