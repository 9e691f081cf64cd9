"""Long lists, given out in parts: how they are sorted, and where the next part begins.

A part begins after the last row of the one before, by its place in the order and not by a count, so that what comes or goes
meanwhile makes nobody appear twice or be missed, and the thousandth part costs what the first does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in an order: what it is sorted by, as text, and its id among rows with the same."""

    value: str
    id: str


@dataclass(frozen=True, slots=True)
class PartWanted:
    """Which part of a list is asked for."""

    sort: str
    """By the name that the list has for it."""
    limit: int
    is_descending: bool = False
    after: Place | None = None
    """The last row of the part before; None for the first part."""


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """Some rows of a list, in order."""

    rows: tuple[T, ...]
    end: Place | None
    """After which the next part begins; None where there is nothing more."""
    total: int | None = None
    """How many rows there are in all parts; None where that is not counted."""
