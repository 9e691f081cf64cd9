"""One road in: durable when acknowledged, absent when not, and refused by name."""

import asyncio
import struct
import time

import pytest

from appliance.domain.errors import Conflict, NotDicom, NotFound, StoreFull, TooLarge
from appliance.services.ingest import IngestSettings
from appliance.services.parse_process import ParseLimits
from appliance.storage import index
from appliance.storage.instances import Spool
from appliance.storage.structure import DataSetLimits
from tests.services.node_parts import NODE_ID, SOMEBODY, ct_slice, encoded, node_parts


@pytest.fixture
async def node(tmp_path):
    async with node_parts(tmp_path) as parts:
        yield parts


async def test_an_instance_is_kept_as_it_came(node):
    data = encoded(ct_slice())

    stored = await node.put(data)

    assert (stored.outcome, stored.study_uid, stored.series_uid, stored.instance_uid) == (
        "stored",
        "1.2.3",
        "1.2.3.1",
        "1.2.3.1.1",
    )
    image = await node.catalogue.stored_image("1.2.3", "1.2.3.1", "1.2.3.1.1")
    with node.store.open(image.key) as reader:
        assert reader.read_all() == data
    assert node.spooled_files() == []


@pytest.mark.parametrize("header_bytes", [0, 100_000, 300_000, 3_000_000])
async def test_an_instance_is_understood_however_long_its_header_is(node, header_bytes):
    ds = ct_slice()
    ds.private_block(0x0009, "LONG", create=True).add_new(0x01, "OB", bytes(header_bytes))
    ds.PixelData = bytes(ds.Rows * ds.Columns * 2)

    assert (await node.put(encoded(ds))).outcome == "stored"

    assert (await node.catalogue.stored_image("1.2.3", "1.2.3.1", "1.2.3.1.1")).description.pixel_format.rows == 4


async def test_the_same_bytes_again_are_already_there(node):
    data = encoded(ct_slice())
    await node.put(data)

    again = await node.put(data)

    assert again.outcome == "already-there"
    assert len(node.kept_files()) == 1
    assert (await node.catalogue.series("1.2.3", "1.2.3.1")).instance_count == 1


async def test_other_bytes_under_the_same_uid_conflict_and_overwrite_nothing(node):
    data = encoded(ct_slice(value=1))
    await node.put(data)

    for _ in range(2):
        with pytest.raises(Conflict) as refusal:
            await node.put(encoded(ct_slice(value=2)))

    assert refusal.value.key == "different-instance-same-uid"
    image = await node.catalogue.stored_image("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert node.store.open(image.key).read_all() == data
    assert (await node.catalogue.series("1.2.3", "1.2.3.1")).instance_count == 1


async def test_bytes_of_a_conflict_are_kept_apart_and_listed_with_both_keys(node):
    held, other = encoded(ct_slice(value=1)), encoded(ct_slice(value=2))
    await node.put(held)

    for _ in range(2):
        with pytest.raises(Conflict):
            await node.put(other)

    known = await node.conflicts()
    (conflict,) = known.conflicts
    assert known.total == 1
    assert (conflict.instance_uid, conflict.study_uid, conflict.series_uid) == ("1.2.3.1.1", "1.2.3", "1.2.3.1")
    assert node.store.open(conflict.held_key).read_all() == held
    assert node.store.open(conflict.refused_key).read_all() == other
    assert conflict.refused_size_bytes == len(other)


async def test_a_study_that_is_deleted_takes_the_bytes_of_its_conflicts_along(node):
    await node.put(encoded(ct_slice(value=1)))
    with pytest.raises(Conflict):
        await node.put(encoded(ct_slice(value=2)))

    await node.catalogue.delete_study("1.2.3", SOMEBODY)

    assert node.kept_files() == []
    assert (await node.conflicts()).total == 0
    assert (await node.put(encoded(ct_slice(value=2)))).outcome == "stored"


async def test_the_same_bytes_at_once_are_stored_once(node):
    data = encoded(ct_slice())

    outcomes = await asyncio.gather(*(node.put(data) for _ in range(8)))

    assert sorted(stored.outcome for stored in outcomes) == ["already-there"] * 7 + ["stored"]
    assert len(node.kept_files()) == 1


async def test_different_bytes_of_one_uid_at_once_make_one_instance_and_conflicts(node):
    outcomes = await asyncio.gather(*(node.put(encoded(ct_slice(value=n))) for n in range(6)), return_exceptions=True)

    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 5
    assert (await node.catalogue.series("1.2.3", "1.2.3.1")).instance_count == 1
    assert len(node.kept_files()) == 6
    assert (await node.conflicts()).total == 5


@pytest.mark.parametrize("data", [b"", b"a text\n" * 50, b"\x89PNG\r\n\x1a\n" + bytes(500), bytes(1000)])
async def test_what_is_not_dicom_is_refused_by_name_and_leaves_nothing(node, data):
    with pytest.raises(NotDicom) as refusal:
        await node.put(data)

    assert refusal.value.key == "not-dicom"
    assert node.kept_files() == node.spooled_files() == []


async def test_a_reception_that_is_left_leaves_nothing(node):
    with pytest.raises(ConnectionError):
        async with node.sender.receive() as reception:
            await reception.write(encoded(ct_slice()))
            raise ConnectionError("the sender has gone")

    assert node.kept_files() == node.spooled_files() == []
    with pytest.raises(NotFound):
        await node.catalogue.study("1.2.3")


async def test_a_cancelled_reception_is_complete_or_absent(node):
    for n in range(40):
        under_way = asyncio.create_task(node.put(encoded(ct_slice(n, value=n))))
        await asyncio.sleep(n / 1000)
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)

        assert node.spooled_files() == []

    held = node.database.read(lambda tx: tx.count(index.InstanceRow.select()))
    assert len(node.kept_files()) == held


async def test_beyond_the_limit_is_too_large(tmp_path):
    async with node_parts(tmp_path, IngestSettings(parsers=1, largest_instance_bytes=1000)) as node:
        with pytest.raises(TooLarge):
            await node.put(bytes(1001))

        assert node.spooled_files() == []


async def test_a_full_disk_is_named_and_leaves_nothing(node, monkeypatch):
    def full(self: Spool, data: bytes) -> None:
        raise StoreFull("the store is full")

    monkeypatch.setattr(Spool, "write", full)

    with pytest.raises(StoreFull):
        await node.put(encoded(ct_slice()))

    assert node.spooled_files() == []


async def test_an_index_that_fails_leaves_no_row(node, monkeypatch):
    def fail(*arguments: object) -> bool:
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(index, "add_all", fail)
        with pytest.raises(RuntimeError):
            await node.put(encoded(ct_slice()))

    assert (await node.put(encoded(ct_slice()))).outcome == "stored"
    assert len(node.kept_files()) == 1


async def test_an_instance_that_the_index_refuses_takes_none_along(node, monkeypatch):
    groups = []
    add_all = index.add_all

    def refuse_the_third(tx, node_id, arrived):
        groups.append(len(arrived))
        if len(groups) == 1:
            time.sleep(0.3)  # meanwhile the others gather
        if any(parsed.instance.number == 3 for parsed, _ in arrived):
            raise RuntimeError("no")
        return add_all(tx, node_id, arrived)

    monkeypatch.setattr(index, "add_all", refuse_the_third)
    outcomes = await asyncio.gather(*(node.put(encoded(ct_slice(n))) for n in range(1, 9)), return_exceptions=True)

    assert [getattr(outcome, "outcome", type(outcome)) for outcome in outcomes] == [
        *["stored"] * 2,
        RuntimeError,
        *["stored"] * 5,
    ]
    assert max(groups) > 1
    assert node.spooled_files() == []
    assert (await node.catalogue.series("1.2.3", "1.2.3.1")).instance_count == 7


async def test_a_file_that_takes_the_parser_too_long_is_refused_and_the_next_is_stored(tmp_path):
    # An undefined length sequence (0008,1140) of a million empty items: 8 MB that cost seconds.
    items = struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 1_000_000
    start = struct.pack("<HH2sH", 8, 0x0005, b"CS", 0) + struct.pack("<HH2sHL", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    bomb = start + items + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    settings = IngestSettings(parsers=1, limits=ParseLimits(processor_s=0, data_set=DataSetLimits(element_count=10**9)))

    async with node_parts(tmp_path, settings) as node:
        with pytest.raises(NotDicom, match="died"):
            await node.put(bomb)

        assert (await node.put(encoded(ct_slice()))).outcome == "stored"


async def test_a_file_that_needs_too_much_memory_is_refused_by_name(tmp_path):
    # A value of 60 MB, within the bounds of an element, under a limit that has no room for it.
    data = struct.pack("<HH2sHL", 8, 0x0008, b"UN", 0, 60_000_000) + bytes(60_000_000)
    settings = IngestSettings(parsers=1, limits=ParseLimits(memory_bytes=200 * 1024 * 1024))

    async with node_parts(tmp_path, settings) as node:
        with pytest.raises(NotDicom, match="memory"):
            await node.put(data)

        assert (await node.put(encoded(ct_slice()))).outcome == "stored"


async def test_a_spool_of_a_crash_is_swept_at_the_start(tmp_path):
    async with node_parts(tmp_path) as node:
        left = node.store.spool_directory / "left"
        left.write_bytes(b"half")

    async with node_parts(tmp_path) as node:
        assert not left.exists()


async def test_each_new_instance_is_told_to_the_parent(node):
    await node.put(encoded(ct_slice(1)))
    await node.put(encoded(ct_slice(2)))
    await node.put(encoded(ct_slice(2)))

    first, second = await node.outbox.waiting(10)

    assert (first.sequence, second.sequence) == (1, 2)
    assert (second.change.study_uid, second.change.node_id) == ("1.2.3", NODE_ID)
    assert (second.change.series_count, second.change.instance_count, second.change.modalities) == (1, 2, ("CT",))
    assert second.change.patient.value == "4711"


async def test_numbers_of_the_outbox_never_come_again(node):
    await node.put(encoded(ct_slice(1)))
    await node.outbox.acknowledge(1)
    assert await node.outbox.length() == 0

    await node.put(encoded(ct_slice(2)))

    assert [change.sequence for change in await node.outbox.waiting(10)] == [2]


async def test_no_patient_stands_in_a_refusal_or_a_log(node, caplog):
    caplog.set_level("DEBUG")
    ds = ct_slice()
    del ds.StudyInstanceUID
    await node.put(encoded(ct_slice(value=1)))

    for data in (encoded(ct_slice(value=2)), encoded(ds)):
        with pytest.raises((Conflict, NotDicom)) as refusal:
            await node.put(data)
        assert not any(word in f"{refusal.value} {refusal.value.fields}" for word in ("Muster", "Eva", "4711"))

    assert not any(word in caplog.text for word in ("Muster", "Eva", "4711"))


async def test_a_preamble_that_is_a_program_is_recorded_and_its_bytes_are_kept(node):
    data = b"MZ".ljust(128, b"\x90") + encoded(ct_slice())[128:]

    await node.put(data)

    assert node.database.read(lambda tx: tx.value(index.InstanceRow.select(index.InstanceRow.preamble))) == (
        "windows-executable"
    )
    image = await node.catalogue.stored_image("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert node.store.open(image.key).read_all() == data
