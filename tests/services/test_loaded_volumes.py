"""The budget of volumes in a render process, with a GL thread of this one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.domain.errors import ApplianceError
from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import StoredImage, StoredSeries
from appliance.services.decode_process import DecodeLimits, Decoders
from appliance.services.frames import Frames
from appliance.services.gl_thread import GlThread
from appliance.services.loaded_volumes import LoadedVolume, LoadedVolumes, Waiting
from appliance.storage.instances import StoreSettings, open_store
from appliance.storage.parsing import parse
from tests.services.node_parts import ct_slice, encoded

Volumes = Callable[[int], LoadedVolumes]


class Viewer:
    """Wants a picture of a volume, and goes on drawing it until told otherwise."""

    def __init__(self, volumes: LoadedVolumes, series: StoredSeries) -> None:
        self.has_begun = threading.Event()
        self.volume = volumes.wanted(series)
        self.volume.when_ready(Waiting(True, self._begin, self._refused), wait_s=60)

    def _begin(self, volume: LoadedVolume) -> None:
        self.has_begun.set()

    def _refused(self, error: ApplianceError) -> None:
        raise AssertionError(error)


@pytest.fixture
def several(tmp_path: Path) -> list[StoredSeries]:
    """Three series of the same pictures."""
    store = open_store(StoreSettings(tmp_path / "store", None, floor_bytes=0))
    images = []
    for number in range(8):
        spool = store.begin()
        spool.write(encoded(ct_slice(number + 1, z=float(number))))
        key = spool.commit()
        with store.open(key) as reader:
            image = parse(reader).image
        assert image is not None
        images.append(StoredImage(key, image))
    return [StoredSeries(SeriesUid("1.2.3"), f"version-{number}", tuple(images)) for number in range(3)]


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
