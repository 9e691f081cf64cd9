"""The inbox of an institution, asked in memory; below it everything is real."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from appliance.domain.changes import Questions, Release, ReleaseCursor, Releases, ReleasesWanted
from appliance.domain.errors import Unavailable
from appliance.services.tokens import make_private_key
from appliance.storage.audit import AuditRow
from appliance.storage.database import Database
from tests.http.central import NODE, client_of, deliver_a_study, node_of, settings_in, token_of

PATH = "/api/inbox/1.2.3/patient"
EVA = {"family_name": "Müller", "given_name": "Anna", "birth_date": "1970-01-31", "gender": "F"}


@pytest.fixture
async def client(tmp_path: Path, prepared: Path) -> AsyncIterator[httpx.AsyncClient]:
    folder = Path(shutil.copytree(prepared, tmp_path / "appliance"))
    async with client_of(settings_in(folder, "inbox")) as opened:
        yield opened


async def inbox_of(client: httpx.AsyncClient, headers: dict[str, str], *, having: str = "unknown-id") -> dict[str, Any]:
    """The inbox, once the toplevel has answered."""
    for _ in range(100):
        answer = await client.get("/api/inbox", headers=headers)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        if [study["reason"] for study in found["studies"]].count(having) == len(found["studies"]) > 0:
            return dict(found)
        await asyncio.sleep(0.05)
    raise AssertionError(f"the inbox is {found}")


async def create(
    client: httpx.AsyncClient, headers: dict[str, str], path: str = PATH, **more: object
) -> httpx.Response:
    wanted = {**EVA, "seen_patient_id": None, "with_number": True, **more}
    return await client.post(path, headers=headers, json=wanted)


async def studies_of(client: httpx.AsyncClient, headers: dict[str, str], patient_id: str) -> list[str]:
    answer = await client.get(f"/api/patients/{patient_id}/studies", headers=headers)
    return [study["study_uid"] for study in answer.json()["studies"]]


async def test_a_node_hears_that_a_study_has_its_patient_and_that_it_was_taken_back(
    client: httpx.AsyncClient, node_key: Path
) -> None:
    headers = await token_of(client)
    node = node_of(client, node_key)
    await deliver_a_study(client, node_key)
    await inbox_of(client, headers)

    first = await node.releases(ReleasesWanted(NODE, ReleaseCursor()))
    assigned = (await create(client, headers)).json()
    second = await node.releases(ReleasesWanted(NODE, first.cursor))
    back = {"patient_id": None, "seen_patient_id": assigned["patient_id"], "with_number": False}
    await client.put(PATH, headers=headers, json=back)
    third = await node.releases(ReleasesWanted(NODE, second.cursor))
    nothing = await node.releases(ReleasesWanted(NODE, third.cursor))

    assert first.studies == third.studies == (Release("1.2.3", is_released=False),)
    assert second.studies == (Release("1.2.3", is_released=True),)
    assert nothing == Releases((), third.cursor, is_all=True)


def audited(folder: Path, room: str) -> list[tuple[str, str, str]]:
    """Action, kind and UID of all that is on record."""
    database = Database(f"sqlite:///{folder}/appliance/{room}.sqlite")
    try:
        query = AuditRow.select().where(AuditRow.room == room).order_by(AuditRow.sequence)
        rows = database.read(lambda tx: tx.rows(query))
    finally:
        database.close()
    return [
        (row.action, row.subject_kind, row.subject_uid)
        for row in rows
        if row.action not in ("log-in", "create-account")
    ]


async def test_who_looks_at_the_inbox_a_patient_and_reports_is_on_record_once(
    client: httpx.AsyncClient, node_key: Path, tmp_path: Path
) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)
    await inbox_of(client, headers)
    await client.get("/api/inbox/1.2.3", headers=headers)
    patient = (await create(client, headers)).json()["patient_id"]
    for _ in range(2):
        await client.get(f"/api/patients/{patient}/studies", headers=headers)
        await client.get(f"/api/patients/{patient}/reports", headers=headers)
    draft = {"patient_id": patient, "study_uid": "1.2.3", "findings": "None."}
    report = str(UUID(int=77))
    new = {**headers, "If-None-Match": "*"}
    assert (await client.put(f"/api/reports/{report}/draft", headers=new, json=draft)).status_code == 201
    async with asyncio.timeout(60):
        while (await client.get(f"/api/patients/{patient}", headers=headers)).status_code != 200:
            await asyncio.sleep(0.05)
    await client.get(f"/api/patients/{patient}", headers=headers)

    assert audited(tmp_path, "institution") == [
        ("list-inbox", "inbox", ""),
        ("open", "study", "1.2.3"),
        ("create-patient", "patient", patient),
        ("open", "patient", patient),
        ("read-reports", "patient", patient),
        ("write-report", "report", report),
    ]
    assert audited(tmp_path, "toplevel") == [("open", "patient", patient)]


async def test_nobody_is_on_record_for_counting_what_waits(client: httpx.AsyncClient, tmp_path: Path) -> None:
    await client.get("/api/inbox?limit=0", headers=await token_of(client))

    assert audited(tmp_path, "institution") == []


async def test_who_did_not_sign_hears_nothing_of_studies(
    client: httpx.AsyncClient, node_key: Path, tmp_path: Path
) -> None:
    make_private_key(tmp_path / "other.pem")
    stranger = node_of(client, tmp_path / "other.pem", node_key.parent)

    with pytest.raises(Unavailable) as refused:
        await stranger.releases(ReleasesWanted(NODE, ReleaseCursor()))

    assert refused.value.fields["status"] == 401


async def test_a_study_waits_with_all_that_is_needed_to_decide(client: httpx.AsyncClient, node_key: Path) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)

    found = await inbox_of(client, headers)

    (study,) = found["studies"]
    assert found["total"] == 1
    assert study["patient"] == {
        "name": "Müller^Anna",
        "id": "77",
        "issuer": "",
        "birth_date": "1970-01-31",
        "sex": "F",
    }
    assert (study["study"]["node_id"], study["study"]["modalities"]) == (str(NODE), ["CT"])
    assert (await client.get("/api/inbox?limit=0", headers=headers)).json() == {"studies": [], "total": 1}
    assert (await client.get("/api/patients", headers=headers)).json()["total"] == 0


async def test_a_patient_is_made_and_the_study_is_theirs(client: httpx.AsyncClient, node_key: Path) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)

    made = await create(client, headers)

    assert made.status_code == 201, made.text
    patient_id = made.json()["patient_id"]
    assert made.json()["by"]["name"] == "Ana Anić"
    assert await studies_of(client, headers, patient_id) == ["1.2.3"]
    assert (await client.get("/api/inbox", headers=headers)).json()["total"] == 0
    history = (await client.get("/api/inbox/1.2.3", headers=headers)).json()
    assert history["patient_id"] == patient_id
    assert [one["with_number"] for one in history["assignments"]] == [True]


async def test_a_study_is_assigned_moved_and_taken_back(client: httpx.AsyncClient, node_key: Path) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)
    first = (await create(client, headers)).json()["patient_id"]
    await deliver_a_study(client, node_key, uid="1.2.4", patient_id="78", name="Bauer^Berta")
    second = (
        await create(client, headers, "/api/inbox/1.2.4/patient", family_name="Bauer", given_name="Berta")
    ).json()["patient_id"]

    moved = await client.put(
        PATH, headers=headers, json={"patient_id": second, "seen_patient_id": first, "with_number": False}
    )
    assert moved.status_code == 200, moved.text
    assert set(await studies_of(client, headers, second)) == {"1.2.3", "1.2.4"}

    back = await client.put(
        PATH, headers=headers, json={"patient_id": None, "seen_patient_id": second, "with_number": False}
    )
    assert back.status_code == 200, back.text
    assert (await inbox_of(client, headers, having="taken-back"))["total"] == 1


async def test_the_second_physician_is_told_409_by_whom(client: httpx.AsyncClient, node_key: Path) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)
    first = (await create(client, headers)).json()

    answer = await create(client, headers)

    assert answer.status_code == 409
    problem = answer.json()
    assert problem["type"] == "assigned-meanwhile"
    assert (problem["by"], problem["patient_id"]) == ("Ana Anić", first["patient_id"])


@pytest.mark.parametrize("username", ["ivo", "adam"])
async def test_a_physician_of_another_institution_and_an_administrator_get_403(
    client: httpx.AsyncClient, node_key: Path, username: str
) -> None:
    await deliver_a_study(client, node_key)
    headers = await token_of(client, username)
    move = {"patient_id": str(UUID(int=5)), "seen_patient_id": None, "with_number": False}

    answers = [
        await client.get("/api/inbox", headers=headers),
        await client.get("/api/inbox?limit=0", headers=headers),
        await client.get("/api/inbox/1.2.3", headers=headers),
        await client.put(PATH, headers=headers, json=move),
        await create(client, headers),
    ]

    assert [answer.status_code for answer in answers] == [403] * 5
    assert all("Müller" not in answer.text for answer in answers)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (PATH, {**EVA, "seen_patient_id": None}, 400),
        (PATH, {**EVA, "seen_patient_id": None, "with_number": True, "birth_date": "1970-02-31"}, 400),
        (PATH, {**EVA, "seen_patient_id": None, "with_number": True, "gender": "X"}, 400),
        (PATH, {**EVA, "seen_patient_id": None, "with_number": True, "family_name": " ", "given_name": ""}, 400),
        (PATH, {}, 400),
        ("/api/inbox/robert/patient", {**EVA, "seen_patient_id": None, "with_number": True}, 400),
        ("/api/inbox/1.2.9/patient", {**EVA, "seen_patient_id": None, "with_number": True}, 404),
    ],
)
async def test_what_cannot_be_decided_is_refused(
    client: httpx.AsyncClient, node_key: Path, path: str, body: dict[str, object], status: int
) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)

    answer = await client.post(path, headers=headers, json=body)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.get("/api/inbox?limit=0", headers=headers)).json()["total"] == 1


async def test_a_patient_who_is_not_there_is_404(client: httpx.AsyncClient, node_key: Path) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)
    move = {"patient_id": str(UUID(int=5)), "seen_patient_id": None, "with_number": False}

    answer = await client.put(PATH, headers=headers, json=move)

    assert answer.status_code == 404
    assert answer.json()["type"] == "no-such-patient"


@pytest.mark.parametrize("query", ["limit=-1", "limit=201", "limit=x", "offset=-1"])
async def test_a_page_that_cannot_be_is_400(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/api/inbox?{query}", headers=await token_of(client))).status_code == 400


async def test_the_cookie_reads_the_inbox_and_does_not_decide(client: httpx.AsyncClient, node_key: Path) -> None:
    headers = await token_of(client)
    await deliver_a_study(client, node_key)
    await client.post("/api/access", headers=headers)

    assert (await client.get("/api/inbox")).json()["total"] == 1
    assert (await create(client, {})).status_code == 401


async def test_only_a_child_that_signs_may_ask(client: httpx.AsyncClient, node_key: Path) -> None:
    unsigned = await client.post("/api/sync/questions", content=b"{}")
    node = node_of(client, node_key)

    assert unsigned.status_code == 401
    with pytest.raises(Unavailable) as refused:  # a node delivers, and has nothing to ask
        await node.answer(Questions(NODE))
    assert refused.value.fields["status"] == 403
