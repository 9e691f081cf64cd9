"""Clients over HTTP/3 that break its rules: each is told which (RFC 9114 §8.1, RFC 9204 §6), and nobody else feels it."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable

import pylsqpack
import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import (
    ErrorCode,
    FrameType,
    H3Connection,
    Setting,
    StreamType,
    encode_frame,
    encode_settings,
)
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.http.certificates import CertificateFiles
from appliance.http.http3 import has_many_lines
from appliance.http.quic import QuicListener
from tests.http.quic_client import SERVERS_CONTROL_STREAM, Client, connected
from tests.http.scripted_application import CHUNK

PRIORITY_UPDATE, PRIORITY_UPDATE_OF_PUSH = 0xF0700, 0xF0701
MIB = 1 << 20


def on_control(data: bytes) -> Callable[[Client], None]:
    """Something more on the client's control stream."""

    def say(client: Client) -> None:
        assert client.http._local_control_stream_id is not None
        client._quic.send_stream_data(client.http._local_control_stream_id, data)

    return say


def on_table(data: bytes, *, of_decoder: bool = False) -> Callable[[Client], None]:
    """The same on the streams of the header table."""

    def say(client: Client) -> None:
        stream_id = client.http._local_decoder_stream_id if of_decoder else client.http._local_encoder_stream_id
        assert stream_id is not None
        client._quic.send_stream_data(stream_id, data)

    return say


def on_request(data: bytes, *, is_end: bool = False) -> Callable[[Client], None]:
    """A request stream with anything on it."""

    def say(client: Client) -> None:
        client._quic.send_stream_data(client._quic.get_next_available_stream_id(), data, is_end)

    return say


def on_new_one_way(data: bytes) -> Callable[[Client], None]:
    def say(client: Client) -> None:
        stream_id = client._quic.get_next_available_stream_id(is_unidirectional=True)
        client._quic.send_stream_data(stream_id, data)

    return say


def end_control(client: Client) -> None:
    assert client.http._local_control_stream_id is not None
    client._quic.send_stream_data(client.http._local_control_stream_id, b"", end_stream=True)


def reset_control(client: Client) -> None:
    assert client.http._local_control_stream_id is not None
    client._quic.reset_stream(client.http._local_control_stream_id, 0)


def stop_servers_control(client: Client) -> None:
    client._quic.stop_stream(SERVERS_CONTROL_STREAM, 0)


def frame(kind: int, payload: bytes = b"") -> bytes:
    return encode_frame(kind, payload)


ABUSES: dict[str, tuple[Callable[[Client], None], ErrorCode]] = {
    "SETTINGS twice": (on_control(frame(FrameType.SETTINGS, encode_settings({}))), ErrorCode.H3_FRAME_UNEXPECTED),
    "DATA on the control stream": (on_control(frame(FrameType.DATA, b"x")), ErrorCode.H3_FRAME_UNEXPECTED),
    "a frame of HTTP/2 on the control stream": (on_control(frame(0x2, b"x")), ErrorCode.H3_FRAME_UNEXPECTED),
    "MAX_PUSH_ID that falls": (
        on_control(frame(FrameType.MAX_PUSH_ID, b"\x05") + frame(FrameType.MAX_PUSH_ID, b"\x04")),
        ErrorCode.H3_ID_ERROR,
    ),
    "PRIORITY_UPDATE of a push": (on_control(frame(PRIORITY_UPDATE_OF_PUSH, b"\x00u=1")), ErrorCode.H3_ID_ERROR),
    "PRIORITY_UPDATE of what is no request": (on_control(frame(PRIORITY_UPDATE, b"\x02u=1")), ErrorCode.H3_ID_ERROR),
    "PRIORITY_UPDATE beyond the streams allowed": (
        on_control(frame(PRIORITY_UPDATE, encode_uint_var(4_000_000) + b"u=1")),
        ErrorCode.H3_ID_ERROR,
    ),
    "PRIORITY_UPDATE of nothing": (on_control(frame(PRIORITY_UPDATE)), ErrorCode.H3_FRAME_ERROR),
    "PRIORITY_UPDATE without an end": (
        on_control(encode_uint_var(PRIORITY_UPDATE) + encode_uint_var(1 << 20)),
        ErrorCode.H3_EXCESSIVE_LOAD,
    ),
    "PRIORITY_UPDATE on a request": (on_request(frame(PRIORITY_UPDATE, b"\x00u=1")), ErrorCode.H3_FRAME_UNEXPECTED),
    "the control stream ended": (end_control, ErrorCode.H3_CLOSED_CRITICAL_STREAM),
    "the control stream reset": (reset_control, ErrorCode.H3_CLOSED_CRITICAL_STREAM),
    "our control stream stopped": (stop_servers_control, ErrorCode.H3_CLOSED_CRITICAL_STREAM),
    "two control streams": (
        on_new_one_way(encode_uint_var(StreamType.CONTROL)),
        ErrorCode.H3_STREAM_CREATION_ERROR,
    ),
    "a push of a client's": (on_new_one_way(encode_uint_var(StreamType.PUSH)), ErrorCode.H3_STREAM_CREATION_ERROR),
    "DATA before HEADERS": (on_request(frame(FrameType.DATA, b"x")), ErrorCode.H3_FRAME_UNEXPECTED),
    "SETTINGS on a request": (on_request(frame(FrameType.SETTINGS)), ErrorCode.H3_FRAME_UNEXPECTED),
    "GOAWAY on a request": (on_request(frame(FrameType.GOAWAY, b"\x00")), ErrorCode.H3_FRAME_UNEXPECTED),
    "PUSH_PROMISE of a client's": (on_request(frame(FrameType.PUSH_PROMISE, b"\x00")), ErrorCode.H3_FRAME_UNEXPECTED),
    "a frame of HTTP/2 on a request": (on_request(frame(0x6, b"x")), ErrorCode.H3_FRAME_UNEXPECTED),
    "a frame cut short": (on_request(b"\x01\x20abc", is_end=True), ErrorCode.H3_FRAME_ERROR),
    "HEADERS that are none": (on_request(frame(FrameType.HEADERS, b"\xff" * 20)), ErrorCode.QPACK_DECOMPRESSION_FAILED),
    "a header table that is none": (on_table(b"\x3f\xff\xff\xff\xff\x7f"), ErrorCode.QPACK_ENCODER_STREAM_ERROR),
    "acknowledgements of nothing": (
        on_table(b"\x3f\xff\xff\x7f", of_decoder=True),
        ErrorCode.QPACK_DECODER_STREAM_ERROR,
    ),
}


@pytest.mark.parametrize("name", ABUSES)
async def test_a_broken_rule_ends_its_connection_by_the_right_code(
    client: Client, listener: QuicListener, certificate: CertificateFiles, name: str
) -> None:
    abuse, code = ABUSES[name]
    await client.get("/hello")
    abuse(client)
    client.transmit()
    await asyncio.wait_for(client.wait_closed(), 5)

    assert client.terminated is not None
    assert ErrorCode(client.terminated.error_code) is code
    async with connected(listener, certificate) as another:
        assert (await another.get("/hello")).body == b"hello"


FIRST_WORDS = {
    "no SETTINGS first": (frame(FrameType.GOAWAY, b"\x00"), ErrorCode.H3_MISSING_SETTINGS),
    "a setting of HTTP/2": (frame(FrameType.SETTINGS, encode_settings({0x4: 1})), ErrorCode.H3_SETTINGS_ERROR),
    "a setting said twice": (
        frame(FrameType.SETTINGS, encode_settings({Setting.QPACK_BLOCKED_STREAMS: 1}) * 2),
        ErrorCode.H3_SETTINGS_ERROR,
    ),
}


@pytest.mark.parametrize("name", FIRST_WORDS)
async def test_a_wrong_first_word_ends_its_connection_by_the_right_code(
    listener: QuicListener, certificate: CertificateFiles, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, code = FIRST_WORDS[name]

    class Rude(H3Connection):
        def _init_connection(self) -> None:
            stream_id = self._create_uni_stream(StreamType.CONTROL)
            self._quic.send_stream_data(stream_id, words)

    monkeypatch.setattr("tests.http.quic_client.H3Connection", Rude)
    async with connected(listener, certificate) as client:
        await asyncio.wait_for(client.wait_closed(), 5)

        assert client.terminated is not None
        assert ErrorCode(client.terminated.error_code) is code


async def test_unknown_frames_streams_and_settings_are_read_past(client: Client) -> None:
    for abuse in (
        on_control(frame(0x21, CHUNK)),
        on_new_one_way(encode_uint_var(0x21) + CHUNK),
        on_control(frame(FrameType.GOAWAY, b"\x00")),
    ):
        abuse(client)
    client.transmit()

    assert (await client.get("/hello")).body == b"hello"


async def test_a_request_of_bytes_that_each_stand_for_3_kb_is_not_unfolded(client: Client) -> None:
    entry = b"\x41" + b"a" + b"\x7f" + encode_prefixed(3000 - 127) + b"x" * 3000
    on_table(b"\x3f" + encode_prefixed(4096 - 31) + entry)(client)
    await client.get("/hello")
    tracemalloc.start()
    on_request(frame(FrameType.HEADERS, b"\x02\x00" + b"\x80" * 30_000))(client)
    client.transmit()
    await asyncio.wait_for(client.wait_closed(), 5)
    _, highest_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert client.terminated is not None
    assert client.terminated.error_code == ErrorCode.H3_EXCESSIVE_LOAD
    assert highest_bytes < 4 * MIB


@example([(b"a", b"")] * 256)
@example([(b"a", b"")] * 257)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=300)), max_size=300))
def test_the_lines_of_a_request_are_counted_right(fields: list[tuple[bytes, bytes]]) -> None:
    names = [b"x" + name.hex().encode() for name, _ in fields]
    _, section = pylsqpack.Encoder().encode(0, [(name, value) for name, (_, value) in zip(names, fields, strict=True)])

    assert has_many_lines(section) == (len(fields) > 256 and len(section) > 256)


def encode_prefixed(rest: int) -> bytes:
    """What follows a full prefix of an integer (RFC 7541 §5.1)."""
    encoded = bytearray()
    while rest >= 128:
        encoded.append(rest % 128 + 128)
        rest //= 128
    return bytes([*encoded, rest])


async def test_two_thousand_resets_in_a_row_keep_nobody_waiting(
    client: Client, listener: QuicListener, certificate: CertificateFiles
) -> None:
    async with connected(listener, certificate) as another:
        for _ in range(20):
            for _ in range(100):
                client.cancel(client.open("/sleep"))
            await client.ping()
        answer = await asyncio.wait_for(another.get("/hello"), 1)

    assert answer.body == b"hello"
    assert len(listener.tasks) < 5
