"""How large a picture may be while the camera moves, so that it comes in time: learned from those that were drawn before."""

from __future__ import annotations

import math

from appliance.domain.views import RenderingMethod, VolumeView

_BUDGET_MS = 70.0
"""For drawing while the camera moves: with reading back, encoding and the line, about ten pictures a second."""
_FEWEST_PIXELS = 96 * 96
_FIRST_GUESS_MS_PER_PIXEL = 250.0 / (256 * 256)
"""What the dearest preset, lung, takes on two cores: the first picture of a kind is rather small than late."""
_FORGETTING = 0.5
"""Weight of the newest picture in what a pixel is held to cost, where it was cheaper than that."""


class Pace:
    """What a pixel costs, for each kind of picture by itself: haze takes several times as long as bone. For one thread."""

    def __init__(self) -> None:
        self._ms_per_pixel: dict[tuple[RenderingMethod, str | None], float] = {}

    def size(self, view: VolumeView) -> tuple[int, int]:
        """The size that is asked for; while the camera moves as much of it as the budget of time allows."""
        width, height = view.size
        if not view.interactive:
            return view.size
        pixels = _BUDGET_MS / self._ms_per_pixel.get(_kind(view), _FIRST_GUESS_MS_PER_PIXEL)
        share = math.sqrt(max(pixels, _FEWEST_PIXELS) / (width * height))
        # In steps of an eighth of an octave: a new size needs a new frame buffer, and the picture must not tremble.
        share = min(1.0, 2 ** (math.floor(math.log2(share) * 8) / 8))
        return max(1, round(width * share)), max(1, round(height * share))

    def learn(self, view: VolumeView, pixels: int, took_ms: float) -> None:
        """A picture of so many pixels took so long."""
        newest = took_ms / pixels
        # What became dearer, nearer by or of another volume, is believed at once: the next picture is to be in time.
        before = self._ms_per_pixel.get(_kind(view), newest)
        self._ms_per_pixel[_kind(view)] = max(newest, (1 - _FORGETTING) * before + _FORGETTING * newest)


def _kind(view: VolumeView) -> tuple[RenderingMethod, str | None]:
    return view.method, view.preset if view.method is RenderingMethod.VOLUME_RENDERED else None
