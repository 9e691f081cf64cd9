"""Where a plane or a volume is seen from, when a request says only "from the front"."""

from __future__ import annotations

from typing import Literal

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


def whole_view(center_mm: Vector, size_mm: Vector, orientation: Orientation, *, aspect: float) -> Camera:
    """A camera that shows the whole of a box of ``size_mm`` along x, y, z about ``center_mm``.

    ``aspect`` is the width of the picture over its height.
    """
    forward, up = _LOOKING[orientation]
    height_mm = sum(abs(component) * size for component, size in zip(up, size_mm, strict=True))
    across = 3 - next(i for i in range(3) if forward[i]) - next(i for i in range(3) if up[i])
    field_of_view_mm = max(height_mm, size_mm[across] / aspect)
    return Camera(backed_off(center_mm, forward, size_mm), center_mm, up, field_of_view_mm)


def backed_off(point: Vector, forward: Vector, size_mm: Vector) -> Vector:
    """``point`` moved out of a box of ``size_mm``, against ``forward``."""
    distance_mm = _FARTHEST_FACTOR * max(size_mm)
    x, y, z = (p - f * distance_mm for p, f in zip(point, forward, strict=True))
    return x, y, z
