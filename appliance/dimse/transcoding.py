"""Instances in another transfer syntax than they are stored in, for peers that do not take that one.

A process of its own reads and decodes what is held (``services.dataset_process``); it is started when it is first needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

from appliance.dimse.bridge import Bridge
from appliance.domain.identifiers import InstanceUid, StudyUid
from appliance.services.archive import Archive
from appliance.storage.dimse_queries import HeldInstance
from appliance.storage.part10 import data_set_offset
from appliance.storage.stream import InMemory


class Transcoding:
    """For any number of associations, from their threads."""

    def __init__(self, bridge: Bridge, archive: Archive) -> None:
        self._bridge = bridge
        self._archive = archive
        self._starting = asyncio.Lock()
        self._is_started = False

    async def stop(self) -> None:
        if self._is_started:
            await self._archive.stop()

    def pieces(self, instance: HeldInstance, transfer_syntax_uid: str) -> Iterator[bytes]:
        """The data set in pieces; its head and the beginning of its pixels are made already.

        Raises NotAcceptable, NotDrawable, NotFound and Damaged where it cannot be had so: here, or at a later frame.
        """
        began = self._bridge.run(self._begun(instance, transfer_syntax_uid))
        return self._rest(*began)

    async def _begun(self, instance: HeldInstance, syntax: str) -> tuple[list[bytes], AsyncGenerator[bytes, None]]:
        async with self._starting:
            if not self._is_started:
                await self._archive.start()
                self._is_started = True
        (held,) = await self._archive.holdings(
            StudyUid(instance.study_uid), instance_uid=InstanceUid(instance.instance_uid)
        )
        (consignment,) = self._archive.consigned([held], [syntax])
        pieces = self._archive.bytes_of(consignment)
        head = await anext(pieces)
        # What cannot be decoded shows at the first frame, before anything has gone out.
        return [head[data_set_offset(InMemory(head)) :], await anext(pieces, b"")], pieces

    def _rest(self, first: list[bytes], pieces: AsyncGenerator[bytes, None]) -> Iterator[bytes]:
        try:
            yield from first
            while piece := self._bridge.run(_next(pieces)):
                yield piece
        finally:
            self._bridge.run(_closed(pieces))


async def _closed(pieces: AsyncGenerator[bytes, None]) -> None:
    await pieces.aclose()


async def _next(pieces: AsyncGenerator[bytes, None]) -> bytes:
    """Empty at the end."""
    return await anext(pieces, b"")
