"""How much may be under way on a line that loses packets by itself: radio, not a full queue.

A control that takes every loss for a full queue (Reno, and aioquic's Cubic, which falls to 0.7 of what is under way just then,
however little that is) halves itself for nothing on a line with 1 or 2 % loss, and a far one is never filled. Here a loss
tells of a full queue only when packets also take longer than they need, or when many are lost; and even then what the line
has just carried is kept under way. So the rate is measured: what is acknowledged between a packet's leaving and its
acknowledgement.

References: RFC 9002 §7, RFC 9438 (Cubic, whose growth this is), Mascolo et al. 2001 (Westwood: the rate times the shortest
round trip after a loss), draft-ietf-ccwg-bbr §4.1 (samples of the rate).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from aioquic.quic.congestion.base import QuicCongestionControl, register_congestion_control
from aioquic.quic.congestion.cubic import CubicCongestionControl
from aioquic.quic.packet_builder import QuicSentPacket

NAME = "lossy-line"

_REMEMBERED_S = 10.0
"""The best rate and the shortest round trip of so long count: the line may change under a physician who walks."""
_QUEUED = 1.25
"""A round trip this much longer than the shortest says that packets wait in a queue."""
_QUEUED_AT_LEAST_S = 0.005
_MANY_LOST = 0.1
"""Of what was sent since the last judgement: more than any radio line that can be worked on."""


class _Best:
    """The highest of the values of the last ``_REMEMBERED_S``."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque()  # falling values, rising times

    def add(self, now: float, value: float) -> None:
        while self._values and self._values[-1][1] <= value:
            self._values.pop()
        self._values.append((now, value))
        while self._values[0][0] < now - _REMEMBERED_S:
            self._values.popleft()

    @property
    def value(self) -> float | None:
        return self._values[0][1] if self._values else None


class LossyLineControl(CubicCongestionControl):
    """Cubic that asks whether a loss was a full queue, and that falls no lower than what the line carries."""

    def __init__(self, *, max_datagram_size: int) -> None:
        super().__init__(max_datagram_size=max_datagram_size)
        self._delivered_bytes = 0
        self._delivered_at_sending: dict[int, int] = {}
        self._rate_bytes_s = _Best()
        self._round_trip_s = _Best()  # of its negative: the shortest
        self._last_round_trip_s = 0.0
        self._sent = 0
        self._lost = 0

    def on_packet_sent(self, *, packet: QuicSentPacket) -> None:
        super().on_packet_sent(packet=packet)
        self._delivered_at_sending[packet.packet_number] = self._delivered_bytes
        self._sent += 1

    def on_packet_acked(self, *, now: float, packet: QuicSentPacket) -> None:
        super().on_packet_acked(now=now, packet=packet)
        self._delivered_bytes += packet.sent_bytes
        before = self._delivered_at_sending.pop(packet.packet_number, None)
        assert packet.sent_time is not None
        if before is not None and now > packet.sent_time:
            self._rate_bytes_s.add(now, (self._delivered_bytes - before) / (now - packet.sent_time))

    def on_packets_expired(self, *, packets: Iterable[QuicSentPacket]) -> None:
        expired = list(packets)
        super().on_packets_expired(packets=expired)
        for packet in expired:
            self._delivered_at_sending.pop(packet.packet_number, None)

    def on_rtt_measurement(self, *, now: float, rtt: float) -> None:
        super().on_rtt_measurement(now=now, rtt=rtt)
        self._last_round_trip_s = rtt
        self._round_trip_s.add(now, -rtt)

    def on_packets_lost(self, *, now: float, packets: Iterable[QuicSentPacket]) -> None:
        lost = list(packets)
        for packet in lost:
            self._delivered_at_sending.pop(packet.packet_number, None)
        self._lost += len(lost)
        window, threshold = self.congestion_window, self.ssthresh
        super().on_packets_lost(now=now, packets=lost)
        if self.congestion_window >= window:
            return
        if self._is_queue_full():
            carried = int((self._rate_bytes_s.value or 0) * self._shortest_s)
            self.congestion_window = self.ssthresh = min(window, max(self.congestion_window, carried))
        else:
            self.congestion_window, self.ssthresh = window, threshold
            self._starting_congestion_avoidance = False
        self._sent = self._lost = 0

    @property
    def _shortest_s(self) -> float:
        return -(self._round_trip_s.value or 0.0)

    def _is_queue_full(self) -> bool:
        is_slow = self._last_round_trip_s > max(_QUEUED * self._shortest_s, self._shortest_s + _QUEUED_AT_LEAST_S)
        return is_slow or self._lost > max(2, _MANY_LOST * self._sent)


def _make(*, max_datagram_size: int) -> QuicCongestionControl:
    return LossyLineControl(max_datagram_size=max_datagram_size)


register_congestion_control(NAME, _make)
