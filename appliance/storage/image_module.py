"""The attributes of an image as a description that can be drawn from (PS3.3 C.7.6, C.8, C.11)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from appliance.domain.errors import NotDrawable
from appliance.domain.image import FramePlane, LookUpTable, LossyStep, Overlay, PixelFormat, PixelKind, Shutter, Window
from appliance.storage.attributes import (
    UNREADABLE,
    bytes_of,
    integer_of,
    items_of,
    number_of,
    numbers_of,
    text_of,
    texts_of,
    value_of,
    words_of,
)

_PHOTOMETRICS: dict[str, int] = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_PARTIAL_422": 3,
    "YBR_PARTIAL_420": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
    "XYB": 3,
}
"""Samples per pixel of every photometric interpretation that is drawn (PS3.3 C.7.6.3.1.2)."""
_BITS: dict[PixelKind, tuple[int, ...]] = {"integer": (1, 8, 16, 32), "float": (32,), "double": (64,)}
_FUNCTIONS: dict[str, Literal["linear", "linear-exact", "sigmoid"]] = {
    "": "linear",
    "LINEAR": "linear",
    "LINEAR_EXACT": "linear-exact",
    "SIGMOID": "sigmoid",
}
_DIRECTION = re.compile(r"[ALPRFH]{1,3}")
_SIDES = {"R", "L", "U", "B"}
_MOST_TABLE_ENTRIES = 65536
_SQUARE_TOLERANCE = 0.01
"""Direction cosines of a header are rounded; beyond this they are not perpendicular and mean nothing."""


@dataclass(frozen=True, slots=True)
class FrameAttributes:
    """What may differ from frame to frame."""

    plane: FramePlane
    rescale_slope: float
    rescale_intercept: float
    windows: tuple[Window, ...]
    shutter: Shutter | None = None
    voi_luts: tuple[LookUpTable, ...] = ()
    """Of its functional groups; those of the data set are for all frames."""


def pixel_format(ds: Dataset, kind: PixelKind) -> PixelFormat:
    """How pixels are stored. Raises NotDrawable, naming the attribute, where that contradicts itself."""
    rows, columns = _side(ds, "Rows"), _side(ds, "Columns")
    samples = _integer_or(ds, "SamplesPerPixel", 1)
    photometric = text_of(ds, "PhotometricInterpretation").upper() or ("MONOCHROME2" if samples == 1 else "")
    if _PHOTOMETRICS.get(photometric) != samples:
        raise _contradiction(
            "PhotometricInterpretation", f"{photometric or 'nothing'} with {samples} samples per pixel"
        )
    allocated = _integer_or(ds, "BitsAllocated", {"integer": None, "float": 32, "double": 64}[kind])
    if allocated not in _BITS[kind]:
        raise _contradiction("BitsAllocated", f"{allocated}")
    stored = _integer_or(ds, "BitsStored", allocated) if kind == "integer" else allocated
    if not 1 <= stored <= allocated:
        raise _contradiction("BitsStored", f"{stored} of {allocated}")
    high_bit = integer_of(ds, "HighBit")
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1  # the standard knows no other since 2006
    is_signed = kind == "integer" and integer_of(ds, "PixelRepresentation") == 1
    return PixelFormat(
        rows,
        columns,
        samples,
        allocated,
        stored,
        high_bit,
        is_signed,
        photometric,
        integer_of(ds, "PlanarConfiguration") or 0,
        kind,
        _padding(ds, stored, is_signed) if kind == "integer" else None,
    )


def frame_attributes(ds: Dataset, frame_count: int) -> list[FrameAttributes]:
    """Plane, rescale and windows of each frame: of its functional groups (C.7.6.16), or of the data set for all."""
    shared = next(iter(items_of(ds, "SharedFunctionalGroupsSequence")), Dataset())
    per_frame = items_of(ds, "PerFrameFunctionalGroupsSequence")
    if not per_frame and not len(shared):
        return _of_data_set(ds, frame_count)
    if len(per_frame) < frame_count:
        per_frame = [*per_frame, *[Dataset()] * (frame_count - len(per_frame))]
    attributes = [_of_groups(ds, shared, own) for own in per_frame[:frame_count]]
    return _with_own_luts(attributes, shared, per_frame)


def _with_own_luts(
    attributes: Sequence[FrameAttributes], shared: Dataset, per_frame: Sequence[Dataset]
) -> list[FrameAttributes]:
    """Each with the tables of its Frame VOI LUT With LUT Macro (C.7.6.16.2.10b); those of the shared group are read once."""
    of_all = [table for item in items_of(shared, "FrameVOILUTSequence") for table in voi_luts(item)]
    with_luts = []
    for one, own in zip(attributes, per_frame, strict=False):
        items = items_of(own, "FrameVOILUTSequence")
        tables = [table for item in items for table in voi_luts(item)] if items else of_all
        with_luts.append(replace(one, voi_luts=tuple(tables)))
    return with_luts


def pixel_aspect_ratio(ds: Dataset, plane: FramePlane) -> float:
    """Height of a pixel over its width (C.7.6.3.1.7); 1 where nothing says."""
    if plane.pixel_spacing_mm:
        return plane.pixel_spacing_mm[0] / plane.pixel_spacing_mm[1]
    for keyword in ("ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        pair = numbers_of(ds, keyword)
        if len(pair) == 2 and min(pair) > 0:
            return pair[0] / pair[1]
    return 1.0


def patient_orientation(ds: Dataset) -> tuple[str, str] | None:
    """Where rows and columns go, in letters (C.7.6.1.1.1); None where that is not said in letters for people."""
    letters = tuple(text.upper() for text in texts_of(ds, "PatientOrientation"))
    if len(letters) != 2 or not all(_DIRECTION.fullmatch(each) for each in letters):
        return None
    return letters[0], letters[1]


def laterality(ds: Dataset) -> str:
    """Which side: of the image (C.8.11.7, C.8.4.8), else of its series (C.7.3.1); empty where neither says."""
    said = (text_of(ds, keyword).upper() for keyword in ("ImageLaterality", "Laterality"))
    return next((side for side in said if side in _SIDES), "")


def lossy_steps(ds: Dataset) -> tuple[LossyStep, ...]:
    """What was lost in coding: each step has a value of Method and one of Ratio (C.7.6.1.1.5). A ratio below 1 says nothing."""
    methods, ratios = texts_of(ds, "LossyImageCompressionMethod"), numbers_of(ds, "LossyImageCompressionRatio")
    told = [
        (method, ratio if ratio is not None and ratio >= 1 else None) for method, ratio in zip_longest(methods, ratios)
    ]
    return tuple(LossyStep(method or "", ratio) for method, ratio in told if method or ratio is not None)


def value_unit(ds: Dataset, modality: str) -> str:
    """Rescale Type (C.11.1.1.2) or Units of PET (C.8.9.1.1.3); HU where CT does not say (C.8.2.1)."""
    transformation = next(iter(_functional(ds, "PixelValueTransformationSequence")), ds)
    unit = text_of(ds, "Units") or text_of(transformation, "RescaleType") or text_of(ds, "DoseUnits")
    if not unit and modality == "CT":
        return "HU"
    return "" if unit == "US" else unit


def modality_lut(ds: Dataset) -> LookUpTable | None:
    """The table of the Modality LUT Sequence, None if there is none that can be used."""
    return next((table for item in items_of(ds, "ModalityLUTSequence") if (table := _table(item))), None)


def presentation_lut(ds: Dataset) -> LookUpTable | None:
    """The table of the Presentation LUT Sequence (C.11.4), None if there is none that can be used."""
    return next((table for item in items_of(ds, "PresentationLUTSequence") if (table := _table(item))), None)


def shutter(ds: Dataset) -> Shutter | None:
    """The display shutter (C.7.6.11); None where there is none, or none that says where it is.

    Of a bitmap (C.7.6.15) only the grey is here: its bits are an overlay (``with_bitmap``).
    """
    shapes = {shape.upper() for shape in texts_of(ds, "ShutterShape")}
    edges = [
        integer_of(ds, f"Shutter{edge}Edge")
        for edge in ("UpperHorizontal", "LowerHorizontal", "LeftVertical", "RightVertical")
    ]
    top, bottom, left, right = (edge - 1 if edge is not None else None for edge in edges)
    rectangle = None
    if "RECTANGULAR" in shapes and top is not None and bottom is not None and left is not None and right is not None:
        rectangle = (top, bottom, left, right)
    centre, radius = numbers_of(ds, "CenterOfCircularShutter"), number_of(ds, "RadiusOfCircularShutter")
    circle = None
    if "CIRCULAR" in shapes and len(centre) == 2 and radius is not None and radius > 0:
        circle = (centre[0] - 1, centre[1] - 1, radius)
    numbers = numbers_of(ds, "VerticesOfThePolygonalShutter")
    corners: tuple[tuple[float, float], ...] = ()
    if "POLYGONAL" in shapes and len(numbers) >= 6 and len(numbers) % 2 == 0:
        corners = tuple((row - 1, column - 1) for row, column in zip(numbers[::2], numbers[1::2], strict=True))
    if rectangle is None and circle is None and not corners and "BITMAP" not in shapes:
        return None
    return Shutter(rectangle, circle, corners, grey=shutter_grey(ds))


def with_bitmap(
    ds: Dataset, covering: Shutter | None, laid: tuple[Overlay, ...]
) -> tuple[Shutter | None, tuple[Overlay, ...]]:
    """A frame's shutter with the overlay of Shutter Overlay Group (C.7.6.15) as its bitmap, and the overlays that are left."""
    if covering is None or "BITMAP" not in {shape.upper() for shape in texts_of(ds, "ShutterShape")}:
        return covering, laid
    group = integer_of(ds, "ShutterOverlayGroup")
    bitmap = next((overlay for overlay in laid if overlay.group == group), None)
    if bitmap is None:
        return (None if covering == Shutter(grey=covering.grey) else covering), laid
    return replace(covering, bitmap=bitmap), tuple(overlay for overlay in laid if overlay is not bitmap)


def shutter_grey(ds: Dataset) -> int:
    """Shutter Presentation Value, a P-value of 16 bit, as grey; black where it does not say."""
    value = integer_of(ds, "ShutterPresentationValue")
    return min(max(value or 0, 0), 0xFFFF) >> 8


def overlays(ds: Dataset, form: PixelFormat, frame_count: int) -> list[tuple[Overlay, ...]]:
    """The overlays of each frame (C.9.2), those of them that can be drawn; their bits stay where they are."""
    frames: list[tuple[Overlay, ...]] = [()] * frame_count
    for group in range(0x6000, 0x6020, 2):
        if Tag(group, 0x0010) not in ds:
            continue
        overlay = _overlay(ds, group, form)
        if overlay is None:
            continue
        count = _overlay_number(ds, group, 0x0015) or 1
        first = (_overlay_number(ds, group, 0x0051) or 1) - 1
        # Without a number of frames it lies over all of them.
        is_for_all = count == 1 and (frame_count == 1 or Tag(group, 0x0051) not in ds)
        for number in range(frame_count):
            own = number - first
            if is_for_all:
                frames[number] += (overlay,)
            elif 0 <= own < count and (one := _overlay_of_frame(overlay, own)) is not None:
                frames[number] += (one,)
    return frames


_MOST_OVERLAY_SIDE = 65535


def overlay_geometry(ds: Dataset, group: int) -> Overlay | None:
    """An overlay without its bits; None where its size is missing or wrong."""
    rows, columns = _overlay_number(ds, group, 0x0010), _overlay_number(ds, group, 0x0011)
    if not rows or not columns or not 0 < rows <= _MOST_OVERLAY_SIDE or not 0 < columns <= _MOST_OVERLAY_SIDE:
        return None
    origin = _overlay_numbers(ds, group, 0x0050)
    first_row, first_column = (origin[0] - 1, origin[1] - 1) if len(origin) == 2 else (0, 0)
    return Overlay(rows, columns, first_row, first_column, group=group)


def _overlay(ds: Dataset, group: int, form: PixelFormat) -> Overlay | None:
    overlay = overlay_geometry(ds, group)
    if overlay is None:
        return None
    raw = ds.get_item(Tag(group, 0x3000))
    if raw is not None:
        offset, length = getattr(raw, "value_tell", None), len(raw.value or b"")
        if offset is None or length < (overlay.rows * overlay.columns + 7) // 8:
            return None
        return replace(overlay, place=(int(offset), length))
    bit = _overlay_number(ds, group, 0x0102)
    is_beside = bit is not None and 0 <= bit < form.bits_allocated and not 0 <= form.high_bit - bit < form.bits_stored
    if not is_beside or (overlay.rows, overlay.columns) != (form.rows, form.columns) or form.samples_per_pixel != 1:
        return None
    return replace(overlay, embedded_bit=bit)


def _overlay_of_frame(overlay: Overlay, number: int) -> Overlay | None:
    """Frame ``number`` of an overlay of several, whose bits follow one another without a gap."""
    if overlay.place is None:
        return overlay
    offset, length = overlay.place
    first, end = number * overlay.rows * overlay.columns, (number + 1) * overlay.rows * overlay.columns
    if (end + 7) // 8 > length:
        return None
    return replace(overlay, place=(offset + first // 8, (end + 7) // 8 - first // 8), first_bit=first % 8)


def _overlay_number(ds: Dataset, group: int, element: int) -> int | None:
    numbers = _overlay_numbers(ds, group, element)
    return numbers[0] if numbers else None


def _overlay_numbers(ds: Dataset, group: int, element: int) -> list[int]:
    """Values of a repeating group, which has no keyword to ask by (PS3.5 §7.6)."""
    try:
        value = ds[Tag(group, element)].value
        return [int(one) for one in (value if isinstance(value, Sequence) else [value])]
    except UNREADABLE:
        return []


def voi_luts(ds: Dataset) -> tuple[LookUpTable, ...]:
    """The usable tables of the VOI LUT Sequence."""
    return tuple(table for item in items_of(ds, "VOILUTSequence") if (table := _table(item)))


def palette(ds: Dataset) -> tuple[LookUpTable, LookUpTable, LookUpTable]:
    """The three tables of Palette Color (C.7.6.3.1.5, segmented ones C.7.9.2). Raises NotDrawable if one is missing."""
    red, green, blue = (_palette_table(ds, colour) for colour in ("Red", "Green", "Blue"))
    return red, green, blue


def icc_profile(ds: Dataset) -> bytes:
    """The profile of the image's colours, of the data set or of its first optical path (C.11.15); empty without one."""
    paths = items_of(ds, "OpticalPathSequence")
    return bytes_of(ds, "ICCProfile") or next((found for item in paths if (found := bytes_of(item, "ICCProfile"))), b"")


def _side(ds: Dataset, keyword: str) -> int:
    length = integer_of(ds, keyword)
    if length is None or not 1 <= length <= 65535:
        raise _contradiction(keyword, "missing" if length is None else str(length))
    return length


def _integer_or(ds: Dataset, keyword: str, default: int | None) -> int:
    number = integer_of(ds, keyword)
    number = default if number is None else number
    if number is None:
        raise _contradiction(keyword, "missing")
    return number


def _contradiction(keyword: str, found: str) -> NotDrawable:
    return NotDrawable(f"{keyword} is {found}", key="pixel-attributes-wrong", attribute=keyword)


def _padding(ds: Dataset, stored: int, is_signed: bool) -> tuple[int, int] | None:
    first = words_of(ds, "PixelPaddingValue")
    if not first:
        return None
    limit = words_of(ds, "PixelPaddingRangeLimit") or first
    low, high = sorted(_meant(word, is_signed) for word in (first[0], limit[0]))
    return low, high


def _meant(word: int, is_signed: bool) -> int:
    return word - 0x10000 if is_signed and word > 0x7FFF else word


def _of_data_set(ds: Dataset, frame_count: int) -> list[FrameAttributes]:
    plane = FramePlane(
        _vector(ds, "ImagePositionPatient"),
        _orientation(ds),
        _spacing(ds),
        _positive(ds, "SliceThickness"),
    )
    slope, intercept = _rescale(ds)
    of_file = windows(ds)
    offsets = numbers_of(ds, "GridFrameOffsetVector")
    planes = _offset_planes(plane, offsets) if len(offsets) == frame_count > 1 else [plane] * frame_count
    covering = shutter(ds)
    return [FrameAttributes(one, slope, intercept, of_file, covering) for one in planes]


def _offset_planes(plane: FramePlane, offsets: Sequence[float]) -> list[FramePlane]:
    """The planes of a dose grid (C.8.8.3.2): offsets along the normal from the first; else positions along z."""
    position, orientation = plane.position_mm, plane.orientation
    if position is None or orientation is None:
        return [plane] * len(offsets)
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    x, y, z = (b * f - c * e, c * d - a * f, a * e - b * d)
    start = offsets[0] if offsets[0] == 0 else position[2] * z
    return [
        FramePlane(
            (position[0] + (o - start) * x, position[1] + (o - start) * y, position[2] + (o - start) * z),
            orientation,
            plane.pixel_spacing_mm,
            plane.slice_thickness_mm,
        )
        for o in offsets
    ]


def _of_groups(ds: Dataset, shared: Dataset, own: Dataset) -> FrameAttributes:
    def group(keyword: str) -> Dataset:
        for item in (*items_of(own, keyword), *items_of(shared, keyword)):
            return item
        return ds

    measures = group("PixelMeasuresSequence")
    plane = FramePlane(
        _vector(group("PlanePositionSequence"), "ImagePositionPatient"),
        _orientation(group("PlaneOrientationSequence")),
        _spacing(measures),
        _positive(measures, "SliceThickness"),
    )
    slope, intercept = _rescale(group("PixelValueTransformationSequence"))
    covering = shutter(group("FrameDisplayShutterSequence"))
    return FrameAttributes(plane, slope, intercept, windows(group("FrameVOILUTSequence")), covering)


def _functional(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a functional group that are shared, or else of the first frame."""
    groups = (*items_of(ds, "SharedFunctionalGroupsSequence"), *items_of(ds, "PerFrameFunctionalGroupsSequence")[:1])
    return [item for group in groups for item in items_of(group, keyword)]


def _vector(ds: Dataset, keyword: str) -> tuple[float, float, float] | None:
    numbers = numbers_of(ds, keyword)
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else None


def _orientation(ds: Dataset) -> tuple[float, float, float, float, float, float] | None:
    numbers = numbers_of(ds, "ImageOrientationPatient")
    if len(numbers) != 6:
        return None
    row, column = numbers[:3], numbers[3:]
    row_length, column_length = math.hypot(*row), math.hypot(*column)
    if min(row_length, column_length) < 0.5:
        return None
    a, b, c = (cosine / row_length for cosine in row)
    d, e, f = (cosine / column_length for cosine in column)
    return (a, b, c, d, e, f) if abs(a * d + b * e + c * f) < _SQUARE_TOLERANCE else None


def _spacing(ds: Dataset) -> tuple[float, float] | None:
    numbers = numbers_of(ds, "PixelSpacing")
    return (numbers[0], numbers[1]) if len(numbers) == 2 and min(numbers) > 0 else None


def _positive(ds: Dataset, keyword: str) -> float | None:
    number = number_of(ds, keyword)
    return number if number is not None and number > 0 else None


def _rescale(ds: Dataset) -> tuple[float, float]:
    slope, intercept = number_of(ds, "RescaleSlope"), number_of(ds, "RescaleIntercept")
    # A slope of zero would make every value the same: it is an omission that some writers make.
    return slope or 1.0, intercept or 0.0


def windows(ds: Dataset) -> tuple[Window, ...]:
    """Windows with a width that their function allows (C.11.2.1.2, C.11.2.1.3)."""
    function = _FUNCTIONS.get(text_of(ds, "VOILUTFunction").upper(), "linear")
    explanations = texts_of(ds, "WindowCenterWidthExplanation")
    least = 1.0 if function == "linear" else math.nextafter(0, 1)
    pairs = zip(numbers_of(ds, "WindowCenter"), numbers_of(ds, "WindowWidth"), strict=False)
    return tuple(
        Window(center, width, function, explanations[n][:64] if n < len(explanations) else "")
        for n, (center, width) in enumerate(pairs)
        if width >= least
    )


def _table(item: Dataset) -> LookUpTable | None:
    descriptor = words_of(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    count = descriptor[0] or _MOST_TABLE_ENTRIES
    data = words_of(item, "LUTData")
    bits = descriptor[2] & 0xFF
    if not 1 <= bits <= 16 or len(data) < count:
        return None
    values = b"".join(word.to_bytes(2, "little") for word in data[:count])
    return LookUpTable(
        _first_mapped(item, "LUTDescriptor", descriptor[1]), bits, values, text_of(item, "LUTExplanation")
    )


def _first_mapped(ds: Dataset, keyword: str, word: int) -> int:
    """The second value of a descriptor, signed where the representation SS says so."""
    value = value_of(ds, keyword)
    second = int(value[1]) if value is not None and not isinstance(value, bytes) else word
    return second if second < 0 else word


def _palette_table(ds: Dataset, colour: str) -> LookUpTable:
    keyword = f"{colour}PaletteColorLookupTableDescriptor"
    descriptor = words_of(ds, keyword)
    if len(descriptor) != 3 or descriptor[2] not in (8, 16):
        raise _contradiction(keyword, "missing or wrong")
    count = descriptor[0] or _MOST_TABLE_ENTRIES
    segmented = words_of(ds, f"Segmented{colour}PaletteColorLookupTableData")
    if segmented:
        words = _expanded(segmented)
    elif len(packed := bytes_of(ds, f"{colour}PaletteColorLookupTableData")) in (count, count + 1):
        words = list(packed)  # 8 bit entries, two in each word: low byte first (C.7.6.3.1.6)
    else:
        words = words_of(ds, f"{colour}PaletteColorLookupTableData")
    if len(words) < count:
        raise _contradiction(f"{colour}PaletteColorLookupTableData", f"{len(words)} entries, expected {count}")
    values = b"".join(word.to_bytes(2, "little") for word in words[:count])
    return LookUpTable(_first_mapped(ds, keyword, descriptor[1]), descriptor[2], values)


def _expanded(segments: Sequence[int]) -> list[int]:
    """Segmented palette data as plain entries (C.7.9.2): discrete, linear and indirect segments of 16 bit."""
    words: list[int] = []
    at = 0
    while at + 1 < len(segments) and len(words) < _MOST_TABLE_ENTRIES:
        kind, length = segments[at], segments[at + 1]
        if kind == 0:
            words.extend(segments[at + 2 : at + 2 + length])
            at += 2 + length
        elif kind == 1 and words and at + 2 < len(segments):
            first, last = words[-1], segments[at + 2]
            words.extend(round(first + (last - first) * step / length) for step in range(1, length + 1))
            at += 3
        elif kind == 2 and at + 3 < len(segments):
            target = (segments[at + 2] | segments[at + 3] << 16) // 2
            words.extend(_expanded(_repeated(segments[:at], target, length)))
            at += 4
        else:
            raise _contradiction("SegmentedPaletteColorLookupTableData", "no segment that the standard knows")
    return words


def _repeated(segments: Sequence[int], start: int, count: int) -> Sequence[int]:
    """``count`` discrete or linear segments from ``start`` on."""
    at = start
    for _ in range(count):
        if at + 1 >= len(segments) or segments[at] not in (0, 1):
            raise _contradiction("SegmentedPaletteColorLookupTableData", "an indirect segment that points nowhere")
        at += 2 + segments[at + 1] if segments[at] == 0 else 3
    return segments[start:at]
