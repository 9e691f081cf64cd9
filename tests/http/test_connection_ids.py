"""Connection IDs say to which process a datagram goes, and a client whose connection is gone is told so."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from appliance.http.certificates import CertificateFiles
from appliance.http.connection_ids import ID_BYTES, MOST_PROCESSES, Share, reset_for, spread
from appliance.http.quic import QuicListener
from tests.http.quic_client import Client, connected, listening
from tests.http.scripted_application import ScriptedApplication

SHORT, LONG = b"\x40", b"\xc0\x00\x00\x00\x01\x08"
"""What stands before the connection ID (RFC 9000 §17.2, §17.3)."""


@contextlib.contextmanager
def group_of(count: int, family: socket.AddressFamily = socket.AF_INET) -> Iterator[list[socket.socket]]:
    """Sockets on one port, over which datagrams are spread."""
    with contextlib.ExitStack() as stack:
        group: list[socket.socket] = []
        for _ in range(count):
            one = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(("::1" if family is socket.AF_INET6 else "127.0.0.1", group[0].getsockname()[1] if group else 0))
            one.setblocking(False)
            group.append(one)
        spread(group)
        yield group


def receivers(group: list[socket.socket], datagram: bytes) -> list[int]:
    """Which of the sockets got a datagram from a new address."""
    with socket.socket(group[0].family, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(datagram, group[0].getsockname())
    got = []
    for index, one in enumerate(group):
        with contextlib.suppress(BlockingIOError):
            one.recv(2048)
            got.append(index)
    return got


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("before", [SHORT, LONG])
def test_a_datagram_goes_to_the_socket_that_its_connection_id_names(
    family: socket.AddressFamily, before: bytes
) -> None:
    with group_of(3, family) as group:
        for index in range(3):
            share = Share(index, 3)
            for _ in range(20):
                assert receivers(group, before + share.new_id() + bytes(30)) == [index]


def test_what_is_no_quic_reaches_somebody_or_nobody_and_hurts_none() -> None:
    with group_of(3) as group:
        for junk in (b"", b"x", LONG[:3]):
            assert len(receivers(group, junk)) <= 1
        assert receivers(group, SHORT + b"\x02" + bytes(30)) == [2]


@pytest.mark.parametrize("count", [1, 2, 3, 7, MOST_PROCESSES])
def test_every_process_has_ids_that_are_its_own(count: int) -> None:
    for index in range(count):
        ids = {Share(index, count).new_id() for _ in range(200)}

        assert len(ids) == 200
        assert {one[0] % count for one in ids} == {index}
        assert {len(one) for one in ids} == {ID_BYTES}


async def test_all_ids_of_a_connection_are_of_its_process_and_can_be_reset(certificate: CertificateFiles) -> None:
    share = Share(5, 7)
    async with (
        listening(ScriptedApplication(), certificate, share) as listener,
        connected(listener, certificate) as client,
    ):
        await client.get("/hello")
        client.change_connection_id()
        await client.ping()
        (connection,) = listener.connections
        given = [client._quic._peer_cid, *client._quic._peer_cid_available]

    assert {one.cid[0] % 7 for one in given} == {5}
    assert {one.cid for one in connection._quic._host_cids} >= {one.cid for one in given}
    assert all(one.stateless_reset_token == share.reset_token(one.cid) for one in given)


async def test_a_client_of_a_process_that_was_started_again_is_told_at_once(certificate: CertificateFiles) -> None:
    key = Share().key
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    former = await QuicListener.start(ScriptedApplication(), bound.dup(), certificate, Share(key=key))
    async with connected(former, certificate) as client:
        await client.get("/hello")
        peer = client._quic._peer_cid
        assert former._server is not None and former._server._transport is not None
        former._server._transport.abort()  # as when its process is killed: no word to anybody
        arrived = arrivals(client)
        again = await QuicListener.start(ScriptedApplication(), bound, certificate, Share(key=key))
        pinging = asyncio.create_task(client.ping())

        reset = await asyncio.wait_for(first_that_ends_with(peer.stateless_reset_token, arrived), 5)

        again.close()
        pinging.cancel()
    assert not reset[0] & 0x80 and reset[0] & 0x40


async def first_that_ends_with(token: bytes, arrived: asyncio.Queue[bytes]) -> bytes:
    """What the former process sent last may still be on its way, before the reset."""
    while not (datagram := await arrived.get()).endswith(token):
        pass
    return datagram


def arrivals(client: Client) -> asyncio.Queue[bytes]:
    """What comes to a client from now on, which it does not read itself."""
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    client.datagram_received = lambda data, addr: queue.put_nowait(data)  # type: ignore[method-assign,assignment]
    return queue


@pytest.mark.parametrize("size", range(0, 60))
def test_a_reset_is_shorter_than_what_it_answers(size: int) -> None:
    reset = reset_for(bytes(size), bytes(16))

    assert (reset is None) == (size < 22)
    assert reset is None or 21 <= len(reset) < size


async def test_resets_are_not_sent_without_an_end(certificate: CertificateFiles) -> None:
    async with listening(ScriptedApplication(), certificate) as listener:
        server = listener._server
        assert server is not None
        server._resets_from = server._loop.time() + 3600  # the second does not end
        server._resets_left = 5
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            for number in range(50):
                stranger.sendto(SHORT + number.to_bytes(8, "big") + bytes(40), listener.address)
            async with connected(listener, certificate) as client:  # by then all of them are read
                assert (await client.get("/hello")).body == b"hello"
            got = 0
            with contextlib.suppress(BlockingIOError):
                while stranger.recv(2048):
                    got += 1

    assert got == 5
