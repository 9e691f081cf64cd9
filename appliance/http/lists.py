"""What a request for a part of a list says: filters, order and place.

A list is asked for exactly: a parameter that is not known, is there twice or is empty is refused, so that a filter that was
misspelled or left empty never widens what is answered.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

import msgspec
from quart import request

from appliance.domain.errors import BadRequest
from appliance.domain.listing import PartWanted, Place
from appliance.http.bodies import integer_parameter

E = TypeVar("E", bound=StrEnum)

MOST_ROWS = 200
_USUAL_ROWS = 50
_PART = frozenset({"limit", "sort", "cursor"})


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Opaque to whoever gets it: it is given back as it came, with the same order."""

    sort: str
    value: str
    id: str


class ListQuery:
    """The query of the current request, for a list that knows ``filters`` and ``sorts``, the first of them where none is said."""

    def __init__(self, *filters: str, sorts: tuple[str, ...]) -> None:
        for name, texts in request.args.lists():
            if name not in _PART and name not in filters:
                raise BadRequest(f"{name} is no parameter of this list", key="unknown-parameter", parameter=name)
            if len(texts) > 1 or not texts[0].strip() or "\0" in texts[0]:
                raise BadRequest(f"{name} is there twice, or empty, or no text", parameter=name)
        self._sorts = sorts

    def text(self, name: str) -> str | None:
        """None where it is not asked for, here and below."""
        return request.args.get(name)

    def uuid(self, name: str) -> UUID | None:
        text = self.text(name)
        try:
            return UUID(text) if text is not None else None
        except ValueError as error:
            raise BadRequest(f"{name} is not a UUID", parameter=name) from error

    def choice(self, name: str, kind: type[E]) -> E | None:
        text = self.text(name)
        try:
            return kind(text) if text is not None else None
        except ValueError as error:
            raise BadRequest(f"{name} is none of {', '.join(kind)}", parameter=name) from error

    def flag(self, name: str) -> bool | None:
        text = self.text(name)
        if text not in (None, "true", "false"):
            raise BadRequest(f"{name} is not true or false", parameter=name)
        return None if text is None else text == "true"

    def instant(self, name: str) -> datetime | None:
        """A time with its zone, or a day: its beginning in UTC."""
        text = self.text(name)
        if text is None:
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError as error:
            raise BadRequest(f"{name} is no time (RFC 3339) and no day", parameter=name) from error
        if at.tzinfo is None and len(text) > len("2026-11-22"):
            raise BadRequest(f"{name} has no time zone", parameter=name)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)

    def part(self) -> PartWanted:
        limit = integer_parameter("limit", _USUAL_ROWS)
        if not 1 <= limit <= MOST_ROWS:
            raise BadRequest(f"limit is not between 1 and {MOST_ROWS}", parameter="limit")
        said = request.args.get("sort", self._sorts[0])
        sort = said.removeprefix("-")
        if sort not in self._sorts:
            raise BadRequest(f"sort is none of {', '.join(self._sorts)}, nor one after a minus", parameter="sort")
        return PartWanted(sort, limit, said.startswith("-"), self._place(said))

    def cursor(self, place: Place | None) -> str | None:
        """What is to be said to get the part after ``place``."""
        if place is None:
            return None
        cursor = _Cursor(request.args.get("sort", self._sorts[0]), place.value, place.id)
        return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")

    def _place(self, sort: str) -> Place | None:
        text = request.args.get("cursor")
        if text is None:
            return None
        try:
            padded = text + "=" * (-len(text) % 4)
            cursor = msgspec.json.decode(base64.b64decode(padded, b"-_", validate=True), type=_Cursor)
        except (binascii.Error, ValueError, msgspec.DecodeError) as error:
            raise BadRequest("cursor is none of this list", parameter="cursor") from error
        if cursor.sort != sort or "\0" in cursor.value:
            raise BadRequest("cursor is of another order", parameter="cursor")
        return Place(cursor.value, cursor.id)
