"""Two QUIC connections over a line that is only reckoned: its time is that of the packets, its losses are drawn by a seed.

Nothing waits, and nothing is sent anywhere: what a line of minutes does is known in a second, and the same each time.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import StreamDataReceived

from appliance.http.certificates import CertificateFiles

_IP_AND_UDP_BYTES = 28
_TICK_S = 1e-6
_ADDRESS = ("127.0.0.1", 1)


@dataclass(frozen=True)
class Bandwidth:
    """How a line is: its rates, its round trip, the share of packets that it loses, and what waits before more is dropped."""

    down_kbit_s: float
    up_kbit_s: float
    round_trip_s: float
    loss: float = 0.0
    queue_bytes: int = 10_000


@dataclass
class _Direction:
    rate_bytes_s: float
    delay_s: float
    loss: float
    queue_bytes: int
    draw: random.Random
    free_at: float = 0.0
    dropped: int = 0

    def arrival(self, size: int, now: float) -> float | None:
        if self.draw.random() < self.loss:
            return None
        if (self.free_at - now) * self.rate_bytes_s + size > self.queue_bytes:
            self.dropped += 1
            return None
        self.free_at = max(now, self.free_at) + size / self.rate_bytes_s
        return self.free_at + self.delay_s


@dataclass
class ReckonedLine:
    """A client that asks, and a server that answers so many bytes under a congestion control."""

    bandwidth: Bandwidth
    certificate: CertificateFiles
    control: str
    seed: int = 1
    now: float = 0.0
    ended: dict[int, float] = field(default_factory=dict)
    """When the last byte of an answer was there, by its stream."""

    def __post_init__(self) -> None:
        line, draw = self.bandwidth, random.Random(self.seed)
        shared = (line.round_trip_s / 2, line.loss, line.queue_bytes, draw)
        self.down = _Direction(line.down_kbit_s * 125, *shared)
        self.up = _Direction(line.up_kbit_s * 125, *shared)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        asking = QuicConfiguration(is_client=True, alpn_protocols=["x"], server_name="localhost", max_data=32 << 20)
        asking.max_stream_data = 8 << 20
        asking.load_verify_locations(cafile=str(self.certificate.authority))
        answering = QuicConfiguration(
            is_client=False, alpn_protocols=["x"], max_datagram_size=1350, congestion_control_algorithm=self.control
        )
        answering.load_cert_chain(self.certificate.certificate, self.certificate.key)
        self._client = QuicConnection(configuration=asking)
        first_id = self._client.original_destination_connection_id
        self._server = QuicConnection(configuration=answering, original_destination_connection_id=first_id)
        self._client.connect(_ADDRESS, now=0.0)
        self._flush(self._client)
        self._run(lambda: self._client._handshake_confirmed)

    def seconds_of(self, size: int) -> float:
        """Until an answer of so many bytes is there whole."""
        started = self.now
        stream_id = self._ask(size)
        self._run(lambda: stream_id in self.ended)
        return self.now - started

    def seconds_of_each(self, size: int, count: int, every_s: float) -> list[float]:
        """The same of answers that are asked for one after another, rising."""
        asked: dict[int, float] = {}
        for number in range(count):
            self._at(self.now + number * every_s, lambda: asked.setdefault(self._ask(size), self.now))
        self._run(lambda: len(asked) == count and asked.keys() <= self.ended.keys())
        return sorted(self.ended[stream_id] - asked_at for stream_id, asked_at in asked.items())

    def _ask(self, size: int) -> int:
        stream_id = self._client.get_next_available_stream_id()
        self._client.send_stream_data(stream_id, str(size).encode(), end_stream=True)
        self._flush(self._client)
        return stream_id

    def _at(self, when: float, what: Callable[[], object]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), lambda: what() and None))

    def _run(self, until: Callable[[], bool]) -> None:
        while not until():
            when, _, what = heapq.heappop(self._events)
            self.now = max(self.now, when)
            what()

    def _flush(self, sender: QuicConnection) -> None:
        """What the sender has to say is on its way, and its timer set."""
        direction, receiver = (self.up, self._server) if sender is self._client else (self.down, self._client)
        for data, _ in sender.datagrams_to_send(now=self.now):
            at = direction.arrival(len(data) + _IP_AND_UDP_BYTES, self.now)
            if at is not None:
                self._at(at, lambda data=data: self._deliver(receiver, data))
        timer_at = sender.get_timer()
        if timer_at is not None:
            self._at(max(timer_at, self.now) + _TICK_S, lambda: self._time_out(sender, timer_at))

    def _deliver(self, receiver: QuicConnection, data: bytes) -> None:
        receiver.receive_datagram(data, _ADDRESS, now=self.now)
        self._heed(receiver)

    def _time_out(self, connection: QuicConnection, timer_at: float) -> None:
        if connection.get_timer() == timer_at:
            connection.handle_timer(now=self.now)
            self._heed(connection)

    def _heed(self, connection: QuicConnection) -> None:
        while (event := connection.next_event()) is not None:
            if isinstance(event, StreamDataReceived) and event.end_stream:
                if connection is self._client:
                    self.ended[event.stream_id] = self.now
                else:
                    self._server.send_stream_data(event.stream_id, bytes(int(event.data)), end_stream=True)
        self._flush(connection)
