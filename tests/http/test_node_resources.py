"""What a node answers beside pictures, asked in memory: uploads and conflicts; below them everything is real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.accounts import Account, Role
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.http.access import Access
from appliance.http.application import Root, resources
from appliance.http.conflicts import conflicts
from appliance.http.uploads import Uploads
from appliance.services.metrics import Metrics
from appliance.services.tokens import TokenSigner, TokenVerifier
from tests.services.node_parts import NodeParts, ct_slice, encoded, node_parts

CLINIC = InstitutionId(UUID(int=1))


@dataclass
class Asking:
    node: NodeParts
    signer: TokenSigner
    client: httpx.AsyncClient

    def headers(self, role: Role = Role.PHYSICIAN) -> dict[str, str]:
        account = Account(AccountId(UUID(int=9)), "ana", "Ana", "Anić", frozenset({role}), CLINIC)
        return {"Authorization": f"Bearer {self.signer.sign(account).text}"}

    async def upload(self, data: bytes, content_type: str = "application/dicom") -> httpx.Response:
        headers = {**self.headers(), "Content-Type": content_type}
        return await self.client.post("/api/uploads", content=data, headers=headers)


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    signer = TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600)
    access = Access(TokenVerifier((signer.public_key,)))
    async with node_parts(tmp_path) as node:
        uploads = Uploads(node.ingest, access, Metrics(), institution_id=CLINIC, limit_bytes=10_000_000)
        root = Root(resources([conflicts(node.catalogue, access)]), None, uploads)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app=root)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
            yield Asking(node, signer, client)


async def test_other_bytes_under_a_held_uid_are_refused_with_409_and_listed_for_administrators(asking: Asking) -> None:
    first = await asking.upload(encoded(ct_slice(value=1)))
    other = await asking.upload(encoded(ct_slice(value=2)))

    assert (first.status_code, other.status_code) == (201, 409)
    assert other.json()["type"] == "different-instance-same-uid"
    answer = await asking.client.get("/api/conflicts", headers=asking.headers(Role.ADMINISTRATOR))
    assert answer.status_code == 200
    assert answer.json()["total"] == 1
    (conflict,) = answer.json()["conflicts"]
    assert conflict["instance_uid"] == "1.2.3.1.1"
    assert conflict["held_key"] != conflict["refused_key"]
    assert "Muster" not in answer.text


async def test_a_physician_sees_no_conflicts(asking: Asking) -> None:
    assert (await asking.client.get("/api/conflicts", headers=asking.headers())).status_code == 403


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "limit=5000", "offset=-1"])
async def test_a_page_that_cannot_be_is_400(asking: Asking, query: str) -> None:
    answer = await asking.client.get(f"/api/conflicts?{query}", headers=asking.headers(Role.ADMINISTRATOR))

    assert answer.status_code == 400
