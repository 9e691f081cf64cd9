"""PDUs and messages of honest peers with bytes changed, cut and doubled: the process lives, and serves the next one."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from pathlib import Path

import pytest

from appliance.dimse.peers import Limits
from appliance.storage.part10 import data_set_offset
from appliance.storage.stream import InMemory
from tests.dimse.dimse_node import DimseNode, dimse_node
from tests.services.node_parts import ct_slice, encoded

_CT = b"1.2.840.10008.5.1.4.1.1.2"
_FIND = b"1.2.840.10008.5.1.4.1.2.2.1"


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def association() -> bytes:
    """A-ASSOCIATE-RQ with contexts 1 (CT) and 3 (study root FIND), explicit VR little endian (PS3.8 §9.3.2)."""
    contexts = b"".join(
        item(0x20, bytes([number, 0, 0, 0]) + item(0x30, uid) + item(0x40, b"1.2.840.10008.1.2.1"))
        for number, uid in ((1, _CT), (3, _FIND))
    )
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3"))
    titles = b"APPLIANCE".ljust(16) + b"PEER".ljust(16)
    return pdu(1, b"\0\x01\0\0" + titles + bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user)


def command(*elements: tuple[int, bytes]) -> bytes:
    """A command set: elements of group 0 in implicit VR little endian (PS3.7 §6.3.1)."""
    body = b"".join(struct.pack("<HHI", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def message(context: int, of_command: bytes, data_set: bytes) -> bytes:
    """Both in P-DATA-TF PDUs (PS3.8 §9.3.5, annex E)."""
    values = ((3, of_command), (2, data_set))
    return b"".join(pdu(4, struct.pack(">IBB", len(data) + 2, context, control) + data) for control, data in values)


def store() -> bytes:
    content = encoded(ct_slice())
    elements = (
        (2, _CT + b"\0"),
        (0x100, b"\1\0"),
        (0x110, b"\1\0"),
        (0x700, b"\0\0"),
        (0x800, b"\1\0"),
        (0x1000, b"1.2.3.1.1\0"),
    )
    return message(1, command(*elements), content[data_set_offset(InMemory(content)) :])


def find() -> bytes:
    identifier = b"\x08\0\x52\0CS\x06\0STUDY \x10\0\x10\0PN\x02\0* "
    elements = ((2, _FIND + b"\0"), (0x100, b"\x20\0"), (0x110, b"\2\0"), (0x700, b"\0\0"), (0x800, b"\1\0"))
    return message(3, command(*elements), identifier)


RELEASE = pdu(5, bytes(4))


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.choice((0, 0x7F, 0xFF))
            case 2:
                del changed[at : at + chance.randrange(1, 16)]
            case _:
                changed[at:at] = changed[at : at + chance.randrange(1, 16)]
        if not changed:
            return b"\0"
    return bytes(changed)


async def exchange(node: DimseNode, request: bytes, rest: bytes, *, patience_s: float = 0.15) -> bytes:
    """All that is answered, to a request and to what comes after it, until there is nothing more for a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    answer = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        writer.write(request)
        answer += await asyncio.wait_for(reader.read(65536), 2)
        writer.write(rest)
        while piece := await asyncio.wait_for(reader.read(65536), patience_s):
            answer += piece
    writer.close()
    return answer


async def test_the_unchanged_messages_are_understood(tmp_path: Path) -> None:
    async with dimse_node(tmp_path) as node:
        answers = [await exchange(node, association(), one + RELEASE, patience_s=10) for one in (store(), find())]

        assert [answer[0] for answer in answers] == [2, 2]
        assert list(node.held()) == ["1.2.3.1.1"]
        await node.until("operations", "store success")
        await node.until("operations", "find success")


@pytest.mark.parametrize("count", [15, pytest.param(3000, marks=pytest.mark.long)])
async def test_changed_messages_harm_nobody(tmp_path: Path, count: int) -> None:
    limits = Limits(idle_s=2, request_s=2, associations=16)
    async with dimse_node(tmp_path, limits=limits) as node:
        (pid,) = node.dimse.pids
        for seed in range(count):
            chance = random.Random(seed)
            parts = [association(), store(), find(), RELEASE]
            which = chance.randrange(3)
            parts[which] = mutated(parts[which], chance)
            await exchange(node, parts[0], b"".join(parts[1:]))

        async with asyncio.timeout(10):
            while (await node.call("echoscu"))[0] != 0:
                await asyncio.sleep(0.5)
        assert node.dimse.pids == [pid]
        assert node.dimse.restarts == 0
        async with asyncio.timeout(10):
            while node.dimse.associations_open or node.parts.spooled_files():
                await asyncio.sleep(0.1)
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) < 40
