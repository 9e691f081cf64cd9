"""Media types with their parameters, as ``Content-Type`` and ``Accept`` say them (RFC 9110 §8.3, §12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # RFC 9110 §5.6.2, no secret
_TYPE = re.compile(rf"\s*({_TOKEN})/({_TOKEN})\s*")
# A value with a slash, comma or blank must be quoted; clients that write type=application/dicom bare are understood.
_PARAMETER = re.compile(rf';\s*(?:({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;,\s"]*)))?\s*')


@dataclass(frozen=True, slots=True)
class MediaType:
    """``name`` in lower case; parameter names in lower case, values as they are."""

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def covers(self, name: str) -> bool:
        """Whether this, which may be a range (``image/*``), means the media type ``name``."""
        kind, _, sub = self.name.partition("/")
        other_kind, _, other_sub = name.partition("/")
        return kind in ("*", other_kind) and sub in ("*", other_sub)


def media_type(text: str) -> MediaType | None:
    """The media type of a ``Content-Type``; None if it is none."""
    found = next(_media_types(text), None)
    return found if found and "," not in re.sub(r'"[^"]*"', "", text) else None


def accepted(text: str | None) -> tuple[MediaType, ...]:
    """The media types of an ``Accept``, the most wanted first; ``*/*`` without one. What cannot be read is passed over."""
    if text is None or not text.strip():
        return (MediaType("*/*"),)
    found = [one for one in _media_types(text) if _quality(one) > 0]
    return tuple(sorted(found, key=lambda one: -_quality(one)))


def _quality(one: MediaType) -> float:
    try:
        return float(one.parameters.get("q", "1"))
    except ValueError:
        return 0.0


def _media_types(text: str) -> Iterator[MediaType]:
    at = 0
    while at < len(text):
        found = _TYPE.match(text, at)
        if not found:
            at = text.find(",", at) + 1
            if at == 0:
                return
            continue
        at = found.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(text, at):
            at = parameter.end()
            name, quoted, plain = parameter.groups()
            if name:
                value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
                parameters.setdefault(name.lower(), value)
        yield MediaType(f"{found[1]}/{found[2]}".lower(), parameters)
        at = text.find(",", at) + 1 or len(text)
