"""Where a plane or a volume is seen from: from the front, round and round, along a curve; and where its picture lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from appliance.domain.views import Camera, Vector

Orientation = Literal["a", "p", "r", "l", "h", "f"]
"""The side of the patient on which the viewer stands (PS3.18 Orientation): anterior, posterior, right, left, head, feet."""

# From the viewer into the picture, and up, in LPS: x grows to the left, y to the back, z to the head.
_LOOKING: dict[Orientation, tuple[Vector, Vector]] = {
    "a": ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "p": ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
    "r": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "l": ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "h": ((0.0, 0.0, -1.0), (0.0, -1.0, 0.0)),
    "f": ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
}
_FARTHEST_FACTOR = 2.0
"""The viewer stands so many times the size of the box away; with parallel projection only the direction counts."""


_UPRIGHT_COSINE = 0.95
"""A view that is steeper than this towards head or feet has the patient's front above, and not the head."""

_TURNED_BACK_COSINE = -0.999
_LEAST_ABOVE = 1e-3
"""Of the length of a direction that must be left of it beside the direction of the view."""

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture lies in the patient: the plane through what the camera looks at (PS3.3 C.7.6.2.1.1)."""

    position: Vector
    """Centre of the first pixel, LPS mm."""
    across: Vector
    """Direction in which the column index grows."""
    down: Vector
    """Direction in which the row index grows."""
    spacing_mm: tuple[float, float]
    """Distance between rows first, then between columns; of a picture with perspective only in this plane."""


def whole_view(center_mm: Vector, size_mm: Vector, orientation: Orientation, *, aspect: float) -> Camera:
    """A camera that shows the whole of a box of ``size_mm`` along x, y, z about ``center_mm``.

    ``aspect`` is the width of the picture over its height.
    """
    forward, up = _LOOKING[orientation]
    field_of_view_mm = height_of_view(size_mm, forward, up, aspect=aspect)
    return Camera(backed_off(center_mm, forward, size_mm), center_mm, up, field_of_view_mm)


def height_of_view(size_mm: Vector, forward: Vector, up: Vector, *, aspect: float) -> float:
    """Height in mm of a picture into which a box of ``size_mm`` along x, y, z fits, seen along ``forward``."""
    across = _unit(np.cross(forward, up))
    straight_up = _unit(np.cross(across, forward))
    height_mm, width_mm = (float(np.abs(axis) @ np.array(size_mm)) for axis in (straight_up, across))
    return max(height_mm, width_mm / aspect)


def backed_off(point: Vector, forward: Vector, size_mm: Vector) -> Vector:
    """``point`` moved out of a box of ``size_mm``, against ``forward``."""
    distance_mm = _FARTHEST_FACTOR * max(size_mm)
    x, y, z = (p - f * distance_mm for p, f in zip(point, forward, strict=True))
    return x, y, z


def usual_up(forward: Vector) -> Vector:
    """What is above in a picture seen along ``forward``: the head, or the front where it is seen from head or feet."""
    steepness = abs(forward[2]) / float(np.linalg.norm(forward))
    return (0.0, 0.0, 1.0) if steepness < _UPRIGHT_COSINE else (0.0, -1.0, 0.0)


def swivelled(camera: Camera, angle_degrees: float) -> Camera:
    """``camera`` turned about the axis along its up direction through what it looks at, counter-clockwise seen from above.

    References: PS3.18 §8.3.5.3.9; PS3.3 C.11.29.1 (SWIVEL)
    """
    axis, center = _unit(camera.up), np.array(camera.look_at)
    arm = np.array(camera.position) - center
    angle = np.deg2rad(angle_degrees)
    # Rodrigues' formula.
    turned = arm * np.cos(angle) + np.cross(axis, arm) * np.sin(angle) + axis * (axis @ arm) * (1 - np.cos(angle))
    return replace(camera, position=_vector(center + turned))


def swivel_angles(range_degrees: float, step_degrees: float) -> tuple[float, ...]:
    """Degrees of each frame: as many as the range has steps, the given view in the middle; of a full turn it is the first."""
    count = max(1, round(range_degrees / step_degrees))
    first = 0.0 if range_degrees >= 360 else -step_degrees * (count - 1) / 2
    return tuple(first + step_degrees * number for number in range(count))


def curve_length_mm(points: Sequence[Vector]) -> float:
    """Along the straight lines from point to point."""
    return float(np.linalg.norm(np.diff(np.array(points), axis=0), axis=1).sum())


def along_curve(points: Sequence[Vector], step_mm: float, up: Vector, field_of_view_mm: float) -> tuple[Camera, ...]:
    """Cameras every ``step_mm`` of a curve through ``points``, no two neighbours equal, each looking along it.

    The picture turns as little as the curve allows: up is carried along, and not asked for anew at each step. Between points
    the curve is straight.

    References: PS3.18 §8.3.5.3.10; PS3.4 FF.2.4.2.3 (CROSSCURVE)
    """
    at = np.array(points, float)
    lengths = np.linalg.norm(np.diff(at, axis=0), axis=1)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    count = max(1, int(ends[-1] / step_mm + 1e-6))
    directions = np.diff(at, axis=0) / lengths[:, None]
    above = np.array(up, float)
    before: _Array | None = None
    cameras = []
    for place_mm in np.arange(count) * step_mm:
        part = min(int(np.searchsorted(ends, place_mm, side="right")) - 1, len(lengths) - 1)
        ahead = directions[part]
        if before is None:
            above = _perpendicular(up, ahead)
        elif before @ ahead > _TURNED_BACK_COSINE:
            # The least turn that takes the direction before to this one.
            above = _unit(above - (before + ahead) * (above @ ahead) / (1 + before @ ahead))
        before = ahead
        look_at = at[part] + ahead * (place_mm - ends[part])
        cameras.append(Camera(_vector(look_at - ahead), _vector(look_at), _vector(above), field_of_view_mm))
    return tuple(cameras)


def place_of(camera: Camera, size: tuple[int, int]) -> Place:
    """Where a picture of ``size`` (width, height) lies."""
    ahead = _unit(np.subtract(camera.look_at, camera.position))
    across = _unit(np.cross(ahead, camera.up))
    down = np.cross(ahead, across)
    side_mm = camera.field_of_view_mm / size[1]
    corner = np.array(camera.look_at) - (across * (size[0] - 1) + down * (size[1] - 1)) * side_mm / 2
    return Place(_vector(corner), _vector(across), _vector(down), (side_mm, side_mm))


def _perpendicular(up: Vector, ahead: _Array) -> _Array:
    """``up`` without its part along ``ahead``; the usual one where nothing is left."""
    for wanted in (np.array(up, float), np.array(usual_up(_vector(ahead)))):
        left = wanted - (wanted @ ahead) * ahead
        if np.linalg.norm(left) > _LEAST_ABOVE * np.linalg.norm(wanted):
            break
    return _unit(left)


def _unit(direction: Sequence[float] | _Array) -> _Array:
    made: _Array = np.asarray(direction, float)
    return made / np.linalg.norm(made)


def _vector(array: _Array) -> Vector:
    # Rounded to a millionth of a millimetre, and no negative zero: what is equal looks equal.
    x, y, z = (round(float(part), 6) + 0.0 for part in array)
    return x, y, z
