"""What children bring and ask, and which tokens are good: ``/api/sync``. Every request and every answer is signed."""

from __future__ import annotations

from typing import cast

from quart import Blueprint, Response, request

from appliance.services.enrolment import ENROLMENT_PATH
from appliance.services.signatures import SignedRequest
from appliance.services.synchronisation import (
    CHANGES_PATH,
    FEED_PATH,
    MEASUREMENTS_PATH,
    POINTERS_PATH,
    QUESTIONS_PATH,
    RECORD_TYPES_PATH,
    RELEASES_PATH,
    TRUST_PATH,
    Children,
    SignedAnswer,
)


def deliveries(children: Children) -> Blueprint:
    blueprint = Blueprint("deliveries", __name__)

    @blueprint.post(ENROLMENT_PATH)
    async def enrol() -> Response:
        return _response(await children.enrol(await _signed(), request.remote_addr or ""))

    @blueprint.post(CHANGES_PATH)
    async def changes() -> Response:
        return _response(await children.receive(await _signed()))

    @blueprint.post(QUESTIONS_PATH)
    async def questions() -> Response:
        return _response(await children.answer(await _signed()))

    @blueprint.post(RELEASES_PATH)
    async def releases() -> Response:
        return _response(await children.releases(await _signed()))

    @blueprint.post(POINTERS_PATH)
    async def pointers() -> Response:
        return _response(await children.pointers(await _signed()))

    @blueprint.post(MEASUREMENTS_PATH)
    async def measurements() -> Response:
        return _response(await children.measurements(await _signed()))

    @blueprint.post(RECORD_TYPES_PATH)
    async def record_types() -> Response:
        return _response(await children.record_types(await _signed()))

    @blueprint.post(FEED_PATH)
    async def feed() -> Response:
        return _response(await children.feed(await _signed()))

    @blueprint.get(TRUST_PATH)
    async def trust() -> Response:
        return _response(await children.trust(await _signed()))

    return blueprint


async def _signed() -> SignedRequest:
    body = cast(bytes, await request.get_data(as_text=False))
    headers = {name.title(): value for name, value in request.headers.items()}
    return SignedRequest(request.method, request.path, body, headers)


def _response(answer: SignedAnswer) -> Response:
    response = Response(answer.body, 200, headers=answer.headers, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
