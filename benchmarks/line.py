"""A bad line between two network namespaces, real for UDP and TCP: rate, delay, what it holds, and loss, in both directions.

    python -m benchmarks.line [2G|4G|none ...]      measures the line itself, by its own packets

About this technique: each namespace has a TUN device with one address. What the kernel of one side sends is read from its
device, kept for as long as the line would take, and written into the other's; what finds the line full is dropped, as a
router drops it. No module of the kernel is needed besides tun, and every protocol above IP behaves as on a real line. The
namespaces have no names: they are held by the process that is the line, and vanish with it.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NEAR_ADDRESS = "10.77.0.1"
"""Of the servers' side."""
FAR_ADDRESS = "10.77.0.2"
"""Of the browser's side."""
_TUN = Path("/dev/net/tun")
_CLONE_NEWNET = 0x40000000
_CAP_NET_ADMIN = 12
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_MTU = 1500
_START_TIMEOUT_S = 20
_BEYOND_BYTES = 10_000
"""What the line holds beyond the product of its rate and its round trip."""
_FIRST_IN_LINE = -10
"""Niceness: the line must not be slower because the machine is busy."""


class NoLine(Exception):
    """A shaped line cannot be made here; the message says what is missing."""


@dataclass(frozen=True)
class Profile:
    """How a line is. A rate of 0 is as fast as the machine."""

    down_kbit_s: float = 0
    """From the server to the browser."""
    up_kbit_s: float = 0
    round_trip_ms: float = 0
    loss: float = 0
    """Share of packets that are lost in each direction, besides those that find the line full."""


PROFILES = {"2G": Profile(750, 250, 100), "4G": Profile(4000, 3000, 20), "none": Profile()}
"""The lines of the SIVR paper (SoftwareX 2022), and none."""


def why_not() -> str | None:
    """What keeps this process from making a line; None if nothing does."""
    if not _TUN.exists():
        return "there is no /dev/net/tun: the kernel needs the module tun"
    status = Path("/proc/self/status").read_text()
    capabilities = int(next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1], 16)
    if not capabilities >> _CAP_NET_ADMIN & 1 or os.geteuid() != 0:
        return "network namespaces and TUN devices need root (CAP_SYS_ADMIN and CAP_NET_ADMIN)"
    try:
        os.close(os.open(_TUN, os.O_RDWR))
    except OSError as error:
        return f"/dev/net/tun cannot be opened: {error.strerror}"
    return None


# The line, in a process of its own


@dataclass
class _Direction:
    """Packets on their way to one side."""

    rate_bytes_s: float
    delay_s: float
    loss: float
    free_at: float = 0.0
    in_flight_bytes: int = 0
    delivered_bytes: int = 0
    delivered: int = 0
    dropped: int = 0

    def arrival(self, size: int, now: float) -> float | None:
        """When a packet that is sent now is there; None if it is lost."""
        holds = self.rate_bytes_s * 2 * self.delay_s + _BEYOND_BYTES
        if random.random() < self.loss or (self.rate_bytes_s and self.in_flight_bytes + size > holds):
            self.dropped += 1
            return None
        self.in_flight_bytes += size
        if not self.rate_bytes_s:
            return now + self.delay_s
        self.free_at = max(now, self.free_at) + size / self.rate_bytes_s
        return self.free_at + self.delay_s

    def deliver(self, device: int, packet: bytes) -> None:
        self.in_flight_bytes -= len(packet)
        self.delivered_bytes += len(packet)
        self.delivered += 1
        with suppress(OSError):  # a side that has no room loses it, as a host does
            os.write(device, packet)

    def shape(self, kbit_s: float, profile: Profile) -> None:
        self.rate_bytes_s, self.delay_s, self.loss = kbit_s * 125, profile.round_trip_ms / 2000, profile.loss


@dataclass
class _Shaper:
    near: int
    far: int
    down: _Direction = field(default_factory=lambda: _Direction(0, 0, 0))
    up: _Direction = field(default_factory=lambda: _Direction(0, 0, 0))
    _waiting: list[tuple[float, int, _Direction, int, bytes]] = field(default_factory=list)
    _count: int = 0

    def run(self) -> None:
        """Carries packets and obeys standard input until it ends."""
        poll = select.poll()
        for descriptor in (self.near, self.far, 0):
            poll.register(descriptor, select.POLLIN | select.POLLHUP)
        while True:
            wait_s = self._waiting[0][0] - time.monotonic() if self._waiting else None
            ready = poll.poll(None if wait_s is None else max(0.0, wait_s * 1000))
            for descriptor, _ in ready:
                if descriptor == 0 and not self._obey():
                    return
                if descriptor == self.near:
                    self._take(self.near, self.far, self.down)
                elif descriptor == self.far:
                    self._take(self.far, self.near, self.up)
            self._hand_over()

    def _take(self, source: int, destination: int, direction: _Direction) -> None:
        while True:
            try:
                packet = os.read(source, _MTU + 100)
            except BlockingIOError:
                return
            at = direction.arrival(len(packet), time.monotonic())
            if at is not None:
                self._count += 1
                heapq.heappush(self._waiting, (at, self._count, direction, destination, packet))

    def _hand_over(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, direction, destination, packet = heapq.heappop(self._waiting)
            direction.deliver(destination, packet)

    def _obey(self) -> bool:
        line = sys.stdin.readline()
        if not line:
            return False
        told = json.loads(line)
        if told:
            profile = Profile(**told)
            self.down.shape(profile.down_kbit_s, profile)
            self.up.shape(profile.up_kbit_s, profile)
        _tell({"down": _counts(self.down), "up": _counts(self.up)})
        return True


def _counts(direction: _Direction) -> dict[str, int]:
    return {
        "bytes": direction.delivered_bytes,
        "packets": direction.delivered,
        "dropped": direction.dropped,
        "in_flight_bytes": direction.in_flight_bytes,
    }


def _tell(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def _be_the_line() -> None:
    os.nice(_FIRST_IN_LINE)
    far, far_namespace = _side("far", FAR_ADDRESS, NEAR_ADDRESS)
    near, near_namespace = _side("near", NEAR_ADDRESS, FAR_ADDRESS)
    _tell({name: f"/proc/{os.getpid()}/fd/{one}" for name, one in (("near", near_namespace), ("far", far_namespace))})
    _Shaper(near, far).run()


def _side(name: str, address: str, peer: str) -> tuple[int, int]:
    """A new namespace, entered, with a TUN device in it; the device and the namespace as descriptors."""
    _unshare(_CLONE_NEWNET)
    device = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    for words in (
        f"link set {name} addrgenmode none",  # no packets of IPv6's own
        f"addr add {address} peer {peer} dev {name}",
        f"link set {name} mtu {_MTU} txqueuelen 1000 up",
        "link set lo up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    return device, os.open("/proc/self/ns/net", os.O_RDONLY)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        raise NoLine(f"no network namespace can be made: {os.strerror(ctypes.get_errno())}")


_libc = ctypes.CDLL(None, use_errno=True)


# What others use


@dataclass(frozen=True)
class Line:
    """A line that is there. ``near`` and ``far`` are the paths of its namespaces."""

    near: str
    far: str
    _process: subprocess.Popen[str]
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def shape(self, profile: Profile) -> None:
        """From now on it is so; what is on its way arrives as it was sent."""
        self._ask(asdict(profile))

    def counts(self) -> dict[str, dict[str, int]]:
        """Since the beginning: bytes and packets delivered and dropped, ``down`` and ``up``; bytes of IP packets."""
        return self._ask({})

    def _ask(self, message: dict[str, Any]) -> dict[str, dict[str, int]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        with self._turn:
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
            answer: dict[str, dict[str, int]] = json.loads(stdout.readline())
            return answer


@contextmanager
def open_line(profile: Profile) -> Iterator[Line]:
    """A line, which is gone on leaving. Raises NoLine."""
    if (reason := why_not()) is not None:
        raise NoLine(reason)
    command = [sys.executable, "-m", "benchmarks.line", "--be-the-line"]
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None and process.stdin is not None
            told = process.stdout.readline()
            if not told:
                raise NoLine("the line ended at its start; what it said is above")
            line = Line(**json.loads(told), _process=process)
            line.shape(profile)
            yield line
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(_START_TIMEOUT_S)


def enter(namespace: str) -> None:
    """The calling thread, and every process that it starts, is in ``namespace`` from now on."""
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise NoLine(f"the namespace cannot be entered: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """The calling thread is in ``namespace`` within the block; sockets and processes made there stay in it."""
    before = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    descriptor = os.open(before, os.O_RDONLY)
    enter(namespace)
    try:
        yield
    finally:
        _libc.setns(descriptor, _CLONE_NEWNET)
        os.close(descriptor)


# How it is, by its own packets


@dataclass(frozen=True)
class Measured:
    """What packets of UDP say of a line."""

    down_kbit_s: float
    up_kbit_s: float
    round_trip_ms: float
    """The median of some."""


_PROBE_BYTES = 1200
_HEADERS_BYTES = 28
"""IPv4 and UDP, which the line carries too."""
_FLOOD_S = 2.0


def measured(line: Line) -> Measured:
    """What gets through the line in either direction when more is sent than it takes, and how long a small packet takes."""
    with inside(line.near):
        near = _socket_at(NEAR_ADDRESS)
    with inside(line.far):
        far = _socket_at(FAR_ADDRESS)
    with near, far:
        trip_ms = _round_trip_ms(near, far)
        return Measured(_flood_kbit_s(near, far), _flood_kbit_s(far, near), trip_ms)


def _socket_at(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.settimeout(_START_TIMEOUT_S)
    return made


def _round_trip_ms(near: socket.socket, far: socket.socket) -> float:
    taken = []
    for _ in range(11):
        started = time.perf_counter()
        far.sendto(b"?", near.getsockname())
        near.recv(1)
        near.sendto(b"!", far.getsockname())
        far.recv(1)
        taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)[len(taken) // 2]


def _flood_kbit_s(source: socket.socket, destination: socket.socket) -> float:
    """Counted from the first packet that arrives, which is not counted itself, to the last."""
    arrivals: list[float] = []

    def listen() -> None:
        while destination.recv(_PROBE_BYTES) != b"end":
            arrivals.append(time.monotonic())

    listener = threading.Thread(target=listen)
    listener.start()
    begun = time.monotonic()
    while time.monotonic() - begun < _FLOOD_S:
        source.sendto(bytes(_PROBE_BYTES), destination.getsockname())
        time.sleep(0.0005)
    while listener.is_alive():  # the last word may be lost like any other
        source.sendto(b"end", destination.getsockname())
        listener.join(0.2)
    return (len(arrivals) - 1) * (_PROBE_BYTES + _HEADERS_BYTES) * 8 / 1000 / (arrivals[-1] - arrivals[0])


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.line", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *PROFILES], metavar="PROFILE")
    parser.add_argument("--be-the-line", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.be_the_line:
        _be_the_line()
        return 0
    try:
        with open_line(PROFILES["none"]) as line:
            for name in arguments.names or PROFILES:
                line.shape(PROFILES[name])
                found = measured(line)
                print(
                    f"{name:>4}: {found.down_kbit_s:8.0f} kbit/s down, {found.up_kbit_s:8.0f} kbit/s up, "
                    f"round trip {found.round_trip_ms:6.1f} ms",
                    flush=True,
                )
    except NoLine as reason:
        print(f"no line: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
