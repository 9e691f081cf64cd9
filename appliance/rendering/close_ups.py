"""Which part of a volume a view shows: of one that is too large to be loaded whole, a close-up is drawn from that part alone.

What is seen, and what there is, are bounded by planes: of a picture by those through its edges, of a slab by its two sides, of a
volume by its box. The corners of what all of them leave are found where three of them meet.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from appliance.domain.geometry import Box, VolumeGeometry
from appliance.domain.views import PlaneView, VolumeView
from appliance.rendering.rays import CameraAxes, camera_axes

_MARGIN = 4
"""Voxels beside what is seen, which interpolation and light reach."""
_SIDE_OF_GROWTH = 0.25
"""A close-up that moves or opens a little is drawn from what is loaded: so much of the box more on each side."""
_SAME = 1e-6

Planes = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Normals (n, 3) and heights (n): a place is inside where the products of its vector and the normals are at most the heights."""


def seen_part(view: PlaneView | VolumeView, geometry: VolumeGeometry) -> Box | None:
    """The voxels that ``view`` shows or needs, None where it shows none."""
    to_patient = np.array(geometry.index_to_patient)
    if isinstance(view, PlaneView) and view.curve:
        corners = _beside_curve(view, np.linalg.inv(to_patient))
    else:
        normals, heights = _edges(view, max(geometry.spacing_mm))
        in_index = normals @ to_patient[:3, :3], heights - normals @ to_patient[:3, 3]
        corners = _corners(*_together([in_index, _box_of(geometry.shape)]))
    if not len(corners):
        return None
    low = np.floor(corners.min(axis=0)).astype(int) - _MARGIN
    high = np.ceil(corners.max(axis=0)).astype(int) + _MARGIN + 1
    return _within(geometry, low, high)


def grown(box: Box, geometry: VolumeGeometry) -> Box:
    """``box`` with some more on each side, as far as there is."""
    more = np.ceil(np.array(box.shape) * _SIDE_OF_GROWTH).astype(int)
    found = _within(geometry, np.array(box.first) - more, np.array(box.first) + box.shape + more)
    assert found is not None
    return found


def _within(geometry: VolumeGeometry, low: NDArray[np.int_], high: NDArray[np.int_]) -> Box | None:
    low, high = np.maximum(low, 0), np.minimum(high, geometry.shape)
    if (low >= high).any():
        return None
    first, shape = low.tolist(), (high - low).tolist()
    return Box((first[0], first[1], first[2]), (shape[0], shape[1], shape[2]))


def _beside_curve(view: PlaneView, to_index: NDArray[np.float64]) -> NDArray[np.float64]:
    up = np.array(view.camera.up) / np.linalg.norm(view.camera.up) * view.camera.field_of_view_mm / 2
    places = np.concatenate([np.array(view.curve) + up, np.array(view.curve) - up])
    return np.asarray(places @ to_index[:3, :3].T + to_index[:3, 3])


def _edges(view: PlaneView | VolumeView, voxel_mm: float) -> Planes:
    """The planes that bound what a picture shows, in the patient."""
    axes, camera = camera_axes(view.camera), view.camera
    middle = np.array(camera.look_at)
    height_mm = camera.field_of_view_mm
    width_mm = height_mm * view.size[0] / view.size[1]
    if isinstance(view, PlaneView):
        between = [_between(axes.ahead, middle, view.slab_mm / 2 + voxel_mm)]
    else:
        between = [_clipped(view)] if view.clip else []
    if camera.is_perspective:
        return _together([_seen_by_eye(axes, view, width_mm, height_mm), *between])
    return _together([_between(axes.right, middle, width_mm / 2), _between(axes.up, middle, height_mm / 2), *between])


def _between(direction: NDArray[np.float64], middle: NDArray[np.float64], reach_mm: float) -> Planes:
    at = float(direction @ middle)
    return np.stack([direction, -direction]), np.array([at + reach_mm, reach_mm - at])


def _clipped(view: VolumeView) -> Planes:
    assert view.clip is not None
    return np.concatenate([np.eye(3), -np.eye(3)]), np.concatenate([view.clip[1], np.negative(view.clip[0])])


def _seen_by_eye(axes: CameraAxes, view: PlaneView | VolumeView, width_mm: float, height_mm: float) -> Planes:
    eye = np.array(view.camera.position)
    distance_mm = float(np.linalg.norm(np.subtract(view.camera.look_at, view.camera.position)))
    normals = np.stack(
        [
            sign * direction - axes.ahead * (side_mm / 2 / distance_mm)
            for direction, side_mm in ((axes.right, width_mm), (axes.up, height_mm))
            for sign in (1, -1)
        ]
    )
    return normals, normals @ eye


def _box_of(shape: tuple[int, int, int]) -> Planes:
    """In index space, the edges of the first and the last voxels included."""
    return np.concatenate([np.eye(3), -np.eye(3)]), np.concatenate([np.array(shape) - 0.5, np.full(3, 0.5)])


def _together(planes: Iterable[Planes]) -> Planes:
    normals, heights = zip(*planes, strict=True)
    return np.concatenate(normals), np.concatenate(heights)


def _corners(normals: NDArray[np.float64], heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where three of the planes meet and none of them leaves it outside: (n, 3)."""
    lengths = np.linalg.norm(normals, axis=1)
    normals, heights = normals / lengths[:, None], heights / lengths
    three = np.array(list(combinations(range(len(normals)), 3)))
    three = three[np.abs(np.linalg.det(normals[three])) > _SAME]
    found = np.linalg.solve(normals[three], heights[three][..., None])[..., 0]
    return np.asarray(found[(found @ normals.T <= heights + _SAME * (1 + np.abs(heights))).all(axis=1)])
