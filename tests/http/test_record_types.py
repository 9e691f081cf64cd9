"""Record types at the doors: said at the toplevel, heard at an institution in the same process and at one that signs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from appliance.domain.changes import RecordTypesWanted
from appliance.domain.errors import Unavailable
from appliance.services import record_types as module
from appliance.services.synchronisation import RemoteParent
from appliance.services.tokens import load_private_key, make_private_key, public_key_of
from appliance.storage import enrolment
from appliance.storage.database import Database
from tests.http.central import BASE, NODE, OTHER_CLINIC, client_of, node_of, settings_in, token_of


@pytest.fixture
async def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """Where ``ivo`` is a superuser."""
    monkeypatch.setattr(module, "_PAUSE_S", 0.05)
    with sqlite3.connect(folder / "toplevel.sqlite") as database:
        database.execute("UPDATE account SET roles = 'superuser' WHERE username = 'ivo'")
    async with client_of(settings_in(folder)) as opened:
        yield opened


async def create(client: httpx.AsyncClient, name: str) -> dict[str, object]:
    answer = await client.post("/api/record-types", json={"name": name}, headers=await token_of(client, "ivo"))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_what_a_superuser_says_is_known_at_the_institution(client: httpx.AsyncClient) -> None:
    made = await create(client, "CT")
    ana = await token_of(client, "ana")

    async with asyncio.timeout(10):
        while not (here := (await client.get("/api/record-types/here", headers=ana)).json()["record_types"]):
            await asyncio.sleep(0.02)

    assert here == [made]
    listed = (await client.get("/api/record-types?search=ct", headers=ana)).json()
    assert listed == {"record_types": [made], "total": 1, "next": None}


async def test_an_institution_elsewhere_hears_of_it_by_its_key_and_a_node_does_not(
    client: httpx.AsyncClient, folder: Path, node_key: Path
) -> None:
    made = await create(client, "CT")
    make_private_key(folder / "other.pem")
    key = load_private_key(folder / "other.pem")
    database = Database(f"sqlite:///{folder}/toplevel.sqlite")
    public_key = public_key_of(key.public_key()).x
    database.run(lambda tx: enrolment.keep_child(tx, "institution", OTHER_CLINIC, "Other", public_key))
    database.close()
    identity = load_private_key(folder / "identity.pem").public_key()
    parent = RemoteParent(BASE, OTHER_CLINIC, key, identity, None)
    parent._client = client

    told = await parent.record_types(RecordTypesWanted(OTHER_CLINIC, 0))
    with pytest.raises(Unavailable, match="403"):
        await node_of(client, node_key, folder).record_types(RecordTypesWanted(NODE, 0))

    assert [str(one.id) for one in told.types] == [made["id"]]
    assert told.is_all


@pytest.mark.parametrize("username", ["adam", "ana"])
async def test_others_may_read_and_not_change(client: httpx.AsyncClient, username: str) -> None:
    headers = await token_of(client, username)

    refused = await client.post("/api/record-types", json={"name": "CT"}, headers=headers)

    assert (refused.status_code, refused.json()["type"]) == (403, "missing-right")
    assert (await client.get("/api/record-types", headers=headers)).json()["total"] == 0
