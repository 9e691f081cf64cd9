"""What was understood of a request for a volume: the Rendered Volume Response Module, and where the picture lies."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

from appliance.domain.cameras import place_of
from appliance.domain.views import Picture, PlaneView, Vector, VolumeView
from appliance.http.picture_answers import window_header
from appliance.http.volume_requests import Rendering
from appliance.services.volume_inputs import StoredVolume

Json = dict[str, dict[str, Any]]  # Any: values of the DICOM JSON model
_OURS = "APPLIANCE VOLUME"
"""Who says what the private attributes of the module are."""
_FUNCTIONS: Mapping[str, str] = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}


def response_module(rendering: Rendering, picture: Picture) -> Json:
    """The module of ``picture``, of a film of its first one, as DICOM JSON.

    Beside the module it tells in which plane of the patient the picture lies, of a film before it moves; and, in private
    attributes, how much of the volume is in it.

    References: PS3.18 table K.1-1; PS3.3 C.7.6.2 (Image Plane); PS3.5 7.8.1 (private attributes)
    """
    view, camera, motion, window = rendering.views[0], rendering.camera, rendering.motion, picture.window
    said = {
        "00720510": _element("CS", "MPR" if isinstance(view, PlaneView) else "3D_RENDERING"),
        "0070120D": _element("CS", view.method.upper()),
        "00701603": _element("FD", *camera.position),
        "00701604": _element("FD", *camera.look_at),
        "00701605": _element("FD", *camera.up),
    }
    if isinstance(view, PlaneView) and view.slab_mm:
        said["00701503"] = _element("FD", view.slab_mm)
    if window is not None:
        said |= {
            "00281056": _element("CS", _FUNCTIONS[window.function]),
            "00281051": _element("DS", window.width),
            "00281050": _element("DS", window.center),
        }
    if motion is not None:
        said["00701A03"] = _element("FD", motion.rate)
        if motion.step:
            said["00701A05"] = _element("FD", motion.step)
        if motion.swivel_degrees:
            said["00701A06"] = _element("FD", motion.swivel_degrees)
        if motion.curve:
            said["0070150C"] = _element("UL", len(motion.curve))
            said["0070150D"] = {"vr": "OD", "InlineBinary": _doubles(motion.curve)}
    return dict(sorted({**said, **_plane(rendering), **_standing(rendering, picture)}.items()))


def headers_of(rendering: Rendering, picture: Picture) -> dict[str, str]:
    """What is to be known of a picture of a volume: where it lies, of which volume, and what is missing in it."""
    view, volume = rendering.views[0], rendering.volumes[0]
    place = place_of(view.camera, picture.size)
    said = {"spacing": _spaced(place.spacing_mm)}
    if not _is_curved(view):
        said = {
            "position": _spaced(place.position),
            "across": _spaced(place.across),
            "down": _spaced(place.down),
            **said,
        }
    if volume.frame_of_reference_uid:
        said["frame-of-reference"] = volume.frame_of_reference_uid
    headers = {
        **window_header(picture),
        "Rendered-Place": ", ".join(f"{name}={value}" for name, value in said.items()),
        "Rendered-Volume": f"series={volume.series.series_uid}, number={volume.number}",
    }
    headers |= _missing("Volume", volume, picture.reduction)
    if rendering.fused is not None:
        headers |= _missing("Fused", rendering.fused, picture.fused_reduction)
    return headers


def _missing(name: str, volume: StoredVolume, reduction: tuple[int, int, int]) -> dict[str, str]:
    headers = {}
    if reduction != (1, 1, 1):
        headers[f"{name}-Reduced"] = ",".join(map(str, reduction))
    if volume.gaps_mm:
        headers[f"{name}-Gaps"] = f"{volume.gaps_mm:.2f}"
    return headers


def warnings_of(rendering: Rendering) -> tuple[str, ...]:
    """Values of ``Warning`` (PS3.18 §8.3.4.4 uses code 299): what of the volumes is not as it should be."""
    texts = [*rendering.volumes[0].geometry.warnings]
    if rendering.fused is not None:
        texts += [f"Laid over it: {text}" for text in rendering.fused.geometry.warnings]
    return tuple(f'299 - "{text}"' for text in texts)


def _standing(rendering: Rendering, picture: Picture) -> Json:
    """How much of the volume is in the picture, so many voxels along slice, row and column are one, mm without slices."""
    said = {
        "00710010": _element("LO", _OURS),
        "00711001": _element("FD", round(picture.completeness, 3)),
        "00711002": _element("US", *picture.reduction),
        "00711003": _element("FD", round(rendering.volumes[0].gaps_mm, 2)),
    }
    if rendering.fused is not None:
        said["00711004"] = _element("US", *picture.fused_reduction)
        said["00711005"] = _element("FD", round(rendering.fused.gaps_mm, 2))
    return said


def _plane(rendering: Rendering) -> Json:
    view, space = rendering.views[0], rendering.volumes[0].frame_of_reference_uid
    place = place_of(rendering.camera, view.size)
    plane = (
        {}
        if _is_curved(view)
        else {
            "00200032": _element("DS", *place.position),
            "00200037": _element("DS", *place.across, *place.down),
        }
    )
    said = {
        **plane,
        "00280010": _element("US", view.size[1]),
        "00280011": _element("US", view.size[0]),
        "00280030": _element("DS", *place.spacing_mm),
    }
    if space:
        said["00200052"] = _element("UI", space)
    return said


def _is_curved(view: PlaneView | VolumeView) -> bool:
    return isinstance(view, PlaneView) and bool(view.curve)


def _element(vr: str, *values: object) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def _doubles(points: tuple[Vector, ...]) -> str:
    flat = [part for point in points for part in point]
    return base64.b64encode(struct.pack(f"<{len(flat)}d", *flat)).decode()


def _spaced(numbers: tuple[float, ...]) -> str:
    return " ".join(f"{number:.6g}" for number in numbers)
