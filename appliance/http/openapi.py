"""What ``/api/`` is, as OpenAPI 3.1: printed at ``/api/openapi.json`` for the roles that a process plays.

Which doors there are and what each asks of whoever comes is read from the table of ``http.authorisation``; what goes in and comes
out stands here, one row a door. Bodies are the very types that the doors read. A test asks every door for what the document
allows, and for what it does not.

References: OpenAPI Specification 3.1.1; JSON Schema 2020-12; RFC 9457.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from quart import Blueprint, Response, current_app

from appliance import __version__
from appliance.domain.accounts import Contact, Role
from appliance.domain.audit import Action, Outcome
from appliance.domain.changes import RecordType
from appliance.domain.institutions import InstitutionRecord, InstitutionState
from appliance.domain.measuring import REGIONS
from appliance.domain.nodes import Capacity, NodeState
from appliance.http import answers
from appliance.http.accounts import (
    AccountToCreate,
    Activity,
    Code,
    ContactToSet,
    Password,
    PasswordToSet,
    PersonToKeep,
)
from appliance.http.authorisation import ROUTES, Need, Route, routes_of
from appliance.http.bodies import json_response
from appliance.http.conflicts import ResolutionToMake
from appliance.http.enrolments import TokenToMake
from appliance.http.exports import AnonymisedToMake, ExportAnswer, ExportToMake
from appliance.http.inbox import AssignmentToMake, PatientToCreate
from appliance.http.institutions import Description
from appliance.http.lists import MOST_ROWS
from appliance.http.measurements import MeasurementToKeep
from appliance.http.passkeys import Name, PasskeyToAdd
from appliance.http.patients import LONGEST_SEARCH, Directory, PatientsToMerge, PatientToKeep
from appliance.http.record_types import RecordTypeToCreate, RecordTypeToKeep
from appliance.http.reports import DraftToKeep, GlassToBreak
from appliance.http.scales import FrameScales, RegionAnswer
from appliance.http.sessions import LogIn, PasskeyLogIn
from appliance.http.shares import NewShareAnswer, OpenedAnswer, SharesAnswer, ShareToMake, ShareToOpen
from appliance.http.study_objects import DOCUMENT, LAID_OVER, OBJECTS, DocumentAnswer, ObjectList
from appliance.http.viewing import FrameTimes, PixelAnswer
from appliance.services import audit_lists
from appliance.services import institutions as institution_lists
from appliance.services import nodes as node_lists
from appliance.services import record_types as record_type_lists
from appliance.services import staff as account_lists
from appliance.services.catalogue import StudyDetail
from appliance.services.drawing import RendererState
from appliance.services.measurement_export import Form
from appliance.services.outlines import LaidOver
from appliance.services.second_factors import FactorState, NewAuthenticator
from appliance.storage.index import ConflictList

PATH = "/api/openapi.json"
_SCHEMAS = "#/components/schemas/"
_TOKEN = "Of a login. Institutions and nodes take it as the cookie of POST /api/access as well, for GET."  # noqa: S105  # words
_PROBLEM = "application/problem+json"
_UUID: dict[str, Any] = {"type": "string", "format": "uuid"}
_UID: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]{1,8}(\.[0-9]{1,8}){0,6}$"}
_SHA256: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_TEXT: dict[str, Any] = {"type": "string", "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$", "maxLength": 200}


def _choice(kind: type[StrEnum]) -> dict[str, Any]:
    return {"type": "string", "enum": [str(one) for one in kind]}


_IN_PATHS: Mapping[str, dict[str, Any]] = {
    "study": _UID,
    "study_uid": _UID,
    "series": _UID,
    "instance": _UID,
    "refused_key": _SHA256,
    "frame": {"type": "string", "pattern": "^[0-9]{1,9}$"},
    "number": {"type": "string", "pattern": "^[0-9]{1,9}$"},
    "form": _choice(Form),
}
"""Any other name in a path is that of a UUID."""


@dataclass(frozen=True, slots=True)
class Door:
    """What goes in at a route, and what comes out when it is not refused."""

    says: str
    gives: Any = None
    """A type; None where there is nothing to give."""
    takes: Any = None
    status: int = 0
    """0: 200, or 204 where there is nothing to give."""
    or_status: int = 0
    """What is answered as well, with the same."""
    query: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    """Those of the query that may not be missing."""
    headers: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    media_type: str = "application/json"
    takes_media_type: str = "application/json"

    @property
    def answered(self) -> int:
        return self.status or (200 if self.gives is not None else 204)


_MADE_FROM: dict[str, dict[str, Any]] = {"If-Match": {"type": "string", "pattern": '^"[0-9]{1,9}"$'}}
"""The tag of what a change was made from (RFC 9110 §13.1.1)."""
_FLAG: dict[str, Any] = {"type": "string", "enum": ["true", "false"]}
_REGION: dict[str, Any] = {"type": "string", "pattern": r"^\d{1,5},\d{1,5},\d{1,5},\d{1,5}$"}
_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 1000}
_PLACE: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 65535}
"""Rows and Columns are 16 bits wide (PS3.3 C.7.6.3)."""
_POINTED_TO: dict[str, Any] = {"type": "string", "enum": ["pointed-to"]}
_INSTANT: dict[str, Any] = {"anyOf": [{"type": "string", "format": kind} for kind in ("date-time", "date")]}
_WITH: dict[str, dict[str, Any]] = {"with": {"type": "string", "enum": ["directory"]}}
_PAGE: dict[str, dict[str, Any]] = {"limit": _NUMBER, "offset": _NUMBER}


def _list(sorts: Iterable[str], **filters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The query of ``http.lists``. A cursor is what an answer gave, so none is made up."""
    return {
        **filters,
        "sort": {"type": "string", "enum": [f"{minus}{sort}" for sort in sorts for minus in ("", "-")]},
        "limit": {"type": "integer", "minimum": 1, "maximum": MOST_ROWS},
    }


_TRAIL = Door(
    "Who did what, the oldest first",
    answers.AuditRecords,
    query=_list(
        audit_lists.SORTS,
        actor=_TEXT,
        action=_choice(Action),
        outcome=_choice(Outcome),
        subject=_TEXT,
        since=_INSTANT,
        until=_INSTANT,
    ),
)
_SIGNED = Door("From an appliance that is enrolled here; every answer is signed too", dict[str, Any], dict[str, Any])
_ENROLLED = Door("Who is believed", answers.Children)
_NEW_TOKEN = Door("A token for one appliance, good for an hour and shown once", answers.NewToken, TokenToMake, 201)
_NOT_BELIEVED = Door("It is not believed any more")

DOORS: Mapping[tuple[str, str], Door] = {
    ("GET", PATH): Door("This document", dict[str, Any]),
    ("POST", "/api/session"): Door("Logging in", answers.Grant, LogIn, query=_WITH),
    ("POST", "/api/shares"): Door("A link to a study, shown once, and its PIN", NewShareAnswer, ShareToMake, 201),
    ("GET", "/api/shares"): Door("Whom they show what, the newest first", SharesAnswer),
    ("DELETE", "/api/shares/<share_id>"): Door("The link is good no longer"),
    ("POST", "/api/shares/opening"): Door("What a link and its PIN open", OpenedAnswer, ShareToOpen),
    ("POST", "/api/session/passkey-request"): Door("What an authenticator is asked", dict[str, Any]),
    ("POST", "/api/session/passkey"): Door("Logging in with a passkey", answers.Grant, PasskeyLogIn, query=_WITH),
    ("POST", "/api/session/renewal"): Door("The session goes on: by its cookie", answers.Grant, query=_WITH),
    ("DELETE", "/api/session"): Door("Logging out"),
    ("POST", "/api/access"): Door("The token as a cookie, for GET"),
    ("DELETE", "/api/access"): Door("That cookie is gone"),
    ("GET", "/api/account"): Door("Who asks", answers.OwnAccount),
    ("GET", "/api/account/contact"): Door("How they are reached", Contact),
    ("PUT", "/api/account/contact"): Door("They are reached so", None, ContactToSet),
    ("PUT", "/api/account/password"): Door("Another password, and all other sessions are over", None, PasswordToSet),
    ("GET", "/api/account/sessions"): Door("Where they are logged in", answers.Sessions),
    ("DELETE", "/api/account/sessions/<session_id>"): Door("Logged out there"),
    ("GET", "/api/account/second-factor"): Door("Whether there is one", FactorState),
    ("POST", "/api/account/second-factor"): Door("What an app is told", NewAuthenticator, Password, 201),
    ("PUT", "/api/account/second-factor"): Door("It is on", answers.RecoveryCodes, Code),
    ("POST", "/api/account/second-factor/recovery-codes"): Door("New ones", answers.RecoveryCodes, Password, 201),
    ("POST", "/api/account/second-factor/removal"): Door("It is off", None, Password),
    ("GET", "/api/account/passkeys"): Door("The oldest first", answers.Passkeys),
    ("POST", "/api/account/passkeys/request"): Door("What an authenticator is asked to make", dict[str, Any], Password),
    ("POST", "/api/account/passkeys"): Door("One more", answers.Passkey, PasskeyToAdd, 201),
    ("PUT", "/api/account/passkeys/<passkey_id>"): Door("It is called so", None, Name),
    ("DELETE", "/api/account/passkeys/<passkey_id>"): Door("It is no good any more"),
    ("GET", "/api/accounts"): Door(
        "Part of the accounts",
        answers.AccountEntries,
        query=_list(account_lists.SORTS, search=_TEXT, institution_id=_UUID, role=_choice(Role), is_active=_FLAG),
    ),
    ("POST", "/api/accounts"): Door("A new one", answers.AccountEntry, AccountToCreate, 201),
    ("PUT", "/api/accounts/<account_id>"): Door("All of it is as said", answers.AccountEntry, PersonToKeep),
    ("PUT", "/api/accounts/<account_id>/activity"): Door("Shut out, or let in again", None, Activity),
    ("PUT", "/api/accounts/<account_id>/password"): Door("For whoever forgot theirs", None, Password),
    ("DELETE", "/api/accounts/<account_id>/second-factor"): Door("For whoever lost it"),
    ("DELETE", "/api/accounts/<account_id>/passkeys"): Door("For whoever lost them"),
    ("GET", "/api/directory"): Door("Where institutions and nodes are", Directory),
    ("GET", "/api/institutions"): Door(
        "Part of the institutions",
        answers.Institutions,
        query=_list(institution_lists.SORTS, search=_TEXT, state=_choice(InstitutionState)),
    ),
    ("PUT", "/api/institutions/<institution_id>"): Door(
        "It is called so, and is there", InstitutionRecord, Description
    ),
    ("DELETE", "/api/institutions/<institution_id>"): Door("It is in no list any more"),
    ("GET", "/api/record-types"): Door(
        "Part of the record types",
        answers.RecordTypes,
        query=_list(record_type_lists.SORTS, search=_TEXT, is_active=_FLAG),
    ),
    ("POST", "/api/record-types"): Door("A new one", RecordType, RecordTypeToCreate, 201),
    ("PUT", "/api/record-types/<type_id>"): Door("It is called so, and in use or not", RecordType, RecordTypeToKeep),
    ("GET", "/api/record-types/here"): Door("Those that this institution knows", answers.RecordTypesHere),
    ("GET", "/api/patients"): Door(
        "Patients by the beginnings of names, a number or a birth date",
        answers.Patients,
        query={"search": {"type": "string", "maxLength": LONGEST_SEARCH}, **_PAGE},
    ),
    ("GET", "/api/patients/<patient_id>"): Door("One of them", answers.Patient),
    ("GET", "/api/patients/<patient_id>/studies"): Door("What this institution holds of them", answers.Studies),
    ("GET", "/api/patients/<patient_id>/reports"): Door("What was written here about them", answers.Reports),
    ("POST", "/api/patients"): Door("A new one", answers.Patient, PatientToKeep, 201),
    ("PUT", "/api/patients/<patient_id>"): Door("All is as said", answers.Patient, PatientToKeep, headers=_MADE_FROM),
    ("DELETE", "/api/patients/<patient_id>"): Door("Of whom nothing is held", headers=_MADE_FROM),
    ("POST", "/api/patients/<patient_id>/merge"): Door(
        "Somebody turned out to be them", answers.Patient, PatientsToMerge, headers=_MADE_FROM
    ),
    ("POST", "/api/patients/<patient_id>/reports/access"): Door(
        "Reports that are kept from others, for a reason", answers.AccessToReports, GlassToBreak
    ),
    ("GET", "/api/reports/<report_id>"): Door("One of them, all versions", answers.Report),
    ("PUT", "/api/reports/<report_id>/draft"): Door(
        "The draft is as said", answers.Report, DraftToKeep, or_status=201, headers=_MADE_FROM
    ),
    ("DELETE", "/api/reports/<report_id>/draft"): Door("There is no draft", headers=_MADE_FROM),
    ("POST", "/api/reports/<report_id>/signature"): Door("It is signed", answers.Report, headers=_MADE_FROM),
    ("GET", "/api/reports/<report_id>/versions/<number>/print"): Door(
        "A version on paper",
        bytes,
        query={"language": {"type": "string", "pattern": "^[a-z]{2}$"}},
        media_type="application/pdf",
    ),
    ("GET", "/api/studies/<study>/measurements"): Door("What was measured in a study", answers.Measurements),
    ("PUT", "/api/measurements/<measurement_id>"): Door(
        "It is as said", answers.Measurement, MeasurementToKeep, or_status=201, headers=_MADE_FROM
    ),
    ("DELETE", "/api/measurements/<measurement_id>"): Door("It is not there any more", headers=_MADE_FROM),
    ("GET", "/api/studies/<study>/measurements/<form>"): Door(
        "What was measured, as DICOM", bytes, query={"series": _UID}, media_type="application/dicom"
    ),
    ("GET", "/api/place"): Door("Whose address this is", dict[str, Any]),
    ("POST", "/api/sync/feed"): _SIGNED,
    ("GET", "/api/inbox"): Door("Studies whose patient is not certain", answers.Waiting, query=_PAGE),
    ("GET", "/api/inbox/<study_uid>"): Door("Whose a study is, and who said so", answers.PlacedStudy),
    ("PUT", "/api/inbox/<study_uid>/patient"): Door("It is this patient's", answers.Assignment, AssignmentToMake),
    ("POST", "/api/inbox/<study_uid>/patient"): Door("It is a new patient's", answers.Assignment, PatientToCreate, 201),
    ("POST", "/api/uploads"): Door("One DICOM file", dict[str, Any], bytes, 201, takes_media_type="application/dicom"),
    ("GET", "/api/studies/<study>"): Door("A study and its series", StudyDetail),
    ("GET", "/api/studies/<study>/series/<series>"): Door("A series and its slices", dict[str, Any]),
    ("GET", "/api/studies/<study>/series/<series>/frame-times"): Door("How long each slice is shown", FrameTimes),
    ("GET", "/api/studies/<study>/series/<series>/instances/<instance>/frames/<frame>/value"): Door(
        "The stored value at a place, counted from 0",
        PixelAnswer,
        query={"row": _PLACE, "column": _PLACE},
        needs=frozenset({"row", "column"}),
    ),
    ("GET", "/api/studies/<study>/series/<series>/instances/<instance>/frames/<frame>/window"): Door(
        "A window for what a part of it holds", dict[str, Any], query={"region": _REGION}
    ),
    ("GET", "/api/studies/<study>/series/<series>/instances/<instance>/frames/<frame>/scales"): Door(
        "What a pixel is worth, and what that rests on", FrameScales
    ),
    ("GET", "/api/studies/<study>/series/<series>/instances/<instance>/frames/<frame>/region"): Door(
        "The values in a region",
        RegionAnswer,
        query={
            "kind": {"type": "string", "enum": sorted(REGIONS)},
            "points": {"type": "string", "pattern": r"^[0-9]{1,4}(\.[0-9]{1,2})?(,[0-9]{1,4}(\.[0-9]{1,2})?){3}$"},
        },
    ),
    ("GET", OBJECTS): Door("What a study has besides pictures", ObjectList),
    ("GET", LAID_OVER): Door(
        "Segments and structures that lie on slices",
        LaidOver,
        query={"object": _TEXT, "first": _NUMBER, "count": _NUMBER},
    ),
    ("GET", DOCUMENT): Door("A structured report", DocumentAnswer),
    ("DELETE", "/api/studies/<study>"): Door("It is not held any more", query={"even-if": _POINTED_TO}),
    ("GET", "/api/volume-presets"): Door("How volumes may be coloured", dict[str, Any]),
    ("POST", "/api/exports"): Door("A file set that waits to be fetched", ExportAnswer, ExportToMake, 201),
    ("POST", "/api/exports/anonymised"): Door("The same without who it is of", ExportAnswer, AnonymisedToMake, 201),
    ("GET", "/api/exports/<export_id>"): Door("How far it is", ExportAnswer),
    ("DELETE", "/api/exports/<export_id>"): Door("It goes no further"),
    ("GET", "/api/exports/<export_id>/media"): Door(
        "The file set, with a DICOMDIR, once", bytes, media_type="application/zip"
    ),
    ("GET", "/api/conflicts"): Door(
        "Bytes that came under a UID that is held, and are others", ConflictList, query=_PAGE
    ),
    ("GET", "/api/conflicts/<instance>/<refused_key>"): Door("These bytes", bytes, media_type="application/dicom"),
    ("POST", "/api/conflicts/<instance>/<refused_key>/resolution"): Door("One of them stays", None, ResolutionToMake),
    ("GET", "/api/renderer"): Door("What draws, and how it is", RendererState),
    ("GET", "/api/enrolments/institutions"): _ENROLLED,
    ("POST", "/api/enrolments/institutions/tokens"): _NEW_TOKEN,
    ("DELETE", "/api/enrolments/institutions/<child_id>"): _NOT_BELIEVED,
    ("GET", "/api/enrolments/nodes"): _ENROLLED,
    ("POST", "/api/enrolments/nodes/tokens"): _NEW_TOKEN,
    ("DELETE", "/api/enrolments/nodes/<child_id>"): _NOT_BELIEVED,
    ("GET", "/api/nodes"): Door(
        "Part of the nodes", answers.Nodes, query=_list(node_lists.SORTS, state=_choice(NodeState))
    ),
    ("DELETE", "/api/nodes/<node_id>"): Door("The directory does not name it any more"),
    ("GET", "/api/capacity"): Door("What a node holds, and how much room there is", Capacity),
    ("GET", "/api/examination"): Door("How the machine is, on one page", answers.ExaminationOfMachine),
    ("GET", "/api/synchronisation"): Door("How the roles stand with those above them", answers.Lines),
    ("GET", "/api/audit/toplevel"): _TRAIL,
    ("GET", "/api/audit/chains"): Door("Which heads of audit trails have come up", answers.AuditChains),
    ("GET", "/api/audit/institution"): _TRAIL,
    ("GET", "/api/audit/node"): _TRAIL,
    ("POST", "/api/sync/enrolment"): Door("An appliance shows its key and a token", dict[str, Any], dict[str, Any]),
    ("POST", "/api/sync/changes"): _SIGNED,
    ("POST", "/api/sync/questions"): _SIGNED,
    ("POST", "/api/sync/releases"): _SIGNED,
    ("POST", "/api/sync/pointers"): _SIGNED,
    ("POST", "/api/sync/measurements"): _SIGNED,
    ("POST", "/api/sync/record-types"): _SIGNED,
    ("GET", "/api/sync/trust"): Door("Which tokens are good", dict[str, Any]),
}


def openapi(streamed: set[tuple[str, str]]) -> Blueprint:
    """The document of the application that it is part of, and of what is no resource of Quart: method and path."""
    blueprint = Blueprint("openapi", __name__)

    @blueprint.get(PATH)
    async def printed() -> Response:
        return json_response(document(routes_of(current_app) | streamed))

    return blueprint


def document(there: set[tuple[str, str]]) -> dict[str, Any]:
    """The routes of ``there``, by method and path, that are described here."""
    described = [route for route in ROUTES if (route.method, route.path) in there and _key(route) in DOORS]
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        paths.setdefault(_template(route.path), {})[route.method.lower()] = _operation(route, DOORS[_key(route)])
    doors = [DOORS[_key(route)] for route in described]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Appliance", "version": __version__},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas([answers.Problem, *(kind for door in doors for kind in (door.takes, door.gives))]),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": _TOKEN}},
        },
    }


def _key(route: Route) -> tuple[str, str]:
    return route.method, route.path


def _template(path: str) -> str:
    return re.sub(r"<(\w+)>", r"{\1}", path)


def _operation(route: Route, door: Door) -> dict[str, Any]:
    names = re.findall(r"<(\w+)>", route.path)
    in_path = [_parameter("path", name, _IN_PATHS.get(name, _UUID)) for name in names]
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{_template(route.path)}",
        "summary": door.says,
        "description": f"Asks for: {route.need.value}.",
        "tags": [route.path.split("/")[2]],
        "parameters": [
            *in_path,
            *(_parameter("query", name, schema, name in door.needs) for name, schema in door.query.items()),
            *(_parameter("header", name, schema) for name, schema in door.headers.items()),
        ],
        "responses": {
            **{str(status): _answer(door) for status in (door.answered, door.or_status) if status},
            "default": {"description": "Refused", "content": {_PROBLEM: {"schema": _schema(answers.Problem)}}},
        },
    }
    if door.takes is not None:
        content = {door.takes_media_type: {"schema": _schema(door.takes)}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.need not in (Need.NOTHING, Need.SECRET, Need.SIGNATURE):
        operation["security"] = [{"token": []}]
    return operation


def _parameter(where: str, name: str, schema: dict[str, Any], is_needed: bool = False) -> dict[str, Any]:
    return {"in": where, "name": name, "required": is_needed or where == "path", "schema": schema}


def _answer(door: Door) -> dict[str, Any]:
    if door.gives is None:
        return {"description": "Done"}
    return {"description": door.says, "content": {door.media_type: {"schema": _schema(door.gives)}}}


def _schema(kind: Any) -> dict[str, Any]:  # Any: a type of whatever kind msgspec knows
    if kind is bytes:
        return {"type": "string", "format": "binary"}
    (schema,), _ = msgspec.json.schema_components((kind,), ref_template=f"{_SCHEMAS}{{name}}")
    return dict(schema)


def _schemas(kinds: Iterable[Any]) -> dict[str, Any]:
    named = [kind for kind in kinds if kind not in (None, bytes)]
    _, components = msgspec.json.schema_components(named, ref_template=f"{_SCHEMAS}{{name}}")
    return dict(components)
