"""How long each frame of a multi-frame image is shown (PS3.3 C.7.6.5)."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.domain.attributes import Attributes

_RECOMMENDED_DISPLAY_FRAME_RATE = "00082144"
_CINE_RATE = "00180040"
_FRAME_TIME = "00181063"
_FRAME_TIME_VECTOR = "00181065"

USUAL_MS = 100.0
"""Where the file does not say: ten frames a second."""
_SHORTEST_MS = 1.0
_LONGEST_MS = 10_000.0


def frame_durations_ms(attributes: Attributes, frame_indexes: Sequence[int]) -> tuple[float, ...]:
    """Milliseconds of each of ``frame_indexes``, counted from 0.

    The rate that is recommended for display comes first, then what was measured, then the rate of the cine module.

    References: PS3.3 C.7.6.5.1 (Cine), C.7.6.5.1.2 (Frame Time Vector: the increment before each frame).
    """
    rate = attributes.number(_RECOMMENDED_DISPLAY_FRAME_RATE)
    if rate and rate > 0:
        return (_bounded(1000 / rate),) * len(frame_indexes)
    increments = attributes.numbers(_FRAME_TIME_VECTOR)
    if len(increments) > max(frame_indexes):
        # A frame is shown until the next one comes; the last one as long as the one before it.
        until_next = (*increments[1:], increments[-1])
        return tuple(_bounded(until_next[index]) for index in frame_indexes)
    time_ms, cine_rate = attributes.number(_FRAME_TIME), attributes.number(_CINE_RATE)
    if time_ms and time_ms > 0:
        return (_bounded(time_ms),) * len(frame_indexes)
    if cine_rate and cine_rate > 0:
        return (_bounded(1000 / cine_rate),) * len(frame_indexes)
    return (USUAL_MS,) * len(frame_indexes)


def _bounded(duration_ms: float) -> float:
    return min(max(duration_ms, _SHORTEST_MS), _LONGEST_MS)
