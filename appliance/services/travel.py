"""Which way viewers go through their series, and what lies ahead of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import StoredImage

_MOST_VIEWERS = 1000
_LONGEST_STEP = 8
"""Slices from one request to the next of somebody who scrolls; further is a jump, which has no direction."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame is in its series."""

    series_uid: SeriesUid
    position: int
    count: int
    at: Callable[[int], tuple[StoredImage, int]]
    """The image and frame index at a position."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """Positions that a viewer will want, the next first."""

    positions: tuple[int, ...]
    anew: bool
    """Whether he turned round, jumped or came from elsewhere, so that nothing of what was ahead is."""


@dataclass(slots=True)
class _Way:
    series_uid: SeriesUid
    position: int
    direction: int = 0
    reached: int = 0
    """The farthest position that was told to be ahead."""


class Travel:
    """Told of every slice that is asked for. Not for several threads."""

    def __init__(self, frames_ahead: int) -> None:
        self._frames_ahead = frames_ahead
        self._ways: OrderedDict[str, _Way] = OrderedDict()

    def ahead(self, viewer: str, series_uid: SeriesUid, position: int, count: int) -> Ahead | None:
        """What is ahead of ``viewer``, now at ``position`` of ``count``, and was not told before; None if nothing is."""
        way = self._ways.pop(viewer, None)
        if way is None or way.series_uid != series_uid:
            self._remember(viewer, _Way(series_uid, position))
            return Ahead((), anew=True) if way is not None and way.direction else None
        self._remember(viewer, way)
        step, way.position = position - way.position, position
        if step == 0:
            return None
        direction = (step > 0) - (step < 0) if abs(step) <= _LONGEST_STEP else 0
        anew = direction != way.direction
        way.direction = direction
        if direction == 0:
            return Ahead((), anew=True) if anew else None
        first = (
            position + direction if anew else max(position * direction, way.reached * direction) * direction + direction
        )
        way.reached = position + direction * self._frames_ahead
        positions = tuple(at for at in range(first, way.reached + direction, direction) if 0 <= at < count)
        return Ahead(positions, anew) if positions or anew else None

    def _remember(self, viewer: str, way: _Way) -> None:
        self._ways[viewer] = way
        if len(self._ways) > _MOST_VIEWERS:
            self._ways.popitem(last=False)
