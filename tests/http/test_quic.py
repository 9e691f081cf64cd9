"""HTTP/3 by scripted clients on loopback: what one request does must never be felt by another."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import ErrorCode, FrameType, encode_frame
from quart import Quart

from appliance.http.certificates import CertificateFiles
from appliance.http.quic import QuicListener
from tests.http.leaks import Left
from tests.http.quic_client import SERVERS_CONTROL_STREAM, Client, connected, listening
from tests.http.scripted_application import CHUNK, ScriptedApplication


async def assert_serves(client: Client) -> None:
    assert (await client.get("/hello")).body == b"hello"


async def settle(listener: QuicListener) -> None:
    """Returns once no request is left anywhere, QUIC's own state included."""
    async with asyncio.timeout(30):
        while listener.tasks or any(streams_of(connection) for connection in listener.connections):
            await asyncio.sleep(0.01)


def streams_of(connection: object) -> list[int]:
    """Request streams that something still remembers."""
    return [
        stream_id
        for remembered in (connection.requests, connection.http3._stream, connection._quic._streams)  # type: ignore[attr-defined]
        for stream_id in remembered
        if stream_id % 4 == 0
    ]


# The ordinary


async def test_a_get_is_answered(client: Client) -> None:
    answer = await client.get("/hello")

    assert (answer.status, bytes(answer.body)) == (200, b"hello")
    assert b"GMT" in answer.headers[b"date"]


async def test_a_body_comes_back_whole(client: Client) -> None:
    stream_id = client.open("/echo", method="POST", is_end=False)
    client.upload(stream_id, b"first ")
    client.upload(stream_id, b"second", is_end=True)

    assert (await client.wait_for(stream_id)).body == b"first second"


async def test_fields_of_the_hop_are_not_sent(client: Client) -> None:
    headers = (await client.get("/hello")).headers

    assert b"connection" not in headers
    assert headers[b"content-type"] == b"application/octet-stream"


async def test_head_has_the_fields_and_no_body(client: Client) -> None:
    answer = await client.get("/hello", method="HEAD")

    assert (answer.status, bytes(answer.body)) == (200, b"")
    assert answer.headers[b"content-type"] == b"application/octet-stream"


async def test_the_scope_says_what_was_asked(client: Client, application: ScriptedApplication) -> None:
    await client.get("/hello?a=%20b&c")
    await client.get("/%68ello")

    first, second = application.scopes
    assert (first["path"], first["raw_path"], first["query_string"]) == ("/hello", b"/hello", b"a=%20b&c")
    assert (second["path"], second["raw_path"]) == ("/hello", b"/%68ello")
    assert (first["http_version"], first["scheme"], first["method"]) == ("3", "https", "GET")
    assert first["client"] == ("127.0.0.1", client._transport.get_extra_info("sockname")[1])


async def test_cookies_that_were_split_are_one_field_again(client: Client) -> None:
    answer = await client.get("/fields", headers=[(b"cookie", b"a=1"), (b"accept", b"*/*"), (b"cookie", b"b=2")])

    fields = json.loads(answer.body)
    assert [value for name, value in fields if name == "cookie"] == ["a=1; b=2"]
    assert ["host", "localhost"] in fields


async def test_fifty_requests_at_once_are_answered(client: Client) -> None:
    answers = await asyncio.gather(*(client.get("/stream?1") for _ in range(50)))

    assert {bytes(answer.body) for answer in answers} == {CHUNK}


async def test_several_connections_are_served(listener: QuicListener, certificate: CertificateFiles) -> None:
    async def ask() -> bytes:
        async with connected(listener, certificate) as client:
            return bytes((await client.get("/hello")).body)

    assert await asyncio.gather(*(ask() for _ in range(8))) == [b"hello"] * 8


async def test_no_session_ticket_is_given_hence_no_early_data(
    listener: QuicListener, certificate: CertificateFiles
) -> None:
    tickets: list[object] = []
    async with connected(listener, certificate, session_ticket_handler=tickets.append) as client:
        await assert_serves(client)
        await client.ping()

    assert not tickets


# Requests that are given up


async def test_a_cancelled_request_cancels_its_handler_before_any_answer(
    client: Client, application: ScriptedApplication
) -> None:
    stream_id = client.open("/sleep")
    await asyncio.sleep(0.05)
    client.cancel(stream_id)

    await application.until("sleep", "cancelled")
    await assert_serves(client)


async def test_a_handler_that_listens_hears_of_it(client: Client, application: ScriptedApplication) -> None:
    stream_id = client.open("/listen")
    await asyncio.sleep(0.05)
    client.cancel(stream_id)

    await application.until("listen", "disconnected")


async def test_a_handler_that_hears_and_stays_is_cancelled(client: Client, application: ScriptedApplication) -> None:
    stream_id = client.open("/deaf")
    await asyncio.sleep(0.05)
    client.cancel(stream_id)
    await asyncio.sleep(1)

    await application.until("deaf", "cancelled")


async def test_a_cancelled_stream_of_an_answer_stops_its_making(
    client: Client, application: ScriptedApplication, listener: QuicListener
) -> None:
    stream_id = client.open("/stream?100000")
    await client.wait_for(stream_id, first_bytes=200_000)
    client.cancel(stream_id)

    await application.until("stream", "cancelled")
    await assert_serves(client)
    await settle(listener)


async def test_stop_sending_alone_is_enough(client: Client, application: ScriptedApplication) -> None:
    stream_id = client.open("/sleep", method="POST", is_end=False)
    await asyncio.sleep(0.05)
    client._quic.stop_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
    client.transmit()

    await application.until("sleep", "cancelled")
    await assert_serves(client)


async def test_an_upload_that_is_reset_is_told(client: Client, application: ScriptedApplication) -> None:
    stream_id = client.open("/listen", method="POST", is_end=False)
    client.upload(stream_id, b"a part")
    await asyncio.sleep(0.05)
    client._quic.reset_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
    client.transmit()

    await application.until("listen", "disconnected")
    await assert_serves(client)


async def test_a_request_cancelled_at_once_leaves_nothing(client: Client, listener: QuicListener) -> None:
    for _ in range(20):
        client.cancel(client.open("/sleep"))

    await settle(listener)
    await assert_serves(client)


async def test_stop_sending_before_the_request_refuses_it_quietly(
    client: Client, listener: QuicListener, caplog: pytest.LogCaptureFixture
) -> None:
    stream_id = client._quic.get_next_available_stream_id()
    client._quic.send_stream_data(stream_id, b"")  # the stream is there, its request is not
    client._quic.stop_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
    client.transmit()
    await asyncio.sleep(0.05)
    client.http.send_headers(stream_id, GET, True)
    client.transmit()

    await settle(listener)
    await assert_serves(client)
    assert not caplog.records


async def test_a_closed_connection_cancels_all_its_handlers(
    listener: QuicListener, application: ScriptedApplication, certificate: CertificateFiles
) -> None:
    async with connected(listener, certificate) as client:
        for _ in range(5):
            client.open("/sleep")
            client.open("/listen")
        await asyncio.sleep(0.1)

    await application.until("sleep", "cancelled", times=5)
    await application.until("listen", "disconnected", times=5)
    assert not listener.connections


async def test_quart_handlers_are_cancelled(certificate: CertificateFiles) -> None:
    application, ended = Quart(__name__), asyncio.Event()

    @application.get("/slow")
    async def slow() -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.set()
            raise
        return "never"

    async with listening(application, certificate) as listener, connected(listener, certificate) as client:
        stream_id = client.open("/slow")
        await asyncio.sleep(0.2)
        client.cancel(stream_id)

        await asyncio.wait_for(ended.wait(), 1)


async def cancel(client: Client, listener: QuicListener, *, rounds: int) -> None:
    """50 requests of several kinds, each cancelled where it happens to be, as many times as ``rounds`` says."""
    for _ in range(rounds):
        streams = [client.open(path) for path in ("/sleep", "/listen", "/stream?100", "/hello", "/refuse") * 10]
        await asyncio.sleep(0.02)
        for stream_id in streams:
            if stream_id in client._quic._streams:
                client.cancel(stream_id)
        await settle(listener)
        client.answers.clear()


@pytest.mark.parametrize("rounds", [10, pytest.param(200, marks=pytest.mark.long)])
async def test_cancelled_requests_leave_nothing(
    client: Client, listener: QuicListener, application: ScriptedApplication, rounds: int
) -> None:
    await cancel(client, listener, rounds=10)
    application.scopes.clear()
    left = Left("aioquic", "appliance")
    await cancel(client, listener, rounds=rounds)
    application.scopes.clear()

    left.assert_little(f"{rounds * 50} requests cancelled over HTTP/3")
    assert not client.terminated
    await assert_serves(client)


# Answers that do not wait


async def test_an_early_answer_arrives_within_the_upload(client: Client, listener: QuicListener) -> None:
    stream_id = client.open("/refuse", method="POST", is_end=False)
    for number in range(80):
        client.http.send_data(stream_id, CHUNK, number == 79)
    client.transmit()

    answer = await client.wait_for(stream_id)
    assert (answer.status, bytes(answer.body)) == (401, b"no")
    assert client.unsent_bytes(stream_id) > 0
    await assert_serves(client)
    await settle(listener)  # hence the rest was read past
    assert answer.stopped_code is None


async def test_a_long_upload_is_stopped_after_an_early_answer(
    client: Client, listener: QuicListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.http.quic.READ_PAST_BYTES", 10 * len(CHUNK))
    stream_id = client.open("/refuse", method="POST", is_end=False)
    for _ in range(80):
        client.http.send_data(stream_id, CHUNK, False)
    client.transmit()

    answer = await client.wait_for(stream_id)
    await settle(listener)
    assert (answer.status, answer.stopped_code) == (401, ErrorCode.H3_NO_ERROR)
    await assert_serves(client)


async def test_trailers_are_read_past(client: Client) -> None:
    stream_id = client.open("/echo", method="POST", is_end=False)
    client.upload(stream_id, b"body")
    client.http.send_headers(stream_id, [(b"x-checksum", b"1")], True)
    client.transmit()

    assert (await client.wait_for(stream_id)).body == b"body"


async def test_what_comes_after_the_answer_is_read_past(client: Client) -> None:
    stream_id = client.open("/refuse", method="POST", is_end=False)
    await client.wait_for(stream_id)
    trailers = client.http._encode_headers(stream_id, [(b"x-checksum", b"1")])
    client._quic.send_stream_data(stream_id, encode_frame(FrameType.DATA, CHUNK))
    client._quic.send_stream_data(stream_id, encode_frame(FrameType.HEADERS, trailers), True)
    client.transmit()

    await assert_serves(client)


# Malformed requests

GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/hello")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b":method", b"CONNECT"), (b":authority", b"elsewhere:443")], 405),
        (GET[1:], 400),
        ([*GET[:3]], 400),
        ([GET[0], *GET[2:]], 400),
        ([*GET, GET[0]], 400),
        ([*GET[:3], (b":path", b"hello")], 400),
        ([*GET[:3], (b":path", b"")], 400),
        ([*GET[:3], (b":path", b"/\xff")], 400),
        ([*GET, (b"Upper-Case", b"1")], 400),
        ([*GET, (b":late", b"1")], 400),
        ([*GET, (b"host", b"elsewhere")], 400),
        ([*GET, (b"transfer-encoding", b"chunked")], 400),
        ([*GET, (b"content-length", b"many")], 400),
        ([*GET, *[(b"x-long", b"x" * 1000)] * 70], 431),
    ],
)
@pytest.mark.parametrize("is_end", [True, False])
async def test_a_malformed_request_is_refused_on_its_stream(
    client: Client, application: ScriptedApplication, headers: list[tuple[bytes, bytes]], status: int, is_end: bool
) -> None:
    answer = await client.wait_for(client.open_raw(headers, is_end=is_end))

    assert answer.status == status
    assert json.loads(answer.body)["status"] == status
    assert not application.scopes
    await assert_serves(client)


async def test_less_body_than_announced_ends_the_request_alone(
    client: Client, application: ScriptedApplication
) -> None:
    stream_id = client.open("/listen", method="POST", headers=[(b"content-length", b"10")], is_end=False)
    await asyncio.sleep(0.05)
    client.upload(stream_id, b"short", is_end=True)

    assert (await client.wait_for(stream_id)).reset_code == ErrorCode.H3_MESSAGE_ERROR
    await application.until("listen", "disconnected")
    await assert_serves(client)


# Failing applications


@pytest.mark.parametrize("path", ["/fail", "/fail_started", "/silent"])
async def test_an_application_that_fails_is_a_problem_without_its_reason(client: Client, path: str) -> None:
    answer = await client.get(path)

    assert (answer.status, answer.headers[b"content-type"]) == (500, b"application/problem+json")
    assert b"secret" not in answer.body
    await assert_serves(client)


async def test_an_answer_that_fails_midway_is_broken_off(client: Client, listener: QuicListener) -> None:
    answer = await client.get("/fail_late")

    assert answer.reset_code == ErrorCode.H3_INTERNAL_ERROR
    await assert_serves(client)
    await settle(listener)


async def test_bytes_that_are_no_quic_are_ignored(client: Client, listener: QuicListener) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for junk in (b"", b"x", b"\xc0" + bytes(1300), CHUNK[:1300], b"\x40" * 50):
            stranger.sendto(junk, listener.address)

    await assert_serves(client)


# The end of the server


async def test_draining_finishes_what_is_under_way(
    client: Client, listener: QuicListener, application: ScriptedApplication
) -> None:
    stream_id = client.open("/later")
    await asyncio.sleep(0.05)

    await listener.drain(5)
    listener.close()

    answer = await client.wait_for(stream_id)
    assert (answer.is_complete, bytes(answer.body)) == (True, CHUNK)
    await asyncio.wait_for(client.wait_closed(), 2)
    assert client.terminated is not None


async def test_draining_tells_the_client_to_go_elsewhere(client: Client, listener: QuicListener) -> None:
    client.open("/later")
    await asyncio.sleep(0.05)
    draining = asyncio.create_task(listener.drain(5))
    await asyncio.sleep(0.05)
    assert client.control_bytes.endswith(encode_frame(FrameType.GOAWAY, encode_uint_var(4)))

    refused = await client.get("/hello")

    assert refused.reset_code == ErrorCode.H3_REQUEST_REJECTED
    await draining


async def test_draining_passes_over_a_client_that_stopped_our_control_stream(
    client: Client, listener: QuicListener, certificate: CertificateFiles
) -> None:
    await assert_serves(client)
    (rude,) = listener.connections
    async with connected(listener, certificate) as another:
        await assert_serves(another)
        client._quic.stop_stream(SERVERS_CONTROL_STREAM, ErrorCode.H3_NO_ERROR)
        client.transmit()
        async with asyncio.timeout(5):
            while not rude.http3._is_done:
                await asyncio.sleep(0)

        await listener.drain(5)
        listener.close()
        await asyncio.wait_for(asyncio.gather(client.wait_closed(), another.wait_closed()), 5)

    assert client.terminated is not None
    assert client.terminated.error_code == ErrorCode.H3_CLOSED_CRITICAL_STREAM
    assert another.control_bytes.endswith(encode_frame(FrameType.GOAWAY, encode_uint_var(4)))


async def test_a_client_whose_answers_are_all_there_is_told_of_the_end_before_it_comes(
    client: Client, listener: QuicListener
) -> None:
    await assert_serves(client)
    (connection,) = listener.connections
    async with asyncio.timeout(5):
        while not connection.is_drained:
            await asyncio.sleep(0)

    await listener.drain(5)  # has nothing to wait for, and lets nobody else come to his turn
    listener.close()
    await asyncio.wait_for(client.wait_closed(), 5)

    assert client.control_bytes.endswith(encode_frame(FrameType.GOAWAY, encode_uint_var(4)))


async def test_draining_ends_at_its_deadline(
    client: Client, listener: QuicListener, application: ScriptedApplication
) -> None:
    stream_id = client.open("/sleep")
    await asyncio.sleep(0.05)

    await asyncio.wait_for(listener.drain(0.1), 2)

    assert application.outcomes["sleep", "cancelled"] == 1
    assert (await client.wait_for(stream_id)).status == 503


async def test_an_answer_that_the_client_has_not_taken_yet_is_waited_for(
    client: Client, listener: QuicListener, application: ScriptedApplication
) -> None:
    stream_id = client.open("/large?12")  # within the buffer: the handler ends long before the client has it
    await application.until("large", "done")

    await listener.drain(10)
    listener.close()

    assert len((await client.wait_for(stream_id)).body) == 12 * len(CHUNK)
