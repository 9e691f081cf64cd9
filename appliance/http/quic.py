"""HTTP/3: an ASGI application behind QUIC connections.

The ladder, a hop a class, each knowing only the next:

    QuicListener      a UDP socket; accepts, drains, closes
    HttpConnection    one client: QUIC events in, datagrams out, its requests by stream
    RequestStream     one request and its answer: the ASGI application's ``receive`` and ``send``

What holds whatever a client does:

* A request that the client gives up (RESET_STREAM, STOP_SENDING, a lost connection) ends its application at once, and
  nothing else.
* A request body is received no faster than the application reads it, an answer made no faster than the client takes it:
  what one client makes the server hold is bounded, whatever it asks for or sends.
* An answer that does not wait for its request's body goes out at once; the rest of the body is read past, and stopped where it
  is long.
* No session tickets are given, hence no early data that could be replayed.
* A stranger's address is sent at most three times what came from it until it has answered (RFC 9000 §8.1). While many have not
  answered, addresses are proven by Retry before anything is kept of them; else a first visit is spared the round trip.

References: RFC 9000 (QUIC), RFC 9114 (HTTP/3), RFC 9457 (problem details), the ASGI specification 2.4 (HTTP).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from email.utils import formatdate
from enum import Enum
from typing import Any, cast

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.h3.connection import H3_ALPN, ErrorCode
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import NetworkAddress, QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    ProtocolNegotiated,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aioquic.quic.packet import pull_quic_header

from appliance.http import congestion, receive_queue
from appliance.http.certificates import CertificateFiles
from appliance.http.connection_ids import ID_BYTES, Share, id_of_short, reset_for
from appliance.http.http3 import (
    CONNECTION_WINDOW_BYTES,
    FIRST_WINDOW_BYTES,
    STREAM_WINDOW_BYTES,
    Http3,
    MalformedReceived,
    ReceiveWindows,
    RefusedRequest,
    RequestHead,
    read_head,
)

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]  # ASGI leaves the values open
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

STREAM_BUFFER_BYTES = 1 << 20
"""Of an answer, handed to QUIC and not acknowledged: 10 MB/s at a round trip of 100 ms."""
CONNECTION_BUFFER_BYTES = 8 << 20
"""The same for all answers of a connection together. Beyond it an answer may only have one piece under way."""
PIECE_BYTES = 64 << 10
"""An answer is handed to QUIC in pieces, so that a large one in one message is bounded too."""

_HEAD_BYTES = 4 << 10
"""An answer of which no more than its head is under way may have its piece whatever the others hold."""
READ_PAST_BYTES = 64 << 20
"""Of a body that nobody waits for any more, before the client is asked to stop. Chromium 156, when asked to stop within an
upload, never hands out the answer that it already has (RFC 9114 §4.1 has it the other way)."""

_DATAGRAM_BYTES = 1350
"""Fits through the tunnels of clinics (1500 less IPv6, UDP and a VPN's header); aioquic does not probe for more."""
_IDLE_TIMEOUT_S = 60.0
_HANDSHAKE_TIMEOUT_S = 10.0
"""For a handshake to end: a hundred round trips of a bad line."""
UNPROVEN_LIMIT = 64
"""Handshakes under way, each some 100 kB and 5 ms of work, before addresses must be proven first. A clinic that comes back after
its line was cut is a few dozen browsers at once."""
DISCONNECT_GRACE_S = 1.0
"""For an application that was told of the disconnection to end by itself, before it is cancelled."""
_CANCEL_TIMEOUT_S = 2.0
_DRAIN_POLL_S = 0.02
_LONG_HEADER = 0x80
"""Of the packets of a handshake (RFC 9000 §17.2)."""
_RESETS_A_SECOND = 200
"""To a client whose connection is gone. More of them would only serve somebody who makes us send."""
_CONNECTION_FIELDS = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""Meant for the hop of HTTP/1.1, malformed in HTTP/3 (RFC 9114 §4.2)."""


class StreamState(Enum):
    """How far the answer on a stream is. It only ever moves down this list."""

    WAITING = "the application has not answered"
    STARTED = "it has: the head is kept back for the first of the body, until when an error can still become a 500"
    SENDING = "the head is sent"
    ANSWERED = "all is handed to QUIC; the application may go on with what nobody waits for"
    ABANDONED = "the client is gone"


class RequestStream:
    """One request and its answer."""

    def __init__(self, connection: HttpConnection, stream_id: int, head: RequestHead) -> None:
        self.stream_id = stream_id
        self.state = StreamState.WAITING
        self.unread_bytes = 0
        self.is_read = False
        self.name = f"{head.method} {head.path}"  # for the log: the query may say more than a log should hold
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._is_head = head.method == "HEAD"
        self._body: deque[bytes] = deque()
        self._is_body_complete = False
        self._is_end_told = False
        self._news = asyncio.Event()
        self._readers = 0
        self._answer_head: list[tuple[bytes, bytes]] = []

    # from the client

    def take(self, data: bytes, *, is_end: bool) -> None:
        """More of the request's body has come."""
        if data:
            self._body.append(data)
            self.unread_bytes += len(data)
        self._is_body_complete = self._is_body_complete or is_end
        self._news.set()

    def abandon(self) -> None:
        """The client is gone: the application is told where it listens, else cancelled."""
        if self.state is StreamState.ANSWERED:
            return
        self.state = StreamState.ABANDONED
        self._body.clear()
        self.unread_bytes = 0
        self._news.set()
        assert self.task is not None
        if self._readers:
            asyncio.get_running_loop().call_later(DISCONNECT_GRACE_S, self.task.cancel)
        else:
            self.task.cancel()

    # for the application

    async def receive(self) -> Message:
        """The next of the request's body, then ``http.disconnect`` once the client is gone or the answer is whole."""
        self._readers += 1
        try:
            while True:
                if self.state in (StreamState.ANSWERED, StreamState.ABANDONED):
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
        self.unread_bytes = 0
        self.is_read = True
        self._is_end_told = self._is_body_complete
        if not self._is_body_complete:
            self._connection.has_read(self.stream_id)
        return {"type": "http.request", "body": body, "more_body": not self._is_body_complete}

    async def send(self, message: Message) -> None:
        """A part of the answer is on its way; waits while the client takes it slower. Nothing, once the client is gone."""
        if self.state in (StreamState.ANSWERED, StreamState.ABANDONED):
            return
        kind = message["type"]
        if kind == "http.response.start" and self.state is StreamState.WAITING:
            self._answer_head = _answer_head(message["status"], message.get("headers", ()))
            self.state = StreamState.STARTED
        elif kind == "http.response.body" and self.state is not StreamState.WAITING:
            body = b"" if self._is_head else message.get("body", b"")
            await self._send_body(body, is_end=not message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} is not expected when {self.state.value}")

    async def _send_body(self, body: bytes, *, is_end: bool) -> None:
        http3 = self._connection.http3
        if self.state is StreamState.STARTED:
            self.state = StreamState.SENDING
            http3.heed_priority_of_answer(self.stream_id, self._answer_head)
            http3.send_headers(self.stream_id, self._answer_head, end_stream=is_end and not body)
        elif is_end and not body:
            http3.send_data(self.stream_id, b"", end_stream=True)
        rest = memoryview(body)
        while rest:
            await self._connection.room_on(self)
            if self.state is StreamState.ABANDONED:
                return
            piece, rest = rest[:PIECE_BYTES], rest[PIECE_BYTES:]
            http3.send_data(self.stream_id, bytes(piece), end_stream=is_end and not rest)
            self._connection.transmit_soon()
        if is_end:
            self._finish()
        self._connection.transmit_soon()

    def _finish(self) -> None:
        self.state = StreamState.ANSWERED
        self._news.set()
        self._connection.forget(self)

    # when the application has ended

    def ended(self, task: asyncio.Task[None]) -> None:
        """Sees to it that no client waits for an answer that will not come."""
        error = None if task.cancelled() else task.exception()
        if self.state is StreamState.ABANDONED:
            log.debug("%s ended after its client", self.name, exc_info=error)
            return
        if error is not None:
            log.error("%s failed", self.name, exc_info=error)
        if self.state is StreamState.ANSWERED:
            return
        if not task.cancelled() and error is None:
            log.error("%s ended without a whole answer", self.name)
        if self.state is StreamState.SENDING:
            self._connection.http3.break_off(self.stream_id, ErrorCode.H3_INTERNAL_ERROR)
        elif task.cancelled():
            self._connection.refuse(self.stream_id, _STOPPING)
        else:
            self._connection.refuse(self.stream_id, _FAILED)
        self.state = StreamState.ANSWERED
        self._connection.forget(self)
        self._connection.transmit_soon()


_FAILED = RefusedRequest(500, "internal-error", "The server failed")
_STOPPING = RefusedRequest(503, "unavailable", "The server is stopping")


def _answer_head(status: int, fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    head = [(b":status", b"%d" % status)]
    lowered = [(bytes(name).lower(), bytes(value)) for name, value in fields]
    head += [(name, value) for name, value in lowered if name not in _CONNECTION_FIELDS]
    if not any(name == b"date" for name, _ in lowered):
        head.append((b"date", formatdate(time.time(), usegmt=True).encode("ascii")))
    return head


class HttpConnection(QuicConnectionProtocol):
    """One client's connection and the requests on it."""

    def __init__(self, quic: QuicConnection, listener: QuicListener) -> None:
        super().__init__(quic)
        self.requests: dict[int, RequestStream] = {}
        self.windows: ReceiveWindows | None = None
        self._http3: Http3 | None = None
        self._listener = listener
        self._writers: dict[RequestStream, asyncio.Future[None]] = {}
        self._read_past: dict[int, int] = {}
        self._next_stream_id = 0
        self._is_draining = False

    @property
    def http3(self) -> Http3:
        assert self._http3 is not None, "no request comes before the protocol is negotiated"
        return self._http3

    # datagrams

    def datagram_received(self, data: bytes | str, addr: NetworkAddress) -> None:
        # as in aioquic, but what a burst of datagrams asks for goes out once, after the burst
        self._quic.receive_datagram(cast(bytes, data), addr, now=self._loop.time())
        self._process_events()
        self.transmit_soon()

    def transmit(self) -> None:
        """Sends what is due; answers that waited for room go on."""
        assert self._transport is not None
        if not self._transport.is_closing():
            super().transmit()
        if self._writers:
            self._wake_writers()

    def transmit_soon(self) -> None:
        """The same at the end of this turn of the loop."""
        self._transmit_soon()

    # events

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, HandshakeCompleted):
            self._listener.unproven.discard(self)
        if isinstance(event, ProtocolNegotiated):
            self._http3 = Http3(self._quic)
            self.windows = ReceiveWindows(self._quic, self._unread_bytes, self._window_bytes)
            if self._is_draining:
                self._http3.announce_end(0)
        if self.windows is not None and isinstance(event, StreamDataReceived):
            self.windows.moved(event.stream_id)
        if self._http3 is not None:
            for http_event in self._http3.handle_event(event):
                self._http_event_received(http_event)
        if isinstance(event, StreamReset | StopSendingReceived):
            self._abandon(event.stream_id, ErrorCode.H3_REQUEST_CANCELLED)
        elif isinstance(event, ConnectionTerminated):
            self._terminated()

    def _http_event_received(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            self._headers_received(event)
        elif isinstance(event, DataReceived):
            self._data_received(event.stream_id, event.data, is_end=event.stream_ended)
        elif isinstance(event, MalformedReceived):
            self._malformed_received(event)

    def _headers_received(self, event: HeadersReceived) -> None:
        if not any(name == b":method" for name, _ in event.headers):  # trailers, which ASGI has no place for
            self._data_received(event.stream_id, b"", is_end=event.stream_ended)
            return
        if self._is_draining or not self.http3.is_answer_wanted(event.stream_id):
            self.http3.break_off(event.stream_id, ErrorCode.H3_REQUEST_REJECTED)
            return
        self._next_stream_id = max(self._next_stream_id, event.stream_id + 4)
        self.http3.heed_priority(event.stream_id, event.headers)
        try:
            head = read_head(event.headers)
        except RefusedRequest as refusal:
            self.refuse(event.stream_id, refusal)
            return
        stream = RequestStream(self, event.stream_id, head)
        if event.stream_ended:
            stream.take(b"", is_end=True)
        self.requests[event.stream_id] = stream
        stream.task = self._listener.run(stream, self._scope(head))

    def _data_received(self, stream_id: int, data: bytes, *, is_end: bool) -> None:
        stream = self.requests.get(stream_id)
        if stream is not None:
            stream.take(data, is_end=is_end)
        elif is_end:
            self._read_past.pop(stream_id, None)
        elif stream_id in self._read_past:
            self._read_past[stream_id] -= len(data)
            if self._read_past[stream_id] < 0:
                del self._read_past[stream_id]
                self.http3.stop_request(stream_id, ErrorCode.H3_NO_ERROR)

    def _malformed_received(self, event: MalformedReceived) -> None:
        log.info("malformed request: %s", event.reason)
        if event.is_head and self.http3.is_answer_wanted(event.stream_id):
            self.refuse(event.stream_id, RefusedRequest(400, "bad-request", "The request is malformed"))
        else:
            self._abandon(event.stream_id, ErrorCode.H3_MESSAGE_ERROR)

    def _scope(self, head: RequestHead) -> Message:
        client = self._quic.get_peer_address()
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "3",
            "method": head.method,
            "scheme": "https",
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query_string,
            "root_path": "",
            "headers": head.headers,
            "client": None if client is None else (client[0], client[1]),
            "server": self._listener.address,
            "state": {},
            "extensions": {},
        }

    # ends

    def _abandon(self, stream_id: int, error_code: ErrorCode) -> None:
        self._read_past.pop(stream_id, None)
        stream = self.requests.pop(stream_id, None)
        if stream is None:
            return
        self.http3.break_off(stream_id, error_code)
        stream.abandon()
        self._wake(stream)

    def _terminated(self) -> None:
        for stream in list(self.requests.values()):
            stream.abandon()
            self._wake(stream)
        self.requests.clear()
        self._listener.connections.discard(self)
        self._listener.unproven.discard(self)

    def forget(self, stream: RequestStream) -> None:
        """The stream is answered; what is still to come of its request is not wanted."""
        if self.requests.pop(stream.stream_id, None) is not None:
            self._read_past_rest(stream.stream_id)

    def _read_past_rest(self, stream_id: int) -> None:
        self.has_read(stream_id)
        if not self.http3.is_request_complete(stream_id):
            self._read_past[stream_id] = READ_PAST_BYTES

    def refuse(self, stream_id: int, refusal: RefusedRequest) -> None:
        """Answers in place of the application."""
        problem = {"type": refusal.key, "title": refusal.title, "status": refusal.status}
        fields = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
        self.http3.send_headers(stream_id, _answer_head(refusal.status, fields))
        self.http3.send_data(stream_id, json.dumps(problem).encode(), end_stream=True)
        self._read_past_rest(stream_id)
        self.transmit_soon()

    # back-pressure

    def _unread_bytes(self, stream_id: int) -> int:
        stream = self.requests.get(stream_id)
        return (stream.unread_bytes if stream else 0) + self.http3.undecoded_bytes(stream_id)

    def _window_bytes(self, stream_id: int) -> int:
        stream = self.requests.get(stream_id)
        is_read = stream_id in self._read_past or (stream is not None and stream.is_read)
        return STREAM_WINDOW_BYTES if is_read else FIRST_WINDOW_BYTES

    def has_read(self, stream_id: int) -> None:
        """The application has taken what there was of the stream."""
        assert self.windows is not None
        self.windows.moved(stream_id)
        self.transmit_soon()

    @property
    def buffered_bytes(self) -> int:
        """Of all answers, handed to QUIC and not acknowledged."""
        return sum(len(stream.sender._buffer) for stream in self._quic._streams.values())

    def _has_room(self, stream_id: int, all_buffered_bytes: int) -> bool:
        quic_stream = self._quic._streams.get(stream_id)
        buffered_bytes = len(quic_stream.sender._buffer) if quic_stream else 0
        if all_buffered_bytes > CONNECTION_BUFFER_BYTES:
            return buffered_bytes < _HEAD_BYTES
        return buffered_bytes <= STREAM_BUFFER_BYTES - PIECE_BYTES

    async def room_on(self, stream: RequestStream) -> None:
        """The stream may send a piece, or is abandoned."""
        if self._has_room(stream.stream_id, self.buffered_bytes):
            return
        room = self._writers[stream] = self._loop.create_future()
        try:
            await room
        finally:
            self._writers.pop(stream, None)

    def _wake_writers(self) -> None:
        buffered_bytes = self.buffered_bytes
        for stream in list(self._writers):
            if self._has_room(stream.stream_id, buffered_bytes):
                self._wake(stream)
                buffered_bytes += PIECE_BYTES

    def _wake(self, stream: RequestStream) -> None:
        room = self._writers.get(stream)
        if room is not None and not room.done():
            room.set_result(None)

    # draining

    def start_draining(self) -> None:
        """Tells the client to send new requests elsewhere; those that are there go on."""
        self._is_draining = True
        if self._http3 is not None:
            self._http3.announce_end(self._next_stream_id)
            self.transmit()  # not soon: the end may come before

    @property
    def is_drained(self) -> bool:
        """Whether every answer has reached the client."""
        senders = [stream.sender for stream_id, stream in self._quic._streams.items() if stream_id % 4 == 0]
        is_answering = any(
            s._buffer_fin is not None and not s.is_finished and s._reset_error_code is None for s in senders
        )
        return not self.requests and not is_answering


class _Server(QuicServer):
    """aioquic's, which one bad datagram cannot stop, and which asks for a proof of address only when ``is_pressed``.

    What goes to a connection that is not known is answered by a stateless reset (RFC 9000 §10.3).
    """

    def __init__(
        self,
        configuration: QuicConfiguration,
        create_protocol: Callable[..., HttpConnection],
        is_pressed: Callable[[], bool],
        share: Share,
    ) -> None:
        super().__init__(configuration=configuration, create_protocol=create_protocol, retry=True)
        self._tokens = self._retry
        self._tokens._aead = share.retry_cipher()
        self._is_pressed = is_pressed
        self._share = share
        self._resets_left, self._resets_from = _RESETS_A_SECOND, 0.0

    def show(self, configuration: QuicConfiguration) -> None:
        """To connections from now on; those that are there go on with theirs."""
        self._configuration = configuration

    def datagram_received(self, data: bytes | str, addr: NetworkAddress) -> None:
        try:
            connection_id = id_of_short(cast(bytes, data))
            if connection_id is not None:  # nearly all of them: the connection itself reads the rest of the header
                connection = self._protocols.get(connection_id)
                if connection is None:
                    self._reset(cast(bytes, data), addr)
                else:
                    connection.datagram_received(data, addr)
                return
            # whoever was asked for a proof is held to it, also when the pressure is gone
            is_proof_due = self._is_pressed() or _has_token(cast(bytes, data))
            self._retry = self._tokens if is_proof_due else None  # type: ignore[assignment]
            super().datagram_received(data, addr)
        except Exception:  # the edge of the transport: whatever it is, the other clients go on
            log.exception("a datagram from %s could not be handled", addr[0])

    def _reset(self, data: bytes, addr: NetworkAddress) -> None:
        now = self._loop.time()
        if now - self._resets_from >= 1:
            self._resets_left, self._resets_from = _RESETS_A_SECOND, now
        reset = reset_for(data, self._share.reset_token(data[1 : 1 + ID_BYTES]))
        if reset is not None and self._resets_left > 0:
            self._resets_left -= 1
            assert self._transport is not None
            self._transport.sendto(reset, addr)


def _has_token(data: bytes) -> bool:
    if not data or not data[0] & _LONG_HEADER:
        return False
    try:
        return bool(pull_quic_header(Buffer(data=data), host_cid_length=0).token)
    except ValueError:
        return False


class QuicListener:
    """HTTP/3 on one UDP socket. Made by ``start``; ``drain`` and ``close`` end it, in this order."""

    def __init__(self, application: Application, address: tuple[str, int], share: Share | None = None) -> None:
        self.address = address
        self._share = share or Share()
        self.connections: set[HttpConnection] = set()
        self.unproven: set[HttpConnection] = set()
        """Those whose handshake is under way: the client may not be where it says."""
        self.tasks: set[asyncio.Task[None]] = set()
        self._application = application
        self._server: _Server | None = None
        self._is_draining = False

    @classmethod
    async def start(
        cls,
        application: Application,
        bound: socket.socket,
        certificate: CertificateFiles,
        share: Share | None = None,
    ) -> QuicListener:
        """A listener on a bound UDP socket, which it owns from now on. The files must have passed ``certificates.check``.

        ``share`` says which of several on one port it is; without it, it is alone there.
        """
        bound.setblocking(False)
        if note := receive_queue.shortage(receive_queue.widen(bound)):
            log.warning("%s", note)
        host, port = bound.getsockname()[:2]
        listener = cls(application, (host, port), share)
        _, listener._server = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Server(_configuration(certificate), listener._connection, listener._is_pressed, listener._share),
            sock=bound,
        )
        return listener

    def show(self, certificate: CertificateFiles) -> None:
        """New connections see this certificate. The files must have passed ``certificates.check``."""
        if self._server is not None:
            self._server.show(_configuration(certificate))

    def _is_pressed(self) -> bool:
        return len(self.unproven) >= UNPROVEN_LIMIT

    def _connection(self, quic: QuicConnection, stream_handler: object = None) -> HttpConnection:
        self._share.name(quic)
        connection = HttpConnection(quic, self)
        self.connections.add(connection)
        self.unproven.add(connection)
        asyncio.get_running_loop().call_later(_HANDSHAKE_TIMEOUT_S, self._give_up, connection)
        if self._is_draining:
            connection.start_draining()
        return connection

    def _give_up(self, connection: HttpConnection) -> None:
        if connection in self.unproven:
            connection.close(reason_phrase="the handshake took too long")

    def run(self, stream: RequestStream, scope: Message) -> asyncio.Task[None]:
        """The application's task for a request; it is kept until it has ended."""
        task = asyncio.get_running_loop().create_task(self._answer(stream, scope), name=stream.name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(stream.ended)
        return task

    async def _answer(self, stream: RequestStream, scope: Message) -> None:
        await self._application(scope, stream.receive, stream.send)

    async def drain(self, timeout_s: float) -> None:
        """No new request is taken; those under way are answered, or cancelled after ``timeout_s``."""
        self._is_draining = True
        for connection in self.connections:
            connection.start_draining()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wait_until_drained()
        await self._cancel_the_rest()

    async def _wait_until_drained(self) -> None:
        while self.tasks or not all(connection.is_drained for connection in self.connections):  # noqa: ASYNC110 (acknowledgements have no event)
            await asyncio.sleep(_DRAIN_POLL_S)

    async def _cancel_the_rest(self) -> None:
        if not self.tasks:
            return
        log.warning("%d requests over HTTP/3 are not finished and are cancelled", len(self.tasks))
        for task in list(self.tasks):
            task.cancel()
        await asyncio.wait(self.tasks, timeout=_CANCEL_TIMEOUT_S)

    def close(self) -> None:
        """Every connection is closed (CONNECTION_CLOSE), and the socket."""
        if self._server is not None:
            self._server.close()
            self._server = None


def _configuration(certificate: CertificateFiles) -> QuicConfiguration:
    configuration = QuicConfiguration(
        is_client=False,
        alpn_protocols=H3_ALPN,
        max_data=CONNECTION_WINDOW_BYTES,
        max_stream_data=FIRST_WINDOW_BYTES,
        idle_timeout=_IDLE_TIMEOUT_S,
        max_datagram_size=_DATAGRAM_BYTES,
        congestion_control_algorithm=congestion.NAME,
        connection_id_length=ID_BYTES,
    )
    configuration.load_cert_chain(certificate.certificate, certificate.key)
    return configuration
