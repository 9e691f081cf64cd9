"""Structured reports and key object selections, read into ``domain.documents`` (PS3.3 C.17)."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from appliance.domain.documents import Code, Document, Pointer, Statement, Verifier, placed
from appliance.domain.errors import NotDrawable, TooLarge
from appliance.storage.attributes import (
    date_of,
    items_of,
    numbers_of,
    person_name_of,
    text_of,
    texts_of,
    time_of,
    value_of,
)
from appliance.storage.parsing import Header

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
"""All storage classes of this root are documents of content items (PS3.4 B.5)."""

_MOST_STATEMENTS = 20_000
_DEEPEST = 64
_LONGEST_TEXT = 64 * 1024
_MOST_POINTS = 3 * 10_000
_SIMPLE = {"DATE": "Date", "TIME": "Time", "DATETIME": "DateTime", "UIDREF": "UID"}


def document_of(header: Header) -> Document:
    """What is written in a document. Raises NotDrawable for other objects, TooLarge beyond the limits."""
    ds = header.ds
    sop_class_uid = text_of(ds, "SOPClassUID")
    if not sop_class_uid.startswith(STRUCTURED_REPORTS):
        raise NotDrawable("The object is no structured report.", key="no-document")
    evidence = tuple(_evidence(ds))
    root = _Reading({one.instance_uid: one for one in evidence}).statement(ds, 0)
    template = next((text_of(item, "TemplateIdentifier") for item in items_of(ds, "ContentTemplateSequence")), "")
    return Document(
        (root.name.meaning if root.name else "") or text_of(ds, "SeriesDescription"),
        sop_class_uid == KEY_OBJECT_SELECTION,
        template,
        _flag(ds, "CompletionFlag", "COMPLETE"),
        _flag(ds, "VerificationFlag", "VERIFIED"),
        date_of(ds, "ContentDate"),
        time_of(ds, "ContentTime"),
        tuple(
            Verifier(
                person_name_of(item, "VerifyingObserverName"),
                text_of(item, "VerifyingOrganization"),
                text_of(item, "VerificationDateTime"),
            )
            for item in items_of(ds, "VerifyingObserverSequence")
        ),
        root,
        evidence,
    )


class _Reading:
    """One walk through a content tree, which is counted."""

    def __init__(self, places: dict[str, Pointer]) -> None:
        self._places = places
        self._count = 0

    def statement(self, ds: Dataset, depth: int) -> Statement:
        self._count += 1
        if self._count > _MOST_STATEMENTS or depth > _DEEPEST:
            raise TooLarge(f"A document of more than {_MOST_STATEMENTS} statements", key="document-too-large")
        kind = text_of(ds, "ValueType").upper()
        measured = next(iter(items_of(ds, "MeasuredValueSequence")), None)
        return Statement(
            kind,
            text_of(ds, "RelationshipType").upper(),
            _code(ds, "ConceptNameCodeSequence"),
            _text(ds, kind),
            _code(ds, "ConceptCodeSequence") if kind == "CODE" else None,
            text_of(measured, "NumericValue") if measured is not None else "",
            _code(measured, "MeasurementUnitsCodeSequence") if measured is not None else None,
            _code(ds, "NumericValueQualifierCodeSequence"),
            self._pointer(ds),
            (text_of(ds, "GraphicType") or text_of(ds, "TemporalRangeType")).upper(),
            tuple(numbers_of(ds, "GraphicData")[:_MOST_POINTS]),
            ".".join(str(int(number)) for number in numbers_of(ds, "ReferencedContentItemIdentifier")),
            tuple(self.statement(item, depth + 1) for item in items_of(ds, "ContentSequence")),
        )

    def _pointer(self, ds: Dataset) -> Pointer | None:
        item = next(iter(items_of(ds, "ReferencedSOPSequence")), None)
        if item is None:
            return None
        frames = tuple(int(number) for number in numbers_of(item, "ReferencedFrameNumber"))
        bare = Pointer(text_of(item, "ReferencedSOPClassUID"), text_of(item, "ReferencedSOPInstanceUID"), frames)
        place = self._places.get(bare.instance_uid)
        return placed(bare, place) if place else bare


def _text(ds: Dataset, kind: str) -> str:
    """What is said in words, its lines kept: a report has paragraphs."""
    if kind == "TEXT":
        value = value_of(ds, "TextValue")
        return "" if not isinstance(value, str) else "\n".join(_line(one) for one in value[:_LONGEST_TEXT].splitlines())
    if kind == "PNAME":
        return person_name_of(ds, "PersonName")
    return ", ".join(texts_of(ds, _SIMPLE[kind])) if kind in _SIMPLE else ""


def _line(text: str) -> str:
    return "".join(one if one.isprintable() or one == "\t" else " " for one in text).rstrip()


def _code(ds: Dataset, keyword: str) -> Code | None:
    for item in items_of(ds, keyword):
        # A value of more than 16 characters, or a URN, is in attributes of its own (PS3.3 §8.1).
        value = (
            text_of(item, "CodeValue") or text_of(item, "LongCodeValue", 1024) or text_of(item, "URNCodeValue", 1024)
        )
        return Code(value, text_of(item, "CodingSchemeDesignator"), text_of(item, "CodeMeaning", 256))
    return None


def _evidence(ds: Dataset) -> Iterator[Pointer]:
    """The hierarchies of what was and of what was not used by who wrote it (C.17.2)."""
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in items_of(ds, keyword):
            for series in items_of(study, "ReferencedSeriesSequence"):
                for one in items_of(series, "ReferencedSOPSequence"):
                    yield Pointer(
                        text_of(one, "ReferencedSOPClassUID"),
                        text_of(one, "ReferencedSOPInstanceUID"),
                        (),
                        text_of(study, "StudyInstanceUID"),
                        text_of(series, "SeriesInstanceUID"),
                    )


def _flag(ds: Dataset, keyword: str, yes: str) -> bool | None:
    text = text_of(ds, keyword).upper()
    return None if not text else text == yes
