"""Institutions at the doors of the toplevel, for administrators."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from appliance.storage import toplevel
from appliance.storage.database import Database
from appliance.storage.toplevel import InstitutionEntry, NodeEntry
from tests.http.central import BASE, CLINIC, OTHER_CLINIC, client_of, settings_in, token_of

EMPTY = UUID(int=5)
"""Nobody belongs to it, and it holds nothing."""


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """With two more institutions that told of themselves once."""
    async with client_of(settings_in(folder)) as opened:
        await until_announced(opened)
        database = Database(f"sqlite:///{folder}/toplevel.sqlite")
        for institution_id, name in ((OTHER_CLINIC, "Žuta kuća"), (EMPTY, "Annex")):
            nodes = (NodeEntry(UUID(int=50 + institution_id.int), "Node", "https://node.example.org"),)
            entry = InstitutionEntry(institution_id, name, "https://elsewhere.example.org", nodes)
            database.run(lambda tx, entry=entry: toplevel.keep_institution(tx, entry))  # type: ignore[misc]
        database.close()
        yield opened


async def until_announced(client: httpx.AsyncClient) -> None:
    headers = await token_of(client, "adam")
    async with asyncio.timeout(10):
        while not (await client.get("/api/directory", headers=headers)).json()["institutions"]:
            await asyncio.sleep(0.02)


async def names(client: httpx.AsyncClient, query: str = "") -> list[str]:
    answer = await client.get(f"/api/institutions{query}", headers=await token_of(client, "adam"))
    assert answer.status_code == 200, answer.text
    return [institution["name"] for institution in answer.json()["institutions"]]


async def test_an_administrator_sees_how_each_institution_is(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/institutions", headers=await token_of(client, "adam"))

    annex, clinic, other = answer.json()["institutions"]
    assert (annex["name"], clinic["name"], other["name"]) == ("Annex", "Clinic", "Žuta kuća")
    assert (clinic["state"], other["state"]) == ("here", "not-enrolled")
    assert (clinic["base_url"], other["node_urls"]) == (BASE, ["https://node.example.org"])
    assert clinic["seen_at"].endswith("Z")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?search=zuta", ["Žuta kuća"]),
        ("?search=%25", []),
        ("?state=here", ["Clinic"]),
        ("?state=not-enrolled&sort=-name", ["Žuta kuća", "Annex"]),
        ("?state=enrolled", []),
        ("?limit=1", ["Annex"]),
    ],
)
async def test_institutions_are_filtered_and_sorted(client: httpx.AsyncClient, query: str, found: list[str]) -> None:
    assert await names(client, query) == found


async def test_what_an_administrator_calls_an_institution_stays_when_it_tells_of_itself_again(
    client: httpx.AsyncClient, folder: Path
) -> None:
    adam = await token_of(client, "adam")
    path = f"/api/institutions/{CLINIC}"

    described = await client.put(path, json={"name": "Riverside", "address": "Ilica 1"}, headers=adam)
    told_again = InstitutionEntry(CLINIC, "Clinic", BASE, ())
    database = Database(f"sqlite:///{folder}/toplevel.sqlite")
    database.run(lambda tx: toplevel.keep_institution(tx, told_again))
    database.close()

    assert described.status_code == 200, described.text
    assert described.json()["address"] == "Ilica 1"
    assert await names(client, "?state=here") == ["Riverside"]
    directory = (await client.get("/api/directory", headers=adam)).json()["institutions"]
    assert "Riverside" in {institution["name"] for institution in directory}
    await client.put(path, json={"name": None, "address": ""}, headers=adam)
    assert await names(client, "?state=here") == ["Clinic"]


async def test_an_institution_that_something_points_to_stays_and_says_what_does(
    client: httpx.AsyncClient,
) -> None:
    refused = await client.delete(f"/api/institutions/{CLINIC}", headers=await token_of(client, "adam"))

    assert (refused.status_code, refused.json()["type"]) == (409, "pointed-to")
    assert {"accounts": 2, "patients": 0, "numbers": 0, "is_believed": True}.items() <= refused.json().items()
    assert "Clinic" in await names(client)


async def test_a_superuser_deletes_an_institution_that_nothing_points_to_and_that_is_on_record(
    client: httpx.AsyncClient, folder: Path
) -> None:
    with sqlite3.connect(folder / "toplevel.sqlite") as database:
        database.execute("UPDATE account SET roles = 'superuser' WHERE username = 'ivo'")
    root = await token_of(client, "ivo")

    deleted = await client.delete(f"/api/institutions/{EMPTY}", headers=root)

    assert deleted.status_code == 204
    assert await names(client) == ["Clinic", "Žuta kuća"]
    again = await client.delete(f"/api/institutions/{EMPTY}", headers=root)
    assert (again.status_code, again.json()["type"]) == (404, "no-such-institution")
    with sqlite3.connect(folder / "toplevel.sqlite") as database:
        records = database.execute(
            "SELECT outcome, subject_uid FROM audit WHERE action = 'delete-institution'"
        ).fetchall()
    assert records == [("done", str(EMPTY))]


async def test_an_administrator_describes_no_other_institution_and_the_refusal_is_on_record(
    client: httpx.AsyncClient, folder: Path
) -> None:
    adam = await token_of(client, "adam")

    refused = await client.put(f"/api/institutions/{OTHER_CLINIC}", json={"name": "Mine", "address": ""}, headers=adam)

    assert (refused.status_code, refused.json()["type"]) == (403, "other-institution")
    with sqlite3.connect(folder / "toplevel.sqlite") as database:
        (outcome,) = database.execute("SELECT outcome FROM audit WHERE action = 'change-institution'").fetchall()
    assert outcome == ("refused",)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "address": ""},
        {"name": " ", "address": ""},
        {"name": "a" * 201, "address": ""},
        {"name": "a\x00", "address": ""},
        {"name": None, "address": "a" * 501},
        {"name": None},
        {},
    ],
)
async def test_a_description_that_cannot_be_kept_is_refused(client: httpx.AsyncClient, body: dict[str, str]) -> None:
    adam = await token_of(client, "adam")

    refused = await client.put(f"/api/institutions/{CLINIC}", json=body, headers=adam)

    assert refused.status_code == 400
    assert "Clinic" in await names(client)
