"""What a study has besides pictures, or to lay over them: told by SOP class (PS3.4 B.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.domain.attributes import Attributes
from appliance.domain.identifiers import InstanceUid, SeriesUid


class ObjectKind(StrEnum):
    REPORT = "report"
    KEY_IMAGES = "key-images"
    PDF = "pdf"
    VIDEO = "video"
    WAVEFORM = "waveform"
    SEGMENTATION = "segmentation"
    STRUCTURES = "structures"
    PRESENTATION = "presentation"


_ROOT = "1.2.840.10008.5.1.4.1.1"
_KINDS = {
    f"{_ROOT}.88.59": ObjectKind.KEY_IMAGES,
    f"{_ROOT}.104.1": ObjectKind.PDF,
    f"{_ROOT}.66.4": ObjectKind.SEGMENTATION,
    f"{_ROOT}.66.7": ObjectKind.SEGMENTATION,
    f"{_ROOT}.481.3": ObjectKind.STRUCTURES,
    f"{_ROOT}.11.1": ObjectKind.PRESENTATION,
}
_SOUND = (f"{_ROOT}.9.4.1", f"{_ROOT}.9.4.2")
_FAMILIES = {f"{_ROOT}.88.": ObjectKind.REPORT, f"{_ROOT}.9.": ObjectKind.WAVEFORM}
"""Classes of one root: all structured reports, all waveforms."""


def kind_of(sop_class_uid: str, *, is_video: bool = False) -> ObjectKind | None:
    """None for pictures, and for what can only be given back."""
    if is_video:
        return ObjectKind.VIDEO
    if sop_class_uid in _SOUND:
        return None
    family = (kind for root, kind in _FAMILIES.items() if sop_class_uid.startswith(root))
    return _KINDS.get(sop_class_uid) or next(family, None)


@dataclass(frozen=True, slots=True)
class StudyObject:
    series_uid: SeriesUid
    instance_uid: InstanceUid
    kind: ObjectKind
    title: str
    """In the words of the file; empty where it has none."""
    date: str
    """Content Date, YYYYMMDD as in DICOM; empty where it does not say."""
    about_series: tuple[str, ...]
    """UIDs of the series that it names as those that it is about."""
    frame_of_reference_uid: str
    """Of what is laid over pictures; empty where it does not say."""
    duration_s: float | None
    """Of the longest group of waveforms."""


_CONTENT_DATE, _SERIES_DESCRIPTION = "00080023", "0008103E"
_CONCEPT_NAME, _CODE_MEANING = "0040A043", "00080104"
_DOCUMENT_TITLE, _CONTENT_LABEL, _CONTENT_DESCRIPTION = "00420010", "00700080", "00700081"
_STRUCTURE_SET_LABEL = "30060002"
_REFERENCED_SERIES, _SERIES_UID, _FRAME_OF_REFERENCE = "00081115", "0020000E", "00200052"
_REFERENCED_FRAMES_OF_REFERENCE, _RT_STUDIES, _RT_SERIES = "30060010", "30060012", "30060014"
_WAVEFORMS, _SAMPLES, _FREQUENCY = "54000100", "003A0010", "003A001A"
_EVIDENCE = ("0040A375", "0040A385")


def described(
    series_uid: SeriesUid, instance_uid: InstanceUid, kind: ObjectKind, attributes: Attributes
) -> StudyObject:
    """An object by the attributes of its data set."""
    spaces = attributes.items(_REFERENCED_FRAMES_OF_REFERENCE)
    frame_of_reference = attributes.text(_FRAME_OF_REFERENCE) or next(
        (text for one in spaces if (text := one.text(_FRAME_OF_REFERENCE))), ""
    )
    return StudyObject(
        series_uid,
        instance_uid,
        kind,
        _title(kind, attributes),
        attributes.text(_CONTENT_DATE),
        tuple(dict.fromkeys(_about(attributes))),
        frame_of_reference,
        _duration_s(attributes),
    )


def _title(kind: ObjectKind, attributes: Attributes) -> str:
    concept = next((one.text(_CODE_MEANING) for one in attributes.items(_CONCEPT_NAME)), "")
    own = {
        ObjectKind.REPORT: concept,
        ObjectKind.KEY_IMAGES: concept,
        ObjectKind.PDF: attributes.text(_DOCUMENT_TITLE),
        ObjectKind.STRUCTURES: attributes.text(_STRUCTURE_SET_LABEL),
        ObjectKind.SEGMENTATION: attributes.text(_CONTENT_DESCRIPTION) or attributes.text(_CONTENT_LABEL),
        ObjectKind.PRESENTATION: attributes.text(_CONTENT_DESCRIPTION) or attributes.text(_CONTENT_LABEL),
    }
    return own.get(kind, "") or attributes.text(_SERIES_DESCRIPTION)


def _about(attributes: Attributes) -> list[str]:
    """Of presentation states and segmentations (PS3.3 C.11.11, C.12.1), of structure sets (C.8.8.5), of documents (C.17.2)."""
    holders = [attributes, *(study for tag in _EVIDENCE for study in attributes.items(tag))]
    named = [one.text(_SERIES_UID) for holder in holders for one in holder.items(_REFERENCED_SERIES)]
    for space in attributes.items(_REFERENCED_FRAMES_OF_REFERENCE):
        for study in space.items(_RT_STUDIES):
            named += [series.text(_SERIES_UID) for series in study.items(_RT_SERIES)]
    return [uid for uid in named if uid]


def _duration_s(attributes: Attributes) -> float | None:
    durations = [
        samples / frequency
        for group in attributes.items(_WAVEFORMS)
        if (samples := group.number(_SAMPLES)) and (frequency := group.number(_FREQUENCY))
    ]
    return max(durations, default=None)
