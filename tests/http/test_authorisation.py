"""Every route, as every kind of person, from the right and from the wrong institution."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio
from quart import Blueprint

from appliance import assembly
from appliance.domain.accounts import Account, Right, Role
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.http import authorisation
from appliance.http.application import resources
from appliance.http.authorisation import NOBODY, PEOPLE, ROUTES, Need, Person, Route, may
from appliance.services.tokens import TokenSigner
from appliance.services.trust import SigningKeys
from appliance.settings import Drawing, Instances, Node
from tests.http.central import BASE, CLINIC, NODE, OTHER_CLINIC, settings_in, token_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "authorisation.md"
NOT_THERE = str(UUID(int=404))
STREAMED = {("POST", "/api/uploads"), ("POST", "/dicom-web/studies"), ("POST", "/dicom-web/studies/<study>")}
"""These are no resources of Quart (``http.application.Root``)."""
IN_PATHS = {
    "study": "9.9.9", "study_uid": "9.9.9", "series": "9.9.9.1", "instance": "9.9.9.1.1", "frames": "1", "frame": "1",
    "path": "7FE00010", "refused_key": "0" * 64, "patient_id": NOT_THERE, "session_id": NOT_THERE, "child_id": NOT_THERE,
    "passkey_id": NOT_THERE, "institution_id": str(CLINIC), "node_id": NOT_THERE, "type_id": NOT_THERE,
    "report_id": NOT_THERE, "number": "1", "export_id": NOT_THERE,
}  # fmt: skip
PERSON = {"given_name": "Ana", "family_name": "Anić", "roles": ["physician"], "institution_id": str(CLINIC)}
BODIES: dict[str, dict] = {  # type: ignore[type-arg]
    "/api/accounts": {**PERSON, "username": "eva", "password": "correct horse battery"},
    "/api/accounts/<account_id>": PERSON,
    "/api/accounts/<account_id>/password": {"password": "short"},
    "/api/accounts/<account_id>/activity": {"is_active": True},
    "/api/institutions/<institution_id>": {"name": None, "address": "Ilica 1"},
    "/api/record-types": {"name": "CT"},
    "/api/record-types/<type_id>": {"name": "MR", "is_active": True},
    "/api/account/password": {"old": "x", "new": "y"},
    "/api/session/passkey": {
        "credential": {
            "rawId": "AAAA",
            "response": {"clientDataJSON": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA"},
        }
    },
    "/api/patients": {"family_name": "", "given_name": ""},
    "/api/patients/<patient_id>": {"family_name": "", "given_name": ""},
    "/api/patients/<patient_id>/merge": {"duplicate_id": NOT_THERE, "duplicate_tag": "1"},
    "/api/patients/<patient_id>/reports/access": {"reason": "an emergency"},
    "/api/reports/<report_id>/draft": {"patient_id": NOT_THERE},
    "/api/exports": {"study_uid": "9.9.9"},
    "/api/exports/anonymised": {"study_uid": "9.9.9"},
    "/api/inbox/<study_uid>/patient": {
        "PUT": {"patient_id": None, "seen_patient_id": None, "with_number": False},
        "POST": {
            "family_name": "A",
            "given_name": "B",
            "birth_date": None,
            "gender": None,
            "seen_patient_id": None,
            "with_number": False,
        },
    },
}


@dataclass
class Doors:
    client: httpx.AsyncClient
    signer: TokenSigner
    somebody_here: str
    """The id of an account of the clinic."""

    async def ask(self, route: Route, person: Person) -> httpx.Response:
        path = re.sub(r"<(?:path:)?(\w+)>", lambda name: self._in_path(name[1]), route.path)
        headers = self._token(person) if person is not NOBODY else {}
        self.client.cookies.clear()
        body = BODIES.get(route.path, {})
        if route.path == "/api/session":
            body = {"username": person.name, "password": "x"}
        return await self.client.request(route.method, path, headers=headers, json=body.get(route.method, body))

    def _in_path(self, name: str) -> str:
        return self.somebody_here if name == "account_id" else IN_PATHS[name]

    def _token(self, person: Person) -> dict[str, str]:
        at = InstitutionId(CLINIC if person.is_here else OTHER_CLINIC)
        account = Account(AccountId(UUID(int=9)), person.name, "Ana", "Anić", person.roles, at)
        return {"Authorization": f"Bearer {self.signer.sign(account).text}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> AsyncIterator[Doors]:
    folder = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("all") / "appliance"))
    node = Node(
        id=NODE,
        name="Node",
        base_url=BASE,
        database=f"sqlite:///{folder}/node.sqlite",
        instances=Instances(directory=folder / "instances", key=folder / "instances.key", free_floor_bytes=0),
        drawing=Drawing(render_cache_bytes=0),
    )
    of_two = settings_in(folder)
    settings = msgspec.structs.replace(of_two, roles=(*of_two.roles, "node"), node=node)
    async with assembly.opened(settings) as assembled:
        transport = httpx.ASGITransport(app=assembled.application, client=("192.0.2.7", 4711))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            signer = TokenSigner(SigningKeys(folder / "tokens.pem").signing, lifetime_s=600)
            mine = await client.get("/api/account", headers=await token_of(client))
            yield Doors(client, signer, mine.json()["id"])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
async def test_each_route_lets_in_whom_the_table_says_and_nobody_else(doors: Doors, person: Person) -> None:
    wrong = []
    for route in ROUTES:
        answer = await doors.ask(route, person)
        is_let_in = answer.status_code not in (401, 403) or (
            route.need is Need.ACCOUNT and "wrong-password" in answer.text
        )
        if answer.status_code >= 500 or is_let_in != may(person, route):
            wrong.append((route.method, route.path, answer.status_code, answer.text[:200]))

    assert wrong == []


@pytest.mark.asyncio(loop_scope="module")
async def test_who_shows_no_account_is_asked_for_one(doors: Doors) -> None:
    for route in ROUTES:
        if route.need is not Need.NOTHING:
            answer = await doors.ask(route, NOBODY)
            assert answer.status_code == 401, route


@pytest.mark.asyncio(loop_scope="module")
async def test_who_may_not_is_told_why(doors: Doors) -> None:
    for person in PEOPLE[1:]:
        for route in ROUTES:
            if not may(person, route) and not isinstance(route.need, Need):
                answer = await doors.ask(route, person)
                assert answer.status_code == 403, (person.name, route)
                assert answer.json()["type"] in ("missing-right", "other-institution"), (person.name, route)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_table_names_the_routes_that_there_are_and_no_others(doors: Doors) -> None:
    root = doors.client._transport.app._application._application  # type: ignore[attr-defined]

    there = authorisation.routes_of(root._quart)

    assert {(route.method, route.path) for route in ROUTES} == there | STREAMED
    assert len(ROUTES) == len(there | STREAMED)


def test_a_route_that_is_not_in_the_table_does_not_open() -> None:
    blueprint = Blueprint("new", __name__)
    blueprint.get("/api/new")(lambda: "")

    with pytest.raises(RuntimeError, match="/api/new"):
        authorisation.refuse_unlisted(resources([blueprint]))


def test_the_table_is_printed_into_the_documentation(tmp_path: Path) -> None:
    copy = Path(shutil.copy(DOCUMENT, tmp_path))

    authorisation.main(copy)

    assert copy.read_text() == DOCUMENT.read_text(), "python -m appliance.http.authorisation docs/authorisation.md"


def test_only_superusers_do_at_another_institution_what_is_done_at_home() -> None:
    elsewhere = Person("all but a superuser", frozenset({Role.PHYSICIAN, Role.ADMINISTRATOR}), is_here=False)

    changing = [
        route
        for route in ROUTES
        if may(elsewhere, route) and route.method != "GET" and not isinstance(route.need, Need)
    ]

    assert {route.path.split("/")[2] for route in changing} == {"enrolments", "exports", "patients"}
    of_patients = [route for route in changing if route.path.startswith("/api/patients")]
    assert [route.need for route in of_patients if route.need is not Right.KEEP_PATIENTS] == [Right.VIEW]
