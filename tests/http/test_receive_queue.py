"""The kernel's queue of datagrams: what is asked for is granted or said, and what it drops is counted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from appliance.http import receive_queue
from appliance.http.certificates import CertificateFiles
from appliance.http.listeners import ListenerState
from tests.http.scripted_application import ScriptedApplication
from tests.http.test_listeners import serving


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def send(address: tuple[str, int], count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        for _ in range(count):
            line.sendto(bytes(1350), address)


def test_the_queue_is_as_long_as_wanted_or_as_the_kernel_allows(bound: socket.socket) -> None:
    granted = receive_queue.widen(bound)

    assert granted == min(receive_queue.WANTED_BYTES, receive_queue.allowed_bytes())
    assert receive_queue.granted_bytes(bound) == granted


def test_each_datagram_that_finds_the_queue_full_is_counted(bound: socket.socket) -> None:
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)
    bound.setblocking(False)
    assert receive_queue.dropped(bound) == 0

    send(bound.getsockname(), 200)

    read = 0
    with pytest.raises(BlockingIOError):
        while bound.recv(2048):
            read += 1
    assert 0 < read < 200
    assert receive_queue.dropped(bound) == 200 - read


@pytest.mark.parametrize(("allowed", "is_said"), [(212_992, True), ((4 << 20) - 1, True), (4 << 20, False)])
def test_a_machine_that_allows_too_little_is_told_what_to_set(allowed: int, is_said: bool) -> None:
    note = receive_queue.shortage(allowed)

    assert (note is not None) is is_said
    if note:
        assert f"net.core.rmem_max to {4 << 20}" in note


async def test_the_state_of_the_listeners_tells_of_the_queue(certificate: CertificateFiles) -> None:
    state = ListenerState()
    async with serving(ScriptedApplication(), certificate, state=state) as (_, end):
        (bound,) = state.udp
        assert (state.dropped_datagrams, state.receive_queue_bytes) == (0, receive_queue.granted_bytes(bound))
        assert state.note() == receive_queue.shortage(receive_queue.granted_bytes(bound))

        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        send(bound.getsockname(), 100)  # while this loop reads nothing
        assert state.dropped_datagrams > 0
        assert "net.core.rmem_max" in (state.note() or "")
        await asyncio.sleep(0)
        await end()
    assert (state.dropped_datagrams, state.note()) == (0, None)
