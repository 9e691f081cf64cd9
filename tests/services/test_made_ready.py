"""Nothing is decoded twice: what was looked at, what is about to be, and what came in are there when they are wanted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from appliance.domain.cameras import whole_view
from appliance.domain.errors import NotFound
from appliance.domain.geometry import arranged
from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import ImageDescription, StoredImage, StoredSeries, Window
from appliance.domain.views import Encoding, Picture, RenderingMethod, SliceView, Viewport, VolumeView
from appliance.services.drawing import Drawing, DrawingSettings
from appliance.services.frames import keep_only_of_stored
from appliance.services.making_ready import MakingReady
from appliance.services.travel import Place
from appliance.storage.instances import StoreSettings, open_store
from appliance.storage.parsing import parse
from appliance.storage.render_cache import RenderCache
from appliance.storage.sealing import create_key
from tests.services.node_parts import SOMEBODY, NodeParts, ct_slice, encoded, node_parts

CT = "01-volumes/ct-chest-lidc-0314"
"""JPEG-LS: dear to decode."""
PNG = Encoding("image/png")
WINDOW = Window(40, 400)
MEBIBYTE = 1024**2


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StoreSettings:
    folder = tmp_path_factory.mktemp("store")
    create_key(folder / "key")
    return StoreSettings(folder / "instances", folder / "key", floor_bytes=0)


@pytest.fixture(scope="module")
def images(dicom_dir: Path, settings: StoreSettings) -> list[StoredImage]:
    return [kept(settings, path) for path in sorted((dicom_dir / CT).iterdir())[:24]]


def kept(settings: StoreSettings, path: Path) -> StoredImage:
    store = open_store(settings)
    spool = store.begin()
    spool.write(path.read_bytes())
    key = spool.commit()
    with store.open(key) as reader:
        image = parse(reader).image
    assert image is not None
    return StoredImage(key, image)


@contextlib.asynccontextmanager
async def drawing_of(settings: StoreSettings, directory: Path, **others: object) -> AsyncIterator[Drawing]:
    drawing = Drawing(DrawingSettings(settings, render_cache_directory=directory, **others))  # type: ignore[arg-type]
    await drawing.start()
    try:
        yield drawing
    finally:
        await drawing.stop()


def view_of(image: StoredImage, window: Window = WINDOW) -> SliceView:
    return SliceView(image.description.instance_uid, 0, PNG, window)


def thumbnail_of(image: ImageDescription, frame_index: int) -> SliceView:
    return SliceView(image.instance_uid, frame_index, Encoding("image/jpeg", 80), viewport=Viewport(160, 160))


def stages(picture: Picture) -> set[str]:
    return {stage for stage, _ in picture.stages_ms}


async def until(is_so: Callable[[], bool], drawing: Drawing) -> None:
    for _ in range(200):
        await drawing._look_at(drawing._processes[0])
        if is_so():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to be so")


async def test_a_series_that_is_opened_a_second_time_is_not_decoded_again(
    settings: StoreSettings, images: list[StoredImage], tmp_path: Path
) -> None:
    async with drawing_of(settings, tmp_path) as drawing:
        first = [await drawing.slice(image, view_of(image), viewer="a") for image in images[:3]]
        thumbnail = await drawing.slice(images[0], thumbnail_of(images[0].description, 0), viewer="a", is_kept=True)
        await until(lambda: drawing.state().render_cache.entries == 4, drawing)
    async with drawing_of(settings, tmp_path) as drawing:
        again = [await drawing.slice(image, view_of(image), viewer="a") for image in images[:3]]
        same_thumbnail = await drawing.slice(
            images[0], thumbnail_of(images[0].description, 0), viewer="a", is_kept=True
        )
        await until(lambda: drawing.state().render_cache.hits == 4, drawing)

    assert all("decode" in stages(picture) for picture in first)
    assert all("decode" not in stages(picture) for picture in again)
    assert [picture.body for picture in again] == [picture.body for picture in first]
    assert same_thumbnail.body == thumbnail.body
    assert stages(same_thumbnail) == {"read"}


async def test_the_neighbours_in_the_direction_of_travel_are_there_before_they_are_wanted(
    settings: StoreSettings, images: list[StoredImage], tmp_path: Path
) -> None:
    positions = {image.description.instance_uid: position for position, image in enumerate(images)}
    async with drawing_of(settings, tmp_path) as drawing:
        drawing.around = lambda uid, _: Place(SeriesUid("1.2"), positions[uid], len(images), lambda at: (images[at], 0))
        for position in (10, 9):
            await drawing.slice(images[position], view_of(images[position]), viewer="a")
        await until(lambda: drawing.state().made_ahead == 4, drawing)

        ahead = [await drawing.slice(images[at], view_of(images[at]), viewer="b") for at in (8, 7, 6, 5)]
        behind = await drawing.slice(images[12], view_of(images[12]), viewer="b")

    assert all(stages(picture) == {"draw", "encode"} for picture in ahead)
    assert "decode" in stages(behind)


async def test_a_decoder_that_is_killed_costs_no_picture(
    settings: StoreSettings, images: list[StoredImage], tmp_path: Path
) -> None:
    async with drawing_of(settings, tmp_path, render_cache_bytes=0) as drawing:
        await drawing.slice(images[0], view_of(images[0]), viewer="a")
        render_process = drawing._processes[0].child.pid
        for pid in _workers_of(render_process or 0):
            os.kill(pid, signal.SIGKILL)

        picture = await drawing.slice(images[1], view_of(images[1]), viewer="a")

        assert picture.size == (512, 512)
        assert drawing.state().restarts == 0
        assert drawing.state().render_cache.entries == 0  # there is none


async def test_what_nobody_uses_is_given_back_after_a_while(
    settings: StoreSettings, images: list[StoredImage], tmp_path: Path
) -> None:
    series = StoredSeries(SeriesUid("1.2"), "v1", tuple(images[:8]))
    volume = arranged([image.description for image in images[:8]]).volume
    assert volume is not None
    camera = whole_view(volume.center_mm, volume.size_mm, "a", aspect=1)
    view = VolumeView(series.series_uid, camera, (64, 64), PNG, RenderingMethod.MAXIMUM_IP)
    async with drawing_of(settings, tmp_path, idle_release_s=1.0, settled_wait_s=60.0) as drawing:
        assert (await drawing.volume(series, view, viewer="a")).completeness == 1

        await until(lambda: drawing.state().texture_cache_bytes == 0 == drawing.state().frame_cache_bytes, drawing)

        again = await drawing.volume(series, replace(view, invert=True), viewer="a")
        assert again.completeness == 1


async def test_one_who_closes_a_series_does_not_take_it_from_another(
    settings: StoreSettings, images: list[StoredImage], tmp_path: Path
) -> None:
    series = StoredSeries(SeriesUid("1.2"), "v1", tuple(images))
    volume = arranged([image.description for image in images]).volume
    assert volume is not None
    camera = whole_view(volume.center_mm, volume.size_mm, "a", aspect=1)
    views = [
        VolumeView(series.series_uid, camera, (64, 64), PNG, RenderingMethod.MAXIMUM_IP, invert=i)
        for i in (False, True)
    ]
    async with drawing_of(settings, tmp_path, settled_wait_s=60.0) as drawing:
        goer, stayer = (
            asyncio.create_task(drawing.volume(series, view, viewer=name))
            for view, name in zip(views, ("goer", "stayer"), strict=True)
        )
        await asyncio.sleep(0.05)

        goer.cancel()

        assert (await stayer).completeness == 1


async def test_what_clients_gave_up_is_not_begun(
    settings: StoreSettings, images: list[StoredImage], tmp_path: Path
) -> None:
    async with drawing_of(settings, tmp_path, decoder_threads=1) as drawing:
        await drawing.slice(images[0], view_of(images[0]), viewer="a")
        asked = [asyncio.create_task(drawing.slice(image, view_of(image), viewer="a")) for image in images[1:]]
        await asyncio.sleep(0)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

        await drawing.slice(images[0], view_of(images[0], Window(0, 100)), viewer="a")

        # Each frame that was looked for was looked for on the disk first; one may have been under way.
        await drawing._look_at(drawing._processes[0])
        assert drawing.state().render_cache.misses <= 3


# What came in


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[NodeParts]:
    async with node_parts(tmp_path) as parts:
        yield parts


def making(node: NodeParts, drawing: Drawing, cache: RenderCache, **others: object) -> MakingReady:
    wanted = {"budget_bytes": 64 * MEBIBYTE, "look_back": timedelta(days=1), "thumbnail": thumbnail_of} | others
    return MakingReady(node.catalogue, drawing, node.threads, cache, **wanted)  # type: ignore[arg-type]


async def test_what_came_in_is_ready_once_and_goes_with_its_instance(
    node: NodeParts, dicom_dir: Path, tmp_path: Path
) -> None:
    stored = [await node.put(path.read_bytes()) for path in sorted((dicom_dir / CT).iterdir())[:4]]
    native = await node.put((dicom_dir / "10-transfer-syntaxes/nema-ct1/CT1_UNC.explicit-le.dcm").read_bytes())
    settings = StoreSettings(node.store.directory, tmp_path / "key", floor_bytes=0)
    cache = RenderCache(tmp_path / "made", node.store.keys, budget_bytes=64 * MEBIBYTE)
    series = await node.catalogue.stored_series(stored[0].study_uid, stored[0].series_uid)

    async with drawing_of(settings, tmp_path / "made") as drawing:
        await making(node, drawing, cache).make_ready()
        await until(lambda: all(cache.has_frame(image, 0) for image in series.images), drawing)
        # two thumbnails, and the frames of what is compressed, of which one may have been decoded for its thumbnail
        assert drawing.state().made_ahead in {5, 6}
        await until(lambda: drawing.state().render_cache.entries == 6, drawing)

    async with drawing_of(settings, tmp_path / "made") as drawing:
        await making(node, drawing, cache).make_ready()  # after a restart
        await drawing._look_at(drawing._processes[0])
        assert drawing.state().made_ahead == 0
        one = series.images[2]
        assert "decode" not in stages(await drawing.slice(one, view_of(one), viewer="a"))

        node.catalogue._forget = cache.forget
        await node.catalogue.delete_series(stored[0].study_uid, stored[0].series_uid, SOMEBODY)
        drawing.forget([image.key for image in series.images])

        assert not any(cache.has_frame(image, 0) for image in series.images)
        assert len([path for path in (tmp_path / "made" / "entries").rglob("*") if path.is_file()]) == 1
        with pytest.raises(NotFound):
            await drawing.slice(one, view_of(one, Window(0, 100)), viewer="a")
    assert await node.catalogue.stored_series(native.study_uid, native.series_uid)


async def test_the_coarse_volume_of_what_came_in_is_ready(node: NodeParts, tmp_path: Path) -> None:
    for number in range(60):
        ds = ct_slice(number + 1, z=float(number))
        ds.Rows = ds.Columns = 384
        ds.PixelData = np.full((384, 384), 10 * number, "<u2").tobytes()
        stored = await node.put(encoded(ds))
    settings = StoreSettings(node.store.directory, tmp_path / "key", floor_bytes=0)
    cache = RenderCache(tmp_path / "made", node.store.keys, budget_bytes=64 * MEBIBYTE)
    series = await node.catalogue.stored_series(stored.study_uid, stored.series_uid)
    geometry = arranged([image.description for image in series.images]).chosen(None)
    camera = whole_view(geometry.center_mm, geometry.size_mm, "a", aspect=1)
    view = VolumeView(series.series_uid, camera, (64, 64), Encoding("image/png"), preset="bone", interactive=True)

    async with drawing_of(settings, tmp_path / "made") as drawing:
        await making(node, drawing, cache).make_ready()
        # a thumbnail, and each slice: of so few none is left out
        await until(lambda: drawing.state().render_cache.entries == 61, drawing)
    async with drawing_of(settings, tmp_path / "made") as drawing:
        picture = await drawing.volume(series, view, viewer="somebody")

    # Every second slice, if it had begun anew.
    assert picture.reduction == (1, 1, 2)
    assert picture.completeness < 1


async def test_a_large_import_fills_no_more_than_half_of_the_cache(
    node: NodeParts, dicom_dir: Path, tmp_path: Path
) -> None:
    for path in sorted((dicom_dir / CT).iterdir())[:4]:
        await node.put(path.read_bytes())
    settings = StoreSettings(node.store.directory, tmp_path / "key", floor_bytes=0)
    cache = RenderCache(tmp_path / "made", node.store.keys, budget_bytes=64 * MEBIBYTE)

    async with drawing_of(settings, tmp_path / "made") as drawing:
        await making(node, drawing, cache, budget_bytes=2 * MEBIBYTE).make_ready()

        await drawing._look_at(drawing._processes[0])
        assert drawing.state().made_ahead == 3  # the thumbnail, and two frames of half a mebibyte


async def test_an_instance_that_was_deleted_while_it_was_decoded_leaves_nothing(
    settings: StoreSettings, images: list[StoredImage], tmp_path: Path
) -> None:
    store = open_store(settings)
    cache = RenderCache(tmp_path, store.keys, budget_bytes=64 * MEBIBYTE)
    gone = replace(images[0], key="0" * 64)
    for image in (images[0], gone):
        cache.keep_frame(image, 0, np.zeros((4, 4), np.int16))

        keep_only_of_stored(cache, store, image.key)

    assert cache.has_frame(images[0], 0)
    assert not cache.has_frame(gone, 0)


def _workers_of(render_process: int) -> list[int]:
    def children(pid: int) -> list[int]:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]

    workers = [worker for nursery in children(render_process) for worker in children(nursery)]
    assert workers
    return workers
