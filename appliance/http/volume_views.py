"""Where a plane or a volume is seen from and how: the parameters of ``renderedmpr`` and ``rendered3d`` for one picture."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Literal, cast, get_args

from appliance.domain.cameras import Orientation, backed_off, height_of_view, usual_up, whole_view
from appliance.domain.errors import BadRequest
from appliance.domain.identifiers import SeriesUid, checked_uid
from appliance.domain.views import (
    Camera,
    Encoding,
    Fusion,
    Light,
    PlaneView,
    RenderingMethod,
    TransferPoint,
    Vector,
    VolumeView,
)
from appliance.http.picture_requests import viewport_of, voi_of, window_of
from appliance.http.query_values import (
    MOST_POINTS,
    Query,
    finite,
    flag,
    line,
    number_above_zero,
    number_within,
    numbers,
    vector,
)
from appliance.rendering.transfer_functions import presets
from appliance.services.volume_inputs import StoredVolume

OF_COMPOSITING = ("preset", "transferpoints", "lighting")
DEFAULT_SIZE = (512, 512)
LONGEST_SLAB_MM = 1000.0
_MOST_ZOOM = 100.0
_GAMMAS = (0.1, 10.0)
_FILTERS = ("linear", "cubic")
_MOST_GLOSS = 200.0


def plane_view(
    series_uid: SeriesUid,
    query: Query,
    encoding: Encoding,
    *,
    center_mm: Vector,
    size_mm: Vector,
    default_size: tuple[int, int] = DEFAULT_SIZE,
) -> PlaneView:
    """A plane; by default axial, seen from the feet, through the middle."""
    size = _size(query, default_size)
    method = _method(query, RenderingMethod.AVERAGE_IP)
    if method is RenderingMethod.VOLUME_RENDERED:
        raise BadRequest("A plane is not volume_rendered", parameter="renderingmethod")
    # Along a curve it is not the patient's feet that one looks from: the head is above.
    orientation: Orientation = "a" if "curve" in query else "f"
    return PlaneView(
        series_uid=series_uid,
        camera=_camera(query, orientation, size, center_mm=center_mm, size_mm=size_mm),
        size=size,
        encoding=encoding,
        window=window_of(query),
        slab_mm=number_within(query, "mprslab", 0, LONGEST_SLAB_MM, 0.0),
        method=method,
        invert=flag(query, "invert"),
        interactive=flag(query, "interactive"),
        gamma=number_within(query, "gamma", *_GAMMAS, 1.0),
        filter=_filter(query),
        curve=line(query, "curve"),
        voi=voi_of(query),
    )


def volume_view(
    series_uid: SeriesUid,
    query: Query,
    encoding: Encoding,
    *,
    center_mm: Vector,
    size_mm: Vector,
    default_size: tuple[int, int] = DEFAULT_SIZE,
) -> VolumeView:
    """A volume; by default composited, seen from the front."""
    size = _size(query, default_size)
    method = _method(query, RenderingMethod.VOLUME_RENDERED)
    if method is not RenderingMethod.VOLUME_RENDERED:
        for name in OF_COMPOSITING:
            if name in query:
                raise BadRequest(f"{name} is for volume_rendered only", parameter=name)
    elif "voi" in query:
        raise BadRequest("voi is not for volume_rendered, which has colours", parameter="voi")
    camera = _camera(query, "a", size, center_mm=center_mm, size_mm=size_mm)
    return VolumeView(
        series_uid=series_uid,
        camera=replace(camera, is_perspective=flag(query, "perspective")),
        size=size,
        encoding=encoding,
        method=method,
        window=window_of(query),
        preset=_preset(query),
        invert=flag(query, "invert"),
        interactive=flag(query, "interactive"),
        gamma=number_within(query, "gamma", *_GAMMAS, 1.0),
        clip=_clip(query),
        points=_transfer_points(query),
        light=_light(query),
        voi=voi_of(query),
    )


def fused_series(query: Query) -> SeriesUid | None:
    """The series that is laid over the picture."""
    return SeriesUid(checked_uid(query["fuse"], "fuse")) if "fuse" in query else None


def fusion_of(query: Query, volume: StoredVolume) -> Fusion:
    """How ``volume`` is laid over the picture."""
    return Fusion(
        volume.series.version,
        volume.number_of_view,
        window_of(query, "fusewindow"),
        number_within(query, "fuseopacity", 0, 1, 0.5),
    )


def _size(query: Query, default: tuple[int, int]) -> tuple[int, int]:
    viewport = viewport_of(query)
    return default if viewport is None else (viewport.width, viewport.height)


def _camera(
    query: Query, orientation: Orientation, size: tuple[int, int], *, center_mm: Vector, size_mm: Vector
) -> Camera:
    wanted = query.get("orientation", orientation)
    if wanted not in get_args(Orientation):
        raise BadRequest("orientation is not one of a, p, r, l, h, f", parameter="orientation")
    aspect = size[0] / size[1]
    camera = whole_view(center_mm, size_mm, cast(Orientation, wanted), aspect=aspect)
    asked_position, asked_up = vector(query, "viewpointposition"), vector(query, "viewpointup")
    look_at = vector(query, "viewpointlookat") or camera.look_at
    length = math.hypot(*_difference(camera.look_at, camera.position))
    x, y, z = _difference(camera.look_at, camera.position)
    position = asked_position or backed_off(look_at, (x / length, y / length, z / length), size_mm)
    forward = _difference(look_at, position)
    if not any(forward):
        raise BadRequest("viewpointposition and viewpointlookat are one point", parameter="viewpointposition")
    # The standard's own example has an up direction without length (PS3.18 B.33): it is as good as none.
    up = asked_up if asked_up and any(asked_up) else (usual_up(forward) if asked_position else camera.up)
    if _are_parallel(forward, up):
        raise BadRequest("viewpointup has the direction of the view", parameter="viewpointup")
    height_mm = number_above_zero(query, "fieldofview") or height_of_view(size_mm, forward, up, aspect=aspect)
    return Camera(position, look_at, up, height_mm / number_within(query, "zoom", 1 / _MOST_ZOOM, _MOST_ZOOM, 1.0))


def _difference(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _are_parallel(a: Vector, b: Vector) -> bool:
    cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return math.hypot(*cross) <= 1e-6 * math.hypot(*a) * math.hypot(*b)


def _method(query: Query, default: RenderingMethod) -> RenderingMethod:
    text = query.get("renderingmethod")
    if text is None:
        return default
    try:
        return RenderingMethod(text.lower())
    except ValueError:
        names = ", ".join(RenderingMethod)
        raise BadRequest(f"renderingmethod is not one of {names}", parameter="renderingmethod") from None


def _filter(query: Query) -> Literal["linear", "cubic"]:
    name = query.get("filter", "linear")
    if name not in _FILTERS:
        raise BadRequest(f"filter is not one of {', '.join(_FILTERS)}", parameter="filter")
    return cast(Literal["linear", "cubic"], name)


def _preset(query: Query) -> str | None:
    name = query.get("preset")
    names = [preset.name for preset in presets()]
    if name is not None and name not in names:
        raise BadRequest(f"preset is not one of {', '.join(names)}", key="unknown-preset", parameter="preset")
    return name


def _transfer_points(query: Query) -> tuple[TransferPoint, ...]:
    """``value,red,green,blue,opacity`` again and again."""
    found = numbers(query, "transferpoints")
    if not found and "transferpoints" not in query:
        return ()
    points = tuple(cast(TransferPoint, found[i : i + 5]) for i in range(0, len(found), 5))
    if len(found) % 5 or not 2 <= len(points) <= MOST_POINTS:
        raise BadRequest(
            f"transferpoints are 2 to {MOST_POINTS} times value,red,green,blue,opacity", parameter="transferpoints"
        )
    if any(after[0] <= before[0] for before, after in pairwise(points)):
        raise BadRequest("The values of transferpoints do not ascend", parameter="transferpoints")
    if any(not 0 <= part <= 1 for _, *parts in points for part in parts):
        raise BadRequest("Colours and opacities of transferpoints are not between 0 and 1", parameter="transferpoints")
    return points


def _light(query: Query) -> Light | None:
    """``ambient,diffuse,specular,gloss``, or ``off``."""
    text = query.get("lighting")
    if text is None:
        return None
    if text == "off":
        return 1.0, 0.0, 0.0, 1.0
    parts = tuple(finite(part, "lighting") for part in text.split(","))
    if len(parts) != 4 or not all(0 <= part <= 1 for part in parts[:3]) or not 1 <= parts[3] <= _MOST_GLOSS:
        raise BadRequest(
            f"lighting is not off or ambient,diffuse,specular (0 to 1),gloss (1 to {_MOST_GLOSS:g})",
            parameter="lighting",
        )
    return parts[0], parts[1], parts[2], parts[3]


def _clip(query: Query) -> tuple[Vector, Vector] | None:
    """``x,y,z,x,y,z``: two opposite corners."""
    if "clip" not in query:
        return None
    found = numbers(query, "clip")
    if len(found) != 6 or any(found[i] == found[i + 3] for i in range(3)):
        raise BadRequest("clip is not x,y,z,x,y,z of two corners of a box", parameter="clip")
    low, high = (tuple(side(found[i], found[i + 3]) for i in range(3)) for side in (min, max))
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])
