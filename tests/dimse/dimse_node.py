"""A node with its DIMSE processes on a free port, and DCMTK's programs as its peers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.dimse.doors import Dimse, listening
from appliance.dimse.figures import Told
from appliance.dimse.peers import DimseSettings, Limits, Peer, Tls
from appliance.storage import commitments, index
from appliance.storage.database import migrate
from tests.services.node_parts import NODE_ID, NodeParts, node_parts

TITLE = "APPLIANCE"
EVERYTHING = frozenset({"echo", "store", "find", "get", "move", "commit"})
_TIMEOUT_S = 60


@dataclass
class DimseNode:
    parts: NodeParts
    dimse: Dimse
    told: list[Told] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.dimse.port

    def counted(self, what: str) -> Counter[str]:
        """Sums of what was told: ``associations``, ``operations`` or ``instances``."""
        total: Counter[str] = Counter()
        for told in self.told:
            total.update(getattr(told, what))
        return total

    async def until(self, what: str, name: str, count: int = 1) -> None:
        """Waits for a figure."""
        deadline = time.monotonic() + 10
        while self.counted(what)[name] < count:
            assert time.monotonic() < deadline, (what, name, self.counted(what))
            await asyncio.sleep(0.02)

    async def until_nobody_is_here(self) -> None:
        deadline = time.monotonic() + 2
        while self.dimse.associations_open:
            assert time.monotonic() < deadline, f"{self.dimse.associations_open} associations stay open"
            await asyncio.sleep(0.02)

    async def call(
        self, program: str, *arguments: str | Path, title: str = "PEER", called: str = TITLE
    ) -> tuple[int, str]:
        """Exit status and output of one of DCMTK's requestors."""
        return await run(program, "-aet", title, "-aec", called, "127.0.0.1", str(self.port), *arguments)

    def empty(self) -> None:
        """Nothing is held or counted any more."""
        rows = self.parts.database.read(lambda tx: tx.rows(index.StudyRow.select(index.StudyRow.study_uid)))
        for row in rows:
            uid = row.study_uid
            for key in self.parts.database.run(lambda tx, uid=uid: index.delete_study(tx, NODE_ID, uid)):
                self.parts.store.delete(key)
        self.told.clear()

    def held(self) -> dict[str, str]:
        """Keys of the bytes by instance UID."""
        rows = self.parts.database.read(
            lambda tx: tx.rows(index.InstanceRow.select(index.InstanceRow.instance_uid, index.InstanceRow.key))
        )
        return {row.instance_uid: row.key for row in rows}


async def run(program: str, *arguments: str | Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        program,
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "TCP_NODELAY": "1"},
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode(errors="replace")


PEERS = (Peer("PEER", ("127.0.0.1",), EVERYTHING),)


@contextlib.asynccontextmanager
async def dimse_node(
    folder: Path,
    *,
    peers: tuple[Peer, ...] = PEERS,
    limits: Limits | None = None,
    processes: int = 1,
    tls: Tls | None = None,
    floor_bytes: int = 0,
) -> AsyncIterator[DimseNode]:
    async with node_parts(folder) as parts:
        migrate(parts.database, "commitments", commitments.MIGRATIONS)
        settings = DimseSettings(
            listener=-1,
            ae_title=TITLE,
            peers=peers,
            node_id=str(NODE_ID),
            database=f"sqlite:///{folder}/index.sqlite",
            store_directory=str(folder / "store"),
            key_file=str(folder / "key"),
            floor_bytes=floor_bytes,
            tls=tls,
            limits=limits or Limits(),
        )
        told: list[Told] = []
        dimse = Dimse(settings, listening("127.0.0.1", 0), processes, told.append)
        await dimse.start()
        try:
            deadline = time.monotonic() + 30
            while await dimse.missing():
                assert time.monotonic() < deadline, await dimse.missing()
                await asyncio.sleep(0.05)
            yield DimseNode(parts, dimse, told)
        finally:
            await dimse.stop()
