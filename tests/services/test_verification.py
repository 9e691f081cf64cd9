"""Every kept byte read again: what is not as it came is named, in both kinds of stores."""

from pathlib import Path

import pytest

from appliance.domain.errors import Conflict
from appliance.services.verification import Verification, row_count, verified
from appliance.storage import index
from tests.services.node_parts import NodeParts, ct_slice, encoded, node_parts


@pytest.fixture(params=["plain", "sealed"])
async def node(request, tmp_path):
    async with node_parts(tmp_path, is_sealed=request.param == "sealed") as parts:
        for number in range(3):
            await parts.put(encoded(ct_slice(number, value=number)))
        yield parts


def verify(node: NodeParts) -> Verification:
    return verified(node.store, node.database, lambda: None)


def place_of(node: NodeParts, number: int) -> Path:
    key = node.database.read(lambda tx: index.key_of(tx, f"1.2.3.1.{number}"))
    return node.store.place_of(key)


def flip(place: Path, offset: int) -> None:
    data = bytearray(place.read_bytes())
    data[offset] ^= 1
    place.write_bytes(data)


async def test_a_sound_store_has_no_fault_and_all_of_it_is_read(node):
    with pytest.raises(Conflict):
        await node.put(encoded(ct_slice(0, value=9)))
    counted = []

    outcome = verified(node.store, node.database, lambda: counted.append(1))

    assert (outcome.instances, outcome.conflicts, outcome.faults) == (3, 1, [])
    assert outcome.bytes_read == 4 * len(encoded(ct_slice(0)))
    assert len(counted) == row_count(node.database) == 4


@pytest.mark.parametrize("offset", [300, -20])
async def test_a_flipped_byte_is_damage(node, offset):
    flip(place_of(node, 1), offset)

    (fault,) = verify(node).faults

    assert (fault.kind, fault.instance_uid) == ("damaged", "1.2.3.1.1")


async def test_a_deleted_file_is_missing(node):
    place_of(node, 1).unlink()

    (fault,) = verify(node).faults

    assert (fault.kind, fault.instance_uid) == ("missing", "1.2.3.1.1")


async def test_files_that_were_swapped_are_both_damage(node):
    first, second = place_of(node, 1), place_of(node, 2)
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)

    faults = verify(node).faults

    assert sorted((fault.kind, fault.instance_uid) for fault in faults) == [
        ("damaged", "1.2.3.1.1"),
        ("damaged", "1.2.3.1.2"),
    ]


async def test_a_shortened_file_is_damage(node):
    place = place_of(node, 1)
    place.write_bytes(place.read_bytes()[:-7])

    assert [fault.kind for fault in verify(node).faults] == ["damaged"]


async def test_an_md5_that_was_changed_in_the_index_is_named(node):
    node.database.run(
        lambda tx: tx.execute(index.InstanceRow.update(md5="0" * 32).where(index.InstanceRow.number == 1))
    )

    (fault,) = verify(node).faults

    assert "MD5" in fault.reason


async def test_bytes_without_a_row_are_an_orphan(node):
    spool = node.store.begin()
    spool.write(b"nobody knows me")
    key = spool.commit()

    (fault,) = verify(node).faults

    assert (fault.kind, fault.key, fault.instance_uid) == ("orphaned", key, None)


async def test_damaged_bytes_of_a_conflict_are_named_as_such(node):
    with pytest.raises(Conflict):
        await node.put(encoded(ct_slice(0, value=9)))
    (conflict,) = (await node.conflicts()).conflicts
    flip(node.store.place_of(conflict.refused_key), 300)

    (fault,) = verify(node).faults

    assert (fault.kind, fault.key, fault.is_conflict) == ("damaged", conflict.refused_key, True)
