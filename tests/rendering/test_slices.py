"""Slices by NumPy and by shader, against one another and against means worked out in NumPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.grayscale import chosen_voi, drawn, windowed
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, ImageDescription, LookUpTable, PixelFormat, Shutter, Window
from appliance.domain.masks import COVERED, DRAWN, masked
from appliance.domain.views import Encoding, Region, SliceView, Viewport
from appliance.domain.voi import choices_of
from appliance.rendering.context import Context
from appliance.rendering.gloo import Canvases, Texture
from appliance.rendering.slices import SlicePainter, SlicePlan, drawn_plainly, is_plain, planned
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory

WINDOW = Window(40, 400)
NOTHING = 0xFFFFFFFF
"""A padding value of 32 bits."""
PNG = Encoding("image/png")


def image_of(stored: NDArray[Any], **changes: Any) -> ImageDescription:
    bits = stored.dtype.itemsize * 8
    is_colour = stored.ndim == 3
    pixel_format = PixelFormat(
        *stored.shape[:2],
        3 if is_colour else 1,
        bits,
        bits,
        bits - 1,
        stored.dtype.kind == "i",
        "RGB" if is_colour else "MONOCHROME2",
        kind="float" if stored.dtype.kind == "f" else "integer",
    )
    plain = ImageDescription(
        InstanceUid("1.2"), "1.2", "1.2.840.10008.1.2.1", "CT", pixel_format, (FrameDescription(((0, 1),)),)
    )
    return replace(plain, **changes)


def view(viewport: Viewport | None = None, *, window: Window | None = WINDOW, invert: bool = False) -> SliceView:
    return SliceView(InstanceUid("1.2"), 0, PNG, window, viewport, invert)


@pytest.fixture(scope="module", params=[False, True], ids=["own-filter", "card-filter"])
def painter(request: pytest.FixtureRequest, context: Context, canvases: Canvases) -> SlicePainter:
    is_exact = request.param
    if is_exact and not context.info.is_software:
        pytest.skip("the interpolation of graphics cards has weights of eight bits")
    return SlicePainter(canvases, context.info.largest_texture_side, filter_is_exact=is_exact)


@pytest.fixture(params=["numpy", "shader"])
def draw(request: pytest.FixtureRequest, painter: SlicePainter) -> Any:
    def by_numpy(stored: NDArray[Any], image: ImageDescription, asked: SliceView) -> NDArray[np.uint8]:
        return drawn_plainly(stored, image, 0, asked, planned(image, asked))

    def by_shader(stored: NDArray[Any], image: ImageDescription, asked: SliceView) -> NDArray[np.uint8]:
        return painter.draw(stored, image, 0, asked, planned(image, asked))

    return by_numpy if request.param == "numpy" else by_shader


def noise(dtype: Any, shape: tuple[int, ...] = (67, 131)) -> NDArray[Any]:
    info = np.iinfo(dtype)
    return np.random.default_rng(1).integers(max(info.min, -2000), min(info.max, 3000), shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32])
@pytest.mark.parametrize("function", ["linear", "linear-exact", "sigmoid"])
def test_unresampled_slices_are_exact(draw: Any, dtype: Any, function: Any) -> None:
    stored, window = noise(dtype), Window(40, 400, function)
    image = image_of(stored)

    pixels = draw(stored, image, view(window=window))

    difference = np.abs(pixels.astype(int) - drawn(stored, image, 0, voi=window))
    assert difference.max() <= (1 if dtype == np.int32 else 0)  # 32 bits are spread over 16 for the card


def test_every_signed_value_is_drawn_as_itself(draw: Any) -> None:
    stored = np.arange(1 << 16).reshape(256, 256).astype(np.uint16).view(np.int16)
    image = image_of(stored)

    assert np.array_equal(draw(stored, image, view()), drawn(stored, image, 0, voi=WINDOW))


def test_inverted_padded_and_looked_up_slices_are_exact(draw: Any) -> None:
    stored = noise(np.int16)
    table = LookUpTable(-500, 12, np.linspace(0, 4095, 1500).astype("<u2").tobytes())
    image = image_of(stored, voi_luts=(table,))
    image = replace(image, pixel_format=replace(image.pixel_format, padding=(-1000, -900)))

    pixels = draw(stored, image, view(window=None, invert=True))

    assert np.array_equal(pixels, drawn(stored, image, 0, voi=table, invert=True))


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("size", [(30, 30), (5, 5)], ids=["enlarged", "shrunk"])
def test_padding_of_a_real_dose_of_32_bits_is_black_also_where_it_is_resampled(
    painter: SlicePainter, dicom_dir: Path, size: tuple[int, int], invert: bool
) -> None:
    file = InMemory((dicom_dir / "07-radiotherapy" / "rtdose.dcm").read_bytes())
    image = parse(file).image
    assert image is not None
    assert image.pixel_format.bits_allocated == 32
    stored = decode_frame(image, 0, file)
    assert stored.shape == (10, 10)
    stored = stored.copy()
    stored[:, :4] = NOTHING  # where no dose was reckoned
    padded = replace(image, pixel_format=replace(image.pixel_format, padding=(NOTHING, NOTHING)))
    asked = view(Viewport(*size), window=None, invert=invert)

    pixels = painter.draw(stored, padded, 0, asked, planned(padded, asked))

    expected = drawn(stored, padded, 0, voi=chosen_voi(stored, padded, 0, None), invert=invert).astype(float)
    if size == (30, 30):  # in the middle of each voxel its own value is shown
        assert np.abs(pixels[1::3, 1::3] - expected).max() <= 1
        assert not pixels[:, :10].any()
    else:
        assert np.abs(pixels - expected.reshape(5, 2, 5, 2).mean(axis=(1, 3))).max() <= 2
        assert not pixels[:, :2].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_every_window_and_table_of_the_file_is_drawn_as_the_reference_draws_it(draw: Any, dtype: Any) -> None:
    stored = noise(dtype)
    tables = [LookUpTable(-100 * n, 12, np.linspace(0, 4095, 300 * n).astype("<u2").tobytes()) for n in (1, 2)]
    frame = FrameDescription(((0, 1),), windows=(Window(40, 400), Window(100, 300, "sigmoid")))
    image = image_of(stored, voi_luts=tuple(tables), frames=(frame,))

    for choice, voi in choices_of(image, 0):
        pixels = draw(stored, image, replace(view(window=None), voi=choice))

        difference = np.abs(pixels.astype(int) - drawn(stored, image, 0, voi=voi))
        # 32 bits are spread over 16 for the card: a value beside a step of the table may fall to its other side
        assert difference.max() <= (1 if dtype == np.int32 else 0)


def test_float_slices_are_drawn_within_a_grey(draw: Any) -> None:
    stored = np.random.default_rng(2).normal(0.5, 0.2, (40, 30)).astype(np.float32)
    image, window = image_of(stored), Window(0.5, 0.4)

    pixels = draw(stored, image, view(window=window))

    assert np.abs(pixels - windowed(stored, window) * 255).max() <= 1


def test_colours_come_through_unchanged(draw: Any) -> None:
    stored = noise(np.uint8, (33, 21, 3))

    assert np.array_equal(draw(stored, image_of(stored), view()), stored)
    assert np.array_equal(draw(stored, image_of(stored), view(invert=True)), 255 - stored)


def test_palettes_are_looked_up(draw: Any) -> None:
    stored = noise(np.uint8)
    red = LookUpTable(0, 16, (np.arange(256) * 256).astype("<u2").tobytes())
    none = LookUpTable(0, 16, np.zeros(256, "<u2").tobytes())

    pixels = draw(stored, image_of(stored, palette=(red, none, none)), view())

    assert np.array_equal(pixels[..., 0], stored)
    assert not pixels[..., 1:].any()


def test_a_region_beside_the_frame_is_black(draw: Any) -> None:
    stored = np.full((20, 30), 1000, np.int16)

    pixels = draw(stored, image_of(stored), view(Viewport(30, 20, Region(-10, 5, 30, 20))))

    assert (pixels[:15, 10:] == 255).all()
    assert not pixels[15:].any()
    assert not pixels[:, :10].any()


def test_a_shrunk_slice_is_the_mean_of_what_lies_under_each_pixel(draw: Any) -> None:
    stored = noise(np.int16, (60, 90))
    image, asked = image_of(stored), view(Viewport(30, 20), window=Window(500, 6000, "linear-exact"))

    pixels = draw(stored, image, asked)

    means = stored.reshape(20, 3, 30, 3).mean(axis=(1, 3))
    assert pixels.shape == (20, 30)
    assert np.abs(pixels - (means - 500 + 3000) / 6000 * 255).max() <= 1


@pytest.mark.parametrize("factor", [4, 10, 12])
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8])
def test_a_much_shrunk_slice_is_the_mean_too(draw: Any, factor: int, dtype: Any) -> None:
    stored = noise(dtype, (20 * factor, 30 * factor))
    image, asked = image_of(stored), view(Viewport(30, 20), window=Window(100, 400, "linear-exact"))

    pixels = draw(stored, image, asked)

    means = stored.reshape(20, factor, 30, factor).mean(axis=(1, 3))
    # Means of means are rounded once more.
    assert np.abs(pixels - np.clip((means - 100 + 200) / 400, 0, 1) * 255).max() <= 1.5


def test_a_slice_that_is_shrunk_along_one_side_is_not_along_the_other(painter: SlicePainter) -> None:
    stored = noise(np.int16, (20, 960))
    image, asked = image_of(stored), view(window=Window(500, 6000, "linear-exact"))

    plan = SlicePlan((30, 20), Region(0, 0, 960, 20))
    means = stored.reshape(20, 30, 32).mean(axis=2)
    for pixels in (painter.draw(stored, image, 0, asked, plan), drawn_plainly(stored, image, 0, asked, plan)):
        assert np.abs(pixels - (means - 500 + 3000) / 6000 * 255).max() <= 1


@pytest.mark.parametrize("source", [None, Region(10, 7, 80.5, 41.25), Region(0.5, 0, 130, 67)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, "colour"])
def test_a_slice_that_is_shrunk_plainly_is_that_of_the_shader(
    painter: SlicePainter, source: Region | None, dtype: Any
) -> None:
    stored = noise(np.uint8, (67, 131, 3)) if dtype == "colour" else noise(np.int16).astype(dtype)
    image, asked = image_of(stored), view(Viewport(50, 40, source), invert=True)
    plan = planned(image, asked)

    assert is_plain(image, plan, None)
    plainly = drawn_plainly(stored, image, 0, asked, plan).astype(int)
    assert np.abs(plainly - painter.draw(stored, image, 0, asked, plan)).max() <= 1


@pytest.mark.parametrize("source", [Region(-1, 0, 131, 67), Region(0, 0, 131, 68), Region(0, 0, 20, 20)])
def test_what_reaches_beyond_the_frame_or_is_enlarged_is_not_plain(source: Region) -> None:
    image = image_of(noise(np.int16))

    assert not is_plain(image, planned(image, view(Viewport(50, 40, source))), None)


def test_much_shrunk_colours_are_means(draw: Any) -> None:
    stored = noise(np.uint8, (200, 300, 3))
    image, asked = image_of(stored), view(Viewport(30, 20))

    pixels = draw(stored, image, asked)

    assert np.abs(pixels - stored.reshape(20, 10, 30, 10, 3).mean(axis=(1, 3))).max() <= 1


@pytest.mark.parametrize("columns", [991, 1000, 1003])
def test_the_last_pixels_of_a_much_shrunk_slice_are_there(draw: Any, columns: int) -> None:
    stored = np.full((400, columns), 200, np.uint8)
    image, asked = image_of(stored), view(Viewport(100, 100), window=Window(100, 200, "linear-exact"))

    assert (draw(stored, image, asked) == 255).all()


def test_an_enlarged_slice_passes_through_its_pixels_and_is_smooth_between(painter: SlicePainter) -> None:
    stored = np.tile(np.arange(0, 200, 20, dtype=np.int16), (10, 1))
    image, asked = image_of(stored), view(Viewport(80, 80), window=Window(100, 200, "linear-exact"))

    row = painter.draw(stored, image, 0, asked, planned(image, asked))[40].astype(int)

    expected = np.interp((np.arange(80) + 0.5) / 8 - 0.5, np.arange(10), np.arange(0, 200, 20)) / 200 * 255
    assert np.abs(row - expected).max() <= 1


def test_a_mask_over_an_unresampled_slice_is_exact(painter: SlicePainter) -> None:
    stored = noise(np.int16)
    mask = np.random.default_rng(3).integers(0, 3, stored.shape).astype(np.uint8)
    image = image_of(stored)
    image = replace(image, frames=(replace(image.frames[0], shutter=Shutter(grey=90)),))
    asked = view(Viewport(60, 50, Region(-10, 20, 60, 50)))
    plan = planned(image, asked)

    by_numpy = drawn_plainly(stored, image, 0, asked, plan, mask=mask)
    by_shader = painter.draw(stored, image, 0, asked, plan, mask=mask)

    assert np.array_equal(by_numpy, by_shader)
    assert np.array_equal(by_numpy[:47, 10:], masked(drawn(stored, image, 0, voi=WINDOW), mask, 90)[20:, :50])


def test_a_mask_lies_over_colours_too(painter: SlicePainter) -> None:
    stored = noise(np.uint8, (20, 30, 3))
    mask = np.random.default_rng(3).integers(0, 3, (20, 30)).astype(np.uint8)
    image, asked = image_of(stored), view()

    pixels = painter.draw(stored, image, 0, asked, planned(image, asked), mask=mask)

    assert np.array_equal(pixels, masked(stored, mask, 0))


@pytest.mark.parametrize("factor", [2, 3, 5, 10])
def test_thin_overlays_do_not_vanish_when_a_slice_is_shrunk(painter: SlicePainter, factor: int) -> None:
    stored = np.zeros((60, 90), np.int16)
    mask = np.zeros((60, 90), np.uint8)
    mask[np.arange(60), np.arange(60)] = DRAWN
    image, asked = image_of(stored), view(Viewport(90 // factor, 60 // factor))

    pixels = painter.draw(stored, image, 0, asked, planned(image, asked), mask=mask)

    blocks = mask.reshape(60 // factor, factor, 90 // factor, factor).max(axis=(1, 3))
    assert np.array_equal(pixels == 255, blocks == DRAWN)


def test_a_mask_is_enlarged_pixel_by_pixel(painter: SlicePainter) -> None:
    stored = np.full((6, 9), 40, np.int16)
    mask = np.random.default_rng(4).integers(0, 3, stored.shape).astype(np.uint8)
    image, asked = image_of(stored), view(Viewport(36, 24))

    pixels = painter.draw(stored, image, 0, asked, planned(image, asked), mask=mask)

    large = np.kron(mask, np.ones((4, 4), np.uint8))
    assert np.array_equal(pixels == 255, large == DRAWN)
    assert np.array_equal(pixels == 0, large == COVERED)


@example(limit=16, region=(0.0, 0.0, 17.0, 1.0), size=(1, 1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.sampled_from([16, 37, 64, 100]),
    region=st.tuples(st.floats(-20, 150), st.floats(-20, 100), st.floats(1, 190, exclude_min=True), st.floats(1, 130)),
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
)
def test_a_picture_in_tiles_is_the_picture_in_one_piece(
    canvases: Canvases, painter: SlicePainter, limit: int, region: Any, size: tuple[int, int]
) -> None:
    waves = np.add.outer(np.sin(np.arange(120) / 11), np.sin(np.arange(180) / 15))
    stored = np.rint(100 + 50 * waves).astype(np.int16)
    image, asked = image_of(stored), view(window=Window(100, 220))
    plan = SlicePlan(size, Region(*region))

    tiled = _tiled(canvases, limit).draw(stored, image, 0, asked, plan).astype(int)
    whole = painter.draw(stored, image, 0, asked, plan).astype(int)

    # Pixels whose centres lie on the edge of the frame may fall to its other side, where it is black: a line or two.
    differs = np.abs(tiled - whole) > 4
    assert not (differs & (tiled > 0) & (whole > 0)).any()
    assert differs.sum() <= sum(size)


_tiled_painters: dict[int, SlicePainter] = {}


def _tiled(canvases: Canvases, limit: int) -> SlicePainter:
    if limit not in _tiled_painters:
        _tiled_painters[limit] = SlicePainter(canvases, limit)
    return _tiled_painters[limit]


def test_a_region_at_its_own_size_is_exact_in_tiles(canvases: Canvases) -> None:
    stored = noise(np.int16, (300, 500))
    image, asked = image_of(stored), view(Viewport(210, 190, Region(100, 50, 210, 190)))

    pixels = _tiled(canvases, 64).draw(stored, image, 0, asked, planned(image, asked))

    assert np.array_equal(pixels, drawn(stored, image, 0, voi=WINDOW)[50:240, 100:310])


def test_a_frame_wider_than_the_card_allows_is_not_thinned(context: Context, canvases: Canvases) -> None:
    columns = context.info.largest_texture_side + 3000
    stored = np.zeros((6, columns), np.uint16)
    stored[:, ::8] = 400  # of each eight columns one: a thinned frame would lose it, or show it twice
    image, asked = image_of(stored), view(Viewport(columns // 4, 6), window=Window(50, 100, "linear-exact"))
    plan = SlicePlan((columns // 4, 6), Region(0, 0, columns // 4 * 4, 6))

    pixels = SlicePainter(canvases, context.info.largest_texture_side).draw(stored, image, 0, asked, plan)

    assert np.array_equal(pixels[0, :200], np.tile([255, 0], 100))
    assert np.array_equal(pixels[0, -1000:], np.tile(pixels[0, -2:], 500))


def test_only_the_region_goes_to_the_card(canvases: Canvases, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.zeros((4000, 3000), np.uint16)
    image, asked = image_of(stored), view(Viewport(50, 40, Region(2000, 1000, 100, 80)))
    uploaded: list[tuple[int, ...]] = []
    upload = Texture.upload

    def noted(texture: Texture, values: NDArray[Any]) -> None:
        uploaded.append(values.shape)
        upload(texture, values)

    monkeypatch.setattr(Texture, "upload", noted)
    _tiled(canvases, 16384).draw(stored, image, 0, asked, planned(image, asked))

    assert uploaded == [(256, 256), (82, 102)]  # the table of greys, and the region with a pixel on each side


@pytest.mark.parametrize("step", [1, 2, 3])
def test_frames_larger_than_a_texture_are_drawn_all_the_same(
    canvases: Canvases, painter: SlicePainter, step: int
) -> None:
    ramp = np.add.outer(np.arange(120), np.arange(180)).astype(np.int16)
    image, asked = image_of(ramp), view(Viewport(30, 20), window=Window(150, 300))
    small = SlicePainter(canvases, largest_texture_side=180 // step)

    pixels = small.draw(ramp, image, 0, asked, planned(image, asked)).astype(int)

    assert np.abs(pixels - painter.draw(ramp, image, 0, asked, planned(image, asked))).max() <= 1


@pytest.mark.parametrize(
    ("aspect", "viewport", "size"),
    [
        (1.0, None, (90, 60)),
        (2.0, None, (90, 120)),
        (0.5, None, (180, 60)),
        (1.0, Viewport(45, 100), (45, 30)),
        (2.0, Viewport(300, 60), (45, 60)),
        (1.0, Viewport(100, 100, Region(0, 0, 10, 20)), (50, 100)),
    ],
)
def test_pictures_keep_their_aspect(aspect: float, viewport: Viewport | None, size: tuple[int, int]) -> None:
    image = image_of(np.zeros((60, 90), np.uint8), pixel_aspect_ratio=aspect)

    assert planned(image, view(viewport)).size == size


def test_empty_and_endless_pictures_are_refused() -> None:
    image = image_of(np.zeros((60, 90), np.uint8))

    with pytest.raises(NotDrawable):
        planned(image, view(Viewport(10, 10, Region(0, 0, 0, 5))))
    with pytest.raises(NotDrawable):
        planned(image, view(Viewport(100_000, 100_000)))
