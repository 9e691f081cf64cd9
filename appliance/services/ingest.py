"""The one road by which instances come in: uploads, imports, and every other door.

    bytes → spool (streamed, sealed, durable), and meanwhile parsed in another process and checked → in its place → index and
    outbox in one transaction → acknowledged

What is acknowledged survives a power cut; what is not is complete or absent. Bytes go to their place before the row that
refers to them: a crash between leaves bytes that nobody sees, never a row without bytes, and the next start finds them
(``services.reconciliation``). Instances that wait at once share the last two steps, and with them the flushes of the disk
(``services.group_commit``); each has an outcome of its own. Other bytes under a UID that is held are kept too, apart, and
the sender hears of the conflict.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar
from uuid import UUID

from appliance.domain.audit import Action, Actor, Event, dicom_subject
from appliance.domain.errors import Conflict, TooLarge, Unavailable
from appliance.domain.hierarchy import ParsedInstance
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.services.audit import AuditTrail, Recorded
from appliance.services.database_threads import DatabaseThreads
from appliance.services.group_commit import GroupCommit
from appliance.services.parse_process import ParseLimits, Parsers
from appliance.storage import index
from appliance.storage.database import Database, Transaction
from appliance.storage.index import Kept, StoredBytes
from appliance.storage.instances import InstanceReader, InstanceStore, KeptBytes, Spool, SpoolReference, open_spooled

T = TypeVar("T")

log = logging.getLogger(__name__)

_PIECE_BYTES = 1024 * 1024
"""Gathered before a thread writes it: a hop to a thread costs as much as writing 50 kB. A usual slice is written in one hop."""
_HEAD_BYTES = 128 * 1024
"""Handed to the parser while all is written. What stands before uncompressed pixels is shorter; so are most socket buffers."""
_TOGETHER = 64
"""Instances in one transaction: more would hold up other writers, and share no fewer flushes."""


@dataclass(frozen=True, slots=True)
class IngestSettings:
    largest_instance_bytes: int = 4 * 1024**3
    """The longest that Pixel Data can be with an explicit length (PS3.5 §7.1)."""
    parsers: int = 2
    """Parsing processes, about 60 MiB each."""
    limits: ParseLimits = field(default_factory=ParseLimits)


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance that is held."""

    outcome: Literal["stored", "already-there"]
    study_uid: StudyUid
    series_uid: SeriesUid
    instance_uid: InstanceUid


@dataclass(frozen=True, slots=True)
class _Received:
    """An instance that is durable in the spool, and what is kept of it."""

    spool: Spool
    parsed: ParsedInstance
    by: Actor

    @property
    def stored(self) -> StoredBytes:
        return StoredBytes(self.spool.key, self.spool.md5, self.spool.size_bytes)


class Ingest:
    """Receives instances, any number at once."""

    def __init__(
        self,
        store: InstanceStore,
        database: Database,
        node_id: UUID,
        settings: IngestSettings,
        trail: AuditTrail,
        *,
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_stored`` is called in the event loop after each new instance: the outbox has something to tell."""
        self._store = store
        self._node_id = node_id
        self._settings = settings
        self._trail = trail
        self._on_stored = on_stored
        # Threads of its own: many that wait for the disk must not hold up those who read the index.
        self._threads = DatabaseThreads(database)
        self._parsers = Parsers(settings.parsers, settings.limits)
        self._keeping = GroupCommit[_Received, Stored](self._keep, _TOGETHER)

    async def start(self) -> None:
        """Ready to receive; what a crash left half received is gone."""
        swept = await self._threads.call(lambda _: self._store.sweep_spool())
        if swept:
            log.warning("removed %d files that were never received to their end", swept)
        await self._parsers.start()

    async def stop(self) -> None:
        """Everything that was finished is kept; the helper processes are gone."""
        await self._parsers.stop()
        await self._threads.close()

    def sender(self, by: Actor) -> Sender:
        """The road for somebody."""
        return Sender(self, by, self._settings.largest_instance_bytes)

    def begin(self) -> Spool:
        """An empty spooled file; in a thread. Raises StoreFull."""
        return self._store.begin()

    async def parsed(self, spooled: SpoolReference) -> ParsedInstance:
        """What is kept of a spooled file that has ended. Raises NotDicom, TooLarge."""
        return await self._parsers.parse(spooled)

    async def parsed_head(self, head: bytes, size_bytes: int) -> ParsedInstance | None:
        """The same by the beginning of the object; None where more of it is needed."""
        return await self._parsers.parse_head(head, size_bytes)

    async def keep(self, spool: Spool, parsed: ParsedInstance, by: Actor) -> Stored:
        """The instance is held, durably. Raises Conflict; its bytes are kept then, too, and who sent them is on record."""
        stored = await self._keeping.outcome_of(_Received(spool, parsed, by))
        if stored.outcome == "stored":
            self._on_stored()
        return stored

    async def check_room(self, size_bytes: int) -> None:
        """Raises StoreFull if so many bytes would leave less than the floor free."""
        await self.in_thread(lambda: self._store.check_floor(size_bytes))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """What ``work`` returned, in a thread for files."""
        return await self._threads_to_the_end(lambda _: work())

    async def _threads_to_the_end(self, work: Callable[[Database], T]) -> T:
        """Waits for the thread even when cancelled: what follows may use the same spool."""
        under_way = asyncio.ensure_future(self._threads.call(work))
        try:
            return await asyncio.shield(under_way)
        except asyncio.CancelledError:
            await asyncio.wait({under_way})
            raise

    async def _keep(self, received: Sequence[_Received]) -> list[Stored | Exception]:
        return await self._threads_to_the_end(lambda database: self._kept(database, received))

    def _kept(self, database: Database, received: Sequence[_Received]) -> list[Stored | Exception]:
        """What became of each. Where they do not go together each goes alone, so that one which fails takes none along."""
        try:
            kept = self._kept_together(database, received)
        except Exception as error:
            if len(received) == 1 or isinstance(error, Unavailable):
                return [error] * len(received)
            return [outcome for one in received for outcome in self._kept(database, [one])]
        return [_stored(one.parsed, what) for one, what in zip(received, kept, strict=True)]

    def _kept_together(self, database: Database, received: Sequence[_Received]) -> list[Kept]:
        spools = [one.spool for one in received]
        rows = [(one.parsed, one.stored) for one in received]

        def add(tx: Transaction) -> tuple[list[Kept], list[Recorded]]:
            kept = index.add_all(tx, self._node_id, rows)
            apart = [one for one, what in zip(received, kept, strict=True) if what == "conflict"]
            return kept, [self._trail.record(tx, _kept_apart(one)) for one in apart]

        with self._store.holding_all(spool.key for spool in spools):
            self._store.place(spools)
            kept, recorded = database.run(add)
        for one in recorded:
            self._trail.tell(one)
        return kept

    # For bytes that have their place and no row (``services.reconciliation``)

    async def parsed_again(self, key: str) -> ParsedInstance:
        """What is kept of bytes that are in the store. Raises NotDicom, NotFound and Damaged."""
        return await self._parsers.parse(await self.in_thread(lambda: self._store.reference(key)))

    async def adopt(self, kept: KeptBytes, parsed: ParsedInstance) -> Kept | None:
        """The row of bytes that had none; None if they are gone, or are to be removed."""
        adopted = await self._threads_to_the_end(lambda database: self._adopt(database, kept, parsed))
        if adopted == "stored":
            self._on_stored()
        return adopted

    def _adopt(self, database: Database, kept: KeptBytes, parsed: ParsedInstance) -> Kept | None:
        stored = StoredBytes(kept.key, kept.md5, kept.size_bytes)
        with self._store.holding(kept.key):
            if not self._store.contains(kept.key) or database.read(lambda tx: index.is_removal(tx, kept.key)):
                return None
            return database.run(lambda tx: index.add(tx, self._node_id, parsed, stored))


def _stored(parsed: ParsedInstance, kept: Kept) -> Stored | Conflict:
    instance_uid = parsed.instance.instance_uid
    if kept == "conflict":
        log.warning("other bytes came for instance %s, which is held; they are kept apart", instance_uid)
        return Conflict(
            "another instance is held under this UID", key="different-instance-same-uid", instance_uid=instance_uid
        )
    return Stored(kept, parsed.study.study_uid, parsed.series.series_uid, instance_uid)


def _kept_apart(one: _Received) -> Event:
    parsed = one.parsed
    subject = dicom_subject(parsed.study.study_uid, parsed.series.series_uid, parsed.instance.instance_uid)
    return Event(one.by, Action.KEEP_APART, subject, instances=1, size_bytes=one.spool.size_bytes)


class Sender:
    """The road of instances for somebody who sends them."""

    def __init__(self, ingest: Ingest, by: Actor, largest_instance_bytes: int) -> None:
        self._ingest = ingest
        self._by = by
        self._largest_instance_bytes = largest_instance_bytes

    def reception(self, largest_bytes: int | None = None) -> Reception:
        """As ``receive``, for who sees to it that it is abandoned at the end."""
        return Reception(self._ingest, self._by, largest_bytes or self._largest_instance_bytes)

    @contextlib.asynccontextmanager
    async def receive(self, largest_bytes: int | None = None) -> AsyncIterator[Reception]:
        """One instance on its way in. Nothing remains of it unless ``finish`` was reached.

        ``largest_bytes`` is for what is no instance itself, an archive of them.
        """
        reception = self.reception(largest_bytes)
        try:
            yield reception
        finally:
            await reception.abandon()


class Reception:
    """The receiving end of one instance; made by ``Sender.receive``."""

    def __init__(self, ingest: Ingest, by: Actor, largest_bytes: int) -> None:
        self._ingest = ingest
        self._by = by
        self._spool: Spool | None = None
        self._largest_bytes = largest_bytes
        self._size_bytes = 0
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._storing: asyncio.Task[Spool] | None = None

    async def write(self, chunk: bytes) -> None:
        """Raises TooLarge beyond the limit, StoreFull."""
        if self._size_bytes + len(chunk) > self._largest_bytes:
            raise TooLarge("too many bytes for one instance or archive", largest_bytes=self._largest_bytes)
        self._size_bytes += len(chunk)
        self._waiting_bytes += len(chunk)
        self._pieces.append(chunk)
        if self._waiting_bytes >= _PIECE_BYTES:
            await self._ingest.in_thread(self._written)

    async def finish(self, check: Callable[[ParsedInstance], Awaitable[None]] | None = None) -> Stored:
        """The instance is held, and stays so through a power cut.

        ``check`` looks at what was parsed before it is kept, and may refuse it. Raises NotDicom, TooLarge, Conflict
        (``different-instance-same-uid``), StoreFull.
        """
        head = self._head()
        self._storing = asyncio.create_task(self._ingest.in_thread(self._durable))
        try:
            parsed = await self._ingest.parsed_head(head, self._size_bytes) if head else None
            if parsed is None:
                parsed = await self._ingest.parsed((await asyncio.shield(self._storing)).end())
            if check is not None:
                await check(parsed)
        finally:
            spool = await self._storing  # nobody may close the file before
        return await self._ingest.keep(spool, parsed, self._by)

    async def opened(self) -> InstanceReader:
        """What was received, to be read from and closed before the reception ends; nothing more may be written."""
        if self._storing is not None:
            spooled = (await asyncio.shield(self._storing)).end()
            return await self._ingest.in_thread(lambda: open_spooled(spooled))
        return await self._ingest.in_thread(lambda: open_spooled(self._ended().end()))

    @property
    def leaves_something(self) -> bool:
        """Whether there is something to abandon."""
        return self._spool is not None and not self._spool.is_moved

    async def abandon(self) -> None:
        """Nothing remains, unless it was finished."""
        if self._spool is not None and self.leaves_something:
            await self._ingest.in_thread(self._spool.abandon)

    def _head(self) -> bytes:
        """The beginning, where all is still in memory."""
        if self._spool is not None:
            return b""
        self._pieces = [b"".join(self._pieces)]
        return self._pieces[0][:_HEAD_BYTES]

    # In a thread, and never in two at once

    def _written(self) -> Spool:
        """The spool, with all that came."""
        if self._spool is None:
            self._spool = self._ingest.begin()
        if self._pieces:
            piece = b"".join(self._pieces)
            self._pieces.clear()
            self._waiting_bytes = 0
            self._spool.write(piece)
        return self._spool

    def _ended(self) -> Spool:
        spool = self._written()
        spool.end()
        return spool

    def _durable(self) -> Spool:
        spool = self._ended()
        spool.make_durable()
        return spool
