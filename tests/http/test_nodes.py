"""The nodes of an institution at its doors, for administrators."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.http.central import BASE, CLINIC, NODE, client_of, deliver_a_study, settings_in, token_of

PATH = f"/api/nodes/{NODE}"
ENROLMENT = f"/api/enrolments/nodes/{NODE}"


@pytest.fixture
async def client(folder: Path, node_key: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Whose one node holds a study."""
    async with client_of(settings_in(folder)) as opened:
        await deliver_a_study(opened, node_key)
        yield opened


async def test_an_administrator_sees_how_each_node_is(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/api/nodes", headers=await token_of(client, "adam"))).json()

    (node,) = answer["nodes"]
    assert node["seen_at"].endswith("Z")
    assert {
        "id": str(NODE),
        "name": "Node",
        "base_url": BASE,
        "state": "enrolled",
        "studies": 1,
    }.items() <= node.items()
    assert (answer["total"], answer["next"]) == (1, None)


@pytest.mark.parametrize(("state", "count"), [("enrolled", 1), ("not-enrolled", 0), ("here", 0)])
async def test_nodes_are_filtered_by_state(client: httpx.AsyncClient, state: str, count: int) -> None:
    answer = await client.get(f"/api/nodes?state={state}", headers=await token_of(client, "adam"))

    assert answer.json()["total"] == count


async def test_a_node_that_holds_studies_stays_and_says_so(client: httpx.AsyncClient) -> None:
    adam = await token_of(client, "adam")
    believed = await client.delete(PATH, headers=adam)
    await client.delete(ENROLMENT, headers=adam)
    holding = await client.delete(PATH, headers=adam)

    assert (believed.status_code, believed.json()["type"]) == (409, "pointed-to")
    assert {"studies": 1, "is_believed": True}.items() <= believed.json().items()
    assert {"studies": 1, "is_believed": False}.items() <= holding.json().items()


async def test_a_node_that_nothing_points_to_is_gone_and_that_is_on_record(
    client: httpx.AsyncClient, folder: Path
) -> None:
    adam = await token_of(client, "adam")
    await client.delete(ENROLMENT, headers=adam)
    with sqlite3.connect(folder / "institution.sqlite") as database:
        database.execute("DELETE FROM study_at_node")

    deleted = await client.delete(PATH, headers=adam)

    assert deleted.status_code == 204
    assert (await client.get("/api/nodes", headers=adam)).json()["nodes"] == []
    assert (await client.delete(PATH, headers=adam)).json()["type"] == "no-such-node"
    with sqlite3.connect(folder / "institution.sqlite") as database:
        (record,) = database.execute("SELECT outcome, subject_uid FROM audit WHERE action = 'delete-node'").fetchall()
    assert record == ("done", str(NODE))


async def test_how_an_institution_stands_with_its_toplevel_is_told_to_administrators(
    client: httpx.AsyncClient,
) -> None:
    adam, ana = await token_of(client, "adam"), await token_of(client, "ana")

    (line,) = (await client.get("/api/synchronisation", headers=adam)).json()["lines"]
    refused = await client.get("/api/synchronisation", headers=ana)

    assert (line["role"], line["child_id"], line["errors"]) == ("institution", str(CLINIC), {})
    assert line["lag_s"] < 60
    assert (refused.status_code, refused.json()["type"]) == (403, "missing-right")


async def test_how_the_machine_is_is_told_to_administrators_by_the_server_itself(client: httpx.AsyncClient) -> None:
    adam, ana = await token_of(client, "adam"), await token_of(client, "ana")

    async with asyncio.timeout(30):  # what was noted at the start is on its way up
        while True:
            told = (await client.get("/api/examination", headers=adam)).json()
            findings = {finding["subject"]: finding for finding in told["findings"]}
            if findings["sync of the institution"]["figures"].get("waiting") == 0:
                break
            await asyncio.sleep(0.05)
    refused = await client.get("/api/examination", headers=ana)

    assert findings["server"]["verdict"] == "well"
    assert findings["room for databases"]["figures"]["free_bytes"] > 0
    assert findings["sync of the institution"]["figures"]["waiting"] == 0
    assert told["verdict"] in {finding["verdict"] for finding in told["findings"]}
    assert (refused.status_code, refused.json()["type"]) == (403, "missing-right")
