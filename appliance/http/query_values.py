"""Values of query parameters, or a refusal by the name of the parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping

from appliance.domain.errors import BadRequest
from appliance.domain.views import Vector

Query = Mapping[str, str]

MOST_POINTS = 256
"""Of a line, or of a transfer function."""


def finite(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadRequest(f"{name} has something that is not a number", parameter=name)
    return value


def integer(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"{name} has something that is not a whole number", parameter=name) from None


def flag(query: Query, name: str) -> bool:
    """``1`` or ``0``, which is also meant where it is absent."""
    text = query.get(name, "0")
    if text not in ("0", "1"):
        raise BadRequest(f"{name} is not 0 or 1", parameter=name)
    return text == "1"


def number_within(query: Query, name: str, least: float, largest: float, default: float) -> float:
    """A number from ``least`` to ``largest``."""
    value = finite(query[name], name) if name in query else default
    if not least <= value <= largest:
        raise BadRequest(f"{name} is not between {least:g} and {largest:g}", parameter=name)
    return value


def number_above_zero(query: Query, name: str) -> float | None:
    if name not in query:
        return None
    value = finite(query[name], name)
    if value <= 0:
        raise BadRequest(f"{name} is not above 0", parameter=name)
    return value


def numbers(query: Query, name: str) -> tuple[float, ...]:
    """Numbers with commas between them; none where it is absent."""
    return tuple(finite(text, name) for text in query[name].split(",")) if name in query else ()


def vector(query: Query, name: str) -> Vector | None:
    if name not in query:
        return None
    found = numbers(query, name)
    if len(found) != 3:
        raise BadRequest(f"{name} is not x,y,z", parameter=name)
    return found[0], found[1], found[2]


def line(query: Query, name: str) -> tuple[Vector, ...]:
    """Points of a line, no two neighbours equal; none where it is absent."""
    if name not in query:
        return ()
    found = numbers(query, name)
    points = [(found[i], found[i + 1], found[i + 2]) for i in range(0, len(found) - 2, 3)]
    different = tuple(point for i, point in enumerate(points) if i == 0 or point != points[i - 1])
    if len(found) % 3 or not 2 <= len(different) <= MOST_POINTS:
        raise BadRequest(f"{name} is not x,y,z of 2 to {MOST_POINTS} different points", parameter=name)
    return different
