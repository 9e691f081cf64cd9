"""Images as presentation states wish to see them: real ones beside DCMTK and Weasis, others beside NumPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import (
    DisplayedArea,
    FrameDescription,
    Graphic,
    ImageDescription,
    LookUpTable,
    Overlay,
    PixelFormat,
    Shutter,
    Window,
)
from appliance.domain.masks import mask_of
from appliance.domain.presentations import (
    AreaSelection,
    PresentationState,
    ReferencedImage,
    SoftcopyVoi,
    StateOverlay,
    presented_as,
)
from appliance.domain.views import Encoding, Region, SliceView, Viewport
from appliance.rendering.context import Context
from appliance.rendering.gloo import Canvases
from appliance.rendering.slices import SlicePainter, drawn_plainly, planned
from appliance.storage.decoding import decode_frame, decode_overlay
from appliance.storage.parsing import parse, read_header
from appliance.storage.presentation_states import presentation_of
from appliance.storage.stream import InMemory

UID = InstanceUid("1.2")
ABOUT = (ReferencedImage(UID),)


@pytest.fixture(scope="module")
def painter(context: Context, canvases: Canvases) -> SlicePainter:
    return SlicePainter(canvases, context.info.largest_texture_side)


def view(viewport: Viewport | None = None) -> SliceView:
    return SliceView(UID, 0, Encoding("image/png"), viewport=viewport)


def presented(folder: Path, image_name: str, state_name: str) -> NDArray[np.uint8]:
    reader = InMemory((folder / image_name).read_bytes())
    image = parse(reader).image
    assert image is not None
    state = presentation_of(read_header(InMemory((folder / state_name).read_bytes())))
    image = presented_as(image, 0, state)
    mask = mask_of(image, 0, lambda overlay: decode_overlay(image, 0, overlay, reader))
    return drawn_plainly(decode_frame(image, 0, reader), image, 0, view(), planned(image, view()), mask=mask)


def reference(folder: Path, name: str) -> NDArray[Any]:
    return np.asarray(imagecodecs.png_decode((folder / "reference" / name).read_bytes())).astype(int)


def test_three_tables_of_a_real_state_are_applied_as_weasis_applies_them(dicom_dir: Path) -> None:
    pixels = presented(dicom_dir / "09-documents", "imageForPrLUTs.dcm", "prLUTs.dcm")

    expected = reference(dicom_dir, "weasis-expected_imgForPrLUT.png")
    expected = expected[..., 0] if expected.ndim == 3 else expected
    assert np.abs(pixels - expected).max() <= 1


def test_six_overlays_of_a_real_state_lie_where_weasis_has_them(dicom_dir: Path) -> None:
    """Weasis draws them in colour; DCMTK's picture is without, and is what lies under them."""
    pixels = presented(dicom_dir / "09-documents", "overlay.dcm", "prOverlay.dcm")

    of_weasis = reference(dicom_dir, "weasis-expected_overlay.png")
    is_overlay = of_weasis.max(axis=2) > of_weasis.min(axis=2)
    assert (pixels[is_overlay] == 255).all()
    without = reference(dicom_dir, "dcmtk/gsps-overlay.png")
    assert np.abs(pixels - without)[~is_overlay].max() <= 1


def test_a_real_state_with_annotations_is_read(dicom_dir: Path) -> None:
    state = presentation_of(read_header(InMemory((dicom_dir / "09-documents/gsps-softneta.dcm").read_bytes())))

    kinds = [graphic.kind for annotation in state.annotations for graphic in annotation.graphics]
    assert kinds == ["ELLIPSE", "TEXT"]
    assert state.voi == (SoftcopyVoi((), (Window(2048, 4096),)),)


def test_an_image_is_no_presentation_state(dicom_dir: Path) -> None:
    with pytest.raises(NotDrawable, match="no grayscale softcopy presentation state"):
        presentation_of(read_header(InMemory((dicom_dir / "09-documents/overlay.dcm").read_bytes())))


def image_of(stored: NDArray[Any], **changes: Any) -> ImageDescription:
    form = PixelFormat(*stored.shape, 1, 16, 12, 11, False, "MONOCHROME1")
    frame = FrameDescription(((0, 1),), rescale_slope=2, rescale_intercept=-1000, windows=(Window(40, 400),))
    plain = ImageDescription(UID, "1.2", "1.2.840.10008.1.2.1", "CR", form, (frame,))
    return replace(plain, **changes)


STORED = np.arange(0, 4096, 69, dtype=np.uint16)[:60].reshape(6, 10)


def draw(state: PresentationState, painter: SlicePainter, viewport: Viewport | None = None) -> NDArray[np.uint8]:
    image = presented_as(image_of(STORED), 0, state)
    mask = mask_of(image, 0, lambda overlay: decode_overlay(image, 0, overlay, InMemory(b"")))
    plan = planned(image, view(viewport))
    by_card = painter.draw(STORED, image, 0, view(viewport), plan, mask=mask)
    if plan.is_exact:
        assert np.array_equal(by_card, drawn_plainly(STORED, image, 0, view(viewport), plan, mask=mask))
    return by_card


def grey(part: NDArray[Any]) -> NDArray[np.uint8]:
    return np.rint(np.clip(part, 0, 1) * 255).astype(np.uint8)


def test_a_state_without_tables_means_the_stored_values_in_all_their_range(painter: SlicePainter) -> None:
    """Neither the image's rescale, nor its window, nor MONOCHROME1 counts (PS3.4 N.2.1)."""
    assert np.array_equal(draw(PresentationState(ABOUT), painter), grey(STORED / 4095))


def test_the_shape_inverse_turns_grey_round(painter: SlicePainter) -> None:
    assert np.array_equal(draw(PresentationState(ABOUT, is_inverse=True), painter), grey(1 - STORED / 4095))


def test_the_rescale_and_window_of_the_state_are_taken(painter: SlicePainter) -> None:
    state = PresentationState(ABOUT, rescale=(0.5, 10), voi=(SoftcopyVoi(windows=(Window(500, 800, "linear-exact"),)),))

    assert np.array_equal(draw(state, painter), grey((STORED * 0.5 + 10 - 500) / 800 + 0.5))


def test_a_voi_lut_and_a_presentation_lut_follow_one_another(painter: SlicePainter) -> None:
    squares = LookUpTable(0, 16, (np.arange(4096.0) ** 2 / 4095**2 * 65535).astype("<u2").tobytes())
    roots = LookUpTable(0, 16, (np.sqrt(np.arange(4096) / 4095) * 65535).astype("<u2").tobytes())
    state = PresentationState(ABOUT, voi=(SoftcopyVoi(luts=(squares,)),), presentation_lut=roots)

    # The second undoes the first, but for 4096 steps between them.
    assert np.abs(draw(state, painter)[STORED > 400].astype(int) - grey(STORED / 4095)[STORED > 400]).max() <= 1


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_picture_is_turned_clockwise_and_then_mirrored(painter: SlicePainter, turns: Any, is_mirrored: bool) -> None:
    pixels = draw(PresentationState(ABOUT, quarter_turns=turns, is_mirrored=is_mirrored), painter)

    expected = np.rot90(grey(STORED / 4095), -turns)
    assert np.array_equal(pixels, np.fliplr(expected) if is_mirrored else expected)


def test_a_turned_picture_fits_the_viewport(painter: SlicePainter) -> None:
    pixels = draw(PresentationState(ABOUT, quarter_turns=1), painter, Viewport(12, 100))

    assert pixels.shape == (20, 12)


def test_the_displayed_area_is_what_is_shown(painter: SlicePainter) -> None:
    state = PresentationState(ABOUT, areas=(AreaSelection(DisplayedArea(2, 1, 5, 3)),))

    assert np.array_equal(draw(state, painter), grey(STORED / 4095)[1:4, 2:7])


def test_an_area_beyond_the_image_is_black_there(painter: SlicePainter) -> None:
    pixels = draw(PresentationState(ABOUT, areas=(AreaSelection(DisplayedArea(-2, -2, 14, 10)),)), painter)

    assert pixels.shape == (10, 14)
    assert not pixels[:2].any()
    assert np.array_equal(pixels[2:8, 2:12], grey(STORED / 4095))


def test_magnified_pixels_are_as_many_as_the_state_says(painter: SlicePainter) -> None:
    state = PresentationState(ABOUT, areas=(AreaSelection(DisplayedArea(0, 0, 10, 6, magnification=3)),))

    assert draw(state, painter).shape == (18, 30)


def test_a_region_that_is_asked_for_wins_over_the_displayed_area(painter: SlicePainter) -> None:
    state = PresentationState(ABOUT, areas=(AreaSelection(DisplayedArea(2, 1, 5, 3)),))

    pixels = draw(state, painter, Viewport(2, 2, Region(0, 0, 2, 2)))

    assert np.array_equal(pixels, grey(STORED / 4095)[:2, :2])


def test_shutter_and_overlays_of_the_state_lie_over_the_picture(painter: SlicePainter) -> None:
    bits = np.packbits(np.eye(6, 10, dtype=np.uint8).ravel(), bitorder="little").tobytes()
    state = PresentationState(
        ABOUT, shutter=Shutter((0, 5, 0, 7), grey=99), overlays=(StateOverlay(0x6000, Overlay(6, 10, bits=bits)),)
    )

    pixels = draw(state, painter)

    assert (pixels[:, 8:] == 99).all()
    assert (pixels[np.arange(6), np.arange(6)] == 255).all()


def test_a_bitmap_shutter_covers_where_its_overlay_has_bits(painter: SlicePainter) -> None:
    bits = np.packbits(np.eye(6, 10, dtype=np.uint8).ravel(), bitorder="little").tobytes()
    overlay = StateOverlay(0x6002, Overlay(6, 10, bits=bits, group=0x6002))

    pixels = draw(PresentationState(ABOUT, overlays=(overlay,), bitmap_shutter_group=0x6002), painter)

    assert not pixels[np.arange(6), np.arange(6)].any()
    assert np.array_equal(pixels[0, 1:], grey(STORED / 4095)[0, 1:])


def test_what_is_the_shutter_of_the_image_is_an_overlay_or_a_shutter_as_the_state_wishes() -> None:
    image, bitmap = image_of(STORED), Overlay(6, 10, group=0x6000)
    image = replace(image, frames=(replace(image.frames[0], shutter=Shutter(bitmap=bitmap, grey=9)),))

    none, drawn, covering = [
        presented_as(image, 0, PresentationState(ABOUT, overlays=overlays, bitmap_shutter_group=group)).frames[0]
        for overlays, group in (((), None), ((StateOverlay(0x6000),), None), ((), 0x6000))
    ]

    assert (none.overlays, none.shutter) == ((), None)
    assert (drawn.overlays, drawn.shutter) == ((bitmap,), None)
    assert (covering.overlays, covering.shutter) == ((), Shutter(bitmap=bitmap))


def test_overlays_of_the_image_are_shown_if_the_state_activates_them() -> None:
    one, other = Overlay(6, 10, group=0x6000), Overlay(6, 10, group=0x6002)
    image = image_of(STORED)
    image = replace(image, frames=(replace(image.frames[0], overlays=(one, other)),))

    shown = presented_as(image, 0, PresentationState(ABOUT, overlays=(StateOverlay(0x6002),)))

    assert shown.frames[0].overlays == (other,)


def test_parts_of_a_state_are_for_the_frames_that_they_name() -> None:
    image = image_of(STORED)
    image = replace(image, frames=image.frames * 3)
    second = (ReferencedImage(UID, (1,)),)
    state = PresentationState(ABOUT, voi=(SoftcopyVoi(second, (Window(1, 2),)), SoftcopyVoi((), (Window(3, 4),))))

    assert presented_as(image, 1, state).frames[1].windows == (Window(1, 2),)
    assert presented_as(image, 2, state).frames[2].windows == (Window(3, 4),)


def test_a_state_about_other_images_is_refused() -> None:
    with pytest.raises(NotDrawable, match="other images"):
        presented_as(image_of(STORED), 0, PresentationState((ReferencedImage(InstanceUid("1.9")),)))


def strokes(graphic: Graphic, **changes: Any) -> NDArray[np.bool_]:
    """Where a graphic is over a black picture of 40 rows and 60 columns."""
    image = replace(image_of(np.zeros((40, 60), np.uint16)), graphics=(graphic,), **changes)
    return drawn_plainly(np.full((40, 60), 4095, np.uint16), image, 0, view(), planned(image, view())) > 100


def test_a_line_goes_from_point_to_point() -> None:
    found = strokes(Graphic("POLYLINE", ((10, 20.5), (50, 20.5))))

    assert found[20, 11:49].all()
    assert not found[:18].any()
    assert not found[23:].any()


def test_a_circle_is_round_its_centre_and_its_inside_filled_if_wished() -> None:
    open_one = strokes(Graphic("CIRCLE", ((30, 20), (40, 20))))
    filled = strokes(Graphic("CIRCLE", ((30, 20), (40, 20)), is_filled=True))

    assert open_one[20, 40] and open_one[20, 20] and open_one[10, 30] and not open_one[20, 30]
    assert abs(int(filled.sum()) - np.pi * 10.75**2) < 30


def test_an_ellipse_has_its_axes_where_they_are_said() -> None:
    found = strokes(Graphic("ELLIPSE", ((10, 20), (50, 20), (30, 12), (30, 28))))

    assert found[20, 10] and found[20, 50] and found[12, 30] and found[28, 30] and not found[10].any()


def test_graphics_turn_with_the_picture() -> None:
    found = strokes(Graphic("POLYLINE", ((0, 5.5), (60, 5.5))), quarter_turns=1)

    assert found.shape == (60, 40)
    assert found[2:-2, 34].all()


def test_relative_graphics_stay_where_they_are_when_the_picture_turns() -> None:
    found = strokes(Graphic("POLYLINE", ((0, 0.5), (1, 0.5)), is_relative=True), quarter_turns=1)

    assert found[29:31, 2:-2].any(axis=0).all()


def test_a_curve_goes_through_its_points() -> None:
    points = ((5.0, 30.0), (20.0, 10.0), (40.0, 30.0), (55.0, 10.0))

    found = strokes(Graphic("INTERPOLATED", points))

    assert all(found[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].any() for x, y in points)


def test_text_is_drawn_whatever_its_letters() -> None:
    assert strokes(Graphic("TEXT", ((2, 2), (58, 30)), text="a<b> & \x07c\r\nd")).any()
