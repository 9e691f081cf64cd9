"""What was measured in pictures, at an institution."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response

from appliance.domain.identifiers import InstanceUid, MeasurementId, SeriesUid, StudyUid, checked_uid
from appliance.domain.measurements import Drawn, Measurement
from appliance.domain.measuring import Kind, Point
from appliance.http import addresses
from appliance.http.access import Access
from appliance.http.bodies import compressed_json_response, json_body, json_response, uuid_in_path
from appliance.http.reports import seen
from appliance.services.measurements import Measurements
from appliance.services.reports import Seen


class MeasurementToKeep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    study_uid: str
    series_uid: str
    instance_uid: str
    frame: int
    kind: Kind
    points: tuple[Point, ...]
    text: str = ""
    length_mm: float | None = None


def measurements(service: Measurements, access: Access) -> Blueprint:
    blueprint = Blueprint("measurements", __name__)

    @blueprint.get("/api/studies/<study>/measurements")
    async def of_study(study: str) -> Response:
        account = access.reader()
        found = await service.of_study(account, addresses.study_uid(study), access.actor(account))
        return await compressed_json_response({"measurements": [_measurement(one) for one in found]})

    @blueprint.put("/api/measurements/<measurement_id>")
    async def keep(measurement_id: str) -> Response:
        account = access.writer()
        wanted = await json_body(MeasurementToKeep)
        made_from = seen()
        kept = await service.keep(account, _id(measurement_id), _drawn(wanted), made_from, access.actor(account))
        response = json_response(_measurement(kept), 201 if made_from == Seen(None) else 200)
        response.headers["ETag"] = f'"{kept.tag}"'
        return response

    @blueprint.delete("/api/measurements/<measurement_id>")
    async def remove(measurement_id: str) -> Response:
        account = access.writer()
        await service.remove(account, _id(measurement_id), seen(), access.actor(account))
        return Response("", 204)

    return blueprint


def _id(text: str) -> MeasurementId:
    return MeasurementId(uuid_in_path(text, "measurement_id"))


def _drawn(wanted: MeasurementToKeep) -> Drawn:
    return Drawn(
        StudyUid(checked_uid(wanted.study_uid, "study_uid")),
        SeriesUid(checked_uid(wanted.series_uid, "series_uid")),
        InstanceUid(checked_uid(wanted.instance_uid, "instance_uid")),
        wanted.frame,
        wanted.kind,
        wanted.points,
        wanted.text,
        wanted.length_mm,
    )


def _measurement(one: Measurement) -> dict[str, object]:
    drawn = one.drawn
    return {
        "id": one.id,
        "study_uid": drawn.study_uid,
        "series_uid": drawn.series_uid,
        "instance_uid": drawn.instance_uid,
        "frame": drawn.frame,
        "kind": drawn.kind,
        "points": drawn.points,
        "text": drawn.text,
        "length_mm": drawn.length_mm,
        "tag": one.tag,
        "author": one.author,
        "created_at": one.created_at,
        "changed_at": one.changed_at,
    }
