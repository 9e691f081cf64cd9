"""Attributes of an instance, read from its DICOM JSON model (PS3.18 F.2) where only a few of them are of interest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.domain.attribute_matching import Wanted, matching_frames

_LONGEST_TEXT = 128


class Attributes:
    """Those of the data set itself, by tag: ``00100010``. What is absent, empty or of another kind is nothing."""

    def __init__(self, model: Mapping[str, Any]) -> None:  # Any: JSON
        self._model = model

    def text(self, tag: str) -> str:
        """The first value in one line, a name as it is written in DICOM; empty where there is none."""
        for value in self._values(tag):
            if isinstance(value, Mapping):
                value = next((group for group in value.values() if isinstance(group, str) and group), "")  # noqa: PLW2901
            one_line = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
            return one_line[:_LONGEST_TEXT]
        return ""

    def numbers(self, tag: str) -> tuple[float, ...]:
        """The values, as far as they are finite numbers."""
        found = []
        for value in self._values(tag):
            try:
                number = float(value)
            except (TypeError, ValueError):
                continue
            if abs(number) < float("inf"):
                found.append(number)
        return tuple(found)

    def number(self, tag: str) -> float | None:
        """The first of ``numbers``."""
        return next(iter(self.numbers(tag)), None)

    def has(self, tag: str) -> bool:
        """Whether it has a value or an item."""
        return bool(self._values(tag))

    def items(self, tag: str) -> tuple[Attributes, ...]:
        """Those of each item of a sequence."""
        return tuple(Attributes(item) for item in self._values(tag) if isinstance(item, Mapping))

    def matching_frames(self, frame_count: int, wanted: Sequence[Wanted]) -> tuple[int, ...]:
        """Frames, counted from 0, whose attributes are as ``wanted``; of those of the data set itself they are all frames'."""
        return matching_frames(self._model, frame_count, wanted)

    def _values(self, tag: str) -> list[Any]:
        element = self._model.get(tag)
        values = element.get("Value") if isinstance(element, Mapping) else None
        return [value for value in values if value is not None] if isinstance(values, list) else []
