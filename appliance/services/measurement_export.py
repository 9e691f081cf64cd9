"""The measurements of a study as DICOM, made at a node, which has pixels and headers and asks its institution what was drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from uuid import UUID

from appliance.domain.changes import MeasurementsTold, MeasurementsWanted
from appliance.domain.errors import Conflict, NotFound
from appliance.domain.identifiers import SeriesUid, StudyUid
from appliance.domain.measurements import Measurement
from appliance.domain.measuring import REGIONS, Kind, Scale, calibrated, measured, scale_for, scales_of
from appliance.domain.regions import Region
from appliance.domain.reports import Writer
from appliance.services.archive import Archive
from appliance.services.catalogue import Catalogue
from appliance.services.drawing import Drawing
from appliance.storage.measurement_documents import Measured, measurement_report, presentation_state


class Form(StrEnum):
    GSPS = "gsps"
    """A grayscale softcopy presentation state (PS3.3 A.33.1)."""
    SR = "sr"
    """A structured report of TID 1500 (PS3.16)."""


_WRITTEN = {Form.GSPS: presentation_state, Form.SR: measurement_report}


class MeasurementExport:
    def __init__(
        self,
        node_id: UUID,
        ask: Callable[[MeasurementsWanted], Awaitable[MeasurementsTold]],
        catalogue: Catalogue,
        archive: Archive,
        drawing: Drawing,
    ) -> None:
        """``ask`` is the institution's."""
        self._node_id = node_id
        self._ask = ask
        self._catalogue = catalogue
        self._archive = archive
        self._drawing = drawing

    async def document(
        self, study_uid: StudyUid, series_uid: SeriesUid | None, form: Form, creator: Writer, *, viewer: str
    ) -> bytes:
        """A DICOM object, of a study or of one series in it. Raises Conflict where there is nothing for it, and Unavailable while
        the institution cannot be asked."""
        await self._archive.holdings(study_uid, series_uid)  # raises NotFound
        told = await self._ask(MeasurementsWanted(self._node_id, study_uid))
        wanted = [one for one in told.measurements if series_uid in (None, one.drawn.series_uid)]
        found = [one for drawn in wanted if (one := await self._measured(drawn, wanted, viewer)) is not None]
        if not found:
            raise Conflict("Nothing was measured in pictures that are held here", key="nothing-measured")
        first = found[0].measurement.drawn.instance_uid
        said = (await self._archive.attributes(study_uid, {first}))[first]
        return await asyncio.to_thread(_WRITTEN[form], found, said, creator)

    async def _measured(self, one: Measurement, among: list[Measurement], viewer: str) -> Measured | None:
        """None of a picture that is not here any more."""
        drawn = one.drawn
        try:
            image = await self._catalogue.stored_image(drawn.study_uid, drawn.series_uid, drawn.instance_uid)
        except NotFound:
            return None
        described, index = image.description, drawn.frame - 1
        if index >= len(described.frames):
            return None
        said = (await self._archive.attributes(drawn.study_uid, {drawn.instance_uid}))[drawn.instance_uid]
        scales = _in_force(scales_of(described, index, said), one, among)
        values = None
        if drawn.kind in REGIONS:
            values = await self._drawing.region(image, index, Region(drawn.kind, drawn.points), viewer=viewer)
        return Measured(
            one,
            described.sop_class_uid,
            described.pixel_format.rows,
            described.pixel_format.columns,
            len(described.frames),
            described.is_colour,
            scale_for(drawn.points, scales).basis,
            measured(drawn.kind, drawn.points, scales),
            values,
            described.value_unit,
        )


def _in_force(of_file: tuple[Scale, ...], one: Measurement, among: list[Measurement]) -> tuple[Scale, ...]:
    """By the newest length in the same image that somebody knew; else as the file says."""
    for other in reversed(among):
        drawn = other.drawn
        if drawn.kind is Kind.CALIBRATION and drawn.instance_uid == one.drawn.instance_uid and drawn.length_mm:
            return (calibrated(drawn.points, drawn.length_mm, of_file[-1]),)
    return of_file
