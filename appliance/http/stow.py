"""STOW-RS (PS3.18 §10.5): instances as parts of a body that is streamed, each with an outcome of its own.

Plain ASGI like ``uploads``, for its back-pressure. Of the body no more is in memory than what arrived last and what waits
to be written; how long it is and how many instances it holds makes no difference.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from appliance.domain import errors
from appliance.domain.accounts import Right
from appliance.domain.errors import ApplianceError, BadRequest, NotAcceptable, TooLarge, UnsupportedMedia
from appliance.domain.identifiers import InstitutionId, StudyUid
from appliance.http import addresses, problems
from appliance.http.access import Access
from appliance.http.asgi import Receive, Scope, Send, answer, header, refuse
from appliance.http.media_types import MediaType, accepted, media_type
from appliance.http.multipart import MultipartReader, PartBegins, PartData, boundary_of, refuse_nested
from appliance.http.uploads import ClientGone
from appliance.services.ingest import Ingest
from appliance.services.metrics import Metrics
from appliance.services.storing import Outcome, Storing
from appliance.storage.native_model import native_model

_PATH = re.compile(r"/dicom-web/studies(?:/([^/]+))?")
_DICOM = "application/dicom"
_METADATA = frozenset({"application/dicom+json", "application/dicom+xml"})
_PATIENCE_S = 60.0
"""So long the next bytes of a body are waited for."""
_PLAIN_TRANSFER = frozenset({"", "binary", "8bit", "7bit", "identity"})

FAILURE_REASONS: dict[type[ApplianceError], int] = {
    errors.StoreFull: 0xA700,
    errors.TooLarge: 0xA700,
    errors.Unavailable: 0xA700,
    errors.NotDicom: 0xC000,
    errors.UnsupportedMedia: 0xC000,
    errors.BadRequest: 0xC000,
    errors.Conflict: 0x0111,
    errors.NotAllowed: 0x0124,
    errors.ApplianceError: 0x0110,
}
"""Failure Reason (0008,1197) of a refusal, by the nearest class (PS3.18 table I.2-2, PS3.7 annex C)."""
OTHER_STUDY = 0xA900
"""Of an instance that is not of the study in the address."""


class StoreInstances:
    """``POST /dicom-web/studies`` and ``POST /dicom-web/studies/{study}``."""

    def __init__(
        self,
        ingest: Ingest,
        access: Access,
        metrics: Metrics,
        *,
        institution_id: InstitutionId,
        base_url: str,
        request_limit_bytes: int,
    ) -> None:
        self._ingest = ingest
        self._access = access
        self._metrics = metrics
        self._institution_id = institution_id
        self._base_url = base_url
        self._request_limit_bytes = request_limit_bytes

    def takes(self, scope: Scope) -> bool:
        """Whether a request is for this resource."""
        return scope["method"] == "POST" and _PATH.fullmatch(scope["path"]) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            account = self._access.writer_of(scope)
            account.require(Right.STORE, at=self._institution_id)
            study_uid = _study_uid(scope)
            as_xml = _wants_xml(scope)
            content_type = _content_type(scope)
            await self._check_length(scope)
            body = _Body(receive, self._request_limit_bytes)
            sender = self._ingest.sender(self._access.actor_of(scope, account))
            async with Storing(sender, study_uid) as storing:
                await _take_in(content_type, body, storing)
                outcomes = await storing.all_outcomes()
        except ApplianceError as error:
            self._metrics.instances.labels(error.key).inc()
            await refuse(send, error)
        except TimeoutError:
            title = f"No bytes came for {_PATIENCE_S:.0f} s"
            await answer(send, 408, problems.problem(408, "too-slow", title), [("Content-Type", problems.CONTENT_TYPE)])
        except ClientGone:
            return
        else:
            for outcome in outcomes:
                self._metrics.instances.labels(_label(outcome)).inc()
            root = addresses.dicom_web(scope, self._base_url)
            await _answer(send, outcomes, _response_module(root, study_uid, outcomes), as_xml=as_xml)

    async def _check_length(self, scope: Scope) -> None:
        """Refuses by the declared length, before anything is read."""
        declared = header(scope, b"content-length")
        if declared is None:
            return
        if not declared.isascii() or not declared.isdigit():
            raise BadRequest("Content-Length is not a number", parameter="Content-Length")
        if len(declared) > 19 or int(declared) > self._request_limit_bytes:
            raise _too_large(self._request_limit_bytes)
        await self._ingest.check_room(int(declared))


class _Body:
    """The bytes of a request, counted."""

    def __init__(self, receive: Receive, limit_bytes: int) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises TooLarge beyond the limit, ClientGone, and TimeoutError if nothing comes."""
        total_bytes = 0
        while True:
            async with asyncio.timeout(_PATIENCE_S):  # wait_for would make a task for every piece
                message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            data: bytes = message.get("body", b"")
            total_bytes += len(data)
            if total_bytes > self._limit_bytes:
                raise _too_large(self._limit_bytes)
            if data:
                yield data
            if not message.get("more_body", False):
                return


async def _take_in(content_type: MediaType, body: _Body, storing: Storing) -> None:
    """Every instance of the body is received.

    A body that breaks off is refused as a whole only where nothing of it can have been stored: what was is reported.
    """
    try:
        if content_type.name == _DICOM:
            await _take_one(body, storing)
        else:
            await _take_parts(content_type, body, storing)
    except (BadRequest, TooLarge, UnsupportedMedia) as error:
        whole = [one for one in storing.outcomes if one.error is None]
        await storing.break_off(error)
        is_part_known = bool(storing.outcomes) and storing.outcomes[-1].error is error
        if len(whole) - is_part_known <= 0:
            raise
        if not is_part_known:
            storing.outcomes.append(Outcome(error=error))


async def _take_one(body: _Body, storing: Storing) -> None:
    await storing.begin()
    async for data in body:
        await storing.write(data)
    storing.end()


async def _take_parts(content_type: MediaType, body: _Body, storing: Storing) -> None:
    reader = MultipartReader(boundary_of(content_type))
    async for data in body:
        for event in reader.feed(data):
            if isinstance(event, PartBegins):
                await storing.begin(_refusal_of_part(event))
            elif isinstance(event, PartData):
                await storing.write(event.data)
            else:
                storing.end()
    reader.end()
    if not storing.outcomes:
        raise BadRequest("The body has no part", key="no-parts")


def _refusal_of_part(part: PartBegins) -> ApplianceError | None:
    """Why the content of a part is not taken; None where it is. Raises UnsupportedMedia for a nested multipart."""
    kind = media_type(part.headers.get("content-type", _DICOM)) or MediaType("")
    refuse_nested(kind)
    if kind.name in _METADATA:
        return _metadata_refused()
    if kind.name != _DICOM:
        return UnsupportedMedia("A part is not application/dicom", key="part-not-dicom")
    if part.headers.get("content-encoding", "").lower() not in _PLAIN_TRANSFER:
        return UnsupportedMedia("A part is compressed", key="content-encoding")
    if part.headers.get("content-transfer-encoding", "").lower() not in _PLAIN_TRANSFER:
        return UnsupportedMedia("A part is encoded as text", key="content-encoding")
    return None


def _study_uid(scope: Scope) -> StudyUid | None:
    found = _PATH.fullmatch(scope["path"])
    assert found is not None, "takes() was asked"
    return addresses.study_uid(found[1]) if found[1] else None


def _wants_xml(scope: Scope) -> bool:
    """Whether the answer is to be XML; JSON is what the standard has as its default. Raises NotAcceptable."""
    for wanted in accepted(header(scope, b"accept")):
        if wanted.covers("application/dicom+json") or wanted.covers("application/json"):
            return False
        if wanted.covers("application/dicom+xml"):
            return True
    raise NotAcceptable("The answer can be application/dicom+json or application/dicom+xml")


def _content_type(scope: Scope) -> MediaType:
    """What the body is. Raises UnsupportedMedia."""
    encoding = (header(scope, b"content-encoding") or "").strip().lower()
    if encoding not in ("", "identity"):
        # DICOM is compressed inside; a compressed body is an unbounded one.
        raise UnsupportedMedia("A body with Content-Encoding is not taken", key="content-encoding")
    kind = media_type(header(scope, b"content-type") or "")
    if kind is None:
        raise UnsupportedMedia("The request has no Content-Type that can be read", key="no-content-type")
    if kind.name == _DICOM:
        return kind
    if kind.name in _METADATA:
        raise _metadata_refused()
    if kind.name != "multipart/related":
        raise UnsupportedMedia('A body is multipart/related; type="application/dicom", or application/dicom')
    inner = kind.parameters.get("type", _DICOM).lower()
    if inner.startswith("multipart/"):
        raise UnsupportedMedia("A part may not be a multipart itself", key="nested-multipart")
    if inner in _METADATA:
        raise _metadata_refused()
    if inner != _DICOM:
        raise UnsupportedMedia("Parts are taken as application/dicom only", key="part-not-dicom")
    return kind


def _metadata_refused() -> UnsupportedMedia:
    return UnsupportedMedia(
        "Metadata with bulk data apart (PS3.18 §10.5.1) is not taken: send whole instances as application/dicom",
        key="metadata-not-taken",
    )


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"A request may have {limit_bytes} bytes", limit_bytes=limit_bytes)


def _label(outcome: Outcome) -> str:
    return outcome.stored.outcome if outcome.stored else outcome.error.key if outcome.error else "refused"


# The Store Instances Response Module (PS3.18 annex I)

Json = dict[str, dict[str, Any]]  # Any: values of the DICOM JSON model


def failure_reason(error: ApplianceError) -> int:
    if error.key == "other-study":
        return OTHER_STUDY
    return next(FAILURE_REASONS[kind] for kind in type(error).__mro__ if kind in FAILURE_REASONS)


def _response_module(root: str, study_uid: StudyUid | None, outcomes: list[Outcome]) -> Json:
    studies = {one.stored.study_uid for one in outcomes if one.stored}
    if study_uid is None and len(studies) == 1:
        study_uid = next(iter(studies))
    module: Json = {}
    if study_uid is not None and studies:
        module["00081190"] = {"vr": "UR", "Value": [addresses.resource(root, [study_uid])]}
    _put_sequence(module, "00081198", [_failed(one) for one in outcomes if one.error and one.parsed])
    _put_sequence(module, "00081199", [_stored(root, one) for one in outcomes if one.stored])
    _put_sequence(module, "0008119A", [_reason(one.error) for one in outcomes if one.error and not one.parsed])
    return module


def _put_sequence(module: Json, tag: str, items: list[Json]) -> None:
    if items:
        module[tag] = {"vr": "SQ", "Value": items}


def _reference(outcome: Outcome) -> Json:
    assert outcome.parsed is not None
    instance = outcome.parsed.instance
    return {
        "00081150": {"vr": "UI", "Value": [instance.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [instance.instance_uid]},
    }


def _stored(root: str, outcome: Outcome) -> Json:
    assert outcome.stored is not None
    held = outcome.stored
    url = addresses.resource(root, [held.study_uid, held.series_uid, held.instance_uid])
    return {**_reference(outcome), "00081190": {"vr": "UR", "Value": [url]}}


def _failed(outcome: Outcome) -> Json:
    assert outcome.error is not None
    return {**_reference(outcome), **_reason(outcome.error)}


def _reason(error: ApplianceError) -> Json:
    return {"00081197": {"vr": "US", "Value": [failure_reason(error)]}}


async def _answer(send: Send, outcomes: list[Outcome], module: Json, *, as_xml: bool) -> None:
    failed = sum(1 for one in outcomes if one.error)
    status = 200 if not failed else 409 if failed == len(outcomes) else 202  # PS3.18 table 10.5.3-1
    body = native_model(module) if as_xml else msgspec.json.encode(module)
    kind = "application/dicom+xml" if as_xml else "application/dicom+json"
    await answer(send, status, body, [("Content-Type", kind), ("Cache-Control", "no-store")])
