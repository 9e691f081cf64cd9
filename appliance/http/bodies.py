"""JSON in and out of Quart's requests, by the types that the rooms below speak."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

import msgspec
from quart import Response, request

from appliance.domain.errors import BadRequest

T = TypeVar("T")


def json_response(value: object, status: int = 200) -> Response:
    """``value`` as JSON: dataclasses, structs, dates and UUIDs included. Never cached: it speaks of patients."""
    response = Response(msgspec.json.encode(value), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


async def json_body(kind: type[T]) -> T:
    """The body of the current request as ``kind``; BadRequest naming what is wrong."""
    try:
        return msgspec.json.decode(await request.get_data(), type=kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body is not as expected: {error}", key="wrong-body") from error
    except msgspec.DecodeError as error:
        raise BadRequest("The body is not JSON", key="not-json") from error


def uuid_in_path(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise BadRequest(f"{name} is not a UUID", parameter=name) from error


def integer_parameter(name: str, default: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise BadRequest(f"{name} is not a number", parameter=name) from error
