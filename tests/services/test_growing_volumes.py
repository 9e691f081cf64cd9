"""A volume while it loads, and when it is opened again: what is shown, and what is said of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.domain.cameras import whole_view
from appliance.domain.geometry import arranged
from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import StoredImage, StoredSeries
from appliance.domain.views import Encoding, VolumeView
from appliance.rendering.volume_textures import laid_out
from appliance.services.decode_process import DecodeLimits, Decoders
from appliance.services.drawing import Drawing, DrawingSettings
from appliance.services.frames import Frames, Stopwatch
from appliance.services.gl_thread import GlThread
from appliance.services.loaded_volumes import LoadedVolume, LoadedVolumes, Waiting
from appliance.services.volume_slices import VolumeSlices
from appliance.storage.instances import StoreSettings, open_store
from appliance.storage.render_cache import RenderCache
from tests.services.node_parts import ct_slice
from tests.services.test_loaded_volumes import stored, unexpected

SLICES, SIDE = 60, 384
"""Enough voxels to be thinned, and slices for more than one pass."""
KEPT = (1, 2, 2)
"""Voxels of which one is kept: along slices none are left out, since there are so few."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stored")


@pytest.fixture(scope="module")
def series(folder: Path) -> StoredSeries:
    """A bright ball in noise, in a store of its own."""
    z, y, x = np.ogrid[:SLICES, :SIDE, :SIDE]
    ball = (z - SLICES / 2) ** 2 * 16 + (y - SIDE / 2) ** 2 + (x - SIDE / 2) ** 2 < 100**2
    values = ball * 1500 + np.random.default_rng(7).integers(0, 200, ball.shape)
    slices = [ct_slice(number + 1, z=float(number)) for number in range(SLICES)]
    for number, ds in enumerate(slices):
        ds.Rows = ds.Columns = SIDE
        ds.PixelSpacing = [0.25, 0.25]
        ds.PixelData = values[number].astype("<u2").tobytes()
    return StoredSeries(SeriesUid("1.2.3"), "version", stored(folder, slices))


@pytest.fixture
def store(folder: Path) -> StoreSettings:
    return StoreSettings(folder / "store", None, floor_bytes=0)


class SlowFrames(Frames):
    """Gives nothing before it may."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.may_read = threading.Event()
        self.read = 0

    def stored_values(self, image: StoredImage, frame_index: int, watch: Stopwatch, *others: Any) -> NDArray[Any]:
        assert self.may_read.wait(60)
        self.read += 1
        return super().stored_values(image, frame_index, watch, *others)


@dataclass
class Room:
    """Where volumes are loaded."""

    frames: SlowFrames
    volumes: LoadedVolumes
    cache: RenderCache

    def shown(self, series: StoredSeries, *, needs_whole: bool) -> LoadedVolume:
        """The volume, when a picture of it could be drawn."""
        is_there = threading.Event()
        volume = self.volumes.wanted(series)
        volume.when_ready(Waiting(needs_whole, lambda _: is_there.set(), unexpected), wait_s=60)
        assert is_there.wait(60)
        volume.done()
        return volume


@pytest.fixture
def room(store: StoreSettings, tmp_path: Path) -> Iterator[Room]:
    decoders = Decoders(1, DecodeLimits())
    cache = RenderCache(tmp_path / "cache", None, budget_bytes=1 << 28)
    frames = SlowFrames(open_store(store), 1 << 28, decoders, cache)
    gl = GlThread(software_only=True)
    volumes = LoadedVolumes(frames, gl, budget_bytes=1 << 28, threads=1, is_busy=lambda: False)
    yield Room(frames, volumes, cache)
    decoders.stop()


def slices_of(series: StoredSeries, frames: Frames) -> VolumeSlices:
    arrangement = arranged([image.description for image in series.images])
    geometry = arrangement.chosen(None)
    layout = laid_out(geometry, largest_side=2048, largest_bytes=1 << 30)
    return VolumeSlices(series.images, arrangement, geometry, layout, frames)


def keep(series: StoredSeries, frames: SlowFrames) -> None:
    """All that is kept of the volume is on the disk."""
    frames.may_read.set()
    assert list(slices_of(series, frames).keep()) == list(range(SLICES))
    with ThreadPoolExecutor(1) as threads:
        while slices_of(series, frames).kept(threads) is None:
            threading.Event().wait(0.05)
    frames.may_read.clear()


def test_a_first_picture_needs_less_than_half_of_the_slices(room: Room, series: StoredSeries) -> None:
    room.frames.may_read.set()

    shown: list[tuple[tuple[int, int, int], float]] = []
    volume = room.volumes.wanted(series)

    volume.when_ready(
        Waiting(False, lambda one: shown.append((one.reduction, one.completeness)), unexpected), wait_s=60
    )

    assert room.shown(series, needs_whole=True).reduction == (1, 1, 1)
    assert shown == [((2, 2, 2), 0.5)]
    volume.done()


def test_a_volume_that_was_opened_before_is_shown_before_any_slice_is_read(room: Room, series: StoredSeries) -> None:
    keep(series, room.frames)
    room.frames.read = 0

    volume = room.shown(series, needs_whole=False)

    assert (volume.reduction, volume.completeness, room.frames.read) == (KEPT, 0, 0)
    room.frames.may_read.set()
    assert room.shown(series, needs_whole=True) is volume
    assert (volume.reduction, volume.completeness) == ((1, 1, 1), 1)


def test_what_is_kept_of_a_volume_are_the_means_of_its_slices(room: Room, series: StoredSeries) -> None:
    keep(series, room.frames)
    room.frames.may_read.set()
    slices = slices_of(series, room.frames)

    with ThreadPoolExecutor(2) as threads:
        kept = slices.kept(threads)

    texels = slices.texels(7, Stopwatch())
    assert kept is not None and texels is not None
    assert kept.shape == (SLICES, SIDE // 2, SIDE // 2)
    means = texels.reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3))
    assert np.abs(kept[7] - means).max() <= 0.5


def test_what_is_kept_goes_with_an_instance_that_is_deleted(room: Room, series: StoredSeries) -> None:
    keep(series, room.frames)

    room.cache.forget(series.images[SLICES // 2].key)

    with ThreadPoolExecutor(1) as threads:
        assert slices_of(series, room.frames).kept(threads) is None
        room.frames.may_read.set()
        assert list(slices_of(series, room.frames).keep()) == [SLICES // 2]


def test_a_volume_is_made_ready_once_and_not_through_memory(room: Room, series: StoredSeries) -> None:
    read: list[str] = []
    decoders = Decoders(1)

    def passing(image: StoredImage, frame_index: int, watch: Stopwatch) -> NDArray[Any]:
        read.append(image.key)
        return room.frames.passing_values(image, frame_index, watch, decoders)

    first = list(room.volumes.make_ready(series, passing))
    with ThreadPoolExecutor(1) as threads:
        while slices_of(series, room.frames).kept(threads) is None:
            threading.Event().wait(0.05)
    second = list(room.volumes.make_ready(series, passing))

    assert (len(first), second, len(read)) == (SLICES, [], SLICES)
    assert not any(room.frames.has(image, 0) for image in series.images)


@pytest.mark.asyncio
async def test_the_last_picture_is_that_of_the_whole_volume_however_it_grew(
    series: StoredSeries, store: StoreSettings, tmp_path: Path
) -> None:
    geometry = arranged([image.description for image in series.images]).chosen(None)
    camera = whole_view(geometry.center_mm, geometry.size_mm, "a", aspect=1)
    view = VolumeView(series.series_uid, camera, (64, 64), Encoding("image/png"), preset="bone")
    last = []
    for cache_bytes in (0, 1 << 28, 1 << 28):  # without a cache, with one that fills, with one that is full
        settings = DrawingSettings(
            store, settled_wait_s=0.01, render_cache_directory=tmp_path / "cache", render_cache_bytes=cache_bytes
        )
        drawing = Drawing(settings)
        await drawing.start()
        picture = await drawing.volume(series, view, viewer="somebody")
        while picture.completeness < 1:
            picture = await drawing.volume(series, view, viewer="somebody")
        last.append(picture)
        await drawing.stop()

    assert [picture.reduction for picture in last] == [(1, 1, 1)] * 3
    assert last[0].body == last[1].body == last[2].body
