"""Who is let in, and what those cost who are not: raw sockets say the things that no honest peer says."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.dimse.peers import Limits, Peer
from tests.dimse.dimse_node import EVERYTHING, DimseNode, dimse_node

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PEERS = (
    Peer("PEER", ("127.0.0.1",), EVERYTHING),
    Peer("ELSEWHERE", ("192.0.2.0/24",), EVERYTHING),
)
_LIMITS = Limits(associations=4, half_open=100, request_s=3, idle_s=3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DimseNode]:
    async with dimse_node(tmp_path_factory.mktemp("node"), peers=_PEERS, limits=_LIMITS) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def node(shared_node: DimseNode) -> AsyncIterator[DimseNode]:
    yield shared_node
    await shared_node.until_nobody_is_here()
    shared_node.told.clear()


def request(*, calling: bytes = b"PEER", called: bytes = b"APPLIANCE") -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 §9.3.2) that proposes verification in implicit VR little endian."""

    def item(kind: int, value: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(value)) + value

    context = item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")
    items = item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, b"\x01\0\0\0" + context) + item(0x50, user)
    body = b"\0\x01\0\0" + called.ljust(16) + calling.ljust(16) + bytes(32) + items
    return struct.pack(">BBI", 1, 0, len(body)) + body


ACCEPTED = 2
REJECTED = 3
ABORTED = 7


async def say(node: DimseNode, data: bytes) -> bytes:
    """What is answered to these bytes first; nothing if the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(4096), 8)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_a_known_peer_is_let_in(node: DimseNode) -> None:
    assert (await say(node, request()))[0] == ACCEPTED


@pytest.mark.parametrize(
    ("calling", "outcome"),
    [
        (b"NOBODY", "unknown-peer"),
        (b"ELSEWHERE", "wrong-host"),
        (b"../../etc/passwd", "unknown-peer"),
        (b"/dev/null", "unknown-peer"),
        (b"\xff\xfe<script>", "unknown-peer"),
        (b"", "unknown-peer"),
    ],
)
async def test_who_is_not_known_here_is_rejected_for_its_title(node: DimseNode, calling: bytes, outcome: str) -> None:
    answer = await say(node, request(calling=calling))

    assert (answer[0], answer[7:10]) == (REJECTED, b"\x01\x01\x03")
    await node.until("associations", outcome)


async def test_who_calls_another_title_is_rejected(node: DimseNode) -> None:
    answer = await say(node, request(called=b"SOMEBODY"))

    assert (answer[0], answer[7:10]) == (REJECTED, b"\x01\x01\x07")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x01\x00\xff\xff\xff\xff" + bytes(100),
        b"\x01\x00\x00\x00\x00\x02ab",
        b"\x04\x00\x00\x00\x00\x10" + bytes(16),
    ],
    ids=["HTTP", "huge length", "short request", "data before a request"],
)
async def test_what_is_no_request_is_aborted(node: DimseNode, data: bytes) -> None:
    assert (await say(node, data))[0] == ABORTED
    await node.until("associations", "not-understood")


async def test_a_request_whose_items_are_rubbish_harms_nobody(node: DimseNode) -> None:
    head = request()[:74]
    rubbish = struct.pack(">BBI", 1, 0, 68 + 400) + head[6:] + b"\x20\x00\xff\xff" * 100

    await say(node, rubbish)

    assert (await say(node, request()))[0] == ACCEPTED


async def test_a_pdu_of_a_huge_length_ends_the_association(node: DimseNode) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(request())
    assert (await reader.read(4096))[0] == ACCEPTED

    writer.write(b"\x04\x00\xff\xff\xff\xf0" + bytes(1000))

    rest = b""
    while piece := await asyncio.wait_for(_read(reader), 5):
        rest += piece
    writer.close()
    assert rest[:1] in (b"", bytes([ABORTED]))


async def test_a_command_without_end_ends_the_association(node: DimseNode) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(request())
    assert (await reader.read(4096))[0] == ACCEPTED

    fragment = struct.pack(">IBB", 16002, 1, 1) + bytes(16000)
    for _ in range(10):
        writer.write(struct.pack(">BBI", 4, 0, len(fragment)) + fragment)

    assert (await asyncio.wait_for(_read(reader), 5))[:1] in (b"", bytes([ABORTED]))
    writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(4096)
    except ConnectionResetError:
        return b""


async def test_one_association_too_many_is_rejected_as_a_passing_state(node: DimseNode) -> None:
    connections = [await asyncio.open_connection("127.0.0.1", node.port) for _ in range(_LIMITS.associations)]
    for reader, writer in connections:
        writer.write(request())
        assert (await reader.read(4096))[0] == ACCEPTED

    answer = await say(node, request())

    assert (answer[0], answer[7:10]) == (REJECTED, b"\x02\x03\x02")
    for _, writer in connections:
        writer.close()
    async with asyncio.timeout(5):
        while (await say(node, request()))[0] != ACCEPTED:
            await asyncio.sleep(0.1)


async def test_a_peer_that_says_nothing_more_is_aborted_after_the_idle_time(node: DimseNode) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(request())
    assert (await reader.read(4096))[0] == ACCEPTED

    assert (await asyncio.wait_for(reader.read(4096), 2 * _LIMITS.idle_s))[0] == ABORTED
    writer.close()


async def test_a_connection_that_asks_for_nothing_is_closed(node: DimseNode) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(request()[:50])

    assert await asyncio.wait_for(reader.read(), 2 * _LIMITS.request_s) == b""
    writer.close()
    await node.until("associations", "too-slow")


async def test_half_open_connections_by_the_thousand_keep_nobody_out(node: DimseNode) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    (pid,) = node.dimse.pids
    strangers: list[socket.socket] = []
    try:
        for _ in range(2000):
            strangers.append(socket.create_connection(("127.0.0.1", node.port)))
            strangers[-1].send(b"\x01\x00")
            if len(strangers) % 50 == 0:
                await asyncio.sleep(0)

        assert (await node.call("echoscu"))[0] == 0
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    finally:
        for stranger in strangers:
            stranger.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert descriptors < _LIMITS.half_open + 60
    assert threads < 40
    await node.until("associations", "pushed-out", 1500)
