"""What is kept of decoded frames and pictures: bounded, unreadable, and worth nothing when it is not whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from appliance.domain.image import StoredImage
from appliance.storage import rotation
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import parse
from appliance.storage.render_cache import RenderCache, is_dear
from appliance.storage.sealing import MasterKeys, create_key
from appliance.storage.stream import InMemory

MEBIBYTE = 1024**2
CT = "01-volumes/ct-chest-lidc-0314"
"""JPEG-LS, 512 x 512 of 16 bits, signed."""
COMPRESSED = (
    "10-transfer-syntaxes/nema-us1/US1_J2KR.dcm",  # 8 bits, RGB
    "10-transfer-syntaxes/nema-nm1/NM1_JPLL.dcm",
    "10-transfer-syntaxes/other/ct1_jxl.dcm",
    "10-transfer-syntaxes/nema-ct1/CT1_JPH.dcm",
)

Frame = tuple[StoredImage, np.ndarray]


class _File(InMemory):
    def read_all(self) -> bytes:
        return self.read_at(0, self.size_bytes)


def decoded(path: Path) -> Frame:
    data = path.read_bytes()
    image = parse(_File(data)).image
    assert image is not None
    return StoredImage(hashlib.sha256(data).hexdigest(), image), decode_frame(image, 0, InMemory(data))


@pytest.fixture(scope="module")
def slices(dicom_dir: Path) -> list[Frame]:
    return [decoded(path) for path in sorted((dicom_dir / CT).iterdir())[:2]]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    create_key(tmp_path / "key")
    return tmp_path / "key"


@pytest.fixture(params=["sealed", "plain"])
def keys(request: pytest.FixtureRequest, key_file: Path) -> MasterKeys | None:
    return MasterKeys.from_file(key_file) if request.param == "sealed" else None


@pytest.fixture
def cache(tmp_path: Path, keys: MasterKeys | None) -> RenderCache:
    return RenderCache(tmp_path / "cache", keys, budget_bytes=64 * MEBIBYTE)


def entries(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache" / "entries").rglob("*") if path.is_file()]


def test_a_frame_comes_back_as_it_was_decoded(cache: RenderCache, slices: list[Frame]) -> None:
    image, values = slices[0]

    cache.keep_frame(image, 0, values)
    kept = cache.frame(image, 0)

    assert kept is not None
    assert kept.dtype == values.dtype
    assert np.array_equal(kept, values)
    assert not kept.flags.writeable
    assert cache.figures.hits == 1


@pytest.mark.parametrize("name", COMPRESSED)
def test_colours_and_other_widths_too(cache: RenderCache, dicom_dir: Path, name: str) -> None:
    image, values = decoded(dicom_dir / name)

    cache.keep_frame(image, 0, values)

    assert is_dear(image)
    assert np.array_equal(cache.frame(image, 0), values)


def test_an_entry_with_fewer_values_than_it_says_is_a_miss(
    cache: RenderCache, slices: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, values = slices[0]
    encode = imagecodecs.blosc2_encode
    monkeypatch.setattr(imagecodecs, "blosc2_encode", lambda packed, **options: encode(packed[:-1], **options))
    cache.keep_frame(image, 0, values)

    assert cache.frame(image, 0) is None
    assert cache.figures.misses == 1


def test_what_was_not_kept_is_a_miss(cache: RenderCache, slices: list[Frame]) -> None:
    assert cache.frame(slices[0][0], 0) is None
    assert cache.figures.misses == 1


def test_another_process_and_a_restart_find_it(
    cache: RenderCache, slices: list[Frame], tmp_path: Path, keys: MasterKeys | None
) -> None:
    image, values = slices[0]
    cache.keep_frame(image, 0, values)

    other = RenderCache(tmp_path / "cache", keys, budget_bytes=64 * MEBIBYTE)

    assert np.array_equal(other.frame(image, 0), values)


def test_nothing_of_it_can_be_read_on_the_disk(cache: RenderCache, slices: list[Frame], tmp_path: Path) -> None:
    image, _ = slices[0]
    row = np.arange(512 * 512, dtype=np.int16).reshape(512, 512) % 7  # would be seen, and packs well

    cache.keep_frame(image, 0, row)

    (file,) = entries(tmp_path)
    assert image.key not in str(file)
    data = np.frombuffer(file.read_bytes()[64:], np.uint8)
    assert len(set(data[:4096].tolist())) > 200  # noise has nearly all values


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "of another frame"])
def test_a_harmed_file_is_a_miss_and_is_gone(
    cache: RenderCache, slices: list[Frame], tmp_path: Path, harm: str
) -> None:
    (image, values), (other, other_values) = slices[:2]
    cache.keep_frame(image, 0, values)
    (file,) = entries(tmp_path)
    whole = file.read_bytes()
    if harm == "of another frame":
        cache.keep_frame(other, 0, other_values)
        (theirs,) = set(entries(tmp_path)) - {file}
        file.write_bytes(theirs.read_bytes())
    else:
        middle = len(whole) // 2
        changed = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        file.write_bytes({"cut": whole[:-100], "changed": changed, "empty": b""}[harm])

    assert cache.frame(image, 0) is None
    assert not file.exists()
    assert cache.figures.damaged == 1


def test_a_frame_that_is_described_otherwise_is_another_frame(cache: RenderCache, slices: list[Frame]) -> None:
    image, values = slices[0]
    cache.keep_frame(image, 0, values)
    about = image.description
    otherwise = replace(about, pixel_format=replace(about.pixel_format, bits_stored=10, high_bit=9))

    assert cache.frame(StoredImage(image.key, otherwise), 0) is None


def test_the_bound_holds_and_what_was_used_last_stays(
    slices: list[Frame], tmp_path: Path, keys: MasterKeys | None
) -> None:
    budget_bytes = 12 * MEBIBYTE  # a frame takes some 280 kB, and the share of the writer is 1.5 MiB
    cache = RenderCache(tmp_path / "cache", keys, budget_bytes=budget_bytes)
    (image, values), *_ = slices
    cache.keep_frame(image, 0, values)
    for number in range(80):
        os.utime(
            _place_of(cache, image), ns=(1 << 61, 1 << 61)
        )  # used: later than all others, whatever the clock's grain
        cache.keep_frame(replace(image, key=f"{number:064x}"), 0, values)
        assert sum(path.stat().st_size for path in entries(tmp_path)) <= budget_bytes

    assert cache.frame(image, 0) is not None
    assert cache.frame(replace(image, key=f"{0:064x}"), 0) is None
    assert cache.frame(replace(image, key=f"{79:064x}"), 0) is not None
    assert cache.figures.evictions > 0


def test_using_an_entry_makes_it_the_newest(cache: RenderCache, slices: list[Frame]) -> None:
    image, values = slices[0]
    cache.keep_frame(image, 0, values)
    os.utime(_place_of(cache, image), (1, 1))

    cache.frame(image, 0)

    assert _place_of(cache, image).stat().st_mtime > 1_000_000_000


def test_a_disk_that_is_nearly_full_gets_nothing_more(
    slices: list[Frame], tmp_path: Path, keys: MasterKeys | None
) -> None:
    floor_bytes = shutil.disk_usage(tmp_path).free
    cache = RenderCache(tmp_path / "cache", keys, budget_bytes=64 * MEBIBYTE, floor_bytes=floor_bytes)

    cache.keep_frame(slices[0][0], 0, slices[0][1])

    assert not entries(tmp_path)


def test_deleting_the_folder_costs_what_was_in_it_and_nothing_else(
    cache: RenderCache, slices: list[Frame], tmp_path: Path
) -> None:
    image, values = slices[0]
    cache.keep_frame(image, 0, values)

    shutil.rmtree(tmp_path / "cache")

    assert cache.frame(image, 0) is None
    cache.keep_frame(image, 0, values)
    assert np.array_equal(cache.frame(image, 0), values)


def test_forgetting_an_instance_removes_its_bytes_and_no_others(
    cache: RenderCache, slices: list[Frame], tmp_path: Path
) -> None:
    for image, values in slices[:2]:
        cache.keep_frame(image, 0, values)
        cache.keep_picture(image.key, "thumbnail", b"a picture")

    cache.forget(slices[0][0].key)
    cache.forget("0" * 64)  # of which there is nothing

    assert cache.frame(slices[0][0], 0) is None
    assert cache.picture(slices[0][0].key, "thumbnail") is None
    assert cache.frame(slices[1][0], 0) is not None
    assert len(entries(tmp_path)) == 2
    assert not list((tmp_path / "cache" / "gone").iterdir())


def test_entries_outlive_a_new_master_key(slices: list[Frame], tmp_path: Path, key_file: Path) -> None:
    image, values = slices[0]
    RenderCache(tmp_path / "cache", MasterKeys.from_file(key_file), budget_bytes=64 * MEBIBYTE).keep_frame(
        image, 0, values
    )
    rotation.add_key(key_file)
    assert (
        RenderCache(tmp_path / "cache", MasterKeys.from_file(key_file), budget_bytes=MEBIBYTE).frame(image, 0)
        is not None
    )
    newest = key_file.read_text().splitlines()[0]
    key_file.write_text(f"{newest}\n")

    after = RenderCache(tmp_path / "cache", MasterKeys.from_file(key_file), budget_bytes=64 * MEBIBYTE)

    assert np.array_equal(after.frame(image, 0), values)


def test_without_its_master_key_the_cache_begins_anew(slices: list[Frame], tmp_path: Path, key_file: Path) -> None:
    image, values = slices[0]
    RenderCache(tmp_path / "cache", MasterKeys.from_file(key_file), budget_bytes=64 * MEBIBYTE).keep_frame(
        image, 0, values
    )
    key_file.unlink()
    create_key(key_file)
    cache = RenderCache(tmp_path / "cache", MasterKeys.from_file(key_file), budget_bytes=64 * MEBIBYTE)

    assert cache.frame(image, 0) is None
    assert not entries(tmp_path)
    cache.keep_frame(image, 0, values)
    assert cache.frame(image, 0) is not None


def _place_of(cache: RenderCache, image: StoredImage) -> Path:
    (place,) = (path for path in cache._folder(image.key).iterdir())
    return place
