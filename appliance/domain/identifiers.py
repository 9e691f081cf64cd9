"""The names by which things are known, each with a type of its own so that none stands for another."""

from __future__ import annotations

import re
from typing import NewType
from uuid import UUID

from appliance.domain.errors import BadRequest

StudyUid = NewType("StudyUid", str)
SeriesUid = NewType("SeriesUid", str)
InstanceUid = NewType("InstanceUid", str)
AccountId = NewType("AccountId", UUID)
PatientId = NewType("PatientId", UUID)
"""Ours; the value of the DICOM attribute is ``PatientIdentity.value``."""
InstitutionId = NewType("InstitutionId", UUID)
NodeId = NewType("NodeId", UUID)
ReportId = NewType("ReportId", UUID)
MeasurementId = NewType("MeasurementId", UUID)

# PS3.5 §9.1: components of digits joined by dots, 64 characters at most. Leading zeros are against the
# standard and occur; they are kept as they are.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64


def checked_uid(text: str, name: str = "UID") -> str:
    """``text`` if it is a DICOM UID (PS3.5 §9.1); BadRequest naming ``name`` if it is not."""
    if len(text) > _LONGEST_UID or not _UID.fullmatch(text):
        raise BadRequest(f"{name} is not a DICOM UID", parameter=name)
    return text
