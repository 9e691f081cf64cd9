"""Where a client is, as far as HTTP/3 can know it: strangers that may not be there, and clients that move."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from appliance.http import quic
from appliance.http.certificates import CertificateFiles
from appliance.http.quic import UNPROVEN_LIMIT, QuicListener
from tests.http.quic_client import Client, connected, listening
from tests.http.scripted_application import CHUNK, ScriptedApplication


def first_datagrams() -> list[bytes]:
    """What a client says first, of one that will not say anything else."""
    stranger = QuicConnection(configuration=QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN))
    stranger.connect(("127.0.0.1", 1), now=0.0)
    return [data for data, _ in stranger.datagrams_to_send(now=0.0)]


@contextlib.contextmanager
def silent_stranger(listener: QuicListener) -> Iterator[tuple[socket.socket, int]]:
    """One that has begun a handshake and does not go on; its socket, and how many bytes it sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        sent_bytes = sum(stranger.sendto(data, listener.address) for data in first_datagrams())
        yield stranger, sent_bytes


async def received_bytes(stranger: socket.socket, within_s: float) -> int:
    """What the server sends to an address that does not answer."""
    received = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while True:
                received += len(await asyncio.get_running_loop().sock_recv(stranger, 2048))
    return received


def was_asked_for_proof(client: Client) -> bool:
    return client._quic._retry_source_connection_id is not None


@asynccontextmanager
async def pressed(listener: QuicListener) -> AsyncIterator[None]:
    """So many strangers that have begun a handshake that the next one is asked for a proof."""
    with contextlib.ExitStack() as stack:
        for _ in range(UNPROVEN_LIMIT):
            stack.enter_context(silent_stranger(listener))
        async with asyncio.timeout(5):
            while len(listener.unproven) < UNPROVEN_LIMIT:
                await asyncio.sleep(0.01)
        yield


async def test_a_first_visit_is_spared_the_round_trip_of_a_proof(client: Client, listener: QuicListener) -> None:
    assert not was_asked_for_proof(client)
    assert (await client.get("/hello")).status == 200
    assert not listener.unproven


async def test_under_many_unproven_handshakes_an_address_must_be_proven(
    listener: QuicListener, certificate: CertificateFiles
) -> None:
    async with pressed(listener), connected(listener, certificate) as client:
        assert was_asked_for_proof(client)
        assert (await client.get("/hello")).status == 200


async def test_under_pressure_nothing_is_kept_of_a_stranger(listener: QuicListener) -> None:
    async with pressed(listener):
        for _ in range(50):
            with silent_stranger(listener) as (stranger, sent_bytes):
                assert await received_bytes(stranger, 0.02) < sent_bytes / 5

        assert len(listener.connections) == UNPROVEN_LIMIT


async def test_whoever_was_asked_for_a_proof_comes_in_also_when_the_pressure_is_gone(
    listener: QuicListener, certificate: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([True])
    assert listener._server is not None
    monkeypatch.setattr(listener._server, "_is_pressed", lambda: next(answers, False))
    async with connected(listener, certificate) as client:
        assert was_asked_for_proof(client)
        assert (await client.get("/hello")).status == 200


async def test_handshakes_that_do_not_end_are_given_up(
    listener: QuicListener, certificate: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic, "_HANDSHAKE_TIMEOUT_S", 0.3)
    with silent_stranger(listener):
        async with asyncio.timeout(5):
            while not listener.unproven:
                await asyncio.sleep(0.01)
            while listener.unproven:
                await asyncio.sleep(0.01)
    async with connected(listener, certificate) as client:
        await asyncio.sleep(0.5)
        assert (await client.get("/hello")).status == 200


@pytest.fixture
def long_chain(certificate: CertificateFiles, tmp_path: Path) -> CertificateFiles:
    """As some public authorities have it: far more than may be sent to a stranger at once."""
    assert certificate.authority is not None
    file = tmp_path / "chain.pem"
    file.write_bytes(certificate.certificate.read_bytes() + certificate.authority.read_bytes() * 12)
    return replace(certificate, certificate=file)


async def test_a_stranger_is_sent_three_times_its_bytes_and_no_more(
    application: ScriptedApplication, long_chain: CertificateFiles
) -> None:
    async with listening(application, long_chain) as listener:
        with silent_stranger(listener) as (stranger, sent_bytes):
            received = await received_bytes(stranger, 2)

    assert 2 * sent_bytes < received <= 3 * sent_bytes


async def test_a_client_that_answers_gets_a_long_chain_whole(
    application: ScriptedApplication, long_chain: CertificateFiles
) -> None:
    async with listening(application, long_chain) as listener, connected(listener, long_chain) as client:
        assert (await client.get("/hello")).status == 200


async def move(client: Client) -> int:
    """The client goes on from another port, as behind a router that forgot it; returns the port."""
    before: Any = client._transport
    moved = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    moved.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    moved.bind(("::", 0))
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: client, sock=moved)
    before.abort()
    return int(moved.getsockname()[1])


async def test_an_answer_under_way_follows_a_client_that_moves(
    client: Client, application: ScriptedApplication, listener: QuicListener
) -> None:
    stream_id = client.open("/stream?100")
    await client.wait_for(stream_id, first_bytes=10 * len(CHUNK))
    await move(client)
    await client.ping()

    assert bytes((await client.wait_for(stream_id)).body) == CHUNK * 100
    assert len(listener.connections) == 1


async def test_requests_of_a_client_that_has_moved_come_from_where_it_is(
    client: Client, application: ScriptedApplication
) -> None:
    await client.get("/hello")
    port = await move(client)
    await client.get("/hello")

    assert application.scopes[-1]["client"][1] == port


async def test_an_upload_goes_on_from_another_address(client: Client) -> None:
    stream_id = client.open("/digest", method="POST", is_end=False)
    client.upload(stream_id, CHUNK * 20)
    await asyncio.sleep(0.02)
    await move(client)
    client.upload(stream_id, CHUNK * 20, is_end=True)

    assert (await client.wait_for(stream_id)).status == 200
