"""Patient, study, series, instance, as one stored object tells of them (PS3.3 §7).

Text is cleaned for an index: control characters are gone, what is longer than the standard allows is cut. The bytes that
are kept are untouched.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.domain.errors import NotFound
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.domain.image import ImageDescription


@dataclass(frozen=True, slots=True)
class PatientAttributes:
    """PS3.3 C.7.1.1."""

    person_name: str = ""
    """Patient's Name as in DICOM: components divided by ``^``, groups by ``=``."""
    patient_id: str = ""
    issuer: str = ""
    """Issuer of Patient ID."""
    birth_date: str | None = None
    """YYYY-MM-DD; None where it is missing or no date."""
    sex: str | None = None
    """F, M or O."""
    other_ids: tuple[tuple[str, str], ...] = ()
    """Other Patient IDs Sequence: issuer and value of each, none of them blank."""


@dataclass(frozen=True, slots=True)
class StudyAttributes:
    """PS3.3 C.7.2.1."""

    study_uid: StudyUid
    date: str | None = None
    """YYYY-MM-DD."""
    time: str | None = None
    """HH:MM:SS."""
    description: str = ""
    accession_number: str = ""
    study_id: str = ""
    referring_physician: str = ""
    institution_name: str = ""
    timezone: str = ""
    """Timezone Offset From UTC, as ``+0100`` (PS3.3 C.12.1)."""


@dataclass(frozen=True, slots=True)
class SeriesAttributes:
    """PS3.3 C.7.3.1."""

    series_uid: SeriesUid
    modality: str = ""
    number: int | None = None
    description: str = ""
    body_part: str = ""
    laterality: str = ""
    date: str | None = None
    time: str | None = None
    performed_date: str | None = None
    """Performed Procedure Step Start Date and Time."""
    performed_time: str | None = None
    scheduled_step_id: str = ""
    """Of the first item of Request Attributes Sequence."""
    requested_procedure_id: str = ""


@dataclass(frozen=True, slots=True)
class InstanceAttributes:
    """PS3.3 C.12.1."""

    instance_uid: InstanceUid
    sop_class_uid: str
    transfer_syntax_uid: str
    number: int | None = None
    rows: int | None = None
    columns: int | None = None
    frame_count: int = 1
    """Number of Frames; 1 for what has none."""
    bits_allocated: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedInstance:
    """All that is kept of an instance beside its bytes."""

    patient: PatientAttributes
    study: StudyAttributes
    series: SeriesAttributes
    instance: InstanceAttributes
    image: ImageDescription | None = None
    not_drawable_reason: str | None = None
    """In plain words, where there is no image; None where there is one."""
    preamble: str = ""
    """What the 128 bytes before the prefix are (``domain.preamble``); empty where they are zero or not there."""
    metadata: bytes = b""
    """The data set in the DICOM JSON model, as ``storage.dicom_json`` packs it; empty where that is too long to keep."""


def not_held(
    study_uid: StudyUid, series_uid: SeriesUid | None = None, instance_uid: InstanceUid | None = None
) -> NotFound:
    """That there is no such study, series or instance, as every door says it."""
    named = {"study": study_uid, "series": series_uid, "instance": instance_uid}
    asked = {level: uid for level, uid in named.items() if uid is not None}
    return NotFound(f"no such {list(asked)[-1]} is held", **{f"{level}_uid": uid for level, uid in asked.items()})
