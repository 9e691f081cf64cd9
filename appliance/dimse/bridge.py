"""The road of every instance, for the threads that pynetdicom has: they wait, the event loop works."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from appliance.domain.audit import Actor
from appliance.domain.hierarchy import ParsedInstance
from appliance.services.ingest import Ingest, Reception, Stored
from appliance.storage.instances import InstanceReader

T = TypeVar("T")

_PIECE_BYTES = 1024 * 1024
"""Gathered before the event loop hears of it: the way there and back costs as much as writing 100 kB."""


class Bridge:
    """Runs in the event loop what a thread asks for; from any thread but the loop's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ingest: Ingest) -> None:
        self._loop = loop
        self._ingest = ingest

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @contextlib.contextmanager
    def receive(self, by: Actor) -> Iterator[WaitingReception]:
        """One instance on its way in. Nothing remains of it unless ``finish`` was reached."""
        reception = self._ingest.sender(by).reception()
        try:
            yield WaitingReception(self, reception)
        finally:
            if reception.leaves_something:
                self.run(reception.abandon())


class WaitingReception:
    """A ``Reception`` that returns when it is done."""

    def __init__(self, bridge: Bridge, reception: Reception) -> None:
        self._bridge = bridge
        self._reception = reception
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Raises what ``Reception.write`` raises, at the latest in ``finish``."""
        self._pieces.append(chunk)
        self._waiting_bytes += len(chunk)
        if self._waiting_bytes >= _PIECE_BYTES:
            self._bridge.run(self._write())

    def finish(self, check: Callable[[ParsedInstance], Awaitable[None]]) -> Stored:
        return self._bridge.run(self._finish(check))

    async def opened(self) -> InstanceReader:
        """``Reception.opened``, for the event loop: in a check, what is being checked."""
        return await self._reception.opened()

    async def _write(self) -> None:
        piece = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting_bytes = 0
        await self._reception.write(piece)

    async def _finish(self, check: Callable[[ParsedInstance], Awaitable[None]]) -> Stored:
        await self._write()
        return await self._reception.finish(check)
