"""What is drawn of a volume before all of it is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import Window
from appliance.domain.views import Camera, Encoding, PlaneView
from appliance.rendering.coarse_volumes import Pass, coarse_first, coarse_volume, kept_pass, passes
from appliance.rendering.gloo import Canvases
from appliance.rendering.projections import ProjectionPainter
from appliance.rendering.texels import TexelScale
from appliance.rendering.volume_textures import Preparation, VolumeLayout, laid_out
from tests.rendering.test_volumes import geometry_of

SHAPE, SPACING = (120, 300, 310), (2.0, 1.0, 1.0)
SCALE = TexelScale(0, 1, True)


def layout_of(shape: tuple[int, int, int]) -> VolumeLayout:
    return laid_out(geometry_of(shape, SPACING), largest_side=2048, largest_bytes=1 << 30)


@pytest.fixture(scope="module")
def projections(canvases: Canvases) -> ProjectionPainter:
    return ProjectionPainter(canvases)


@pytest.fixture(scope="module")
def thin() -> NDArray[np.uint16]:
    """Slices of a volume that grows by 10 a millimetre towards the head, 3 to the left and 7 to the back."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    preparation = Preparation(layout_of(SHAPE))
    for number in range(SHAPE[0]):
        texels = 10_000 + 10 * SPACING[0] * (z[number] - SHAPE[0] / 2) + 7 * (y[0] - SHAPE[1] / 2)
        preparation.add(number, 1, (texels + 3 * (x[0] - SHAPE[2] / 2)).astype(np.uint16))
    return preparation.thin()


@pytest.mark.parametrize("count", [1, 2, 47, 48, 111, 555, 5000])
def test_every_slice_comes_once_and_each_pass_holds_the_one_before(count: int) -> None:
    order, found = list(coarse_first(count)), passes(count)

    assert sorted(order) == list(range(count))
    for one in found:
        numbers = one.slices(count)
        assert set(order[: len(numbers)]) == set(numbers)


def test_a_first_picture_needs_some_dozens_of_slices_of_however_many() -> None:
    first = {count: len(passes(count)[0].slices(count)) for count in (15, 40, 48, 111, 555, 5000)}

    assert first == {15: 15, 40: 20, 48: 24, 111: 28, 555: 35, 5000: 39}


@pytest.mark.parametrize("at", [Pass(8, 16), Pass(2, 4), Pass(0, 4), Pass(0, 1)])
@pytest.mark.parametrize("position", [(0, 0, 0), (20, -31, 47)])
def test_what_is_seen_lies_where_it_lies_in_the_whole_volume(
    projections: ProjectionPainter, thin: NDArray[np.uint16], at: Pass, position: Any
) -> None:
    coarse = coarse_volume(thin[at.first :: at.stride], layout_of(SHAPE), at)
    textures = coarse.uploaded()
    x, y, z = position
    camera = Camera((x, y, z - 100), position, (0, -1, 0), 40)
    view = PlaneView(SeriesUid("1.2"), camera, (40, 40), Encoding("image/png"))
    # From the feet: columns run to the patient's left, rows to the back; half a pixel and half a voxel from the middle.
    aside = np.arange(40) - 19.5
    expected = 10_000 + 10 * z + 7 * (y + aside[:, None]) + 3 * (x + aside[None, :])
    window = Window(float(expected.mean()), 510, "linear-exact")

    grey = projections.draw_plane(textures, SCALE, replace(view, window=window), window)
    textures.free()

    expected_grey = ((expected - window.center) / window.width + 0.5) * 255
    # The corner of the first voxel and not its middle is what the box of the volume begins with.
    offset = (10 * SPACING[0] + 7 + 3) / 2 * 255 / window.width
    assert np.abs(grey - (expected_grey - offset)).max() < 1.5


def test_what_is_kept_is_the_largest_pass_that_is_small() -> None:
    kept = {slices: kept_pass(layout_of((slices, 512, 512))) for slices in (40, 100, 555, 3000)}

    assert kept == {40: Pass(0, 1), 100: Pass(0, 1), 555: Pass(0, 4), 3000: Pass(0, 8)}


def test_a_volume_that_is_not_thinned_is_not_kept() -> None:
    assert kept_pass(layout_of((100, 256, 256))) is None
