"""Structured reports: a tree of statements, each with the name of what it states (PS3.3 A.35, C.17.3).

It is kept as the file has it, codes and all; ``written`` says a statement as a person would read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A concept (PS3.3 §8): ``meaning`` is for people, value and scheme for programs."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """An object that a document is about, with frames of it, counted from 1; empty for all."""

    sop_class_uid: str
    instance_uid: str
    frames: tuple[int, ...] = ()
    study_uid: str = ""
    """Where the evidence of the document says where it is; so the series."""
    series_uid: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One content item, with what is said of it below."""

    kind: str
    """Value Type (PS3.3 C.17.3.2.1): TEXT, NUM, CODE, CONTAINER, ..."""
    relation: str = ""
    """Relationship Type, to the statement above it."""
    name: Code | None = None
    text: str = ""
    """What is stated, where that is words, a name, a date, a time or a UID."""
    code: Code | None = None
    number: str = ""
    """As it is written in the file, no digit more or less."""
    unit: Code | None = None
    missing: Code | None = None
    """Why there is no number (Numeric Value Qualifier)."""
    pointer: Pointer | None = None
    shape: str = ""
    """Graphic Type of coordinates, Temporal Range Type of times."""
    points: tuple[float, ...] = ()
    """Of coordinates: pairs of (column, row) in pixels, or triples in patient space, mm."""
    same_as: str = ""
    """Of one that is said elsewhere: where, as Referenced Content Item Identifier (1.2.3)."""
    children: tuple[Statement, ...] = ()

    def all(self) -> Iterator[Statement]:
        """Itself and all below, in the order of the document."""
        yield self
        for child in self.children:
            yield from child.all()


@dataclass(frozen=True, slots=True)
class Verifier:
    name: str
    """As in DICOM."""
    organisation: str
    at: str
    """As in DICOM (DT)."""


@dataclass(frozen=True, slots=True)
class Document:
    """A structured report, or a key object selection."""

    title: str
    is_key_selection: bool
    template: str
    """Template Identifier of its root, like 1500; empty where it does not say."""
    is_complete: bool | None
    """Completion Flag; None where it does not say."""
    is_verified: bool | None
    date: str | None
    """YYYY-MM-DD; so the time HH:MM:SS."""
    time: str | None
    verifiers: tuple[Verifier, ...]
    root: Statement
    evidence: tuple[Pointer, ...]
    """All that it points to, with the series where it is."""


def written(statement: Statement) -> str:
    """What is stated, without its name, in plain words; empty for a heading."""
    match statement.kind:
        case "NUM":
            unit = statement.unit
            # A count has the unit 1, which nobody writes.
            words = (
                f"{statement.number} {unit.meaning or unit.value}" if unit and unit.value != "1" else statement.number
            )
            if statement.number:
                return words
            return statement.missing.meaning if statement.missing else ""
        case "CODE":
            return (statement.code.meaning or statement.code.value) if statement.code else ""
        case "SCOORD" | "SCOORD3D":
            size = 3 if statement.kind == "SCOORD3D" else 2
            return f"{statement.shape} ({len(statement.points) // size})"
        case "IMAGE" | "COMPOSITE" | "WAVEFORM" | "TCOORD":
            return statement.shape
        case _:
            return statement.text


def key_objects(document: Document) -> tuple[Pointer, ...]:
    """What a key object selection selects, in its order (PS3.3 A.35.4, TID 2010)."""
    places = {one.instance_uid: one for one in document.evidence}
    found: list[Pointer] = []
    for statement in document.root.all():
        if (pointer := statement.pointer) is not None:
            place = places.get(pointer.instance_uid)
            found.append(placed(pointer, place) if place else pointer)
    return tuple(found)


def placed(pointer: Pointer, place: Pointer) -> Pointer:
    """``pointer`` with the study and series of ``place``."""
    return Pointer(pointer.sop_class_uid, pointer.instance_uid, pointer.frames, place.study_uid, place.series_uid)
