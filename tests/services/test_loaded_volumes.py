"""The budget of volumes in a render process, with a GL thread of this one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Queue

import pytest
from pydicom import Dataset

from appliance.domain.errors import ApplianceError
from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import StoredImage, StoredSeries, Window
from appliance.services.decode_process import DecodeLimits, Decoders
from appliance.services.frames import Frames
from appliance.services.gl_thread import GlThread
from appliance.services.loaded_volumes import LoadedVolume, LoadedVolumes, Waiting
from appliance.storage.instances import StoreSettings, open_store
from appliance.storage.parsing import parse
from tests.services.node_parts import ct_slice, encoded

Volumes = Callable[[int], LoadedVolumes]


def unexpected(error: ApplianceError) -> None:
    raise AssertionError(error)


class Viewer:
    """Wants a picture of a volume, and goes on drawing it until told otherwise."""

    def __init__(self, volumes: LoadedVolumes, series: StoredSeries) -> None:
        self.has_begun = threading.Event()
        self.volume = volumes.wanted(series)
        self.volume.when_ready(Waiting(True, self._begin, unexpected), wait_s=60)

    def _begin(self, volume: LoadedVolume) -> None:
        self.has_begun.set()


def stored(folder: Path, slices: Sequence[Dataset]) -> tuple[StoredImage, ...]:
    """The data sets in a store of their own."""
    store = open_store(StoreSettings(folder / "store", None, floor_bytes=0))
    images = []
    for ds in slices:
        spool = store.begin()
        spool.write(encoded(ds))
        key = spool.commit()
        with store.open(key) as reader:
            image = parse(reader).image
        assert image is not None
        images.append(StoredImage(key, image))
    return tuple(images)


@pytest.fixture
def several(tmp_path: Path) -> list[StoredSeries]:
    """Three series of the same pictures."""
    images = stored(tmp_path, [ct_slice(number + 1, z=float(number)) for number in range(8)])
    return [StoredSeries(SeriesUid("1.2.3"), f"version-{number}", images) for number in range(3)]


@pytest.fixture
def phases(tmp_path: Path) -> StoredSeries:
    """Two times of four slices; the second has values and a window of its own."""
    slices = [ct_slice(number + 1, z=float(number % 4), value=100 * (number // 4)) for number in range(8)]
    for ds in slices[4:]:
        ds.WindowCenter, ds.WindowWidth, ds.RescaleIntercept = 1500, 700, 0
    return StoredSeries(SeriesUid("1.2.3"), "version", stored(tmp_path, slices))


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    decoders = Decoders(1, DecodeLimits())
    decoders.start()
    frames = Frames(open_store(StoreSettings(tmp_path / "store", None, floor_bytes=0)), 1024**2, decoders)
    gl = GlThread(software_only=True)
    yield lambda budget_bytes: LoadedVolumes(frames, gl, budget_bytes=budget_bytes, threads=1, is_busy=lambda: False)
    decoders.stop()


def test_a_volume_waits_until_one_that_is_being_drawn_can_be_given_back(
    volumes: Volumes, several: list[StoredSeries]
) -> None:
    alone = Viewer(volumes(1024**2), several[0])
    assert alone.has_begun.wait(60)
    budget_bytes = int(2.9 * alone.volume.size_bytes)
    room_for_two = volumes(budget_bytes)
    drawn = [Viewer(room_for_two, series) for series in several[:2]]
    assert all(viewer.has_begun.wait(60) for viewer in drawn)

    third = Viewer(room_for_two, several[2])
    time.sleep(0.3)  # it would be loaded by then, if it did not wait
    drawn[0].volume.done()

    assert third.has_begun.wait(60)
    assert room_for_two.size_bytes == 2 * alone.volume.size_bytes <= budget_bytes


def test_a_chosen_volume_has_the_window_and_the_values_of_its_own_slices(
    volumes: Volumes, phases: StoredSeries
) -> None:
    loaded = volumes(1024**2)
    first, second = (loaded.wanted(phases, number) for number in (None, 1))
    assert second is loaded.wanted(phases, 1)
    ends = {id(each): threading.Event() for each in (first, second)}
    for each in (first, second):
        each.when_ready(Waiting(True, lambda volume: ends[id(volume)].set(), unexpected), wait_s=60)

    assert all(end.wait(60) for end in ends.values())
    assert (first.usual_voi, second.usual_voi) == (Window(35, 350), Window(1500, 700))
    assert (first.count, second.count) == (4, 4)
    # Each by its own rescale: together no scale would keep the stored values.
    assert first.scale.keeps_stored
    assert second.scale.keeps_stored
    assert first.scale != second.scale


def test_a_volume_that_a_series_has_not_is_refused_by_its_number(volumes: Volumes, phases: StoredSeries) -> None:
    refusals: Queue[ApplianceError] = Queue()
    volumes(1024**2).wanted(phases, 2).when_ready(Waiting(True, lambda _: None, refusals.put), wait_s=60)

    assert refusals.get(timeout=60).key == "no-such-volume"
