"""What somebody measured or marked in a picture, and an institution keeps.

Only what was drawn is kept, never a number that follows from it: numbers come from the pixels and the header each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from appliance.domain.errors import BadRequest
from appliance.domain.identifiers import InstanceUid, MeasurementId, SeriesUid, StudyUid
from appliance.domain.measuring import Kind, Point, check_points
from appliance.domain.reports import Writer

LONGEST_TEXT = 500
"""Characters. Unformatted Text Value has at most 1,024 (PS3.5 §6.2, ST)."""
_LONGEST_MM = 10_000.0
_MOST_FRAMES = 2**31 - 1
"""Number of Frames is an IS (PS3.5 §6.2)."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn, and where."""

    study_uid: StudyUid
    series_uid: SeriesUid
    instance_uid: InstanceUid
    frame: int
    """Counted from 1."""
    kind: Kind
    points: tuple[Point, ...]
    text: str = ""
    """Of a text what it says, of anything else what it is called."""
    length_mm: float | None = None
    """Of a calibration: how far its points are apart."""

    def check(self) -> None:
        """Returns if it can be drawn. Raises BadRequest, naming what is wrong."""
        if not 1 <= self.frame <= _MOST_FRAMES:
            raise BadRequest("Frames are counted from 1", parameter="frame")
        check_points(self.kind, self.points)
        if len(self.text) > LONGEST_TEXT:
            raise BadRequest(f"text has more than {LONGEST_TEXT} characters", parameter="text")
        if not self.text.replace("\n", "").isprintable():
            raise BadRequest("text has something that cannot be written", parameter="text")
        if self.kind is Kind.TEXT and not self.text.strip():
            raise BadRequest("A text that says nothing is none", parameter="text")
        if (self.length_mm is not None) is not (self.kind is Kind.CALIBRATION):
            raise BadRequest("A calibration has a length, and nothing else has one", parameter="length_mm")
        if self.length_mm is not None:
            is_length = math.isfinite(self.length_mm) and 0 < self.length_mm <= _LONGEST_MM
            if not is_length or self.points[0] == self.points[1]:
                raise BadRequest(f"A calibration has a length above 0 and to {_LONGEST_MM:g} mm", parameter="length_mm")

    def is_at_same_place(self, other: Drawn) -> bool:
        """Whether it is of the same kind and in the same picture: it may be moved there, and not elsewhere."""
        mine = (self.study_uid, self.series_uid, self.instance_uid, self.frame, self.kind)
        return mine == (other.study_uid, other.series_uid, other.instance_uid, other.frame, other.kind)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is kept."""

    id: MeasurementId
    drawn: Drawn
    revision: int
    """1, and one more with each change."""
    author: Writer
    created_at: datetime
    changed_at: datetime

    @property
    def tag(self) -> str:
        """Another one after each change."""
        return str(self.revision)
