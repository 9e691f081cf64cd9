"""The road of every instance, for the threads that pynetdicom has: they wait, the event loop works."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from appliance.domain.hierarchy import ParsedInstance
from appliance.services.ingest import Ingest, Reception, Stored

T = TypeVar("T")


class Bridge:
    """Runs in the event loop what a thread asks for; from any thread but the loop's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ingest: Ingest) -> None:
        self._loop = loop
        self._ingest = ingest

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @contextlib.contextmanager
    def receive(self) -> Iterator[WaitingReception]:
        """One instance on its way in. Nothing remains of it unless ``finish`` was reached."""
        receiving = self._ingest.receive()
        reception = self.run(receiving.__aenter__())
        try:
            yield WaitingReception(self, reception)
        finally:
            self.run(reception.abandon())


class WaitingReception:
    """A ``Reception`` that returns when it is done."""

    def __init__(self, bridge: Bridge, reception: Reception) -> None:
        self._bridge = bridge
        self._reception = reception

    def write(self, chunk: bytes) -> None:
        self._bridge.run(self._reception.write(chunk))

    def finish(self, check: Callable[[ParsedInstance], Awaitable[None]]) -> Stored:
        return self._bridge.run(self._reception.finish(check))
