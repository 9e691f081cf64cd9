"""The DICOMDIR of a file set (PS3.10 §8, PS3.3 annex F), made record by record while its files are written elsewhere.

A record is kept as its encoded bytes, some hundred for an instance, and the places where it points at others are filled in when
all are known: their lengths do not depend on that. Only the attributes that annex F.5 names for a record are in it. What is
mandatory there and absent in an instance is filled in, in the directory alone, as other writers of media do.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import uuid4

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite, write_dataset

from appliance.storage.attributes import UNREADABLE
from appliance.storage.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.storage.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN

NAME = "DICOMDIR"
_ROOT = "DICOM"
_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
_NEXT_AT, _LOWER_AT = 8, 30
"""Where in a record the values of (0004,1400) and (0004,1420) lie, which come first, in Explicit VR Little Endian."""
_ITEM = b"\xfe\xff\x00\xe0"
_IN_USE = 0xFFFF

_IMAGE = "IMAGE"
_TYPE_BY_CLASS: tuple[tuple[str, str], ...] = (
    ("1.2.840.10008.5.1.4.1.1.88.59", "KEY OBJECT DOC"),
    ("1.2.840.10008.5.1.4.1.1.88.", "SR DOCUMENT"),
    ("1.2.840.10008.5.1.4.1.1.11.", "PRESENTATION"),
    ("1.2.840.10008.5.1.4.1.1.9.", "WAVEFORM"),
    ("1.2.840.10008.5.1.4.1.1.104.", "ENCAP DOC"),
    ("1.2.840.10008.5.1.4.1.1.481.2", "RT DOSE"),
    ("1.2.840.10008.5.1.4.1.1.481.3", "RT STRUCTURE SET"),
    ("1.2.840.10008.5.1.4.1.1.481.5", "RT PLAN"),
    ("1.2.840.10008.5.1.4.1.1.481.8", "RT PLAN"),
    ("1.2.840.10008.5.1.4.1.1.481.4", "RT TREAT RECORD"),
    ("1.2.840.10008.5.1.4.1.1.481.6", "RT TREAT RECORD"),
    ("1.2.840.10008.5.1.4.1.1.481.7", "RT TREAT RECORD"),
    ("1.2.840.10008.5.1.4.1.1.481.9", "RT TREAT RECORD"),
    ("1.2.840.10008.5.1.4.1.1.66.1", "REGISTRATION"),
    ("1.2.840.10008.5.1.4.1.1.66.2", "FIDUCIAL"),
    ("1.2.840.10008.5.1.4.1.1.66.3", "REGISTRATION"),
    ("1.2.840.10008.5.1.4.1.1.66.5", "SURFACE"),
    ("1.2.840.10008.5.1.4.1.1.66.6", "TRACT"),
    ("1.2.840.10008.5.1.4.1.1.67", "VALUE MAP"),
    ("1.2.840.10008.5.1.4.1.1.77.1.5.3", "STEREOMETRIC"),
    ("1.2.840.10008.5.1.4.1.1.4.2", "SPECTROSCOPY"),
)
"""Record type of an instance by the beginning of its SOP Class UID; of what is not here, and of 66.4 (segmentation), IMAGE."""
_RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"

_DATED = ("ContentDate", "ContentTime")
_CONTENT = (*_DATED, "InstanceNumber", "ContentLabel", "ContentDescription?", "ContentCreatorName?")
_KEYS: Mapping[str, Sequence[str]] = {
    "PATIENT": ("PatientName?", "PatientID"),
    "STUDY": ("StudyDate", "StudyTime", "StudyDescription?", "StudyInstanceUID", "StudyID", "AccessionNumber?"),
    "SERIES": ("Modality", "SeriesInstanceUID", "SeriesNumber"),
    _IMAGE: ("InstanceNumber",),
    "RT DOSE": ("InstanceNumber", "DoseSummationType"),
    "RT STRUCTURE SET": ("InstanceNumber", "StructureSetLabel", "StructureSetDate?", "StructureSetTime?"),
    "RT PLAN": ("InstanceNumber", "RTPlanLabel", "RTPlanDate?", "RTPlanTime?"),
    "RT TREAT RECORD": ("InstanceNumber", "TreatmentDate?", "TreatmentTime?"),
    "PRESENTATION": (
        "InstanceNumber", "PresentationCreationDate", "PresentationCreationTime", "ContentLabel", "ContentDescription?",
        "ContentCreatorName?", "ReferencedSeriesSequence*", "BlendingSequence*",
    ),
    "WAVEFORM": ("InstanceNumber", *_DATED),
    "SR DOCUMENT": (
        "InstanceNumber", "CompletionFlag", "VerificationFlag", *_DATED, "VerificationDateTime*", "ConceptNameCodeSequence",
    ),
    "KEY OBJECT DOC": ("InstanceNumber", *_DATED, "ConceptNameCodeSequence"),
    "SPECTROSCOPY": (
        "ImageType", *_DATED, "InstanceNumber", "NumberOfFrames", "Rows", "Columns", "DataPointRows", "DataPointColumns",
    ),
    "RAW DATA": (*_DATED, "InstanceNumber"),
    "REGISTRATION": _CONTENT,
    "FIDUCIAL": _CONTENT,
    "SURFACE": _CONTENT,
    "TRACT": _CONTENT,
    "VALUE MAP": _CONTENT,
    "STEREOMETRIC": (),
    "ENCAP DOC": (
        "ContentDate?", "ContentTime?", "InstanceNumber", "DocumentTitle?", "HL7InstanceIdentifier*",
        "ConceptNameCodeSequence?", "MIMETypeOfEncapsulatedDocument",
    ),
}  # fmt: skip
"""PS3.3 F.5: what is in a record. ``?`` may be empty (type 2), ``*`` may be absent (type 1C)."""
_FILLED_IN = {"DA": "19000101", "TM": "000000", "IS": "1", "CS": "UNKNOWN", "PatientID": "UNKNOWN", "StudyID": "1"}
"""For what must have a value and has none, by keyword or else by representation."""

Model = Mapping[str, Any]  # Any: values of the DICOM JSON model


_ENTRY = frozenset(
    f"{tag_for_keyword(key.rstrip('?*')):08X}"
    for keys in (*_KEYS.values(), ("SOPClassUID", "SOPInstanceUID"))
    for key in keys
)


def entry_of(model: Model) -> dict[str, Any]:
    """Of an instance's metadata what a directory may say of it."""
    return {tag: element for tag, element in model.items() if tag in _ENTRY}


@dataclass
class _Record:
    encoded: bytearray
    next: int | None = None
    lower: int | None = None
    """Numbers of records."""


class MediaDirectory:
    """Of one study: its instances come series by series."""

    def __init__(self) -> None:
        self._uid = f"2.25.{uuid4().int}"
        self._records: list[_Record] = []
        self._series_count = 0
        self._instance_count = 0
        self._series_uid: str | None = None
        self._last_of: dict[str, int] = {}
        """The last record of a level, under the one above that is filled now."""

    def place(self, series_uid: str) -> tuple[str, ...]:
        """The File ID of the instance that comes next (PS3.10 §8.2): components of at most eight of A-Z, 0-9 and _."""
        is_new = series_uid != self._series_uid
        series = self._series_count + is_new
        instance = 1 if is_new else self._instance_count + 1
        return _ROOT, f"SE{series:06d}", f"IM{instance:06d}"

    def add(self, series_uid: str, model: Model, transfer_syntax_uid: str) -> None:
        """The instance that is described by ``model`` lies at the place that was said of it."""
        file_id = self.place(series_uid)
        if not self._records:
            self._append("PATIENT", "patient", _values(model, "PATIENT"))
            self._append("STUDY", "study", _values(model, "STUDY"), below="patient")
        if series_uid != self._series_uid:
            self._series_count += 1
            self._series_uid, self._instance_count = series_uid, 0
            self._last_of.pop("instance", None)
            self._append("SERIES", "series", _values(model, "SERIES"), below="study")
        self._instance_count += 1
        kind = _record_type(_text(model, "SOPClassUID"))
        record = _values(model, kind)
        record.ReferencedFileID = list(file_id)
        record.ReferencedSOPClassUIDInFile = _text(model, "SOPClassUID")
        record.ReferencedSOPInstanceUIDInFile = _text(model, "SOPInstanceUID")
        record.ReferencedTransferSyntaxUIDInFile = transfer_syntax_uid
        self._append(kind, "instance", record, below="series")

    def encoded(self) -> bytes:
        """The file. ValueError of a directory of nothing."""
        if not self._records:
            raise ValueError("a directory of no instance")
        offsets, at = [], len(_head(self._uid, 0)) + _SEQUENCE_HEADER_BYTES
        for record in self._records:
            offsets.append(at)
            at += len(_ITEM) + 4 + len(record.encoded)
        head = _head(self._uid, offsets[0])
        body = bytearray()
        for record in self._records:
            for where, number in ((_NEXT_AT, record.next), (_LOWER_AT, record.lower)):
                struct.pack_into("<L", record.encoded, where, 0 if number is None else offsets[number])
            body += _ITEM + struct.pack("<L", len(record.encoded)) + record.encoded
        sequence = b"\x04\x00\x20\x12SQ\x00\x00" + struct.pack("<L", len(body))
        return head + sequence + bytes(body)

    def _append(self, kind: str, level: str, record: Dataset, below: str | None = None) -> None:
        record.OffsetOfTheNextDirectoryRecord = 0
        record.RecordInUseFlag = _IN_USE
        record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
        record.DirectoryRecordType = kind
        number = len(self._records)
        self._records.append(_Record(_encoded_item(record)))
        if level in self._last_of:
            self._records[self._last_of[level]].next = number
        elif below is not None:
            self._records[self._last_of[below]].lower = number
        self._last_of[level] = number


_SEQUENCE_HEADER_BYTES = 12


def _record_type(sop_class_uid: str) -> str:
    if sop_class_uid == _RAW_DATA:
        return "RAW DATA"
    matching = (kind for beginning, kind in _TYPE_BY_CLASS if _is_under(sop_class_uid, beginning))
    return next(matching, _IMAGE)


def _is_under(uid: str, beginning: str) -> bool:
    return uid == beginning or uid.startswith(beginning if beginning.endswith(".") else f"{beginning}.")


def _values(model: Model, kind: str) -> Dataset:
    """The attributes of a record as an instance has them."""
    record = Dataset()
    for key in _KEYS[kind]:
        keyword = key.rstrip("?*")
        value = _element(model, keyword)
        if value is not None:
            record.update(value)
        elif not key.endswith("*"):
            vr = dictionary_VR(keyword)
            filled = "" if key.endswith("?") else _FILLED_IN.get(keyword, _FILLED_IN.get(vr, ""))
            setattr(record, keyword, [] if vr == "SQ" else filled)
    if any(not element.value.isascii() for element in record if isinstance(element.value, str)) or _has_other_names(
        record
    ):
        record.SpecificCharacterSet = "ISO_IR 192"
    return record


def _has_other_names(record: Dataset) -> bool:
    """Whether a name, or a text within a sequence, has letters beyond ASCII."""
    return any(not str(element.value).isascii() for element in record if element.VR in ("PN", "SQ"))


def _element(model: Model, keyword: str) -> Dataset | None:
    """The element alone in a data set; None where the instance has no value, or none that can be written."""
    tag = f"{tag_for_keyword(keyword):08X}"
    element = model.get(tag)
    if not isinstance(element, Mapping) or not element.get("Value"):
        return None
    try:
        ds = Dataset.from_json({tag: dict(element)})
        _encoded_item(ds)
    except UNREADABLE:
        return None
    return ds


def _text(model: Model, keyword: str) -> str:
    values = model.get(f"{tag_for_keyword(keyword):08X}", {}).get("Value") or [""]
    return str(values[0])


def _encoded_item(record: Dataset) -> bytearray:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, record, parent_encoding="utf-8")
    return bytearray(buffer.getvalue())


def _head(uid: str, first_record_at: int) -> bytes:
    """The file up to its records; there is one at the root, so that the first is the last."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = _MEDIA_STORAGE_DIRECTORY
    ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.file_meta.TransferSyntaxUID = EXPLICIT_LITTLE_ENDIAN
    ds.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    ds.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    ds.preamble = bytes(128)
    ds.FileSetID = ""
    ds.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = first_record_at
    ds.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = first_record_at
    ds.FileSetConsistencyFlag = 0
    buffer = BytesIO()
    dcmwrite(buffer, ds, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()
