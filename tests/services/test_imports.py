"""Folders and archives, however odd, and every real file."""

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from appliance.domain.errors import StoreFull
from appliance.services.imports import Tally, import_folder
from appliance.services.ingest import IngestSettings
from appliance.storage.instances import Spool
from tests.services.node_parts import NodeParts, ct_slice, encoded, node_parts


@pytest.fixture
async def node(tmp_path):
    async with node_parts(tmp_path) as parts:
        yield parts


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


async def imported(node: NodeParts, folder: Path) -> Tally:
    tally = Tally()
    async for progress in import_folder(node.ingest, folder):
        tally.add(progress.last)
    return tally


async def test_folders_are_walked_and_every_file_has_an_outcome(node, folder):
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "a/one").write_bytes(encoded(ct_slice(1)))
    (folder / "a/b/c/two.dcm").write_bytes(encoded(ct_slice(2)))
    (folder / "a/b/again").write_bytes(encoded(ct_slice(1)))
    (folder / "notes.txt").write_text("no image")

    tally = await imported(node, folder)

    assert (tally.stored, tally.already_there) == (2, 1)
    assert [(one.name, one.key) for one in tally.refused] == [("notes.txt", "not-dicom")]
    assert tally.reasons() == [("these bytes are not DICOM", 1)]


async def test_a_single_file_is_imported(node, folder):
    (folder / "one").write_bytes(encoded(ct_slice()))

    assert (await imported(node, folder / "one")).stored == 1


async def test_an_empty_folder_ends_at_once(node, folder):
    assert await imported(node, folder) == Tally()


async def test_links_are_not_followed(node, folder):
    (folder.parent / "outside").write_bytes(encoded(ct_slice()))
    (folder / "link").symlink_to(folder.parent / "outside")

    assert await imported(node, folder) == Tally()


async def test_members_of_an_archive_are_imported_and_their_paths_never_used(node, folder):
    with zipfile.ZipFile(folder / "cd.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../../evil.dcm", encoded(ct_slice(1)))
        archive.writestr("/etc/two", encoded(ct_slice(2)))
        archive.writestr("README", "no image")

    tally = await imported(node, folder)

    assert (tally.stored, [one.key for one in tally.refused]) == (2, ["not-dicom"])
    assert not list(folder.parent.rglob("evil*"))


async def test_an_archive_in_an_archive_is_refused(node, folder):
    with zipfile.ZipFile(folder / "inner.zip", "w") as archive:
        archive.writestr("one", encoded(ct_slice()))
    with zipfile.ZipFile(folder / "outer", "w") as archive:
        archive.write(folder / "inner.zip", "inner.zip")
    (folder / "inner.zip").unlink()

    tally = await imported(node, folder)

    assert [(one.name, one.key) for one in tally.refused] == [("outer/inner.zip", "nested-archive")]


async def test_a_member_that_unpacks_to_too_much_is_refused(tmp_path, folder):
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50_000_000))

    async with node_parts(tmp_path, IngestSettings(parsers=1, largest_instance_bytes=10_000_000)) as node:
        tally = await imported(node, folder)

    assert [one.key for one in tally.refused] == ["too-large"]


async def test_damaged_archives_are_refused_by_name(node, folder):
    with zipfile.ZipFile(folder / "ok.zip", "w") as archive:
        archive.writestr("one", encoded(ct_slice()))
    whole = (folder / "ok.zip").read_bytes()
    (folder / "ok.zip").unlink()
    (folder / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (folder / "flipped.zip").write_bytes(whole[:400] + bytes([whole[400] ^ 255]) + whole[401:])

    tally = await imported(node, folder)

    assert sorted((one.name, one.key) for one in tally.refused) == [
        ("cut.zip", "archive-damaged"),
        ("flipped.zip/one", "archive-damaged"),
    ]
    assert node.kept_files() == node.spooled_files() == []


async def test_a_full_store_ends_the_import(node, folder, monkeypatch):
    (folder / "one").write_bytes(encoded(ct_slice()))

    def full(self: Spool, data: bytes) -> None:
        raise StoreFull("the store is full")

    monkeypatch.setattr(Spool, "write", full)

    with pytest.raises(StoreFull):
        await imported(node, folder)


async def test_every_real_file_is_stored_or_refused_by_name_and_the_parsers_live(node, dicom_dir):
    tally = Tally()
    for part in sorted(path for path in dicom_dir.iterdir() if path.name != "01-volumes"):
        async for progress in import_folder(node.ingest, part):
            tally.add(progress.last)
    by_key = Counter(one.key for one in tally.refused)

    print(f"{tally.stored} stored, {tally.already_there} already there, refused: {dict(by_key)}")
    assert tally.stored >= 300
    assert set(by_key) <= {"not-dicom", "unreadable-dicom", "dicomdir", "different-instance-same-uid"}
    assert all(child.restarts == 0 for child in node.ingest._parsers._children)
    assert len(node.kept_files()) == tally.stored
    assert node.spooled_files() == []


async def test_bytes_of_real_files_come_back_unchanged(node, dicom_dir):
    files = sorted((dicom_dir / "02-enhanced-multiframe").glob("*.dcm"))[:5]
    for file in files:
        stored = await node.put(file.read_bytes())
        image = await node.catalogue.stored_image(stored.study_uid, stored.series_uid, stored.instance_uid)
        with node.store.open(image.key) as reader:
            assert reader.read_all() == file.read_bytes()
        await node.catalogue.delete_study(stored.study_uid)
