"""Data sets in the DICOM JSON model (PS3.18 annex F), in UTF-8 whatever the object is encoded in.

Values that are long and binary stay where they are: the model refers to them by a relative ``BulkDataURI`` such as
``bulkdata/00281201`` or, in a sequence, ``bulkdata/00400555/1/0040A730``, item numbers counting from 1.
Whoever sends the model makes the addresses absolute (``with_absolute_addresses``).

A value that is not what its representation says is given as text where that can be; it is never guessed. No data set is
refused here.
"""

from __future__ import annotations

import base64
import math
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName

from appliance.storage.attributes import UNREADABLE
from appliance.storage.native_model import Json

LONGEST_INLINE_BYTES = 1024
"""Binary values up to this stand in the model itself."""
_LARGEST_KEPT_BYTES = 16 * 1024 * 1024
"""Of a model that is kept beside the index, before compression; a longer one is made when it is asked for."""
_CHARACTER_SET = 0x00080005
_UTF_8 = "ISO_IR 192"
_BULK_ADDRESS = b'"BulkDataURI":"bulkdata/'

_BINARY_WORD_BYTES = {"OB": 1, "UN": 1, "OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
"""Representations that are bytes, and how many of them make a word, whose order depends on the transfer syntax."""
_NUMBERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "IS", "DS"})

Element = dict[str, Any]  # Any: values of the DICOM JSON model


def metadata_of(ds: Dataset, transfer_syntax_uid: str, pixels: tuple[int, str] | None) -> dict[str, Element]:
    """The model of a data set that was read up to its pixels.

    ``pixels`` are the tag and the representation of the pixel element, if there is one: the model refers to it.
    """
    model = _data_set(ds, "bulkdata")
    # Which of the syntaxes it can be had in; the one that costs nothing (PS3.18 table 10.4.1-4 speaks of it).
    model["00083002"] = {"vr": "UI", "Value": [transfer_syntax_uid]}
    if pixels:
        tag, vr = pixels
        model[f"{tag:08X}"] = {"vr": vr, "BulkDataURI": f"bulkdata/{tag:08X}"}
    return dict(sorted(model.items()))


def packed(model: Json) -> bytes:
    """The model as it is kept: JSON, deflated; nothing if it is too long to be kept."""
    text = msgspec.json.encode(model)
    return zlib.compress(text, level=1) if len(text) <= _LARGEST_KEPT_BYTES else b""


def unpacked(data: bytes) -> bytes:
    """JSON of what ``packed`` gave."""
    return zlib.decompress(data)


def with_absolute_addresses(text: bytes, instance_url: str) -> bytes:
    """The JSON of a model whose bulk data is found under the address of its instance."""
    # In the text of a value every quotation mark is escaped, so that these bytes are a name and never a value.
    return text.replace(_BULK_ADDRESS, f'"BulkDataURI":"{instance_url}/bulkdata/'.encode())


def little_endian(value: bytes, vr: str, *, is_little_endian: bool) -> bytes:
    """A binary value with its words in little endian order, as bulk data always is (PS3.18 §8.7.3.3)."""
    word_bytes = _BINARY_WORD_BYTES.get(vr, 1)
    if is_little_endian or word_bytes == 1:
        return value
    whole = len(value) // word_bytes * word_bytes
    return np.frombuffer(value[:whole], f">u{word_bytes}").astype(f"<u{word_bytes}").tobytes() + value[whole:]


def is_binary(vr: str) -> bool:
    return vr in _BINARY_WORD_BYTES


def _data_set(ds: Dataset, place: str) -> dict[str, Element]:
    model: dict[str, Element] = {}
    for tag, raw in list(ds.items()):
        if tag.element == 0 or tag.group in (0x0002, 0xFFFE):
            continue  # group lengths say nothing here, and meta information is no part of the data set
        name = f"{tag:08X}"
        model[name] = _element(ds, tag, raw, f"{place}/{name}")
    return model


def _element(ds: Dataset, tag: BaseTag, raw: RawDataElement | DataElement, place: str) -> Element:
    if tag == _CHARACTER_SET:
        return {"vr": "CS", "Value": [_UTF_8]}
    if isinstance(raw, RawDataElement) and raw.value is None and raw.length:
        return {"vr": raw.VR or "UN", "BulkDataURI": place}  # too long to have been read
    try:
        if isinstance(raw, RawDataElement) and (model := _quickly(raw, place)) is not None:
            return model
        return _converted(ds[tag], ds, raw, place)
    except UNREADABLE:
        return _as_text(raw)


# Four in five elements are plain enough to be read here; pydicom's own conversion takes five times as long.

_LONG_TEXT = frozenset({"ST", "LT", "UT"})
_WORDS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}


def _quickly(raw: RawDataElement, place: str) -> Element | None:
    """The model of an element of a simple kind; None for what needs pydicom."""
    vr, value = raw.VR or _vr_of(raw.tag), raw.value
    if not isinstance(value, bytes) or vr is None:
        return None
    if not value:
        return {"vr": vr}
    if vr in _WORDS:
        length = struct.calcsize(f"<{_WORDS[vr]}")
        order = "<" if raw.is_little_endian else ">"
        count = len(value) // length
        return _with_values(vr, [_number(one) for one in struct.unpack(f"{order}{count}{_WORDS[vr]}", value)])
    if is_binary(vr) and vr != "UN":
        return _binary(vr, value, raw.is_little_endian, place)
    if not value.isascii() or b"\x1b" in value:
        return None  # of a character set that the data set names
    return _plain_text(vr, value.decode("ascii").rstrip("\0 "))


def _plain_text(vr: str, text: str) -> Element | None:
    if vr in _LONG_TEXT:
        return _with_values(vr, [text or None])
    one_value = _PLAIN_VALUES.get(vr)
    return _with_values(vr, [one_value(one) for one in text.split("\\")]) if one_value else None


def _vr_of(tag: BaseTag) -> str | None:
    """The representation of an implicit element, where the dictionary has exactly one."""
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return None
    return vr if len(vr) == 2 else None


def _decimal(text: str) -> int | float | str | None:
    text = text.strip()
    try:
        return _number(float(text)) if text else None
    except ValueError:
        return text


def _whole(text: str) -> int | float | str | None:
    text = text.strip()
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else _decimal(text)


def _ascii_name(text: str) -> dict[str, str] | None:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {group: part.strip() for group, part in groups if part.strip()} or None


def _ascii_value(text: str) -> str | None:
    return text.strip("\0 ") or None


_PLAIN_VALUES: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM", "UI", "SH", "LO", "UC"), _ascii_value),
    "DS": _decimal,
    "IS": _whole,
    "PN": _ascii_name,
}


def _converted(element: DataElement, ds: Dataset, raw: RawDataElement | DataElement, place: str) -> Element:
    vr, value = str(element.VR), element.value
    if vr == "SQ":
        return _with_values("SQ", [_data_set(item, f"{place}/{n}") for n, item in enumerate(value, 1)])
    if isinstance(value, bytes):
        return _binary(vr if is_binary(vr) else "UN", value, _is_little_endian(ds, raw), place)
    if is_binary(vr):
        return {"vr": vr}
    values = list(value) if isinstance(value, MultiValue | list | tuple) else [] if value in (None, "") else [value]
    if vr not in _CONVERSIONS and vr not in _NUMBERS:
        edges = "\0" if vr in _LONG_TEXT else "\0 "
        return _with_values(vr[:2], [_text(one).strip(edges) or None for one in values])
    return _with_values(vr, [_CONVERSIONS.get(vr, _number)(one) for one in values])


def _with_values(vr: str, values: Sequence[Any]) -> Element:  # Any: values of the DICOM JSON model
    return {"vr": vr, "Value": values} if any(one is not None for one in values) else {"vr": vr}


def _binary(vr: str, value: bytes, is_little_endian: bool, place: str) -> Element:
    if not value:
        return {"vr": vr}
    if len(value) > LONGEST_INLINE_BYTES:
        return {"vr": vr, "BulkDataURI": place}
    ordered = little_endian(value, vr, is_little_endian=is_little_endian)
    return {"vr": vr, "InlineBinary": base64.b64encode(ordered).decode("ascii")}


def _is_little_endian(ds: Dataset, raw: RawDataElement | DataElement) -> bool:
    if isinstance(raw, RawDataElement):
        return bool(raw.is_little_endian)
    return ds.original_encoding[1] is not False


def _text(value: object) -> str:
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _number(value: object) -> int | float | str | None:
    """A number, or the text where it is none that JSON knows (PS3.18 F.2.3)."""
    if value is None or value == "":
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (ValueError, TypeError, OverflowError):
        return _text(value)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    return int(value) if isinstance(value, int) else number  # DSfloat and IS become plain


def _person_name(value: object) -> dict[str, str] | None:
    name = value if isinstance(value, PersonName) else PersonName(str(value))
    groups = {
        "Alphabetic": _text(name.alphabetic),
        "Ideographic": _text(name.ideographic),
        "Phonetic": _text(name.phonetic),
    }
    return {group: text for group, text in groups.items() if text} or None


def _tag_name(value: Any) -> str:
    return f"{BaseTag(value):08X}"


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"PN": _person_name, "AT": _tag_name}


def _as_text(raw: RawDataElement | DataElement) -> Element:
    """What is left of an element whose value cannot be read as what it says."""
    value, vr = raw.value, str(raw.VR or "UN")
    if not isinstance(value, bytes):
        return {"vr": vr}
    if vr in ("DS", "IS"):
        texts = [text.strip() for text in value.decode("ascii", "replace").rstrip("\0 ").split("\\")]
        return _with_values(vr, [text or None for text in texts])
    if len(value) <= LONGEST_INLINE_BYTES:
        return {"vr": "UN", "InlineBinary": base64.b64encode(value).decode("ascii")}
    return {"vr": "UN"}
