"""The DICOM JSON model (PS3.18 annex F) as the Native DICOM Model in XML (PS3.19 annex A), for those who ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pydicom.datadict import keyword_for_tag

Json = Mapping[str, Mapping[str, Any]]
"""A data set in the DICOM JSON model: by tag, eight hexadecimal digits, ``vr`` and what it holds."""

_NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NAME_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def native_model(ds: Json) -> bytes:
    """The data set as an XML document."""
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n', f'<NativeDicomModel xmlns="{_NAMESPACE}">']
    _data_set(parts, ds)
    parts.append("</NativeDicomModel>\n")
    return "".join(parts).encode()


def _data_set(parts: list[str], ds: Json) -> None:
    for tag, element in sorted(ds.items()):
        keyword = keyword_for_tag(int(tag, 16))
        named = f" keyword={quoteattr(keyword)}" if keyword else ""
        parts.append(f'<DicomAttribute tag="{tag}" vr={quoteattr(element["vr"])}{named}>')
        _content(parts, element)
        parts.append("</DicomAttribute>")


def _content(parts: list[str], element: Mapping[str, Any]) -> None:
    if "InlineBinary" in element:
        parts.append(f"<InlineBinary>{element['InlineBinary']}</InlineBinary>")
    if "BulkDataURI" in element:
        parts.append(f"<BulkData uri={quoteattr(element['BulkDataURI'])}/>")
    values: Sequence[Any] = element.get("Value", ())
    for number, value in enumerate(values, 1):
        if value is None:
            continue
        if element["vr"] == "SQ":
            parts.append(f'<Item number="{number}">')
            _data_set(parts, value)
            parts.append("</Item>")
        elif element["vr"] == "PN":
            _person_name(parts, number, value)
        else:
            parts.append(f'<Value number="{number}">{_text(value)}</Value>')


def _person_name(parts: list[str], number: int, value: Mapping[str, str]) -> None:
    parts.append(f'<PersonName number="{number}">')
    for group in _NAME_GROUPS:
        if group in value:
            parts.append(f"<{group}>")
            for component, text in zip(_NAME_COMPONENTS, value[group].split("^"), strict=False):
                if text:
                    parts.append(f"<{component}>{_text(text)}</{component}>")
            parts.append(f"</{group}>")
    parts.append("</PersonName>")


def _text(value: object) -> str:
    # XML 1.0 §2.2 has no other control characters.
    return escape("".join(one for one in str(value) if one >= " " or one in "\t\n\r"))
