"""What is written into a picture (PS3.18 §8.3.5.1.1): who it is of, and how it was made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from appliance.domain.attributes import Attributes
from appliance.domain.people import family_and_given

AnnotationKind = Literal["patient", "technique"]
KINDS: tuple[AnnotationKind, ...] = get_args(AnnotationKind)

_MEASURED = (
    ("00180060", "{:g} kV"),
    ("00181151", "{:g} mA"),
    ("00181150", "{:g} ms"),
    ("00181152", "{:g} mAs"),
    ("00180080", "TR {:g} ms"),
    ("00180081", "TE {:g} ms"),
    ("00180082", "TI {:g} ms"),
    ("00180050", "thickness {:g} mm"),
    ("00201041", "at {:.1f} mm"),
)
"""KVP, X-Ray Tube Current, Exposure Time, Exposure, Repetition, Echo and Inversion Time, Slice Thickness, Slice Location."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """Lines of text, none longer than a sentence."""

    patient: tuple[str, ...] = ()
    """At the top."""
    technique: tuple[str, ...] = ()
    """At the bottom."""


def annotation(
    attributes: Attributes, kinds: Iterable[AnnotationKind], frame_number: int, frame_count: int
) -> Annotation:
    """What ``kinds`` ask for, of one frame of an instance; what the instance does not say is left out."""
    wanted = set(kinds)
    return Annotation(
        _patient(attributes) if "patient" in wanted else (),
        _technique(attributes, frame_number, frame_count) if "technique" in wanted else (),
    )


def _patient(of: Attributes) -> tuple[str, ...]:
    family, given = family_and_given(of.text("00100010"))
    born, sex, age = _date(of.text("00100030")), of.text("00100040"), of.text("00101010")
    return _lines(
        ", ".join(part for part in (family, given) if part),
        of.text("00100020"),
        "  ".join(part for part in (born, sex, age) if part),
    )


def _technique(of: Attributes, frame_number: int, frame_count: int) -> tuple[str, ...]:
    numbers = [("series", of.text("00200011")), ("image", of.text("00200013"))]
    if frame_count > 1:
        numbers.append(("frame", f"{frame_number} of {frame_count}"))
    values = ((pattern, of.number(tag)) for tag, pattern in _MEASURED)
    return _lines(
        "  ".join(part for part in (of.text("00080060"), of.text("0008103E")) if part),
        "  ".join(part for part in (_date(of.text("00080020")), _time(of.text("00080030"))) if part),
        "  ".join(f"{name} {value}" for name, value in numbers if value),
        "  ".join(pattern.format(value) for pattern, value in values if value is not None),
    )


def _lines(*lines: str) -> tuple[str, ...]:
    return tuple(line for line in lines if line)


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isascii() and text.isdigit() else text


def _time(text: str) -> str:
    return f"{text[:2]}:{text[2:4]}" if len(text) >= 4 and text[:4].isascii() and text[:4].isdigit() else text
