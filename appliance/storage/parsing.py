"""From the bytes of an object to what is kept of it beside them.

What is accepted (tolerant when reading, PS3.10 §7): a DICOM file with preamble and meta information, with odd meta
information, or without either when the bytes begin like a data set; any transfer syntax, declared or found. What must be
there are the UIDs of study, series and instance, since nothing can be found again without them. A header that ends in
the middle of an element is refused: the sender should know.

An image that contradicts itself, is cut or has no decoder is stored and not drawn, and says why. No value of a file is
repeated in an error or a log, for it may name the patient.

Runs in a process of its own (``services.parse_process``), since the files are anybody's.
"""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pydicom.config
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from appliance.domain.errors import BadRequest, NotDicom, NotDrawable, TooLarge
from appliance.domain.hierarchy import (
    InstanceAttributes,
    ParsedInstance,
    PatientAttributes,
    SeriesAttributes,
    StudyAttributes,
)
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid, checked_uid
from appliance.domain.image import FrameDescription, ImageDescription, LookUpTable, PixelFormat, PixelKind
from appliance.domain.preamble import PREAMBLE_BYTES, PREFIX, preamble_of
from appliance.storage import image_module
from appliance.storage.attributes import (
    bytes_of,
    date_of,
    integer_of,
    items_of,
    number_of,
    person_name_of,
    text_of,
    time_of,
)
from appliance.storage.dicom_json import metadata_of, packed
from appliance.storage.fragments import frames_of, read_fragments
from appliance.storage.stream import Readable, Stream, inflated
from appliance.storage.structure import DataSetLimits, check_structure
from appliance.storage.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    is_native,
    is_video,
    reason_without_codec,
)

# pydicom's warnings quote the value that they are about.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module="pydicom")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_PREFIX_OFFSET = PREAMBLE_BYTES
_LONGEST_ELEMENT_BYTES = 64 * 1024 * 1024
"""Longer elements before the pixel data (an encapsulated video or document) are skipped, not read."""
_OTHER_IDS = 16
"""Items of Other Patient IDs Sequence that are taken; nobody has more numbers that matter."""
_LONGEST_INFLATED_BYTES = 512 * 1024 * 1024
_SHORTEST_PROFILE_BYTES = 128
"""The head of an ICC profile."""
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_KINDS: dict[int, PixelKind] = {0x7FE00008: "float", 0x7FE00009: "double", 0x7FE00010: "integer"}
_USUAL_LIMITS = DataSetLimits()
_DICOMDIR = "1.2.840.10008.1.3.10"
_BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    EOFError,
    OSError,
    struct.error,
)
"""What pydicom raises over bytes that are no data set."""


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the value of the pixel data is."""

    kind: PixelKind
    offset: int
    length: int
    vr: str | None
    tag: int


@dataclass(frozen=True, slots=True)
class Header:
    """A data set up to its pixels."""

    ds: Dataset
    transfer_syntax_uid: str
    pixels: PixelElement | None
    content: Readable
    """What offsets count in: the object, inflated if it was deflated."""


def parse(reader: Readable, limits: DataSetLimits = _USUAL_LIMITS) -> ParsedInstance:
    """What is kept of an object. Raises NotDicom: ``not-dicom`` or ``unreadable-dicom``, with a reason; and TooLarge."""
    header = read_header(reader, limits)
    _check_size(header.ds, limits)
    ds, meta_uids = header.ds, header.ds.file_meta
    study_uid = _uid(ds, "StudyInstanceUID")
    series_uid = _uid(ds, "SeriesInstanceUID")
    instance_uid = _uid(ds, "SOPInstanceUID", text_of(meta_uids, "MediaStorageSOPInstanceUID"))
    sop_class_uid = _uid(ds, "SOPClassUID", text_of(meta_uids, "MediaStorageSOPClassUID"))
    image: ImageDescription | None = None
    reason: str | None = None
    try:
        image = image_of(header, InstanceUid(instance_uid), sop_class_uid)
    except NotDrawable as error:
        reason = error.message
    return ParsedInstance(
        _patient(ds),
        _study(ds, StudyUid(study_uid)),
        _series(ds, SeriesUid(series_uid)),
        InstanceAttributes(
            InstanceUid(instance_uid),
            sop_class_uid,
            header.transfer_syntax_uid,
            integer_of(ds, "InstanceNumber"),
            integer_of(ds, "Rows"),
            integer_of(ds, "Columns"),
            len(image.frames) if image else max(1, integer_of(ds, "NumberOfFrames") or 1),
            integer_of(ds, "BitsAllocated"),
        ),
        image,
        reason,
        preamble_of(reader.read_at(0, _PREFIX_OFFSET + len(PREFIX))),
        packed(metadata(header)),
    )


def metadata(header: Header) -> dict[str, dict[str, object]]:
    """The data set in the DICOM JSON model."""
    pixels = header.pixels
    place = (pixels.tag, pixels.vr or "OW") if pixels else None
    return metadata_of(header.ds, header.transfer_syntax_uid, place)


def _check_size(ds: Dataset, limits: DataSetLimits) -> None:
    frames = integer_of(ds, "NumberOfFrames") or 1
    pixels = (integer_of(ds, "Rows") or 0) * (integer_of(ds, "Columns") or 0)
    if frames > limits.frame_count:
        raise TooLarge(
            f"an object with more than {limits.frame_count} frames", key="too-many-frames", limit=limits.frame_count
        )
    if pixels > limits.frame_pixels:
        raise TooLarge(
            f"a frame with more than {limits.frame_pixels} pixels", key="too-many-pixels", limit=limits.frame_pixels
        )


def read_header(reader: Readable, limits: DataSetLimits = _USUAL_LIMITS) -> Header:
    """The data set up to its pixels. Raises NotDicom, and TooLarge beyond the limits of its structure."""
    stream = Stream(reader, _LONGEST_ELEMENT_BYTES)
    _skip_preamble(stream, reader)
    meta = _data_set(stream, EXPLICIT_LITTLE_ENDIAN, lambda tag, vr, length: tag >> 16 != 2)
    if text_of(meta, "MediaStorageSOPClassUID") == _DICOMDIR:
        raise NotDicom("a DICOMDIR lists instances and is none", key="dicomdir")
    start = stream.tell()
    syntax = text_of(meta, "TransferSyntaxUID") or _syntax_found(reader.read_at(start, 6))
    content = reader
    if syntax == DEFLATED_EXPLICIT_LITTLE_ENDIAN:
        content = inflated(reader, start, _LONGEST_INFLATED_BYTES)
    check_structure(content, start, syntax, limits, frozenset(_PIXEL_KINDS))
    return _header_from(content, start, syntax, meta)


def _header_from(content: Readable, start: int, syntax: str, meta: Dataset) -> Header:
    stream = Stream(content, _LONGEST_ELEMENT_BYTES)
    stream.seek(start)
    pixels: PixelElement | None = None

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        nonlocal pixels
        if tag in _PIXEL_KINDS:
            pixels = PixelElement(_PIXEL_KINDS[tag], stream.tell(), length, vr, int(tag))
        return tag in _PIXEL_KINDS

    ds = _data_set(stream, syntax, at_pixels)
    if pixels is None and stream.fell_short:
        raise NotDicom("the data set ends in the middle of an element", key="unreadable-dicom")
    ds.file_meta = meta
    return Header(ds, syntax, pixels, content)


def _skip_preamble(stream: Stream, reader: Readable) -> None:
    # Data sets without a preamble have been seen with these letters in a value just there.
    if reader.read_at(_PREFIX_OFFSET, 4) == PREFIX and _begins_like_a_data_set(reader.read_at(_PREFIX_OFFSET + 4, 8)):
        stream.seek(_PREFIX_OFFSET + 4)
    elif not _begins_like_a_data_set(reader.read_at(0, 8)):
        raise NotDicom("these bytes are not DICOM")


def _begins_like_a_data_set(start: bytes) -> bool:
    """Whether the first element is of the groups that a file or a data set begins with, little or big endian."""
    return len(start) == 8 and start[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08") and b"\x00" in start[2:4]


def _syntax_found(start: bytes) -> str:
    """The transfer syntax of a data set that does not tell it, by its first element."""
    if len(start) < 6 or not start[4:6].isalpha() or not start[4:6].isupper():
        return IMPLICIT_LITTLE_ENDIAN
    return EXPLICIT_BIG_ENDIAN if start[0] == 0 else EXPLICIT_LITTLE_ENDIAN


def _data_set(stream: Stream, syntax: str, stop_when: object) -> Dataset:
    try:
        return read_dataset(
            stream,
            is_implicit_VR=syntax == IMPLICIT_LITTLE_ENDIAN,
            is_little_endian=syntax != EXPLICIT_BIG_ENDIAN,
            stop_when=stop_when,
            defer_size=_LONGEST_ELEMENT_BYTES,
        )
    except RecursionError as error:
        raise NotDicom("sequences are nested too deeply", key="unreadable-dicom") from error
    except MemoryError as error:
        raise NotDicom("the header needs too much memory", key="unreadable-dicom") from error
    except _BROKEN:
        # Without "from": the message of the cause may quote the file.
        raise NotDicom("the data set cannot be read", key="unreadable-dicom") from None


def _uid(ds: Dataset, keyword: str, otherwise: str = "") -> str:
    text = text_of(ds, keyword, longest=1024) or otherwise
    if not text:
        raise NotDicom(f"{keyword} is missing", key="unreadable-dicom", attribute=keyword)
    try:
        return checked_uid(text, keyword)
    except BadRequest as error:
        raise NotDicom(error.message, key="unreadable-dicom", attribute=keyword) from None


def _patient(ds: Dataset) -> PatientAttributes:
    sex = text_of(ds, "PatientSex").upper()
    return PatientAttributes(
        person_name_of(ds, "PatientName"),
        text_of(ds, "PatientID"),
        text_of(ds, "IssuerOfPatientID"),
        date_of(ds, "PatientBirthDate"),
        sex if sex in ("F", "M", "O") else None,
        _other_ids(ds),
    )


def _other_ids(ds: Dataset) -> tuple[tuple[str, str], ...]:
    """Only with an issuer: a number alone says nothing about who gave it."""
    items = items_of(ds, "OtherPatientIDsSequence")[:_OTHER_IDS]
    pairs = ((text_of(item, "IssuerOfPatientID"), text_of(item, "PatientID")) for item in items)
    return tuple((issuer, value) for issuer, value in pairs if issuer and value)


def _study(ds: Dataset, study_uid: StudyUid) -> StudyAttributes:
    return StudyAttributes(
        study_uid,
        date_of(ds, "StudyDate"),
        time_of(ds, "StudyTime"),
        text_of(ds, "StudyDescription"),
        text_of(ds, "AccessionNumber"),
        text_of(ds, "StudyID"),
        person_name_of(ds, "ReferringPhysicianName"),
        text_of(ds, "InstitutionName"),
        text_of(ds, "TimezoneOffsetFromUTC"),
    )


def _series(ds: Dataset, series_uid: SeriesUid) -> SeriesAttributes:
    request = next(iter(items_of(ds, "RequestAttributesSequence")), Dataset())
    return SeriesAttributes(
        series_uid,
        text_of(ds, "Modality").upper(),
        integer_of(ds, "SeriesNumber"),
        text_of(ds, "SeriesDescription"),
        text_of(ds, "BodyPartExamined"),
        text_of(ds, "Laterality") or text_of(ds, "ImageLaterality"),
        date_of(ds, "SeriesDate"),
        time_of(ds, "SeriesTime"),
        date_of(ds, "PerformedProcedureStepStartDate"),
        time_of(ds, "PerformedProcedureStepStartTime"),
        text_of(request, "ScheduledProcedureStepID"),
        text_of(request, "RequestedProcedureID"),
    )


def image_of(header: Header, instance_uid: InstanceUid, sop_class_uid: str) -> ImageDescription:
    """The image of an object. Raises NotDrawable with the reason why there is none."""
    ds, pixels = header.ds, header.pixels
    if pixels is None:
        raise NotDrawable("the object has no pixels", key="no-pixels")
    if reason := reason_without_codec(header.transfer_syntax_uid):
        raise NotDrawable(reason, key="no-decoder")
    form = image_module.pixel_format(ds, pixels.kind)
    is_stream = is_video(header.transfer_syntax_uid)
    if form.photometric_interpretation == "YBR_PARTIAL_420" and not is_stream:
        raise NotDrawable("YBR_PARTIAL_420 is drawn of video only", key="no-decoder")
    frame_count = _frame_count(ds)
    form, places = _places(header, pixels, form, frame_count)
    attributes = image_module.frame_attributes(ds, frame_count)
    overlays = image_module.overlays(ds, form, frame_count)
    layers = [image_module.with_bitmap(ds, one.shutter, own) for one, own in zip(attributes, overlays, strict=True)]
    tables, places_of_tables = _voi_luts(ds, attributes)
    modality = text_of(ds, "Modality").upper()
    is_palette = form.photometric_interpretation == "PALETTE COLOR"
    return ImageDescription(
        instance_uid,
        sop_class_uid,
        header.transfer_syntax_uid,
        modality,
        form,
        tuple(
            FrameDescription(
                spans,
                first_bit,
                one.plane,
                one.rescale_slope,
                one.rescale_intercept,
                one.windows,
                number if is_stream else 0,
                layers[number][1],
                layers[number][0],
                places_of_tables[number],
            )
            for number, ((spans, first_bit), one) in enumerate(zip(places, attributes, strict=True))
        ),
        image_module.pixel_aspect_ratio(ds, attributes[0].plane),
        image_module.value_unit(ds, modality),
        image_module.modality_lut(ds),
        tables,
        image_module.palette(ds) if is_palette else None,
        text_of(ds, "PresentationLUTShape").upper() == "INVERSE",
        text_of(ds, "LossyImageCompression") == "01",
        text_of(ds, "FrameOfReferenceUID") or None,
        integer_of(ds, "InstanceNumber"),
        number_of(ds, "FrameTime"),
        image_module.presentation_lut(ds),
        _profile_place(header, pixels) if form.samples_per_pixel == 3 or is_palette else None,
        image_module.patient_orientation(ds),
        image_module.laterality(ds),
        image_module.lossy_steps(ds),
    )


def _voi_luts(
    ds: Dataset, attributes: Sequence[image_module.FrameAttributes]
) -> tuple[tuple[LookUpTable, ...], list[tuple[int, ...] | None]]:
    """The VOI LUTs of an image, each once, and which of them are of each frame; None where all are of all."""
    of_all = image_module.voi_luts(ds)
    if not any(one.voi_luts for one in attributes):
        return of_all, [None] * len(attributes)
    places = {table: place for place, table in enumerate(dict.fromkeys(of_all))}
    usual = tuple(places[table] for table in of_all)
    frames: list[tuple[int, ...] | None] = []
    for one in attributes:
        own = tuple(places.setdefault(table, len(places)) for table in one.voi_luts)
        frames.append(own or usual)
    return tuple(places), frames


def _profile_place(header: Header, pixels: PixelElement) -> tuple[int, int] | None:
    """Where the ICC profile lies; looked for by its bytes, since pydicom does not tell it of items in sequences."""
    profile = image_module.icc_profile(header.ds)
    if len(profile) < _SHORTEST_PROFILE_BYTES or pixels.offset > _LONGEST_ELEMENT_BYTES:
        return None
    offset = header.content.read_at(0, pixels.offset).find(profile)
    return (offset, len(profile)) if offset >= 0 else None


def _frame_count(ds: Dataset) -> int:
    count = integer_of(ds, "NumberOfFrames")
    if count is None and _has_value(ds, "NumberOfFrames"):
        raise NotDrawable("NumberOfFrames is no number", key="pixel-attributes-wrong", attribute="NumberOfFrames")
    if count is not None and count < 0:
        raise NotDrawable(f"NumberOfFrames is {count}", key="pixel-attributes-wrong", attribute="NumberOfFrames")
    return count or 1  # some writers say 0 for one


def _has_value(ds: Dataset, keyword: str) -> bool:
    """Whether an element has bytes, readable or not."""
    raw = ds.get_item(keyword)
    return raw is not None and bool(raw.value)


Place = tuple[tuple[tuple[int, int], ...], int]
"""The fragments of a frame, and its first bit in the first byte."""


def _places(
    header: Header, pixels: PixelElement, form: PixelFormat, frame_count: int
) -> tuple[PixelFormat, list[Place]]:
    if is_native(header.transfer_syntax_uid):
        if pixels.length == _UNDEFINED_LENGTH:
            raise NotDrawable("native pixel data without a length", key="pixel-data-damaged")
        return _native_places(header, pixels, form, frame_count)
    if pixels.length != _UNDEFINED_LENGTH:
        raise NotDrawable("compressed pixel data that is not in fragments", key="pixel-data-damaged")
    fragments = read_fragments(header.content, pixels.offset)
    if is_video(header.transfer_syntax_uid):
        return form, [(fragments.spans, 0)] * frame_count
    extended = memoryview(_whole_quads(bytes_of(header.ds, "ExtendedOffsetTable"))).cast("Q").tolist()
    return form, [(spans, 0) for spans in frames_of(fragments, frame_count, header.content, extended)]


def _whole_quads(data: bytes) -> bytes:
    return data[: len(data) // 8 * 8]


def _native_places(
    header: Header, pixels: PixelElement, form: PixelFormat, frame_count: int
) -> tuple[PixelFormat, list[Place]]:
    available_bytes = min(pixels.length, header.content.size_bytes - pixels.offset)
    pixel_bits = form.samples_per_pixel * form.bits_allocated
    if form.photometric_interpretation in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        full_bytes = form.rows * form.columns * 3 * form.bits_allocated // 8 * frame_count
        if available_bytes >= full_bytes:
            full = form.photometric_interpretation.removesuffix("_422")
            form = replace(form, photometric_interpretation=full)  # the name says subsampled, the length says not
        else:
            pixel_bits = 2 * form.bits_allocated  # two luminances share their chrominances (PS3.3 C.7.6.3.1.2)
    frame_bits = form.rows * form.columns * pixel_bits
    needed_bytes = (frame_bits * frame_count + 7) // 8
    if available_bytes < needed_bytes:
        raise NotDrawable(
            f"the pixel data has {available_bytes} bytes, expected {needed_bytes}", key="pixel-data-damaged"
        )
    if form.bits_allocated == 8 and pixels.vr == "OW" and header.transfer_syntax_uid == EXPLICIT_BIG_ENDIAN:
        if pixels.offset % 2:
            raise NotDrawable("pixel data of words that begins at an odd place", key="pixel-data-damaged")
        form = replace(form, is_swapped=True)
    return form, [_native_place(pixels.offset, frame_bits, n) for n in range(frame_count)]


def _native_place(offset: int, frame_bits: int, number: int) -> Place:
    first, end = frame_bits * number, frame_bits * (number + 1)
    return ((offset + first // 8, (end + 7) // 8 - first // 8),), first % 8
