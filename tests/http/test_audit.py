"""The audit trail at the doors, for administrators."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.domain.audit import Action
from tests.http.central import client_of, settings_in, token_of


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(settings_in(folder)) as opened:
        yield opened


async def read(client: httpx.AsyncClient, query: str, *, room: str = "toplevel", by: str = "adam") -> dict[str, Any]:
    answer = await client.get(f"/api/audit/{room}?{query}", headers=await token_of(client, by))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_an_administrator_reads_what_the_people_of_their_institution_did(client: httpx.AsyncClient) -> None:
    await token_of(client, "ana")
    await token_of(client, "ivo")

    records = (await read(client, "action=log-in&sort=-sequence"))["records"]

    assert {record["actor"]["name"] for record in records} == {"ana", "adam"}
    assert records[0]["sequence"] > records[-1]["sequence"]
    assert records[0]["at"].endswith("Z")
    assert records[0]["actor"]["address"] == "192.0.2.7"


async def test_who_reads_the_trail_is_on_record_in_it_once(client: httpx.AsyncClient) -> None:
    await read(client, "limit=1")

    (record,) = (await read(client, "action=read-audit"))["records"]

    assert (record["actor"]["name"], record["subject"]) == (
        "adam",
        {"kind": "audit", "uid": "toplevel", "study_uid": ""},
    )


async def test_records_come_part_by_part(client: httpx.AsyncClient) -> None:
    first = await read(client, "actor=adam&limit=1")
    second = await read(client, f"actor=adam&limit=1&cursor={first['next']}")

    assert first["records"][0]["sequence"] < second["records"][0]["sequence"]


async def test_the_trail_of_an_institution_is_for_its_own_administrators(client: httpx.AsyncClient) -> None:
    headers = await token_of(client, "ana")
    await client.get("/api/patients/00000000-0000-0000-0000-000000000005/reports", headers=headers)

    (record,) = (await read(client, "action=read-reports", room="institution"))["records"]
    by_a_physician = await client.get("/api/audit/institution", headers=headers)

    assert record["actor"]["name"] == "ana"
    assert (by_a_physician.status_code, by_a_physician.json()["type"]) == (403, "missing-right")


@pytest.mark.parametrize(
    "query",
    ["actor=", "action=log", "outcome=", "since=yesterday", "since=2026-11-22T10:00:00", "until=", "subjekt=1.2"],
)
async def test_a_filter_that_is_none_is_refused(client: httpx.AsyncClient, query: str) -> None:
    refused = await client.get(f"/api/audit/toplevel?{query}", headers=await token_of(client, "adam"))

    assert (refused.status_code, refused.json()["parameter"]) == (400, query.partition("=")[0])


def test_the_page_lets_administrators_choose_each_action_that_there_is() -> None:
    contract = Path(__file__).resolve().parents[2] / "webui" / "src" / "administration" / "contract.ts"
    _, _, listed = contract.read_text().partition("ACTIONS = [")

    assert re.findall(r"'([a-z-]+)'", listed) == [str(action) for action in Action]


async def test_who_searches_patients_is_on_record_once_without_what_was_searched(
    client: httpx.AsyncClient, folder: Path
) -> None:
    ana = await token_of(client, "ana")
    for letters in ("mus", "must", "muster"):
        await client.get(f"/api/patients?search={letters}", headers=ana)

    (record,) = (await read(client, "action=search"))["records"]

    assert (record["actor"]["name"], record["subject"]) == ("ana", {"kind": "patient", "uid": "", "study_uid": ""})
    assert "mus" not in str(record)
