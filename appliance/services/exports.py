"""A study, or a series of it, as a file set in a ZIP (PS3.10, DICOMDIR at its end), made while it is sent.

An export is asked for first and fetched then, once: by a plain GET, which browsers save by themselves, with nothing secret in its
address, since it is only for the account that asked. Nothing of it is ever whole in memory, or on the disk.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID, uuid4

import msgspec

from appliance.domain.accounts import Account
from appliance.domain.anonymity import Dates, LeftOut, Pseudonymity, reason_left_out
from appliance.domain.attributes import Attributes
from appliance.domain.errors import ApplianceError, Conflict, NotAcceptable, NotFound, Unavailable
from appliance.domain.identifiers import AccountId, SeriesUid, StudyUid
from appliance.services.archive import Archive
from appliance.storage.holdings import Holding
from appliance.storage.media_directory import NAME, MediaDirectory, entry_of
from appliance.storage.transfer_syntaxes import is_native, is_video
from appliance.storage.zip_stream import ZipStream

_MOST_OF_ONE = 2
"""Exports of one account that wait or go on; each takes a part of the disk's and the line's time."""
_MOST_KEPT = 200
_FETCHED_WITHIN_S = 120.0
_REMEMBERED_S = 15 * 60.0
"""After its end, for whoever asks how it went."""
_KEY_BYTES = 32
_LEAST_SHIFT_DAYS, _MOST_SHIFT_DAYS = 365, 3650
"""A year or more, so that no season stays; ten years at most, so that devices and ages stay plausible."""


class State(StrEnum):
    WAITING = "waiting"
    """To be fetched."""
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    """By its account, or the line broke."""
    FAILED = "failed"


class SeriesLeftOut(msgspec.Struct, frozen=True):
    """What of a series is not in an anonymised copy, and why."""

    series_uid: SeriesUid
    reason: LeftOut
    instances: int


@dataclass
class Export:
    """One file set that is made, and how far it is."""

    id: UUID
    account_id: AccountId
    study_uid: StudyUid
    series_uid: SeriesUid | None
    held: Sequence[Holding]
    pseudonymity: Pseudonymity | None
    _left_out: Counter[tuple[SeriesUid, LeftOut]]
    state: State = State.WAITING
    instances_done: int = 0
    bytes_done: int = 0
    """Of the objects as they are stored."""
    failure: str = ""
    """The key of why it ended."""
    changed_at_s: float = field(default_factory=time.monotonic)

    @property
    def size_bytes(self) -> int:
        return sum(one.size_bytes for one in self.held)

    @property
    def left_out(self) -> tuple[SeriesLeftOut, ...]:
        return _told(self._left_out)

    def leave_out(self, series_uid: SeriesUid, reason: LeftOut) -> None:
        self._left_out[series_uid, reason] += 1

    @property
    def is_over(self) -> bool:
        return self.state not in (State.WAITING, State.RUNNING)

    def turn(self, state: State, failure: str = "") -> None:
        self.state, self.failure, self.changed_at_s = state, failure, time.monotonic()


class Exports:
    """Those of a node, in memory: after a restart they are asked for again."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._exports: OrderedDict[UUID, Export] = OrderedDict()

    async def make(
        self, account: Account, study_uid: StudyUid, series_uid: SeriesUid | None, anonymous: Dates | None
    ) -> Export:
        """An export that waits to be fetched. Raises NotFound, Unavailable while too many are under way, and Conflict
        where nothing can be anonymised (``nothing-to-anonymise``, with the reasons)."""
        self._forget()
        under_way = [one for one in self._exports.values() if one.account_id == account.id and not one.is_over]
        if len(under_way) >= _MOST_OF_ONE or len(self._exports) >= _MOST_KEPT:
            raise Unavailable("Other exports are under way: wait for them, or stop one", key="too-many-exports")
        held: Sequence[Holding] = await self._archive.holdings(study_uid, series_uid)
        left_out: Counter[tuple[SeriesUid, LeftOut]] = Counter()
        if anonymous is not None:
            held, left_out = await self._sorted_out(held)
            if not held:
                raise Conflict(
                    "Nothing of it can be anonymised",
                    key="nothing-to-anonymise",
                    reasons=sorted({reason for _, reason in left_out}),
                )
        how = _pseudonymity(anonymous) if anonymous is not None else None
        export = Export(uuid4(), account.id, study_uid, series_uid, held, how, left_out)
        self._exports[export.id] = export
        return export

    def of(self, account: Account, export_id: UUID) -> Export:
        """An export of this account. Raises NotFound."""
        self._forget()
        export = self._exports.get(export_id)
        if export is None or export.account_id != account.id:
            raise NotFound("There is no such export", key="no-such-export")
        return export

    def begin(self, export: Export) -> AsyncGenerator[bytes, None]:
        """The ZIP in pieces, once. Raises NotFound where it was fetched before, or stopped."""
        if export.state is not State.WAITING:
            raise NotFound("An export is fetched once", key="export-is-spent")
        export.turn(State.RUNNING)
        return self._followed(export)

    def stop(self, export: Export) -> None:
        """It goes no further."""
        if not export.is_over:
            export.turn(State.STOPPED, "stopped")

    def _forget(self) -> None:
        now = time.monotonic()
        for export in list(self._exports.values()):
            age_s = now - export.changed_at_s
            if export.state is State.WAITING and age_s > _FETCHED_WITHIN_S:
                export.turn(State.STOPPED, "not-fetched")
            elif export.is_over and age_s > _REMEMBERED_S:
                del self._exports[export.id]

    async def _sorted_out(self, held: Sequence[Holding]) -> tuple[list[Holding], Counter[tuple[SeriesUid, LeftOut]]]:
        """What may be anonymised, and what may not."""
        kept: list[Holding] = []
        left: Counter[tuple[SeriesUid, LeftOut]] = Counter()
        async for one, text in self._archive.described(held):
            attributes = Attributes(await asyncio.to_thread(msgspec.json.decode, text))
            syntax = one.transfer_syntax_uid
            reason = reason_left_out(attributes, is_drawable=one.is_drawable, is_video=is_video(syntax))
            if reason is None:
                kept.append(one)
            else:
                left[one.series_uid, reason] += 1
        return kept, left

    # The making

    async def _followed(self, export: Export) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(self._pieces(export)) as pieces:
                async for piece in pieces:
                    yield piece
            export.turn(State.DONE)
        except ApplianceError as error:
            if not export.is_over:
                export.turn(State.FAILED, error.key)
            raise
        finally:
            if not export.is_over:  # whoever fetched it has gone
                export.turn(State.STOPPED, "line-broken")

    async def _pieces(self, export: Export) -> AsyncGenerator[bytes, None]:
        archive, directory, now = ZipStream(), MediaDirectory(), datetime.now(UTC)
        async for one, text in self._archive.described(export.held):
            if export.pseudonymity is not None:
                try:
                    head, rest = await self._archive.anonymised(one, export.pseudonymity)
                except NotAcceptable:
                    export.leave_out(one.series_uid, LeftOut.UNREADABLE)
                    continue
                entry, syntax = rest.entry, rest.transfer_syntax_uid
                source = self._archive.anonymous_bytes(one, head, rest)
            else:
                entry = entry_of(await asyncio.to_thread(msgspec.json.decode, text))
                consigned = await self._archive.as_on_media(one)
                syntax = consigned.transfer_syntax_uid
                source = self._archive.bytes_of(consigned)
            name = "/".join(directory.place(one.series_uid))
            archive.begin(name, now, longest_bytes=one.size_bytes, deflate=is_native(syntax))
            async with aclosing(source) as pieces:
                async for piece in pieces:
                    if export.is_over:
                        raise Unavailable("The export was stopped", key="export-stopped")
                    yield await asyncio.to_thread(archive.write, piece)
            yield archive.end()
            await asyncio.to_thread(directory.add, one.series_uid, entry, syntax)
            export.instances_done += 1
            export.bytes_done += one.size_bytes
        archive.begin(NAME, now, longest_bytes=0, deflate=True)
        yield archive.write(await asyncio.to_thread(directory.encoded))
        yield archive.end() + archive.close()


def _told(left_out: Counter[tuple[SeriesUid, LeftOut]]) -> tuple[SeriesLeftOut, ...]:
    return tuple(SeriesLeftOut(series_uid, reason, n) for (series_uid, reason), n in left_out.items())


def _pseudonymity(dates: Dates) -> Pseudonymity:
    span = _MOST_SHIFT_DAYS - _LEAST_SHIFT_DAYS
    days = _LEAST_SHIFT_DAYS + secrets.randbelow(span) if dates is Dates.SHIFTED else 0
    return Pseudonymity(secrets.token_bytes(_KEY_BYTES), dates, days)
