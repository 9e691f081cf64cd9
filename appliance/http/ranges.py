"""Bodies of which parts can be asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from quart import Response, request

from appliance.http import problems
from appliance.http.parts import PRIVATE, Pieces, one_piece

_CLOSED_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")
_LAST_BYTES = re.compile(r"bytes=-(\d{1,15})")


def ranged(
    pieces: Callable[[int, int], Pieces],
    size_bytes: int,
    etag: str,
    content_type: str,
    about: Mapping[str, str] | None = None,
) -> Response:
    """A body of known length, or the range of it that was asked for (RFC 9110 §14); ``about`` are headers besides."""
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": PRIVATE, "Vary": "Accept", **(about or {})}
    if etag in request.headers.get("If-None-Match", ""):
        return Response("", 304, headers=headers)
    asked = request.headers.get("Range", "")
    if request.headers.get("If-Range", etag) != etag:
        asked = ""
    span = _span(asked, size_bytes)
    if span is None:
        headers["Content-Length"] = str(size_bytes)
        return Response(pieces(0, size_bytes), 200, headers=headers, content_type=content_type)
    start, end = span
    if start >= end:
        body = problems.problem(416, "no-such-range", f"There are {size_bytes} bytes")
        headers = {"Content-Range": f"bytes */{size_bytes}"}
        return Response(body, 416, headers=headers, content_type=problems.CONTENT_TYPE)
    headers |= {"Content-Length": str(end - start), "Content-Range": f"bytes {start}-{end - 1}/{size_bytes}"}
    return Response(pieces(start, end), 206, headers=headers, content_type=content_type)


async def seekable(answer: Response) -> Response:
    """The same answer, or the range of it that was asked for: a browser seeks only in films that have ranges."""
    if answer.status_code != 200 or "ETag" not in answer.headers:
        return answer
    body = await answer.get_data(as_text=False)
    about = {name: value for name, value in answer.headers.items() if name not in ("Content-Type", "Content-Length")}
    etag, content_type = answer.headers["ETag"], answer.headers["Content-Type"]
    return ranged(lambda start, end: one_piece(body[start:end]), len(body), etag, content_type, about)


def _span(asked: str, size_bytes: int) -> tuple[int, int] | None:
    """From where to before where; None for the whole, also where several ranges are asked for."""
    if closed := _CLOSED_RANGE.fullmatch(asked):
        start, last = int(closed[1]), int(closed[2]) if closed[2] else size_bytes - 1
        return (start, min(last + 1, size_bytes)) if start <= last or not closed[2] else None
    if suffix := _LAST_BYTES.fullmatch(asked):
        return max(0, size_bytes - int(suffix[1])), size_bytes if int(suffix[1]) else 0
    return None
