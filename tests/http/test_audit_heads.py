"""Heads of the audit trails on their way up, and what `appliance audit verify` finds by them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import httpx
import pytest

from appliance import assembly
from appliance.domain.changes import AuditHead, Delivery, NodeHere, NumberedChange
from appliance.services import audit_heads
from appliance.storage.audit import Proof, walk
from appliance.storage.audit_heads import as_anchors
from tests.http.central import BASE, CLINIC, NODE, client_of, node_of, settings_in, token_of

DEADLINE_S = 60


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_heads, "PAUSE_S", 0.05)


async def chains(client: httpx.AsyncClient, by: str = "adam") -> dict[str, int]:
    answer = await client.get("/api/audit/chains", headers=await token_of(client, by))
    assert answer.status_code == 200, answer.text
    return {chain["keeper_id"]: chain["sequence"] for chain in answer.json()["chains"]}


async def read_reports(client: httpx.AsyncClient, patient: int) -> None:
    """One record more in the trail of the institution."""
    path = f"/api/patients/00000000-0000-0000-0000-{patient:012}/reports"
    assert (await client.get(path, headers=await token_of(client))).status_code == 200


async def told_of(client: httpx.AsyncClient, sequence: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while (await chains(client)).get(str(CLINIC)) != sequence:
            await asyncio.sleep(0.05)


def proof_of_the_institution(folder: Path) -> Proof:
    """As the command has it, beside a server that may be running."""
    settings = settings_in(folder)
    above = as_anchors(assembly.told_heads(settings), CLINIC)
    with assembly.trails(settings) as trails:
        ((trail, database),) = [one for one in trails if one[0].room == "institution"]
        return trail.proof(database, lambda _: None, above)


async def test_the_head_of_an_institutions_trail_is_at_the_toplevel_soon_after(folder: Path) -> None:
    async with client_of(settings_in(folder)) as client:
        await read_reports(client, 5)
        await read_reports(client, 6)
        await told_of(client, 2)

    proof = proof_of_the_institution(folder)
    assert (proof.records, proof.fault) == (2, None)
    assert proof.heads_above >= 1


async def test_who_writes_everything_at_the_box_anew_is_found_all_the_same(folder: Path) -> None:
    async with client_of(settings_in(folder)) as client:
        for patient in (5, 6, 7):
            await read_reports(client, patient)
        await told_of(client, 3)
    for name in ("audit-head-institution", "audit-head-institution.lock"):
        (folder / name).unlink()
    with contextlib.closing(sqlite3.connect(folder / "institution.sqlite")) as rows, rows:
        for table in ("audit", "audit_head", "audit_told_above"):
            rows.execute(f"DELETE FROM {table} WHERE room = 'institution'")  # names of ours
    async with client_of(settings_in(folder)) as client:
        for patient in (5, 7, 8, 9):
            await read_reports(client, patient)
        await told_of(client, 4)
        answer = await client.get("/api/audit/chains", headers=await token_of(client, "adam"))

    with assembly.trails(settings_in(folder)) as trails:
        ((_, database),) = [one for one in trails if one[0].room == "institution"]
        assert walk(database, "institution").fault is None
    fault = proof_of_the_institution(folder).fault
    assert fault is not None
    assert fault.kind == "rewritten"
    (chain,) = answer.json()["chains"]
    assert chain["fault"] in ("cut", "rewritten")


async def test_a_node_s_head_is_passed_on_and_a_node_speaks_for_itself_only(folder: Path) -> None:
    async with client_of(settings_in(folder)) as client:
        node = node_of(client, folder / "node.pem")
        head = AuditHead(NODE, "node", 7, "a" * 64)
        await node.deliver(Delivery(NODE, (NumberedChange(1, NodeHere(NODE, "Node", BASE)), NumberedChange(2, head))))
        async with asyncio.timeout(DEADLINE_S):
            while (await chains(client)).get(str(NODE)) != 7:
                await asyncio.sleep(0.05)

        with pytest.raises(assembly.ApplianceError):
            await node.deliver(Delivery(NODE, (NumberedChange(3, AuditHead(CLINIC, "institution", 9, "b" * 64)),)))
        assert (await chains(client)).get(str(CLINIC), 0) < 9
    assert {head.keeper_id for head in assembly.told_heads(settings_in(folder))} >= {NODE}


async def test_administrators_see_the_trails_of_their_own_institution_and_physicians_none(folder: Path) -> None:
    async with client_of(settings_in(folder)) as client:
        await read_reports(client, 5)
        await told_of(client, 1)

        physician = await client.get("/api/audit/chains", headers=await token_of(client, "ivo"))

    assert (physician.status_code, physician.json()["type"]) == (403, "missing-right")
