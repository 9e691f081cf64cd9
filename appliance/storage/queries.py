"""Searching the index by DICOM attributes (PS3.18 §10.6, PS3.4 C.2.2.2).

``ATTRIBUTES`` is the whole of what can be matched and what is returned; the conformance statement is printed from it. An
attribute of a level above matches as well as one of the level that is searched; one of a level below matches what has
such a part. Attributes that are not in the index are returned on request from the metadata of one instance.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import msgspec
from peewee import JOIN, SQL, fn
from pydicom.datadict import keyword_for_tag, tag_for_keyword

from appliance.domain.errors import BadRequest
from appliance.domain.people import folded
from appliance.domain.searches import Filter, Level, Match, Matches, Search
from appliance.storage import releases
from appliance.storage.database import Transaction, matches
from appliance.storage.dicom_json import unpacked
from appliance.storage.index import InstanceRow, MetadataRow, SeriesRow, StudyRow, folded_name

MOST_RESULTS = 10_000
"""In one answer; the rest can be asked for by ``offset``."""
MOST_COUNTED = 10_000
"""Results behind a page that are counted; to count all would cost more than to find the page."""
_MOST_VALUES = 500
"""In a list of UIDs."""
_ROWS_AT_ONCE = 500
"""In one question to the engine, which takes a bounded number of parameters."""
_LONGEST_VALUE = 4096
_MOST_NUMBER = 2**63 - 1

Condition = Any  # peewee has no types


class Kind(StrEnum):
    """How an attribute matches."""

    UID = "UID or list of UIDs"
    CODE = "value or list, wildcards"
    TEXT = "value, wildcards"
    NAME = "value, wildcards, case and accents aside; fuzzy"
    DATE = "day or range"
    TIME = "time or range"
    NUMBER = "number or list"
    RETURNED = "returned only"


@dataclass(frozen=True, slots=True)
class Attribute:
    tag: str
    """Eight hexadecimal digits."""
    vr: str
    level: Level
    kind: Kind
    column: Any = None  # peewee has no types
    sequence: str = ""
    """Tag of the sequence in which it stands."""

    @property
    def keyword(self) -> str:
        return str(keyword_for_tag(int(self.tag, 16)))


MODALITIES = "00080061"
_SERIES_COUNT, _STUDY_INSTANCES, _SERIES_INSTANCES = "00201206", "00201208", "00201209"
_REQUEST = "00400275"

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("00080020", "DA", Level.STUDY, Kind.DATE, StudyRow.date),
    Attribute("00080030", "TM", Level.STUDY, Kind.TIME, StudyRow.time),
    Attribute("00080050", "SH", Level.STUDY, Kind.TEXT, StudyRow.accession_number),
    Attribute(MODALITIES, "CS", Level.STUDY, Kind.CODE, SeriesRow.modality),
    Attribute("00080080", "LO", Level.STUDY, Kind.TEXT, StudyRow.institution_name),
    Attribute("00080090", "PN", Level.STUDY, Kind.NAME, StudyRow.referring_physician),
    Attribute("00080201", "SH", Level.STUDY, Kind.TEXT, StudyRow.timezone),
    Attribute("00081030", "LO", Level.STUDY, Kind.TEXT, StudyRow.description),
    Attribute("00100010", "PN", Level.STUDY, Kind.NAME, StudyRow.person_name),
    Attribute("00100020", "LO", Level.STUDY, Kind.TEXT, StudyRow.patient_id),
    Attribute("00100021", "LO", Level.STUDY, Kind.TEXT, StudyRow.issuer),
    Attribute("00100030", "DA", Level.STUDY, Kind.DATE, StudyRow.birth_date),
    Attribute("00100040", "CS", Level.STUDY, Kind.CODE, StudyRow.sex),
    Attribute("0020000D", "UI", Level.STUDY, Kind.UID, StudyRow.study_uid),
    Attribute("00200010", "SH", Level.STUDY, Kind.TEXT, StudyRow.study_id),
    Attribute(_SERIES_COUNT, "IS", Level.STUDY, Kind.RETURNED),
    Attribute(_STUDY_INSTANCES, "IS", Level.STUDY, Kind.RETURNED),
    Attribute("00080021", "DA", Level.SERIES, Kind.DATE, SeriesRow.date),
    Attribute("00080031", "TM", Level.SERIES, Kind.TIME, SeriesRow.time),
    Attribute("00080060", "CS", Level.SERIES, Kind.CODE, SeriesRow.modality),
    Attribute("0008103E", "LO", Level.SERIES, Kind.TEXT, SeriesRow.description),
    Attribute("00180015", "CS", Level.SERIES, Kind.CODE, SeriesRow.body_part),
    Attribute("0020000E", "UI", Level.SERIES, Kind.UID, SeriesRow.series_uid),
    Attribute("00200011", "IS", Level.SERIES, Kind.NUMBER, SeriesRow.number),
    Attribute("00200060", "CS", Level.SERIES, Kind.CODE, SeriesRow.laterality),
    Attribute(_SERIES_INSTANCES, "IS", Level.SERIES, Kind.RETURNED, SeriesRow.instance_count),
    Attribute("00400244", "DA", Level.SERIES, Kind.DATE, SeriesRow.performed_date),
    Attribute("00400245", "TM", Level.SERIES, Kind.TIME, SeriesRow.performed_time),
    Attribute("00400009", "SH", Level.SERIES, Kind.TEXT, SeriesRow.scheduled_step_id, _REQUEST),
    Attribute("00401001", "SH", Level.SERIES, Kind.TEXT, SeriesRow.requested_procedure_id, _REQUEST),
    Attribute("00080016", "UI", Level.INSTANCE, Kind.UID, InstanceRow.sop_class_uid),
    Attribute("00080018", "UI", Level.INSTANCE, Kind.UID, InstanceRow.instance_uid),
    Attribute("00200013", "IS", Level.INSTANCE, Kind.NUMBER, InstanceRow.number),
    Attribute("00280008", "IS", Level.INSTANCE, Kind.NUMBER, InstanceRow.frame_count),
    Attribute("00280010", "US", Level.INSTANCE, Kind.NUMBER, InstanceRow.rows),
    Attribute("00280011", "US", Level.INSTANCE, Kind.NUMBER, InstanceRow.columns),
    Attribute("00280100", "US", Level.INSTANCE, Kind.NUMBER, InstanceRow.bits_allocated),
)
_BY_TAG = {attribute.tag: attribute for attribute in ATTRIBUTES}
_NAMES = {
    "00100010": (StudyRow.person_folded, StudyRow.person_words),
    "00080090": (StudyRow.referring_folded, StudyRow.referring_words),
}
"""By what a name is found: as a whole, and by its words."""


def search(tx: Transaction, wanted: Search) -> Matches:
    """The studies, series or instances that match, the newest study first. Raises BadRequest, naming the attribute."""
    condition, not_matched = _condition(wanted)
    returned = _returned(wanted)
    query = _joined(wanted, condition, [attribute.column for attribute in returned])
    limit = MOST_RESULTS if wanted.limit is None else min(wanted.limit, MOST_RESULTS)
    # LIMIT 0 is asked for by those who only want to know whether the address answers.
    rows = tx.rows(query.limit(limit + 1).offset(wanted.offset).tuples())
    remaining = 0
    if len(rows) > limit:
        behind = query.order_by().offset(wanted.offset + limit).limit(MOST_COUNTED + 1)
        remaining = tx.count(behind)
        rows = rows[:limit]
    found = [_Found(row[:3], _model(returned, row[3:])) for row in rows]
    _add_study_totals(tx, wanted, found)
    _add_included(tx, wanted, found)
    results = tuple(Match(tuple(one.uids[: wanted.level + 1]), one.attributes) for one in found)
    return Matches(results, remaining, not_matched)


def checked_tag(name: str) -> str:
    """The tag of a keyword or of eight hexadecimal digits. Raises BadRequest for what is neither."""
    if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
        return name.upper()
    tag = tag_for_keyword(name) if name.isascii() else None
    if tag is None:
        raise BadRequest(f"{name[:64]} is no attribute", key="unknown-attribute", parameter=name[:64])
    return f"{tag:08X}"


@dataclass(slots=True)
class _Found:
    uids: tuple[str, str, str]
    attributes: dict[str, dict[str, Any]]


# Of what conditions are made


def _condition(wanted: Search) -> tuple[Condition, tuple[str, ...]]:
    """The condition, and the names of what cannot be matched."""
    conditions: list[Condition] = []
    not_matched: list[str] = []
    if wanted.study_uid is not None:
        conditions.append(_LEVEL_ROWS[wanted.level].study_uid == wanted.study_uid)
    if wanted.series_uid is not None:
        conditions.append(_LEVEL_ROWS[wanted.level].series_uid == wanted.series_uid)
    if wanted.is_released_only:
        conditions.append(_LEVEL_ROWS[wanted.level].study_uid.in_(releases.released()))
    for one in wanted.filters:
        attribute = _attribute(one.name)
        if attribute is None or attribute.kind is Kind.RETURNED:
            not_matched.append(one.name)
        elif one.value.strip("* ") or (one.value and attribute.kind not in (Kind.CODE, Kind.TEXT, Kind.NAME)):
            conditions.append(_at_level(wanted.level, attribute, _matching(attribute, one, is_fuzzy=wanted.is_fuzzy)))
    condition = None
    for part in conditions:
        condition = part if condition is None else condition & part
    return condition, tuple(not_matched)


def _attribute(name: str) -> Attribute | None:
    """What is known of an attribute by its name, or of one in a sequence by both names."""
    *sequences, last = [checked_tag(part) for part in name.split(".")]
    attribute = _BY_TAG.get(last)
    if attribute is None or sequences not in ([], [attribute.sequence]):
        return None
    return attribute


def _at_level(level: Level, attribute: Attribute, condition: Condition) -> Condition:
    """The condition where rows of ``level`` are looked for."""
    if attribute.tag == MODALITIES:
        return _row_of(level).study_uid.in_(SeriesRow.select(SeriesRow.study_uid).where(condition))
    if attribute.level <= level:
        return condition
    row = _LEVEL_ROWS[attribute.level]
    if level is Level.STUDY:
        return StudyRow.study_uid.in_(row.select(row.study_uid).where(condition))
    return SeriesRow.series_uid.in_(row.select(row.series_uid).where(condition))


_LEVEL_ROWS: dict[Level, Any] = {Level.STUDY: StudyRow, Level.SERIES: SeriesRow, Level.INSTANCE: InstanceRow}


def _row_of(level: Level) -> Any:
    return _LEVEL_ROWS[level]


def _matching(attribute: Attribute, one: Filter, *, is_fuzzy: bool) -> Condition:
    if len(one.value) > _LONGEST_VALUE and attribute.kind is not Kind.UID:
        raise _wrong(one, "is too long")
    if attribute.kind is Kind.NAME:
        whole, words = _NAMES[attribute.tag]
        return _fuzzy(words, one.value) if is_fuzzy else _name(whole, one.value)
    return _MATCHING[attribute.kind](attribute.column, one)


def _uid(column: Any, one: Filter) -> Condition:
    uids = [uid for uid in re.split(r"[\\,\s]+", one.value) if uid]
    if len(uids) > _MOST_VALUES or not all(re.fullmatch(r"[0-9.]{1,64}", uid) for uid in uids):
        raise _wrong(one, f"is no list of at most {_MOST_VALUES} UIDs")
    return column.in_(uids) if len(uids) != 1 else column == uids[0]


def _code(column: Any, one: Filter) -> Condition:
    # A code string has no comma and no backslash (PS3.5 §6.2), so both divide a list.
    return _any_of([_text_value(column, part) for part in re.split(r"[\\,]", one.value)[:_MOST_VALUES]])


def _text(column: Any, one: Filter) -> Condition:
    return _text_value(column, one.value)


def _text_value(column: Any, value: str) -> Condition:
    value = value.strip()
    return matches(column, _pattern(value)) if _has_wildcard(value) else column == value


def _name(column: Any, value: str) -> Condition:
    """Each of the three groups of a name can match alone (PS3.5 §6.2.1)."""
    pattern = _pattern(folded_name(value))
    if "=" in value:
        return matches(column, pattern)
    return _any_of([matches(column, one) for one in (pattern, f"{pattern}=%", f"%={pattern}", f"%={pattern}=%")])


def _fuzzy(column: Any, value: str) -> Condition:
    words = [word for word in re.split(r"[\s^=,.*?]+", folded(value)) if word]
    condition = matches(column, "%")
    for word in words[:16]:
        condition = condition & matches(column, f"% {_pattern(word)}%")
    return condition


def _date(column: Any, one: Filter) -> Condition:
    return _range(column, one, _first_day, _first_day)


def _time(column: Any, one: Filter) -> Condition:
    return _range(column, one, lambda text: _second(text, "00"), lambda text: _second(text, "59"))


def _range(column: Any, one: Filter, first: Callable[[str], str], last: Callable[[str], str]) -> Condition:
    """From the first to the last, both included; either may be open (PS3.4 C.2.2.2.5)."""
    start, dash, end = (part.strip() for part in one.value.partition("-"))
    try:
        if not dash:
            return column.between(first(start), last(start))
        if start and end:
            return column.between(first(start), last(end))
        if start:
            return column >= first(start)
        if end:
            return column <= last(end)
    except ValueError:
        pass
    raise _wrong(one, "is no value and no range of its kind")


def _first_day(text: str) -> str:
    if not re.fullmatch(r"[0-9]{8}", text):
        raise ValueError
    return date(int(text[:4]), int(text[4:6]), int(text[6:])).isoformat()


def _second(text: str, rest: str) -> str:
    """HH:MM:SS, what is missing filled with ``rest``: the first or the last second that is meant."""
    found = re.fullmatch(r"([01][0-9]|2[0-3])(?::?([0-5][0-9])(?::?([0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?", text)
    if not found:
        raise ValueError
    hours, minutes, seconds = (part or rest for part in found.groups())
    return f"{hours}:{minutes}:{seconds}"


def _number(column: Any, one: Filter) -> Condition:
    try:
        numbers = [int(part) for part in re.split(r"[\\,]", one.value)[:_MOST_VALUES]]
    except ValueError:
        raise _wrong(one, "is no number") from None
    if any(abs(number) > _MOST_NUMBER for number in numbers):
        raise _wrong(one, "is too large")
    return column.in_(numbers)


_MATCHING: dict[Kind, Callable[[Any, Filter], Condition]] = {
    Kind.UID: _uid,
    Kind.CODE: _code,
    Kind.TEXT: _text,
    Kind.DATE: _date,
    Kind.TIME: _time,
    Kind.NUMBER: _number,
}


def _any_of(conditions: Sequence[Condition]) -> Condition:
    condition = conditions[0]
    for other in conditions[1:]:
        condition = condition | other
    return condition


def _has_wildcard(value: str) -> bool:
    return "*" in value or "?" in value


def _pattern(value: str) -> str:
    """The wildcards of DICOM as those of SQL (PS3.4 C.2.2.2.4)."""
    escaped = re.sub(r"([!%_])", r"!\1", value)
    return escaped.replace("*", "%").replace("?", "_")


def _wrong(one: Filter, what: str) -> BadRequest:
    # The value may be a patient's name or number: it is not repeated.
    return BadRequest(f"The value of {one.name[:64]} {what}", key="wrong-value", parameter=one.name[:64])


# Of what answers are made


def _returned(wanted: Search) -> list[Attribute]:
    """Attributes with a column: of the level, and of those above where the address does not fix them."""
    fixed = -1 if wanted.study_uid is None else 0 if wanted.series_uid is None else 1
    uids = {"0020000D", "0020000E"}
    asked = {checked_tag(name.split(".")[0]) for name in wanted.include if name != "all"}
    return [
        attribute
        for attribute in ATTRIBUTES
        if attribute.column is not None
        and attribute.tag != MODALITIES
        and attribute.level <= wanted.level
        and (
            attribute.level > fixed
            or attribute.tag in uids
            or attribute.tag in asked
            or "all" in wanted.include
            or attribute.level == wanted.level
        )
    ]


def _joined(wanted: Search, condition: Condition, columns: list[Any]) -> Any:
    query, order = _BY_LEVEL[wanted.level](columns)
    return (query if condition is None else query.where(condition)).order_by(*order)


def _studies(columns: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    query = StudyRow.select(StudyRow.study_uid, SQL("''"), SQL("''"), *columns)
    return query, (StudyRow.date.desc(nulls="LAST"), StudyRow.study_uid)


def _series(columns: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    query = SeriesRow.select(SeriesRow.study_uid, SeriesRow.series_uid, SQL("''"), *columns)
    query = query.join(StudyRow, on=(StudyRow.study_uid == SeriesRow.study_uid))
    return query, (SeriesRow.study_uid, SeriesRow.number, SeriesRow.series_uid)


def _instances(columns: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    query = InstanceRow.select(InstanceRow.study_uid, InstanceRow.series_uid, InstanceRow.instance_uid, *columns)
    of_series = (SeriesRow.study_uid == InstanceRow.study_uid) & (SeriesRow.series_uid == InstanceRow.series_uid)
    # Each has both. Said so, PostgreSQL counts with all instances, which it takes in their order until there are enough, and not
    # with the few that it expects of a join by two columns, which it would sort; where a condition asks for more, it joins inner.
    query = query.join(SeriesRow, JOIN.LEFT_OUTER, on=of_series)
    query = query.join(StudyRow, JOIN.LEFT_OUTER, on=(StudyRow.study_uid == InstanceRow.study_uid))
    return query, (InstanceRow.study_uid, InstanceRow.series_uid, InstanceRow.number, InstanceRow.instance_uid)


_BY_LEVEL: dict[Level, Callable[[Sequence[Any]], tuple[Any, Sequence[Any]]]] = {
    Level.STUDY: _studies,
    Level.SERIES: _series,
    Level.INSTANCE: _instances,
}
"""The query of each level, the UIDs first, and the order of its results."""


def _model(returned: Sequence[Attribute], values: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """The values of a row in the DICOM JSON model."""
    model: dict[str, dict[str, Any]] = {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}
    for attribute, value in zip(returned, values, strict=True):
        element = _element(attribute.vr, value)
        if attribute.sequence:
            if "Value" in element:
                sequence = model.setdefault(attribute.sequence, {"vr": "SQ", "Value": [{}]})
                sequence["Value"][0][attribute.tag] = element
        else:
            model[attribute.tag] = element
    return model


def _element(vr: str, value: Any) -> dict[str, Any]:
    if value is None or value == "":
        return {"vr": vr}
    if vr == "PN":
        groups = zip(("Alphabetic", "Ideographic", "Phonetic"), value.split("="), strict=False)
        return {"vr": vr, "Value": [{group: text for group, text in groups if text}]}
    if vr == "DA":
        value = value.replace("-", "")
    elif vr == "TM":
        value = value.replace(":", "")
    return {"vr": vr, "Value": [value]}


def _add_study_totals(tx: Transaction, wanted: Search, found: Sequence[_Found]) -> None:
    """Modalities and counts of the studies, where studies are described."""
    if wanted.level is not Level.STUDY and wanted.study_uid is not None and "all" not in wanted.include:
        return
    series: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for uids in _portions({one.uids[0] for one in found}):
        query = SeriesRow.select(SeriesRow.study_uid, SeriesRow.modality, SeriesRow.instance_count)
        for study_uid, modality, count in tx.rows(query.where(SeriesRow.study_uid.in_(uids)).tuples()):
            series[study_uid].append((modality, count))
    for one in found:
        of_study = series[one.uids[0]]
        modalities = sorted({modality for modality, _ in of_study if modality})
        one.attributes[MODALITIES] = {"vr": "CS", "Value": modalities} if modalities else {"vr": "CS"}
        one.attributes[_SERIES_COUNT] = {"vr": "IS", "Value": [len(of_study)]}
        one.attributes[_STUDY_INSTANCES] = {"vr": "IS", "Value": [sum(count for _, count in of_study)]}


def _add_included(tx: Transaction, wanted: Search, found: Sequence[_Found]) -> None:
    """Attributes that were asked for and are not in the index, from the metadata of the instance or of one of many."""
    asked = {checked_tag(name.split(".")[0]) for name in wanted.include if name != "all"}
    asked -= {attribute.tag for attribute in ATTRIBUTES}
    is_all = "all" in wanted.include and wanted.level is Level.INSTANCE
    if not asked and not is_all:
        return
    for portion in _portions(found):
        instances = _representatives(tx, wanted.level, portion)
        query = MetadataRow.select(MetadataRow.instance_uid, MetadataRow.json)
        rows = tx.rows(query.where(MetadataRow.instance_uid.in_(list(instances))).tuples())
        for instance_uid, data in rows:
            model = msgspec.json.decode(unpacked(bytes(data)))
            one = instances[instance_uid]
            for tag in model if is_all else asked & model.keys():
                if "BulkDataURI" not in model[tag]:
                    one.attributes.setdefault(tag, model[tag])


def _representatives(tx: Transaction, level: Level, found: Sequence[_Found]) -> dict[str, _Found]:
    """For each result the instance that it is or one of those in it, by UID."""
    if level is Level.INSTANCE:
        return {one.uids[2]: one for one in found}
    columns = [InstanceRow.study_uid, InstanceRow.series_uid][: level + 1]
    query = InstanceRow.select(*columns, fn.MIN(InstanceRow.instance_uid))
    query = query.where(InstanceRow.study_uid.in_([one.uids[0] for one in found])).group_by(*columns)
    least = {tuple(row[:-1]): row[-1] for row in tx.rows(query.tuples())}
    return {least[tuple(one.uids[: level + 1])]: one for one in found if tuple(one.uids[: level + 1]) in least}


def _portions(items: Iterable[Any]) -> Iterable[list[Any]]:
    whole = list(items)
    return (whole[at : at + _ROWS_AT_ONCE] for at in range(0, len(whole), _ROWS_AT_ONCE))
