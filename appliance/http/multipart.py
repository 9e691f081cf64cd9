"""``multipart/related`` (RFC 2046 §5.1, RFC 2387) as events, while it arrives: bytes in, parts out, nothing is waited for.

Between two calls no more is kept than a piece of headers or the length of a boundary, however long a part is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from appliance.domain.errors import BadRequest, UnsupportedMedia
from appliance.http.media_types import MediaType

_LONGEST_PREAMBLE_BYTES = 16 * 1024
"""What may stand before the first boundary; beyond it the boundary is taken to be another one than was said."""
_LONGEST_HEADERS_BYTES = 8 * 1024
_MOST_HEADERS = 32
_LONGEST_PADDING_BYTES = 256
# RFC 2046 §5.1.1, and what stands in the wild: any visible character.
_BOUNDARY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class PartBegins:
    headers: Mapping[str, str]
    """Names in lower case."""


@dataclass(frozen=True, slots=True)
class PartData:
    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnds:
    pass


Event = PartBegins | PartData | PartEnds


class _State(Enum):
    BEFORE_FIRST = auto()
    AFTER_BOUNDARY = auto()
    HEADERS = auto()
    BODY = auto()
    AFTER_LAST = auto()


class MultipartReader:
    """Feed it what arrives, then say that it ended."""

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._buffer = bytearray(b"\r\n")  # the first boundary has no line before it
        self._state = _State.BEFORE_FIRST

    def feed(self, data: bytes) -> Iterator[Event]:
        """What became known by ``data``; consume all of it. Raises BadRequest, naming what is wrong."""
        if self._state is _State.AFTER_LAST:
            return  # an epilogue says nothing (RFC 2046 §5.1.1)
        self._buffer += data
        while (event := self._step()) is not None:
            if event is not _NO_EVENT:
                yield event

    def end(self) -> None:
        """Raises BadRequest if the last boundary has not come."""
        if self._state is _State.BEFORE_FIRST:
            raise _wrong_boundary()
        if self._state is not _State.AFTER_LAST:
            raise BadRequest("The multipart body ends before its last boundary", key="truncated-multipart")

    def _step(self) -> Event | None:
        """The next event, ``_NO_EVENT`` after a step without one, None when more bytes are needed."""
        if self._state is _State.BODY:
            return self._body()
        if self._state is _State.HEADERS:
            return self._headers()
        if self._state is _State.AFTER_BOUNDARY:
            return self._after_boundary()
        if self._state is _State.BEFORE_FIRST:
            return self._before_first()
        self._buffer.clear()
        return None

    def _before_first(self) -> Event | None:
        at = self._buffer.find(self._delimiter)
        if at < 0:
            if len(self._buffer) > _LONGEST_PREAMBLE_BYTES:
                raise _wrong_boundary()
            return None
        return self._found_boundary(at)

    def _found_boundary(self, at: int) -> Event:
        del self._buffer[: at + len(self._delimiter)]
        self._state = _State.AFTER_BOUNDARY
        return _NO_EVENT

    def _after_boundary(self) -> Event | None:
        if len(self._buffer) < 2:
            return None
        if self._buffer.startswith(b"--"):
            self._state = _State.AFTER_LAST
            return _NO_EVENT
        at = self._buffer.find(b"\r\n")
        if at < 0 and len(self._buffer) <= _LONGEST_PADDING_BYTES:
            return None
        if at < 0 or self._buffer[:at].strip(b" \t"):
            raise BadRequest("Something other than a new line follows a boundary", key="wrong-boundary")
        del self._buffer[:at]  # the line's end stays, so that no header at all looks like the end of headers
        self._state = _State.HEADERS
        return _NO_EVENT

    def _headers(self) -> Event | None:
        at = self._buffer.find(b"\r\n\r\n")
        if max(at, 0 if at >= 0 else len(self._buffer)) > _LONGEST_HEADERS_BYTES:
            raise BadRequest(
                f"The headers of a part are longer than {_LONGEST_HEADERS_BYTES} bytes", key="part-headers-too-long"
            )
        if at < 0:
            return None
        headers = _parsed_headers(bytes(self._buffer[2:at]))
        del self._buffer[: at + 4]
        self._state = _State.BODY
        return PartBegins(headers)

    def _body(self) -> Event | None:
        at = self._buffer.find(self._delimiter)
        if at == 0:
            self._found_boundary(0)
            return PartEnds()
        known = at if at > 0 else len(self._buffer) - len(self._delimiter) + 1
        if known <= 0:
            return None
        with memoryview(self._buffer) as view:
            data = bytes(view[:known])
        del self._buffer[:known]
        return PartData(data)


_NO_EVENT: Event = PartEnds()
"""Told apart by identity: a step was made, and nobody outside needs to know."""


def boundary_of(content_type: MediaType) -> str:
    """The boundary of a ``multipart/related``. Raises BadRequest without one."""
    boundary = content_type.parameters.get("boundary", "")
    if not boundary:
        raise BadRequest("The Content-Type has no boundary", key="no-boundary", parameter="boundary")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("The boundary is not one that RFC 2046 knows", key="wrong-boundary", parameter="boundary")
    return boundary


def refuse_nested(part: MediaType) -> None:
    """Raises UnsupportedMedia for a part that has parts itself."""
    if part.name.startswith("multipart/"):
        raise UnsupportedMedia("A part may not be a multipart itself", key="nested-multipart")


def _wrong_boundary() -> BadRequest:
    return BadRequest("The boundary of the Content-Type does not occur in the body", key="wrong-boundary")


def _parsed_headers(block: bytes) -> dict[str, str]:
    lines = re.sub(r"\r\n[ \t]+", " ", block.decode("latin-1")).split("\r\n") if block else []
    if len(lines) > _MOST_HEADERS:
        raise BadRequest(f"A part has more than {_MOST_HEADERS} headers", key="part-headers-too-long")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or "\r" in line or "\n" in line or "\0" in line:
            raise BadRequest("A header of a part cannot be read", key="part-headers-wrong")
        headers.setdefault(name.strip().lower(), value.strip())
    return headers
