"""A way to a server that can be cut and then leads there from another address, as that of somebody who changes networks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

Address = tuple[str, int]
_PIECE_BYTES = 1 << 16


class Relay:
    """Carries UDP and TCP to ``server``, from ``address``; whoever is there sees that one and no other."""

    def __init__(self, server: Address, address: str) -> None:
        self._server = server
        self._address = address
        self._is_cut = False
        self._front: asyncio.DatagramTransport | None = None
        self._ways: dict[Address, asyncio.Future[asyncio.DatagramTransport]] = {}
        self._lines: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Nothing comes through in either direction, and nobody is told."""
        self._is_cut = True

    def move(self, address: str) -> None:
        """It leads there again, from ``address``; connections over TCP have not survived it."""
        for way in self._ways.values():
            way.result().close()
        self._ways.clear()
        for writer in self._lines:
            writer.transport.abort()
        self._address, self._is_cut = address, False

    # UDP

    def front(self) -> asyncio.DatagramProtocol:
        return _Received(self._made, self._towards_server)

    def _made(self, transport: asyncio.DatagramTransport) -> None:
        self._front = transport

    def _towards_server(self, data: bytes, client: Address) -> None:
        if self._is_cut:
            return
        if client not in self._ways:
            self._ways[client] = asyncio.ensure_future(self._way(client))
        self._ways[client].add_done_callback(lambda way: way.cancelled() or way.result().sendto(data))

    async def _way(self, client: Address) -> asyncio.DatagramTransport:
        def towards_client(data: bytes, _: Address) -> None:
            if not self._is_cut and self._front is not None:
                self._front.sendto(data, client)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Received(None, towards_client), local_addr=(self._address, 0), remote_addr=self._server
        )
        return transport

    # TCP

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._server, local_addr=(self._address, 0))
        self._lines |= {writer, back}
        try:
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        finally:
            self._lines -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_PIECE_BYTES):
                while self._is_cut:
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    def close(self) -> None:
        self.move(self._address)
        if self._front is not None:
            self._front.close()


class _Received(asyncio.DatagramProtocol):
    def __init__(self, made: Any, took: Any) -> None:
        self._made = made
        self.datagram_received = took  # type: ignore[method-assign]

    def connection_made(self, transport: Any) -> None:
        if self._made is not None:
            self._made(transport)


@asynccontextmanager
async def relay(at: Address, server: Address, address: str) -> AsyncIterator[Relay]:
    """A relay that listens ``at``, for UDP and TCP."""
    made = Relay(server, address)
    await asyncio.get_running_loop().create_datagram_endpoint(made.front, local_addr=at)
    listener = await asyncio.start_server(made.accept, *at)
    try:
        yield made
    finally:
        listener.close()
        made.close()
