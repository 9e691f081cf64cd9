"""Requests, from the processes that hold the connections to the one that answers them.

A front process ends TLS, HTTP and QUIC, and knows nothing else: its ASGI application is a ``Relay``. The application's process
has a ``Gate`` for each. Between them runs a socket pair with numbered messages:

    front        →  REQUEST n (scope), BODY n …, GONE n, TAKEN n
    application  →  START n (status, header fields), ANSWER n …, TAKEN n, ENDED n

What holds between a listener and its application holds across the two:

* A request that is given up ends its application at once. A front that dies has given up all of its own.
* Either side may send so much of a body ahead of the other, and no more: TAKEN gives back what was handed on.
* An application that fails is answered for by the front, as by any listener.

References: the ASGI specification 2.4 (HTTP).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Any, cast

import msgspec

from appliance.http.quic import DISCONNECT_GRACE_S, Application, Message

log = logging.getLogger(__name__)

AHEAD_BYTES = 512 << 10
"""Of one body, sent and not yet handed on: what a front can send while the application makes more."""
_PIECE_BYTES = 64 << 10
_HEAD = struct.Struct("<QBI")
"""Number of the request, kind of the message, bytes that follow."""
_COUNT = struct.Struct("<I")


class Kind(IntEnum):
    """Of a message. Those of the process itself, and not of one of its requests, have the number 0."""

    SETTINGS = 1
    READY = 2
    DRAIN = 3
    REQUEST = 4
    BODY = 5
    END_OF_BODY = 6
    GONE = 7
    START = 8
    ANSWER = 9
    END_OF_ANSWER = 10
    ENDED = 11
    TAKEN = 12


class _Scope(msgspec.Struct, frozen=True, array_like=True):
    """What of an ASGI scope differs from request to request."""

    http_version: str
    method: str
    scheme: str
    path: str
    raw_path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    client: tuple[str, int] | None
    server: tuple[str, int] | None


class _Start(msgspec.Struct, frozen=True, array_like=True):
    status: int
    headers: list[tuple[bytes, bytes]]


class _Ended(msgspec.Struct, frozen=True, array_like=True):
    """The application has ended without a whole answer."""

    is_cancelled: bool


_encode = msgspec.msgpack.Encoder().encode
_decode_scope = msgspec.msgpack.Decoder(_Scope).decode
_decode_start = msgspec.msgpack.Decoder(_Start).decode
_decode_ended = msgspec.msgpack.Decoder(_Ended).decode


class Channel(asyncio.Protocol):
    """One end of the socket pair."""

    def __init__(self, on_message: Callable[[int, Kind, bytes], None], on_lost: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._rest = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost()

    def send(self, number: int, kind: Kind, payload: bytes = b"") -> None:
        """Nothing, where the other side is gone: it is told of by ``on_lost``."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_HEAD.pack(number, kind, len(payload)) + payload)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        rest = self._rest
        rest += data
        at = 0
        while len(rest) - at >= _HEAD.size:
            number, kind, size = _HEAD.unpack_from(rest, at)
            end = at + _HEAD.size + size
            if len(rest) < end:
                break
            payload = bytes(rest[at + _HEAD.size : end])
            at = end
            self._on_message(number, Kind(kind), payload)
        del rest[:at]


class _Room:
    """How much of a body may still be sent ahead."""

    def __init__(self) -> None:
        self._bytes = AHEAD_BYTES
        self._news = asyncio.Event()

    async def take(self, size: int) -> None:
        """There is room for something; a piece may exceed it."""
        while self._bytes <= 0:
            self._news.clear()
            await self._news.wait()
        self._bytes -= size

    def give(self, size: int) -> None:
        self._bytes += size
        self._news.set()

    def open(self) -> None:
        """Whoever waits goes on: nobody is left to wait for."""
        self.give(1 << 62)


def _pieces(body: bytes) -> list[bytes]:
    """At least one, which may be empty."""
    return [body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES)] or [b""]


# The side of the front


class Unanswered(Exception):
    """The application has failed, or its process has gone, before an answer was whole."""


class _Exchange:
    """A request, as the front sees it."""

    def __init__(self) -> None:
        self.room = _Room()
        self.is_answered = False
        self._answer: deque[tuple[Kind, bytes]] = deque()
        self._news = asyncio.Event()

    def add(self, kind: Kind, payload: bytes) -> None:
        self._answer.append((kind, payload))
        self._news.set()

    async def next(self) -> tuple[Kind, bytes]:
        while not self._answer:
            self._news.clear()
            await self._news.wait()
        return self._answer.popleft()


class Relay:
    """The ASGI application of a front: what is asked goes to the application's process, and its answer back."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = itertools.count(1)
        self._open: dict[int, _Exchange] = {}

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        number = next(self._numbers)
        exchange = self._open[number] = _Exchange()
        self._channel.send(number, Kind.REQUEST, _encode(_told(scope)))
        asking = asyncio.create_task(self._ask(number, exchange, receive))
        is_whole = False
        try:
            is_whole = await self._answer(number, exchange, send)
        finally:
            del self._open[number]
            asking.cancel()
            if not is_whole:
                self._channel.send(number, Kind.GONE)

    async def _ask(self, number: int, exchange: _Exchange, receive: Callable[[], Awaitable[Message]]) -> None:
        is_more = True
        while is_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                exchange.add(Kind.GONE, b"")
                return
            is_more = message.get("more_body", False)
            pieces = _pieces(message.get("body", b""))
            for left, piece in zip(reversed(range(len(pieces))), pieces, strict=True):
                await exchange.room.take(len(piece))
                if not exchange.is_answered:  # then the rest is only read past
                    self._channel.send(number, Kind.BODY if is_more or left else Kind.END_OF_BODY, piece)

    async def _answer(self, number: int, exchange: _Exchange, send: Callable[[Message], Awaitable[None]]) -> bool:
        """Whether the answer was whole; it is not where the client has gone."""
        while True:
            kind, payload = await exchange.next()
            if kind is Kind.START:
                start = _decode_start(payload)
                await send({"type": "http.response.start", "status": start.status, "headers": start.headers})
            elif kind is Kind.ANSWER:
                await send({"type": "http.response.body", "body": payload, "more_body": True})
                self._channel.send(number, Kind.TAKEN, _COUNT.pack(len(payload)))
            elif kind is Kind.END_OF_ANSWER:
                exchange.is_answered = True
                exchange.room.open()
                await send({"type": "http.response.body", "body": payload, "more_body": False})
                return True
            elif kind is Kind.GONE:
                return False
            elif _decode_ended(payload).is_cancelled:
                raise asyncio.CancelledError  # as the application was: the listener answers that it is stopping
            else:
                raise Unanswered

    def heard(self, number: int, kind: Kind, payload: bytes) -> None:
        """A message about a request; one that is over is passed over."""
        exchange = self._open.get(number)
        if exchange is None:
            return
        if kind is Kind.TAKEN:
            exchange.room.give(_COUNT.unpack(payload)[0])
        else:
            exchange.add(kind, payload)

    def lost(self) -> None:
        """The application's process has gone."""
        for exchange in self._open.values():
            exchange.add(Kind.ENDED, _encode(_Ended(is_cancelled=False)))


def _told(scope: Message) -> _Scope:
    client, server = scope.get("client"), scope.get("server")
    return _Scope(
        http_version=scope["http_version"],
        method=scope["method"],
        scheme=scope["scheme"],
        path=scope["path"],
        raw_path=scope["raw_path"],
        query_string=scope["query_string"],
        headers=[(bytes(name), bytes(value)) for name, value in scope["headers"]],
        client=(client[0], client[1]) if client else None,
        server=(server[0], server[1]) if server else None,
    )


# The side of the application


class _Request:
    """A request, as the application's process sees it: ``receive`` and ``send``."""

    def __init__(self, channel: Channel, number: int, name: str) -> None:
        self.name = name
        self.room = _Room()
        self.task: asyncio.Task[None] | None = None
        self.is_gone = False
        self.is_answered = False
        self._channel = channel
        self._number = number
        self._body: deque[bytes] = deque()
        self._is_body_complete = False
        self._is_end_told = False
        self._news = asyncio.Event()
        self._readers = 0

    def take(self, data: bytes, *, is_end: bool) -> None:
        """More of the request's body has come."""
        if data and not self.is_answered and not self.is_gone:
            self._body.append(data)
        self._is_body_complete = self._is_body_complete or is_end
        self._news.set()

    def gone(self) -> None:
        """The client is: the application is told where it listens, else cancelled."""
        if self.is_answered or self.is_gone:
            return
        self.is_gone = True
        self._body.clear()
        self._news.set()
        self.room.open()
        assert self.task is not None
        if self._readers:
            asyncio.get_running_loop().call_later(DISCONNECT_GRACE_S, self.task.cancel)
        else:
            self.task.cancel()

    async def receive(self) -> Message:
        self._readers += 1
        try:
            while True:
                if self.is_answered or self.is_gone:
                    return {"type": "http.disconnect"}
                if self._body or (self._is_body_complete and not self._is_end_told):
                    return self._next_of_body()
                self._news.clear()
                await self._news.wait()
        finally:
            self._readers -= 1

    def _next_of_body(self) -> Message:
        body = b"".join(self._body)
        self._body.clear()
        self._is_end_told = self._is_body_complete
        if not self._is_body_complete:
            self._channel.send(self._number, Kind.TAKEN, _COUNT.pack(len(body)))
        return {"type": "http.request", "body": body, "more_body": not self._is_body_complete}

    async def send(self, message: Message) -> None:
        """A part of the answer is on its way; waits while the client takes it slower. Nothing, once the client is gone."""
        if self.is_gone or self.is_answered:
            return
        if message["type"] == "http.response.start":
            fields = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
            self._channel.send(self._number, Kind.START, _encode(_Start(message["status"], fields)))
            return
        pieces = _pieces(bytes(message.get("body", b"")))
        for piece in pieces[:-1]:
            await self._send_piece(Kind.ANSWER, piece)
        if message.get("more_body", False):
            await self._send_piece(Kind.ANSWER, pieces[-1])
        else:
            await self._send_piece(Kind.END_OF_ANSWER, pieces[-1])
            self.is_answered = True
            self._news.set()

    async def _send_piece(self, kind: Kind, piece: bytes) -> None:
        await self.room.take(len(piece))
        if not self.is_gone:
            self._channel.send(self._number, kind, piece)

    def ended(self, task: asyncio.Task[None]) -> None:
        """Sees to it that no front waits for an answer that will not come."""
        error = None if task.cancelled() else task.exception()
        if self.is_gone:
            log.debug("%s ended after its client", self.name, exc_info=error)
            return
        if error is not None:
            log.error("%s failed", self.name, exc_info=error)
        if self.is_answered:
            return
        if not task.cancelled() and error is None:
            log.error("%s ended without a whole answer", self.name)
        self._channel.send(self._number, Kind.ENDED, _encode(_Ended(is_cancelled=task.cancelled())))


class Gate:
    """The application, for one front."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._open: dict[int, _Request] = {}

    def heard(self, channel: Channel, number: int, kind: Kind, payload: bytes) -> None:
        """A message about a request; one that is over is passed over."""
        if kind is Kind.REQUEST:
            self._begin(channel, number, _decode_scope(payload))
            return
        request = self._open.get(number)
        if request is None:
            return
        if kind is Kind.TAKEN:
            request.room.give(_COUNT.unpack(payload)[0])
        elif kind is Kind.GONE:
            request.gone()
        else:
            request.take(payload, is_end=kind is Kind.END_OF_BODY)

    def lost(self) -> None:
        """The front has gone, and all its clients with it."""
        for request in list(self._open.values()):
            request.gone()

    def _begin(self, channel: Channel, number: int, told: _Scope) -> None:
        request = _Request(channel, number, f"{told.method} {told.path}")
        self._open[number] = request
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "root_path": "",
            "state": {},
            "extensions": {},
            **msgspec.structs.asdict(told),
        }
        request.task = asyncio.get_running_loop().create_task(self._answer(request, scope), name=request.name)
        request.task.add_done_callback(lambda _: self._open.pop(number, None))
        request.task.add_done_callback(request.ended)

    async def _answer(self, request: _Request, scope: Message) -> None:
        await self._application(scope, request.receive, request.send)
