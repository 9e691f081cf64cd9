"""Both listeners on one port, by clients of the standard library, httpx's kin and aioquic."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from appliance.domain.errors import SettingsError, Unavailable
from appliance.http import listeners
from appliance.http.certificates import CertificateFiles, ensure_self_made
from appliance.http.listeners import Address, serve
from tests.end_to_end.running import free_port
from tests.http.leaks import Left
from tests.http.quic_client import Client, connected
from tests.http.scripted_application import CHUNK, ScriptedApplication


class WithLifespan(ScriptedApplication):
    """The scripted application, which notes its lifespan and when requests ended."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.history: list[str] = []
        self._fails = fails

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await super().__call__(scope, receive, send)
            self.history.append(f"request over {scope['http_version']}")
            return
        for step in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{step}"
            self.history.append(step)
            if self._fails:
                await send({"type": f"lifespan.{step}.failed", "message": "no database"})
                return
            await send({"type": f"lifespan.{step}.complete"})


@asynccontextmanager
async def serving(
    application: Any, certificate: CertificateFiles, **options: Any
) -> AsyncIterator[tuple[Address, Any]]:
    """Yields the address and the function that stops it and waits for the end."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    server = asyncio.create_task(
        serve(
            application,
            address="127.0.0.1",
            port=0,
            certificate=certificate,
            stop=stop,
            ready=ready.set_result,
            **options,
        )
    )

    async def end() -> None:
        stop.set()
        await asyncio.wait_for(server, 20)

    try:
        await asyncio.wait({server, ready}, return_when=asyncio.FIRST_COMPLETED)
        if server.done():
            server.result()
        yield ready.result(), end
    finally:
        await end()


def trusting(certificate: CertificateFiles, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate.authority))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def get(address: Address, certificate: CertificateFiles, path: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=trusting(certificate)) as client:
        return await client.get(f"https://127.0.0.1:{address.port}{path}")


class H2Client:
    """The least of an HTTP/2 client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._h2.update_settings(
            {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20}
        )  # only the connection's is small

    def ask(self, path: str, fields: Sequence[tuple[str, str]] = ()) -> int:
        stream_id = self._h2.get_next_available_stream_id()
        head = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self._h2.send_headers(stream_id, [*head, *fields], end_stream=True)
        self._writer.write(self._h2.data_to_send())
        return stream_id

    def upload(self, path: str, piece: bytes) -> int:
        """A request with the first piece of a body that goes on."""
        stream_id = self._h2.get_next_available_stream_id()
        head = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self._h2.send_headers(stream_id, head)
        self.upload_more(stream_id, piece)
        return stream_id

    def upload_more(self, stream_id: int, piece: bytes, *, is_end: bool = False) -> None:
        self._h2.send_data(stream_id, piece, end_stream=is_end)
        self._writer.write(self._h2.data_to_send())

    def prioritize(self, stream_id: int) -> None:
        self._h2.prioritize(stream_id, weight=10)
        self._writer.write(self._h2.data_to_send())

    def update_priority(self, stream_id: int, priority: bytes) -> None:
        """RFC 9218 §7.1; the library does not know the frame."""
        payload = stream_id.to_bytes(4, "big") + priority
        self._writer.write(len(payload).to_bytes(3, "big") + b"\x10\x00" + bytes(4) + payload)

    def cancel(self, stream_id: int) -> None:
        self._h2.reset_stream(stream_id, error_code=8)
        self._writer.write(self._h2.data_to_send())

    async def drain(self) -> None:
        """What was asked is on its way, and the server has had a moment for it."""
        await self._writer.drain()
        await asyncio.sleep(0.02)

    async def answer(self, stream_id: int) -> tuple[dict[str, str], bytes]:
        headers, body = {}, bytearray()
        while data := await asyncio.wait_for(self._reader.read(65536), 10):
            for event in self._h2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    headers = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded) and event.stream_id == stream_id:
                    return headers, bytes(body)
            self._writer.write(self._h2.data_to_send())
        raise ConnectionError("the server closed the connection")

    async def order(self, *stream_ids: int) -> list[int]:
        """The streams of the data that comes until all of them have ended; only now is any of it acknowledged."""
        order, ended = [], set[int]()
        while ended != set(stream_ids):
            for event in self._h2.receive_data(await asyncio.wait_for(self._reader.read(65536), 10)):
                if isinstance(event, h2.events.DataReceived) and event.data:
                    order.append(event.stream_id)
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    ended.add(event.stream_id)
            self._writer.write(self._h2.data_to_send())
        return order


@asynccontextmanager
async def over_h2(address: Address, certificate: CertificateFiles) -> AsyncIterator[H2Client]:
    context = trusting(certificate, "h2")
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context, server_hostname="localhost")
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    try:
        yield H2Client(reader, writer)
    finally:
        writer.close()


def at(address: Address) -> Any:
    """The address as the QUIC client wants it."""
    return type("Listener", (), {"address": (address.host, address.port)})


@asynccontextmanager
async def both_connected(
    application: Any, certificate: CertificateFiles, **options: Any
) -> AsyncIterator[tuple[H2Client, Client, Any]]:
    """A client over HTTP/2, one over HTTP/3, and the function that stops their server."""
    async with (
        serving(application, certificate, **options) as (address, end),
        over_h2(address, certificate) as h2_client,
        connected(at(address), certificate) as h3_client,
    ):
        yield h2_client, h3_client, end


async def test_http_1_2_and_3_are_answered_on_one_port(certificate: CertificateFiles) -> None:
    application = WithLifespan()
    async with serving(application, certificate) as (address, _):
        assert (await get(address, certificate, "/hello")).content == b"hello"
        async with over_h2(address, certificate) as h2_client:
            assert (await h2_client.answer(h2_client.ask("/hello")))[1] == b"hello"
        async with connected(at(address), certificate) as h3_client:
            assert (await h3_client.get("/hello")).body == b"hello"

    assert [scope["http_version"] for scope in application.scopes] == ["1.1", "2", "3"]
    assert application.history == ["startup", "request over 1.1", "request over 2", "request over 3", "shutdown"]


async def test_answers_over_tcp_point_to_http_3(certificate: CertificateFiles) -> None:
    async with serving(ScriptedApplication(), certificate) as (address, _):
        alt_svc = f'h3=":{address.port}"; ma=86400'

        assert (await get(address, certificate, "/hello")).headers["alt-svc"] == alt_svc
        async with over_h2(address, certificate) as client:
            assert (await client.answer(client.ask("/hello")))[0]["alt-svc"] == alt_svc


@contextmanager
def pair(host: str = "127.0.0.1") -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP and a UDP socket of one port, as a service manager listens on them."""
    port = free_port()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.bind((host, port))
        yield tcp, udp


async def test_sockets_that_are_handed_over_are_served_on_both(certificate: CertificateFiles) -> None:
    with pair() as handed:
        async with serving(ScriptedApplication(), certificate, handed=handed) as (address, _):
            assert address.port == handed[0].getsockname()[1]
            assert (await get(address, certificate, "/hello")).text == "hello"
            async with connected(at(address), certificate) as client:
                assert (await client.get("/hello")).body == b"hello"


async def test_who_calls_between_two_lives_of_the_process_is_answered_by_the_second(
    certificate: CertificateFiles,
) -> None:
    with pair() as (tcp, udp):
        async with serving(ScriptedApplication(), certificate, handed=(tcp.dup(), udp.dup())) as (address, end):
            await end()
            waiting = asyncio.create_task(get(address, certificate, "/hello"))
            await asyncio.sleep(0.2)
            assert not waiting.done()

        async with serving(ScriptedApplication(), certificate, handed=(tcp.dup(), udp.dup())):
            assert (await waiting).text == "hello"


async def test_small_answers_over_a_socket_that_is_handed_over_do_not_wait(certificate: CertificateFiles) -> None:
    with pair() as handed:
        async with serving(ScriptedApplication(), certificate, handed=handed):
            assert handed[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_sockets_that_are_no_pair_are_refused(certificate: CertificateFiles) -> None:
    async def refusal(*handed: socket.socket, port: int = 0) -> str:
        with pytest.raises(SettingsError) as refused:
            await serve(
                ScriptedApplication(),
                address="127.0.0.1",
                port=port,
                certificate=certificate,
                stop=asyncio.Event(),
                handed=handed,
            )
        return refused.value.message

    with pair() as (tcp, udp), pair() as (_, another):
        assert "one TCP and one UDP socket are needed" in await refusal(tcp)
        assert "one TCP and one UDP socket are needed" in await refusal(tcp, tcp)
        assert "one TCP and one UDP socket are needed" in await refusal(tcp, udp, another)
        assert "of port" in await refusal(tcp, another)
        assert "listen.port is 1" in await refusal(tcp, udp, port=1)


async def test_nothing_older_than_tls_1_3_is_spoken(certificate: CertificateFiles) -> None:
    old, new = trusting(certificate), trusting(certificate)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    async with serving(ScriptedApplication(), certificate) as (address, _):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection(address.host, address.port, ssl=old)
        _, writer = await asyncio.open_connection(address.host, address.port, ssl=new)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.close()


async def test_a_connection_over_tcp_is_good_for_more_than_a_thousand_requests(certificate: CertificateFiles) -> None:
    async with serving(ScriptedApplication(), certificate) as (address, _), over_h2(address, certificate) as client:
        for _ in range(1100):
            assert (await client.answer(client.ask("/hello")))[1] == b"hello"


async def test_small_answers_over_tcp_do_not_wait_for_acknowledgements(certificate: CertificateFiles) -> None:
    async with serving(ScriptedApplication(), certificate) as (address, _), over_h2(address, certificate) as client:
        started = time.monotonic()
        for _ in range(50):
            await client.answer(client.ask("/hello"))

    assert time.monotonic() - started < 1  # 2 s at 40 ms each


async def test_a_client_over_tcp_that_takes_nothing_fills_no_buffers(certificate: CertificateFiles) -> None:
    application = ScriptedApplication()

    def ask(address: Address) -> ssl.SSLSocket:
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 10)
        line.connect((address.host, address.port))
        client = trusting(certificate, "http/1.1").wrap_socket(line, server_hostname="localhost")
        client.sendall(b"GET /stream?1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client

    async with serving(application, certificate) as (address, _):
        with await asyncio.to_thread(ask, address):
            await asyncio.sleep(1)
            taken_bytes = application.sent_bytes

    assert 0 < taken_bytes < 1 << 20  # 3.9 MB where the kernel takes what it likes


async def test_a_request_that_is_given_up_over_http_2_hurts_no_other(certificate: CertificateFiles) -> None:
    application = ScriptedApplication()
    async with serving(application, certificate) as (address, _), over_h2(address, certificate) as client:
        stream_id = client.ask("/listen")
        await asyncio.sleep(0.1)
        client.cancel(stream_id)

        await application.until("listen", "disconnected")
        assert (await client.answer(client.ask("/hello")))[1] == b"hello"


@pytest.mark.parametrize("path", ["/sleep", "/deaf", "/stream?100000"])
async def test_a_request_given_up_over_http_2_ends_an_application_that_does_not_heed_it(
    certificate: CertificateFiles, path: str
) -> None:
    application = ScriptedApplication()
    async with serving(application, certificate) as (address, _), over_h2(address, certificate) as client:
        stream_id = client.ask(path)
        await client.drain()
        client.cancel(stream_id)
        await client.answer(client.ask("/hello"))
        await asyncio.sleep(1 if path == "/deaf" else 0)

        await application.until(path.strip("/").partition("?")[0], "cancelled")


async def test_a_connection_over_http_1_1_that_is_closed_ends_its_request(certificate: CertificateFiles) -> None:
    application = ScriptedApplication()
    async with serving(application, certificate) as (address, _):
        _, writer = await asyncio.open_connection(address.host, address.port, ssl=trusting(certificate))
        writer.write(b"GET /sleep HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()

        await application.until("sleep", "cancelled")


async def cancel(client: H2Client, application: ScriptedApplication, *, rounds: int) -> None:
    for _ in range(rounds):
        streams = [client.ask(path) for path in ("/sleep", "/listen", "/stream?100", "/hello", "/refuse") * 10]
        await client.drain()
        for stream_id in streams:
            client.cancel(stream_id)
        await client.answer(client.ask("/hello"))
    application.scopes.clear()


@pytest.mark.parametrize("rounds", [10, pytest.param(200, marks=pytest.mark.long)])
async def test_requests_cancelled_over_http_2_leave_nothing(certificate: CertificateFiles, rounds: int) -> None:
    application = ScriptedApplication()
    async with serving(application, certificate) as (address, _), over_h2(address, certificate) as client:
        await cancel(client, application, rounds=10)
        left = Left("hypercorn", "appliance")
        await cancel(client, application, rounds=rounds)
        await asyncio.sleep(1.2)  # those that listen are told first

        left.assert_little(f"{rounds * 50} requests cancelled over HTTP/2")
        assert (await client.answer(client.ask("/hello")))[1] == b"hello"


async def test_a_priority_for_a_stream_that_has_ended_hurts_no_other(certificate: CertificateFiles) -> None:
    async with serving(ScriptedApplication(), certificate) as (address, _), over_h2(address, certificate) as client:
        stream_id, lasting = client.ask("/trickle"), client.ask("/later")
        await asyncio.sleep(0.05)
        client.cancel(stream_id)
        await asyncio.sleep(0.05)
        client.prioritize(stream_id)

        assert (await client.answer(lasting))[1] == CHUNK


async def test_a_thousand_priorities_for_streams_that_have_ended_hurt_no_other(certificate: CertificateFiles) -> None:
    async with serving(ScriptedApplication(), certificate) as (address, _), over_h2(address, certificate) as client:
        for _ in range(1100):
            stream_id = client.ask("/hello")
            await client.answer(stream_id)
            client.prioritize(stream_id)

        assert (await client.answer(client.ask("/hello")))[1] == b"hello"


@pytest.mark.parametrize("path", ["/refuse", "/fail"])
async def test_a_body_that_goes_on_after_its_answer_hurts_no_other(certificate: CertificateFiles, path: str) -> None:
    async with serving(ScriptedApplication(), certificate) as (address, _), over_h2(address, certificate) as client:
        for _ in range(10):
            stream_id = client.upload(path, bytes(1000))
            await asyncio.sleep(0.01)
            client.upload_more(stream_id, bytes(1000))
            client.upload_more(stream_id, bytes(1000), is_end=True)
            headers, _ = await client.answer(stream_id)

            assert headers[":status"] == ("401" if path == "/refuse" else "500")
            assert (await client.answer(client.ask("/hello")))[1] == b"hello"


async def test_an_upload_that_is_given_up_hurts_no_other(certificate: CertificateFiles) -> None:
    async with serving(ScriptedApplication(), certificate) as (address, _), over_h2(address, certificate) as client:
        for path in ("/refuse", "/fail", "/listen", "/digest"):
            stream_id = client.upload(path, bytes(1000))
            await asyncio.sleep(0.01)
            client.cancel(stream_id)

            assert (await client.answer(client.ask("/hello")))[1] == b"hello"


async def test_the_last_requests_are_answered_before_the_end(certificate: CertificateFiles) -> None:
    application = WithLifespan()
    async with both_connected(application, certificate) as (h2_client, h3_client, end):
        h2_stream, h3_stream = h2_client.ask("/later"), h3_client.open("/later")
        await asyncio.sleep(0.1)
        ending = asyncio.create_task(end())

        assert (await h2_client.answer(h2_stream))[1] == CHUNK
        assert (await h3_client.wait_for(h3_stream)).body == CHUNK
        await ending

    assert application.history[-1] == "shutdown"
    assert len(application.history) == 4


async def test_new_connections_are_refused_while_the_last_requests_are_answered(certificate: CertificateFiles) -> None:
    async with serving(ScriptedApplication(), certificate) as (address, end), over_h2(address, certificate) as client:
        stream_id = client.ask("/later")
        await asyncio.sleep(0.1)
        ending = asyncio.create_task(end())
        await asyncio.sleep(0.05)

        with pytest.raises(httpx.ConnectError):
            await get(address, certificate, "/hello")
        assert (await client.answer(stream_id))[1] == CHUNK
        await ending


async def test_requests_that_do_not_end_are_cancelled_at_the_deadline(certificate: CertificateFiles) -> None:
    application = WithLifespan()
    async with both_connected(application, certificate, drain_timeout_s=0.2) as (h2_client, h3_client, end):
        h2_client.ask("/sleep"), h3_client.open("/sleep")
        await asyncio.sleep(0.1)
        started = time.monotonic()
        await end()

    assert time.monotonic() - started < 4
    assert application.outcomes["sleep", "cancelled"] == 2
    assert application.history == ["startup", "shutdown"]


async def test_idle_connections_do_not_delay_the_end(certificate: CertificateFiles) -> None:
    async with both_connected(ScriptedApplication(), certificate) as (h2_client, h3_client, end):
        await h2_client.answer(h2_client.ask("/hello"))
        await h3_client.get("/hello")
        started = time.monotonic()
        await end()

    assert time.monotonic() - started < 1


async def test_a_stopped_server_leaves_its_port_and_no_task(certificate: CertificateFiles) -> None:
    before = asyncio.all_tasks()
    async with serving(ScriptedApplication(), certificate) as (address, _):
        await get(address, certificate, "/hello")

    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind((address.host, address.port))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_port_that_is_taken_is_said(certificate: CertificateFiles, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        port = other.getsockname()[1]

        with pytest.raises(SettingsError, match=f"port {port}.*another process"):
            await serve(
                ScriptedApplication(), address="127.0.0.1", port=port, certificate=certificate, stop=asyncio.Event()
            )


async def test_two_servers_cannot_have_one_port(certificate: CertificateFiles) -> None:
    async with serving(ScriptedApplication(), certificate) as (address, _):
        with pytest.raises(SettingsError, match="another process"):
            await serve(
                ScriptedApplication(),
                address=address.host,
                port=address.port,
                certificate=certificate,
                stop=asyncio.Event(),
            )


@pytest.mark.parametrize("address", ["192.0.2.1", "no such host.invalid"])
async def test_an_address_that_is_not_ours_is_said(certificate: CertificateFiles, address: str) -> None:
    with pytest.raises(SettingsError, match="address"):
        await serve(ScriptedApplication(), address=address, port=0, certificate=certificate, stop=asyncio.Event())


async def test_a_key_that_does_not_fit_is_said_before_anything_listens(
    certificate: CertificateFiles, tmp_path: Path
) -> None:
    other = ensure_self_made(tmp_path, ["localhost"])

    with pytest.raises(SettingsError, match="does not belong"):
        async with serving(ScriptedApplication(), replace(certificate, key=other.key)):
            pass


async def test_an_application_that_cannot_start_ends_the_server(certificate: CertificateFiles) -> None:
    with pytest.raises(Unavailable, match="no database"):
        async with serving(WithLifespan(fails=True), certificate):
            pass


def test_it_runs_on_uvloop(certificate: CertificateFiles) -> None:
    async def scenario() -> None:
        application = ScriptedApplication()
        async with serving(application, certificate) as (address, _):
            assert (await get(address, certificate, "/hello")).content == b"hello"
            async with connected(at(address), certificate) as client:
                assert len((await client.get("/stream?20")).body) == 20 * len(CHUNK)
                stream_id = client.open("/sleep")
                await asyncio.sleep(0.05)
                client.cancel(stream_id)
                await application.until("sleep", "cancelled")

    run_on_uvloop(scenario)


def run_on_uvloop(scenario: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


# The certificate is renewed


def shown_over_tcp(address: Address, certificate: CertificateFiles) -> bytes:
    """The certificate that a new connection over TCP is shown, DER."""
    with (
        socket.create_connection((address.host, address.port), timeout=10) as plain,
        trusting(certificate).wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""


async def shown_over_udp(address: Address, certificate: CertificateFiles) -> bytes:
    """The same over UDP."""
    async with connected(at(address), certificate) as client:
        shown = client._quic.tls._peer_certificate
        assert shown is not None
        return shown.public_bytes(Encoding.DER)


async def both_show(address: Address, certificate: CertificateFiles, wanted: bytes) -> bool:
    over_tcp = await asyncio.to_thread(shown_over_tcp, address, certificate)
    return over_tcp == await shown_over_udp(address, certificate) == wanted


def der_of(certificate: CertificateFiles) -> bytes:
    return x509.load_pem_x509_certificate(certificate.certificate.read_bytes()).public_bytes(Encoding.DER)


@pytest.fixture
def renewable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CertificateFiles:
    """A pair of files that a test may replace."""
    monkeypatch.setattr(listeners, "_CERTIFICATE_POLL_S", 0.05)
    return ensure_self_made(tmp_path / "tls", ["localhost", "127.0.0.1"])


def renew(certificate: CertificateFiles) -> bytes:
    """A new pair of the same authority in place of the old one; the old one, DER."""
    before = der_of(certificate)
    certificate.certificate.unlink()
    ensure_self_made(certificate.certificate.parent, ["localhost", "127.0.0.1"])
    assert der_of(certificate) != before
    return before


async def test_a_renewed_certificate_is_shown_to_new_connections_and_those_that_are_there_go_on(
    renewable: CertificateFiles, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(ScriptedApplication(), renewable) as (address, _),
        over_h2(address, renewable) as h2_client,
        connected(at(address), renewable) as h3_client,
    ):
        h2_stream, h3_stream = h2_client.ask("/later"), h3_client.open("/later")
        renew(renewable)
        async with asyncio.timeout(10):
            while not await both_show(address, renewable, der_of(renewable)):
                await asyncio.sleep(0.05)

        assert (await h2_client.answer(h2_stream))[1] == CHUNK
        assert (await h3_client.wait_for(h3_stream)).body == CHUNK
        assert (await h2_client.answer(h2_client.ask("/hello")))[1] == b"hello"
        assert (await h3_client.get("/hello")).body == b"hello"


async def test_a_pair_that_does_not_fit_is_not_taken_until_it_does(
    renewable: CertificateFiles, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(ScriptedApplication(), renewable) as (address, _):
        shown, key = der_of(renewable), renewable.key.read_bytes()
        assert await both_show(address, renewable, shown)
        renew(renewable)
        new_key = renewable.key.read_bytes()
        renewable.key.write_bytes(key)
        async with asyncio.timeout(10):
            while "cannot be used" not in caplog.text:
                await asyncio.sleep(0.05)
        assert await both_show(address, renewable, shown)

        renewable.key.write_bytes(new_key)
        async with asyncio.timeout(10):
            while not await both_show(address, renewable, der_of(renewable)):
                await asyncio.sleep(0.05)
