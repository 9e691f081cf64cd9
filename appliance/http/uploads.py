"""``POST /api/uploads``: one file as the whole body, streamed to the spool, never whole in memory.

The file is an instance, or a ZIP file of them (a CD), which is told by its first bytes, not by what the client calls it.

Plain ASGI and not a Quart resource, because Quart takes a body in without back-pressure: here the next piece is
asked for when the last one is on its way to the disk.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from appliance.domain.accounts import Right
from appliance.domain.errors import ApplianceError, BadRequest, TooLarge
from appliance.domain.identifiers import InstitutionId
from appliance.http.access import Access
from appliance.http.asgi import Receive, Scope, Send, answer, header, refuse
from appliance.services.imports import (
    ARCHIVE_START_BYTES,
    ArchiveLimits,
    FileOutcome,
    Tally,
    import_archive,
    looks_like_archive,
)
from appliance.services.ingest import Ingest, Reception, Sender, Stored
from appliance.services.metrics import Metrics
from appliance.storage.stream import ReaderFile

PATH = "/api/uploads"
_STATUS = {"stored": 201, "already-there": 200}
_MOST_DIGITS = 18
_ARCHIVE_BUFFER_BYTES = 256 * 1024
"""zipfile asks for a few kilobytes at a time, and each read of a sealed spool decrypts a chunk."""
_HEADERS = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]


@dataclass(frozen=True, slots=True)
class UploadLimits:
    instance_bytes: int
    request_bytes: int
    """Of an archive."""
    archive: ArchiveLimits


@dataclass(frozen=True, slots=True)
class ArchiveStored:
    """The answer to an archive."""

    stored: int
    already_there: int
    ignored: int
    refused: int
    members: tuple[FileOutcome, ...]
    outcome: Literal["archive"] = "archive"


class Uploads:
    """The resource."""

    def __init__(
        self, ingest: Ingest, access: Access, metrics: Metrics, *, institution_id: InstitutionId, limits: UploadLimits
    ) -> None:
        self._ingest = ingest
        self._access = access
        self._metrics = metrics
        self._institution_id = institution_id
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            account = self._access.writer_of(scope)
            account.require(Right.STORE, at=self._institution_id)
            self._check_length(scope)
            stored = await self._take_in(receive, self._ingest.sender(self._access.actor_of(scope, account)))
        except ApplianceError as error:
            self._metrics.instances.labels(error.key).inc()
            await refuse(send, error)
            return
        except ClientGone:
            return
        if isinstance(stored, ArchiveStored):
            status = 201 if stored.stored else 200
        else:
            self._metrics.instances.labels(stored.outcome).inc()
            status = _STATUS[stored.outcome]
        await answer(send, status, msgspec.json.encode(stored), _HEADERS)

    def _check_length(self, scope: Scope) -> None:
        """Refuses by the declared length, before anything is read."""
        declared = header(scope, b"content-length")
        if declared is None:
            return
        if not declared.isascii() or not declared.isdigit():
            raise BadRequest("Content-Length is not a number", parameter="Content-Length")
        largest = max(self._limits.instance_bytes, self._limits.request_bytes)
        if len(declared) > _MOST_DIGITS or int(declared) > largest:
            raise TooLarge(f"A request may have {largest} bytes", limit_bytes=largest)

    async def _take_in(self, receive: Receive, sender: Sender) -> Stored | ArchiveStored:
        body = _pieces(receive)
        start = bytearray()
        async for piece in body:
            start += piece
            if len(start) >= ARCHIVE_START_BYTES:
                break
        is_archive = looks_like_archive(bytes(start))
        largest = self._limits.request_bytes if is_archive else self._limits.instance_bytes
        async with sender.receive(largest) as reception:
            await reception.write(bytes(start))
            async for piece in body:
                await reception.write(piece)
            return await (self._unpack(reception, sender) if is_archive else reception.finish())

    async def _unpack(self, reception: Reception, sender: Sender) -> ArchiveStored:
        """Every member through the road of an instance; the archive itself is never kept."""
        tally, members = Tally(), []
        with await reception.opened() as reader, io.BufferedReader(ReaderFile(reader), _ARCHIVE_BUFFER_BYTES) as file:
            async for outcome in import_archive(sender, file, self._limits.archive):
                tally.add(outcome)
                members.append(outcome)
                self._metrics.instances.labels(outcome.key or outcome.outcome).inc()
        return ArchiveStored(tally.stored, tally.already_there, tally.ignored, len(tally.refused), tuple(members))


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    """The body, asked for piece by piece. Raises ClientGone."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


class ClientGone(Exception):
    """The browser went away in the middle of its upload; there is nobody to answer."""
