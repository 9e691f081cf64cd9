"""What is looked for among the studies, series and instances that are held (PS3.18 §8.3.4, §10.6; PS3.4 C.2.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from appliance.domain.identifiers import SeriesUid, StudyUid


class Level(IntEnum):
    STUDY = 0
    SERIES = 1
    INSTANCE = 2


@dataclass(frozen=True, slots=True)
class Filter:
    """An attribute and what it must match, both as they were written."""

    name: str
    """Keyword or eight hexadecimal digits; in a sequence the names joined by dots."""
    value: str


@dataclass(frozen=True, slots=True)
class Search:
    level: Level
    filters: tuple[Filter, ...] = ()
    study_uid: StudyUid | None = None
    """Only in this study."""
    series_uid: SeriesUid | None = None
    """Only in this series of the study."""
    is_fuzzy: bool = False
    """Names match by the beginnings of their words, in any order."""
    include: tuple[str, ...] = ()
    """Attributes to be returned beside the usual ones; ``all`` is one of them."""
    limit: int | None = None
    offset: int = 0
    is_released_only: bool = False
    """Without the studies that wait for their patient."""


@dataclass(frozen=True, slots=True)
class Match:
    """One result."""

    uids: tuple[str, ...]
    """Of the study, the series in it and the instance in that, as far as the level goes."""
    attributes: Mapping[str, Mapping[str, Any]]  # Any: values of the DICOM JSON model


@dataclass(frozen=True, slots=True)
class Matches:
    """One page of results."""

    results: tuple[Match, ...]
    remaining: int = 0
    """How many more there are behind this page, as far as they were counted (``storage.queries.MOST_COUNTED`` and one)."""
    not_matched: tuple[str, ...] = ()
    """Attributes that were asked to match and cannot be; they were passed over."""
