"""Who may do what at which door: one row for each route, and what it asks of whoever comes.

    python -m appliance.http.authorisation docs/authorisation.md

writes the table between its marks; a test compares, and another tries every route as every kind of person. An appliance does not
open with a route that is not in the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from quart import Quart

from appliance.domain.accounts import AT_HOME_ONLY, RIGHTS, Right, Role

BEGIN, END = "<!-- printed by appliance/http/authorisation.py -->", "<!-- end of what is printed -->"


class Need(StrEnum):
    """What is asked where it is no right of an account."""

    NOTHING = "nothing"
    SECRET = "the secret that it is about: a password, a passkey, a refresh cookie, a token for enrolment"  # noqa: S105  # words
    SIGNATURE = "the signature of an appliance that is enrolled here"
    ACCOUNT = "any account, for itself"


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    """As the blueprint has it."""
    need: Need | Right
    hides: bool = False
    """Whether what is held back from other institutions is answered as not there."""
    local: bool = False
    """Whether a collector on the same machine needs nothing."""
    guests: bool = False
    """Whether guests are answered, with what is of the study that is shown to them, or of nobody."""
    narrows: bool = False
    """Whether everybody is answered, with what is of their own institution only."""


_OF_STUDY = "/dicom-web/studies/<study>"
_OF_SERIES = f"{_OF_STUDY}/series/<series>"
_OF_INSTANCE = f"{_OF_SERIES}/instances/<instance>"
_OF_FRAMES = f"{_OF_INSTANCE}/frames/<frames>"
_VOLUMES = ("renderedmpr", "renderedMPR", "rendered3d", "rendered3D")
_LEVELS = (_OF_STUDY, _OF_SERIES, _OF_INSTANCE)
_SHOWN = (
    *(f"{level}/{what}" for level in (*_LEVELS, _OF_FRAMES) for what in ("rendered", "thumbnail")),
    *(f"{level}/{volume}" for level in _LEVELS for volume in _VOLUMES),
    "/api/studies/<study>",
    "/api/studies/<study>/series/<series>",
    "/api/studies/<study>/objects",
    "/api/studies/<study>/series/<series>/frame-times",
    "/api/studies/<study>/series/<series>/regions",
    "/api/studies/<study>/series/<series>/instances/<instance>/document",
    "/api/studies/<study>/series/<series>/instances/<instance>/frames/<frame>/value",
    "/api/studies/<study>/series/<series>/instances/<instance>/frames/<frame>/window",
    "/api/studies/<study>/series/<series>/instances/<instance>/frames/<frame>/scales",
    "/api/studies/<study>/series/<series>/instances/<instance>/frames/<frame>/region",
)
"""What a viewer needs."""
_GIVEN = (
    *_LEVELS,
    "/api/studies/<study>/measurements/<form>",
    *(f"{level}/metadata" for level in _LEVELS),
    f"{_OF_INSTANCE}/bulkdata/<path:path>",
    _OF_FRAMES,
    "/dicom-web/studies",
    "/dicom-web/series",
    "/dicom-web/instances",
    f"{_OF_STUDY}/series",
    f"{_OF_STUDY}/instances",
    f"{_OF_SERIES}/instances",
)
"""The objects themselves, and what searches find."""

ROUTES: tuple[Route, ...] = (
    Route("GET", "/healthz", Need.NOTHING),
    Route("GET", "/readyz", Need.NOTHING),
    Route("GET", "/metrics", Right.OPERATE, local=True),
    Route("GET", "/api/openapi.json", Need.NOTHING),
    Route("POST", "/api/session", Need.SECRET),
    Route("POST", "/api/shares/opening", Need.SECRET),
    *(Route(method, "/api/shares", Right.SHARE) for method in ("GET", "POST")),
    Route("DELETE", "/api/shares/<share_id>", Right.SHARE),
    Route("POST", "/api/session/passkey-request", Need.NOTHING),
    Route("POST", "/api/session/passkey", Need.SECRET),
    Route("POST", "/api/session/renewal", Need.SECRET),
    Route("DELETE", "/api/session", Need.SECRET),
    Route("POST", "/api/access", Need.ACCOUNT, guests=True),
    Route("DELETE", "/api/access", Need.NOTHING),
    Route("GET", "/api/account", Need.ACCOUNT),
    *(Route(method, "/api/account/contact", Need.ACCOUNT) for method in ("GET", "PUT")),
    Route("PUT", "/api/account/password", Need.ACCOUNT),
    Route("GET", "/api/account/sessions", Need.ACCOUNT),
    Route("DELETE", "/api/account/sessions/<session_id>", Need.ACCOUNT),
    *(Route(method, "/api/account/second-factor", Need.ACCOUNT) for method in ("GET", "POST", "PUT")),
    Route("POST", "/api/account/second-factor/recovery-codes", Need.ACCOUNT),
    Route("POST", "/api/account/second-factor/removal", Need.ACCOUNT),
    Route("GET", "/api/account/passkeys", Need.ACCOUNT),
    Route("POST", "/api/account/passkeys/request", Need.ACCOUNT),
    Route("POST", "/api/account/passkeys", Need.ACCOUNT),
    *(Route(method, "/api/account/passkeys/<passkey_id>", Need.ACCOUNT) for method in ("PUT", "DELETE")),
    Route("GET", "/api/accounts", Right.MANAGE_ACCOUNTS, narrows=True),
    Route("POST", "/api/accounts", Right.MANAGE_ACCOUNTS),
    Route("PUT", "/api/accounts/<account_id>", Right.MANAGE_ACCOUNTS),
    Route("PUT", "/api/accounts/<account_id>/activity", Right.MANAGE_ACCOUNTS),
    Route("PUT", "/api/accounts/<account_id>/password", Right.MANAGE_ACCOUNTS),
    Route("DELETE", "/api/accounts/<account_id>/second-factor", Right.MANAGE_ACCOUNTS),
    Route("DELETE", "/api/accounts/<account_id>/passkeys", Right.MANAGE_ACCOUNTS),
    Route("GET", "/api/directory", Need.ACCOUNT),
    Route("GET", "/api/institutions", Right.OPERATE),
    Route("PUT", "/api/institutions/<institution_id>", Right.MANAGE_INSTITUTIONS),
    Route("DELETE", "/api/institutions/<institution_id>", Right.MANAGE_INSTITUTIONS),
    Route("GET", "/api/record-types", Need.ACCOUNT),
    Route("POST", "/api/record-types", Right.DEFINE_RECORD_TYPES),
    Route("PUT", "/api/record-types/<type_id>", Right.DEFINE_RECORD_TYPES),
    Route("GET", "/api/record-types/here", Need.ACCOUNT),
    Route("GET", "/api/patients", Right.VIEW),
    Route("GET", "/api/patients/<patient_id>", Right.VIEW),
    Route("POST", "/api/patients", Right.KEEP_PATIENTS),
    Route("PUT", "/api/patients/<patient_id>", Right.KEEP_PATIENTS),
    Route("DELETE", "/api/patients/<patient_id>", Right.KEEP_PATIENTS),
    Route("POST", "/api/patients/<patient_id>/merge", Right.KEEP_PATIENTS),
    Route("GET", "/api/patients/<patient_id>/studies", Right.VIEW),
    Route("GET", "/api/patients/<patient_id>/reports", Right.VIEW),
    Route("POST", "/api/patients/<patient_id>/reports/access", Right.VIEW),
    Route("GET", "/api/reports/<report_id>", Right.VIEW),
    Route("PUT", "/api/reports/<report_id>/draft", Right.REPORT),
    Route("DELETE", "/api/reports/<report_id>/draft", Right.REPORT),
    Route("POST", "/api/reports/<report_id>/signature", Right.REPORT),
    Route("GET", "/api/reports/<report_id>/versions/<number>/print", Right.VIEW),
    Route("GET", "/fhir/metadata", Need.NOTHING),
    *(
        Route("GET", f"/fhir/{kind}", Right.VIEW)
        for resource, name in (
            ("Patient", "patient_id"),
            ("ImagingStudy", "study"),
            ("DiagnosticReport", "report_id"),
        )
        for kind in (resource, f"{resource}/<{name}>")
    ),
    *(Route("GET", f"/fhir/{kind}", Need.ACCOUNT) for kind in ("Endpoint", "Endpoint/<node_id>")),
    Route("GET", "/api/studies/<study>/measurements", Right.VIEW, hides=True),
    Route("PUT", "/api/measurements/<measurement_id>", Right.MEASURE),
    Route("DELETE", "/api/measurements/<measurement_id>", Right.REMOVE_MEASUREMENTS),
    Route("GET", "/api/inbox", Right.ASSIGN),
    Route("GET", "/api/inbox/<study_uid>", Right.ASSIGN),
    Route("PUT", "/api/inbox/<study_uid>/patient", Right.ASSIGN),
    Route("POST", "/api/inbox/<study_uid>/patient", Right.ASSIGN),
    Route("POST", "/api/uploads", Right.STORE),
    Route("POST", "/dicom-web/studies", Right.STORE),
    Route("POST", _OF_STUDY, Right.STORE),
    *(Route("GET", path, Right.VIEW, hides=True, guests=True) for path in _SHOWN),
    *(Route("GET", path, Right.VIEW, hides=True) for path in _GIVEN),
    Route("GET", "/api/volume-presets", Right.VIEW, guests=True),
    Route("POST", "/api/exports", Right.VIEW, hides=True),
    Route("POST", "/api/exports/anonymised", Right.ANONYMISE),
    *(Route(method, "/api/exports/<export_id>", Right.VIEW) for method in ("GET", "DELETE")),
    Route("GET", "/api/exports/<export_id>/media", Right.VIEW),
    Route("DELETE", "/api/studies/<study>", Right.DELETE),
    *(Route("DELETE", path, Right.DELETE) for path in _LEVELS),
    Route("GET", "/api/conflicts", Right.DELETE),
    Route("GET", "/api/conflicts/<instance>/<refused_key>", Right.DELETE),
    Route("POST", "/api/conflicts/<instance>/<refused_key>/resolution", Right.DELETE),
    Route("GET", "/api/renderer", Right.OPERATE),
    *(
        Route(method, f"/api/enrolments/{kind}{path}", right)
        for kind, right in (("institutions", Right.ENROL_INSTITUTIONS), ("nodes", Right.ENROL_NODES))
        for method, path in (("GET", ""), ("POST", "/tokens"), ("DELETE", "/<child_id>"))
    ),
    Route("GET", "/api/nodes", Right.OPERATE),
    Route("DELETE", "/api/nodes/<node_id>", Right.ENROL_NODES),
    Route("GET", "/api/capacity", Right.OPERATE),
    Route("GET", "/api/examination", Right.OPERATE),
    Route("GET", "/api/synchronisation", Right.OPERATE),
    Route("GET", "/api/audit/toplevel", Right.READ_AUDIT, narrows=True),
    Route("GET", "/api/audit/chains", Right.READ_AUDIT, narrows=True),
    Route("GET", "/api/audit/institution", Right.READ_AUDIT),
    Route("GET", "/api/audit/node", Right.READ_AUDIT),
    Route("POST", "/api/sync/enrolment", Need.SECRET),
    Route("POST", "/api/sync/changes", Need.SIGNATURE),
    Route("POST", "/api/sync/questions", Need.SIGNATURE),
    Route("POST", "/api/sync/releases", Need.SIGNATURE),
    Route("POST", "/api/sync/pointers", Need.SIGNATURE),
    Route("POST", "/api/sync/measurements", Need.SIGNATURE),
    Route("POST", "/api/sync/record-types", Need.SIGNATURE),
    Route("POST", "/api/sync/feed", Need.SIGNATURE),
    Route("GET", "/api/sync/trust", Need.SIGNATURE),
    Route("GET", "/api/place", Need.NOTHING),
)


@dataclass(frozen=True, slots=True)
class Person:
    """A kind of person, as an institution sees them."""

    name: str
    roles: frozenset[Role]
    is_here: bool
    """Whether they work at that institution."""
    is_guest: bool = False
    """Whether a study of it is shown to them, by a link."""


NOBODY = Person("nobody", frozenset(), is_here=False)
PEOPLE = (
    NOBODY,
    Person("physician here", frozenset({Role.PHYSICIAN}), is_here=True),
    Person("physician elsewhere", frozenset({Role.PHYSICIAN}), is_here=False),
    Person("administrator here", frozenset({Role.ADMINISTRATOR}), is_here=True),
    Person("administrator elsewhere", frozenset({Role.ADMINISTRATOR}), is_here=False),
    Person("superuser", frozenset({Role.SUPERUSER}), is_here=False),
    Person("guest", frozenset(), is_here=True, is_guest=True),
)


def may(person: Person, route: Route) -> bool:
    """Whether a person gets past the door, as far as it depends on who they are."""
    if person.is_guest:
        return route.guests or route.need is Need.NOTHING
    if isinstance(route.need, Need):
        return route.need is Need.NOTHING or (route.need is Need.ACCOUNT and person is not NOBODY)
    if not any(route.need in RIGHTS[role] for role in person.roles):
        return False
    return person.is_here or Role.SUPERUSER in person.roles or route.need not in AT_HOME_ONLY or route.narrows


def routes_of(quart: Quart) -> set[tuple[str, str]]:
    """Method and path of every resource; HEAD comes with GET."""
    rules = quart.url_map.iter_rules()
    return {(method, rule.rule) for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}


def refuse_unlisted(quart: Quart) -> None:
    """Returns if every resource is in the table."""
    unlisted = routes_of(quart) - {(route.method, route.path) for route in ROUTES}
    if unlisted:
        raise RuntimeError(f"routes that the table of http/authorisation.py does not name: {sorted(unlisted)}")


def table() -> str:
    """Markdown, marks included."""
    people = [person for person in PEOPLE if person is not NOBODY]
    lines = [
        BEGIN,
        f"| route | asks for | {' | '.join(person.name for person in people)} |",
        f"|---|---|{'---|' * len(people)}",
        *(f"| {_name(route)} | {_need(route)} | {' | '.join(_cells(route, people))} |" for route in ROUTES),
        END,
    ]
    return "\n".join(lines) + "\n"


def _name(route: Route) -> str:
    return f"`{route.method} {route.path.replace('<path:', '<').replace('<', '{').replace('>', '}')}`"


def _need(route: Route) -> str:
    if isinstance(route.need, Need):
        return route.need.value
    at_home = ", at home" if route.need in AT_HOME_ONLY else ""
    return f"{route.need.value}{at_home}{'; nothing on the same machine' if route.local else ''}"


def _cells(route: Route, people: Iterable[Person]) -> Iterable[str]:
    for person in people:
        if route.need in (Need.SECRET, Need.SIGNATURE):
            yield "–"
        elif not may(person, route):
            yield "no"
        elif person.is_guest and route.hides:
            yield "the study shown"
        else:
            sees_all = person.is_here or Role.SUPERUSER in person.roles
            yield "yes" if sees_all else _part(route)


def _part(route: Route) -> str:
    """What is answered to somebody of another institution."""
    if route.narrows:
        return "what is their own"
    return "what is released" if route.hides else "yes"


def main(file: Path) -> None:
    """The table stands in ``file``, between its marks."""
    text = file.read_text()
    file.write_text(text[: text.index(BEGIN)] + table() + text[text.index(END) + len(END) + 1 :])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
