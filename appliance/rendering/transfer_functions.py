"""Which values of a volume are seen, in which colour and how dense: presets as data, tables for the shader.

``transfer_functions.json`` holds the presets. ``points`` are (value, red, green, blue, opacity of one millimetre); between
them everything runs straight, before the first nothing is seen. ``of`` says what a value is: Hounsfield units, or the part
of a window (0 its lower, 1 its upper end) for pictures whose numbers mean nothing by themselves. ``window`` is the part of
the values that a viewer's window, if there is one, is laid over; ``light`` is ambient, diffuse, specular and the exponent of
the gloss.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.image import Window
from appliance.domain.views import VolumeView

ENTRIES = 4096
"""Of a table."""
_REFERENCE_MM = 1.0
"""The length of ray whose opacity a preset tells."""


@dataclass(frozen=True, slots=True)
class TransferFunction:
    """A preset, over values after the modality LUT or over a window."""

    name: str
    is_of_hounsfield: bool
    window: tuple[float, float]
    light: tuple[float, float, float, float]
    points: tuple[tuple[float, float, float, float, float], ...]

    def over(self, window: Window | None) -> TransferFunction:
        """This preset with its own window laid over ``window``; itself for None."""
        if window is None:
            return self
        low, high = self.window
        stretch = window.width / (high - low)
        first = window.center - window.width / 2
        points = tuple((first + (value - low) * stretch, *rest) for value, *rest in self.points)
        return TransferFunction(self.name, self.is_of_hounsfield, self.window, self.light, points)  # type: ignore[arg-type]

    @property
    def ends(self) -> tuple[float, float]:
        """The first and the last value that it tells apart."""
        return self.points[0][0], self.points[-1][0]

    def table(self, step_mm: float) -> NDArray[np.float32]:
        """(ENTRIES, 4): red, green, blue and the opacity of a step of ``step_mm``, from the first to the last value."""
        values, *channels = np.array(self.points).T
        at = np.linspace(values[0], values[-1], ENTRIES)
        table = np.stack([np.interp(at, values, channel) for channel in channels], axis=-1)
        # Beer-Lambert: what shines through a step is what shines through a millimetre to the power of the length.
        table[:, 3] = 1 - (1 - np.minimum(table[:, 3], 0.9999)) ** (step_mm / _REFERENCE_MM)
        return table.astype(np.float32)


def transfer_function_of(view: VolumeView, modality: str, usual: Window) -> TransferFunction:
    """What ``view`` asks for: its own points and light, or those of a preset. Raises as ``transfer_function`` does."""
    if view.points:
        usual_light = _presets()[usual_preset(modality)].light
        values = [point[0] for point in view.points]
        made = TransferFunction("", modality == "CT", (min(values), max(values)), usual_light, view.points)
        made = made.over(view.window)
    else:
        made = transfer_function(view.preset, modality, view.window, usual)
    return replace(made, light=view.light) if view.light else made


def transfer_function(name: str | None, modality: str, window: Window | None, usual: Window) -> TransferFunction:
    """The preset ``name``, or the usual one of the modality, laid over ``window`` if the viewer has set one.

    ``usual`` is the window of a volume whose numbers mean nothing by themselves. Raises NotDrawable for a preset that is
    not there or does not suit the modality.
    """
    chosen = name or usual_preset(modality)
    known = _presets()
    if chosen not in known:
        raise NotDrawable(f"There is no preset {chosen!r}; there are {', '.join(known)}.", key="unknown-preset")
    preset = known[chosen]
    if preset.is_of_hounsfield and modality != "CT":
        raise NotDrawable(f"The preset {chosen!r} is for CT only.", key="preset-not-of-modality")
    return preset.over(window or (None if preset.is_of_hounsfield else usual))


def presets() -> tuple[TransferFunction, ...]:
    """All of them, as they are without a window."""
    return tuple(_presets().values())


def suitable_presets(modality: str) -> tuple[str, ...]:
    """Names of the presets for a modality, the usual one first."""
    suitable = [name for name, preset in _presets().items() if modality == "CT" or not preset.is_of_hounsfield]
    return tuple(sorted(suitable, key=lambda name: name != usual_preset(modality)))


def usual_preset(modality: str) -> str:
    return "bone" if modality == "CT" else "mr"


@cache
def _presets() -> dict[str, TransferFunction]:
    text = (resources.files("appliance.rendering") / "transfer_functions.json").read_text(encoding="utf-8")
    return {
        name: TransferFunction(
            name,
            preset["of"] == "HU",
            tuple(preset["window"]),
            tuple(preset["light"]),
            tuple(tuple(point) for point in preset["points"]),
        )
        for name, preset in json.loads(text).items()
    }
