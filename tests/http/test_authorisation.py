"""Every route, as every kind of person, from the right and from the wrong institution."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from quart import Blueprint

from appliance import assembly
from appliance.domain.accounts import Account, Right, Role
from appliance.domain.changes import FeedCursor
from appliance.domain.identifiers import AccountId, InstitutionId, StudyUid
from appliance.http import authorisation
from appliance.http.application import resources
from appliance.http.authorisation import NOBODY, PEOPLE, ROUTES, Need, Person, Route, may
from appliance.services.enrolment import parent_key_file
from appliance.services.tokens import TokenSigner, load_private_key, make_private_key
from appliance.services.trust import SigningKeys
from appliance.settings import Drawing, Instances, Node, Parent
from appliance.storage import copies
from appliance.storage.database import Database
from tests.http.central import BASE, CLINIC, NODE, OTHER_CLINIC, settings_in, token_of
from tests.http.node_doors import multipart, related
from tests.services.node_parts import ct_slice, encoded

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "authorisation.md"
NOT_THERE = str(UUID(int=404))
STREAMED = {("POST", "/api/uploads"), ("POST", "/dicom-web/studies"), ("POST", "/dicom-web/studies/<study>")}
"""These are no resources of Quart (``http.application.Root``)."""
IN_PATHS = {
    "study": "9.9.9", "study_uid": "9.9.9", "series": "9.9.9.1", "instance": "9.9.9.1.1", "frames": "1", "frame": "1",
    "path": "7FE00010", "refused_key": "0" * 64, "patient_id": NOT_THERE, "session_id": NOT_THERE, "child_id": NOT_THERE,
    "passkey_id": NOT_THERE, "institution_id": str(CLINIC), "node_id": NOT_THERE, "type_id": NOT_THERE,
    "form": "sr", "report_id": NOT_THERE, "measurement_id": NOT_THERE, "number": "1", "export_id": NOT_THERE,
    "share_id": NOT_THERE,
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
    "/api/shares": {"study_uid": "9.9.9", "hours": 1},
    "/api/shares/opening": {"secret": "x", "pin": "0"},
    "/api/exports": {"study_uid": "9.9.9"},
    "/api/exports/anonymised": {"study_uid": "9.9.9"},
    "/api/measurements/<measurement_id>": {
        "study_uid": "9.9.9",
        "series_uid": "9.9.9.1",
        "instance_uid": "9.9.9.1.1",
        "frame": 1,
        "kind": "arrow",
        "points": [[0, 0], [1, 1]],
    },
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

    async def ask(self, route: Route, person: Person, headers: dict[str, str] | None = None) -> httpx.Response:
        path = re.sub(r"<(?:path:)?(\w+)>", lambda name: self._in_path(name[1]), route.path)
        headers = headers or (self._token(person) if person is not NOBODY else {})
        self.client.cookies.clear()
        body = BODIES.get(route.path, {})
        if route.path == "/api/session":
            body = {"username": person.name, "password": "x"}
        return await self.client.request(route.method, path, headers=headers, json=body.get(route.method, body))

    def _in_path(self, name: str) -> str:
        return self.somebody_here if name == "account_id" else IN_PATHS[name]

    def _token(self, person: Person) -> dict[str, str]:
        at = InstitutionId(CLINIC if person.is_here else OTHER_CLINIC)
        shown = StudyUid(IN_PATHS["study"]) if person.is_guest else None
        account = Account(AccountId(UUID(int=9)), person.name, "Ana", "Anić", person.roles, at, shown)
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dark(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    """An institution on a box of its own, whose toplevel is away: it answers from its copy, with sessions of its own."""
    folder = tmp_path_factory.mktemp("dark")
    key = folder / "institution.pem"
    make_private_key(key)
    public_key = load_private_key(key).public_key()  # of the toplevel, which never answers
    parent_key_file(key).write_bytes(public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        parent = Parent(base_url=f"https://127.0.0.1:{silent.getsockname()[1]}", key=key)
        of_two = settings_in(folder)
        assert of_two.institution is not None
        institution = msgspec.structs.replace(of_two.institution, parent=parent)
        settings = msgspec.structs.replace(of_two, roles=("institution",), toplevel=None, institution=institution)
        async with assembly.opened(settings) as assembled:
            transport = httpx.ASGITransport(app=assembled.application, client=("192.0.2.7", 4711))  # type: ignore[arg-type]
            database = Database(institution.database)
            database.run(lambda tx: copies.note_heard(tx, FeedCursor(1, NODE), datetime.now(UTC)))
            database.close()
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                yield Doors(
                    client, TokenSigner(SigningKeys(folder / "own-people.pem").signing, lifetime_s=600), NOT_THERE
                )


OF_THE_COPY = {
    ("POST", "/api/session"),
    ("POST", "/api/session/renewal"),
    ("DELETE", "/api/session"),
    ("GET", "/api/directory"),
    ("GET", "/api/patients"),
    ("GET", "/api/patients/<patient_id>"),
    ("GET", "/api/place"),
}
"""What an institution answers only because its toplevel is elsewhere."""


def is_there(answer: httpx.Response) -> bool:
    return answer.status_code != 405 and "no-such-resource" not in answer.text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
async def test_an_institution_in_the_dark_lets_in_whom_the_table_says_and_nobody_else(
    dark: Doors, person: Person
) -> None:
    wrong, there = [], set()
    for route in ROUTES:
        answer = await dark.ask(route, person)
        if not is_there(answer):
            continue
        there.add((route.method, route.path))
        # A passkey belongs to the toplevel's host name, under which the institution is not known.
        has_no_secrets = route.need is Need.SECRET and "no-host-name" in answer.text
        is_let_in = answer.status_code not in (401, 403) and not has_no_secrets
        if answer.status_code >= 500 or is_let_in != may(person, route):
            wrong.append((route.method, route.path, answer.status_code, answer.text[:200]))

    assert wrong == []
    assert there >= OF_THE_COPY
    assert not [path for _, path in there if path.startswith(("/api/account", "/api/institutions"))]


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
                assert answer.json()["type"] in ("missing-right", "other-institution", "not-shared"), (
                    person.name,
                    route,
                )


@pytest.mark.asyncio(loop_scope="module")
async def test_the_table_names_the_routes_that_there_are_and_no_others(doors: Doors) -> None:
    root = doors.client._transport.app._application._application  # type: ignore[attr-defined]

    there = authorisation.routes_of(root._quart)

    assert {(route.method, route.path) for route in ROUTES} == there | STREAMED
    assert len(ROUTES) == len(there | STREAMED)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_guest_of_another_study_gets_nothing_of_this_one(doors: Doors) -> None:
    account = Account(AccountId(UUID(int=9)), "guest", "", "", frozenset(), InstitutionId(CLINIC), StudyUid("9.9.8"))
    headers = {"Authorization": f"Bearer {doors.signer.sign(account).text}"}

    for route in ROUTES:
        if route.guests and "<study>" in route.path:
            answer = await doors.ask(route, NOBODY, headers)
            assert (answer.status_code, answer.json()["type"]) == (403, "not-shared"), route


@pytest.mark.asyncio(loop_scope="module")
async def test_a_guest_of_another_institution_finds_nothing_here(doors: Doors) -> None:
    account = Account(
        AccountId(UUID(int=9)), "guest", "", "", frozenset(), InstitutionId(OTHER_CLINIC), StudyUid("9.9.9")
    )
    headers = {"Authorization": f"Bearer {doors.signer.sign(account).text}"}

    for route in ROUTES:
        if route.guests and "<study>" in route.path:
            assert (await doors.ask(route, NOBODY, headers)).status_code == 404, route


@pytest.mark.asyncio(loop_scope="module")
async def test_a_physician_shows_a_study_to_somebody_without_an_account(doors: Doors) -> None:
    client = doors.client
    ana = await token_of(client)
    stored = await client.post(
        "/dicom-web/studies",
        content=multipart([encoded(ct_slice(1))]),
        headers={**ana, "Content-Type": related("application/dicom")},
    )
    assert stored.status_code == 200, stored.text
    made = (await client.post("/api/shares", json={"study_uid": "1.2.3", "hours": 1}, headers=ana)).json()
    client.cookies.clear()

    link = {"secret": made["secret"], "pin": made["pin"]}
    opened = await client.post("/api/shares/opening", json=link)

    assert (opened.json()["study_uid"], opened.json()["institution"]["nodes"][0]["id"]) == ("1.2.3", str(NODE))
    client.cookies.clear()
    guest = {"Authorization": f"Bearer {opened.json()['access_token']}"}
    assert (await client.post("/api/access", headers=guest)).status_code == 204
    assert (await client.get("/api/studies/1.2.3?series=first")).json()["study"]["study_uid"] == "1.2.3"
    assert (await client.get("/dicom-web/studies/1.2.3")).status_code == 403
    client.cookies.clear()
    await client.delete(f"/api/shares/{made['share']['id']}", headers=ana)
    assert (await client.get("/api/studies/1.2.3", headers=guest)).status_code == 401
    assert (await client.post("/api/shares/opening", json=link)).json()["type"] == "share-revoked"


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

    assert {route.path.split("/")[2] for route in changing} == {"enrolments", "exports", "patients", "shares"}
    of_patients = [route for route in changing if route.path.startswith("/api/patients")]
    assert [route.need for route in of_patients if route.need is not Right.KEEP_PATIENTS] == [Right.VIEW]
