"""QIDO-RS (PS3.18 §10.6): studies, series and instances by their attributes."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.accounts import Right
from appliance.domain.audit import Action, Actor, Subject
from appliance.domain.errors import BadRequest, NotAcceptable
from appliance.domain.identifiers import SeriesUid, StudyUid
from appliance.domain.searches import Filter, Level, Matches, Search
from appliance.http import addresses
from appliance.http.access import Access
from appliance.http.asgi import Scope
from appliance.http.media_types import accepted
from appliance.services.archive import Archive
from appliance.services.audit import Auditing
from appliance.services.releases import HeldBack
from appliance.storage.native_model import Json, native_model
from appliance.storage.queries import MOST_COUNTED

_ROOT = "/dicom-web"
_MOST_FILTERS = 64
_LARGEST_NUMBER = 10**9
JSON_TYPES = ("application/dicom+json", "application/json")
XML_TYPE = "application/dicom+xml"


class Queries:
    """The resources."""

    def __init__(
        self, archive: Archive, access: Access, auditing: Auditing, held_back: HeldBack, base_url: str
    ) -> None:
        self._archive = archive
        self._held_back = held_back
        self._access = access
        self._auditing = auditing
        self._base_url = base_url

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("queries", __name__)
        blueprint.get(f"{_ROOT}/studies")(self.studies)
        blueprint.get(f"{_ROOT}/series")(self.series)
        blueprint.get(f"{_ROOT}/instances")(self.instances)
        blueprint.get(f"{_ROOT}/studies/<study>/series", endpoint="series_of_study")(self.series)
        blueprint.get(f"{_ROOT}/studies/<study>/instances", endpoint="instances_of_study")(self.instances)
        blueprint.get(f"{_ROOT}/studies/<study>/series/<series>/instances", endpoint="instances_of_series")(
            self.instances
        )
        return blueprint

    async def studies(self) -> Response:
        return await self._found(Level.STUDY, None, None)

    async def series(self, study: str | None = None) -> Response:
        return await self._found(Level.SERIES, study, None)

    async def instances(self, study: str | None = None, series: str | None = None) -> Response:
        return await self._found(Level.INSTANCE, study, series)

    async def _found(self, level: Level, study: str | None, series: str | None) -> Response:
        account = self._access.reader()
        account.require(Right.VIEW)
        as_xml = wants_xml(request.args.get("accept") or request.headers.get("Accept"))
        wanted = search_of(
            level,
            request.args.items(multi=True),
            addresses.study_uid(study) if study else None,
            addresses.series_uid(series) if series else None,
        )
        wanted = replace(wanted, is_released_only=not self._held_back.sees_all(account))
        found = await self._archive.search(wanted)
        await self._put_on_record(self._access.actor(account), wanted.study_uid)
        return self._answer(found, as_xml=as_xml)

    async def _put_on_record(self, by: Actor, study_uid: StudyUid | None) -> None:
        if study_uid:
            await self._auditing.looked(by, Action.OPEN, study_uid)
        else:
            await self._auditing.looked_at(by, Action.SEARCH, Subject("study"))

    def _answer(self, found: Matches, *, as_xml: bool) -> Response:
        root = addresses.dicom_web(cast(Scope, request.scope), self._base_url)
        models = [_described(root, one.uids, one.attributes) for one in found.results]
        response = models_response(models, as_xml=as_xml) if models else Response("", 204)
        response.headers["Cache-Control"] = "no-store"
        for warning in _warnings(found):
            response.headers.add("Warning", f'299 {root}: "{warning}"')
        return response


def models_response(models: Sequence[Json], *, as_xml: bool) -> Response:
    """Data sets as one array of JSON, or as a multipart of XML documents, one each (PS3.18 §8.7.5)."""
    if not as_xml:
        return Response(msgspec.json.encode(models), 200, content_type=JSON_TYPES[0])
    boundary = secrets.token_hex(16)
    parts = [f"--{boundary}\r\nContent-Type: {XML_TYPE}\r\n\r\n".encode() + native_model(one) for one in models]
    body = b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()])
    return Response(body, 200, content_type=f'multipart/related; type="{XML_TYPE}"; boundary={boundary}')


def wants_xml(accept: str | None) -> bool:
    """Whether data sets are to be described in XML; JSON is the default. Raises NotAcceptable."""
    for wanted in accepted(accept):
        if any(wanted.covers(kind) for kind in JSON_TYPES):
            return False
        if wanted.covers(XML_TYPE):
            return True
        inner = wanted.parameters.get("type", XML_TYPE).lower()
        if wanted.covers("multipart/related") and inner in (*JSON_TYPES, XML_TYPE):
            return inner == XML_TYPE
    raise NotAcceptable(f'This can be {JSON_TYPES[0]}, or multipart/related; type="{XML_TYPE}"')


def search_of(
    level: Level,
    parameters: Iterable[tuple[str, str]],
    study_uid: StudyUid | None = None,
    series_uid: SeriesUid | None = None,
) -> Search:
    """The search that a query string means (PS3.18 §8.3.4). Raises BadRequest, naming the parameter."""
    filters: dict[str, list[str]] = {}
    include: list[str] = []
    numbers: dict[str, int] = {}
    is_fuzzy = False
    for name, value in parameters:
        if name == "includefield":
            include += [one.strip() for one in value.split(",") if one.strip()]
        elif name in ("limit", "offset"):
            numbers[name] = _number(name, value)
        elif name == "fuzzymatching":
            is_fuzzy = _truth(name, value)
        elif name in ("emptyvaluematching", "multiplevaluematching"):
            _truth(name, value)
        elif name != "accept":
            filters.setdefault(name, []).append(value)
    if len(filters) > _MOST_FILTERS or len(include) > _MOST_FILTERS:
        raise BadRequest(f"More than {_MOST_FILTERS} attributes in one search", parameter="includefield")
    return Search(
        level,
        tuple(Filter(name, "\\".join(values)) for name, values in filters.items()),
        study_uid,
        series_uid,
        is_fuzzy,
        tuple(include),
        numbers.get("limit"),
        numbers.get("offset", 0),
    )


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 10 or int(value) > _LARGEST_NUMBER:
        raise BadRequest(f"{name} is not a number from 0 on", parameter=name)
    return int(value)


def _truth(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BadRequest(f"{name} is neither true nor false", parameter=name)
    return value.lower() == "true"


def _described(root: str, uids: Sequence[str], attributes: Json) -> Json:
    own = {
        **attributes,
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00081190": {"vr": "UR", "Value": [addresses.resource(root, uids)]},
    }
    return dict(sorted(own.items()))


def _warnings(found: Matches) -> list[str]:
    """PS3.18 §8.3.4.4; and what was passed over."""
    said = []
    if found.remaining:
        count = f"more than {MOST_COUNTED}" if found.remaining > MOST_COUNTED else str(found.remaining)
        said.append(f"There are {count} additional results that can be requested")
    if found.not_matched:
        names = ", ".join(name for name in found.not_matched if name.isascii() and name.replace(".", "").isalnum())
        said.append(f"These attributes do not match here and were passed over: {names}")
    return said
