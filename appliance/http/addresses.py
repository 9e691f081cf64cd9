"""Addresses of this node's own resources, as whoever asks reaches them, and what their parts name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid, checked_uid
from appliance.http.asgi import Scope, header

_AUTHORITY = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_LEVELS = ("studies", "series", "instances")


def dicom_web(scope: Scope, base_url: str) -> str:
    """The root of the DICOMweb resources, by the name under which the request came; by ``base_url`` if it has none.

    A host without a port may be that of ``base_url``, whose port a client left out (dicomweb-client does).
    """
    host = header(scope, b"host") or ""
    if host == urlsplit(base_url).hostname:
        return f"{base_url.rstrip('/')}/dicom-web"
    root = f"{scope.get('scheme', 'https')}://{host}" if _AUTHORITY.fullmatch(host) else base_url.rstrip("/")
    return f"{root}/dicom-web"


def resource(root: str, uids: Sequence[str]) -> str:
    """The address of a study, of a series in it, or of an instance in that."""
    return root + "".join(f"/{level}/{uid}" for level, uid in zip(_LEVELS, uids, strict=False))


def study_uid(text: str) -> StudyUid:
    """Of the part of a path that names a study. Raises BadRequest, as the next two do."""
    return StudyUid(checked_uid(text, "study"))


def series_uid(text: str) -> SeriesUid:
    return SeriesUid(checked_uid(text, "series"))


def instance_uid(text: str) -> InstanceUid:
    return InstanceUid(checked_uid(text, "instance"))


def uids_of_series(study: str, series: str) -> tuple[StudyUid, SeriesUid]:
    return study_uid(study), series_uid(series)


def uids_of_instance(study: str, series: str, instance: str) -> tuple[StudyUid, SeriesUid, InstanceUid]:
    return study_uid(study), series_uid(series), instance_uid(instance)
