"""Pictures by the resource names of PS3.18: ``rendered``, ``thumbnail``, ``renderedmpr``, ``rendered3d``, at a node."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from quart import Blueprint, Response, request

from appliance.domain.accounts import Account, Right
from appliance.domain.audit import Action
from appliance.domain.errors import BadRequest, NotDrawable
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid, checked_uid
from appliance.domain.image import StoredImage
from appliance.domain.views import Picture, PlaneView, Vector, VolumeView
from appliance.http import picture_requests
from appliance.http.access import Access
from appliance.services.audit import Auditing
from appliance.services.catalogue import Catalogue, NoVolume
from appliance.services.drawing import Drawing
from appliance.services.metrics import Metrics

_SERIES = "/dicom-web/studies/<study>/series/<series>"
_INSTANCE = f"{_SERIES}/instances/<instance>"
_PICTURE_VERSION = "2"
"""Part of every ETag; raised when the same view is drawn differently, so that no cache keeps the old picture."""
_SETTLED = "private, max-age=31536000, immutable"
_UNSETTLED = "no-store"


class Pictures:
    """The resources; what they need is handed over once."""

    def __init__(
        self, catalogue: Catalogue, drawing: Drawing, access: Access, auditing: Auditing, metrics: Metrics
    ) -> None:
        self._catalogue = catalogue
        self._auditing = auditing
        self._drawing = drawing
        self._access = access
        self._metrics = metrics

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("pictures", __name__)
        blueprint.get(f"{_INSTANCE}/rendered")(self.instance)
        blueprint.get(f"{_INSTANCE}/frames/<frames>/rendered")(self.frame)
        blueprint.get(f"{_INSTANCE}/thumbnail")(self.instance_thumbnail)
        blueprint.get(f"{_SERIES}/thumbnail")(self.series_thumbnail)
        blueprint.get(f"{_SERIES}/renderedmpr")(self.plane)
        blueprint.get(f"{_SERIES}/rendered3d")(self.volume)
        return blueprint

    async def instance(self, study: str, series: str, instance: str) -> Response:
        return await self.frame(study, series, instance, "1")

    async def frame(self, study: str, series: str, instance: str, frames: str) -> Response:
        viewer = await self._viewer(study)
        if not frames.isascii() or not frames.isdigit():
            raise BadRequest("One frame at a time, by its number", parameter="frames")
        image = await self._catalogue.stored_image(*_uids(study, series), _instance_uid(instance))
        view = picture_requests.slice_view(
            image.description.instance_uid, int(frames), request.args, request.headers.get("Accept")
        )
        etag = _etag(image.key, view)
        return await self._answer(etag, lambda: self._drawing.slice(image, view, viewer=viewer))

    async def instance_thumbnail(self, study: str, series: str, instance: str) -> Response:
        viewer = await self._viewer(study)
        image = await self._catalogue.stored_image(*_uids(study, series), _instance_uid(instance))
        return await self._thumbnail(image, 0, viewer, _SETTLED)

    async def series_thumbnail(self, study: str, series: str) -> Response:
        viewer = await self._viewer(study)
        middle = await self._catalogue.representative_image(*_uids(study, series))
        # Not for ever: another image may stand for the series when more of it has arrived.
        return await self._thumbnail(middle.image, middle.frame_index, viewer, "no-cache")

    async def _thumbnail(self, image: StoredImage, frame_index: int, viewer: str, caching: str) -> Response:
        etag = _etag(image.key, ("thumbnail", frame_index))
        return await self._answer(
            etag, lambda: self._drawing.thumbnail(image, frame_index, viewer=viewer), caching=caching
        )

    async def plane(self, study: str, series: str) -> Response:
        viewer = await self._viewer(study)
        uids = _uids(study, series)
        center_mm, size_mm = await self._box(*uids)
        view = picture_requests.plane_view(
            uids[1], request.args, request.headers.get("Accept"), center_mm=center_mm, size_mm=size_mm
        )
        stored = await self._catalogue.stored_series(*uids)
        return await self._answer(
            _etag(stored.version, view),
            lambda: self._drawing.plane(stored, view, viewer=viewer),
            caching=_caching(view),
        )

    async def volume(self, study: str, series: str) -> Response:
        viewer = await self._viewer(study)
        uids = _uids(study, series)
        center_mm, size_mm = await self._box(*uids)
        view = picture_requests.volume_view(
            uids[1], request.args, request.headers.get("Accept"), center_mm=center_mm, size_mm=size_mm
        )
        stored = await self._catalogue.stored_series(*uids)
        return await self._answer(
            _etag(stored.version, view),
            lambda: self._drawing.volume(stored, view, viewer=viewer),
            caching=_caching(view),
        )

    async def _viewer(self, study: str) -> str:
        """Who looks, as the render process tells viewers apart; that they look at this study is on record."""
        account: Account = self._access.reader()
        account.require(Right.VIEW)
        study_uid = StudyUid(checked_uid(study, "study"))
        await self._auditing.looked(self._access.actor(account), Action.OPEN, study_uid)
        return f"{account.id} {request.remote_addr}"

    async def _box(self, study_uid: StudyUid, series_uid: SeriesUid) -> tuple[Vector, Vector]:
        """Middle and size of the series' volume; NotDrawable with the reason if it has none."""
        volume = (await self._catalogue.series(study_uid, series_uid)).volume
        if isinstance(volume, NoVolume):
            raise NotDrawable(volume.reason, key="not-a-volume")
        return volume.center, volume.size_mm

    async def _answer(self, etag: str, draw: Callable[[], Awaitable[Picture]], *, caching: str = _SETTLED) -> Response:
        headers = {
            "ETag": etag,
            "Cache-Control": caching,
            "Vary": "Accept",
            "Cross-Origin-Resource-Policy": "same-site",
        }
        if caching != _UNSETTLED and etag in request.headers.get("If-None-Match", ""):
            return Response("", 304, headers=headers)
        picture = await draw()
        self._metrics.observe_picture(picture)
        if caching == _UNSETTLED or picture.completeness < 1 or picture.is_coarse:
            headers["Cache-Control"] = _UNSETTLED
            del headers["ETag"]
        if picture.window is not None:
            headers["Rendered-Window"] = f"{picture.window.center:g},{picture.window.width:g}"
        if picture.completeness < 1:
            headers["Volume-Complete"] = f"{picture.completeness:.3f}"
        headers["Server-Timing"] = ", ".join(f"{stage};dur={cost_ms:.2f}" for stage, cost_ms in picture.stages_ms)
        return Response(picture.body, 200, headers=headers, content_type=picture.media_type)


def _uids(study: str, series: str) -> tuple[StudyUid, SeriesUid]:
    return StudyUid(checked_uid(study, "study")), SeriesUid(checked_uid(series, "series"))


def _instance_uid(instance: str) -> InstanceUid:
    return InstanceUid(checked_uid(instance, "instance"))


def _caching(view: PlaneView | VolumeView) -> str:
    return _UNSETTLED if view.interactive else _SETTLED


def _etag(source: str, view: object) -> str:
    digest = hashlib.sha256(f"{_PICTURE_VERSION}\n{source}\n{view!r}".encode()).hexdigest()
    return f'"{digest[:32]}"'
