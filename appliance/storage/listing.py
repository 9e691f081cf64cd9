"""Parts of a long list, by keyset: a range over what it is sorted by, and the key where that is the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from appliance.domain.listing import PartWanted, Place
from appliance.storage.database import Transaction


@dataclass(frozen=True, slots=True)
class Sorting:
    """A column that a list may be sorted by; no row has it empty."""

    column: Any  # Any: peewee has no types
    read: Callable[[str], object] = str
    """Its value from the text of a ``Place``; ValueError for a text that is none."""


def literal(text: str) -> str:
    """``text`` as a pattern for ``database.matches`` that means nothing but itself."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def rows_of(
    tx: Transaction, query: Any, key: Any, sorting: Sorting, wanted: PartWanted
) -> tuple[list[Any], Place | None]:
    """The rows of ``query`` that are wanted, and after which the next part begins; None at the end of the list.

    ``key`` is a column of UUIDs. Raises ValueError for a place that is none of this list.
    """
    column = sorting.column
    if wanted.after is not None:
        value, row_id = sorting.read(wanted.after.value), UUID(wanted.after.id)
        if wanted.is_descending:
            query = query.where((column < value) | ((column == value) & (key < row_id)))
        else:
            query = query.where((column > value) | ((column == value) & (key > row_id)))
    order = (column.desc(), key.desc()) if wanted.is_descending else (column, key)
    rows = tx.rows(query.order_by(*order).limit(wanted.limit + 1))
    if len(rows) <= wanted.limit:
        return rows, None
    last = rows[wanted.limit - 1]
    return rows[: wanted.limit], Place(str(getattr(last, column.name)), str(getattr(last, key.name)))
