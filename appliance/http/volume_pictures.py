"""Planes and volumes by the resource names of PS3.18 §10.4.1.1: ``renderedmpr`` and ``rendered3d``, at a node."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.errors import BadRequest
from appliance.domain.views import Picture, PlaneView, VolumeView
from appliance.http import addresses
from appliance.http.picture_answers import Caching, PictureAnswers, etag_of
from appliance.http.volume_metadata import headers_of, response_module, warnings_of
from appliance.http.volume_requests import (
    Kind,
    Rendering,
    as_state_says,
    attribute_names,
    rendering_of,
    target_of,
    usual_of,
    wants_metadata,
    with_fusion,
)
from appliance.http.volume_views import fused_series
from appliance.rendering.transfer_functions import presets
from appliance.services.drawing import Drawing
from appliance.services.volume_selection import VolumeSelection, VolumeTarget
from appliance.storage.queries import checked_tag

_STUDY = "/dicom-web/studies/<study>"
_SERIES = f"{_STUDY}/series/<series>"
_INSTANCE = f"{_SERIES}/instances/<instance>"
RESOURCES = (
    (f"{_STUDY}/renderedmpr", "planes"),
    (f"{_SERIES}/renderedmpr", "planes"),
    (f"{_INSTANCE}/renderedmpr", "planes"),
    (f"{_STUDY}/rendered3d", "volumes"),
    (f"{_SERIES}/rendered3d", "volumes"),
    (f"{_INSTANCE}/rendered3d", "volumes"),
)
"""Each path, and the method of ``VolumePictures`` that answers it."""
_AS_IN_EXAMPLES = (("renderedmpr", "renderedMPR"), ("rendered3d", "rendered3D"))
"""The standard's templates write the one, its examples the other (PS3.18 B.32)."""


class VolumePictures:
    """The resources; what they need is handed over once."""

    def __init__(self, selection: VolumeSelection, drawing: Drawing, answers: PictureAnswers) -> None:
        self._selection = selection
        self._drawing = drawing
        self._answers = answers

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("volume_pictures", __name__)
        for path, name in RESOURCES:
            for spelling in {path, *(path.replace(one, other) for one, other in _AS_IN_EXAMPLES)}:
                blueprint.get(spelling)(getattr(self, name))
        blueprint.get("/api/volume-presets")(self.presets)
        return blueprint

    async def planes(self, study: str, series: str | None = None, instance: str | None = None) -> Response:
        return await self._rendered("mpr", study, series, instance)

    async def volumes(self, study: str, series: str | None = None, instance: str | None = None) -> Response:
        return await self._rendered("3d", study, series, instance)

    async def presets(self) -> Response:
        """The transfer functions as data: for a page that shows or changes them."""
        self._answers.reader()
        known = [
            {
                "name": preset.name,
                "of": "HU" if preset.is_of_hounsfield else "window",
                "window": preset.window,
                "light": preset.light,
                "points": preset.points,
            }
            for preset in presets()
        ]
        return Response(msgspec.json.encode({"presets": known}), 200, content_type="application/json")

    async def _rendered(self, kind: Kind, study: str, series: str | None, instance: str | None) -> Response:
        viewer = await self._answers.viewer(study, series, instance)
        query = _query()
        target = target_of(
            query,
            _tags(attribute_names(query)),
            addresses.study_uid(study),
            addresses.series_uid(series) if series else None,
            addresses.instance_uid(instance) if instance else None,
        )
        state = await self._selection.state(target)
        if state is not None:
            query = as_state_says(kind, state, query)
        asked = self._answers.asked(query)
        is_metadata = wants_metadata(asked)
        volumes = await (self._selection.volumes(target) if state is None else self._selection.of_state(target, state))
        rendering = rendering_of(kind, asked, volumes, is_metadata=is_metadata)
        series_uid = fused_series(query)
        if series_uid is not None:
            over = await self._selection.volumes(VolumeTarget(target.study_uid, series_uid))
            rendering = with_fusion(rendering, usual_of(over), query)
        if is_metadata:
            return await self._metadata(rendering, viewer)
        answer = await self._picture(rendering, viewer)
        if state is not None and state.not_applied:
            answer.headers.add("Warning", f'299 - "Not applied of the state: {", ".join(state.not_applied)}"')
        return answer

    async def _picture(self, rendering: Rendering, viewer: str) -> Response:
        view, film = rendering.views[0], rendering.film
        series = [volume.series for volume in rendering.volumes]

        async def draw() -> Picture:
            if film is not None:
                return await self._drawing.volume_film(series, film, viewer=viewer)
            return await self._one(rendering, view, viewer)

        answer = await self._answers.picture(
            etag_of("\n".join({one.version: "" for one in series}), film or view),
            draw,
            about=lambda picture: headers_of(rendering, picture),
            caching=Caching.UNSETTLED if view.interactive else Caching.SETTLED,
        )
        for warning in warnings_of(rendering):
            answer.headers.add("Warning", warning)
        return answer

    async def _metadata(self, rendering: Rendering, viewer: str) -> Response:
        picture = await self._one(
            rendering, rendering.views[0], viewer
        )  # what is said is what it is, not what it might be
        headers = {"Cache-Control": "private, no-cache", "Vary": "Accept", **headers_of(rendering, picture)}
        body = msgspec.json.encode(response_module(rendering, picture))
        answer = Response(body, 200, headers=headers, content_type="application/dicom+json")
        for warning in warnings_of(rendering):
            answer.headers.add("Warning", warning)
        return answer

    async def _one(self, rendering: Rendering, view: PlaneView | VolumeView, viewer: str) -> Picture:
        series, fused = rendering.volumes[0].series, rendering.fused.series if rendering.fused else None
        if isinstance(view, PlaneView):
            return await self._drawing.plane(series, view, viewer=viewer, fused=fused)
        return await self._drawing.volume(series, view, viewer=viewer, fused=fused)


def _query() -> dict[str, str]:
    """The parameters, each once; points of a curve may be given one by one."""
    return {
        name: ",".join(request.args.getlist(name)) if name == "volumetriccurvepoint" else request.args[name]
        for name in request.args
    }


def _tags(names: tuple[str, ...]) -> dict[str, str]:
    """Of the names that are attributes; others are parameters that nobody knows, and are passed over (PS3.18 §8.3.1)."""
    tags = {}
    for name in names:
        try:
            tags[name] = checked_tag(name)
        except BadRequest:
            continue
    return tags
