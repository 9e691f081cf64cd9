"""Frame numbers as addresses list them (PS3.18 §10.4.1.1.6)."""

from __future__ import annotations

import re

from appliance.domain.errors import BadRequest

_MOST_FRAMES = 10_000


def frame_numbers(text: str) -> list[int]:
    """``1,5,7``, counted from 1, in the order that is asked for. Raises BadRequest."""
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text) or text.count(",") >= _MOST_FRAMES:
        raise BadRequest(f"At most {_MOST_FRAMES} frame numbers, divided by commas", parameter="frames")
    numbers = [int(one) for one in text.split(",")]
    if 0 in numbers:
        raise BadRequest("Frames count from 1", parameter="frames")
    return numbers
