"""A new master key: new files at once, old ones by their heads, and no power cut costs a file."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.domain.errors import Damaged, SettingsError
from appliance.storage import rotation
from appliance.storage.instances import InstanceStore, StoreSettings, open_store
from appliance.storage.sealing import HEAD_BYTES, create_key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_key(tmp_path / "key")
    return tmp_path


def opened(folder: Path) -> InstanceStore:
    return open_store(StoreSettings(folder / "store", folder / "key", floor_bytes=0))


def put(store: InstanceStore, content: bytes) -> str:
    spool = store.begin()
    spool.write(content)
    return spool.commit()


def read(store: InstanceStore, key: str) -> bytes:
    with store.open(key) as reader:
        return reader.read_all()


def forget_old_keys(folder: Path) -> None:
    lines = (folder / "key").read_text().splitlines()
    (folder / "key").write_text(lines[0] + "\n")


def test_after_a_rotation_the_old_key_is_not_needed(folder):
    store = opened(folder)
    keys = {put(store, content): content for content in (b"", b"abc", os.urandom(300_000))}

    rotation.add_key(folder / "key")
    outcome = rotation.rewrap(opened(folder))

    forget_old_keys(folder)
    assert (outcome.files, outcome.rewrapped, outcome.damaged) == (3, 3, 0)
    assert {key: read(opened(folder), key) for key in keys} == keys
    assert not rotation.is_under_way(store)


def test_only_heads_are_written(folder):
    store = opened(folder)
    place = store.place_of(put(store, os.urandom(300_000)))
    before, inode = place.read_bytes(), place.stat().st_ino

    rotation.add_key(folder / "key")
    rotation.rewrap(opened(folder))

    assert place.read_bytes()[HEAD_BYTES:] == before[HEAD_BYTES:]
    assert place.read_bytes()[:HEAD_BYTES] != before[:HEAD_BYTES]
    assert place.stat().st_ino == inode


def test_a_store_that_is_open_goes_on_reading_and_uses_the_new_key_at_once(folder):
    store = opened(folder)
    old = put(store, b"old")

    rotation.add_key(folder / "key")
    new = put(store, b"new")
    rotation.rewrap(opened(folder))

    assert (read(store, old), read(store, new)) == (b"old", b"new")
    forget_old_keys(folder)
    assert (read(opened(folder), old), read(opened(folder), new)) == (b"old", b"new")


def test_a_rotation_done_twice_does_nothing_the_second_time(folder):
    store = opened(folder)
    put(store, b"abc")
    rotation.add_key(folder / "key")
    rotation.rewrap(store)

    assert rotation.rewrap(store).rewrapped == 0


def test_a_damaged_head_is_counted_and_left(folder):
    store = opened(folder)
    place = store.place_of(put(store, b"abc"))
    place.write_bytes(b"nonsense" * 20)
    rotation.add_key(folder / "key")

    outcome = rotation.rewrap(opened(folder))

    assert (outcome.rewrapped, outcome.damaged) == (0, 1)
    assert place.read_bytes() == b"nonsense" * 20


@pytest.mark.parametrize("written", [1, 20, HEAD_BYTES - 1])
def test_a_head_that_a_power_cut_left_half_written_is_put_back(folder, monkeypatch, written):
    store = opened(folder)
    keys = {put(store, bytes([n])): bytes([n]) for n in range(5)}
    rotation.add_key(folder / "key")
    pwrite = os.pwrite

    def torn(descriptor: int, data: bytes, offset: int) -> int:
        pwrite(descriptor, data[:written] + b"\xee" * (len(data) - written - 1), offset)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "pwrite", torn)
        rotation.rewrap(opened(folder))
    assert rotation.is_under_way(opened(folder))
    with pytest.raises(Damaged):
        [read(opened(folder), key) for key in keys]

    assert rotation.put_back(opened(folder)) == 1

    assert {key: read(opened(folder), key) for key in keys} == keys
    assert rotation.rewrap(opened(folder)).rewrapped == 5
    forget_old_keys(folder)
    assert {key: read(opened(folder), key) for key in keys} == keys


def test_a_rotation_that_is_killed_again_and_again_comes_to_its_end(folder):
    store = opened(folder)
    keys = {put(store, n.to_bytes(4, "big")): n.to_bytes(4, "big") for n in range(300)}
    rotation.add_key(folder / "key")
    script = f"""
from pathlib import Path
from appliance.storage import rotation
from appliance.storage.instances import StoreSettings, open_store
store = open_store(StoreSettings(Path({str(folder)!r}) / "store", Path({str(folder)!r}) / "key", 0))
print("begins", flush=True)
rotation.rewrap(store)
"""
    for number in range(4):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.005 * 2**number)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert {key: read(store, key) for key in keys} == keys

    rotation.rewrap(opened(folder))

    forget_old_keys(folder)
    assert {key: read(opened(folder), key) for key in keys} == keys


def test_the_key_file_keeps_its_old_keys_its_comments_and_its_mode(folder):
    (folder / "key").write_text("# made in 2026\n" + (folder / "key").read_text())
    before = (folder / "key").read_text()

    rotation.add_key(folder / "key")

    after = (folder / "key").read_text()
    assert after.partition("\n")[2] == before
    assert (folder / "key").stat().st_mode & 0o777 == 0o600


def test_a_key_file_that_is_broken_while_the_store_is_open_does_not_stop_it(folder):
    store = opened(folder)
    key = put(store, b"abc")
    (folder / "key").write_text("nonsense\n")

    assert read(store, put(store, b"new")) == b"new"
    assert read(store, key) == b"abc"


def test_a_plain_store_has_no_key_to_change(tmp_path):
    with pytest.raises(SettingsError):
        rotation.rewrap(open_store(StoreSettings(tmp_path / "store", floor_bytes=0)))


def test_a_file_of_another_store_does_not_open(folder, tmp_path):
    store = opened(folder)
    key = put(store, b"abc")
    create_key(tmp_path / "other")
    other = open_store(StoreSettings(tmp_path / "elsewhere", tmp_path / "other", floor_bytes=0))
    other.place_of(key).parent.mkdir(parents=True)
    shutil.copy(store.place_of(key), other.place_of(key))

    with pytest.raises(Damaged):
        other.open(key)
