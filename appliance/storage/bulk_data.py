"""Where the long values of an object are, to which its metadata refers (``storage.dicom_json``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from appliance.domain.errors import NotFound
from appliance.storage.attributes import UNREADABLE
from appliance.storage.dicom_json import is_binary, little_endian
from appliance.storage.parsing import Header, read_header
from appliance.storage.stream import Readable
from appliance.storage.structure import DataSetLimits

_UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lies in the stored bytes, its words in little endian order."""

    offset: int
    length: int


def found(reader: Readable, path: Sequence[str], limits: DataSetLimits) -> Place | bytes:
    """The value at ``path`` (tags, and between them item numbers from 1): where it lies, or itself where it is short
    or must be turned. Raises NotFound for what is no binary value, and for pixels in fragments."""
    header = read_header(reader, limits)
    if len(path) == 1 and header.pixels and path[0] == f"{header.pixels.tag:08X}":
        return _pixels(header, reader)
    raw = _element(header.ds, path)
    vr = str(raw.VR or "UN")
    is_plain = not isinstance(raw, RawDataElement) or raw.is_little_endian
    if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
        if header.content is reader and is_plain:
            return Place(raw.value_tell, raw.length)
        return little_endian(header.content.read_at(raw.value_tell, raw.length), vr, is_little_endian=is_plain)
    value = raw.value
    if not isinstance(value, bytes) or not is_binary(vr):
        raise _no_such_value()
    return little_endian(value, vr, is_little_endian=is_plain)


def _pixels(header: Header, reader: Readable) -> Place | bytes:
    pixels = header.pixels
    assert pixels is not None, "it was asked before"
    if pixels.length == _UNDEFINED_LENGTH:
        raise NotFound("the pixels are in fragments: ask for frames", key="pixels-in-fragments")
    length = min(pixels.length, header.content.size_bytes - pixels.offset)
    is_big = header.transfer_syntax_uid == "1.2.840.10008.1.2.2"
    if header.content is reader and not (is_big and pixels.vr != "OB"):
        return Place(pixels.offset, length)
    data = header.content.read_at(pixels.offset, length)
    return little_endian(data, pixels.vr or "OW", is_little_endian=not is_big)


def _element(ds: Dataset, path: Sequence[str]) -> RawDataElement | DataElement:
    try:
        for tag, number in zip(path[:-1:2], path[1::2], strict=True):
            ds = ds[int(tag, 16)].value[int(number) - 1] if int(number) > 0 else Dataset()
        return dict(ds.items())[int(path[-1], 16)]
    except (*UNREADABLE, IndexError):
        raise _no_such_value() from None


def _no_such_value() -> NotFound:
    return NotFound("there is no such bulk data", key="no-such-bulk-data")
