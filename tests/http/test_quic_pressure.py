"""Back-pressure over HTTP/3: what one client makes the server hold is bounded, whatever it asks for or sends."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aioquic.quic.stream import QuicStream

from appliance.http import receive_queue
from appliance.http.http3 import CONNECTION_WINDOW_BYTES, FIRST_WINDOW_BYTES, STREAM_WINDOW_BYTES
from appliance.http.quic import (
    CONNECTION_BUFFER_BYTES,
    PIECE_BYTES,
    STREAM_BUFFER_BYTES,
    HttpConnection,
    QuicListener,
)
from tests.http.leaks import MIB, resident_bytes
from tests.http.quic_client import Client
from tests.http.scripted_application import CHUNK, ScriptedApplication


def only_connection(listener: QuicListener) -> HttpConnection:
    (connection,) = listener.connections
    return connection


def held_bytes(listener: QuicListener) -> int:
    windows = only_connection(listener).windows
    assert windows is not None
    return windows.held_bytes()


@asynccontextmanager
async def highest(measure: Callable[[], int]) -> AsyncIterator[list[int]]:
    """The highest value of a measure, taken 200 times a second while the block runs."""
    seen = [measure()]

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.005)
            seen[0] = max(seen[0], measure())

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()


def keep_window_shut(client: Client) -> None:
    """The client takes what its first window holds, and no more."""
    client._quic._write_stream_limits = lambda builder, space, stream: None


def open_window(client: Client, stream: QuicStream) -> None:
    stream.max_stream_data_local += 64 * MIB
    del client._quic._write_stream_limits
    client.transmit()


# Answers


async def test_a_client_that_does_not_take_an_answer_stops_its_making(
    client: Client, listener: QuicListener, application: ScriptedApplication
) -> None:
    keep_window_shut(client)
    stream_id = client.open("/stream?200")
    await client.wait_for(stream_id, first_bytes=MIB - len(CHUNK))
    await asyncio.sleep(0.3)

    made_bytes = application.sent_bytes
    assert made_bytes <= MIB + STREAM_BUFFER_BYTES + 2 * PIECE_BYTES
    assert only_connection(listener).buffered_bytes <= STREAM_BUFFER_BYTES + 2 * PIECE_BYTES

    open_window(client, client._quic._streams[stream_id])
    answer = await client.wait_for(stream_id)
    assert len(answer.body) == 200 * len(CHUNK)


async def test_a_large_answer_in_one_message_is_bounded_as_well(client: Client, listener: QuicListener) -> None:
    keep_window_shut(client)
    stream_id = client.open("/large?100")
    await client.wait_for(stream_id, first_bytes=MIB - len(CHUNK))
    await asyncio.sleep(0.2)

    assert only_connection(listener).buffered_bytes <= STREAM_BUFFER_BYTES + 2 * PIECE_BYTES


async def test_many_answers_that_are_not_taken_share_one_bound(
    client: Client, listener: QuicListener, application: ScriptedApplication
) -> None:
    keep_window_shut(client)
    for _ in range(100):
        client.open("/stream?50")
    await asyncio.sleep(2)

    buffered_bytes = only_connection(listener).buffered_bytes
    assert CONNECTION_BUFFER_BYTES / 2 < buffered_bytes <= CONNECTION_BUFFER_BYTES + 100 * PIECE_BYTES + MIB


async def test_an_answer_that_is_not_taken_holds_up_no_other(client: Client, application: ScriptedApplication) -> None:
    keep_window_shut(client)
    held_id = client.open("/stream?200")
    await client.wait_for(held_id, first_bytes=MIB - len(CHUNK))

    assert (await client.get("/hello")).body == b"hello"
    assert not client.answers[held_id].is_complete


async def test_an_abandoned_answer_that_waited_for_room_ends(
    client: Client, listener: QuicListener, application: ScriptedApplication
) -> None:
    keep_window_shut(client)
    stream_id = client.open("/stream?200")
    await asyncio.sleep(0.3)
    client.cancel(stream_id)

    await application.until("stream", "cancelled")
    assert not only_connection(listener)._writers


async def test_sixteen_megabytes_pass_through_a_small_buffer(client: Client, listener: QuicListener) -> None:
    async with highest(lambda: only_connection(listener).buffered_bytes) as buffered:
        answer = await client.wait_for(client.open("/stream?256"), timeout_s=60)

    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(CHUNK * 256).digest()
    assert buffered[0] <= STREAM_BUFFER_BYTES + 2 * PIECE_BYTES


@pytest.mark.long
async def test_a_long_answer_leaves_memory_where_it_was(client: Client) -> None:
    stream_id = client.open("/stream?2400")
    await client.wait_for(stream_id, first_bytes=MIB)
    before = resident_bytes()
    async with highest(resident_bytes) as resident:
        while not client.answers[stream_id].is_complete:
            await client.wait_for(stream_id, first_bytes=1, timeout_s=120)
            client.answers[stream_id].body.clear()
            await asyncio.sleep(0.01)

    assert resident[0] - before < 24 * MIB


# Requests


async def test_a_body_that_is_not_read_is_not_received(
    client: Client, listener: QuicListener, application: ScriptedApplication
) -> None:
    stream_id = client.open("/sleep", method="POST", is_end=False)
    client.upload(stream_id, CHUNK * 64)
    await asyncio.sleep(0.5)

    assert 0 < held_bytes(listener) <= FIRST_WINDOW_BYTES
    assert client.unsent_bytes(stream_id) >= 64 * len(CHUNK) - FIRST_WINDOW_BYTES


async def test_a_body_that_is_read_slowly_is_received_slowly(
    client: Client, listener: QuicListener, application: ScriptedApplication
) -> None:
    stream_id = client.open("/unhurried", method="POST", is_end=False)
    client.upload(stream_id, CHUNK * 128, is_end=True)
    await asyncio.sleep(0.7)
    assert held_bytes(listener) <= STREAM_WINDOW_BYTES
    assert client.unsent_bytes(stream_id) > 128 * len(CHUNK) - 2 * STREAM_WINDOW_BYTES

    application.may_read.set()

    assert (await client.wait_for(stream_id)).body == str(128 * len(CHUNK)).encode()


async def until_steady(measure: Callable[[], int]) -> None:
    """Returns once the measure has not changed for half a second."""
    before = -1
    async with asyncio.timeout(30):
        while before != (before := measure()):
            await asyncio.sleep(0.5)


async def test_bodies_that_are_not_read_hold_up_no_other(client: Client, listener: QuicListener) -> None:
    for _ in range(100):
        client.upload(client.open("/sleep", method="POST", is_end=False), CHUNK * 2)
    await until_steady(lambda: held_bytes(listener))

    stream_id = client.open("/digest", method="POST", is_end=False)
    client.upload(stream_id, CHUNK * 48, is_end=True)

    answer = await client.wait_for(stream_id)
    assert answer.body == hashlib.sha256(CHUNK * 48).hexdigest().encode()


async def test_all_bodies_of_a_connection_share_one_bound(
    client: Client, listener: QuicListener, application: ScriptedApplication
) -> None:
    streams = [client.open("/unhurried", method="POST", is_end=False) for _ in range(30)]
    for stream_id in streams:
        client.upload(stream_id, CHUNK * 16, is_end=True)
    await until_steady(lambda: held_bytes(listener))
    assert CONNECTION_WINDOW_BYTES / 2 < held_bytes(listener) <= CONNECTION_WINDOW_BYTES

    application.may_read.set()

    answers = await asyncio.gather(*(client.wait_for(stream_id) for stream_id in streams))
    assert {bytes(answer.body) for answer in answers} == {str(16 * len(CHUNK)).encode()}


async def test_a_head_that_never_ends_is_bounded(client: Client, listener: QuicListener) -> None:
    stream_id = client._quic.get_next_available_stream_id()
    frame_of_a_gigabyte = b"\x01" + (1 << 30 | 2 << 62).to_bytes(8, "big").replace(b"\x80", b"\xc0", 1)
    client._quic.send_stream_data(stream_id, frame_of_a_gigabyte + bytes(4 * MIB))
    client.transmit()
    await asyncio.sleep(0.5)

    assert FIRST_WINDOW_BYTES / 2 < held_bytes(listener) <= FIRST_WINDOW_BYTES
    assert (await client.get("/hello")).body == b"hello"


async def check_upload(client: Client, listener: QuicListener, chunks: int) -> None:
    digest, resident = hashlib.sha256(), resident_bytes()
    started, worked = time.monotonic(), time.process_time()
    stream_id = client.open("/digest", method="POST", is_end=False)
    async with highest(lambda: held_bytes(listener)) as held, highest(resident_bytes) as highest_resident:
        for number in range(chunks):
            piece = number.to_bytes(4, "big") + CHUNK[4:]
            digest.update(piece)
            client.upload(stream_id, piece, is_end=number == chunks - 1)
            while client.unsent_bytes(stream_id) > 4 * MIB:
                await asyncio.sleep(0.001)
        answer = await client.wait_for(stream_id, timeout_s=300)
    size, seconds, worked_s = chunks * len(CHUNK), time.monotonic() - started, time.process_time() - worked
    grown = highest_resident[0] - resident
    print(
        f"{size / 1e6:.0f} MB uploaded over HTTP/3, client and server in one process: {size / 1e6 / seconds:.1f} MB/s, "
        f"{size / 1e6 / worked_s:.1f} MB per second of the processor, at most {held[0]} bytes held, "
        f"{grown / 1e6:+.1f} MB resident at the highest"
    )

    assert answer.body == digest.hexdigest().encode()
    assert held[0] <= STREAM_WINDOW_BYTES
    assert grown < 48 * MIB


async def test_an_upload_of_32_megabytes_arrives_whole(client: Client, listener: QuicListener) -> None:
    await check_upload(client, listener, 512)


@pytest.mark.long
@pytest.mark.parametrize("megabytes", [200, 2000])
async def test_an_upload_of_gigabytes_arrives_whole(client: Client, listener: QuicListener, megabytes: int) -> None:
    await check_upload(client, listener, megabytes * 16)


# The receive queue


async def test_what_comes_while_the_server_is_busy_is_not_dropped(
    listener: QuicListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,200 datagrams of a full line, a quarter of a second of 50 Mbit/s, while nobody reads."""
    if note := receive_queue.shortage(receive_queue.allowed_bytes()):
        pytest.skip(note)
    received = 0

    def receive(data: bytes, address: object) -> None:
        nonlocal received
        received += 1

    monkeypatch.setattr(listener._server, "datagram_received", receive)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        for _ in range(1200):
            line.sendto(bytes(1350), listener.address)
    await until_steady(lambda: received)

    assert received == 1200
