"""Volumetric presentation states: from where, how thick and through which window somebody wished a volume to be seen.

Of a state its geometry is taken, its rendering method, slab, window and bounding box of cropping; what else it says is named
in ``not_applied``, so that nobody takes the picture for all that was meant.

References: PS3.3 C.11.23 (relationship, inputs), C.11.24 (cropping), C.11.26 (multi-planar reconstruction geometry), C.11.30
(render geometry); PS3.17 XXX.8 (the camera of a plane)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from appliance.domain.attributes import Attributes
from appliance.domain.errors import NotDrawable
from appliance.domain.views import Vector

_KINDS: Mapping[str, Literal["mpr", "3d"]] = {
    "1.2.840.10008.5.1.4.1.1.11.6": "mpr",
    "1.2.840.10008.5.1.4.1.1.11.9": "3d",
}
_NOT_DRAWN_KINDS = {
    "1.2.840.10008.5.1.4.1.1.11.7": "Compositing planar MPR",
    "1.2.840.10008.5.1.4.1.1.11.10": "Segmented volume rendering",
    "1.2.840.10008.5.1.4.1.1.11.11": "Multiple volume rendering",
}
_METHODS = frozenset({"VOLUME_RENDERED", "MAXIMUM_IP", "MINIMUM_IP", "AVERAGE_IP"})
_PARTS_NOT_APPLIED = {
    "00701A01": "animation",
    "00700001": "graphic annotations",
    "00701901": "volumetric annotations",
    "00701B06": "shading",
    "00701801": "colours",
}


@dataclass(frozen=True, slots=True)
class VolumetricState:
    """What is taken of a state."""

    kind: Literal["mpr", "3d"]
    references: tuple[str, ...]
    """SOP Instance UIDs of the images of its input."""
    position: Vector
    look_at: Vector
    up: Vector
    size_mm: tuple[float, float]
    """Width and height of the view."""
    is_perspective: bool = False
    slab_mm: float | None = None
    method: str | None = None
    """As DICOM writes it."""
    window: tuple[float, float] | None = None
    """Center and width."""
    clip: tuple[Vector, Vector] | None = None
    not_applied: tuple[str, ...] = ()


def volumetric_state(said: Attributes) -> VolumetricState:
    """The state of a data set. Raises NotDrawable for what is none, or none that can be drawn."""
    sop_class = said.text("00080016")
    if sop_class in _NOT_DRAWN_KINDS:
        name = _NOT_DRAWN_KINDS[sop_class]
        raise NotDrawable(f"{name} presentation states are not drawn here.", key="presentation-not-drawn")
    if sop_class not in _KINDS:
        raise NotDrawable("The object is no image and no volumetric presentation state.", key="no-presentation")
    sets, inputs = said.items("0070120A"), said.items("00701201")
    if len(sets) != 1 or len(inputs) != 1:
        raise NotDrawable("Presentation states of several inputs are not drawn here.", key="presentation-not-drawn")
    references = tuple(item.text("00081155") for item in sets[0].items("00081140"))
    if not references:
        raise NotDrawable("The presentation state is about no image.", key="not-presented")
    method = said.text("0070120D") or inputs[0].text("0070120D")
    center, width = inputs[0].number("00281050"), inputs[0].number("00281051")
    clip, not_applied = _cropping(said, inputs[0])
    position, look_at, up, size_mm = _of_plane(said) if _KINDS[sop_class] == "mpr" else _of_volume(said)
    return VolumetricState(
        kind=_KINDS[sop_class],
        references=references,
        position=position,
        look_at=look_at,
        up=up,
        size_mm=size_mm,
        is_perspective=said.text("00701602") == "PERSPECTIVE",
        slab_mm=said.number("00701503") if said.text("00701502") == "SLAB" else None,
        method=method if method in _METHODS else None,
        window=(center, width) if center is not None and width is not None else None,
        clip=clip,
        not_applied=not_applied + tuple(name for tag, name in _PARTS_NOT_APPLIED.items() if said.has(tag)),
    )


def _of_plane(said: Attributes) -> tuple[Vector, Vector, Vector, tuple[float, float]]:
    style = said.text("00701501")
    if style != "PLANAR":
        raise NotDrawable(f"A plane of style {style or 'unknown'} is not drawn here.", key="presentation-not-drawn")
    corner, across, down = (_three(said, tag) for tag in ("00701505", "00701507", "00701511"))
    width_mm, height_mm = _positive(said, "00701508"), _positive(said, "00701512")
    look_at = corner + across * width_mm / 2 + down * height_mm / 2
    # The height runs from the top left corner downwards, so up is against it: the picture would stand on its head with the
    # note of PS3.17 XXX.8, which takes it for up.
    return _vector(look_at - np.cross(across, down)), _vector(look_at), _vector(-down), (width_mm, height_mm)


def _of_volume(said: Attributes) -> tuple[Vector, Vector, Vector, tuple[float, float]]:
    position, look_at, up = (_three(said, tag) for tag in ("00701603", "00701604", "00701605"))
    field = said.numbers("00701606")
    if len(field) < 4 or field[1] <= field[0] or field[2] <= field[3]:
        raise NotDrawable("The field of view of the presentation state has no size.", key="presentation-damaged")
    left, right, top, bottom = field[:4]
    ahead = look_at - position
    across = np.cross(ahead, up)
    if not np.linalg.norm(across):
        raise NotDrawable("The presentation state looks along its own up direction.", key="presentation-damaged")
    across /= np.linalg.norm(across)
    above = np.cross(across, ahead / np.linalg.norm(ahead))
    aside = across * (left + right) / 2 + above * (top + bottom) / 2
    return _vector(position + aside), _vector(look_at + aside), _vector(up), (right - left, top - bottom)


def _cropping(said: Attributes, its_input: Attributes) -> tuple[tuple[Vector, Vector] | None, tuple[str, ...]]:
    """The box outside of which nothing is drawn; and what of the cropping is not applied."""
    if "YES" not in (said.text("0070120B"), its_input.text("00701204")):
        return None, ()
    croppings = said.items("00701301")
    corners = croppings[0].numbers("00701303") if len(croppings) == 1 else ()
    if len(corners) != 6 or croppings[0].text("00701302") != "BOUNDING_BOX":
        return None, ("cropping",)
    low, high = np.minimum(corners[:3], corners[3:]), np.maximum(corners[:3], corners[3:])
    return (_vector(low), _vector(high)), ()


def _three(said: Attributes, tag: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    found = said.numbers(tag)
    if len(found) != 3:
        raise NotDrawable("The geometry of the presentation state is incomplete.", key="presentation-damaged", tag=tag)
    return np.array(found)


def _positive(said: Attributes, tag: str) -> float:
    number = said.number(tag)
    if number is None or number <= 0:
        raise NotDrawable("The geometry of the presentation state is incomplete.", key="presentation-damaged", tag=tag)
    return number


def _vector(array: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Vector:
    x, y, z = (float(part) + 0.0 for part in array)
    return x, y, z
