"""What was measured in a study, as DICOM, at a node."""

from __future__ import annotations

from quart import Blueprint, Response, request

from appliance.domain.audit import Action, dicom_subject
from appliance.domain.errors import NotFound
from appliance.domain.reports import Writer
from appliance.http import addresses
from appliance.http.access import Access
from appliance.http.picture_answers import PictureAnswers
from appliance.services.audit import Auditing
from appliance.services.measurement_export import Form, MeasurementExport


def measurement_files(
    exporting: MeasurementExport, answers: PictureAnswers, auditing: Auditing, access: Access
) -> Blueprint:
    blueprint = Blueprint("measurement files", __name__)

    @blueprint.get("/api/studies/<study>/measurements/<form>")
    async def document(study: str, form: str) -> Response:
        account = access.reader()
        viewer = await answers.viewer(study)
        wanted = next((one for one in Form if one == form), None)
        if wanted is None:
            raise NotFound(f"Measurements are given as {' and '.join(Form)}", key="no-such-form")
        study_uid, named = addresses.study_uid(study), request.args.get("series")
        series_uid = addresses.series_uid(named) if named is not None else None
        creator = Writer(account.id, account.name)
        body = await exporting.document(study_uid, series_uid, wanted, creator, viewer=viewer)
        await auditing.looked_at(
            access.actor(account), Action.EXPORT_MEASUREMENTS, dicom_subject(study_uid, series_uid)
        )
        response = Response(body, 200, content_type="application/dicom")
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Disposition"] = f'attachment; filename="{wanted}-{study_uid}.dcm"'
        return response

    return blueprint
