"""The life of a DIMSE process: an event loop with the road of instances in one thread, each association in its own.

Its parent asks it two things: what it counted (``figures``), answered when there is something, and to ``stop``, answered when
associations have ended and nothing is half done.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec
import uvloop

from appliance.dimse import tls
from appliance.dimse.admission import Admission
from appliance.dimse.bridge import Bridge
from appliance.dimse.doors import FIGURES, STOP_TIMEOUT_S
from appliance.dimse.figures import Figures
from appliance.dimse.node import Node
from appliance.dimse.peers import DimseSettings
from appliance.dimse.storing import Storing
from appliance.dimse.transcoding import Transcoding
from appliance.services import journal
from appliance.services.archive import Archive
from appliance.services.audit import trail_of_store
from appliance.services.children import Request, serve_requests
from appliance.services.database_threads import DatabaseThreads
from appliance.services.ingest import Ingest, IngestSettings
from appliance.storage.database import Database
from appliance.storage.instances import open_store

_START_TIMEOUT_S = 30
_FILES_EACH = 8
"""Descriptors that an association may have: socket, eventfd, spool, index, locks."""
_OTHER_FILES = 128


class DimseProcess:
    """All of one process."""

    def __init__(self, settings: DimseSettings) -> None:
        _allow_files(settings.limits.half_open + settings.limits.associations * _FILES_EACH + _OTHER_FILES)
        self.figures = Figures()
        self._database = Database(settings.database)
        self._store = open_store(settings.store())
        self._ingest = Ingest(
            self._store,
            self._database,
            UUID(settings.node_id),
            IngestSettings(largest_instance_bytes=settings.limits.instance_bytes, parsers=settings.parsers),
            trail_of_store(Path(settings.store_directory)),
        )
        self._loop = uvloop.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="loop", daemon=True).start()
        bridge = Bridge(self._loop, self._ingest)
        storing = Storing(bridge, self._store, self._database, self.figures)
        self._threads = DatabaseThreads(self._database)
        self._transcoding = Transcoding(bridge, Archive(self._store, self._threads))
        self._node = Node(settings, self.figures, storing, self._store, self._database, transcoding=self._transcoding)
        context = tls.for_accepting(settings.tls) if settings.tls else None
        self._admission = Admission(settings, self.figures, context, self._node.admit)
        self._taking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Peers are taken."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(_START_TIMEOUT_S)

    def stop(self) -> None:
        """Nobody is taken any more, associations have ended, and so has the road of instances."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()

    async def _start(self) -> None:
        await self._ingest.start()
        self._node.start()
        self._taking = asyncio.create_task(self._admission.run())

    async def _stop(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._taking
        await asyncio.to_thread(self._node.stop, STOP_TIMEOUT_S)
        await self._transcoding.stop()
        await self._threads.close()
        await self._ingest.stop()


def _allow_files(count: int) -> None:
    """As many descriptors as the limits of the settings need, if the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _prepare(settings: bytes) -> Callable[[Request], None]:
    journal.set_up_as_parent()
    process = DimseProcess(msgspec.msgpack.decode(settings, type=DimseSettings))
    process.start()

    def stop(request: Request) -> None:
        process.stop()
        request.answer(b"")

    def handle(request: Request) -> None:
        if request.message.header == FIGURES:
            process.figures.tell(request.answer)
        else:
            threading.Thread(target=stop, args=(request,)).start()

    return handle


if __name__ == "__main__":
    serve_requests(_prepare)
