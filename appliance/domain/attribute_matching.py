"""Frames of an instance whose attributes are as a request says (PS3.18 §8.3.4.1, PS3.4 C.2.2.2).

An attribute of an enhanced multi-frame image stands in the data set itself, in the functional groups that all frames share, or
in those of one frame (PS3.3 C.7.6.16); wherever it stands it is that of the frame.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SHARED_GROUPS, _FRAME_GROUPS = "52009229", "52009230"
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_NUMBER_RANGE = re.compile(rf"({_NUMBER})?-({_NUMBER})?")
_NUMERIC = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_DATES = frozenset({"DA", "DT", "TM"})

Json = Mapping[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attribute, by its tag in eight hexadecimal digits, and the values of it that are wanted.

    Of numbers and dates a value may be a range, ``140-260``; of texts it may have the wildcards ``*`` and ``?``.
    """

    tag: str
    values: tuple[str, ...]


def matching_frames(model: Json, frame_count: int, wanted: Sequence[Wanted]) -> tuple[int, ...]:
    """The frames, counted from 0, that match all of ``wanted``; ``model`` is DICOM JSON (PS3.18 F.2)."""
    return tuple(
        frame for frame in range(frame_count) if all(_matches(_elements(model, frame, one.tag), one) for one in wanted)
    )


def _elements(model: Json, frame: int, tag: str) -> Iterator[Json]:
    """The element wherever it stands."""
    yield from _own(model, tag)
    for groups, index in ((_SHARED_GROUPS, 0), (_FRAME_GROUPS, frame)):
        items = _items(model.get(groups))
        if index < len(items):
            yield from _own(items[index], tag)
            for macro in items[index].values():
                for item in _items(macro):
                    yield from _own(item, tag)


def _own(item: Json, tag: str) -> Iterator[Json]:
    element = item.get(tag)
    if isinstance(element, Mapping):
        yield element


def _items(element: object) -> list[Json]:
    values = element.get("Value") if isinstance(element, Mapping) else None
    return [item for item in values if isinstance(item, Mapping)] if isinstance(values, list) else []


def _matches(elements: Iterable[Json], wanted: Wanted) -> bool:
    return any(
        _is_as_wanted(str(element.get("vr")), value, text)
        for element in elements
        for value in element.get("Value") or ()
        for text in wanted.values
    )


def _is_as_wanted(vr: str, value: object, text: str) -> bool:
    if vr in _NUMERIC:
        return _is_number_in(value, text)
    if isinstance(value, Mapping):  # a name, in its groups
        return any(_is_text_like(group, text) for group in value.values())
    if vr in _DATES and "-" in text:
        first, _, last = text.partition("-")
        # A last day or minute holds all that begins with it.
        return first <= str(value) and (not last or str(value)[: len(last)] <= last)
    return _is_text_like(value, text)


def _is_number_in(value: object, text: str) -> bool:
    try:
        number = float(str(value))
        found = _NUMBER_RANGE.fullmatch(text)
        if found is None:
            return number == float(text)
    except ValueError:
        return False
    least, most = (float(end) if end else None for end in found.groups())
    return (least is None or least <= number) and (most is None or number <= most)


def _is_text_like(value: object, text: str) -> bool:
    # Brackets are no wildcards in DICOM.
    return fnmatch.fnmatchcase(str(value).strip(), text.replace("[", "[[]"))
