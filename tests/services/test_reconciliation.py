"""Store and index after a crash: whatever one has and the other has not is mended, marked or set aside, and counted."""

import asyncio
import sqlite3
import zlib
from pathlib import Path

import msgspec
import pytest
from pydicom.dataset import Dataset

from appliance.domain.errors import Conflict
from appliance.services import removals
from appliance.services.reconciliation import Findings, Reconciliation
from appliance.storage import index
from appliance.storage.database import MigrationRow, Transaction, migrate
from appliance.storage.index import InstanceRow, SeriesRow
from tests.services.node_parts import NODE_ID, SOMEBODY, NodeParts, ct_slice, encoded, node_parts


@pytest.fixture
async def node(tmp_path):
    async with node_parts(tmp_path) as parts:
        yield parts


async def reconciled(node: NodeParts) -> Findings:
    return await Reconciliation(node.store, node.threads, node.ingest).run()


def put_without_row(node: NodeParts, data: bytes) -> str:
    """What a crash between the rename and the transaction leaves."""
    spool = node.store.begin()
    spool.write(data)
    return spool.commit()


def place_of_the_only(node: NodeParts) -> Path:
    (place,) = node.kept_files()
    return place


async def test_a_store_that_agrees_with_its_index_stays_as_it_is(node):
    for number in range(3):
        await node.put(encoded(ct_slice(number)))

    assert await reconciled(node) == Findings(is_done=True, rows=3, files=3)


async def test_bytes_without_a_row_are_indexed_again_and_told_to_the_parent(node):
    data = encoded(ct_slice(1))
    put_without_row(node, data)

    found = await reconciled(node)

    assert (found.indexed_again, found.set_aside) == (1, 0)
    image = await node.catalogue.stored_image("1.2.3", "1.2.3.1", "1.2.3.1.1")
    assert node.store.open(image.key).read_all() == data
    (told,) = await node.outbox.waiting(10)
    assert told.change.instance_count == 1
    assert await reconciled(node) == Findings(is_done=True, rows=1, files=1)


async def test_empty_directories_hide_nothing_that_comes_after_them(node):
    """A crash between making a directory and renaming the file into it leaves it empty."""
    put_without_row(node, encoded(ct_slice(1)))
    kept = place_of_the_only(node).parents[1]
    for first in range(256):
        if f"{first:02x}" != kept.name:
            (kept.parent / f"{first:02x}" / "00").mkdir(parents=True)

    assert (await reconciled(node)).indexed_again == 1


async def test_bytes_without_a_row_whose_uid_is_held_become_a_conflict(node):
    await node.put(encoded(ct_slice(1, value=1)))
    key = put_without_row(node, encoded(ct_slice(1, value=2)))

    found = await reconciled(node)

    assert found.indexed_again == 1
    assert [conflict.refused_key for conflict in (await node.conflicts()).conflicts] == [key]


async def test_bytes_without_a_row_that_are_no_dicom_are_set_aside_and_not_deleted(node):
    put_without_row(node, b"a letter")

    found = await reconciled(node)

    assert (found.indexed_again, found.set_aside) == (0, 1)
    assert node.kept_files() == []
    assert len(node.store.aside_places()) == 1
    assert (await reconciled(node)).set_aside == 0


async def test_a_damaged_file_without_a_row_is_set_aside(node):
    put_without_row(node, encoded(ct_slice(1)))
    place = place_of_the_only(node)
    data = place.read_bytes()
    place.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])

    found = await reconciled(node)

    assert found.set_aside == len(node.store.aside_places()) == 1


async def test_a_row_without_bytes_is_marked_and_unmarked_when_they_come_again(node):
    data = encoded(ct_slice(1))
    await node.put(data)
    place_of_the_only(node).unlink()

    assert (await reconciled(node)).missing == 1
    assert (await reconciled(node)).missing == 1
    (row,) = node.database.read(lambda tx: index.kept_after(tx, "", limit=10))
    assert row.is_missing

    assert (await node.put(data)).outcome == "already-there"

    (row,) = node.database.read(lambda tx: index.kept_after(tx, "", limit=10))
    assert not row.is_missing
    assert (await reconciled(node)).missing == 0


async def test_bytes_that_are_back_by_another_way_unmark_their_row(node):
    await node.put(encoded(ct_slice(1)))
    place = place_of_the_only(node)
    data = place.read_bytes()
    place.unlink()
    await reconciled(node)
    place.write_bytes(data)

    found = await reconciled(node)

    assert (found.missing, found.found_again) == (0, 1)


async def test_a_deletion_that_a_crash_interrupted_goes_to_its_end_and_nothing_comes_back(node):
    await node.put(encoded(ct_slice(1)))
    with pytest.raises(Conflict):
        await node.put(encoded(ct_slice(1, value=5)))
    node.database.run(lambda tx: index.delete_study(tx, NODE_ID, "1.2.3"))
    assert len(node.kept_files()) == 2

    found = await reconciled(node)

    assert (found.removed, found.indexed_again, found.files) == (2, 0, 0)
    assert node.kept_files() == []


async def test_what_was_stored_again_after_its_deletion_is_not_removed(node):
    data = encoded(ct_slice(1))
    await node.put(data)
    node.database.run(lambda tx: index.delete_study(tx, NODE_ID, "1.2.3"))
    await node.put(data)

    removals.finish(node.store, node.database)

    assert len(node.kept_files()) == 1
    assert node.database.read(lambda tx: index.removals(tx, limit=10)) == ()


async def test_bytes_that_come_while_it_runs_are_left_to_those_who_bring_them(node, monkeypatch):
    await node.put(encoded(ct_slice(1)))
    compare_files = Reconciliation._compare_files

    async def put_then_compare(self: Reconciliation, names: object, began: float) -> None:
        put_without_row(node, encoded(ct_slice(2)))  # another process has renamed and not yet committed
        await compare_files(self, names, began)

    monkeypatch.setattr(Reconciliation, "_compare_files", put_then_compare)

    assert (await reconciled(node)).indexed_again == 0


async def test_a_row_whose_instance_was_deleted_meanwhile_is_not_missed(node, monkeypatch):
    await node.put(encoded(ct_slice(1)))
    compare = Reconciliation._compare

    async def delete_then_compare(self: Reconciliation, rows: object) -> None:
        await node.catalogue.delete_study("1.2.3", SOMEBODY)
        await compare(self, rows)

    monkeypatch.setattr(Reconciliation, "_compare", delete_then_compare)

    assert (await reconciled(node)).missing == 0


async def test_files_that_are_not_of_the_store_are_left_alone(node):
    await node.put(encoded(ct_slice(1)))
    (place_of_the_only(node).parent / "lost+found").mkdir()
    (place_of_the_only(node).parent / ".snapshot").touch()

    assert (await reconciled(node)).set_aside == 0


def with_overlay(number: int) -> Dataset:
    ds = ct_slice(number)
    ds.add_new(0x60000010, "US", ds.Rows)
    ds.add_new(0x60000011, "US", ds.Columns)
    ds.add_new(0x60000040, "CS", "G")
    ds.add_new(0x60000050, "SS", [1, 1])
    ds.add_new(0x60000100, "US", 1)
    ds.add_new(0x60000102, "US", 0)
    ds.add_new(0x60003000, "OW", b"\x0f\0\0\0")
    return ds


def as_the_first_program_described(tx: Transaction) -> None:
    """Without what it knew nothing of, nor that somebody might know more."""
    for row in tx.rows(InstanceRow.select()):
        image = msgspec.msgpack.decode(zlib.decompress(row.image))
        for name in ("presentation_lut", "icc_profile", "displayed_area", "graphics"):
            del image[name]
        for frame in image["frames"]:
            del frame["overlays"], frame["shutter"], frame["stream_index"]
        packed = zlib.compress(msgspec.msgpack.encode(image))
        tx.execute(InstanceRow.update(image=packed).where(InstanceRow.instance_uid == row.instance_uid))
    tx._engine.execute_sql("ALTER TABLE instance DROP COLUMN described_by")
    tx.execute(MigrationRow.delete().where(MigrationRow.number == 7))


async def test_what_an_older_program_described_is_described_again_once(node, caplog):
    for number in (1, 2):
        await node.put(encoded(with_overlay(number)))
    told = await node.catalogue.stored_series("1.2.3", "1.2.3.1")
    node.database.run(as_the_first_program_described)
    migrate(node.database, "node", index.MIGRATIONS)
    before = await node.catalogue.stored_image("1.2.3", "1.2.3.1", "1.2.3.1.1")
    forgotten: list[str] = []
    caplog.set_level("INFO")

    reconciliation = Reconciliation(node.store, node.threads, node.ingest, forgotten.append)
    reconciliation.start()
    while not reconciliation.findings.is_done:
        await asyncio.sleep(0.01)
    await reconciliation.stop()

    assert before.description.frames[0].overlays == ()
    again = await node.catalogue.stored_series("1.2.3", "1.2.3.1")
    assert again.images == told.images
    assert again.version != told.version
    assert sorted(forgotten) == sorted(image.key for image in again.images)
    (said,) = [record for record in caplog.records if record.message == "store and index were compared"]
    assert (said.described_again, said.levelname) == (2, "INFO")
    assert (await reconciled(node)).described_again == 0


async def test_an_image_that_can_be_drawn_now_counts_among_those_that_can(node):
    await node.put(encoded(ct_slice(1)))

    def as_an_older_program_refused_it(tx: Transaction) -> None:
        tx.execute(InstanceRow.update(image=None, not_drawable_reason="no decoder", described_by=1))
        tx.execute(SeriesRow.update(frame_count=0, drawable_count=0))

    node.database.run(as_an_older_program_refused_it)

    assert (await reconciled(node)).described_again == 1

    series = node.database.read(lambda tx: index.series(tx, "1.2.3", "1.2.3.1"))
    assert (series.frame_count, series.drawable_count) == (1, 1)
    assert len((await node.catalogue.stored_series("1.2.3", "1.2.3.1")).images) == 1


async def test_an_older_description_stays_where_the_bytes_are_damaged(node):
    await node.put(encoded(ct_slice(1)))
    node.database.run(lambda tx: tx.execute(InstanceRow.update(described_by=1)))
    place = place_of_the_only(node)
    data = place.read_bytes()
    place.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])

    found = await reconciled(node)

    assert (found.described_again, found.not_described) == (0, 1)
    assert await node.catalogue.stored_image("1.2.3", "1.2.3.1", "1.2.3.1.1")


async def test_a_node_of_the_first_version_gets_its_new_columns(tmp_path):
    """The tables as version 0.1.0 made them, with a conflict whose bytes were not kept."""
    with sqlite3.connect(tmp_path / "index.sqlite") as old:
        old.executescript("""
            CREATE TABLE migration (room TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (room, number));
            INSERT INTO migration VALUES ('node', 1, 'studies, series, instances, conflicts, outbox');
            CREATE TABLE study (study_uid TEXT PRIMARY KEY, person_name TEXT NOT NULL, patient_id TEXT NOT NULL,
                issuer TEXT NOT NULL, birth_date TEXT, sex TEXT, date TEXT, time TEXT, description TEXT NOT NULL,
                accession_number TEXT NOT NULL, study_id TEXT NOT NULL, referring_physician TEXT NOT NULL,
                institution_name TEXT NOT NULL);
            CREATE TABLE series (study_uid TEXT, series_uid TEXT, modality TEXT, number BIGINT, description TEXT, body_part TEXT,
                laterality TEXT, date TEXT, time TEXT, version TEXT, instance_count INTEGER, frame_count INTEGER,
                drawable_count INTEGER, not_drawable_reason TEXT, PRIMARY KEY (study_uid, series_uid));
            CREATE TABLE instance (instance_uid TEXT PRIMARY KEY, study_uid TEXT, series_uid TEXT, key TEXT, md5 TEXT,
                size_bytes BIGINT, sop_class_uid TEXT, transfer_syntax_uid TEXT, number BIGINT, rows INTEGER, columns INTEGER,
                frame_count INTEGER, image BLOB, not_drawable_reason TEXT, received_at TEXT);
            CREATE TABLE conflict (instance_uid TEXT, refused_key TEXT, held_key TEXT, noticed_at TEXT,
                PRIMARY KEY (instance_uid, refused_key));
            CREATE TABLE node_outbox (sequence BIGINT PRIMARY KEY, change BLOB);
            CREATE TABLE node_outbox_end (name TEXT PRIMARY KEY, sequence BIGINT);
            INSERT INTO conflict VALUES ('1.2.3.1.1', 'aa', 'bb', '2026-11-22T10:00:00+00:00');
        """)

    async with node_parts(tmp_path) as node:
        await node.put(encoded(ct_slice(1)))
        found = await reconciled(node)
        (conflict,) = (await node.conflicts()).conflicts

    assert (found.rows, found.missing) == (1, 0)
    assert (conflict.refused_size_bytes, conflict.study_uid) == (None, None)
