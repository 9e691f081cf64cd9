"""A scripted HTTP/3 client: it does what a browser does, and what a browser never should."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import (
    ConnectionTerminated,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from appliance.http.certificates import CertificateFiles
from appliance.http.connection_ids import Share
from appliance.http.quic import Application, QuicListener

Headers = Sequence[tuple[bytes, bytes]]
SERVERS_CONTROL_STREAM = 3


@dataclass
class Answer:
    """What has come on a stream so far."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    is_complete: bool = False
    reset_code: int | None = None
    stopped_code: int | None = None

    @property
    def status(self) -> int:
        return int(self.headers[b":status"])


class Client(QuicConnectionProtocol):
    """One connection; ``answers`` by stream."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.answers: dict[int, Answer] = {}
        self.terminated: ConnectionTerminated | None = None
        self.http = H3Connection(self._quic)
        self.arrivals: list[int] = []
        """The streams whose bodies' bytes came, one after another."""
        self.control_bytes = bytearray()
        """What the server said on its control stream."""
        self._changed = asyncio.Event()

    def open(self, path: str = "/", *, method: str = "GET", headers: Headers = (), is_end: bool = True) -> int:
        """Sends a request's head and returns its stream."""
        head = [(b":method", method.encode()), (b":scheme", b"https"), (b":authority", b"localhost")]
        return self.open_raw([*head, (b":path", path.encode()), *headers], is_end=is_end)

    def open_raw(self, headers: Headers, *, is_end: bool = True) -> int:
        """The same with any fields, also forbidden ones."""
        stream_id = self._quic.get_next_available_stream_id()
        self.answers[stream_id] = Answer()
        self.http.send_headers(stream_id, list(headers), is_end)
        self.transmit()
        return stream_id

    def upload(self, stream_id: int, data: bytes, *, is_end: bool = False) -> None:
        self.http.send_data(stream_id, data, is_end)
        self.transmit()

    def cancel(self, stream_id: int) -> None:
        """What a browser's AbortController does (RFC 9114 §4.1.1)."""
        sender = self._quic._streams[stream_id].sender
        if not sender.is_finished:
            self._quic.reset_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
        self._quic.stop_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
        self.transmit()

    async def wait_for(self, stream_id: int, *, first_bytes: int | None = None, timeout_s: float = 20) -> Answer:
        """The whole answer, or as much of it as is asked for; also one that was broken off."""
        answer = self.answers[stream_id]
        async with asyncio.timeout(timeout_s):
            while not (answer.is_complete or answer.reset_code is not None or self.terminated):
                if first_bytes is not None and len(answer.body) >= first_bytes:
                    break
                self._changed.clear()
                await self._changed.wait()
        return answer

    async def get(self, path: str = "/", **options: Any) -> Answer:
        return await self.wait_for(self.open(path, **options))

    def unsent_bytes(self, stream_id: int) -> int:
        stream = self._quic._streams.get(stream_id)
        return len(stream.sender._buffer) if stream else 0

    def _answer(self, stream_id: int) -> Answer:
        return self.answers.setdefault(stream_id, Answer())

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            self.terminated = event
        elif isinstance(event, StreamReset):
            self._answer(event.stream_id).reset_code = event.error_code
        elif isinstance(event, StopSendingReceived):
            self._answer(event.stream_id).stopped_code = event.error_code
        elif isinstance(event, StreamDataReceived) and event.stream_id == SERVERS_CONTROL_STREAM:
            self.control_bytes += event.data
        for http_event in self.http.handle_event(event):
            if isinstance(http_event, HeadersReceived):
                self._answer(http_event.stream_id).headers = dict(http_event.headers)
                self._answer(http_event.stream_id).is_complete = http_event.stream_ended
            elif isinstance(http_event, DataReceived):
                self._answer(http_event.stream_id).body += http_event.data
                self.arrivals.append(http_event.stream_id)
                self._answer(http_event.stream_id).is_complete = http_event.stream_ended
        self._changed.set()


@asynccontextmanager
async def listening(
    application: Application, certificate: CertificateFiles, share: Share | None = None
) -> AsyncIterator[QuicListener]:
    """The application over HTTP/3 on a free port."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    listener = await QuicListener.start(application, bound, certificate, share)
    try:
        yield listener
    finally:
        await listener.drain(0)
        listener.close()


@asynccontextmanager
async def connected(
    listener: QuicListener,
    certificate: CertificateFiles,
    session_ticket_handler: Callable[[object], None] | None = None,
    **settings: Any,
) -> AsyncIterator[Client]:
    """A client's connection; ``settings`` are those of its QUIC configuration."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, **settings)
    configuration.load_verify_locations(cafile=str(certificate.authority))
    async with connect(
        *listener.address,
        configuration=configuration,
        create_protocol=Client,
        session_ticket_handler=session_ticket_handler,
    ) as client:
        yield cast(Client, client)
