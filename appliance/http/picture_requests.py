"""A picture's query string and ``Accept``, made into a view of ``domain`` or refused naming the parameter (PS3.18 §8.3.5)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import get_args

from appliance.domain.cameras import Orientation, backed_off, whole_view
from appliance.domain.errors import BadRequest, NotAcceptable
from appliance.domain.identifiers import InstanceUid, SeriesUid
from appliance.domain.image import Window
from appliance.domain.views import (
    Camera,
    Encoding,
    PlaneView,
    Region,
    RenderingMethod,
    SliceView,
    Vector,
    Viewport,
    VolumeView,
)

Query = Mapping[str, str]

_MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "image/jxl")
_ANY = frozenset({"*/*", "image/*"})
"""Means the default of PS3.18 §8.7.4 for a single frame, image/jpeg."""
_FUNCTIONS = {"linear": "linear", "linear-exact": "linear-exact", "sigmoid": "sigmoid"}
_LARGEST_SIDE = 8192
_LOSSY_BY_DEFAULT = {"image/jpeg": 90, "image/webp": 90}
_DEFAULT_SIZE = (512, 512)
_LONGEST_SLAB_MM = 1000.0


def slice_view(instance_uid: InstanceUid, frame_number: int, query: Query, accept: str | None) -> SliceView:
    """One frame as PS3.18 Retrieve Rendered asks for it; the first frame is number 1."""
    if frame_number < 1:
        raise BadRequest("The first frame is number 1", parameter="frame")
    return SliceView(
        instance_uid=instance_uid,
        frame_index=frame_number - 1,
        encoding=_encoding(query, accept),
        window=_window(query),
        viewport=_viewport(query),
        invert=_flag(query, "invert"),
        layers="layers" not in query or _flag(query, "layers"),
    )


def plane_view(
    series_uid: SeriesUid, query: Query, accept: str | None, *, center_mm: Vector, size_mm: Vector
) -> PlaneView:
    """A plane as ``renderedmpr`` asks for it; by default axial, seen from the feet, through the middle."""
    size = _size(query)
    slab_mm = _number(query, "mprslab", 0.0)
    if not 0 <= slab_mm <= _LONGEST_SLAB_MM:
        raise BadRequest(f"mprslab is not between 0 and {_LONGEST_SLAB_MM:.0f} mm", parameter="mprslab")
    method = _method(query, RenderingMethod.AVERAGE_IP)
    if method is RenderingMethod.VOLUME_RENDERED:
        raise BadRequest("A plane is not volume_rendered", parameter="renderingmethod")
    return PlaneView(
        series_uid=series_uid,
        camera=_camera(query, "f", size, center_mm=center_mm, size_mm=size_mm),
        size=size,
        encoding=_encoding(query, accept),
        window=_window(query),
        slab_mm=slab_mm,
        method=method,
        invert=_flag(query, "invert"),
        interactive=_flag(query, "interactive"),
    )


def volume_view(
    series_uid: SeriesUid, query: Query, accept: str | None, *, center_mm: Vector, size_mm: Vector
) -> VolumeView:
    """A volume as ``rendered3d`` asks for it; by default composited, seen from the front."""
    size = _size(query)
    return VolumeView(
        series_uid=series_uid,
        camera=_camera(query, "a", size, center_mm=center_mm, size_mm=size_mm),
        size=size,
        encoding=_encoding(query, accept),
        method=_method(query, RenderingMethod.VOLUME_RENDERED),
        window=_window(query),
        preset=query.get("preset"),
        invert=_flag(query, "invert"),
        interactive=_flag(query, "interactive"),
    )


def _encoding(query: Query, accept: str | None) -> Encoding:
    media_type = _media_type(query.get("accept") or accept)  # PS3.18 §8.3.3.1: the parameter wins over the header
    quality = _LOSSY_BY_DEFAULT.get(media_type)
    if "quality" in query:
        quality = _integer(query["quality"], "quality")
        if not 1 <= quality <= 100:
            raise BadRequest("quality is not between 1 and 100", parameter="quality")
        if media_type != "image/jpeg" and quality == 100:
            quality = None
    if media_type == "image/png":
        quality = None
    return Encoding(media_type, quality)  # type: ignore[arg-type]  # one of _MEDIA_TYPES, which are the literals


def _media_type(accept: str | None) -> str:
    """The media type that the client wants most of those that can be made (RFC 9110 §12.5.1)."""
    ranked = sorted(_ranges(accept or "*/*"), key=lambda wanted: -wanted[1])
    for media_range, weight in ranked:
        if weight > 0 and media_range in _MEDIA_TYPES:
            return media_range
        if weight > 0 and media_range in _ANY:
            return _MEDIA_TYPES[0]
    raise NotAcceptable(f"A picture can be {', '.join(_MEDIA_TYPES)}", key="no-such-media-type")


def _ranges(accept: str) -> list[tuple[str, float]]:
    ranges = []
    for item in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
        try:
            ranges.append((media_range, float(weight)))
        except ValueError:
            raise BadRequest("Accept has a weight that is not a number", parameter="Accept") from None
    return ranges


def _window(query: Query) -> Window | None:
    text = query.get("window")
    if text is None:
        return None
    center, width, *function = text.split(",")[:3] if text.count(",") in (1, 2) else ("", "")
    name = function[0].strip().lower() if function else "linear"
    if name not in _FUNCTIONS:
        raise BadRequest(f"The window's function is not one of {', '.join(_FUNCTIONS)}", parameter="window")
    window = Window(_finite(center, "window"), _finite(width, "window"), _FUNCTIONS[name])  # type: ignore[arg-type]
    # PS3.3 C.11.2.1.2.1, C.11.2.1.3.2: LINEAR needs a width of at least 1, the others one above 0.
    if window.width < 1 if window.function == "linear" else window.width <= 0:
        raise BadRequest("The window's width is too small", parameter="window")
    return window


def _viewport(query: Query) -> Viewport | None:
    text = query.get("viewport")
    if text is None:
        return None
    numbers = text.split(",")
    if len(numbers) not in (2, 6):
        raise BadRequest("viewport is not width,height or width,height,x,y,w,h", parameter="viewport")
    width, height = (_integer(number, "viewport") for number in numbers[:2])
    if not (1 <= width <= _LARGEST_SIDE and 1 <= height <= _LARGEST_SIDE):
        raise BadRequest(f"A side of the viewport is not between 1 and {_LARGEST_SIDE}", parameter="viewport")
    if len(numbers) == 2:
        return Viewport(width, height)
    region = Region(*(_finite(number, "viewport") for number in numbers[2:]))
    if region.width <= 0 or region.height <= 0:
        raise BadRequest("The viewport's region is empty", parameter="viewport")
    return Viewport(width, height, region)


def _size(query: Query) -> tuple[int, int]:
    viewport = _viewport(query)
    if viewport is None:
        return _DEFAULT_SIZE
    if viewport.source is not None:
        raise BadRequest("viewport has no region for planes and volumes: move the camera", parameter="viewport")
    return viewport.width, viewport.height


def _camera(
    query: Query, orientation: Orientation, size: tuple[int, int], *, center_mm: Vector, size_mm: Vector
) -> Camera:
    wanted = query.get("orientation", orientation)
    if wanted not in get_args(Orientation):
        raise BadRequest("orientation is not one of a, p, r, l, h, f", parameter="orientation")
    whole = whole_view(center_mm, size_mm, wanted, aspect=size[0] / size[1])  # type: ignore[arg-type]
    look_at = _vector(query, "viewpointlookat") or whole.look_at
    default_forward = _difference(whole.look_at, whole.position)
    length = math.hypot(*default_forward)
    forward: Vector = (default_forward[0] / length, default_forward[1] / length, default_forward[2] / length)
    position = _vector(query, "viewpointposition") or backed_off(look_at, forward, size_mm)
    up = _vector(query, "viewpointup") or whole.up
    field_of_view_mm = _number(query, "fieldofview", whole.field_of_view_mm)
    if field_of_view_mm <= 0:
        raise BadRequest("fieldofview is not above 0 mm", parameter="fieldofview")
    if _are_parallel(_difference(look_at, position), up):
        raise BadRequest("viewpointup has the direction of the view, or two points are one", parameter="viewpointup")
    return Camera(position, look_at, up, field_of_view_mm)


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


def _vector(query: Query, name: str) -> Vector | None:
    text = query.get(name)
    if text is None:
        return None
    numbers = text.split(",")
    if len(numbers) != 3:
        raise BadRequest(f"{name} is not x,y,z", parameter=name)
    x, y, z = (_finite(number, name) for number in numbers)
    return x, y, z


def _flag(query: Query, name: str) -> bool:
    text = query.get(name, "0")
    if text not in ("0", "1"):
        raise BadRequest(f"{name} is not 0 or 1", parameter=name)
    return text == "1"


def _number(query: Query, name: str, default: float) -> float:
    return _finite(query[name], name) if name in query else default


def _finite(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadRequest(f"{name} has something that is not a number", parameter=name)
    return number


def _integer(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"{name} has something that is not a whole number", parameter=name) from None
