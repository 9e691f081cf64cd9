"""After a start, store and index are compared: what one has and the other has not is mended, or marked and told.

    to be removed, and still there     removed: a deletion goes to its end
    a row without bytes                marked as missing; unmarked when the bytes are there again
    bytes without a row, readable      indexed again, through the parser: they came in, and a crash came before the row
    bytes without a row, others        set aside for a person to judge, never deleted
    a row that an older program made   described again from its bytes, last of all, through the parser

Runs in the background, a page of rows or a part of the store at a time, while instances come and go, also by other
processes: whatever looks wrong is looked at once more while nobody else may touch it (``InstanceStore.holding``). Of a row costs
it one ``stat`` and 8 bytes of memory; only bytes without a row are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from appliance.domain.errors import ApplianceError, Damaged, NotDicom, NotFound, TooLarge
from appliance.services import removals
from appliance.services.database_threads import DatabaseThreads
from appliance.services.ingest import Ingest
from appliance.storage import index
from appliance.storage.database import Database
from appliance.storage.index import KeptRow
from appliance.storage.instances import InstanceStore
from appliance.storage.known_places import KnownPlaces

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 500
_PAUSE_S = 0.005
"""After each page: pictures and uploads come first."""
_TOLD_EVERY_S = 30.0
_AGAIN_AFTER_S = 60.0
"""When the database or the parsers were away."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a comparison found, and what it did about it."""

    is_done: bool = False
    rows: int = 0
    """Rows of instances and conflicts that were compared."""
    files: int = 0
    """Kept files that were compared."""
    missing: int = 0
    """Rows without bytes; they are marked."""
    found_again: int = 0
    """Rows that were marked, and their bytes are there."""
    indexed_again: int = 0
    """Bytes without a row that have one now, conflicts among them."""
    set_aside: int = 0
    """Bytes without a row that are damaged or no DICOM."""
    removed: int = 0
    """Bytes whose deletion had not come to its end."""
    described_again: int = 0
    """Instances whose description an older program had made, and that have one of this."""
    not_described: int = 0
    """Those of them that cannot be read any more; they keep the one that they have."""


class Reconciliation:
    """One comparison, in a task of its own."""

    def __init__(
        self,
        store: InstanceStore,
        database: DatabaseThreads,
        ingest: Ingest,
        forget: removals.Forget = removals.nothing_else,
    ) -> None:
        self.findings = Findings()
        self._store = store
        self._database = database
        self._ingest = ingest
        self._forget = forget
        self._task: asyncio.Task[None] | None = None
        self._told_at = 0.0
        self._has_older = False
        """Whether an older program described one of the instances."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._until_done(), name="reconciliation")

    async def stop(self) -> None:
        """It has ended, wherever it was; the next start begins anew."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def run(self) -> Findings:
        """What was found, when all was compared. Raises Unavailable."""
        began = time.time()
        self._told_at = time.monotonic()
        self.findings = Findings()
        self._add(
            removed=await self._database.call(lambda database: removals.finish(self._store, database, self._forget))
        )
        known = await self._compare_rows()
        await self._compare_files(known, began)
        if self._has_older:
            await self._describe_again()
        self.findings = replace(self.findings, is_done=True)
        return self.findings

    async def _until_done(self) -> None:
        while not self.findings.is_done:
            try:
                findings = await self.run()
            except ApplianceError as error:
                log.warning("store and index could not be compared, %s: %s", error.key, error.message)
                await asyncio.sleep(_AGAIN_AFTER_S)
            except Exception:  # the edge of the task: nothing else would say it
                log.exception("store and index could not be compared")
                return
            else:
                _tell(findings)

    def _add(self, **found: int) -> None:
        now = {name: getattr(self.findings, name) + count for name, count in found.items()}
        self.findings = replace(self.findings, **now)
        if time.monotonic() - self._told_at > _TOLD_EVERY_S:
            self._told_at = time.monotonic()
            log.info("comparing store and index", extra={"rows": self.findings.rows, "files": self.findings.files})

    async def _compare_rows(self) -> KnownPlaces:
        """The places of all bytes that rows refer to."""
        known = KnownPlaces()
        for next_rows in (index.kept_after, index.kept_conflicts_after):
            last = ""
            while rows := await self._database.read(partial(next_rows, after=last, limit=_ROWS_AT_ONCE)):
                self._has_older = self._has_older or any(row.has_old_description for row in rows)
                for row in rows:
                    known.add(self._store.place_of(row.stored.key))
                await self._compare(rows)
                last = rows[-1].stored.key if rows[-1].is_conflict else rows[-1].instance_uid
                await asyncio.sleep(_PAUSE_S)
        return known

    async def _compare(self, rows: Sequence[KeptRow]) -> None:
        odd = await asyncio.to_thread(
            lambda: [row for row in rows if self._store.contains(row.stored.key) == row.is_missing]
        )
        for row in odd:
            found = await self._database.call(lambda database, row=row: self._mark(database, row))  # type: ignore[misc]
            self._add(**found)
        still_missing = sum(row.is_missing for row in rows) - sum(row.is_missing for row in odd)
        self._add(rows=len(rows), missing=still_missing)

    def _mark(self, database: Database, row: KeptRow) -> dict[str, int]:
        """The row says whether its bytes are there, as it is now; what to add to the findings."""
        key = row.stored.key
        with self._store.holding(key):
            if not database.read(lambda tx: index.is_held(tx, key)):
                return {}  # deleted since
            is_missing = not self._store.contains(key)
            if row.is_conflict:
                if is_missing:
                    log.error("the bytes of a conflict with instance %s are not there", row.instance_uid)
                return {"missing": int(is_missing)}
            if is_missing == row.is_missing:
                return {"missing": int(is_missing)}
            database.run(lambda tx: index.mark_missing(tx, key, missing=is_missing))
        if is_missing:
            log.error("the bytes of instance %s are not there; it is marked", row.instance_uid)
            return {"missing": 1}
        log.warning("the bytes of instance %s are there again", row.instance_uid)
        return {"found_again": 1}

    async def _compare_files(self, known: KnownPlaces, began: float) -> None:
        parts = self._store.places()
        while (part := await asyncio.to_thread(next, parts, None)) is not None:  # a part may be empty
            strays = await asyncio.to_thread(known.others, part, began)
            self._add(files=len(part))
            for place in strays:
                await self._take_in(place)
            await asyncio.sleep(_PAUSE_S)

    async def _describe_again(self) -> None:
        """What older programs described is described by this one. Pictures wait for none of it."""
        last = ""
        while rows := await self._database.read(partial(index.kept_after, after=last, limit=_ROWS_AT_ONCE)):
            for row in rows:
                if row.has_old_description and not row.is_missing:
                    await self._describe(row)
                    await asyncio.sleep(_PAUSE_S)
            last = rows[-1].instance_uid

    async def _describe(self, row: KeptRow) -> None:
        key = row.stored.key
        try:
            parsed = await self._ingest.parsed_again(key)
        except NotFound:
            return  # deleted since
        except (Damaged, NotDicom, TooLarge) as error:
            log.error("instance %s could not be described again, %s: %s", row.instance_uid, error.key, error.message)
            self._add(not_described=1)
            return
        if await self._database.call(lambda database: database.run(lambda tx: index.describe_again(tx, key, parsed))):
            # Pictures of it were made by what was known before.
            await asyncio.to_thread(self._forget, key)
        self._add(described_again=1)

    async def _take_in(self, place: Path) -> None:
        """Bytes that seem to have no row have one, or are set aside, or are gone."""
        try:
            kept = await asyncio.to_thread(self._store.examine, place)
            if await self._database.read(lambda tx: index.is_held(tx, kept.key)):
                return
            adopted = await self._ingest.adopt(kept, await self._ingest.parsed_again(kept.key))
        except NotFound:
            return
        except (Damaged, NotDicom, TooLarge) as error:
            if await self._database.call(lambda database: self._set_aside(database, place)):
                log.error("bytes without a row were set aside, %s: %s", error.key, error.message)
                self._add(set_aside=1)
            return
        if adopted in ("stored", "conflict"):
            log.warning("bytes of instance key %s had no row, and have one now", kept.key)
            self._add(indexed_again=1)

    def _set_aside(self, database: Database, place: Path) -> bool:
        """False if somebody has put, indexed or removed the file since."""
        with self._store.holding_place(place):
            try:
                key = self._store.examine(place).key
            except NotFound:
                return False
            except Damaged:
                pass
            else:
                if database.read(lambda tx: index.is_held(tx, key)):
                    return False
            self._store.set_aside(place)
            return True


def _tell(findings: Findings) -> None:
    is_well = not (
        findings.missing or findings.indexed_again or findings.set_aside or findings.removed or findings.not_described
    )
    log.log(
        logging.INFO if is_well else logging.WARNING,
        "store and index were compared",
        extra={name: getattr(findings, name) for name in asdict(findings) if name != "is_done"},
    )
