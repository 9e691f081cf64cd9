"""Presentation states: how somebody wished images to be shown, as a change of their descriptions.

A softcopy presentation state does not add to what an image says of its grey scale, it replaces it: where the state has no
modality LUT the stored values are meant, and where it has no VOI LUT all of their range (PS3.4 N.2.1). Overlays of the image
are shown if the state activates their group.

References: PS3.3 A.33.1 (grayscale softcopy presentation state), C.11.8 (softcopy VOI LUT), C.11.6 (softcopy presentation
LUT), C.10.4 (displayed area), C.10.6 (spatial transformation), C.10.5 (graphic annotation).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from appliance.domain.errors import NotDrawable
from appliance.domain.identifiers import InstanceUid, SeriesUid
from appliance.domain.image import (
    DisplayedArea,
    FrameDescription,
    Graphic,
    ImageDescription,
    LookUpTable,
    Overlay,
    PixelFormat,
    Shutter,
    Window,
)


@dataclass(frozen=True, slots=True)
class ReferencedImage:
    """An image that a state, or a part of it, is about."""

    instance_uid: InstanceUid
    frame_indices: tuple[int, ...] = ()
    """Counted from 0; empty for all."""

    def is_about(self, instance_uid: InstanceUid, frame_index: int) -> bool:
        return self.instance_uid == instance_uid and (not self.frame_indices or frame_index in self.frame_indices)


@dataclass(frozen=True, slots=True)
class SoftcopyVoi:
    """One item of the Softcopy VOI LUT Sequence."""

    about: tuple[ReferencedImage, ...] = ()
    """Empty for all that the state is about; so below."""
    windows: tuple[Window, ...] = ()
    luts: tuple[LookUpTable, ...] = ()


@dataclass(frozen=True, slots=True)
class AreaSelection:
    """One item of the Displayed Area Selection Sequence."""

    area: DisplayedArea
    about: tuple[ReferencedImage, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotation:
    """One item of the Graphic Annotation Sequence."""

    graphics: tuple[Graphic, ...]
    about: tuple[ReferencedImage, ...] = ()


@dataclass(frozen=True, slots=True)
class StateOverlay:
    """An overlay group that the state activates; with bits of its own, or with those of the image."""

    group: int
    overlay: Overlay | None = None


@dataclass(frozen=True, slots=True)
class PresentationState:
    """A grayscale softcopy presentation state."""

    about: tuple[ReferencedImage, ...]
    series_uids: tuple[SeriesUid, ...] = ()
    """Of each of ``about``."""
    rescale: tuple[float, float] | None = None
    """Slope and intercept."""
    modality_lut: LookUpTable | None = None
    voi: tuple[SoftcopyVoi, ...] = ()
    presentation_lut: LookUpTable | None = None
    is_inverse: bool = False
    shutter: Shutter | None = None
    bitmap_shutter_group: int | None = None
    overlays: tuple[StateOverlay, ...] = ()
    areas: tuple[AreaSelection, ...] = ()
    quarter_turns: Literal[0, 1, 2, 3] = 0
    """Clockwise, before mirroring."""
    is_mirrored: bool = False
    annotations: tuple[Annotation, ...] = ()


def presented_as(image: ImageDescription, frame_index: int, state: PresentationState) -> ImageDescription:
    """``image``, whose frame ``frame_index`` is to be drawn as ``state`` wishes; the other frames are not to be drawn.

    Raises NotDrawable where the state is not about that frame, or the image is in colour and the state is of grey.
    """
    uid = image.instance_uid
    if not 0 <= frame_index < len(image.frames):
        raise NotDrawable(f"The image has {len(image.frames)} frames.", key="no-such-frame")
    if not any(one.is_about(uid, frame_index) for one in state.about):
        raise NotDrawable("The presentation state is about other images.", key="not-presented")
    if image.is_colour:
        raise NotDrawable("A grayscale presentation state is not for images in colour.", key="not-presented")
    frame = image.frames[frame_index]
    slope, intercept = state.rescale or (1.0, 0.0)
    voi = next((one for one in state.voi if _is_about(one.about, uid, frame_index)), SoftcopyVoi())
    windows, luts = voi.windows, voi.luts
    if not windows and not luts:
        windows = (_whole_range(image.pixel_format, state.modality_lut, slope, intercept),)
    area = next((one.area for one in state.areas if _is_about(one.about, uid, frame_index)), None)
    graphics = tuple(
        graphic for one in state.annotations if _is_about(one.about, uid, frame_index) for graphic in one.graphics
    )
    frame = replace(
        frame,
        rescale_slope=slope,
        rescale_intercept=intercept,
        windows=windows,
        overlays=_overlays(frame, state),
        shutter=_shutter(frame, state),
        voi_luts=None,
    )
    return replace(
        image,
        frames=(*image.frames[:frame_index], frame, *image.frames[frame_index + 1 :]),
        # What MONOCHROME1 says of the image, the state says for itself (PS3.3 C.11.6).
        pixel_format=replace(image.pixel_format, photometric_interpretation="MONOCHROME2"),
        modality_lut=state.modality_lut,
        voi_luts=luts,
        presentation_lut=state.presentation_lut,
        presentation_inverse=state.is_inverse,
        pixel_aspect_ratio=image.pixel_aspect_ratio if area is None else area.pixel_aspect_ratio,
        displayed_area=area,
        quarter_turns=state.quarter_turns,
        is_mirrored=state.is_mirrored,
        graphics=graphics,
    )


def _is_about(about: tuple[ReferencedImage, ...], instance_uid: InstanceUid, frame_index: int) -> bool:
    return not about or any(one.is_about(instance_uid, frame_index) for one in about)


def _whole_range(form: PixelFormat, table: LookUpTable | None, slope: float, intercept: float) -> Window:
    """All that the modality LUT can give: the identity of a VOI LUT."""
    if table is not None:
        low, high = 0.0, float((1 << table.bits) - 1)
    else:
        least = -(1 << (form.bits_stored - 1)) if form.is_signed else 0
        ends = sorted((least * slope + intercept, (least + (1 << form.bits_stored) - 1) * slope + intercept))
        low, high = ends
    return Window((low + high) / 2, max(high - low, 1.0), "linear-exact")


def _overlays(frame: FrameDescription, state: PresentationState) -> tuple[Overlay, ...]:
    shown = []
    for one in state.overlays:
        if one.group == state.bitmap_shutter_group:
            continue
        if one.overlay is not None:  # bits of the state take the place of those of the image (PS3.3 C.11.7)
            shown.append(one.overlay)
        else:
            shown.extend(overlay for overlay in _held(frame) if overlay.group == one.group)
    return tuple(shown)


def _held(frame: FrameDescription) -> tuple[Overlay, ...]:
    """All overlays of the image's own, also the one that is its shutter while no state says otherwise."""
    bitmap = frame.shutter.bitmap if frame.shutter else None
    return frame.overlays if bitmap is None else (*frame.overlays, bitmap)


def _shutter(frame: FrameDescription, state: PresentationState) -> Shutter | None:
    if state.bitmap_shutter_group is None:
        return state.shutter
    own = [one.overlay for one in state.overlays if one.group == state.bitmap_shutter_group and one.overlay is not None]
    of_image = [overlay for overlay in _held(frame) if overlay.group == state.bitmap_shutter_group]
    bitmap = next(iter((*own, *of_image)), None)
    if bitmap is None:
        return state.shutter
    return replace(state.shutter or Shutter(), bitmap=bitmap)
