"""Grayscale softcopy presentation states, read into ``domain.presentations`` (PS3.3 A.33.1)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from appliance.domain.errors import NotDrawable
from appliance.domain.identifiers import InstanceUid, SeriesUid
from appliance.domain.image import DisplayedArea, Graphic, Overlay
from appliance.domain.presentations import (
    Annotation,
    AreaSelection,
    PresentationState,
    ReferencedImage,
    SoftcopyVoi,
    StateOverlay,
)
from appliance.storage import image_module
from appliance.storage.attributes import UNREADABLE, integer_of, items_of, number_of, numbers_of, text_of, value_of
from appliance.storage.image_module import overlay_geometry
from appliance.storage.parsing import Header

GRAYSCALE_SOFTCOPY_PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"

_MOST_TEXT = 1024
_MOST_POINTS = 100_000
_KINDS = {"POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE"}


def presentation_of(header: Header) -> PresentationState:
    """What a state wishes. Raises NotDrawable for other objects, and for wishes that this program cannot fulfil."""
    ds = header.ds
    if text_of(ds, "SOPClassUID") != GRAYSCALE_SOFTCOPY_PRESENTATION_STATE:
        raise NotDrawable("The object is no grayscale softcopy presentation state.", key="no-presentation")
    series = items_of(ds, "ReferencedSeriesSequence")
    about = tuple(one for item in series for one in _about(item))
    uids = tuple(SeriesUid(text_of(item, "SeriesInstanceUID")) for item in series for _ in _about(item))
    table = image_module.modality_lut(ds)
    slope, intercept = number_of(ds, "RescaleSlope"), number_of(ds, "RescaleIntercept")
    has_rescale = table is None and (slope is not None or intercept is not None)
    turns = integer_of(ds, "ImageRotation") or 0
    if turns % 90:
        raise NotDrawable("The presentation state turns images by no multiple of 90 degrees.", key="no-presentation")
    return PresentationState(
        about=about,
        series_uids=uids,
        rescale=(slope or 1.0, intercept or 0.0) if has_rescale else None,
        modality_lut=table,
        voi=tuple(_voi(item) for item in items_of(ds, "SoftcopyVOILUTSequence")),
        presentation_lut=image_module.presentation_lut(ds),
        is_inverse=text_of(ds, "PresentationLUTShape").upper() == "INVERSE",
        shutter=image_module.shutter(ds),
        bitmap_shutter_group=integer_of(ds, "ShutterOverlayGroup"),
        overlays=_overlays(ds),
        areas=tuple(_area(item) for item in items_of(ds, "DisplayedAreaSelectionSequence")),
        quarter_turns=turns // 90 % 4,  # type: ignore[arg-type]  # 0 to 3, which are the literals
        is_mirrored=text_of(ds, "ImageHorizontalFlip").upper() == "Y",
        annotations=tuple(_annotation(item) for item in items_of(ds, "GraphicAnnotationSequence")),
    )


def _about(item: Dataset) -> tuple[ReferencedImage, ...]:
    return tuple(
        ReferencedImage(
            InstanceUid(text_of(image, "ReferencedSOPInstanceUID")),
            tuple(int(number) - 1 for number in numbers_of(image, "ReferencedFrameNumber")),
        )
        for image in items_of(item, "ReferencedImageSequence")
    )


def _voi(item: Dataset) -> SoftcopyVoi:
    return SoftcopyVoi(_about(item), image_module.windows(item), image_module.voi_luts(item))


def _area(item: Dataset) -> AreaSelection:
    """Corners are of pixels, counted from 1, both shown; turned and mirrored ones may come in any order (C.10.4)."""
    first = numbers_of(item, "DisplayedAreaTopLeftHandCorner")
    last = numbers_of(item, "DisplayedAreaBottomRightHandCorner")
    if len(first) != 2 or len(last) != 2:
        raise NotDrawable("A displayed area has no corners.", key="no-presentation")
    left, right = sorted((first[0], last[0]))
    top, bottom = sorted((first[1], last[1]))
    pair = numbers_of(item, "PresentationPixelSpacing") or numbers_of(item, "PresentationPixelAspectRatio")
    ratio = pair[0] / pair[1] if len(pair) == 2 and min(pair) > 0 else 1.0
    magnification = None
    if text_of(item, "PresentationSizeMode").upper() == "MAGNIFY":
        magnification = number_of(item, "PresentationPixelMagnificationRatio")
    area = DisplayedArea(left - 1, top - 1, right - left + 1, bottom - top + 1, ratio, magnification or 1.0)
    return AreaSelection(area, _about(item))


def _overlays(ds: Dataset) -> tuple[StateOverlay, ...]:
    """The groups with an activation layer; bits of the state come along, for they are not in the file of the image."""
    found = []
    for group in range(0x6000, 0x6020, 2):
        if Tag(group, 0x1001) not in ds:
            continue
        geometry = overlay_geometry(ds, group)
        data = _bits(ds, group)
        overlay = None
        if geometry is not None and len(data) * 8 >= geometry.rows * geometry.columns:
            overlay = Overlay(
                geometry.rows, geometry.columns, geometry.first_row, geometry.first_column, bits=data, group=group
            )
        found.append(StateOverlay(group, overlay))
    return tuple(found)


def _bits(ds: Dataset, group: int) -> bytes:
    try:
        value = ds[Tag(group, 0x3000)].value
    except UNREADABLE:
        return b""
    if not isinstance(value, bytes):
        return b""
    is_little = ds.original_encoding[1] in (True, None)
    return value if is_little else np.frombuffer(value[: len(value) // 2 * 2], ">u2").astype("<u2").tobytes()


def _annotation(item: Dataset) -> Annotation:
    graphics = [_graphic(one) for one in items_of(item, "GraphicObjectSequence")]
    texts = [_text(one) for one in items_of(item, "TextObjectSequence")]
    return Annotation(tuple(one for one in (*graphics, *texts) if one is not None), _about(item))


def _graphic(item: Dataset) -> Graphic | None:
    """A figure whose points are pairs of (column, row) (C.10.5.1.2); None where it cannot be drawn."""
    kind, numbers = text_of(item, "GraphicType").upper(), numbers_of(item, "GraphicData")
    points = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    if kind not in _KINDS or not points or len(points) > _MOST_POINTS:
        return None
    return Graphic(
        kind,  # type: ignore[arg-type]  # one of _KINDS, which are the literals
        points,
        is_relative=text_of(item, "GraphicAnnotationUnits").upper() == "DISPLAY",
        is_filled=text_of(item, "GraphicFilled").upper() == "Y",
    )


def _text(item: Dataset) -> Graphic | None:
    text = value_of(item, "UnformattedTextValue")
    corner, end = numbers_of(item, "BoundingBoxTopLeftHandCorner"), numbers_of(item, "BoundingBoxBottomRightHandCorner")
    anchor = numbers_of(item, "AnchorPoint")
    units = text_of(item, "BoundingBoxAnnotationUnits")
    points: tuple[tuple[float, float], ...] = ()
    if len(corner) == len(end) == 2:
        points = ((corner[0], corner[1]), (end[0], end[1]))
    if not points and len(anchor) == 2:
        points = ((anchor[0], anchor[1]),)
        units = text_of(item, "AnchorPointAnnotationUnits")
    if not points or not isinstance(text, str):
        return None
    return Graphic("TEXT", points, is_relative=units.upper() == "DISPLAY", text=text[:_MOST_TEXT])
