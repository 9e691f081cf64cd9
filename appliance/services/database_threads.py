"""The database from asyncio: a few threads, each with a connection of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from appliance.storage.database import Database, Transaction

T = TypeVar("T")

_THREADS = 4
"""Measured: more do not help, SQLite has one writer anyway; and a slow query must not hold up all others."""


class DatabaseThreads:
    """Runs transactions of one database; closed once, when nothing is under way."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="database")

    async def run(self, work: Callable[[Transaction], T]) -> T:
        """``Database.run`` in a thread: a writing transaction.

        A transaction that has begun ends even if the waiting task is cancelled.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._database.run, work)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """``Database.read`` in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._database.read, work)

    async def call(self, work: Callable[[Database], T]) -> T:
        """What ``work`` returned, in a thread: for what is more than one transaction, files among it."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, self._database)

    async def close(self) -> None:
        """All connections are closed, after what was under way has ended."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        # Each thread closes its own connection; the barrier makes every thread take exactly one of these tasks.
        together = threading.Barrier(_THREADS)
        ended = [self._threads.submit(self._close_connection, together) for _ in range(_THREADS)]
        for closing in ended:
            closing.result()
        self._threads.shutdown()

    def _close_connection(self, together: threading.Barrier) -> None:
        together.wait()
        self._database.close()
