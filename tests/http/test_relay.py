"""An application behind a relay, as in a front process, keeps every promise of one that stands behind its listener itself."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from appliance.http.certificates import CertificateFiles
from appliance.http.quic import QuicListener
from appliance.http.relay import AHEAD_BYTES, Channel, Gate, Kind, Relay
from tests.http.quic_client import Client, listening
from tests.http.scripted_application import CHUNK, ScriptedApplication

# The same sentences, of the listener below.
from tests.http.test_quic import (  # noqa: F401
    test_a_body_comes_back_whole,
    test_a_cancelled_request_cancels_its_handler_before_any_answer,
    test_a_cancelled_stream_of_an_answer_stops_its_making,
    test_a_closed_connection_cancels_all_its_handlers,
    test_a_get_is_answered,
    test_a_handler_that_hears_and_stays_is_cancelled,
    test_a_handler_that_listens_hears_of_it,
    test_a_request_cancelled_at_once_leaves_nothing,
    test_an_answer_that_fails_midway_is_broken_off,
    test_an_application_that_fails_is_a_problem_without_its_reason,
    test_an_early_answer_arrives_within_the_upload,
    test_an_upload_that_is_reset_is_told,
    test_cookies_that_were_split_are_one_field_again,
    test_draining_ends_at_its_deadline,
    test_draining_finishes_what_is_under_way,
    test_head_has_the_fields_and_no_body,
    test_stop_sending_alone_is_enough,
    test_the_scope_says_what_was_asked,
    test_trailers_are_read_past,
)


class Ends:
    """A relay and its gate in one process, with a real socket pair between them."""

    def __init__(self, application: Any) -> None:
        self.gate = Gate(application)
        self.at_front = Channel(self._heard, self._lost)
        self.at_application = Channel(lambda *message: self.gate.heard(self.at_application, *message), self.gate.lost)
        self.relay = Relay(self.at_front)

    def _heard(self, number: int, kind: Kind, payload: bytes) -> None:
        self.relay.heard(number, kind, payload)

    def _lost(self) -> None:
        self.relay.lost()

    @property
    def open_requests(self) -> int:
        return len(self.gate._open) + len(self.relay._open)


@asynccontextmanager
async def joined(application: Any) -> AsyncIterator[Ends]:
    ends, loop = Ends(application), asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    await loop.create_connection(lambda: ends.at_application, sock=ours)
    await loop.create_connection(lambda: ends.at_front, sock=theirs)
    try:
        yield ends
    finally:
        ends.at_front.close()
        ends.at_application.close()


@pytest.fixture
async def ends(application: ScriptedApplication) -> AsyncIterator[Ends]:
    async with joined(application) as ends:
        yield ends


@pytest.fixture
async def listener(ends: Ends, certificate: CertificateFiles) -> AsyncIterator[QuicListener]:
    """The scripted application over HTTP/3, behind the relay."""
    async with listening(ends.relay, certificate) as listener:
        yield listener


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_what_a_request_was_is_forgotten_when_it_is_over(client: Client, ends: Ends) -> None:
    cancelled = client.open("/sleep")
    await client.get("/hello")
    client.cancel(cancelled)
    await client.get("/fail_late")

    await until(lambda: ends.open_requests == 0)


async def test_an_answer_that_is_not_taken_is_not_made(ends: Ends, application: ScriptedApplication) -> None:
    """The front's ``send`` waits, as a listener's does: so does the application's."""
    taken, may_take = 0, asyncio.Event()

    async def send(message: Any) -> None:
        nonlocal taken
        await may_take.wait()
        taken += len(message.get("body", b""))

    answering = asyncio.create_task(ends.relay(scope_of("/stream", b"200"), nothing, send))
    await until(lambda: application.sent_bytes >= AHEAD_BYTES)
    before = -1
    while before != (before := application.sent_bytes):
        await asyncio.sleep(0.2)
    assert application.sent_bytes <= AHEAD_BYTES + len(CHUNK)

    may_take.set()
    await asyncio.wait_for(answering, 10)
    assert taken == 200 * len(CHUNK)


async def test_a_body_that_is_not_read_is_not_sent(ends: Ends, application: ScriptedApplication) -> None:
    asked = 0

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": CHUNK, "more_body": asked < 100}

    answer: list[Any] = []

    async def send(message: Any) -> None:
        answer.append(message)

    answering = asyncio.create_task(ends.relay(scope_of("/unhurried"), receive, send))
    await until(lambda: asked * len(CHUNK) > AHEAD_BYTES)
    before = -1
    while before != (before := asked):
        await asyncio.sleep(0.2)
    # the first of it was read, for the application reads once
    assert asked * len(CHUNK) <= 2 * AHEAD_BYTES + 2 * len(CHUNK)

    application.may_read.set()
    await asyncio.wait_for(answering, 10)
    assert answer[-1]["body"] == str(100 * len(CHUNK)).encode()


async def test_a_long_body_arrives_whole(client: Client) -> None:
    stream_id = client.open("/digest", method="POST", is_end=False)
    client.upload(stream_id, CHUNK * 24, is_end=True)

    assert (await client.wait_for(stream_id)).body == hashlib.sha256(CHUNK * 24).hexdigest().encode()


async def test_a_long_answer_arrives_whole(client: Client) -> None:
    assert bytes((await client.get("/stream?24")).body) == CHUNK * 24
    assert bytes((await client.get("/large?24")).body) == CHUNK * 24


async def test_a_front_that_dies_has_given_up_all_its_requests(
    client: Client, ends: Ends, application: ScriptedApplication
) -> None:
    client.open("/sleep")
    client.open("/listen")
    await until(lambda: len(application.scopes) == 2)

    ends.at_front.close()

    await application.until("sleep", "cancelled")
    await application.until("listen", "disconnected")


async def test_an_application_whose_process_dies_is_answered_for(client: Client, ends: Ends) -> None:
    before_an_answer = client.open("/sleep")
    within_one = client.open("/stream?100000")
    await client.wait_for(within_one, first_bytes=len(CHUNK))

    ends.at_application.close()

    assert (await client.wait_for(before_an_answer)).status == 500
    assert (await client.wait_for(within_one)).reset_code is not None


class Recorded:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.data += data


@pytest.mark.parametrize("size", [1, 3, 13, 14, 1000])
def test_messages_are_read_however_they_are_cut(size: int) -> None:
    told = [(7, Kind.BODY, b"abc"), (1 << 40, Kind.GONE, b""), (0, Kind.DRAIN, b"x")]
    heard: list[tuple[int, Kind, bytes]] = []
    written, sender = Recorded(), Channel(lambda *message: None, lambda: None)
    sender.connection_made(cast(Any, written))
    for message in told:
        sender.send(*message)

    reader = Channel(lambda *message: heard.append(message), lambda: None)
    for at in range(0, len(written.data), size):
        reader.data_received(written.data[at : at + size])

    assert heard == told


def scope_of(path: str, query: bytes = b"") -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "3",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


async def nothing() -> Any:
    """A request without a body, whose client stays."""
    await asyncio.sleep(3600)
