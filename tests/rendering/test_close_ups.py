"""Which part of a volume is seen: against all its voxels, asked one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from appliance.domain.geometry import Box, cropped
from appliance.domain.identifiers import SeriesUid
from appliance.domain.views import Camera, Encoding, PlaneView, VolumeView
from appliance.rendering.close_ups import grown, seen_part
from appliance.rendering.rays import camera_axes
from tests.rendering.test_volumes import geometry_of

GEOMETRY = geometry_of((60, 80, 100), (2.0, 1.0, 0.5))
"""Axial; 120 mm high, 80 deep, 50 wide, its middle at 0, 0, 0."""
PNG = Encoding("image/png")
OBLIQUE = Camera((30, -70, 20), (5, -8, 10), (0, 0, 1), 24)
VIEWS = [
    VolumeView(SeriesUid("1"), OBLIQUE, (40, 20), PNG),
    VolumeView(SeriesUid("1"), replace(OBLIQUE, is_perspective=True), (40, 20), PNG),
    VolumeView(SeriesUid("1"), OBLIQUE, (40, 20), PNG, clip=((-20, -30, -10), (12, 4, 60))),
    PlaneView(SeriesUid("1"), OBLIQUE, (40, 20), PNG),
    PlaneView(SeriesUid("1"), OBLIQUE, (40, 20), PNG, slab_mm=30),
]


def seen(view: PlaneView | VolumeView) -> np.ndarray:
    """(n, 3): the indices of the voxels whose middle the view shows."""
    index = np.array(list(product(*map(range, GEOMETRY.shape))), float)
    matrix = np.array(GEOMETRY.index_to_patient)
    places, axes = index @ matrix[:3, :3].T + matrix[:3, 3], camera_axes(view.camera)
    from_middle = places - np.array(view.camera.look_at)
    height = np.full(len(index), float(view.camera.field_of_view_mm))
    if view.camera.is_perspective:
        away = (places - np.array(view.camera.position)) @ axes.ahead
        height *= away / np.linalg.norm(np.subtract(view.camera.look_at, view.camera.position))
    width = height * view.size[0] / view.size[1]
    found = (np.abs(from_middle @ axes.right) <= width / 2) & (np.abs(from_middle @ axes.up) <= height / 2)
    if isinstance(view, PlaneView):
        found &= np.abs(from_middle @ axes.ahead) <= view.slab_mm / 2 + 1
    elif view.clip:
        found &= ((places >= view.clip[0]) & (places <= view.clip[1])).all(axis=1)
    return index[found].astype(int)


@pytest.mark.parametrize("view", VIEWS)
def test_every_voxel_that_is_seen_lies_in_the_part_and_little_else_does(view: PlaneView | VolumeView) -> None:
    part, voxels = seen_part(view, GEOMETRY), seen(view)

    assert part is not None
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    assert (np.array(part.first) <= np.maximum(low - 3, 0)).all()
    assert (np.add(part.first, part.shape) >= np.minimum(high + 3, GEOMETRY.shape)).all()
    # The box of what is seen, 4 voxels beside it, and what of a voxel lies beyond its middle.
    assert (np.array(part.first) >= low - 9).all()
    assert (np.add(part.first, part.shape) <= high + 9).all()


def test_a_curved_surface_shows_what_lies_beside_its_line() -> None:
    view = PlaneView(
        SeriesUid("1"), replace(OBLIQUE, up=(0, 0, 1)), (40, 20), PNG, curve=((-10, -20, 0), (0, 0, 0), (10, 5, 4))
    )

    part = seen_part(view, GEOMETRY)

    # 12 mm above and below a line of 4 mm; from -20 to 5 mm; from -10 to 10 mm.
    assert part == Box((19, 15, 25), (24, 35, 50))


def test_what_lies_beside_the_volume_shows_no_part_of_it() -> None:
    aside = replace(OBLIQUE, position=(300, -70, 20), look_at=(300, 0, 20))

    assert seen_part(VolumeView(SeriesUid("1"), aside, (40, 20), PNG), GEOMETRY) is None


def test_a_part_lies_where_it_lies_in_the_whole() -> None:
    box = Box((10, 20, 30), (5, 6, 7))

    part = cropped(GEOMETRY, box)

    corner = np.array(GEOMETRY.index_to_patient) @ (10, 20, 30, 1)
    assert np.array(part.index_to_patient) @ (0, 0, 0, 1) == pytest.approx(corner)
    assert part.lattice == GEOMETRY.lattice[10:15]
    assert part.size_mm == pytest.approx((3.5, 6, 10))


def test_a_part_that_grows_stays_within_the_volume() -> None:
    assert grown(Box((0, 40, 50), (8, 8, 50)), GEOMETRY) == Box((0, 38, 37), (10, 12, 63))
