"""What an anonymised copy is, and of which objects none is made (PS3.15 annex E).

The profile speaks of attributes. What is drawn into pixels, spoken in a film or written in a report is not found by it, so that
objects where that is to be feared are left out, and whoever wants the copy is told which and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.domain.attributes import Attributes


class Dates(StrEnum):
    """What becomes of dates and times."""

    REMOVED = "removed"
    """PS3.15 E.2: the Basic Profile."""
    SHIFTED = "shifted"
    """PS3.15 E.3.6, Modified Dates: all by the same number of days, so that the time between two studies stays true."""


@dataclass(frozen=True, slots=True)
class Pseudonymity:
    """How the objects of one copy are renamed: the same in all of them, and never again."""

    key: bytes
    """Forgotten when the copy is made: without it nobody gets from a new UID to the old one."""
    dates: Dates
    shift_days: int = 0
    """Into the past, where dates are shifted."""


class LeftOut(StrEnum):
    """Why an object is in no anonymised copy."""

    NO_PICTURE = "no-picture"
    """A report, a document, a curve: what identifies somebody may be anywhere in it."""
    BURNED_IN = "burned-in"
    """Burned In Annotation (0028,0301) is YES."""
    WRITTEN_ON = "written-on"
    """Of a modality whose devices write names into the picture."""
    RECOGNISABLE = "recognisable"
    """A photograph, or Recognizable Visual Features (0028,0302) is YES."""
    VIDEO = "video"
    """Film and sound carry texts of their own."""
    UNREADABLE = "unreadable"


_WRITTEN_ON = frozenset({"US", "IVUS", "SC", "OT", "DOC", "HC"})
_PHOTOGRAPHS = frozenset({"XC", "ES", "GM", "DMS"})
_WRITTEN_ON_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.{kind}." for kind in ("7", "3.1", "6.1", "6.2"))
"""Secondary capture and ultrasound."""
_PHOTOGRAPH_CLASSES = "1.2.840.10008.5.1.4.1.1.77.1."
"""Visible light, the labels of slides among it."""
_MODALITY, _SOP_CLASS, _BURNED_IN, _RECOGNISABLE = "00080060", "00080016", "00280301", "00280302"


def reason_left_out(attributes: Attributes, *, is_drawable: bool, is_video: bool) -> LeftOut | None:
    """Why this object is in no anonymised copy; None where it may be."""
    modality, sop_class = attributes.text(_MODALITY).upper(), f"{attributes.text(_SOP_CLASS)}."
    if is_video:
        return LeftOut.VIDEO
    if not is_drawable:
        return LeftOut.NO_PICTURE
    if attributes.text(_BURNED_IN).upper() == "YES":
        return LeftOut.BURNED_IN
    is_photograph = modality in _PHOTOGRAPHS or sop_class.startswith(_PHOTOGRAPH_CLASSES)
    if is_photograph or attributes.text(_RECOGNISABLE).upper() == "YES":
        return LeftOut.RECOGNISABLE
    if modality in _WRITTEN_ON or sop_class.startswith(_WRITTEN_ON_CLASSES):
        return LeftOut.WRITTEN_ON
    return None
