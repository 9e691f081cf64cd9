"""A line between two processes that can be cut and mended: it carries bytes of TCP and knows nothing of them."""

from __future__ import annotations

import asyncio
import contextlib
import threading


class Link:
    """Listens on a port of its own and carries what comes to another, in a thread of its own. Cut, it refuses and resets.

    With several ports behind it, it is what stands before the processes of a toplevel: each connection goes to the next of them
    that takes it.
    """

    def __init__(self, port: int, *to_ports: int) -> None:
        self.port = port
        self.is_cut = False
        self.to_ports = list(to_ports)
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name=f"link {port}", daemon=True)
        self._ready = threading.Event()

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def cut(self) -> None:
        """Nothing goes through from now on, and what was under way is lost."""
        self.is_cut = True
        asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result()

    def mend(self) -> None:
        self.is_cut = False

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._carry, "127.0.0.1", self.port))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._reset())
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _reset(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _onward(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self.to_ports:
            self.to_ports.append(self.to_ports.pop(0))
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self.to_ports[-1])
        return None

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        connected = await self._onward()
        if connected is None:
            writer.transport.abort()
            return
        onward_reader, onward = connected
        self._open |= {writer, onward}
        try:
            await asyncio.gather(_copy(reader, onward), _copy(onward_reader, writer))
        finally:
            self._open -= {writer, onward}
            for end in (writer, onward):
                end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError, OSError, RuntimeError):
        writer.write_eof() if writer.can_write_eof() else writer.close()
