"""Volumes in motion: round and round, along a curve, or one volume after the other (PS3.18 §8.3.5.3.9 to §8.3.5.3.12)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from appliance.domain.cameras import along_curve, curve_length_mm, swivel_angles, swivelled
from appliance.domain.errors import BadRequest, NotAcceptable, TooLarge
from appliance.domain.views import Camera, Vector
from appliance.http.picture_requests import Asked
from appliance.http.query_values import Query, flag, line, number_above_zero
from appliance.services.volume_inputs import StoredVolume

WIDEST_SWIVEL = 360.0
_USUAL_SWIVEL_FRAMES = 36
_USUAL_CURVE_FRAMES = 100
MOST_FILM_FRAMES = 1000
_USUAL_RATE = 10.0
FASTEST_RATE = 60.0


@dataclass(frozen=True, slots=True)
class Motion:
    """How a picture moves."""

    style: Literal["swivel", "curve", "volumes"]
    rate: float
    """Frames a second."""
    step: float = 0.0
    """Degrees or millimetres from frame to frame; 0 where the volume changes."""
    swivel_degrees: float = 0.0
    curve: tuple[Vector, ...] = ()


def motion_of(asked: Asked, volumes: Sequence[StoredVolume]) -> Motion | None:
    """How the picture of ``volumes`` moves; None where it does not. Raises BadRequest, TooLarge."""
    query = asked.query
    rate = number_above_zero(query, "animationrate")
    if rate is not None and rate > FASTEST_RATE:
        raise BadRequest(f"animationrate is above {FASTEST_RATE:g} a second", parameter="animationrate")
    step = number_above_zero(query, "animationstepsize")
    motion = _swivel(query, step) or _curve(query, step)
    if motion is not None:
        if flag(query, "interactive"):
            raise BadRequest("A film is drawn at rest", parameter="interactive")
        return replace(motion, rate=rate or _USUAL_RATE)
    if step is not None:
        raise BadRequest("animationstepsize needs swivelrange or volumetriccurvepoint", parameter="animationstepsize")
    if rate is not None or (asked.accept and asked.accept[0].name in asked.can_animate and not _can_be_still(asked)):
        if len(volumes) > 1:
            return Motion("volumes", rate or _USUAL_RATE)
        if rate is not None:
            raise BadRequest(
                "There is one volume: swivelrange or volumetriccurvepoint move it", parameter="animationrate"
            )
    return None


def _can_be_still(asked: Asked) -> bool:
    return asked.accept[0].name in asked.can_make


def _swivel(query: Query, step: float | None) -> Motion | None:
    degrees = number_above_zero(query, "swivelrange")
    if degrees is None:
        return None
    if degrees > WIDEST_SWIVEL:
        raise BadRequest(f"swivelrange is above {WIDEST_SWIVEL:g} degrees", parameter="swivelrange")
    step = step or degrees / _USUAL_SWIVEL_FRAMES
    if step > degrees:
        raise BadRequest("animationstepsize is above swivelrange", parameter="animationstepsize")
    _refuse_many_frames(degrees / step)
    return Motion("swivel", _USUAL_RATE, step, swivel_degrees=degrees)


def _curve(query: Query, step: float | None) -> Motion | None:
    points = line(query, "volumetriccurvepoint")
    if not points:
        return None
    length_mm = curve_length_mm(points)
    if not math.isfinite(length_mm):
        raise BadRequest("The curve has no end", parameter="volumetriccurvepoint")
    step = step or length_mm / _USUAL_CURVE_FRAMES
    if step > length_mm:
        raise BadRequest("animationstepsize is above the length of the curve", parameter="animationstepsize")
    _refuse_many_frames(length_mm / step)
    return Motion("curve", _USUAL_RATE, step, curve=points)


def _refuse_many_frames(count: float) -> None:
    if count > MOST_FILM_FRAMES:
        raise TooLarge(
            f"A film has at most {MOST_FILM_FRAMES} frames: ask for a larger animationstepsize", key="film-too-large"
        )


def moved(camera: Camera, motion: Motion) -> tuple[Camera, ...]:
    """A camera for each frame."""
    if motion.style == "swivel":
        return tuple(swivelled(camera, angle) for angle in swivel_angles(motion.swivel_degrees, motion.step))
    return along_curve(motion.curve, motion.step, camera.up, camera.field_of_view_mm)


def film_type(asked: Asked) -> str:
    """MP4 first where any will do; what is wanted most otherwise."""
    order = sorted(asked.can_animate, key=lambda name: name != "video/mp4")
    for wanted in asked.accept:
        made = next((name for name in order if wanted.covers(name)), None)
        if made is not None:
            return made
    raise NotAcceptable(f"A film can be {', '.join(order)}", key="no-such-media-type")
