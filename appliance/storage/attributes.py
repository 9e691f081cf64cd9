"""Values of a data set, read with patience: what is missing, empty or of the wrong kind is None or an empty text."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from datetime import date
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException

UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    EOFError,
    OSError,
    BytesLengthException,
    struct.error,
)
"""What pydicom raises over values that are not what their representation says; OSError over a sequence that is cut, which
it reads from memory."""
_LONGEST_TEXT = 1024
"""Characters; LT may hold 10,240 and nothing that is indexed is LT."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")
_DATE = re.compile(r"(\d{4})[.]?(\d{2})[.]?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?")


def value_of(ds: Dataset, keyword: str) -> Any | None:  # Any: pydicom has no types for values
    """The value of an element, None if it is missing, empty or unreadable."""
    try:
        value = ds.get(keyword)
    except UNREADABLE:
        return None
    return None if value is None or (isinstance(value, str | bytes) and not value) else value


def text_of(ds: Dataset, keyword: str, longest: int = 64) -> str:
    """The text of an element, its first value, on one line; at most ``longest`` characters."""
    value = value_of(ds, keyword)
    if value is None or isinstance(value, bytes):
        return ""
    if _is_several(value):
        value = value[0] if len(value) else ""
    return _CONTROL.sub(" ", str(value)[:_LONGEST_TEXT]).strip()[:longest]


def texts_of(ds: Dataset, keyword: str) -> list[str]:
    """All values of an element, as texts."""
    value = value_of(ds, keyword)
    if value is None or isinstance(value, bytes):
        return []
    values = value if _is_several(value) else [value]
    return [_CONTROL.sub(" ", str(one)[:_LONGEST_TEXT]).strip() for one in values]


def person_name_of(ds: Dataset, keyword: str) -> str:
    """A Person Name with its groups (PS3.5 §6.2.1): three groups of 64 characters."""
    return text_of(ds, keyword, longest=3 * 64 + 2)


def integer_of(ds: Dataset, keyword: str) -> int | None:
    """A whole number, None if there is none."""
    number = number_of(ds, keyword)
    return int(number) if number is not None and number == int(number) and abs(number) < 2**53 else None


def number_of(ds: Dataset, keyword: str) -> float | None:
    """A finite number, the first value; None if there is none."""
    numbers = numbers_of(ds, keyword)
    return numbers[0] if numbers else None


def numbers_of(ds: Dataset, keyword: str) -> list[float]:
    """All values as finite numbers; empty if one of them is not."""
    value = value_of(ds, keyword)
    if value is None or isinstance(value, bytes):
        return []
    try:
        numbers = [float(one) for one in (value if _is_several(value) else [value])]
    except (ValueError, TypeError, OverflowError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def words_of(ds: Dataset, keyword: str) -> list[int]:
    """Unsigned 16 bit values of an element that may be US, SS or OW (PS3.5 §6.2, "US or SS").

    Implicit VR does not say which, and pydicom then hands over the bytes.
    """
    value = value_of(ds, keyword)
    if value is None:
        return []
    if isinstance(value, bytes):
        order = "<" if ds.original_encoding[1] in (True, None) else ">"
        return list(struct.unpack(f"{order}{len(value) // 2}H", value[: len(value) // 2 * 2]))
    try:
        return [int(one) & 0xFFFF for one in (value if _is_several(value) else [value])]
    except (ValueError, TypeError):
        return []


def bytes_of(ds: Dataset, keyword: str) -> bytes:
    value = value_of(ds, keyword)
    return value if isinstance(value, bytes) else b""


def items_of(ds: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence; none if it is missing or no sequence."""
    value = value_of(ds, keyword)
    try:
        return [item for item in value or () if isinstance(item, Dataset)]
    except UNREADABLE:
        return []


def date_of(ds: Dataset, keyword: str) -> str | None:
    """YYYY-MM-DD; None if it is no day of the calendar."""
    found = _DATE.match(text_of(ds, keyword))
    if not found:
        return None
    try:
        return date(*map(int, found.groups())).isoformat()
    except ValueError:
        return None


def time_of(ds: Dataset, keyword: str) -> str | None:
    """HH:MM:SS, fractions cut; None if it is no time of day."""
    found = _TIME.match(text_of(ds, keyword))
    if not found:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    if hours > 23 or minutes > 59 or seconds > 60:  # a leap second is 60
        return None
    return f"{hours:02}:{minutes:02}:{min(seconds, 59):02}"


def _is_several(value: Any) -> bool:  # Any: pydicom has no types for values
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
