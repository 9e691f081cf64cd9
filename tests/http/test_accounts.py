"""One's own account, and being shut out of it: at the toplevel, and at what hears from it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from appliance.services.tokens import TokenVerifier, load_private_key, public_key_of
from appliance.services.trust import add_signing_key
from tests.http.central import CLINIC, PASSWORD, client_of, node_of, settings_in, token_of

NEW_PASSWORD = "another horse battery"
DEVICE_COOKIE = "__Secure-device"


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(settings_in(folder)) as opened:
        yield opened


async def id_of(client: httpx.AsyncClient, headers: dict[str, str]) -> str:
    return str((await client.get("/api/account", headers=headers)).json()["id"])


async def set_active(client: httpx.AsyncClient, account_id: str, by: str, *, is_active: bool = False) -> httpx.Response:
    headers = await token_of(client, by)
    path = f"/api/accounts/{account_id}/activity"
    return await client.put(path, json={"is_active": is_active}, headers=headers)


async def test_sessions_are_listed_and_one_of_them_is_this_one(client: httpx.AsyncClient) -> None:
    await token_of(client)
    headers = await token_of(client)

    sessions = (await client.get("/api/account/sessions", headers=headers)).json()["sessions"]

    assert [session["is_this"] for session in sessions] == [True, False]
    assert {session["address"] for session in sessions} == {"192.0.2.7"}
    assert sessions[0]["browser"].startswith("python-httpx")


async def test_a_session_that_was_ended_is_over_at_once(client: httpx.AsyncClient) -> None:
    elsewhere, here = await token_of(client), await token_of(client)
    (other,) = [
        session
        for session in (await client.get("/api/account/sessions", headers=here)).json()["sessions"]
        if not session["is_this"]
    ]

    assert (await client.delete(f"/api/account/sessions/{other['id']}", headers=here)).status_code == 204

    refused = await client.get("/api/patients", headers=elsewhere)
    assert (refused.status_code, refused.json()["type"]) == (401, "token-revoked")
    assert (await client.get("/api/patients", headers=here)).status_code == 200
    again = await client.delete(f"/api/account/sessions/{other['id']}", headers=here)
    assert again.json()["type"] == "no-such-session"


async def test_a_new_password_leaves_this_session_and_ends_the_others(client: httpx.AsyncClient) -> None:
    elsewhere, here = await token_of(client), await token_of(client)
    path = "/api/account/password"

    weak = await client.put(path, json={"old": PASSWORD, "new": "passwordpassword"}, headers=here)
    changed = await client.put(path, json={"old": PASSWORD, "new": NEW_PASSWORD}, headers=here)

    assert (weak.status_code, weak.json()["type"]) == (400, "password-guessable")
    assert changed.status_code == 204
    assert (await client.get("/api/patients", headers=here)).status_code == 200
    assert (await client.get("/api/patients", headers=elsewhere)).status_code == 401


async def test_after_logging_out_the_token_is_no_good_either(client: httpx.AsyncClient) -> None:
    headers = await token_of(client)

    await client.delete("/api/session")

    assert (await client.get("/api/patients", headers=headers)).json()["type"] == "token-revoked"


async def test_who_is_shut_out_is_out_at_once_here_and_told_below(client: httpx.AsyncClient, node_key: Path) -> None:
    headers = await token_of(client)
    account_id = await id_of(client, headers)

    assert (await set_active(client, account_id, "adam")).status_code == 204

    assert (await client.get("/api/patients", headers=headers)).json()["type"] == "token-revoked"
    below = TokenVerifier()
    below.replace(await node_of(client, node_key).trust())
    assert [str(revoked.subject) for revoked in below.trust.revoked] == [account_id]
    refused = await client.post("/api/session", json={"username": "ana", "password": PASSWORD})
    assert (refused.status_code, refused.json()["type"]) == (403, "account-deactivated")


async def test_only_an_administrator_of_the_institution_shuts_somebody_out(
    client: httpx.AsyncClient, folder: Path
) -> None:
    ana, ivo = [await id_of(client, await token_of(client, name)) for name in ("ana", "ivo")]

    by_a_physician = await set_active(client, ana, "ana")
    of_another = await set_active(client, ivo, "adam")

    assert (by_a_physician.status_code, by_a_physician.json()["type"]) == (403, "missing-right")
    assert (of_another.status_code, of_another.json()["type"]) == (403, "other-institution")
    with sqlite3.connect(folder / "toplevel.sqlite") as database:
        (row,) = database.execute(
            "SELECT outcome, subject_uid FROM audit WHERE action = 'deactivate-account'"
        ).fetchall()
    assert row == ("refused", ivo)


async def test_a_new_signing_key_logs_nobody_out(client: httpx.AsyncClient, folder: Path) -> None:
    headers = await token_of(client)
    add_signing_key(folder / "tokens.pem")
    newest = public_key_of(load_private_key(folder / "tokens.pem").public_key())

    async with asyncio.timeout(20):
        while newest.id not in {key.id for key in (await node_of(client, folder / "node.pem").trust()).keys}:
            await asyncio.sleep(0.2)

    assert (await client.get("/api/patients", headers=headers)).status_code == 200
    assert (await client.post("/api/session/renewal")).status_code == 200


async def test_everybody_says_themselves_how_they_are_reached(client: httpx.AsyncClient, folder: Path) -> None:
    headers = await token_of(client)
    path, mine = (
        "/api/account/contact",
        {"email": "ana@clinic.example", "phone": "+385 1 234 567", "address": "Ilica 1\nZagreb"},
    )
    assert (await client.get(path, headers=headers)).json() == {"email": "", "phone": "", "address": ""}

    spaced = {name: f" {value} " for name, value in mine.items()}
    assert (await client.put(path, json=spaced, headers=headers)).status_code == 204

    assert (await client.get(path, headers=headers)).json() == mine
    assert (await client.get(path, headers=await token_of(client, "ivo"))).json()["email"] == ""
    with sqlite3.connect(folder / "toplevel.sqlite") as database:
        rows = database.execute("SELECT outcome FROM audit WHERE action = 'change-contact'").fetchall()
    assert rows == [("done",)]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("email", "ana"),
        ("email", "a b@c"),
        ("email", f"{'x' * 250}@b.hr"),
        ("phone", "call me"),
        ("phone", "1" * 41),
        ("address", "x" * 301),
        ("address", "a\x00b"),
    ],
)
async def test_what_nobody_can_be_reached_by_is_refused_and_named(
    client: httpx.AsyncClient, member: str, value: str
) -> None:
    headers = await token_of(client)
    wanted = {"email": "", "phone": "", "address": "", member: value}

    refused = await client.put("/api/account/contact", json=wanted, headers=headers)

    assert (refused.status_code, refused.json()["type"]) == (400, f"wrong-{member}")
    assert refused.json()["parameter"] == member


async def test_nobody_is_shut_out_who_is_not_there(client: httpx.AsyncClient) -> None:
    assert (await set_active(client, str(UUID(int=99)), "adam")).json()["type"] == "no-such-account"


PERSON = {"given_name": "Eva", "family_name": "Žilić", "roles": ["physician"], "institution_id": str(CLINIC)}


async def test_an_administrator_makes_an_account_finds_it_and_changes_it(client: httpx.AsyncClient) -> None:
    adam = await token_of(client, "adam")
    await until_announced(client, adam)
    wanted = {**PERSON, "username": "eva", "password": PASSWORD, "is_doctor": True}

    made = await client.post("/api/accounts", json=wanted, headers=adam)
    found = (await client.get("/api/accounts?search=zilic&is_active=true", headers=adam)).json()
    renamed = {**PERSON, "family_name": "Perić", "email": "eva@example.org"}
    changed = await client.put(f"/api/accounts/{made.json()['id']}", json=renamed, headers=adam)

    assert made.status_code == 201, made.text
    assert found == {"accounts": [made.json()], "total": 1, "next": None}
    assert made.json()["is_doctor"] is True
    assert {"family_name": "Perić", "email": "eva@example.org", "username": "eva"}.items() <= changed.json().items()
    assert (await client.post("/api/session", json={"username": "eva", "password": PASSWORD})).status_code == 200


async def test_a_list_of_accounts_comes_in_parts_and_holds_those_of_the_own_institution(
    client: httpx.AsyncClient,
) -> None:
    adam = await token_of(client, "adam")

    first = (await client.get("/api/accounts?sort=-username&limit=1", headers=adam)).json()
    path = f"/api/accounts?sort=-username&limit=1&cursor={first['next']}"
    second = (await client.get(path, headers=adam)).json()

    assert [one["username"] for one in (*first["accounts"], *second["accounts"])] == ["ana", "adam"]
    assert (first["total"], second["next"]) == (2, None)


@pytest.mark.parametrize(
    "query",
    [
        "institution_id=",
        "institution=00000000-0000-0000-0000-000000000008",
        "search=%20",
        "search=%00",
        "role=",
        "role=nobody",
        "role=physician&role=superuser",
        "is_active=1",
        "limit=0",
        "limit=201",
        "sort=password_hash",
        "cursor=x",
        "cursor=",
    ],
)
async def test_a_filter_that_is_empty_or_not_known_is_refused_and_widens_nothing(
    client: httpx.AsyncClient, query: str
) -> None:
    refused = await client.get(f"/api/accounts?{query}", headers=await token_of(client, "adam"))

    assert (refused.status_code, refused.json().get("parameter")) == (400, query.partition("=")[0])


async def test_a_place_in_one_order_is_none_in_another(client: httpx.AsyncClient) -> None:
    adam = await token_of(client, "adam")
    first = (await client.get("/api/accounts?sort=username&limit=1", headers=adam)).json()

    refused = await client.get(f"/api/accounts?sort=name&limit=1&cursor={first['next']}", headers=adam)

    assert (refused.status_code, refused.json()["parameter"]) == (400, "cursor")


async def test_who_forgot_their_password_gets_another_and_is_out_everywhere(
    client: httpx.AsyncClient, folder: Path
) -> None:
    ana, adam = await token_of(client, "ana"), await token_of(client, "adam")
    path = f"/api/accounts/{await id_of(client, ana)}/password"

    weak = await client.put(path, json={"password": ""}, headers=adam)
    replaced = await client.put(path, json={"password": NEW_PASSWORD}, headers=adam)

    assert (weak.status_code, weak.json()["type"]) == (400, "password-length")
    assert replaced.status_code == 204
    assert (await client.get("/api/account", headers=ana)).json()["type"] == "token-revoked"
    log_ins = [
        (await client.post("/api/session", json={"username": "ana", "password": one})).status_code
        for one in (PASSWORD, NEW_PASSWORD)
    ]
    assert log_ins == [401, 200]
    with sqlite3.connect(folder / "toplevel.sqlite") as database:
        (record,) = database.execute(
            "SELECT actor_name, outcome FROM audit WHERE action = 'change-password'"
        ).fetchall()
    assert record == ("adam", "done")


async def test_nobody_replaces_their_own_password_without_the_old_one(client: httpx.AsyncClient) -> None:
    adam = await token_of(client, "adam")
    path = f"/api/accounts/{await id_of(client, adam)}/password"

    refused = await client.put(path, json={"password": NEW_PASSWORD}, headers=adam)

    assert (refused.status_code, refused.json()["type"]) == (409, "own-account")


async def test_guesses_at_a_login_are_slowed_down_and_the_browser_that_is_known_is_not(
    client: httpx.AsyncClient,
) -> None:
    known = {"Cookie": f"{DEVICE_COOKIE}={await device_of(client)}"}
    right = {"username": "ana", "password": PASSWORD}

    guesses = [await client.post("/api/session", json={**right, "password": f"guess {n}"}) for n in range(6)]

    assert [answer.status_code for answer in guesses] == [401] * 5 + [429]
    assert int(guesses[-1].headers["Retry-After"]) >= 1
    assert (await client.post("/api/session", json=right)).status_code == 429
    assert (await client.post("/api/session", json=right, headers=known)).status_code == 200


async def test_guesses_at_ones_own_password_are_slowed_down_as_those_at_a_login_are(
    client: httpx.AsyncClient,
) -> None:
    ana = await token_of(client, "ana")
    client.cookies.clear()

    guesses = [
        await client.put("/api/account/password", json={"old": f"guess {n}", "new": NEW_PASSWORD}, headers=ana)
        for n in range(6)
    ]

    assert [(answer.status_code, answer.json()["type"]) for answer in guesses] == [
        *[(403, "wrong-password")] * 5,
        (429, "too-many-attempts"),
    ]


async def until_announced(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """The toplevel has heard that there is an institution."""
    async with asyncio.timeout(10):
        while not (await client.get("/api/directory", headers=headers)).json()["institutions"]:
            await asyncio.sleep(0.02)


async def device_of(client: httpx.AsyncClient) -> str:
    """What a browser is known by in which ana was logged in."""
    answer = await client.post("/api/session", json={"username": "ana", "password": PASSWORD})
    client.cookies.clear()
    return str(answer.cookies[DEVICE_COOKIE])
