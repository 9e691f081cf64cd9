"""Urgent answers go first, over HTTP/3 and HTTP/2 (RFC 9218)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import encode_frame

from appliance.http.certificates import CertificateFiles
from appliance.http.priorities import Priority, read_priority
from appliance.http.quic import QuicListener
from tests.http.quic_client import Client, connected
from tests.http.scripted_application import CHUNK, ScriptedApplication
from tests.http.test_listeners import over_h2, serving

PRIORITY_UPDATE = 0xF0700
WINDOW_BYTES = 16 << 10
HEAD_BYTES = 1 << 10
"""An answer of which more is there is more than its head."""


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        (b"", Priority(3, False)),
        (b"u=0", Priority(0, False)),
        (b"u=5, i", Priority(5, True)),
        (b"i,u=1", Priority(1, True)),
        (b"u=1,u=2", Priority(2, False)),
        (b"i=?1", Priority(3, True)),
        (b"i=?0", Priority(3, False)),
        (b"u=1;x=2, i;y", Priority(1, True)),
        (b"u=8", Priority(3, False)),
        (b"u=-1", Priority(3, False)),
        (b"u=high, i=1", Priority(3, False)),
        (b"u=" + b"9" * 5000, Priority(3, False)),
        (b"a=(1 2), u=4", Priority(4, False)),
        (b"\xff\x00,,=,u=6", Priority(6, False)),
    ],
)
def test_a_priority_is_read_and_what_is_unknown_is_ignored(value: bytes, priority: Priority) -> None:
    assert read_priority(value) == priority


class NarrowClient:
    """A client over HTTP/3 that lets the server send so much and no more, until it opens its window."""

    def __init__(self, client: Client, listener: QuicListener) -> None:
        self._client = client
        self._listener = listener
        client._quic._write_connection_limits = lambda builder, space: None

    async def ask(self, priority: bytes = b"", path: str = "/large?1") -> int:
        """A picture is asked for; on return its answer waits for room."""
        headers = [(b"priority", priority)] if priority else []
        stream_id = self._client.open(path, headers=headers)
        await until(lambda: self._waiting_bytes(stream_id) > HEAD_BYTES)
        return stream_id

    def _waiting_bytes(self, stream_id: int) -> int:
        """Of an answer, at the server."""
        (connection,) = self._listener.connections
        stream = connection._quic._streams.get(stream_id)
        return len(stream.sender._buffer) if stream else 0

    async def update(self, stream_id: int, priority: bytes) -> None:
        frame = encode_frame(PRIORITY_UPDATE, encode_uint_var(stream_id) + priority)
        control_stream_id = self._client.http._local_control_stream_id
        assert control_stream_id is not None
        self._client._quic.send_stream_data(control_stream_id, frame)
        self._client.transmit()
        (connection,) = self._listener.connections
        await until(lambda: connection.http3._order.priority(stream_id) == read_priority(priority))

    async def order(self, *stream_ids: int) -> list[int]:
        """All answers are let in: the streams of what comes from now on, piece by piece."""
        self._client.arrivals.clear()
        del self._client._quic._write_connection_limits
        self._client._quic._local_max_data.value += 64 << 20
        self._client.transmit()
        for stream_id in stream_ids:
            assert bytes((await self._client.wait_for(stream_id)).body) == CHUNK
        return self._client.arrivals


@pytest.fixture
async def narrow(listener: QuicListener, certificate: CertificateFiles):
    async with connected(listener, certificate, max_data=WINDOW_BYTES) as client:
        yield NarrowClient(client, listener)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.005)


def is_before(arrivals: list[int], first: int, second: int) -> bool:
    """Whether hardly any piece of the second came before the last of the first; a datagram may be lost and come later."""
    last = len(arrivals) - arrivals[::-1].index(first)
    return arrivals[:last].count(second) < 0.2 * arrivals.count(second)


async def test_the_urgent_picture_comes_before_the_prefetch_that_was_asked_for_first(narrow: NarrowClient) -> None:
    prefetch = await narrow.ask(b"u=5, i")
    urgent = await narrow.ask(b"u=1, i")

    assert is_before(await narrow.order(prefetch, urgent), urgent, prefetch)


async def test_an_answer_that_says_how_urgent_it_is_knows_better_than_its_request(narrow: NarrowClient) -> None:
    picture = await narrow.ask(b"u=2")
    first = await narrow.ask(b"u=5", "/said?u=0")
    last = await narrow.ask(b"u=1", "/said?u=6")

    arrivals = await narrow.order(picture, first, last)

    assert is_before(arrivals, first, picture)
    assert is_before(arrivals, picture, last)


async def test_what_an_answer_leaves_open_its_request_has_said(narrow: NarrowClient) -> None:
    pieces = [await narrow.ask(b"u=1", "/said?i") for _ in range(2)]
    later = await narrow.ask(b"u=3")

    arrivals = await narrow.order(*pieces, later)

    assert is_before(arrivals, pieces[1], later)
    assert not is_before(arrivals, pieces[0], pieces[1])


async def test_a_request_that_says_nothing_stands_between(narrow: NarrowClient) -> None:
    prefetch = await narrow.ask(b"u=4")
    plain = await narrow.ask()
    urgent = await narrow.ask(b"u=2")

    arrivals = await narrow.order(prefetch, plain, urgent)

    assert is_before(arrivals, urgent, plain)
    assert is_before(arrivals, plain, prefetch)


async def test_a_prefetch_that_has_become_urgent_comes_first(narrow: NarrowClient) -> None:
    first = await narrow.ask(b"u=2")
    second = await narrow.ask(b"u=6")
    await narrow.update(second, b"u=0")

    assert is_before(await narrow.order(first, second), second, first)


async def test_an_update_that_comes_before_its_request_counts(narrow: NarrowClient) -> None:
    first = await narrow.ask(b"u=2")
    await narrow.update(first + 4, b"u=0")
    second = await narrow.ask(b"u=6")

    assert is_before(await narrow.order(first, second), second, first)


async def test_equally_urgent_pictures_come_one_after_another_unless_pieces_are_of_use(narrow: NarrowClient) -> None:
    whole = [await narrow.ask(b"u=1") for _ in range(3)]
    pieces = [await narrow.ask(b"u=2, i") for _ in range(3)]

    arrivals = await narrow.order(*whole, *pieces)

    assert is_before(arrivals, whole[0], whole[1])
    assert is_before(arrivals, whole[2], pieces[0])
    assert not is_before(arrivals, pieces[0], pieces[1])
    assert not is_before(arrivals, pieces[1], pieces[0])


async def test_priorities_of_requests_that_are_over_are_not_kept(client: Client, listener: QuicListener) -> None:
    for _ in range(4):
        await asyncio.gather(*(client.get("/hello", headers=[(b"priority", b"u=1")]) for _ in range(100)))
    (connection,) = listener.connections

    assert len(connection.http3._order._priorities) <= 257


async def test_over_http_2_the_urgent_picture_comes_first_as_well(
    application: ScriptedApplication, certificate: CertificateFiles
) -> None:
    async with serving(application, certificate) as (address, _), over_h2(address, certificate) as client:
        prefetch = client.ask("/large?4", [("priority", "u=5, i")])
        await asyncio.sleep(0.1)
        urgent = client.ask("/large?4", [("priority", "u=1, i")])
        await asyncio.sleep(0.1)
        arrivals = await client.order(prefetch, urgent)

    assert is_before(past_first_window(arrivals), urgent, prefetch)


async def test_over_http_2_an_answer_that_says_how_urgent_it_is_knows_better(
    application: ScriptedApplication, certificate: CertificateFiles
) -> None:
    async with serving(application, certificate) as (address, _), over_h2(address, certificate) as client:
        picture = client.ask("/large?4", [("priority", "u=2")])
        await asyncio.sleep(0.1)
        description = client.ask("/said?u=0", [("priority", "u=5")])
        await asyncio.sleep(0.1)
        arrivals = await client.order(picture, description)

    assert is_before(past_first_window(arrivals), description, picture)


async def test_over_http_2_a_prefetch_that_has_become_urgent_comes_first(
    application: ScriptedApplication, certificate: CertificateFiles
) -> None:
    async with serving(application, certificate) as (address, _), over_h2(address, certificate) as client:
        first = client.ask("/large?4", [("priority", "u=2")])
        await asyncio.sleep(0.1)
        second = client.ask("/large?4", [("priority", "u=6")])
        client.update_priority(second, b"u=0")
        await asyncio.sleep(0.1)
        arrivals = await client.order(first, second)

    assert is_before(past_first_window(arrivals), second, first)


def past_first_window(arrivals: list[int]) -> list[int]:
    """Without what the first request was sent while it was alone."""
    return arrivals[next(number for number, one in enumerate(arrivals) if one != arrivals[0]) :]
