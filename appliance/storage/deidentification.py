"""An object without who it is of: the Basic Application Level Confidentiality Profile (PS3.15 E.2), on a data set.

What becomes of an attribute stands in ``confidentiality_profile.tsv``, which is table E.1-1. Where that leaves a choice to the
object's definition (X/Z, X/D, Z/D …) the later letter is taken, which keeps every object what it is. What the table does not name
stays, but for private attributes, curves, overlays, unknown attributes, UIDs that are not the standard's, names and dates, which
are treated like those of the table; and but for texts that repeat what was taken away elsewhere.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

from pydicom.datadict import dictionary_has_tag, dictionary_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag

from appliance.domain.anonymity import Dates, Pseudonymity
from appliance.domain.errors import NotAcceptable
from appliance.storage.attributes import UNREADABLE, text_of
from appliance.storage.bulk_data import Place
from appliance.storage.fragments import read_fragments
from appliance.storage.parsing import Header, PixelElement, read_header
from appliance.storage.part10 import file_head
from appliance.storage.stream import Readable
from appliance.storage.structure import DataSetLimits
from appliance.storage.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)

_TABLE = Path(__file__).with_name("confidentiality_profile.tsv")
_UNDEFINED_LENGTH = 0xFFFFFFFF
_END_OF_FRAGMENTS = b"\xfe\xff\xdd\xe0\0\0\0\0"
_REFUSED = "not-anonymisable"
_STANDARD_UIDS = "1.2.840.10008."
_KINDS_OF_UID = re.compile("SOPClass|TransferSyntax|CodingScheme|ContextUID|ContextGroup|MappingResource")
"""Keywords of UIDs that say what something is and not which one."""
_DELIMITERS = 0xFFFE
_REMOVED_GROUPS = frozenset({0x5000, 0x6000})
_DATES = frozenset({"DA", "DT", "TM"})
_TEXTS = frozenset({"LO", "SH", "LT", "ST", "UT", "UC", "UR", "AE"})
_IDENTIFYING = frozenset({"PN", "CS", *_TEXTS})
_SHORTEST_REPEATED = 4
"""Characters of a word of a name or a number that is looked for in the texts that stay."""
_DUMMY_DATE = "19000101"
_DUMMY_TEXT = "ANONYMOUS"
_DUMMIES: dict[str, object] = {
    "AE": "ANONYMOUS", "AS": "000Y", "AT": 0, "CS": "ANONYMOUS", "DA": _DUMMY_DATE, "DS": "0", "DT": f"{_DUMMY_DATE}000000",
    "FD": 0.0, "FL": 0.0, "IS": "0", "LO": "ANONYMOUS", "LT": "ANONYMOUS", "PN": "ANONYMOUS", "SH": "ANONYMOUS", "SL": 0,
    "SS": 0, "ST": "ANONYMOUS", "SV": 0, "TM": "000000", "UC": "ANONYMOUS", "UL": 0, "UR": "urn:anonymous", "US": 0,
    "UT": "ANONYMOUS", "UV": 0,
}  # fmt: skip
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})(.*)", re.DOTALL)
_METHODS = (("113100", "Basic Application Confidentiality Profile"),)
_SHIFTED = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
"""PS3.16 CID 7050."""


@functools.cache
def profile() -> dict[int, tuple[str, bool]]:
    """By tag: the action of the Basic Profile, and whether dates are changed and kept where that is an option."""
    rows = (line.split("\t") for line in _TABLE.read_text(encoding="ascii").splitlines() if not line.startswith("#"))
    return {int(tag, 16): (action, modified == "C") for tag, action, modified, _ in rows}


def deidentify(ds: Dataset, how: Pseudonymity) -> None:
    """``ds``, read up to its pixels, is of nobody any more, and says so. NotAcceptable where it cannot be read through."""
    try:
        if not text_of(ds, "SOPInstanceUID"):
            ds.SOPInstanceUID = text_of(ds.file_meta, "MediaStorageSOPInstanceUID")
        known = _known_of(ds)
        _clean(ds, how)
        _forget_repeated(ds, known)
        _pretend(ds, how)
    except UNREADABLE as error:
        # Without "from": the message of the cause may quote the file.
        raise NotAcceptable(f"an attribute cannot be read ({type(error).__name__})", key=_REFUSED) from None


def new_uid(uid: str, how: Pseudonymity) -> str:
    """The UID that stands for another in this copy (PS3.5 B.2)."""
    digest = hmac.new(how.key, uid.encode("utf-8"), hashlib.sha256).digest()
    return f"2.25.{UUID(bytes=digest[:16], version=4).int}"


@dataclass(frozen=True, slots=True)
class Anonymised:
    """An object in three pieces: made, as it is stored, made."""

    head: bytes
    """The file up to the element of its pixels, or with it where the object was deflated."""
    pixels: Place | None
    """That element in the stored bytes, but for what ends a sequence of fragments."""
    tail: bytes
    transfer_syntax_uid: str
    ds: Dataset


def anonymised(reader: Readable, how: Pseudonymity, limits: DataSetLimits) -> Anonymised:
    """An object without who it is of, its pixels as they are. Raises NotDicom, and NotAcceptable with the reason."""
    header = read_header(reader, limits)
    if header.pixels is None:
        raise NotAcceptable("the object has no pixels", key=_REFUSED)
    syntax = header.transfer_syntax_uid
    is_deflated = syntax == DEFLATED_EXPLICIT_LITTLE_ENDIAN
    written_in = EXPLICIT_LITTLE_ENDIAN if is_deflated else syntax
    deidentify(header.ds, how)
    head = _encoded_head(header.ds, written_in)
    place, tail = _pixel_element(header, header.pixels)
    if is_deflated:
        return Anonymised(head + header.content.read_at(place.offset, place.length), None, tail, written_in, header.ds)
    return Anonymised(head, place, tail, written_in, header.ds)


def _pixel_element(header: Header, pixels: PixelElement) -> tuple[Place, bytes]:
    """Where the element lies, its tag and length with it, and what is to follow. What stands behind it is left out."""
    start = pixels.offset - (8 if header.transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN else 12)
    if pixels.length != _UNDEFINED_LENGTH:
        end = pixels.offset + pixels.length
        if end > header.content.size_bytes:
            raise NotAcceptable("the pixels are cut off", key=_REFUSED)
        return Place(start, end - start), b""
    fragments = read_fragments(header.content, pixels.offset)
    end = sum(fragments.spans[-1]) if fragments.spans else fragments.first_item
    return Place(start, end - start), _END_OF_FRAGMENTS


def _encoded_head(ds: Dataset, transfer_syntax_uid: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian = transfer_syntax_uid != EXPLICIT_BIG_ENDIAN
    buffer.is_implicit_VR = transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN
    try:
        write_dataset(buffer, ds)
        head = file_head(text_of(ds, "SOPClassUID"), text_of(ds, "SOPInstanceUID"), transfer_syntax_uid)
        return head + bytes(buffer.getvalue())
    except (*UNREADABLE, OSError) as error:
        raise NotAcceptable(f"an attribute cannot be written ({type(error).__name__})", key=_REFUSED) from None


# By the table


def _clean(ds: Dataset, how: Pseudonymity) -> None:
    for tag in list(ds.keys()):
        if not _is_of_the_standard(tag) or tag.group & 0xFF00 in _REMOVED_GROUPS:
            del ds[tag]
            continue
        element = ds[tag]
        action, is_date_kept = profile().get(int(tag), (None, False))
        if action is None:
            _clean_unlisted(ds, element, how)
        elif is_date_kept and how.dates is Dates.SHIFTED and element.VR in _DATES and _shift(element, how):
            continue
        else:
            _act(ds, element, action.split("/")[-1], how)


def _is_of_the_standard(tag: BaseTag) -> bool:
    """Whether it is an attribute that the standard's dictionary has; delimiters and lengths of groups are none."""
    return not tag.is_private and tag.element != 0 and tag.group != _DELIMITERS and dictionary_has_tag(tag)


def _clean_unlisted(ds: Dataset, element: DataElement, how: Pseudonymity) -> None:
    vr = str(element.VR)
    if vr == "SQ":
        for item in element.value:
            _clean(item, how)
    elif vr == "UI":
        if not _KINDS_OF_UID.search(dictionary_keyword(element.tag)):
            _replace_uids(element, how)
    elif vr == "PN" or (vr in ("DA", "DT") and not (how.dates is Dates.SHIFTED and _shift(element, how))):
        element.value = ""
    elif vr == "UN":
        del ds[element.tag]


def _act(ds: Dataset, element: DataElement, action: str, how: Pseudonymity) -> None:
    vr = str(element.VR)
    if action == "X":
        del ds[element.tag]
    elif action == "Z":
        element.value = [] if vr == "SQ" else b"" if isinstance(element.value, bytes) else ""
    elif action == "D":
        element.value = _dummy(element, how)
    elif action == "U":
        _replace_uids(element, how)
    else:  # U*: a sequence whose UIDs are replaced
        for item in element.value:
            _clean(item, how)


def _dummy(element: DataElement, how: Pseudonymity) -> object:
    vr = str(element.VR)
    if vr == "SQ":
        return DicomSequence([_dummy_item(item, how) for item in list(element.value)[:1]])
    if vr == "UI":
        return new_uid(str(element.value), how)
    return _DUMMIES.get(vr, bytes(8))


def _dummy_item(item: Dataset, how: Pseudonymity) -> Dataset:
    """The same attributes with nothing of what they said, so that what is mandatory is there."""
    dummy = Dataset()
    for element in item:
        if _is_of_the_standard(element.tag) and element.VR != "UN":
            dummy.add(DataElement(element.tag, element.VR, _dummy(element, how)))
    return dummy


def _replace_uids(element: DataElement, how: Pseudonymity) -> None:
    if not element.value:
        return
    values = [str(uid) for uid in (element.value if isinstance(element.value, MultiValue | list) else [element.value])]
    replaced = [uid if uid.startswith(_STANDARD_UIDS) else new_uid(uid, how) for uid in values]
    element.value = replaced if len(replaced) > 1 else replaced[0]


def _shift(element: DataElement, how: Pseudonymity) -> bool:
    """Whether every date of the element is one, and moved; a time of day stays."""
    if element.VR == "TM":
        return True
    if not element.value:
        return True
    values = [str(one) for one in (element.value if isinstance(element.value, MultiValue | list) else [element.value])]
    try:
        moved = [_moved(one, how.shift_days) for one in values]
    except (ValueError, OverflowError):
        return False
    element.value = moved if len(moved) > 1 else moved[0]
    return True


def _moved(text: str, days: int) -> str:
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise ValueError("no date")
    year, month, day = (int(part) for part in found.groups()[:3])
    return (date(year, month, day) - timedelta(days=days)).strftime("%Y%m%d") + found[4]


# What is said twice


def _known_of(ds: Dataset) -> frozenset[str]:
    """Names by word and numbers as a whole, as far as the profile takes them away, in small letters."""
    known: set[str] = set()
    for element in _leaves(ds):
        text = str(element.value).casefold()
        if element.VR == "PN":
            known.update(re.split(r"[\s^=\\,;]+", text))
        elif dictionary_keyword(element.tag) in _IDENTITIES:
            known.add(text.strip())
    return frozenset(word for word in known if len(word) >= _SHORTEST_REPEATED)


_IDENTITIES = frozenset(
    {
        "AccessionNumber", "PatientID", "OtherPatientIDs", "StudyID", "IssuerOfPatientID", "InstitutionName",
        "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber", "AdmissionID", "MedicalRecordLocator",
        "PatientAddress", "PatientTelephoneNumbers", "MilitaryRank", "RequestedProcedureID", "ScheduledProcedureStepID",
        "PerformedProcedureStepID", "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest",
    }
)  # fmt: skip


def _leaves(ds: Dataset) -> Iterator[DataElement]:
    """Texts and names of the dictionary, those of sequences too."""
    for tag in list(ds.keys()):
        if not _is_of_the_standard(tag):
            continue
        element = ds[tag]
        if element.VR == "SQ":
            for item in element.value:
                yield from _leaves(item)
        elif element.VR in _IDENTIFYING:
            yield element


def _forget_repeated(ds: Dataset, known: frozenset[str]) -> None:
    """A text that stays and has one of the words is emptied."""
    if not known:
        return
    for element in _leaves(ds):
        if str(element.value) != _DUMMY_TEXT and any(word in str(element.value).casefold() for word in known):
            element.value = ""


def _pretend(ds: Dataset, how: Pseudonymity) -> None:
    """A name that is nobody's, the same in the whole copy, and the word of what was done (PS3.15 E.1.1, PS3.3 C.12)."""
    ds.PatientName = ds.PatientID = f"ANON{hmac.new(how.key, b'patient', hashlib.sha256).hexdigest()[:8].upper()}"
    ds.PatientIdentityRemoved = "YES"
    is_shifted = how.dates is Dates.SHIFTED
    ds.LongitudinalTemporalInformationModified = "MODIFIED" if is_shifted else "REMOVED"
    methods = (*_METHODS, _SHIFTED) if is_shifted else _METHODS
    ds.DeidentificationMethod = [meaning[:64] for _, meaning in methods]
    ds.DeidentificationMethodCodeSequence = DicomSequence([_code(*method) for method in methods])


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning[:64]
    return item
