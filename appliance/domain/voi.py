"""The ways in which a file wants a frame to be seen: windows and VOI LUTs, of which one at a time is applied (PS3.3 C.11.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from appliance.domain.errors import NotDrawable
from appliance.domain.image import ImageDescription, LookUpTable, Window

Voi = Window | LookUpTable
"""What makes grey of values after the modality LUT."""


@dataclass(frozen=True, slots=True)
class VoiChoice:
    """One of them, by its place in the file: in another frame the same place may hold another window."""

    kind: Literal["window", "lut"]
    index: int
    """Among those of its kind, counted from 0."""


def window_over(voi: Voi) -> Window:
    """A window itself; of a VOI LUT one over all values that it tells apart, for what can only be seen through a window."""
    if isinstance(voi, Window):
        return voi
    entries = len(voi.values) // 2
    return Window(voi.first_mapped + entries / 2, float(entries), "linear-exact")


def luts_of(image: ImageDescription, frame_index: int) -> tuple[LookUpTable, ...]:
    """The VOI LUTs of a frame."""
    places = image.frames[frame_index].voi_luts
    return image.voi_luts if places is None else tuple(image.voi_luts[place] for place in places)


def choices_of(image: ImageDescription, frame_index: int) -> tuple[tuple[VoiChoice, Voi], ...]:
    """All that the file has for a frame, windows first, each in its order; nothing of colours."""
    if image.is_colour:
        return ()
    windows, luts = image.frames[frame_index].windows, luts_of(image, frame_index)
    return (
        *((VoiChoice("window", index), window) for index, window in enumerate(windows)),
        *((VoiChoice("lut", index), lut) for index, lut in enumerate(luts)),
    )


def voi_of(image: ImageDescription, frame_index: int, choice: VoiChoice) -> Voi:
    """What ``choice`` is of a frame. Raises NotDrawable where the file has not as many."""
    held: tuple[Voi, ...] = (
        image.frames[frame_index].windows if choice.kind == "window" else luts_of(image, frame_index)
    )
    if choice.index >= len(held):
        name = "window" if choice.kind == "window" else "VOI LUT"
        raise NotDrawable(f"The frame has no {name} {choice.index + 1}: it has {len(held)}.", key="no-such-voi")
    return held[choice.index]
