"""Early data (0-RTT) can be replayed by whoever saw it, so none is taken: not over QUIC, not over TCP (RFC 8446 §8)."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from aioquic.asyncio.client import connect
from aioquic.asyncio.server import serve as serve_with_tickets
from aioquic.buffer import Buffer
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from aioquic.tls import SessionTicket

from appliance.http.certificates import CertificateFiles
from appliance.http.quic import QuicListener
from tests.http.quic_client import Client, connected
from tests.http.scripted_application import ScriptedApplication
from tests.http.test_listeners import serving


@pytest.fixture
async def ticket(certificate: CertificateFiles) -> SessionTicket:
    """One that allows early data, as another server of the same name and certificate gives it."""
    giving = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    giving.load_cert_chain(certificate.certificate, certificate.key)
    server = await serve_with_tickets("127.0.0.1", 0, configuration=giving, session_ticket_handler=lambda ticket: None)
    assert server._transport is not None
    port = server._transport.get_extra_info("sockname")[1]
    given: asyncio.Queue[SessionTicket] = asyncio.Queue()
    async with connect(
        "127.0.0.1", port, configuration=_asking(certificate), session_ticket_handler=given.put_nowait
    ) as client:
        await client.ping()
        ticket = await asyncio.wait_for(given.get(), 10)
    server.close()
    assert ticket.max_early_data_size
    return ticket


def _asking(certificate: CertificateFiles, ticket: SessionTicket | None = None) -> QuicConfiguration:
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, session_ticket=ticket, server_name="127.0.0.1"
    )
    configuration.load_verify_locations(cafile=str(certificate.authority))
    return configuration


def early_flight(listener: QuicListener, certificate: CertificateFiles, ticket: SessionTicket) -> list[bytes]:
    """The first datagrams of a client that asks before it has heard anything: its hello, and a request as early data."""
    quic = QuicConnection(configuration=_asking(certificate, ticket))
    client = Client(quic)
    quic.connect(listener.address, now=0.0)
    head = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/hello")]
    client.http.send_headers(quic.get_next_available_stream_id(), head, True)
    flight = [data for data, _ in quic.datagrams_to_send(now=0.0)]
    assert QuicPacketType.ZERO_RTT in {kind for data in flight for kind in kinds_of(data)}
    return flight


def kinds_of(datagram: bytes) -> list[QuicPacketType]:
    """Of the packets in a datagram."""
    kinds, buffer = [], Buffer(data=datagram)
    while not buffer.eof() and datagram[buffer.tell()]:
        start = buffer.tell()
        header = pull_quic_header(buffer, host_cid_length=8)
        kinds.append(header.packet_type)
        buffer.seek(start + header.packet_length)
    return kinds


async def replay(listener: QuicListener, flight: list[bytes], certificate: CertificateFiles) -> None:
    """Sends the same datagrams from three addresses, and returns when the server has read them."""
    for _ in range(3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for datagram in flight:
                stranger.sendto(datagram, listener.address)
    async with connected(listener, certificate) as another:
        await another.get("/fields")


async def test_early_data_is_not_taken_however_often_it_is_replayed(
    listener: QuicListener, application: ScriptedApplication, certificate: CertificateFiles, ticket: SessionTicket
) -> None:
    await replay(listener, early_flight(listener, certificate, ticket), certificate)

    assert [scope["path"] for scope in application.scopes] == ["/fields"]


async def test_the_same_datagrams_are_requests_where_the_ticket_is_known(
    listener: QuicListener, application: ScriptedApplication, certificate: CertificateFiles, ticket: SessionTicket
) -> None:
    """What the sentence above guards against: were tickets given, what a stranger sends again would be a request."""
    assert listener._server is not None
    listener._server._session_ticket_fetcher = lambda label: ticket

    await replay(listener, early_flight(listener, certificate, ticket), certificate)

    assert "/hello" in [scope["path"] for scope in application.scopes]


async def test_a_client_whose_early_data_was_refused_asks_again_and_is_answered_once(
    listener: QuicListener, application: ScriptedApplication, certificate: CertificateFiles, ticket: SessionTicket
) -> None:
    async with connect(
        *listener.address,
        configuration=_asking(certificate, ticket),
        create_protocol=Client,
        wait_connected=False,
    ) as client:
        assert isinstance(client, Client)
        answer = await client.get("/hello")

        assert answer.body == b"hello"
        assert not client._quic.tls.early_data_accepted
    assert [scope["path"] for scope in application.scopes] == ["/hello"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
async def test_a_ticket_over_tcp_allows_no_early_data(certificate: CertificateFiles, tmp_path: Path) -> None:
    kept = tmp_path / "session.pem"
    async with serving(ScriptedApplication(), certificate) as (address, _):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{address.port}", "-sess_out", str(kept), "-ign_eof"]
        await asyncio.to_thread(
            subprocess.run,
            [*command, "-CAfile", str(certificate.authority)],
            input=b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            capture_output=True,
            timeout=60,
            check=True,
        )
    told = subprocess.run(
        ["openssl", "sess_id", "-in", str(kept), "-text", "-noout"], capture_output=True, text=True, check=True
    )

    assert "TLSv1.3" in told.stdout
    assert "Max Early Data: 0" in told.stdout
