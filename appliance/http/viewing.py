"""What a viewer asks besides pictures, at a node: the value of a pixel, a window for a part, how long frames are shown."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.cine import USUAL_MS, frame_durations_ms
from appliance.domain.errors import BadRequest, NotDrawable
from appliance.domain.identifiers import InstanceUid, StudyUid
from appliance.http import addresses
from appliance.http.asked_frames import FRAME, AskedFrames
from appliance.http.bodies import compressed_json_response
from appliance.http.picture_answers import PictureAnswers
from appliance.http.query_values import integer
from appliance.services.archive import Archive
from appliance.services.catalogue import Catalogue, SliceDetail
from appliance.services.drawing import Drawing

_SERIES = "/api/studies/<study>/series/<series>"
VALUE = f"{FRAME}/value"
WINDOW = f"{FRAME}/window"
FRAME_TIMES = f"{_SERIES}/frame-times"


class PixelAnswer(msgspec.Struct, frozen=True):
    stored: tuple[int | float, ...]
    """One sample, or red, green and blue."""
    value: float | None
    """After the modality LUT, in ``unit``; None of colours and of padding."""
    unit: str
    """Empty where the file names none."""
    is_padding: bool


class WindowAnswer(msgspec.Struct, frozen=True):
    center: float
    width: float
    function: str
    unit: str


class FrameTimes(msgspec.Struct, frozen=True):
    frame_ms: tuple[float, ...]
    """Of each slice of the series, in its order."""


class Viewing:
    """The resources; what they need is handed over once."""

    def __init__(
        self, frames: AskedFrames, catalogue: Catalogue, archive: Archive, drawing: Drawing, answers: PictureAnswers
    ) -> None:
        self._frames = frames
        self._catalogue = catalogue
        self._archive = archive
        self._drawing = drawing
        self._answers = answers

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("viewing", __name__)
        blueprint.get(VALUE)(self.value)
        blueprint.get(WINDOW)(self.window)
        blueprint.get(FRAME_TIMES)(self.frame_times)
        return blueprint

    async def value(self, study: str, series: str, instance: str, frame: str) -> Response:
        asked = await self._frames.opened(study, series, instance, frame)
        described = asked.image.description
        row = _place("row", described.pixel_format.rows)
        column = _place("column", described.pixel_format.columns)
        pixel = await self._drawing.pixel(asked.image, asked.index, row, column, viewer=asked.viewer)
        return await compressed_json_response(
            PixelAnswer(pixel.samples, pixel.value, described.value_unit, pixel.is_padding)
        )

    async def window(self, study: str, series: str, instance: str, frame: str) -> Response:
        asked = await self._frames.opened(study, series, instance, frame)
        described = asked.image.description
        if described.is_colour:
            raise NotDrawable("Colours have no window", key="no-window-of-colours")
        rows, columns = _part(described.pixel_format.rows, described.pixel_format.columns)
        window = await self._drawing.window(asked.image, asked.index, rows, columns, viewer=asked.viewer)
        return await compressed_json_response(
            WindowAnswer(window.center, window.width, window.function, described.value_unit)
        )

    async def frame_times(self, study: str, series: str) -> Response:
        await self._answers.viewer(study, series)
        uids = addresses.uids_of_series(study, series)
        found = await self._catalogue.series(*uids)
        return await compressed_json_response(FrameTimes(await self._durations_ms(uids[0], found.slices)))

    async def _durations_ms(self, study_uid: StudyUid, slices: tuple[SliceDetail, ...]) -> tuple[float, ...]:
        """A single frame has no time of its own: only images of several are read for it."""
        frames: dict[InstanceUid, list[int]] = {}
        for one in slices:
            frames.setdefault(one.instance_uid, []).append(one.frame - 1)
        films = {uid: indexes for uid, indexes in frames.items() if len(indexes) > 1}
        said = await self._archive.attributes(study_uid, films) if films else {}
        durations = {
            (uid, index): duration_ms
            for uid, indexes in films.items()
            for index, duration_ms in zip(indexes, frame_durations_ms(said[uid], indexes), strict=True)
        }
        return tuple(durations.get((one.instance_uid, one.frame - 1), USUAL_MS) for one in slices)


def _place(name: str, count: int) -> int:
    """A row or column, counted from 0."""
    if name not in request.args:
        raise BadRequest(f"There is no {name}", parameter=name)
    place = integer(request.args[name], name)
    if not 0 <= place < count:
        raise BadRequest(f"{name} is not between 0 and {count - 1}", parameter=name)
    return place


def _part(rows: int, columns: int) -> tuple[range, range]:
    """The rows and columns of ``region=x,y,width,height`` in pixels, or all."""
    if "region" not in request.args:
        return range(rows), range(columns)
    parts = request.args["region"].split(",")
    if len(parts) != 4:
        raise BadRequest("region is not x,y,width,height", parameter="region")
    x, y, width, height = (integer(part, "region") for part in parts)
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > columns or y + height > rows:
        raise BadRequest(f"region is not within {columns} x {rows} pixels", parameter="region")
    return range(y, y + height), range(x, x + width)
