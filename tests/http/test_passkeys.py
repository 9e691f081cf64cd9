"""Passkeys as a page sees them: ``/api/account/passkeys`` and ``/api/session/passkey``."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.http.central import BASE, PASSWORD, client_of, settings_in, token_of
from tests.services.authenticator import Authenticator

Json = dict[str, Any]


@dataclass
class Page:
    """A page of the appliance, and the phone of whoever is before it."""

    client: httpx.AsyncClient
    phone: Authenticator

    async def make(self, headers: dict[str, str], name: str = "Phone") -> Json:
        path = "/api/account/passkeys"
        options = await self.client.post(f"{path}/request", json={"password": PASSWORD}, headers=headers)
        wanted = {"name": name, "credential": self.phone.make(options.json())}
        made = await self.client.post(path, json=wanted, headers=headers)
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def log_in(self) -> httpx.Response:
        options = (await self.client.post("/api/session/passkey-request")).json()
        path = "/api/session/passkey?with=directory"
        return await self.client.post(path, json={"credential": self.phone.use(options)})


@pytest.fixture
async def page(folder: Path) -> AsyncIterator[Page]:
    async with client_of(settings_in(folder)) as client:
        yield Page(client, Authenticator(BASE))


async def test_a_passkey_is_made_listed_and_logs_in_as_a_password_does(page: Page) -> None:
    headers = await token_of(page.client)
    made = await page.make(headers)
    page.client.cookies.clear()

    grant = await page.log_in()

    assert grant.status_code == 200
    assert grant.json()["account"]["username"] == "ana"
    assert "directory" in grant.json()
    assert (await page.client.post("/api/session/renewal")).status_code == 200
    listed = (await page.client.get("/api/account/passkeys", headers=headers)).json()
    assert listed["relying_party_id"] == "localhost"
    (passkey,) = listed["passkeys"]
    assert (passkey["id"], passkey["name"], passkey["is_synced"]) == (made["id"], "Phone", False)
    assert passkey["used_at"] > passkey["created_at"] == made["created_at"]
    assert "credential_data" not in passkey


async def test_a_passkey_is_renamed_and_removed(page: Page) -> None:
    headers = await token_of(page.client)
    path = f"/api/account/passkeys/{(await page.make(headers))['id']}"

    assert (await page.client.put(path, json={"name": "Old phone"}, headers=headers)).status_code == 204
    listed = (await page.client.get("/api/account/passkeys", headers=headers)).json()
    assert [one["name"] for one in listed["passkeys"]] == ["Old phone"]
    assert (await page.client.delete(path, headers=headers)).status_code == 204

    refused = await page.log_in()
    assert (refused.status_code, refused.json()["type"]) == (401, "unknown-passkey")
    again = await page.client.delete(path, headers=headers)
    assert (again.status_code, again.json()["type"]) == (404, "no-such-passkey")


@pytest.mark.parametrize("member", ["clientDataJSON", "authenticatorData", "signature", "userHandle"])
async def test_what_is_not_base64url_is_refused_and_named(page: Page, member: str) -> None:
    await page.make(await token_of(page.client))
    used = page.phone.use((await page.client.post("/api/session/passkey-request")).json())
    used["response"][member] = "no+base64/url"

    refused = await page.client.post("/api/session/passkey", json={"credential": used})

    assert (refused.status_code, refused.json()["type"]) == (400, "wrong-body")
    assert refused.json()["parameter"] == member


async def test_a_passkey_of_another_address_is_told_the_right_one(page: Page) -> None:
    await page.make(await token_of(page.client))
    page.phone.origin = "https://localhost:8443"

    refused = (await page.log_in()).json()

    assert (refused["type"], refused["expected"]) == ("other-origin", BASE)


async def test_logins_by_passkey_are_counted_with_the_others(page: Page) -> None:
    await page.make(await token_of(page.client))
    await page.log_in()
    page.phone.recognises = False
    await page.log_in()

    figures = (await page.client.get("/metrics", headers=await token_of(page.client, "adam"))).text

    logins = {line for line in figures.splitlines() if "logins_total{" in line}
    assert any('"success"' in line and line.endswith(" 3.0") for line in logins), logins
    assert any('"wrong-credentials"' in line and line.endswith(" 1.0") for line in logins), logins


async def test_an_administrator_of_the_institution_removes_those_of_somebody(page: Page, folder: Path) -> None:
    headers = await token_of(page.client)
    await page.make(headers)
    mine = (await page.client.get("/api/account", headers=headers)).json()["id"]
    path = f"/api/accounts/{mine}/passkeys"

    by_a_physician = await page.client.delete(path, headers=await token_of(page.client, "ivo"))
    by_an_administrator = await page.client.delete(path, headers=await token_of(page.client, "adam"))

    assert (by_a_physician.status_code, by_an_administrator.status_code) == (403, 204)
    assert (await page.log_in()).json()["type"] == "unknown-passkey"
    with sqlite3.connect(folder / "toplevel.sqlite") as database:
        rows = database.execute("SELECT outcome, subject_uid FROM audit WHERE action = 'remove-passkey'").fetchall()
    assert rows == [("done", mine)]


async def test_nobody_renames_what_is_not_theirs(page: Page) -> None:
    made = await page.make(await token_of(page.client))
    headers = await token_of(page.client, "ivo")

    refused = await page.client.put(f"/api/account/passkeys/{made['id']}", json={"name": "x"}, headers=headers)

    assert refused.json()["type"] == "no-such-passkey"
    missing = await page.client.delete(f"/api/account/passkeys/{UUID(int=4)}", headers=headers)
    assert missing.status_code == 404
