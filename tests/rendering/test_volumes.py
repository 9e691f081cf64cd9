"""Planes, projections and lit volumes against rays cast in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.domain.cameras import whole_view
from appliance.domain.errors import NotDrawable
from appliance.domain.geometry import LatticeSlice, VolumeGeometry
from appliance.domain.grayscale import windowed
from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import Window
from appliance.domain.views import Camera, Encoding, PlaneView, RenderingMethod, VolumeView
from appliance.rendering.composites import CompositePainter, distances
from appliance.rendering.context import Context
from appliance.rendering.gloo import Canvases
from appliance.rendering.projections import ProjectionPainter
from appliance.rendering.rays import camera_axes
from appliance.rendering.texels import TexelScale
from appliance.rendering.transfer_functions import suitable_presets, transfer_function
from appliance.rendering.volume_textures import (
    Preparation,
    VolumeTextures,
    gradients,
    laid_out,
)

UID = SeriesUid("1.2")
PNG = Encoding("image/png")
SCALE = TexelScale(-1000.0, 1.0, True)
"""Texels are Hounsfield units from -1000 on."""
WINDOW = Window(0, 2000, "linear-exact")
SHAPE = (40, 48, 56)
SPACING = (2.0, 0.5, 1.0)


def geometry_of(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> VolumeGeometry:
    """Axial slices whose middle lies at 0, 0, 0."""
    matrix = np.zeros((4, 4))
    matrix[2, 0], matrix[1, 1], matrix[0, 2], matrix[3, 3] = *spacing, 1
    matrix[:3, 3] = -matrix[:3, :3] @ (np.array(shape) - 1) / 2
    size = (shape[2] * spacing[2], shape[1] * spacing[1], shape[0] * spacing[0])
    lattice = tuple(LatticeSlice(i, i) for i in range(shape[0]))
    return VolumeGeometry(shape, spacing, tuple(map(tuple, matrix.tolist())), (0, 0, 0), size, lattice)


def textures_of(values: NDArray[Any], spacing: tuple[float, float, float] = SPACING) -> VolumeTextures:
    """The volume of Hounsfield units (slices, rows, columns), loaded as the services load it."""
    layout = laid_out(geometry_of(values.shape, spacing), largest_side=2048, largest_bytes=1 << 30)
    textures, preparation = VolumeTextures(layout), Preparation(layout)
    for number, each in enumerate(values):
        texels = (each + 1000).astype(np.uint16)
        textures.upload_fine(number, 1, texels)
        preparation.add(number, 1, texels)
    half = preparation.half()
    textures.upload_prepared(half, gradients(half, layout), preparation.blocks())
    return textures


@pytest.fixture(scope="module")
def values() -> NDArray[np.int16]:
    """A soft noise about a bright ball of 200 to 900 HU in air."""
    z, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    radius_mm = np.sqrt(((z - 19.5) * 2) ** 2 + ((y - 23.5) * 0.5) ** 2 + (x - 27.5) ** 2)
    noise = np.random.default_rng(3).normal(0, 30, SHAPE)
    return np.where(radius_mm < 9, 900 - 60 * radius_mm + noise, -950 + np.abs(noise)).astype(np.int16)


@pytest.fixture(scope="module")
def textures(context: Context, values: NDArray[np.int16]) -> VolumeTextures:
    return textures_of(values)


@pytest.fixture(scope="module")
def projections(canvases: Canvases) -> ProjectionPainter:
    return ProjectionPainter(canvases)


@pytest.fixture(scope="module")
def composites(canvases: Canvases) -> CompositePainter:
    return CompositePainter(canvases)


def plane(camera: Camera, size: tuple[int, int], **changes: Any) -> PlaneView:
    return replace(PlaneView(UID, camera, size, PNG), **changes)


def volume(camera: Camera, **changes: Any) -> VolumeView:
    return replace(VolumeView(UID, camera, (64, 64), PNG), **changes)


FROM_FEET = Camera((0, 0, -99), (0, 0, 1), (0, -1, 0), 24)
"""Looks headwards as slices are shown: the patient's left on the right, front up; through the centre of slice 20."""
FROM_FRONT = whole_view((0, 0, 0), (56, 24, 80), "a", aspect=1)


def test_the_distance_of_a_block_is_that_of_the_farthest_axis() -> None:
    rng = np.random.default_rng(5)
    is_occupied = rng.random((20, 6, 9)) < 0.004
    is_occupied[3, 2, 7] = True

    away = distances(is_occupied)

    places, occupied = np.argwhere(np.ones_like(is_occupied)), np.argwhere(is_occupied)
    true = np.abs(places[:, None] - occupied[None]).max(axis=2).min(axis=1)
    assert np.array_equal(away.ravel(), np.minimum(true, 12))


def test_leaps_over_blocks_that_show_nothing_change_no_pixel(
    composites: CompositePainter, textures: VolumeTextures, monkeypatch: pytest.MonkeyPatch
) -> None:
    slanted = replace(FROM_FRONT, position=(40.0, -99.0, 33.0))
    transfer = transfer_function("bone", "CT", None, WINDOW)
    for camera in (FROM_FRONT, slanted, replace(slanted, is_perspective=True)):
        leaping = composites.draw(textures, SCALE, volume(camera), (64, 64), transfer)
        with monkeypatch.context() as patch:
            patch.setattr("appliance.rendering.composites.distances", lambda shown: np.zeros(shown.shape, np.uint8))
            textures.away_of = None
            stepping = composites.draw(textures, SCALE, volume(camera), (64, 64), transfer)
        textures.away_of = None
        assert leaping is not None
        assert leaping.max() > 100
        assert np.array_equal(leaping, stepping)


@pytest.mark.parametrize("is_inverted", [False, True])
@pytest.mark.parametrize(
    "window",
    [WINDOW, Window(0, 2000, "linear"), Window(100, 30, "linear"), Window(100, 1, "linear"), Window(0, 900, "sigmoid")],
)
def test_a_plane_in_a_slice_is_that_slice(
    projections: ProjectionPainter,
    textures: VolumeTextures,
    values: NDArray[np.int16],
    window: Window,
    is_inverted: bool,
) -> None:
    # One pixel for each column; two rows are 1 mm as a column is: the mean of two rows in each.
    view = replace(plane(FROM_FEET, (56, 24)), invert=is_inverted)
    pixels = projections.draw_plane(textures, SCALE, view, window)

    rows = values[20].astype(float).reshape(24, 2, 56).mean(axis=1)
    # A window of one value is a step, which lies between two texels: nothing is said of what is there itself.
    is_told = np.abs(rows - window.center) > 1
    grey = windowed(rows, window)
    assert np.abs(pixels - (1 - grey if is_inverted else grey) * 255)[is_told].max() <= 1


def test_a_straight_curve_is_the_plane_that_stands_on_it(
    projections: ProjectionPainter, textures: VolumeTextures, values: NDArray[np.int16]
) -> None:
    # From right to left through the middle of slice 20, and moved backwards and forwards in it: the picture of that slice.
    line = ((-28.0, 0.0, 1.0), (-3.0, 0.0, 1.0), (28.0, 0.0, 1.0))

    curved = projections.draw_plane(textures, SCALE, plane(FROM_FEET, (56, 24), curve=line), WINDOW)

    flat = projections.draw_plane(textures, SCALE, plane(FROM_FEET, (56, 24)), WINDOW)
    assert np.abs(curved.astype(int) - flat).max() <= 1


def test_a_curved_surface_follows_its_line_at_true_lengths(
    projections: ProjectionPainter, textures: VolumeTextures, values: NDArray[np.int16]
) -> None:
    # 10 mm to the left, then 16 mm towards the head; moved along the rows of the slices, half a millimetre a pixel.
    line = ((0.0, 0.0, -9.0), (10.0, 0.0, -9.0), (10.0, 0.0, 7.0))
    camera = replace(FROM_FEET, field_of_view_mm=12)

    curved = projections.draw_plane(textures, SCALE, plane(camera, (60, 24), curve=line), WINDOW)

    at = (np.arange(60) + 0.5 - 30) / 2 + 13
    along = np.interp(at, [0, 10, 26], [0, 10, 10])
    climb = np.interp(at, [0, 10, 26], [-9, -9, 7])
    down = (np.arange(24) + 0.5 - 12) / 2
    expected = [[value_at(values, (x, y, z)) for x, z in zip(along, climb, strict=True)] for y in down]
    grey = windowed(np.array(expected), WINDOW) * 255
    is_on_line = (at >= 0) & (at <= 26)
    assert np.abs(curved[:, is_on_line] - grey[:, is_on_line]).max() <= 2
    assert not curved[:, ~is_on_line].any()
    assert is_on_line.sum() == 52


def value_at(values: NDArray[np.int16], place: tuple[float, float, float]) -> float:
    """Between the eight voxels about a place in the patient, whose middle is 0, 0, 0."""
    index = np.array(place[::-1]) / SPACING + (np.array(values.shape) - 1) / 2
    low = np.floor(index).astype(int)
    weight = index - low
    found = 0.0
    for corner in np.ndindex(2, 2, 2):
        found += float(np.prod(np.where(corner, weight, 1 - weight)) * values[tuple(low + corner)])
    return found


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"curve": ((1.0, 2.0, 3.0),)}, "curve-points"),
        ({"curve": ((1.0, 2.0, 3.0), (1.0, 2.0, 3.0))}, "curve-points"),
        ({"curve": ((0.0, 0.0, 0.0), (0.0, 5.0, 0.0))}, "curve-direction"),
        ({"curve": ((0.0, 0.0, 0.0), (5.0, 0.0, 0.0)), "slab_mm": 3.0}, "curve-is-thin"),
    ],
)
def test_a_curve_that_makes_no_surface_is_refused(
    projections: ProjectionPainter, textures: VolumeTextures, changes: dict[str, Any], key: str
) -> None:
    with pytest.raises(NotDrawable) as caught:
        projections.draw_plane(textures, SCALE, plane(FROM_FEET, (8, 8), **changes), WINDOW)

    assert caught.value.key == key


def test_a_plane_between_slices_is_their_mean(
    projections: ProjectionPainter, textures: VolumeTextures, values: NDArray[np.int16]
) -> None:
    between = replace(FROM_FEET, look_at=(0.0, 0.0, 0.0))

    pixels = projections.draw_plane(textures, SCALE, plane(between, (56, 24)), WINDOW)

    rows = values[19:21].astype(float).mean(axis=0).reshape(24, 2, 56).mean(axis=1)
    assert np.abs(pixels - windowed(rows, WINDOW) * 255).max() <= 1


@pytest.mark.parametrize(
    ("method", "over"),
    [
        (RenderingMethod.MAXIMUM_IP, np.max),
        (RenderingMethod.MINIMUM_IP, np.min),
        (RenderingMethod.AVERAGE_IP, np.mean),
    ],
)
@pytest.mark.parametrize("beside", [8, 70])  # few samples, and so many that blocks are left out
def test_a_slab_looks_through_its_thickness(
    projections: ProjectionPainter,
    textures: VolumeTextures,
    values: NDArray[np.int16],
    method: Any,
    over: Any,
    beside: int,
) -> None:
    view = plane(FROM_FEET, (56, 24), slab_mm=float(beside), method=method)

    pixels = projections.draw_plane(textures, SCALE, view, WINDOW)

    # Samples of 0.5 mm about slice 20, each interpolated between slices of 2 mm; of many the mean takes every second one.
    places = 20 + np.arange(-beside, beside + 1) * 0.25
    low = np.floor(places).astype(int)
    weight = (places - low)[:, None, None]
    rows = values.astype(float).reshape(40, 24, 2, 56).mean(axis=2)
    samples = rows[low] * (1 - weight) + rows[low + 1] * weight
    assert np.abs(pixels - windowed(over(samples, axis=0), WINDOW) * 255).max() <= 1


def test_a_speck_is_seen_wherever_it_lies_along_the_ray(projections: ProjectionPainter, context: Context) -> None:
    """One bright voxel in every eighth column of the picture, each in the middle of a block of its own."""
    specks = np.full((4, 56, 56), -1000, np.int16)  # the lower end of the window
    middles = np.arange(4, 56, 8)
    specks[:, middles, middles] = 100
    textures = textures_of(specks, (1.0, 1.0, 1.0))
    view = volume(Camera((0, -99, 0), (0, 0.5, 0), (0, 0, 1), 4), method=RenderingMethod.MAXIMUM_IP)

    for eye in ((0.0, -99.0, 0.0), (0.0, 99.0, 0.0)):
        turned = replace(view, camera=replace(view.camera, position=eye))
        pixels = projections.draw_projection(textures, SCALE, turned, (56, 4), WINDOW)

        assert pixels is not None
        # (100 + 1000) / 2000 of 255: a step lies in the middle of the voxel
        assert np.count_nonzero((pixels == 140).all(axis=0)) == len(middles)
    textures.free()


def test_an_oblique_plane_has_true_lengths(projections: ProjectionPainter, textures: VolumeTextures) -> None:
    oblique = Camera((-50, -70, 30), (0, 0, 0), (0, 0, 1), 40)

    pixels = projections.draw_plane(textures, SCALE, plane(oblique, (160, 160)), WINDOW)

    # A plane through the middle of a ball of 9 mm shows a disc of 9 mm; a pixel is a quarter of a millimetre.
    # Its edge is where values are half way from 360 inside to -950 outside.
    area_mm2 = (pixels > (1000 - 295) / 2000 * 255).sum() / 16
    assert area_mm2 == pytest.approx(np.pi * 81, rel=0.06)


def test_a_sheared_volume_is_drawn_at_its_true_places(projections: ProjectionPainter, context: Context) -> None:
    # A rod along z through slices that are each 1 mm farther back: in index space it leans, in the patient it must not.
    geometry = geometry_of((20, 60, 40), (1.0, 1.0, 1.0))
    matrix = np.array(geometry.index_to_patient)
    matrix[1, 0] = 1.0
    layout = laid_out(
        replace(geometry, index_to_patient=tuple(map(tuple, matrix.tolist()))),
        largest_side=2048,
        largest_bytes=1 << 30,
    )
    sheared = VolumeTextures(layout)
    for z in range(20):
        texels = np.zeros((60, 40), np.uint16)
        texels[40 - z, 20] = 2000
        sheared.upload_fine(z, 1, texels)
    x, y, z = matrix[:3] @ [10, 30, 20, 1]

    pixels = projections.draw_plane(
        sheared, SCALE, plane(Camera((x, y - 90, z), (x, y, z), (0, 0, 1), 19), (19, 19)), WINDOW
    )

    assert (pixels[:, 9] > 200).all()
    assert not (pixels[:, :8] > 100).any()


@pytest.mark.parametrize(
    ("method", "over"), [(RenderingMethod.MAXIMUM_IP, np.max), (RenderingMethod.MINIMUM_IP, np.min)]
)
@pytest.mark.parametrize("window", [WINDOW, Window(500, 400, "linear-exact")])
def test_a_projection_with_skipped_blocks_is_the_projection(
    projections: ProjectionPainter,
    textures: VolumeTextures,
    values: NDArray[np.int16],
    method: Any,
    over: Any,
    window: Window,
) -> None:
    # From the front: a pixel for each column and slice, so that only rows (0.5 mm, as a step) are gone through.
    camera = Camera((0, -99, 0), (0, 0, 0), (0, 0, 1), 80)
    view = replace(volume(camera, method=method), size=(56, 40))

    pixels = projections.draw_projection(textures, SCALE, view, (28, 40), window)

    columns = values[::-1].astype(float)[:, :, 14:42]  # 40 pixels of 2 mm high, so 28 of 2 mm wide: between two columns
    wide = values[::-1].astype(float).reshape(40, 48, 28, 2).mean(axis=3)
    assert columns.shape[2] == wide.shape[2]
    # The step falls between two rows or on them; either way it is within what neighbouring rows hold.
    between = (wide[:, 1:] + wide[:, :-1]) / 2
    assert pixels is not None
    exact = windowed(over(wide, axis=1), window) * 255
    halfway = windowed(over(between, axis=1), window) * 255
    low, high = np.minimum(exact, halfway), np.maximum(exact, halfway)
    assert ((pixels >= low - 1) & (pixels <= high + 1)).all()


def test_light_falls_on_the_ball_from_the_left_above(composites: CompositePainter, textures: VolumeTextures) -> None:
    pixels = composites.draw(
        textures, SCALE, volume(FROM_FRONT), (80, 80), transfer_function("bone", "CT", None, WINDOW)
    )

    assert pixels is not None
    ball = pixels.sum(axis=2) > 60
    # A pixel is a millimetre; bone begins at 130 HU, a part of a voxel inside of the edge.
    assert ball.sum() == pytest.approx(np.pi * 8.5**2, rel=0.15)
    brightness = pixels.sum(axis=2).astype(float)
    assert brightness[32:40, 32:40].mean() > 1.1 * brightness[40:48, 40:48].mean()


def test_what_is_beside_the_volume_is_black(composites: CompositePainter, textures: VolumeTextures) -> None:
    far = replace(FROM_FRONT, look_at=(500.0, 0.0, 0.0), position=(500.0, -200.0, 0.0))

    pixels = composites.draw(textures, SCALE, volume(far), (32, 32), transfer_function("bone", "CT", None, WINDOW))

    assert pixels is not None
    assert not pixels.any()


@pytest.mark.timeout(40)
def test_rays_beside_and_along_the_volume_end(composites: CompositePainter, textures: VolumeTextures) -> None:
    """Never, where they took steps of 1 in numbers of 1e9."""
    wide = replace(FROM_FRONT, field_of_view_mm=400.0)

    pixels = composites.draw(textures, SCALE, volume(wide), (1024, 1024), transfer_function("bone", "CT", None, WINDOW))

    assert pixels is not None
    assert pixels[512, 512].any()
    assert not pixels[:256].any()


def test_rays_beside_the_volume_see_nothing_of_its_edges(composites: CompositePainter, context: Context) -> None:
    """One half is bone up to the faces of the box, the other air, over which rays beside the box must not leap into it."""
    z, y, _ = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    own = textures_of(np.where((z < 20) == (y < 24), 900, -1000))
    camera = replace(FROM_FRONT, position=(70.0, -99.0, 53.0), field_of_view_mm=160.0)

    pixels = composites.draw(own, SCALE, volume(camera), (96, 96), transfer_function("bone", "CT", None, WINDOW))
    own.free()

    assert pixels is not None
    axes, half = camera_axes(camera), np.array([56, 24, 80]) / 2
    places = (np.arange(96) + 0.5 - 48) * 160 / 96
    starts = places[None, :, None] * axes.right - places[:, None, None] * axes.up
    ends = np.stack([(-half - starts) / axes.ahead, (half - starts) / axes.ahead])
    length_mm = ends.max(axis=0).min(axis=2) - ends.min(axis=0).max(axis=2)
    assert pixels[length_mm > 5].max() > 100
    assert not pixels[length_mm < -1].any()


def test_opacity_does_not_depend_on_the_step(composites: CompositePainter, context: Context) -> None:
    """A homogeneous slab of haze lets the same light through however its voxels are cut."""
    transfer = transfer_function("soft-tissue", "CT", None, WINDOW)
    greys = []
    for spacing in ((1.0, 1.0, 1.0), (1.0, 0.25, 1.0)):
        rows = int(16 / spacing[1])
        haze = textures_of(np.full((32, rows, 32), 10, np.int16), spacing)
        camera = Camera((0, -99, 0), (0, 0, 0), (0, 0, 1), 16)
        pixels = composites.draw(haze, SCALE, volume(camera), (16, 16), transfer)
        assert pixels is not None
        greys.append(pixels.mean())
        haze.free()

    assert greys[0] == pytest.approx(greys[1], rel=0.05)
    assert 20 < greys[0] < 200


def test_a_drawing_that_nobody_waits_for_is_given_up(composites: CompositePainter, textures: VolumeTextures) -> None:
    transfer = transfer_function("bone", "CT", None, WINDOW)
    asked: list[bool] = []

    def nobody() -> bool:
        asked.append(True)
        return False

    pixels = composites.draw(textures, SCALE, volume(FROM_FRONT), (1024, 1024), transfer, keep_going=nobody)

    assert pixels is None
    assert len(asked) == 1


def test_strips_make_the_same_picture(projections: ProjectionPainter, textures: VolumeTextures) -> None:
    view = volume(FROM_FRONT, method=RenderingMethod.MAXIMUM_IP)

    whole = projections.draw_projection(textures, SCALE, view, (700, 500), WINDOW)
    strips = projections.draw_projection(textures, SCALE, view, (700, 500), WINDOW, keep_going=lambda: True)

    assert whole is not None
    assert strips is not None
    assert np.array_equal(whole, strips)


def test_interactive_pictures_resemble_settled_ones(composites: CompositePainter, context: Context) -> None:
    z, y, x = np.mgrid[:160, :232, :240]
    ball = np.where((z - 80) ** 2 + (y - 116) ** 2 + (x - 120) ** 2 < 60**2, 600, -900).astype(np.int16)
    textures = textures_of(ball, (1.0, 1.0, 1.0))
    assert textures.layout.half_factors == (2, 2, 2)
    camera = whole_view((0, 0, 0), (240, 232, 160), "a", aspect=1)
    transfer = transfer_function("bone", "CT", None, WINDOW)

    settled = composites.draw(textures, SCALE, volume(camera), (96, 96), transfer)
    moving = composites.draw(textures, SCALE, volume(camera, interactive=True), (96, 96), transfer)
    textures.free()

    assert settled is not None
    assert moving is not None
    assert np.abs(settled.astype(int) - moving).mean() < 6


@pytest.mark.parametrize(("up", "ahead"), [((0, 0, 1), (0, 0, 5)), ((1, 0, 0), (0, 0, 0))])
def test_a_camera_that_looks_nowhere_is_refused(
    projections: ProjectionPainter, textures: VolumeTextures, up: Any, ahead: Any
) -> None:
    with pytest.raises(NotDrawable):
        projections.draw_plane(textures, SCALE, plane(Camera((0, 0, 0), ahead, up, 10), (8, 8)), WINDOW)


def test_volumes_beyond_the_limits_are_reduced_and_stay_in_place() -> None:
    geometry = geometry_of((100, 300, 301), (1.0, 0.5, 0.5))

    layout = laid_out(geometry, largest_side=256, largest_bytes=1 << 30)

    assert layout.reduction == (1, 2, 2)
    assert layout.shape == (100, 150, 151)
    assert layout.is_reduced
    corner = layout.texture_to_patient[:3, 3]
    assert corner == pytest.approx([-301 * 0.25, -75, -50])


def test_volumes_of_too_many_bytes_are_reduced() -> None:
    layout = laid_out(geometry_of((400, 400, 400), (1, 1, 1)), largest_side=2048, largest_bytes=20_000_000)

    assert 2 * np.prod(layout.shape) <= 20_000_000


def test_gradients_point_up_the_slope_in_the_patient() -> None:
    geometry = geometry_of((64, 32, 32), (2.0, 1.0, 1.0))
    layout = laid_out(geometry, largest_side=2048, largest_bytes=1 << 30)
    z, y, _ = np.mgrid[:64, :32, :32]
    half = (1000 + 30 * z + 15 * y).astype(np.uint16)  # 15 a millimetre towards the head and towards the back

    every = gradients(half, layout)[24:40, 8:24, 8:24]

    expected = np.array([0, 1, 1]) / np.sqrt(2) * 127
    assert np.abs(every[..., :3] - expected).max() <= 1


@pytest.mark.parametrize("name", suitable_presets("CT"))
def test_presets_begin_with_nothing_and_rise(name: str) -> None:
    modality = "MR" if name in suitable_presets("MR") else "CT"

    table = transfer_function(name, modality, None, Window(500, 1000)).table(1.0)

    assert table[0, 3] == 0
    assert table[:, 3].max() > 0.1
    assert (table >= 0).all()
    assert (table <= 1).all()


def test_a_viewers_window_moves_the_preset() -> None:
    moved = transfer_function("bone", "CT", Window(1000, 870), WINDOW)

    assert moved.ends == pytest.approx((565, 1435))


@pytest.mark.parametrize(("name", "modality"), [("bone", "MR"), ("gold", "CT")])
def test_presets_that_do_not_suit_are_refused(name: str, modality: str) -> None:
    with pytest.raises(NotDrawable):
        transfer_function(name, modality, None, WINDOW)


def test_cubic_planes_go_through_the_voxels_and_keep_edges_sharper(
    projections: ProjectionPainter, context: Context
) -> None:
    steps = np.full((8, 8, 32), -900, np.int16)
    steps[:, :, 16:] = 500
    textures = textures_of(steps, (1.0, 1.0, 1.0))
    window = Window(-200, 2000, "linear-exact")
    along_x = Camera((0, 0, -9), (0, 0, 0.5), (0, -1, 0), 4)
    view = plane(along_x, (160, 20))  # a fifth of a millimetre a pixel

    linear = projections.draw_plane(textures, SCALE, view, window)[10].astype(int)
    cubic = projections.draw_plane(textures, SCALE, replace(view, filter="cubic"), window)[10].astype(int)
    textures.free()

    assert np.abs(linear - cubic)[2:158:5].max() <= 1  # in the centres of voxels
    assert np.diff(cubic).max() > np.diff(linear).max()
    assert cubic.max() > linear.max()


def test_nothing_outside_of_the_clip_box_is_drawn(
    composites: CompositePainter, projections: ProjectionPainter, textures: VolumeTextures
) -> None:
    left = ((0.0, -50.0, -50.0), (50.0, 50.0, 50.0))
    view = volume(FROM_FRONT, clip=left)

    lit = composites.draw(textures, SCALE, view, (80, 80), transfer_function("bone", "CT", None, WINDOW))
    bright = replace(view, method=RenderingMethod.MAXIMUM_IP)
    largest = projections.draw_projection(textures, SCALE, bright, (80, 80), WINDOW)

    # From the front the patient's left is on the right.
    for pixels in (lit, largest):
        assert pixels is not None
        assert pixels[:, 41:].max() > 60
        assert not pixels[:, :39].any()


def test_a_clip_box_without_inside_is_refused(projections: ProjectionPainter, textures: VolumeTextures) -> None:
    view = volume(FROM_FRONT, clip=((0.0, 0.0, 0.0), (9.0, 0.0, 9.0)), method=RenderingMethod.MAXIMUM_IP)

    with pytest.raises(NotDrawable, match="no inside"):
        projections.draw_projection(textures, SCALE, view, (8, 8), WINDOW)


def test_perspective_shows_what_is_nearer_larger(projections: ProjectionPainter, context: Context) -> None:
    """Two rods of 4 mm, 20 mm before and 20 mm behind what is looked at, seen from 60 mm away: 1.5 and 0.75 times the size."""
    rods = np.full((4, 60, 60), -900, np.int16)
    rods[:, 8:12, 18:22] = rods[:, 48:52, 38:42] = 900
    textures = textures_of(rods, (1.0, 1.0, 1.0))
    camera = Camera((0, -60, 0), (0, 0, 0), (0, 0, 1), 60, is_perspective=True)
    view = volume(camera, method=RenderingMethod.MAXIMUM_IP)

    pixels = projections.draw_projection(textures, SCALE, view, (600, 600), WINDOW)
    textures.free()

    assert pixels is not None
    places = np.flatnonzero(pixels[300] > 120)  # a tenth of a millimetre each; the rods lie 10 mm beside the middle
    front, back = places[places < 300], places[places >= 300]
    assert front.mean() == pytest.approx(300 - 150, abs=8)
    assert back.mean() == pytest.approx(300 + 75, abs=8)
    assert len(front) > 1.8 * len(back)


def test_perspective_from_within_shows_nothing_behind_the_eye(
    projections: ProjectionPainter, textures: VolumeTextures
) -> None:
    # The ball ends 9 mm behind its middle: the eye is beyond, and looks away from it.
    camera = Camera((0, 11, 0), (0, 12, 0), (0, 0, 1), 1, is_perspective=True)
    view = volume(camera, method=RenderingMethod.MAXIMUM_IP)

    pixels = projections.draw_projection(textures, SCALE, view, (16, 16), WINDOW)

    assert pixels is not None
    assert pixels.max() < 30


def test_gamma_lightens_what_is_dark(
    composites: CompositePainter, projections: ProjectionPainter, textures: VolumeTextures
) -> None:
    transfer = transfer_function("bone", "CT", None, WINDOW)
    pairs = []
    for gamma in (1.0, 2.0):
        view = volume(FROM_FRONT, gamma=gamma)
        bright = replace(view, method=RenderingMethod.MAXIMUM_IP)
        pairs.append(
            (
                composites.draw(textures, SCALE, view, (32, 32), transfer),
                projections.draw_projection(textures, SCALE, bright, (32, 32), WINDOW),
            )
        )

    for plain, lighter in zip(*pairs, strict=True):
        assert plain is not None
        assert lighter is not None
        assert np.abs((plain / 255) ** 0.5 * 255 - lighter).max() <= 8
