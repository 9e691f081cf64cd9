"""What one appliance tells the one above it: a numbered list, delivered in order, each change at least once.

A change is a whole statement about one thing ("this study is held so"), never a difference, so that hearing it twice
or hearing only the last of several does no harm.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

Sequence = Annotated[int, msgspec.Meta(ge=1)]


class PatientAsHeld(msgspec.Struct, frozen=True):
    """The patient of a study, as its DICOM names them."""

    issuer: str
    value: str
    """Patient ID."""
    person_name: str
    """Patient's Name, as in DICOM."""
    birth_date: str | None
    """YYYY-MM-DD."""
    sex: str | None


class StudyHeld(msgspec.Struct, frozen=True, tag="study-held"):
    """A study is held at a node, with so much in it; replaces what was said of it before."""

    study_uid: str
    node_id: UUID
    patient: PatientAsHeld
    date: str | None
    time: str | None
    description: str
    accession_number: str
    modalities: tuple[str, ...]
    series_count: int
    instance_count: int


class StudyGone(msgspec.Struct, frozen=True, tag="study-gone"):
    """A study is no longer held at a node."""

    study_uid: str
    node_id: UUID


class NodeHere(msgspec.Struct, frozen=True, tag="node-here"):
    """A node, and where browsers reach it."""

    node_id: UUID
    name: str
    base_url: str


class InstitutionHere(msgspec.Struct, frozen=True, tag="institution-here"):
    """An institution, where browsers reach it, and its nodes."""

    institution_id: UUID
    name: str
    base_url: str
    nodes: tuple[NodeHere, ...]


class PatientHeld(msgspec.Struct, frozen=True, tag="patient-held"):
    """An institution holds something of a patient."""

    institution_id: UUID
    patient: PatientAsHeld


Change = StudyHeld | StudyGone | NodeHere | InstitutionHere | PatientHeld


class NumberedChange(msgspec.Struct, frozen=True):
    sequence: Sequence
    change: Change


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes from one child, in order of their sequence numbers."""

    child_id: UUID
    changes: tuple[NumberedChange, ...]


class Acknowledgement(msgspec.Struct, frozen=True):
    """Everything up to this sequence number is kept by the parent."""

    sequence: int
