"""The same promises of both ways to keep bytes; and what the sealed one promises beyond."""

import hashlib
import os
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.domain.errors import Conflict, Damaged, NotFound, SettingsError, StoreFull
from appliance.storage.instances import InstanceStore, StoreSettings, open_spooled, open_store
from appliance.storage.sealing import CHUNK_BYTES, HEAD_BYTES, TAG_BYTES, create_key

SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 12345]


def sealed_settings(directory: Path) -> StoreSettings:
    key_file = directory / "key"
    if not key_file.exists():
        create_key(key_file)
    return StoreSettings(directory / "store", key_file, floor_bytes=0)


@pytest.fixture(params=["plain", "sealed"])
def store(request, tmp_path) -> InstanceStore:
    if request.param == "plain":
        return open_store(StoreSettings(tmp_path / "store", floor_bytes=0))
    return open_store(sealed_settings(tmp_path))


@pytest.fixture
def sealed(tmp_path) -> InstanceStore:
    return open_store(sealed_settings(tmp_path))


def put(store: InstanceStore, content: bytes) -> str:
    spool = store.begin()
    for start in range(0, len(content), 50_000):
        spool.write(content[start : start + 50_000])
    return spool.commit()


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_written_is_read(store, size):
    content = os.urandom(size)

    key = put(store, content)

    with store.open(key) as reader:
        assert reader.size_bytes == size
        assert reader.read_all() == content
    assert key == hashlib.sha256(content).hexdigest()


def test_any_range_can_be_read(store):
    content = os.urandom(3 * CHUNK_BYTES + 100)
    key = put(store, content)

    edges = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 7, 2 * CHUNK_BYTES, len(content) - 1, len(content)]

    with store.open(key) as reader:
        for start in edges:
            for length in [0, 1, 99, CHUNK_BYTES, 2 * CHUNK_BYTES + 1, len(content) + 5]:
                assert reader.read_at(start, length) == content[start : start + length]


def test_any_range_can_be_read_into_memory_and_nothing_beside_it_is_touched(store):
    content = os.urandom(11 * CHUNK_BYTES + 100)
    key = put(store, content)
    edges = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 7, len(content) - 1, len(content)]

    with store.open(key) as reader:
        for start in edges:
            for length in [0, 1, 99, CHUNK_BYTES, 2 * CHUNK_BYTES + 1, 9 * CHUNK_BYTES, len(content) + 5]:
                into = bytearray(b"?" * (length + 2))
                expected = content[start : start + length]

                assert reader.read_into(start, memoryview(into)[1:-1]) == len(expected)
                assert into == b"?" + expected + b"?" * (length + 1 - len(expected))


def test_long_ranges_are_read_as_they_were_written(store):
    """Sealed ones are opened piece by piece."""
    content = os.urandom(20 * CHUNK_BYTES + 100)
    key = put(store, content)

    with store.open(key) as reader:
        for start in (0, 7 * CHUNK_BYTES + 3):
            for length in (8 * CHUNK_BYTES, 8 * CHUNK_BYTES + 1, len(content)):
                assert reader.read_at(start, length) == content[start : start + length]


def test_one_reader_serves_several_threads(store):
    content = os.urandom(8 * CHUNK_BYTES)
    key = put(store, content)

    with store.open(key) as reader, ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(lambda n: reader.read_at(n * 1000, 1000), range(900)))

    assert b"".join(parts) == content[:900_000]


def test_digests_are_taken_while_writing(store):
    spool = store.begin()
    spool.write(b"ab")
    spool.write(b"c")

    assert spool.key == hashlib.sha256(b"abc").hexdigest()
    assert spool.md5 == "900150983cd24fb0d6963f7d28e17f72"
    assert spool.size_bytes == 3
    spool.abandon()


def test_nothing_is_visible_before_the_commit(store):
    spool = store.begin()
    spool.write(b"abc")
    spool.end()

    assert not store.contains(spool.key)
    with pytest.raises(NotFound):
        store.open(spool.key)
    spool.abandon()


def test_an_abandoned_spool_leaves_no_file(store):
    spool = store.begin()
    spool.write(os.urandom(CHUNK_BYTES * 2))

    spool.abandon()

    assert files_in(store.spool_directory) == files_in(store.spool_directory.parent / "instances") == []


def test_a_spooled_file_is_read_by_its_reference(store):
    content = os.urandom(2 * CHUNK_BYTES + 9)
    spool = store.begin()
    spool.write(content)

    with open_spooled(spool.end()) as reader:
        assert reader.read_all() == content
        assert reader.read_at(CHUNK_BYTES - 3, 6) == content[CHUNK_BYTES - 3 : CHUNK_BYTES + 3]
    spool.commit()


def test_the_same_bytes_are_kept_once(store):
    first = put(store, b"abc")

    second = put(store, b"abc")

    assert first == second
    assert len(files_in(store.place_of(first).parent)) == 1
    assert not files_in(store.spool_directory)


def test_a_deleted_instance_is_gone_and_open_readers_read_on(store):
    key = put(store, b"abc")

    with store.open(key) as reader:
        store.delete(key)
        assert reader.read_all() == b"abc"

    assert not store.contains(key)
    store.delete(key)


def test_a_spool_that_nobody_holds_is_swept_and_one_being_received_is_not(store):
    received = store.begin()
    (store.spool_directory / "left").write_bytes(b"half")

    assert store.sweep_spool() == 1

    received.write(b"abc")
    assert store.contains(received.commit())


def test_the_spool_of_a_process_that_was_killed_is_swept_by_the_next(store, tmp_path):
    script = f"""
import os
from pathlib import Path
from appliance.storage.instances import StoreSettings, open_store
key = Path({str(tmp_path)!r}) / "key"
spool = open_store(StoreSettings(Path({str(tmp_path)!r}) / "store", key if key.exists() else None, 0)).begin()
spool.write(b"half")
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert len(files_in(store.spool_directory)) == 1

    assert store.sweep_spool() == 1

    assert not files_in(store.spool_directory)


def test_a_store_below_its_floor_is_full(store, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(100, 90, 10))
    store._floor_bytes = 11

    with pytest.raises(StoreFull):
        store.begin()

    assert not files_in(store.spool_directory)


def test_a_full_file_system_is_named():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    from appliance.storage.instances import _room_or_full

    with pytest.raises(StoreFull), _room_or_full(), full.open("wb") as file:
        file.write(b"x")


def test_files_and_directories_are_private(store, tmp_path):
    put(store, b"abc")

    root = tmp_path / "store"
    assert {path.stat().st_mode & 0o077 for path in root.rglob("*")} == {0}


def test_a_store_that_is_opened_again_finds_its_instances(sealed, tmp_path):
    key = put(sealed, b"abc")

    again = open_store(sealed_settings(tmp_path))

    assert again.open(key).read_all() == b"abc"


def test_no_content_and_no_name_shows_on_the_disk(sealed):
    content = b"PATIENT NAME " * 20_000
    key = put(sealed, content)
    spool = sealed.begin()
    spool.write(content)
    spool.end()

    for path in files_in(sealed.spool_directory.parent):
        assert b"PATIENT" not in path.read_bytes()
        assert key not in str(path)
    spool.abandon()


def test_a_new_key_leaves_old_files_readable(sealed, tmp_path):
    old = put(sealed, b"old")
    key_file = tmp_path / "key"
    create_key(tmp_path / "new")
    key_file.write_text((tmp_path / "new").read_text() + key_file.read_text())

    rotated = open_store(sealed_settings(tmp_path))
    new = put(rotated, b"new")

    assert rotated.open(old).read_all() == b"old"
    assert rotated.open(new).read_all() == b"new"
    assert sealed.open(new).read_all() == b"new"  # it was opened before there was that key


def chunk_start(number: int) -> int:
    return HEAD_BYTES + number * (CHUNK_BYTES + TAG_BYTES)


def flip(place: Path, offset: int) -> None:
    data = bytearray(place.read_bytes())
    data[offset] ^= 1
    place.write_bytes(data)


@pytest.mark.parametrize("offset", [0, 8, 16, 17, 40, HEAD_BYTES - 1, -1])
def test_a_changed_head_or_seal_is_damage_at_opening(sealed, offset):
    key = put(sealed, os.urandom(3 * CHUNK_BYTES))
    flip(sealed.place_of(key), offset)

    with pytest.raises(Damaged) as refusal:
        sealed.open(key)

    assert refusal.value.fields["instance_key"] == key


def test_a_changed_chunk_is_damage_when_it_is_read(sealed):
    content = os.urandom(3 * CHUNK_BYTES)
    key = put(sealed, content)
    flip(sealed.place_of(key), chunk_start(1) + 5)

    with sealed.open(key) as reader:
        assert reader.read_at(0, CHUNK_BYTES) == content[:CHUNK_BYTES]
        with pytest.raises(Damaged):
            reader.read_at(CHUNK_BYTES, 1)
        with pytest.raises(Damaged):
            reader.read_into(0, memoryview(bytearray(2 * CHUNK_BYTES)))


@pytest.mark.parametrize("cut", [1, TAG_BYTES, CHUNK_BYTES + TAG_BYTES, CHUNK_BYTES + 2 * TAG_BYTES])
def test_a_shortened_file_is_damage(sealed, cut):
    key = put(sealed, os.urandom(3 * CHUNK_BYTES))
    place = sealed.place_of(key)
    os.truncate(place, place.stat().st_size - cut)

    with pytest.raises(Damaged):
        sealed.open(key)


@pytest.mark.parametrize("size", [0, 1, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + TAG_BYTES - 1])
def test_hardly_any_file_is_damage(sealed, size):
    key = put(sealed, b"abc")
    os.truncate(sealed.place_of(key), size)

    with pytest.raises(Damaged):
        sealed.open(key)


def test_chunks_in_another_order_are_damage(sealed):
    key = put(sealed, os.urandom(3 * CHUNK_BYTES))
    place = sealed.place_of(key)
    data = place.read_bytes()
    first, second, third = (data[chunk_start(n) : chunk_start(n + 1)] for n in range(3))
    place.write_bytes(data[:HEAD_BYTES] + second + first + third + data[-TAG_BYTES:])

    with sealed.open(key) as reader, pytest.raises(Damaged):
        reader.read_all()


def test_another_file_in_its_place_is_damage(sealed):
    ours, other = put(sealed, b"abc"), put(sealed, b"xyz")
    sealed.place_of(ours).write_bytes(sealed.place_of(other).read_bytes())

    with pytest.raises(Damaged):
        sealed.open(ours)


def test_storing_again_mends_a_damaged_file(sealed):
    key = put(sealed, b"abc")
    flip(sealed.place_of(key), -1)

    put(sealed, b"abc")

    assert sealed.open(key).read_all() == b"abc"


def test_a_key_is_never_replaced(tmp_path):
    create_key(tmp_path / "key")

    with pytest.raises(FileExistsError):
        create_key(tmp_path / "key")


@pytest.mark.parametrize("text", ["", "# only this\n", "abc\n", "00" * 31 + "\n", "€\n"])
def test_a_key_file_without_a_key_is_refused(tmp_path, text):
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text(text)

    with pytest.raises(SettingsError):
        open_store(sealed_settings(tmp_path))


def test_a_key_file_that_others_may_read_is_refused(tmp_path):
    create_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)

    with pytest.raises(SettingsError, match="chmod 600"):
        open_store(sealed_settings(tmp_path))


def test_a_store_of_another_node_is_read_and_never_written(store, tmp_path):
    content = os.urandom(200_000)
    key = put(store, content)
    key_file = tmp_path / "key"
    settings = StoreSettings(tmp_path / "store", key_file if key_file.exists() else None, 0, is_read_only=True)
    before = {path: path.stat().st_mtime_ns for path in settings.directory.rglob("*")}

    foreign = open_store(settings)

    with foreign.open(key) as reader:
        assert reader.read_all() == content
    for change in (foreign.begin, lambda: foreign.delete(key), lambda: foreign.set_aside(foreign.place_of(key))):
        with pytest.raises(Conflict):
            change()
    with pytest.raises(Conflict), foreign.holding(key):
        pass
    assert {path: path.stat().st_mtime_ns for path in settings.directory.rglob("*")} == before


def test_a_directory_that_is_no_store_is_not_made_one_by_who_only_reads(tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(SettingsError, match="is it mounted"):
        open_store(StoreSettings(tmp_path / "empty", is_read_only=True))
    assert not list((tmp_path / "empty").iterdir())


def test_who_only_reads_must_know_whether_a_store_is_sealed(sealed, tmp_path):
    with pytest.raises(SettingsError, match="is sealed, and no key is named"):
        open_store(StoreSettings(tmp_path / "store", is_read_only=True))
