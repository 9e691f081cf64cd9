"""JSON in and out of Quart's requests, by the types that the rooms below speak."""

from __future__ import annotations

import asyncio
import functools
import gzip
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

import brotli
import msgspec
from quart import Response, request

from appliance.domain.errors import BadRequest
from appliance.http.codings import best_coding
from appliance.http.priorities import FIRST

T = TypeVar("T")


def json_response(value: object, status: int = 200) -> Response:
    """``value`` as JSON: dataclasses, structs, dates and UUIDs included. Never cached: it speaks of patients.

    It goes before files and pictures that are on their way: what a page asks for next follows from it.
    """
    response = Response(msgspec.json.encode(value), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Priority"] = FIRST
    return response


async def compressed_json_response(value: object) -> Response:
    """``json_response`` in the smallest coding that whoever asks takes, for descriptions that are long and say much twice.

    Not for an answer that holds a secret beside words of somebody else: its length would tell of the secret (BREACH).
    """
    response = json_response(value)
    response.headers["Vary"] = "Accept-Encoding"
    return await compressed(response)


async def compressed(response: Response) -> Response:
    """``response``, which is text and whole, in the smallest coding that whoever asks takes; its Vary is to say so."""
    body: bytes = await response.get_data(as_text=False)
    coding = best_coding(request.headers.get("Accept-Encoding", ""), _COMPRESSORS)
    if coding and len(body) >= _WORTH_COMPRESSING_BYTES:
        response.set_data(await asyncio.to_thread(_COMPRESSORS[coding], body))
        response.headers["Content-Encoding"] = coding
    return response


_WORTH_COMPRESSING_BYTES = 1024
"""What is shorter fits into one packet as it is."""
_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "br": functools.partial(brotli.compress, mode=brotli.MODE_TEXT, quality=5),  # 2 MB of slices in some 50 ms
    "gzip": functools.partial(gzip.compress, compresslevel=6, mtime=0),
}


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
