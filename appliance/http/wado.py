"""WADO-RS (PS3.18 §10.4): instances, metadata, frames and bulk data, given back; and their deletion.

Bodies are streamed, an instance after the other; what can be refused is refused before the first byte.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.accounts import Right
from appliance.domain.audit import Action, Actor, Event, Subject, dicom_subject
from appliance.domain.errors import BadRequest, NotAcceptable, NotFound
from appliance.domain.identifiers import InstanceUid, InstitutionId, SeriesUid, StudyUid
from appliance.domain.image import ImageDescription
from appliance.http import addresses
from appliance.http.access import Access
from appliance.http.asgi import Scope
from appliance.http.frame_lists import frame_numbers
from appliance.http.media_types import MediaType, accepted
from appliance.http.parts import PRIVATE, Pieces, begun, one_piece, part, streamed
from appliance.http.qido import JSON_TYPES, XML_TYPE, wants_xml
from appliance.http.ranges import ranged
from appliance.services.archive import AS_STORED, Archive, Consignment, default_syntaxes
from appliance.services.audit import Auditing
from appliance.services.catalogue import Catalogue
from appliance.services.pointing import Pointing
from appliance.services.releases import HeldBack
from appliance.storage.bulk_data import Place
from appliance.storage.dicom_json import with_absolute_addresses
from appliance.storage.holdings import Holding
from appliance.storage.native_model import native_model
from appliance.storage.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, is_native

_STUDY = "/dicom-web/studies/<study>"
_SERIES = f"{_STUDY}/series/<series>"
_INSTANCE = f"{_SERIES}/instances/<instance>"
_DICOM = "application/dicom"
_OCTETS = "application/octet-stream"

FRAME_TYPES = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
}
"""Media type of a compressed frame by its transfer syntax (PS3.18 table 8.7.3-5); of others application/octet-stream."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One acceptable form of an answer."""

    media_type: str
    transfer_syntax: str
    is_multipart: bool


class Retrieval:
    """The resources that give back."""

    def __init__(
        self, archive: Archive, access: Access, auditing: Auditing, held_back: HeldBack, base_url: str
    ) -> None:
        self._archive = archive
        self._held_back = held_back
        self._auditing = auditing
        self._access = access
        self._base_url = base_url

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("retrieval", __name__)
        for level, path in (("study", _STUDY), ("series", _SERIES), ("instance", _INSTANCE)):
            blueprint.get(path, endpoint=f"dicom_of_{level}")(self.dicom)
            blueprint.get(f"{path}/metadata", endpoint=f"metadata_of_{level}")(self.metadata)
        blueprint.get(f"{_INSTANCE}/frames/<frames>")(self.frames)
        blueprint.get(f"{_INSTANCE}/bulkdata/<path:path>")(self.bulk_data)
        return blueprint

    async def dicom(self, study: str, series: str | None = None, instance: str | None = None) -> Response:
        held = await self._held(study, series, instance, Action.RETRIEVE)
        wanted = _instances_wanted(_accept(), is_one=instance is not None)
        if not wanted.is_multipart:
            return await self._one(held[0], wanted)
        syntaxes = [wanted.transfer_syntax] if wanted.transfer_syntax else default_syntaxes()
        consignments = self._archive.consigned(held, syntaxes)
        root = self._root()
        return await streamed(_DICOM, lambda boundary: self._parts(boundary, root, consignments))

    async def metadata(self, study: str, series: str | None = None, instance: str | None = None) -> Response:
        as_xml = wants_xml(request.args.get("accept") or request.headers.get("Accept"))
        held = await self._held(study, series, instance, Action.OPEN)
        root = self._root()
        if as_xml:
            return await streamed(XML_TYPE, lambda boundary: self._documents(boundary, root, held))
        response = Response(await begun(self._array(root, held)), 200, content_type=JSON_TYPES[0])
        response.headers["Cache-Control"] = "no-store"
        return response

    async def frames(self, study: str, series: str, instance: str, frames: str) -> Response:
        uids = addresses.uids_of_instance(study, series, instance)
        numbers = frame_numbers(frames)
        by = await self._reader(*uids)
        key, image = await self._archive.image(*uids)
        await self._auditing.looked(by, Action.RETRIEVE, uids[0])
        if max(numbers) > len(image.frames):
            raise NotFound(f"there is no frame {max(numbers)} of {len(image.frames)}", key="no-such-frame")
        return await self._frames_answer(addresses.resource(self._root(), uids), key, image, numbers)

    async def bulk_data(self, study: str, series: str, instance: str, path: str) -> Response:
        (held,) = await self._held(study, series, instance, Action.RETRIEVE)
        try:
            value = await self._archive.bulk_data(held, _bulk_path(path))
        except NotFound as error:
            if error.key != "pixels-in-fragments":
                raise
            key, image = await self._archive.image(*held.uids)
            numbers = list(range(1, len(image.frames) + 1))
            return await self._frames_answer(addresses.resource(self._root(), held.uids), key, image, numbers)
        wanted = _octets_wanted(_accept())
        size_bytes = value.length if isinstance(value, Place) else len(value)

        def pieces(start: int, end: int) -> Pieces:
            if isinstance(value, Place):
                return self._archive.original(held, value.offset + start, value.offset + end)
            return one_piece(value[start:end])

        if wanted.is_multipart:
            url = f"{addresses.resource(self._root(), held.uids)}/bulkdata/{path}"
            return await streamed(
                _OCTETS, lambda boundary: part(boundary, f"Content-Type: {_OCTETS}", url, pieces(0, size_bytes))
            )
        return ranged(pieces, size_bytes, f'"{held.key[:32]}-{path}"', _OCTETS)

    # What the answers are made of

    async def _one(self, held: Holding, wanted: _Wanted) -> Response:
        """One instance as the whole body; in parts of its bytes too, where it is given back as it is stored."""
        syntaxes = [wanted.transfer_syntax] if wanted.transfer_syntax else default_syntaxes()
        (consignment,) = self._archive.consigned([held], syntaxes)
        content_type = _dicom_type(consignment)
        if consignment.is_original:
            etag = f'"{held.key[:32]}"'
            return ranged(
                lambda start, end: self._archive.original(held, start, end), held.size_bytes, etag, content_type
            )
        body = await begun(self._archive.bytes_of(consignment))
        return Response(body, 200, headers={"Cache-Control": PRIVATE, "Vary": "Accept"}, content_type=content_type)

    async def _parts(self, boundary: str, root: str, consignments: Sequence[Consignment]) -> Pieces:
        for one in consignments:
            url = addresses.resource(root, one.holding.uids)
            async for piece in part(boundary, f"Content-Type: {_dicom_type(one)}", url, self._archive.bytes_of(one)):
                yield piece

    async def _array(self, root: str, held: Sequence[Holding]) -> Pieces:
        mark = b"["
        async for one, text in self._archive.described(held):
            yield mark + with_absolute_addresses(text, addresses.resource(root, one.uids))
            mark = b",\n"
        yield b"]"

    async def _documents(self, boundary: str, root: str, held: Sequence[Holding]) -> Pieces:
        async for one, text in self._archive.described(held):
            url = addresses.resource(root, one.uids)
            document = native_model(msgspec.json.decode(with_absolute_addresses(text, url)))
            async for piece in part(boundary, f"Content-Type: {XML_TYPE}", f"{url}/metadata", one_piece(document)):
                yield piece

    async def _frames_answer(self, url: str, key: str, image: ImageDescription, numbers: Sequence[int]) -> Response:
        wanted = _frames_wanted(_accept(), image, is_one=len(numbers) == 1)
        is_stored = wanted.transfer_syntax == image.transfer_syntax_uid != EXPLICIT_LITTLE_ENDIAN
        read: Callable[[str, ImageDescription, int], Awaitable[bytes]] = (
            self._archive.stored_frame if is_stored else self._archive.native_frame
        )
        content_type = f"{wanted.media_type}; transfer-syntax={wanted.transfer_syntax}"
        first = await read(key, image, numbers[0])  # what cannot be decoded is refused before the answer begins
        if not wanted.is_multipart:
            headers = {"Cache-Control": PRIVATE, "Vary": "Accept"}
            return Response(first, 200, headers=headers, content_type=content_type)

        async def parts(boundary: str) -> Pieces:
            for place, number in enumerate(numbers):
                frame = first if place == 0 else await read(key, image, number)
                async for piece in part(
                    boundary, f"Content-Type: {content_type}", f"{url}/frames/{number}", one_piece(frame)
                ):
                    yield piece

        return await streamed(wanted.media_type, parts)

    async def _held(self, study: str, series: str | None, instance: str | None, action: Action) -> tuple[Holding, ...]:
        """What is held there; that it is looked at is on record."""
        study_uid = addresses.study_uid(study)
        series_uid = addresses.series_uid(series) if series else None
        instance_uid = addresses.instance_uid(instance) if instance else None
        by = await self._reader(study_uid, series_uid, instance_uid)
        held = await self._archive.holdings(study_uid, series_uid, instance_uid)
        await self._auditing.looked(by, action, study_uid)
        return held

    async def _reader(
        self, study_uid: StudyUid, series_uid: SeriesUid | None, instance_uid: InstanceUid | None
    ) -> Actor:
        """Who asks, if they may look."""
        account = self._access.reader()
        account.require(Right.VIEW)
        await self._held_back.check(account, study_uid, series_uid, instance_uid)
        return self._access.actor(account)

    def _root(self) -> str:
        return addresses.dicom_web(cast(Scope, request.scope), self._base_url)


def deletions(
    catalogue: Catalogue, access: Access, auditing: Auditing, institution_id: InstitutionId, pointing: Pointing
) -> Blueprint:
    """Studies, series and instances are deleted (PS3.18 has no such transaction; archives have this one).

    What reports point to only with ``even-if=pointed-to``.
    """
    blueprint = Blueprint("deletions", __name__)

    async def allowed(subject: Subject) -> Actor:
        """Who deletes, if they may."""
        account = access.writer()
        by = access.actor(account)
        await auditing.require(account, Right.DELETE, institution_id, Event(by, Action.DELETE, subject))
        return by

    async def check_pointers(
        study_uid: StudyUid, series_uid: SeriesUid | None = None, instance_uid: InstanceUid | None = None
    ) -> None:
        even_if = request.args.get("even-if")
        if even_if not in (None, "pointed-to"):
            raise BadRequest("even-if is not pointed-to", parameter="even-if")
        if even_if is None:
            await pointing.refuse_pointed_to(study_uid, series_uid, instance_uid)

    @blueprint.delete("/api/studies/<study>")
    @blueprint.delete(_STUDY)
    async def one_study(study: str) -> Response:
        study_uid = addresses.study_uid(study)
        by = await allowed(dicom_subject(study_uid))
        await check_pointers(study_uid)
        await catalogue.delete_study(study_uid, by)
        return Response("", 204)

    @blueprint.delete(_SERIES)
    async def one_series(study: str, series: str) -> Response:
        study_uid, series_uid = addresses.uids_of_series(study, series)
        by = await allowed(dicom_subject(study_uid, series_uid))
        await check_pointers(study_uid, series_uid)
        await catalogue.delete_series(study_uid, series_uid, by)
        return Response("", 204)

    @blueprint.delete(_INSTANCE)
    async def one_instance(study: str, series: str, instance: str) -> Response:
        uids = addresses.uids_of_instance(study, series, instance)
        by = await allowed(dicom_subject(*uids))
        await check_pointers(*uids)
        await catalogue.delete_instance(*uids, by)
        return Response("", 204)

    return blueprint


# What is acceptable


def _accept() -> tuple[MediaType, ...]:
    return accepted(request.args.get("accept") or request.headers.get("Accept"))


def _forms(wanted: MediaType, default: str) -> _Wanted:
    """A form that an element of Accept names: the media type, inside a multipart where it says so."""
    syntax = wanted.parameters.get("transfer-syntax", "")
    if wanted.name == "*/*":
        return _Wanted(default, AS_STORED, is_multipart=True)
    if wanted.name in ("multipart/related", "multipart/*"):
        inner = MediaType(wanted.parameters.get("type", default).lower())
        return _Wanted(default if inner.covers(default) else inner.name, syntax, is_multipart=True)
    return _Wanted(wanted.name, syntax, is_multipart=False)


def _instances_wanted(accept: Sequence[MediaType], *, is_one: bool) -> _Wanted:
    for wanted in (_forms(one, _DICOM) for one in accept):
        if wanted.media_type == _DICOM and (wanted.is_multipart or is_one):
            return wanted
    single = f", or {_DICOM}" if is_one else ""
    raise NotAcceptable(f'This can be multipart/related; type="{_DICOM}"{single}')


def _octets_wanted(accept: Sequence[MediaType]) -> _Wanted:
    for one in accept:
        wanted = _forms(one, _OCTETS)
        if one.covers(_OCTETS):
            return _Wanted(_OCTETS, "", is_multipart=False)
        if wanted.media_type == _OCTETS:
            return wanted
    raise NotAcceptable(f'This can be {_OCTETS}, or multipart/related; type="{_OCTETS}"')


def _frames_wanted(accept: Sequence[MediaType], image: ImageDescription, *, is_one: bool) -> _Wanted:
    """How frames are given back: native as octets, or compressed as they are stored."""
    stored = image.transfer_syntax_uid
    stored_type = _OCTETS if is_native(stored) else FRAME_TYPES.get(stored, _OCTETS)
    for one in accept:
        wanted = _forms(one, _OCTETS)
        if not wanted.is_multipart and not is_one:
            continue
        if one.name == "*/*":
            return _Wanted(_OCTETS, EXPLICIT_LITTLE_ENDIAN, is_multipart=True)
        is_as_stored = wanted.transfer_syntax in (AS_STORED, stored)
        if wanted.media_type == _OCTETS and (is_as_stored or wanted.transfer_syntax in ("", EXPLICIT_LITTLE_ENDIAN)):
            as_it_lies = is_as_stored and not is_native(stored)
            return _Wanted(_OCTETS, stored if as_it_lies else EXPLICIT_LITTLE_ENDIAN, wanted.is_multipart)
        if wanted.media_type == stored_type != _OCTETS and (is_as_stored or not wanted.transfer_syntax):
            return _Wanted(stored_type, stored, wanted.is_multipart)
    raise NotAcceptable(
        f"Frames of this object can be {_OCTETS} in {EXPLICIT_LITTLE_ENDIAN}, or {stored_type} in {stored}",
        key="transfer-syntax",
        stored_in=stored,
    )


def _bulk_path(path: str) -> tuple[str, ...]:
    parts = tuple(path.split("/"))
    is_tag = [bool(re.fullmatch(r"[0-9A-Fa-f]{8}", part)) for part in parts[::2]]
    is_number = [bool(re.fullmatch(r"[0-9]{1,6}", part)) for part in parts[1::2]]
    if len(parts) % 2 == 0 or len(parts) > 31 or not all(is_tag) or not all(is_number):
        raise NotFound("there is no such bulk data", key="no-such-bulk-data")
    return tuple(part.upper() for part in parts)


# How bodies are written


def _dicom_type(one: Consignment) -> str:
    return f"{_DICOM}; transfer-syntax={one.transfer_syntax_uid}"
