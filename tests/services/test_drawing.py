"""The road of a picture with a real render process, on real files."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import pytest_asyncio

from appliance.domain.cameras import whole_view
from appliance.domain.errors import NotDrawable, NotFound
from appliance.domain.geometry import arranged
from appliance.domain.grayscale import drawn
from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import StoredImage, StoredSeries, Window
from appliance.domain.views import Camera, Encoding, PlaneView, RenderingMethod, SliceView, Viewport, VolumeView
from appliance.services.drawing import Drawing, DrawingSettings
from appliance.storage.decoding import decode_frame
from appliance.storage.instances import InstanceStore, StoreSettings, open_store
from appliance.storage.parsing import parse
from appliance.storage.sealing import create_key

PNG = Encoding("image/png")
WINDOW = Window(40, 400)
EVERY_FOURTH = slice(0, 160, 4)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> StoreSettings:
    folder = tmp_path_factory.mktemp("store")
    create_key(folder / "key")
    return StoreSettings(folder / "instances", folder / "key", floor_bytes=0)


@pytest.fixture(scope="module")
def keep(settings: StoreSettings) -> Callable[[Path], StoredImage]:
    store: InstanceStore = open_store(settings)

    def kept(path: Path) -> StoredImage:
        spool = store.begin()
        spool.write(path.read_bytes())
        key = spool.commit()
        with store.open(key) as reader:
            image = parse(reader).image
        assert image is not None
        return StoredImage(key, image)

    return kept


@pytest.fixture(scope="module")
def chest(dicom_dir: Path, keep: Callable[[Path], StoredImage]) -> StoredSeries:
    paths = sorted((dicom_dir / "01-volumes" / "ct-chest-lidc-0314").iterdir())[EVERY_FOURTH]
    return StoredSeries(SeriesUid("1.2.3"), "chest-1", tuple(keep(path) for path in paths))


@pytest.fixture(scope="module")
def camera(chest: StoredSeries) -> Camera:
    volume = arranged([image.description for image in chest.images]).volume
    assert volume is not None
    return whole_view(volume.center_mm, volume.size_mm, "a", aspect=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def drawing(settings: StoreSettings) -> AsyncIterator[Drawing]:
    started = Drawing(DrawingSettings(settings, settled_wait_s=20))
    await started.start()
    yield started
    await started.stop()


def slice_view(image: StoredImage, *, window: Window | None = WINDOW, viewport: Viewport | None = None) -> SliceView:
    return SliceView(image.description.instance_uid, 0, PNG, window, viewport)


def pixels_of(body: bytes) -> np.ndarray:
    return np.asarray(imagecodecs.png_decode(body))


async def test_a_slice_is_the_reference_pixel_for_pixel(
    drawing: Drawing, chest: StoredSeries, settings: StoreSettings
) -> None:
    image = chest.images[7]

    picture = await drawing.slice(image, slice_view(image), viewer="a")

    with open_store(settings).open(image.key) as reader:
        stored = decode_frame(image.description, 0, reader)
    assert np.array_equal(pixels_of(picture.body), drawn(stored, image.description, 0, voi=WINDOW))
    assert {stage for stage, _ in picture.stages_ms} == {"read", "decode", "draw", "encode"}


async def test_a_resampled_slice_has_the_size_that_fits(drawing: Drawing, chest: StoredSeries) -> None:
    image = chest.images[7]

    picture = await drawing.slice(image, slice_view(image, viewport=Viewport(300, 200)), viewer="a")

    assert picture.size == (200, 200)
    assert pixels_of(picture.body).std() > 20


async def test_identical_requests_are_made_once(drawing: Drawing, chest: StoredSeries) -> None:
    image = chest.images[8]
    view = slice_view(image, viewport=Viewport(400, 400))

    pictures = await asyncio.gather(*(drawing.slice(image, view, viewer=str(viewer)) for viewer in range(5)))

    assert all(picture is pictures[0] for picture in pictures)
    again = await drawing.slice(image, view, viewer="late")
    assert again.body == pictures[0].body
    assert again.stages_ms == ()  # kept: nothing was done for it


async def test_one_who_goes_does_not_take_the_picture_from_the_others(drawing: Drawing, chest: StoredSeries) -> None:
    image = chest.images[9]
    view = slice_view(image, viewport=Viewport(401, 401))
    goer, stayer = (asyncio.create_task(drawing.slice(image, view, viewer=name)) for name in "ab")
    await asyncio.sleep(0)

    goer.cancel()

    assert (await stayer).size == (401, 401)
    with pytest.raises(asyncio.CancelledError):
        await goer


async def test_what_nobody_waits_for_is_dropped_and_can_be_asked_for_anew(
    drawing: Drawing, chest: StoredSeries
) -> None:
    image = chest.images[10]
    view = slice_view(image, viewport=Viewport(402, 402))
    only = asyncio.create_task(drawing.slice(image, view, viewer="a"))
    await asyncio.sleep(0)

    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only

    assert (await drawing.slice(image, view, viewer="a")).size == (402, 402)


async def test_the_first_picture_of_a_volume_comes_before_it_is_whole(
    drawing: Drawing, chest: StoredSeries, camera: Camera
) -> None:
    series = replace(chest, version="chest-early")
    view = VolumeView(series.series_uid, camera, (256, 256), PNG, interactive=True)

    picture = await drawing.volume(series, view, viewer="a")

    assert 0 < picture.completeness < 1
    assert picture.is_coarse
    assert pixels_of(picture.body).max() > 100


async def test_a_settled_volume_is_whole_and_shows_the_head_end_up(
    drawing: Drawing, chest: StoredSeries, camera: Camera
) -> None:
    picture = await drawing.volume(
        chest, VolumeView(chest.series_uid, camera, (256, 256), PNG, RenderingMethod.VOLUME_RENDERED), viewer="a"
    )

    pixels = pixels_of(picture.body).astype(int)
    shown = pixels.sum(axis=2) > 60
    assert picture.completeness == 1
    assert not picture.is_coarse
    # 160 mm of 400 are in the middle; the shoulders above are wider than the ribs below, between bone there is dark
    assert shown[80:175].mean() > 0.3
    assert not shown[:70].any()
    assert not shown[185:].any()
    assert (pixels[..., 0] >= pixels[..., 2]).mean() > 0.95  # bone is warm


async def test_a_frontal_plane_equals_the_rows_of_the_slices(
    drawing: Drawing, chest: StoredSeries, camera: Camera, settings: StoreSettings
) -> None:
    height = round(40 * 4 / 0.78125)
    view = PlaneView(
        chest.series_uid, replace(camera, field_of_view_mm=height * 0.78125), (512, height), PNG, Window(0, 1000)
    )

    picture = await drawing.plane(chest, view, viewer="a")

    # The plane lies between rows 255 and 256; a slice that it passes at its centre is their mean.
    store, image = open_store(settings), chest.images[20]
    with store.open(image.key) as reader:
        stored = decode_frame(image.description, 0, reader).astype(float)
    frame = image.description.frames[0]
    values = stored[255:257].mean(axis=0) * frame.rescale_slope + frame.rescale_intercept
    position = image.description.frames[0].plane.position_mm
    assert position is not None
    row = (camera.look_at[2] - position[2]) / 0.78125 + height / 2 - 0.5
    expected = np.clip((values + 500) / 1000 * 255, 0, 255)
    shown = pixels_of(picture.body)[round(row)].astype(float)
    assert np.corrcoef(shown, expected)[0, 1] > 0.98


async def test_where_a_slice_is_missing_nothing_is_shown(drawing: Drawing, chest: StoredSeries) -> None:
    places = sorted(image.description.frames[0].plane.position_mm for image in chest.images)  # type: ignore[type-var]
    missing, beside = places[20], places[22]
    assert missing is not None
    assert beside is not None
    kept = [each for each in chest.images if each.description.frames[0].plane.position_mm != missing]
    series = StoredSeries(SeriesUid("1.2.6"), "gap", tuple(kept))
    window = Window(0, 1000, "linear-exact")

    pictures = []
    for x, y, z in (missing, beside):
        middle = (x + 200, y + 200, z)
        camera = Camera((middle[0], middle[1], z - 500), middle, (0, -1, 0), 300)
        view = PlaneView(series.series_uid, camera, (64, 64), PNG, window)
        pictures.append(pixels_of((await drawing.plane(series, view, viewer="a")).body))

    gap, slice_ = pictures
    assert not gap.any()
    assert slice_.max() > 100


async def test_a_series_that_is_no_volume_says_why(drawing: Drawing, chest: StoredSeries, camera: Camera) -> None:
    alone = StoredSeries(SeriesUid("1.2.4"), "alone", chest.images[:1])

    with pytest.raises(NotDrawable, match="single picture"):
        await drawing.volume(alone, VolumeView(alone.series_uid, camera, (64, 64), PNG), viewer="a")


async def test_pet_is_not_drawn_with_a_preset_of_ct(
    drawing: Drawing, dicom_dir: Path, keep: Callable[[Path], StoredImage], camera: Camera
) -> None:
    paths = sorted((dicom_dir / "01-volumes" / "pet-qin-headneck-0024").iterdir())[:12]
    pet = StoredSeries(SeriesUid("1.2.5"), "pet", tuple(keep(path) for path in paths))

    with pytest.raises(NotDrawable, match="for CT only"):
        await drawing.volume(pet, VolumeView(pet.series_uid, camera, (64, 64), PNG, preset="bone"), viewer="a")


async def test_bytes_that_are_not_there_and_frames_that_are_none_are_refused(
    drawing: Drawing, chest: StoredSeries
) -> None:
    image = chest.images[0]

    with pytest.raises(NotFound):
        await drawing.slice(replace(image, key="0" * 64), slice_view(image), viewer="a")
    with pytest.raises(NotDrawable):
        await drawing.slice(image, replace(slice_view(image), frame_index=1), viewer="a")


async def test_one_picture_takes_one_core(drawing: Drawing) -> None:
    pid = drawing._processes[0].child.pid
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")

    # Threads of OpenBLAS spin while they wait: shrinking 200 megapixels took ten times the processor.
    assert b"OPENBLAS_NUM_THREADS=1" in environment


async def test_a_slice_is_answered_while_a_volume_is_drawn(
    drawing: Drawing, chest: StoredSeries, camera: Camera
) -> None:
    long = asyncio.create_task(
        drawing.volume(chest, VolumeView(chest.series_uid, camera, (1024, 1024), PNG), viewer="a")
    )
    await asyncio.sleep(0.05)
    image = chest.images[30]

    await drawing.slice(image, slice_view(image, viewport=Viewport(100, 100)), viewer="b")

    assert not long.done()
    assert (await long).size == (1024, 1024)


async def test_the_state_tells_what_draws(drawing: Drawing) -> None:
    state = drawing.state()

    assert state.is_running
    assert state.renderer
    assert state.largest_volume_side >= 2048


async def test_a_process_that_dies_is_started_again_and_the_picture_still_comes(
    settings: StoreSettings, chest: StoredSeries, camera: Camera
) -> None:
    drawing = Drawing(DrawingSettings(settings, settled_wait_s=20))
    await drawing.start()
    try:
        view = VolumeView(chest.series_uid, camera, (96, 96), PNG, RenderingMethod.MAXIMUM_IP)
        under_way = asyncio.create_task(drawing.volume(chest, view, viewer="a"))
        await asyncio.sleep(0.1)
        os.kill(drawing._processes[0].child.pid or 0, signal.SIGKILL)

        picture = await under_way

        assert picture.completeness == 1
        assert drawing.state().restarts == 1
    finally:
        await drawing.stop()


async def test_volumes_give_way_to_one_another_within_the_budget(
    settings: StoreSettings, chest: StoredSeries, camera: Camera
) -> None:
    # One volume of 40 slices takes some 28 MB: two do not fit, and none is drawn with what was given back.
    drawing = Drawing(DrawingSettings(settings, texture_cache_bytes=64 * 1024**2, settled_wait_s=20))
    await drawing.start()
    try:
        several = [replace(chest, version=f"chest-{number}") for number in range(4)]
        view = VolumeView(chest.series_uid, camera, (96, 96), PNG, RenderingMethod.MAXIMUM_IP)

        pictures = await asyncio.gather(*(drawing.volume(series, view, viewer=series.version) for series in several))
        again = await drawing.volume(several[0], replace(view, invert=True), viewer="a")

        assert len({picture.body for picture in pictures}) == 1
        assert pixels_of(pictures[0].body).std() > 20
        assert again.body != pictures[0].body
        await drawing._look_at(drawing._processes[0])
        assert 0 < drawing.state().texture_cache_bytes <= 64 * 1024**2
    finally:
        await drawing.stop()


async def test_the_cost_of_a_slice_does_not_grow_with_the_frames_of_its_image(
    drawing: Drawing, chest: StoredSeries
) -> None:
    image = chest.images[11]
    many = replace(image, description=replace(image.description, frames=image.description.frames * 20_000))

    started = time.perf_counter()
    await drawing.slice(many, slice_view(image, viewport=Viewport(403, 403)), viewer="a")

    assert time.perf_counter() - started < 1


async def test_overlays_lie_over_a_picture_unless_they_are_left_out(
    drawing: Drawing, keep: Callable[[Path], StoredImage], dicom_dir: Path
) -> None:
    image = keep(dicom_dir / "11-pixel-encodings" / "examples_overlay.dcm")
    size = Viewport(image.description.pixel_format.columns, image.description.pixel_format.rows)
    view = SliceView(image.description.instance_uid, 0, PNG, viewport=size)

    with_overlay = imagecodecs.png_decode((await drawing.slice(image, view, viewer="a")).body).astype(int)
    plain = imagecodecs.png_decode((await drawing.slice(image, replace(view, layers=False), viewer="a")).body)

    references = [
        imagecodecs.png_decode((dicom_dir / "reference" / "dcmtk" / f"{name}.png").read_bytes())
        for name in ("overlay-mr-win1", "overlay-mr-win1-no-overlay")
    ]
    assert np.abs(with_overlay - references[0]).max() <= 1
    assert np.abs(plain.astype(int) - references[1]).max() <= 1
