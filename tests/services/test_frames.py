"""Decoded frames in memory: within their budget, and gone when they are."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from appliance.domain.errors import Damaged, NotDrawable
from appliance.domain.image import StoredImage
from appliance.services.decode_process import DecodeLimits, Decoders
from appliance.services.frames import Frames, Stopwatch
from appliance.storage.instances import InstanceStore, StoreSettings, open_store
from appliance.storage.parsing import parse
from appliance.storage.sealing import create_key
from tests.services.node_parts import ct_slice, encoded

SLICE_BYTES = 512 * 512 * 2
MIB = 1024**2


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    started = Decoders(1, DecodeLimits())
    yield started
    started.stop()


@pytest.fixture
def store(tmp_path: Path) -> InstanceStore:
    create_key(tmp_path / "key")
    return open_store(StoreSettings(tmp_path / "store", tmp_path / "key", floor_bytes=0))


def large_slice(number: int) -> Dataset:
    """512 x 512, each pixel its place and the slice's number."""
    ds = ct_slice(number, z=float(number))
    ds.Rows = ds.Columns = 512
    ds.PixelData = ((np.arange(512 * 512) + number) % 4096).astype("<u2").tobytes()
    return ds


def stored(store: InstanceStore, data: Sequence[bytes]) -> list[StoredImage]:
    images = []
    for each in data:
        spool = store.begin()
        spool.write(each)
        key = spool.commit()
        with store.open(key) as reader:
            image = parse(reader).image
        assert image is not None
        images.append(StoredImage(key, image))
    return images


def values_of(number: int) -> np.ndarray:
    return ((np.arange(512 * 512) + number) % 4096).reshape(512, 512)


def test_frames_of_many_are_each_its_own(store: InstanceStore, decoders: Decoders) -> None:
    images = stored(store, [encoded(large_slice(number)) for number in range(40)])
    frames = Frames(store, 1024 * MIB, decoders)

    found = [frames.stored_values(image, 0, Stopwatch()) for image in images]

    assert all(np.array_equal(values, values_of(number)) for number, values in enumerate(found))
    assert not any(values.flags.writeable for values in found)
    assert frames.size_bytes == 40 * SLICE_BYTES


def test_the_budget_is_of_all_memory_that_there_is_for_frames(store: InstanceStore, decoders: Decoders) -> None:
    images = stored(store, [encoded(large_slice(number)) for number in range(80)])
    frames = Frames(store, 24 * MIB, decoders)

    for image in images:
        frames.stored_values(image, 0, Stopwatch())
        assert frames.size_bytes <= 24 * MIB

    assert sum(frames.has(image, 0) for image in images) == 45


def test_frames_that_come_after_others_are_put_into_the_room_of_those(store: InstanceStore, decoders: Decoders) -> None:
    images = stored(store, [encoded(large_slice(number)) for number in range(80)])
    frames = Frames(store, 16 * MIB, decoders)

    places = [frames.stored_values(image, 0, Stopwatch()).ctypes.data for image in images]

    assert len(set(places)) <= 16 * MIB // SLICE_BYTES
    assert np.array_equal(frames.stored_values(images[-1], 0, Stopwatch()), values_of(79))


def test_a_frame_that_is_used_is_whole_after_it_was_forgotten(store: InstanceStore, decoders: Decoders) -> None:
    images = stored(store, [encoded(large_slice(number)) for number in range(80)])
    frames = Frames(store, 4 * MIB, decoders)
    first = frames.stored_values(images[0], 0, Stopwatch())

    for image in images[1:]:
        frames.stored_values(image, 0, Stopwatch())

    assert not frames.has(images[0], 0)
    assert np.array_equal(first, values_of(0))


def test_nothing_is_left_of_frames_that_were_released(store: InstanceStore, decoders: Decoders) -> None:
    images = stored(store, [encoded(large_slice(number)) for number in range(20)])
    frames = Frames(store, 1024 * MIB, decoders)
    for image in images:
        frames.stored_values(image, 0, Stopwatch())

    frames.release_unused(0.0)

    assert frames.size_bytes == 0


def test_a_frame_that_is_shorter_than_its_room_shows_nothing_of_the_one_before(
    store: InstanceStore, decoders: Decoders
) -> None:
    secret, short = stored(store, [encoded(large_slice(1)), encoded(large_slice(2))])
    frames = Frames(store, 16 * MIB, decoders)
    frames.stored_values(secret, 0, Stopwatch())
    frames.forget(secret.key)
    (offset, length), *_ = short.description.frames[0].fragments
    beyond_end = replace(short.description.frames[0], fragments=((offset + 1000, length),))
    misdescribed = replace(short, description=replace(short.description, frames=(beyond_end,)))

    with pytest.raises(NotDrawable):
        frames.stored_values(misdescribed, 0, Stopwatch())


def test_nothing_is_left_of_frames_that_were_refused(store: InstanceStore, decoders: Decoders, dicom_dir: Path) -> None:
    (harmed,) = stored(store, [encoded(large_slice(1))])
    place = store.place_of(harmed.key)
    content = bytearray(place.read_bytes())
    content[-100_000] ^= 1
    place.chmod(0o600)
    place.write_bytes(content)
    data = (dicom_dir / "10-transfer-syntaxes/nema-ct1/CT1_J2KR.dcm").read_bytes()
    (compressed,) = stored(store, [data])
    taller = replace(compressed.description.pixel_format, rows=4000)
    misdescribed = replace(compressed, description=replace(compressed.description, pixel_format=taller))
    frames = Frames(store, 1024 * MIB, decoders)

    with pytest.raises(Damaged):
        frames.stored_values(harmed, 0, Stopwatch())
    with pytest.raises(NotDrawable):
        frames.stored_values(misdescribed, 0, Stopwatch())

    gc.collect()
    frames.release_unused(0.0)
    assert frames.size_bytes == 0
