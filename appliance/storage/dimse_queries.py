"""The index by the identifiers of C-FIND, C-GET and C-MOVE (PS3.4 annex C), and by those of storage commitment (annex J).

``ATTRIBUTES`` is the whole of what is matched and returned; the conformance statement prints it. An attribute above the
level that is asked for matches as one of the level does; a list of UIDs, a range, wildcards and an empty value are meant as
PS3.4 C.2.2.2 says. What is asked for and not kept comes back empty, and so do sequences. Identifiers without the unique
keys above their level are answered too.

The engine narrows down, exact matching is done here: engines do not agree about upper and lower case.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

from appliance.domain.errors import BadRequest
from appliance.domain.identifiers import checked_uid
from appliance.storage import queries
from appliance.storage.attributes import text_of, texts_of
from appliance.storage.database import Transaction
from appliance.storage.index import InstanceRow, SeriesRow, StudyRow

MOST_MATCHES = 20_000
"""In one answer. A peer that wants more asks more narrowly, and is told so."""
MOST_INSTANCES = 60_000
"""In one C-GET or C-MOVE; sub-operations are counted in 16 bits (PS3.7 §9.1.3)."""
_VALUES_AT_ONCE = 500
"""In one question to the engine, which takes a bounded number of parameters."""
_PATIENT_GROUP = "0010"
_LONGEST_INFLATED_BYTES = 16 * 1024 * 1024


class Level(IntEnum):
    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3


@dataclass(frozen=True, slots=True)
class Attribute:
    keyword: str
    vr: str
    level: Level
    column: Any = None  # peewee has no types
    """None for what is counted or gathered when it is asked for."""
    is_matched: bool = True
    """Else it is returned only."""


def _as_identified(known: queries.Attribute) -> Attribute:
    """An attribute of the one table, in the levels of DIMSE; those of a patient stand at the study there."""
    level = Level.PATIENT if known.tag.startswith(_PATIENT_GROUP) else Level(known.level + 1)
    column = None if known.tag == queries.MODALITIES else known.column
    return Attribute(known.keyword, known.vr, level, column, known.kind is not queries.Kind.RETURNED)


ATTRIBUTES = tuple(
    sorted(
        (_as_identified(known) for known in queries.ATTRIBUTES if not known.sequence),
        key=lambda attribute: attribute.level,
    )
)
_BY_KEYWORD = {attribute.keyword: attribute for attribute in ATTRIBUTES}
_UNIQUE = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}
_NOT_KEYS = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet", "RetrieveAETitle", "InstanceAvailability"})
_IS_UTF_8 = "ISO_IR 192"


@dataclass(frozen=True, slots=True)
class Identifier:
    """What a peer asks for."""

    level: Level
    keys: dict[str, str]
    """Value by keyword, the values of several joined by a backslash; empty for what is only to be returned."""
    others: tuple[tuple[int, str], ...]
    """Tag and VR of what was asked for and is not kept."""
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class HeldInstance:
    """What sending an instance needs to know."""

    instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    key: str
    study_uid: str
    size_bytes: int


def read_identifier(data: bytes, transfer_syntax_uid: str, *, top: Level) -> Identifier:
    """The identifier of a request to an information model whose highest level is ``top``. Raises BadRequest."""
    ds = decoded(data, transfer_syntax_uid)
    level_name = text_of(ds, "QueryRetrieveLevel").upper()
    if level_name not in Level.__members__ or Level[level_name] < top:
        raise BadRequest("QueryRetrieveLevel is none of this model", parameter="QueryRetrieveLevel")
    keys: dict[str, str] = {}
    others: list[tuple[int, str]] = []
    for element in ds:
        if element.tag.is_private or element.tag.element == 0 or element.keyword in _NOT_KEYS:
            continue
        if element.keyword in _BY_KEYWORD:
            keys[element.keyword] = "\\".join(texts_of(ds, element.keyword))
        elif element.keyword:
            others.append((int(element.tag), element.VR))
    return Identifier(Level[level_name], keys, tuple(others), transfer_syntax_uid)


def find(tx: Transaction, wanted: Identifier) -> tuple[list[dict[str, Any]], bool]:
    """What matches, as values by keyword, and whether there may be more. Raises BadRequest for a value that is none."""
    matching = [
        (keyword, _matcher(keyword, value)) for keyword, value in wanted.keys.items() if _is_matched(keyword, value)
    ]
    columns = [a for a in ATTRIBUTES if a.column is not None and a.level <= wanted.level]
    query = _FROM[wanted.level]([a.column.alias(a.keyword) for a in columns])
    for keyword, value in wanted.keys.items():
        is_narrowed = _is_matched(keyword, value) and _BY_KEYWORD[keyword].level <= wanted.level
        condition = _narrowed(keyword, value) if is_narrowed else None
        if condition is not None:
            query = query.where(condition)
    rows = tx.rows(query.order_by(*_ORDER[wanted.level]).limit(MOST_MATCHES).dicts())
    found = [row for row in rows if all(matches(row[k]) for k, matches in matching if k in row)]
    _add_totals(tx, wanted, found)
    modalities = [matches for keyword, matches in matching if keyword == "ModalitiesInStudy"]
    if modalities:
        found = [row for row in found if any(modalities[0](one) for one in row["ModalitiesInStudy"])]
    if wanted.level is Level.PATIENT:
        found = list({(row["PatientID"], row["IssuerOfPatientID"]): row for row in reversed(found)}.values())
    return found, len(rows) == MOST_MATCHES


def encoded_match(match: dict[str, Any], wanted: Identifier, ae_title: str) -> bytes:
    """One match as the identifier of a response, with what was asked for and no more."""
    ds = Dataset()
    ds.SpecificCharacterSet = _IS_UTF_8
    ds.QueryRetrieveLevel = wanted.level.name
    ds.RetrieveAETitle = ae_title
    ds.InstanceAvailability = "ONLINE"
    unique = [_UNIQUE[level] for level in Level if min(Level.STUDY, wanted.level) <= level <= wanted.level]
    for keyword in [*wanted.keys, *unique]:
        if keyword in match:
            setattr(ds, keyword, _as_dicom(keyword, match[keyword]))
        elif keyword in wanted.keys:
            setattr(ds, keyword, None)
    for tag, vr in wanted.others:
        ds.add(DataElement(tag, vr, Items() if vr == "SQ" else None))
    return encoded(ds, wanted.transfer_syntax_uid)


def instances_to_send(tx: Transaction, wanted: Identifier) -> list[HeldInstance]:
    """The instances that an identifier of C-GET or C-MOVE names by its unique keys (PS3.4 C.4.2.1.4). Raises BadRequest."""
    name = _UNIQUE[wanted.level]
    if not wanted.keys.get(name) or "*" in wanted.keys[name] or "?" in wanted.keys[name]:
        raise BadRequest(f"{name} is missing", parameter=name)
    conditions = []
    for level in Level:
        key = wanted.keys.get(_UNIQUE[level], "")
        if level < wanted.level and key:
            conditions.append(_one_of(_RETRIEVED_BY[level], _listed(_UNIQUE[level], key)))
    found: list[HeldInstance] = []
    for values in _portions(_listed(name, wanted.keys[name])):
        query = _instances([]).where(_one_of(_RETRIEVED_BY[wanted.level], values))
        for condition in conditions:
            query = query.where(condition)
        found += _held(tx, query.limit(MOST_INSTANCES + 1))
        if len(found) > MOST_INSTANCES:
            raise BadRequest(f"more than {MOST_INSTANCES} instances", key="too-many-instances")
    return found


# Storage commitment


class FailureReason(IntEnum):
    """PS3.3 C.14.1.1."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """PS3.4 table J.3-1."""

    transaction_uid: str
    instances: tuple[tuple[str, str], ...]
    """Class and instance UID of each."""


def read_commitment(data: bytes, transfer_syntax_uid: str) -> CommitmentRequest:
    """Raises BadRequest."""
    ds = decoded(data, transfer_syntax_uid)
    transaction_uid = checked_uid(text_of(ds, "TransactionUID"), "TransactionUID")
    items = ds.get("ReferencedSOPSequence") or []
    instances = tuple(
        (
            checked_uid(text_of(item, "ReferencedSOPClassUID"), "ReferencedSOPClassUID"),
            checked_uid(text_of(item, "ReferencedSOPInstanceUID"), "ReferencedSOPInstanceUID"),
        )
        for item in items
    )
    if not instances:
        raise BadRequest("ReferencedSOPSequence is missing", parameter="ReferencedSOPSequence")
    return CommitmentRequest(transaction_uid, instances)


def held_instances(tx: Transaction, uids: Iterable[str]) -> dict[str, HeldInstance]:
    """Those of these instances that are held, by UID."""
    held: dict[str, HeldInstance] = {}
    for values in _portions(list(uids)):
        held.update({one.instance_uid: one for one in _held(tx, _instances([]).where(_one_of(_INSTANCE, values)))})
    return held


def encoded_commitment(
    request: CommitmentRequest, failed: dict[str, FailureReason], transfer_syntax_uid: str, ae_title: str
) -> bytes:
    """The event information of a result (PS3.4 table J.3-2)."""
    ds = Dataset()
    ds.TransactionUID = request.transaction_uid
    ds.RetrieveAETitle = ae_title
    kept = [_reference(*one) for one in request.instances if one[1] not in failed]
    lost = [_reference(*one, failed[one[1]]) for one in request.instances if one[1] in failed]
    if kept:
        ds.ReferencedSOPSequence = Items(kept)
    if lost:
        ds.FailedSOPSequence = Items(lost)
    return encoded(ds, transfer_syntax_uid)


def encoded_failures(uids: Sequence[str], transfer_syntax_uid: str) -> bytes:
    """Failed SOP Instance UID List, as the last response of a C-GET or C-MOVE has it."""
    ds = Dataset()
    ds.FailedSOPInstanceUIDList = list(uids)
    return encoded(ds, transfer_syntax_uid)


def _reference(sop_class_uid: str, instance_uid: str, reason: FailureReason | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = instance_uid
    if reason is not None:
        item.FailureReason = int(reason)
    return item


# Data sets as they are on the wire


def decoded(data: bytes, transfer_syntax_uid: str) -> Dataset:
    """A small data set. Raises BadRequest."""
    syntax = UID(transfer_syntax_uid)
    try:
        if syntax.is_deflated:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            data = inflater.decompress(data, _LONGEST_INFLATED_BYTES)
        ds = read_dataset(BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian, bytelength=len(data))
        ds.decode()
    except Exception:
        # pydicom raises almost anything over bytes that are no data set, and its text may quote them.
        raise BadRequest("the data set cannot be read", key="unreadable-identifier") from None
    return ds


def encoded(ds: Dataset, transfer_syntax_uid: str) -> bytes:
    syntax = UID(transfer_syntax_uid)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_dataset(buffer, ds)
    data = bytes(buffer.getvalue())
    if not syntax.is_deflated:
        return data
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = deflater.compress(data) + deflater.flush()
    return packed + b"\0" * (len(packed) % 2)


def _as_dicom(keyword: str, value: Any) -> Any:
    vr = dictionary_VR(tag_for_keyword(keyword))
    if value is None:
        return None
    if vr == "DA":
        return str(value).replace("-", "")
    if vr == "TM":
        return str(value).replace(":", "")
    return value


# Where it is looked for


def _studies(columns: Sequence[Any]) -> Any:
    return StudyRow.select(*columns)


def _series(columns: Sequence[Any]) -> Any:
    return SeriesRow.select(*columns).join(StudyRow, on=(StudyRow.study_uid == SeriesRow.study_uid))


def _instances(columns: Sequence[Any]) -> Any:
    of_series = (SeriesRow.study_uid == InstanceRow.study_uid) & (SeriesRow.series_uid == InstanceRow.series_uid)
    query = InstanceRow.select(*(columns or _TO_SEND)).join(SeriesRow, on=of_series)
    return query.join(StudyRow, on=(StudyRow.study_uid == InstanceRow.study_uid))


_TO_SEND = (
    InstanceRow.instance_uid,
    InstanceRow.sop_class_uid,
    InstanceRow.transfer_syntax_uid,
    InstanceRow.key,
    InstanceRow.study_uid,
    InstanceRow.size_bytes,
)
_INSTANCE = InstanceRow.instance_uid
_FROM: dict[Level, Callable[[Sequence[Any]], Any]] = {
    Level.PATIENT: _studies,
    Level.STUDY: _studies,
    Level.SERIES: _series,
    Level.IMAGE: _instances,
}
_ORDER: dict[Level, tuple[Any, ...]] = {
    Level.PATIENT: (StudyRow.person_name, StudyRow.patient_id),
    Level.STUDY: (StudyRow.date.desc(), StudyRow.study_uid),
    Level.SERIES: (SeriesRow.study_uid, SeriesRow.number, SeriesRow.series_uid),
    Level.IMAGE: (InstanceRow.study_uid, InstanceRow.series_uid, InstanceRow.number, InstanceRow.instance_uid),
}
_RETRIEVED_BY = {
    Level.PATIENT: StudyRow.patient_id,
    Level.STUDY: InstanceRow.study_uid,
    Level.SERIES: InstanceRow.series_uid,
    Level.IMAGE: _INSTANCE,
}


def _held(tx: Transaction, query: Any) -> list[HeldInstance]:
    return [HeldInstance(*row) for row in tx.rows(query.tuples())]


def _add_totals(tx: Transaction, wanted: Identifier, found: list[dict[str, Any]]) -> None:
    """What is counted or gathered over the series of a study, where it is asked for."""
    if not {"ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"} & wanted.keys.keys():
        return
    series: dict[str, list[tuple[str, int]]] = {
        row["StudyInstanceUID"]: [] for row in found if "StudyInstanceUID" in row
    }
    for uids in _portions(list(series)):
        query = SeriesRow.select(SeriesRow.study_uid, SeriesRow.modality, SeriesRow.instance_count)
        for study_uid, modality, count in tx.rows(query.where(_one_of(SeriesRow.study_uid, uids)).tuples()):
            series[study_uid].append((modality, count))
    for row in found:
        of_study = series.get(row.get("StudyInstanceUID", ""), [])
        row["ModalitiesInStudy"] = sorted({modality for modality, _ in of_study if modality})
        row["NumberOfStudyRelatedSeries"] = len(of_study)
        row["NumberOfStudyRelatedInstances"] = sum(count for _, count in of_study)


# How it is matched


def _is_matched(keyword: str, value: str) -> bool:
    """Whether a key narrows anything down: universal matching (PS3.4 C.2.2.2.3) does not."""
    return bool(value.strip("*")) and _BY_KEYWORD[keyword].is_matched


def _narrowed(keyword: str, value: str) -> Any:
    """A condition for the engine that leaves out nothing that matches; None if it can leave out nothing."""
    column = _BY_KEYWORD[keyword].column
    vr = dictionary_VR(tag_for_keyword(keyword))
    if column is None or vr in ("PN", "TM", "IS", "US"):
        return None
    if vr == "UI":
        values = _listed(keyword, value)
        return _one_of(column, values) if len(values) <= _VALUES_AT_ONCE else None
    if vr == "DA":
        first, last = _range(value, _day)
        narrowed = column.is_null(False)
        narrowed = narrowed & (column >= first) if first else narrowed
        return narrowed & (column <= last) if last else narrowed
    if "\\" in value:
        return None
    start = re.split(r"[*?]", value)[0]
    return None if not start else column.startswith(start)


def _matcher(keyword: str, value: str) -> Callable[[Any], bool]:
    vr = dictionary_VR(tag_for_keyword(keyword))
    if vr == "UI":
        uids = frozenset(_listed(keyword, value))
        return lambda held: held in uids
    if vr in ("DA", "TM"):
        first, last = _range(value, _day) if vr == "DA" else _times(value)
        return lambda held: held is not None and (not first or held >= first) and (not last or held <= last)
    if vr in ("IS", "US"):
        numbers = frozenset(_number(one, keyword) for one in value.split("\\"))
        return lambda held: held in numbers
    patterns = [_pattern(_of_name(one) if vr == "PN" else one.strip()) for one in value.split("\\")]
    if vr == "PN":
        return lambda held: any(p.fullmatch(group) for p in patterns for group in _groups(held))
    return lambda held: any(p.fullmatch(held or "") for p in patterns)


def _groups(name: str | None) -> Iterator[str]:
    """A name as a whole, and each of its groups (PS3.5 §6.2.1), without regard to case."""
    whole = _of_name(name or "")
    yield whole
    yield from (_of_name(group) for group in whole.split("=") if "=" in whole)


def _of_name(name: str) -> str:
    return "=".join(group.rstrip("^ ") for group in name.strip().casefold().split("="))


def _pattern(value: str) -> re.Pattern[str]:
    """The wildcards of DICOM (PS3.4 C.2.2.2.4) as a regular expression, which takes no longer than the text."""
    value = re.sub(r"\*+", "*", value)
    parts = [{"*": ".*", "?": "."}.get(part, re.escape(part)) for part in re.split(r"([*?])", value)]
    return re.compile("".join(parts), re.DOTALL)


def _listed(keyword: str, value: str) -> list[str]:
    if keyword == "PatientID":
        return [value]
    return [checked_uid(uid.strip(" \0"), keyword) for uid in value.split("\\") if uid.strip(" \0")]


def _range(value: str, checked: Callable[[str], str]) -> tuple[str, str]:
    """The first and the last that match; empty where a range is open."""
    start, dash, end = (part.strip() for part in value.partition("-"))
    if not dash:
        return checked(start), checked(start)
    return checked(start) if start else "", checked(end) if end else ""


def _day(text: str) -> str:
    if not re.fullmatch(r"[0-9]{8}", text):
        raise BadRequest("a date is none", key="wrong-value")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def _times(value: str) -> tuple[str, str]:
    first, last = _range(value, lambda text: text)
    return first and _time(first, "00"), last and _time(last, "59")


def _time(text: str, rest: str) -> str:
    """HH:MM:SS, what is missing filled with ``rest``."""
    found = re.fullmatch(r"([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(?:\.[0-9]{1,6})?)?)?", text)
    if not found:
        raise BadRequest("a time is none", key="wrong-value")
    return ":".join(part or rest for part in found.groups())


def _number(text: str, keyword: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"{keyword} is no number", key="wrong-value", parameter=keyword) from None


def _one_of(column: Any, values: Sequence[str]) -> Any:
    return column == values[0] if len(values) == 1 else column.in_(list(values))


def _portions(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[at : at + _VALUES_AT_ONCE] for at in range(0, len(values), _VALUES_AT_ONCE))
