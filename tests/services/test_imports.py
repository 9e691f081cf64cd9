"""Folders and archives, however odd, and every real file."""

import shutil
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from appliance.domain.errors import StoreFull
from appliance.services.imports import ArchiveLimits, Tally, import_folder
from appliance.services.ingest import IngestSettings
from appliance.storage.instances import Spool
from tests.services.node_parts import SOMEBODY, NodeParts, ct_slice, encoded, node_parts

DICOMDIR = "13-dicomdir/set/DICOMDIR"


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
    async for progress in import_folder(node.sender, folder):
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


async def test_a_dicomdir_is_ignored_and_the_files_that_it_lists_are_stored(node, folder, dicom_dir):
    shutil.copy(dicom_dir / DICOMDIR, folder / "DICOMDIR")
    (folder / "IM1").write_bytes(encoded(ct_slice(1)))

    tally = await imported(node, folder)

    assert (tally.stored, tally.ignored, tally.refused) == (1, 1, [])


async def test_members_packed_in_a_way_that_is_not_bounded_are_refused(node, folder):
    with zipfile.ZipFile(folder / "odd.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("zeros", bytes(20_000_000))

    assert [one.key for one in (await imported(node, folder)).refused] == ["archive-method"]


async def test_an_archive_that_needs_a_password_is_refused_member_by_member(node, folder):
    with zipfile.ZipFile(folder / "locked.zip", "w") as archive:
        archive.writestr("one", encoded(ct_slice()))
    data = bytearray((folder / "locked.zip").read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # general purpose bit 0: encrypted
        data[data.index(start) + flags] |= 1
    (folder / "locked.zip").write_bytes(data)

    assert [one.key for one in (await imported(node, folder)).refused] == ["archive-encrypted"]


async def test_an_archive_is_measured_by_what_is_read_and_not_by_what_it_says(node, folder):
    """A member of 5 MB whose headers say that it has 100 bytes."""
    with zipfile.ZipFile(folder / "lies.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(5_000_000))
    said, true = (100).to_bytes(4, "little"), (5_000_000).to_bytes(4, "little")
    (folder / "lies.zip").write_bytes((folder / "lies.zip").read_bytes().replace(true, said))

    tally = await imported(node, folder)

    assert [one.key for one in tally.refused] == ["archive-damaged"]


async def test_what_all_members_unpack_to_is_bounded(node, folder):
    with zipfile.ZipFile(folder / "many.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(6):
            archive.writestr(f"{number}", encoded(ct_slice(number)) + bytes(1_000_000))

    tally = Tally()
    async for progress in import_folder(node.sender, folder, ArchiveLimits(unpacked_bytes=3_500_000)):
        tally.add(progress.last)

    assert tally.stored == 3
    assert [one.key for one in tally.refused] == ["archive-too-large"] * 3


async def test_an_archive_of_too_many_members_or_with_a_huge_directory_is_refused_before_any(node, folder, monkeypatch):
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        for number in range(300):
            archive.writestr(f"{number}", b"")

    async def refusals(limits: ArchiveLimits) -> list[str | None]:
        return [one.last.key async for one in import_folder(node.sender, folder, limits)]

    assert await refusals(ArchiveLimits(members=299)) == ["archive-too-large"]
    monkeypatch.setattr("appliance.services.imports._LARGEST_DIRECTORY_BYTES", 1000)
    assert await refusals(ArchiveLimits()) == ["archive-too-large"]


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
        async for progress in import_folder(node.sender, part):
            tally.add(progress.last)
    by_key = Counter(one.key for one in tally.refused)

    print(f"{tally.stored} stored, {tally.already_there} already there, refused: {dict(by_key)}")
    assert tally.stored >= 295
    beyond_limits = {"nested-too-deeply", "too-many-frames", "too-many-pixels"}
    assert set(by_key) <= {"not-dicom", "unreadable-dicom", "different-instance-same-uid"} | beyond_limits
    assert tally.ignored >= 5  # DICOMDIRs
    assert all(child.restarts == 0 for child in node.ingest._parsers._children)
    conflicts = (await node.conflicts()).total
    assert len(node.kept_files()) == tally.stored + conflicts
    assert node.spooled_files() == []


async def test_bytes_of_real_files_come_back_unchanged(node, dicom_dir):
    files = sorted((dicom_dir / "02-enhanced-multiframe").glob("*.dcm"))[:5]
    for file in files:
        stored = await node.put(file.read_bytes())
        image = await node.catalogue.stored_image(stored.study_uid, stored.series_uid, stored.instance_uid)
        with node.store.open(image.key) as reader:
            assert reader.read_all() == file.read_bytes()
        await node.catalogue.delete_study(stored.study_uid, SOMEBODY)
