"""What measuring asks of a node: what a pixel is worth and what that rests on, and the values in a region."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.attributes import Attributes
from appliance.domain.errors import BadRequest
from appliance.domain.measuring import MOST_POINTS, REGIONS, Point, Quantity, Scale, check_points, scales_of
from appliance.domain.measuring import measured as measured_from
from appliance.domain.regions import Region, RegionValues
from appliance.domain.uptake import SUV_UNIT, suv_factor
from appliance.http.asked_frames import FRAME, AskedFrame, AskedFrames
from appliance.http.bodies import json_response
from appliance.http.query_values import finite
from appliance.services.archive import Archive
from appliance.services.drawing import Drawing

SCALES = f"{FRAME}/scales"
REGION = f"{FRAME}/region"


class FrameScales(msgspec.Struct, frozen=True):
    scales: tuple[Scale, ...]
    """Of these counts the first that holds all points; the last holds any."""


class Uptake(msgspec.Struct, frozen=True):
    """The same values as SUV by body weight."""

    mean: float
    standard_deviation: float
    minimum: float
    maximum: float
    unit: str


class RegionAnswer(msgspec.Struct, frozen=True):
    count: int
    """Pixels whose centre is inside and that are image."""
    padding_count: int
    mean: float | None
    """None of colours, and where nothing is counted."""
    standard_deviation: float | None
    minimum: float | None
    maximum: float | None
    unit: str
    """Of the values; empty where the file names none."""
    uptake: Uptake | None
    """None where the file does not tell all that it takes."""
    quantities: tuple[Quantity, ...]
    """By the scales of the file: the area."""


class Scales:
    """The resources; what they need is handed over once."""

    def __init__(self, frames: AskedFrames, archive: Archive, drawing: Drawing) -> None:
        self._frames = frames
        self._archive = archive
        self._drawing = drawing

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("scales", __name__)
        blueprint.get(SCALES)(self.scales)
        blueprint.get(REGION)(self.region)
        return blueprint

    async def scales(self, study: str, series: str, instance: str, frame: str) -> Response:
        asked = await self._frames.opened(study, series, instance, frame)
        return json_response(FrameScales(scales_of(asked.image.description, asked.index, await self._said(asked))))

    async def region(self, study: str, series: str, instance: str, frame: str) -> Response:
        asked = await self._frames.opened(study, series, instance, frame)
        region = _region()
        said = await self._said(asked)
        values = await self._drawing.region(asked.image, asked.index, region, viewer=asked.viewer)
        uptake = _uptake(values, suv_factor(said))
        described = asked.image.description
        scales = scales_of(described, asked.index, said)
        return json_response(
            RegionAnswer(
                values.count,
                values.padding_count,
                values.mean,
                values.standard_deviation,
                values.minimum,
                values.maximum,
                described.value_unit,
                uptake,
                measured_from(region.kind, region.points, scales),
            )
        )

    async def _said(self, asked: AskedFrame) -> Attributes:
        """What the file of the frame says."""
        return (await self._archive.attributes(asked.study_uid, {asked.instance_uid}))[asked.instance_uid]


def _uptake(values: RegionValues, factor: float | None) -> Uptake | None:
    mean, deviation, least, most = values.mean, values.standard_deviation, values.minimum, values.maximum
    if factor is None or mean is None or deviation is None or least is None or most is None:
        return None
    return Uptake(mean * factor, deviation * factor, least * factor, most * factor, SUV_UNIT)


def _region() -> Region:
    """Of the query: ``kind``, and ``points`` as column,row,column,row,…"""
    kinds = {str(kind): kind for kind in REGIONS}
    kind = kinds.get(request.args.get("kind", ""))
    if kind is None:
        raise BadRequest(f"kind is not one of {', '.join(sorted(kinds))}", parameter="kind")
    points = _points(request.args.get("points", ""))
    check_points(kind, points)
    return Region(kind, points)


def _points(text: str) -> tuple[Point, ...]:
    parts = text.split(",", 2 * MOST_POINTS) if text else []
    numbers = [finite(part, "points") for part in parts]
    if len(numbers) % 2:
        raise BadRequest("points is not column,row,column,row,…", parameter="points")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))
