"""An object in another transfer syntax: everything before its pixels rewritten, the frames one by one.

Into Implicit or Explicit VR Little Endian, from every syntax whose frames can be decoded; what has no pixels, from any. A
frame that lies there native is copied, its words in little endian order; a compressed one is decoded, in colour to RGB.
What follows the pixels (padding, signatures of the bytes as they were) is left out, and the preamble is empty.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from io import BytesIO

import numpy as np
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite

from appliance.domain.errors import NotAcceptable
from appliance.domain.image import ImageDescription, PixelFormat
from appliance.storage.attributes import UNREADABLE, text_of
from appliance.storage.decoding import Pixels, bytes_of_frame, decode_frame, inflated_object
from appliance.storage.dicom_json import is_binary, little_endian
from appliance.storage.parsing import read_header
from appliance.storage.stream import Readable
from appliance.storage.structure import DataSetLimits
from appliance.storage.transfer_syntaxes import (
    CODECS,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    Codec,
    is_native,
)

TARGETS = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
"""Into what objects are transcoded."""
_LONGEST_PIXELS_BYTES = 0xFFFFFFFE
_PIXELS = {"integer": (0x7FE00010, "OW"), "float": (0x7FE00008, "OF"), "double": (0x7FE00009, "OD")}
_OFFSET_TABLES = (0x7FE00001, 0x7FE00002, 0x7FE00003)
"""Extended Offset Table, its lengths, Encapsulated Pixel Data Value Total Length: of fragments that are no more."""


def reason_not_transcoded(source: str, target: str, *, has_pixels: bool, image: ImageDescription | None) -> str | None:
    """Why an object cannot be had in ``target``, in plain words; None where it can."""
    if target not in TARGETS:
        return f"objects are transcoded to {' and '.join(TARGETS)} only"
    if has_pixels and image is None:
        return f"the pixels of an object in {source} cannot be decoded"
    if image is None:
        return None
    if decoded_length(image) > _LONGEST_PIXELS_BYTES:
        return "its pixels would be longer than an uncompressed object can be"
    form = image.pixel_format
    is_ragged = form.bits_allocated == 1 and len(image.frames) > 1 and form.rows * form.columns % 8 != 0
    if is_ragged and not lies_as_wanted(image):
        return "its frames of single bits do not begin at bytes"
    return None


def lies_as_wanted(image: ImageDescription) -> bool:
    """Whether the pixels lie in the object as a native little endian syntax has them, all frames in one piece."""
    return image.transfer_syntax_uid in (IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN)


def is_copied(image: ImageDescription) -> bool:
    """Whether frames are copied as they lie, without being decoded."""
    form = image.pixel_format
    return is_native(image.transfer_syntax_uid) and form.bits_allocated % 8 == 0


def decoded_format(image: ImageDescription) -> PixelFormat:
    """How the frames that ``decoded_frame`` gives are stored."""
    form = image.pixel_format
    if is_copied(image) or form.bits_allocated == 1:
        return form
    if form.samples_per_pixel == 3:
        form = replace(form, photometric_interpretation="RGB", planar_configuration=0)
    return form


def frame_length(image: ImageDescription) -> int:
    """Bytes of one frame in a native syntax; of frames of single bits the bits are counted together."""
    if is_copied(image):
        return sum(length for _, length in image.frames[0].fragments)
    form = decoded_format(image)
    return form.rows * form.columns * form.samples_per_pixel * max(8, form.bits_allocated) // 8


def decoded_length(image: ImageDescription) -> int:
    """Bytes of all frames in a native syntax, without the byte that makes the length even."""
    form, count = image.pixel_format, len(image.frames)
    if form.bits_allocated == 1:
        return (form.rows * form.columns * form.samples_per_pixel * count + 7) // 8
    return frame_length(image) * count


def decoded_frame(image: ImageDescription, frame_index: int, reader: Readable) -> bytes:
    """One frame, counted from 0, as a native little endian syntax stores it; single bits begin at a byte."""
    form = image.pixel_format
    if is_copied(image):
        return copied_frame(image, frame_index, reader)
    values = decode_frame(image, frame_index, reader)
    if form.bits_allocated == 1:
        return np.packbits(values.astype(bool).ravel(), bitorder="little").tobytes()
    return _little(values)


def copied_frame(image: ImageDescription, frame_index: int, reader: Readable) -> bytes:
    """The bytes of a native frame, its words in little endian order."""
    if image.transfer_syntax_uid == DEFLATED_EXPLICIT_LITTLE_ENDIAN:
        reader = inflated_object(reader)
    data = bytes_of_frame(image.pixel_format, image.frames[frame_index], reader)
    if CODECS[image.transfer_syntax_uid] is not Codec.NATIVE_BIG_ENDIAN:
        return data
    bits = image.pixel_format.bits_allocated
    vr = {8: "OB", 16: "OW", 32: "OL", 64: "OV"}.get(bits, "OB")
    return little_endian(data, vr, is_little_endian=False)


def transcoded_head(reader: Readable, target: str, image: ImageDescription | None, limits: DataSetLimits) -> bytes:
    """The object in ``target`` up to the value of its pixels; the whole of it where it has none.

    Raises NotDicom, and NotAcceptable where a value cannot be written in another way than it is.
    """
    header = read_header(reader, limits)
    ds, buffer = header.ds, BytesIO()
    if header.transfer_syntax_uid == EXPLICIT_BIG_ENDIAN:
        _turn_words(ds)
    if image is not None:
        _describe_decoded(ds, image)
    ds.file_meta = _meta(ds, target)
    ds.preamble = bytes(128)
    try:
        dcmwrite(buffer, ds, implicit_vr=target == IMPLICIT_LITTLE_ENDIAN, little_endian=True, enforce_file_format=True)
    except (*UNREADABLE, OSError) as error:
        raise NotAcceptable(
            f"a value cannot be written in {target} ({type(error).__name__})", key="not-transcodable"
        ) from None
    if image is not None:
        buffer.write(_pixel_element(image, target))
    return buffer.getvalue()


def _describe_decoded(ds: Dataset, image: ImageDescription) -> None:
    for tag in _OFFSET_TABLES:
        if tag in ds:
            del ds[tag]
    form = decoded_format(image)
    if form is image.pixel_format:
        return
    ds.PhotometricInterpretation = form.photometric_interpretation
    ds.PlanarConfiguration = form.planar_configuration


def _meta(ds: Dataset, target: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    known = ds.file_meta
    meta.MediaStorageSOPClassUID = text_of(ds, "SOPClassUID") or text_of(known, "MediaStorageSOPClassUID")
    meta.MediaStorageSOPInstanceUID = text_of(ds, "SOPInstanceUID") or text_of(known, "MediaStorageSOPInstanceUID")
    meta.TransferSyntaxUID = target
    return meta


def _pixel_element(image: ImageDescription, target: str) -> bytes:
    """Tag, representation and length of the pixels, whose frames follow."""
    tag, vr = _PIXELS[image.pixel_format.kind]
    if vr == "OW" and image.pixel_format.bits_allocated <= 8 and target != IMPLICIT_LITTLE_ENDIAN:
        vr = "OB"
    length = decoded_length(image) + decoded_length(image) % 2
    place = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if target == IMPLICIT_LITTLE_ENDIAN:
        return place + struct.pack("<L", length)
    return place + vr.encode() + struct.pack("<HL", 0, length)


def _turn_words(ds: Dataset) -> None:
    """Binary values of a big endian data set are in little endian order; pydicom writes them as they are."""
    for tag, raw in list(ds.items()):
        is_raw = isinstance(raw, RawDataElement)
        if (is_raw and raw.VR == "SQ") or (not is_raw and raw.VR == "SQ"):
            for item in ds[tag].value:
                _turn_words(item)
        elif isinstance(raw.value, bytes) and is_binary(str(raw.VR)) and raw.VR not in ("OB", "UN"):
            vr = str(raw.VR)
            ds[tag] = DataElement(tag, vr, little_endian(raw.value, vr, is_little_endian=False))


def _little(values: Pixels) -> bytes:
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
