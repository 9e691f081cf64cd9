"""Segmentations and structure sets, read into ``domain.outlines`` (PS3.3 C.8.20, C.8.8.5, C.8.8.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom.dataset import Dataset

from appliance.domain.errors import NotDrawable, TooLarge
from appliance.domain.image import ImageDescription
from appliance.domain.outlines import (
    Contour,
    Region,
    Segmentation,
    SegmentFrame,
    StructureSet,
    colour_of_lab,
    outlined,
    usual_colour,
)
from appliance.storage.attributes import integer_of, items_of, numbers_of, text_of, words_of
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import Header
from appliance.storage.stream import Readable

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
_MOST_POINTS = 4_000_000


def segmentation_of(header: Header) -> Segmentation:
    """Raises NotDrawable for other objects."""
    ds = header.ds
    if text_of(ds, "SOPClassUID") not in SEGMENTATIONS:
        raise NotDrawable("The object is no segmentation.", key="no-regions")
    kind = text_of(ds, "SegmentationType").upper()
    is_label_map = kind == "LABELMAP"
    shared = items_of(ds, "SharedFunctionalGroupsSequence")
    of_all = _segment(shared[0]) if shared else None
    return Segmentation(
        tuple(_segments(ds)),
        tuple(
            SegmentFrame(None if is_label_map else _segment(own) or of_all or 1, tuple(_sources(own)))
            for own in items_of(ds, "PerFrameFunctionalGroupsSequence")
        ),
        (integer_of(ds, "MaximumFractionalValue") or 255) if kind == "FRACTIONAL" else None,
    )


def _segments(ds: Dataset) -> Iterator[Region]:
    for place, item in enumerate(items_of(ds, "SegmentSequence")):
        number = integer_of(item, "SegmentNumber")
        if not number:  # 0 is the background of a label map
            continue
        words = words_of(item, "RecommendedDisplayCIELabValue")
        colour = colour_of_lab(words) if len(words) == 3 else usual_colour(place)
        yield Region(number, text_of(item, "SegmentLabel") or str(number), colour)


def _segment(groups: Dataset) -> int | None:
    return next(
        (integer_of(one, "ReferencedSegmentNumber") for one in items_of(groups, "SegmentIdentificationSequence")), None
    )


def _sources(groups: Dataset) -> Iterator[tuple[str, int | None]]:
    for derivation in items_of(groups, "DerivationImageSequence"):
        for source in items_of(derivation, "SourceImageSequence"):
            frames: Sequence[float | None] = numbers_of(source, "ReferencedFrameNumber") or [None]
            for frame in frames:
                yield text_of(source, "ReferencedSOPInstanceUID"), None if frame is None else int(frame)


def outlines_of(
    image: ImageDescription, numbers: Sequence[int | None], maximum: int | None, reader: Readable
) -> tuple[tuple[tuple[int, float, str], ...], ...]:
    """Of each frame of ``image``, whose segments are ``numbers``: (segment, opacity, path). Raises as ``decode_frame`` does."""
    return tuple(
        tuple(outlined(decode_frame(image, index, reader), number, maximum)) for index, number in enumerate(numbers)
    )


def structure_set_of(header: Header) -> StructureSet:
    """Raises NotDrawable for other objects, and TooLarge."""
    ds = header.ds
    if text_of(ds, "SOPClassUID") != STRUCTURE_SET:
        raise NotDrawable("The object is no structure set.", key="no-regions")
    names, spaces = {}, []
    for item in items_of(ds, "StructureSetROISequence"):
        number = integer_of(item, "ROINumber")
        if number is not None:
            names[number] = text_of(item, "ROIName") or str(number)
            spaces.append(text_of(item, "ReferencedFrameOfReferenceUID"))
    contours: list[Contour] = []
    colours: dict[int, str] = {}
    point_count = 0
    for item in items_of(ds, "ROIContourSequence"):
        number = integer_of(item, "ReferencedROINumber")
        if number is None or number not in names:
            continue
        rgb = numbers_of(item, "ROIDisplayColor")
        if len(rgb) == 3 and all(0 <= part <= 255 for part in rgb):
            colours[number] = "#" + "".join(f"{int(part):02x}" for part in rgb)
        for one in items_of(item, "ContourSequence"):
            numbers = numbers_of(one, "ContourData")
            if not numbers or len(numbers) % 3:
                continue
            point_count += len(numbers) // 3
            if point_count > _MOST_POINTS:
                raise TooLarge(f"A structure set of more than {_MOST_POINTS} points", key="too-many-points")
            kind = text_of(one, "ContourGeometricType").upper()
            contours.append(Contour(number, kind, np.asarray(numbers, "<f8").tobytes()))
    regions = (
        Region(number, name, colours.get(number) or usual_colour(place))
        for place, (number, name) in enumerate(names.items())
    )
    return StructureSet(tuple(regions), tuple(contours), next(iter(spaces), ""), tuple(_series(ds)))


def _series(ds: Dataset) -> Iterator[str]:
    for space in items_of(ds, "ReferencedFrameOfReferenceSequence"):
        for study in items_of(space, "RTReferencedStudySequence"):
            for series in items_of(study, "RTReferencedSeriesSequence"):
                yield text_of(series, "SeriesInstanceUID")
