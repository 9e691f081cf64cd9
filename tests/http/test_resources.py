"""The resources of the toplevel and the institution, asked in memory; below them everything is real."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.http.central import CLINIC, NODE, PASSWORD, client_of, deliver_a_study, settings_in, token_of


@pytest.fixture
async def client(tmp_path: Path, prepared: Path) -> AsyncIterator[httpx.AsyncClient]:
    folder = Path(shutil.copytree(prepared, tmp_path / "appliance"))
    async with client_of(settings_in(folder)) as opened:
        yield opened


async def patients_found(client: httpx.AsyncClient, headers: dict[str, str], search: str = "") -> list[dict]:  # type: ignore[type-arg]
    """What a search finds, once the institution has told the toplevel."""
    for _ in range(100):
        answer = await client.get("/api/patients", params={"search": search}, headers=headers)
        assert answer.status_code == 200, answer.text
        if found := answer.json()["patients"]:
            return list(found)
        await asyncio.sleep(0.05)
    raise AssertionError("the patient did not arrive at the toplevel")


async def studies_of(client: httpx.AsyncClient, headers: dict[str, str], patient: dict) -> list[dict]:  # type: ignore[type-arg]
    """Those of a patient, who may be told before them."""
    async with asyncio.timeout(10):
        while not (
            found := (await client.get(f"/api/patients/{patient['id']}/studies", headers=headers)).json()["studies"]
        ):
            await asyncio.sleep(0.05)
    return list(found)


async def test_logging_in_gives_a_token_and_an_http_only_cookie(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/session", json={"username": "ana", "password": PASSWORD})

    session = answer.json()
    assert session["account"]["username"] == "ana"
    assert session["account"]["roles"] == ["physician"]
    assert "view" in session["account"]["rights"]["everywhere"]
    assert {"measure", "report"} <= set(session["account"]["rights"]["at_home"])
    assert session["expires_in_s"] == 600
    cookie = answer.headers.get_list("set-cookie")[0]
    assert all(part in cookie for part in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/api/session"))
    assert "directory" not in session


async def test_a_grant_opens_what_has_its_own_host_name_without_a_round_trip_more(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/session", json={"username": "ana", "password": PASSWORD})

    cookie = answer.headers.get_list("set-cookie")[1]
    assert cookie.startswith(f"__Host-access={answer.json()['access_token']};")
    assert all(part in cookie for part in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/;", "Max-Age=600"))
    assert (await client.get("/api/inbox")).status_code == 200


async def test_a_grant_brings_the_directory_to_whoever_asks_for_it(client: httpx.AsyncClient, node_key: Path) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)
    await patients_found(client, headers)

    granted = (await client.post("/api/session/renewal?with=directory")).json()

    assert granted["directory"] == (await client.get("/api/directory", headers=headers)).json()
    assert [node["id"] for node in granted["directory"]["institutions"][0]["nodes"]] == [str(NODE)]


async def test_logging_out_takes_the_access_cookie_too(client: httpx.AsyncClient) -> None:
    await token_of(client)

    await client.delete("/api/session")

    assert (await client.get("/api/inbox")).status_code == 401


async def test_a_wrong_password_is_401_and_says_so_by_a_stable_key(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/session", json={"username": "ana", "password": "wrong"})

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "wrong-credentials"


async def test_too_many_wrong_passwords_are_429_with_the_time_to_wait(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        await client.post("/api/session", json={"username": "ana", "password": "wrong"})

    answer = await client.post("/api/session", json={"username": "ana", "password": PASSWORD})

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_session_is_renewed_by_its_cookie_alone(client: httpx.AsyncClient) -> None:
    await token_of(client)

    answer = await client.post("/api/session/renewal")

    assert answer.status_code == 200
    assert answer.json()["account"]["username"] == "ana"


async def test_after_logging_out_nothing_is_renewed(client: httpx.AsyncClient) -> None:
    await token_of(client)
    cookie = client.cookies.get("__Secure-refresh")

    assert (await client.delete("/api/session")).status_code == 204

    answer = await client.post("/api/session/renewal", headers={"Cookie": f"__Secure-refresh={cookie}"})
    assert answer.status_code == 401
    assert answer.json()["type"] == "session-ended"


@pytest.mark.parametrize("body", ["", "{", "[]", '{"username": "ana"}', '{"username": 1, "password": "x"}'])
async def test_a_body_that_is_no_login_is_400(client: httpx.AsyncClient, body: str) -> None:
    answer = await client.post("/api/session", content=body)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/api/directory",
        "/api/patients",
        f"/api/patients/{UUID(int=5)}",
        f"/api/patients/{UUID(int=5)}/studies",
        f"/api/patients/{UUID(int=5)}/reports",
        "/api/inbox",
        "/api/inbox/1.2.3",
        "/metrics",
    ],
)
async def test_nobody_gets_nothing(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 401


async def test_an_administrator_sees_no_patient(client: httpx.AsyncClient) -> None:
    headers = await token_of(client, "adam")

    assert (await client.get("/api/patients", headers=headers)).status_code == 403


async def test_a_study_that_a_node_delivers_makes_its_patient_findable(
    client: httpx.AsyncClient, node_key: Path
) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)

    (patient,) = await patients_found(client, headers, "mull ann")

    assert patient["birth_date"] == "1970-01-31"
    assert patient["institution_ids"] == [str(CLINIC)]
    studies = await studies_of(client, headers, patient)
    assert [study["description"] for study in studies] == ["CT chest"]


async def test_the_directory_names_the_institution_with_the_node_that_delivered(
    client: httpx.AsyncClient, node_key: Path
) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)
    await patients_found(client, headers)

    (institution,) = (await client.get("/api/directory", headers=headers)).json()["institutions"]

    assert institution["name"] == "Clinic"
    assert [node["id"] for node in institution["nodes"]] == [str(NODE)]


async def test_a_delivery_that_is_heard_twice_changes_nothing(client: httpx.AsyncClient, node_key: Path) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)
    await deliver_a_study(client, node_key)

    (patient,) = await patients_found(client, headers)
    studies = await studies_of(client, headers, patient)
    assert len(studies) == 1


async def test_the_access_cookie_reads_and_does_not_write(client: httpx.AsyncClient) -> None:
    headers = await token_of(client)
    path = f"/api/patients/{UUID(int=5)}/reports"

    assert (await client.post("/api/access", headers=headers)).status_code == 204

    assert (await client.get(path)).status_code == 200
    assert (await client.post(f"{path}/access", json={"reason": "to write"})).status_code == 401


async def test_a_path_that_is_not_there_is_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/nothing")

    assert answer.status_code == 404
    assert answer.json()["type"] == "no-such-resource"


async def test_a_patient_id_that_is_no_uuid_is_400(client: httpx.AsyncClient) -> None:
    headers = await token_of(client)

    assert (await client.get("/api/patients/robert", headers=headers)).status_code == 400


async def test_ready_names_its_parts(client: httpx.AsyncClient) -> None:
    answer = await client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["parts"]["toplevel database"] == "ready"
    assert answer.json()["notes"] == []


async def test_the_metrics_count_logins_and_requests_by_resource(client: httpx.AsyncClient) -> None:
    await client.post("/api/session", json={"username": "ana", "password": "wrong"})
    headers = await token_of(client)
    await client.get(f"/api/patients/{UUID(int=5)}/reports", headers=headers)
    await client.get("/metrics", headers=await token_of(client, "adam"))

    text = (await client.get("/metrics", headers=await token_of(client, "adam"))).text

    assert 'appliance_logins_total{outcome="wrong-credentials"} 1.0' in text
    assert 'resource="/api/patients/{}/reports"' in text
