"""Patients at the doors of the toplevel: added, changed, removed, merged; and what the institution hears of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from appliance.domain.accounts import Role
from tests.http.central import CLINIC, client_of, deliver_a_study, settings_in
from tests.http.test_reports import token

NOWHERE = str(UUID(int=0))
ANNA = {"family_name": "Šimić", "given_name": "Anna", "birth_date": "1970-01-31", "gender": "F"}


@dataclass
class Records:
    client: httpx.AsyncClient
    folder: Path

    async def ask(self, method: str, path: str, seen: str | None = None, **body: Any) -> httpx.Response:
        headers = {"If-Match": f'"{seen}"'} if seen else {}
        return await self.client.request(method, f"/api/patients{path}", headers=headers, json=body or None)

    async def add(self, **others: Any) -> dict[str, Any]:
        answer = await self.ask("POST", "", **ANNA, **others)
        assert answer.status_code == 201, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def found(self, search: str) -> list[str]:
        answer = await self.client.get("/api/patients", params={"search": search})
        return [one["id"] for one in answer.json()["patients"]]

    def events(self) -> list[tuple[str, str, str, str]]:
        with closing(sqlite3.connect(self.folder / "toplevel.sqlite")) as rows:
            query = (
                "SELECT action, subject_uid, outcome, reason FROM audit "
                "WHERE subject_kind = 'patient' AND action <> 'open' ORDER BY sequence"
            )
            return list(rows.execute(query))


@pytest.fixture
async def records(folder: Path) -> AsyncIterator[Records]:
    async with client_of(settings_in(folder)) as client:
        client.headers.update(token(folder, UUID(int=50), "ana", Role.PHYSICIAN, CLINIC))
        yield Records(client, folder)


async def test_a_patient_is_added_and_found_by_name_date_and_insurance_number(records: Records) -> None:
    added = await records.add(phone="+385 1 23", insurance_numbers=[{"issuer": "HZZO", "value": "123456789"}])

    assert added["phone"] == "+385 1 23"
    assert added["identities"] == [{"institution_id": NOWHERE, "issuer": "HZZO", "value": "123456789"}]
    for search in ("simic", "31.1.1970.", "123456789"):
        assert await records.found(search) == [added["id"]]


async def test_a_patient_is_changed_by_who_saw_them_as_they_are(records: Records) -> None:
    added = await records.add(insurance_numbers=[{"issuer": "HZZO", "value": "1"}])
    path = f"/{added['id']}"

    changed = await records.ask("PUT", path, added["tag"], **ANNA | {"family_name": "Kovač"})
    late = await records.ask("PUT", path, added["tag"], **ANNA)
    unseen = await records.ask("PUT", path, **ANNA)

    assert (changed.status_code, changed.json()["family_name"], changed.json()["identities"]) == (200, "Kovač", [])
    assert changed.headers["ETag"] == f'"{changed.json()["tag"]}"'
    assert (late.status_code, late.json()["tag"]) == (412, changed.json()["tag"])
    assert unseen.status_code == 428
    assert await records.found("simic") == []


async def test_the_number_of_an_insurer_is_one_patients(records: Records) -> None:
    number = [{"issuer": "HZZO", "value": "1"}]
    first = await records.add(insurance_numbers=number)

    refused = await records.ask("POST", "", **ANNA, insurance_numbers=number)

    assert (refused.status_code, refused.json()["type"]) == (409, "number-taken")
    assert refused.json()["patient_ids"] == [first["id"]]
    assert await records.found("simic") == [first["id"]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"family_name": " ", "given_name": ""},
        {"family_name": "x" * 65},
        {"birth_date": "2999-01-01"},
        {"birth_date": "31.1.1970"},
        {"gender": "X"},
        {"phone": "1\n2"},
        {"insurance_numbers": [{"issuer": " ", "value": "1"}]},
        {"insurance_numbers": [{"issuer": "HZZO", "value": ""}]},
    ],
)
async def test_what_no_patient_can_be_called_is_refused(records: Records, wrong: dict[str, Any]) -> None:
    assert (await records.ask("POST", "", **ANNA | wrong)).status_code == 400
    assert await records.found("") == []


async def test_a_patient_to_whom_nothing_points_is_removed_and_others_are_not(records: Records, node_key: Path) -> None:
    added = await records.add()
    held = await patient_of_a_study(records, node_key)
    seen = (await records.ask("GET", f"/{held}")).json()["tag"]

    refused = await records.ask("DELETE", f"/{held}", seen)
    removed = await records.ask("DELETE", f"/{added['id']}", added["tag"])

    assert (refused.status_code, refused.json()["type"]) == (409, "patient-in-use")
    assert (refused.json()["institution_ids"], refused.json()["numbers"]) == ([str(CLINIC)], 1)
    assert removed.status_code == 204
    assert (await records.ask("GET", f"/{added['id']}")).status_code == 404


async def patient_of_a_study(records: Records, node_key: Path) -> str:
    await deliver_a_study(records.client, node_key)
    async with asyncio.timeout(60):
        while not (found := await records.found("muller")):
            await asyncio.sleep(0.05)
    return found[0]


async def test_everything_that_pointed_to_a_duplicate_points_to_whom_it_was_merged_with_at_the_institution_too(
    records: Records, node_key: Path
) -> None:
    kept = await records.add()
    duplicate = await patient_of_a_study(records, node_key)
    report = str(UUID(int=77))
    draft = {"patient_id": duplicate, "description": "CT", "findings": "No nodule."}
    await records.client.put(f"/api/reports/{report}/draft", json=draft, headers={"If-None-Match": "*"})
    await records.client.post(f"/api/reports/{report}/signature", headers={"If-Match": '"1.1"'})
    seen = (await records.ask("GET", f"/{duplicate}")).json()["tag"]

    merged = await records.ask("POST", f"/{kept['id']}/merge", kept["tag"], duplicate_id=duplicate, duplicate_tag=seen)

    assert merged.status_code == 200
    assert merged.json()["institution_ids"] == [str(CLINIC)]
    assert [one["value"] for one in merged.json()["identities"]] == ["77"]
    assert (await records.ask("GET", f"/{duplicate}")).json()["id"] == kept["id"]
    async with asyncio.timeout(60):
        while not (await records.ask("GET", f"/{kept['id']}/studies")).json()["studies"]:
            await asyncio.sleep(0.05)
    (moved,) = (await records.ask("GET", f"/{kept['id']}/reports")).json()["reports"]
    assert (moved["id"], moved["versions"][0]["signature"]["is_intact"]) == (report, True)
    assert (await records.ask("GET", f"/{duplicate}/reports")).json()["reports"] == [moved]
    assert (await records.ask("GET", f"/{duplicate}/studies")).json()["studies"] != []
    assert records.events()[-1] == ("merge-patients", kept["id"], "done", duplicate)


async def test_a_patient_is_not_merged_with_themselves_nor_unseen(records: Records) -> None:
    one = await records.add()

    same = await records.ask(
        "POST", f"/{one['id']}/merge", one["tag"], duplicate_id=one["id"], duplicate_tag=one["tag"]
    )
    late = await records.ask("POST", f"/{one['id']}/merge", "9", duplicate_id=one["id"], duplicate_tag=one["tag"])

    assert (same.status_code, same.json()["type"]) == (400, "same-patient")
    assert late.status_code == 412


async def test_who_changes_patients_is_on_record_and_who_may_not_too(records: Records) -> None:
    added = await records.add()
    await records.ask("PUT", f"/{added['id']}", added["tag"], **ANNA)
    records.client.headers.update(token(records.folder, UUID(int=51), "adam", Role.ADMINISTRATOR, CLINIC))

    refused = await records.ask("DELETE", f"/{added['id']}", "2")

    assert refused.status_code == 403
    assert records.events() == [
        ("create-patient", added["id"], "done", ""),
        ("change-patient", added["id"], "done", ""),
        ("delete-patient", added["id"], "refused", "missing-right"),
    ]
