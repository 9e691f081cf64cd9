"""The door of a DIMSE process: reads what a stranger says first, and hands on whom the settings name.

A connection costs a task and a few kilobytes until its A-ASSOCIATE-RQ has come whole (PS3.8 §9.3.2) and names a known
peer from a known place; only then does it get the threads of an association. So connections that say nothing, by the
thousand, push out one another and nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from appliance.dimse.figures import Figures
from appliance.dimse.peers import DimseSettings, Peer, Refusal, admitted

T = TypeVar("T")

log = logging.getLogger(__name__)

_HEAD_BYTES = 6
_ASSOCIATE_RQ = 1
_LONGEST_REQUEST_BYTES = 1024 * 1024
"""128 presentation contexts with 60 transfer syntaxes each have 500 kB."""
_SHORTEST_REQUEST_BYTES = 68
"""Up to the end of the AE titles and the reserved bytes after them."""
_PIECE_BYTES = 1 << 16
_CALLED = slice(10, 26)
_CALLING = slice(26, 42)
_REJECT = b"\x03\x00\x00\x00\x00\x04\x00"
_ABORT_UNRECOGNIZED = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x01"
_ABORT_INVALID = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x06"
_FULL_PAUSE_S = 0.2
"""Before the next try, when the process has no more descriptors."""
_LONGEST_LOGGED_TITLE = 16


class _NotAssociating(Exception):
    """The bytes are no request for an association; ``answer`` says so in the upper layer's words."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer


class Admission:
    """Takes connections from the shared listener until it is stopped. Lives in one event loop."""

    def __init__(
        self,
        settings: DimseSettings,
        figures: Figures,
        tls: ssl.SSLContext | None,
        on_admitted: Callable[[socket.socket, bytes, Peer, str], bool],
    ) -> None:
        """``on_admitted`` gets the connection, what was read of it, the peer and the address; False if there are too many."""
        self._settings = settings
        self._figures = figures
        self._tls = tls
        self._on_admitted = on_admitted
        self._listener = socket.socket(fileno=settings.listener)
        self._half_open: dict[asyncio.Task[None], None] = {}

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        try:
            while True:
                try:
                    connected, address = await loop.sock_accept(self._listener)
                except OSError as error:  # no descriptors, or the peer has gone
                    log.warning("a connection cannot be taken", extra={"error": type(error).__name__})
                    await asyncio.sleep(_FULL_PAUSE_S)
                    continue
                self._begin(connected, str(address[0]))
                await asyncio.sleep(0)  # a queue of connections would be taken in one go, before any of them is served
        finally:
            for task in list(self._half_open):
                task.cancel()

    def _begin(self, connected: socket.socket, host: str) -> None:
        connected.setblocking(False)
        task = asyncio.create_task(self._admit(connected, host))
        self._half_open[task] = None
        task.add_done_callback(lambda done: self._half_open.pop(done, None))
        if len(self._half_open) > self._settings.limits.half_open:
            self._figures.association("pushed-out")
            oldest = next(iter(self._half_open))
            del self._half_open[oldest]
            oldest.cancel()

    async def _admit(self, connected: socket.socket, host: str) -> None:
        is_ours = True
        try:
            async with asyncio.timeout(self._settings.limits.request_s):
                if self._tls is not None:
                    connected = await _with_tls(connected, self._tls)
                request = await _read_request(connected)
                is_ours = not await self._decide(connected, request, host)
        except TimeoutError:
            self._figures.association("too-slow")
        except _NotAssociating as refusal:
            self._figures.association("not-understood")
            log.info("a connection does not ask for an association", extra={"host": host})
            await _say_last(connected, refusal.answer)
        except ssl.SSLError as error:
            self._figures.association("tls-failed")
            log.info("a connection fails in TLS", extra={"host": host, "reason": error.reason})
        except OSError:
            pass  # it has gone
        finally:
            if is_ours:
                connected.close()

    async def _decide(self, connected: socket.socket, request: bytes, host: str) -> bool:
        """Whether somebody else has the connection now."""
        called, calling = _title(request[_CALLED]), _title(request[_CALLING])
        decision = admitted(self._settings, called=called, calling=calling, host=host)
        if isinstance(decision, Peer):
            if self._on_admitted(connected, request, decision, host):
                return True
            decision = Refusal.TOO_MANY
        self._figures.association(decision.outcome)
        log.warning(
            "an association is rejected",
            extra={"reason": decision.outcome, "calling": _printable(calling), "host": host},
        )
        await _say_last(connected, _REJECT + decision.code)
        return False


async def _read_request(connected: socket.socket) -> bytes:
    """One whole A-ASSOCIATE-RQ PDU. Raises _NotAssociating, OSError."""
    head = await _read_exactly(connected, _HEAD_BYTES)
    if head[0] != _ASSOCIATE_RQ:
        raise _NotAssociating(_ABORT_UNRECOGNIZED)
    length = int.from_bytes(head[2:], "big")
    if not _SHORTEST_REQUEST_BYTES <= length <= _LONGEST_REQUEST_BYTES:
        raise _NotAssociating(_ABORT_INVALID)
    return head + await _read_exactly(connected, length)


async def _read_exactly(connected: socket.socket, length: int) -> bytes:
    pieces = []
    while length:
        piece = await _done(connected, partial(connected.recv, min(length, _PIECE_BYTES)))
        if not piece:
            raise ConnectionResetError("ended before it asked")
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


async def _with_tls(connected: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    wrapped = context.wrap_socket(connected, server_side=True, do_handshake_on_connect=False)  # takes the descriptor
    try:
        await _done(wrapped, wrapped.do_handshake)
    except BaseException:
        wrapped.close()
        raise
    return wrapped


async def _say_last(connected: socket.socket, answer: bytes) -> None:
    """The peer has the answer, or does not want it; it closes first, lest a reset overtakes the answer."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await _done(connected, lambda: connected.send(answer))  # a few bytes: whole or not at all
            while await _done(connected, lambda: connected.recv(1 << 16)):
                pass


async def _done(connected: socket.socket, operation: Callable[[], T]) -> T:
    """What ``operation`` returned, once the socket lets it; as TLS needs, either way of reading and writing."""
    while True:
        try:
            return operation()
        except (BlockingIOError, ssl.SSLWantReadError):
            await _until_ready(connected, to_write=False)
        except ssl.SSLWantWriteError:
            await _until_ready(connected, to_write=True)


async def _until_ready(connected: socket.socket, *, to_write: bool) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
    descriptor = connected.fileno()
    add(descriptor, _set, ready)
    try:
        await ready
    finally:
        remove(descriptor)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _title(field: bytes) -> str:
    """An AE title; leading and trailing spaces do not count (PS3.5 §6.2)."""
    return field.decode("ascii", "replace").strip(" \0")


def _printable(title: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in title)[:_LONGEST_LOGGED_TITLE]
