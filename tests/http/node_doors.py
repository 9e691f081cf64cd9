"""The DICOMweb doors of a node in memory: everything below them is real, only the network and the login are not there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import Pointers, PointersWanted
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.http.access import Access
from appliance.http.application import Root, resources
from appliance.http.exports import exports
from appliance.http.qido import Queries
from appliance.http.stow import StoreInstances
from appliance.http.studies import studies
from appliance.http.wado import Retrieval, deletions
from appliance.services.archive import Archive
from appliance.services.audit import Auditing
from appliance.services.exports import Exports
from appliance.services.ingest import IngestSettings
from appliance.services.metrics import Metrics
from appliance.services.pointing import Pointing
from appliance.services.tokens import TokenSigner, TokenVerifier
from appliance.storage.index import StudyRow
from tests.services.node_parts import SOMEBODY, NodeParts, held_back, node_parts

CLINIC = InstitutionId(UUID(int=1))
_ANA = UUID(int=9)
ELSEWHERE = InstitutionId(UUID(int=2))
NODE = UUID(int=3)
BASE = "https://box.test"
ROOT = f"{BASE}/dicom-web"
REQUEST_LIMIT_BYTES = 32 * 1024 * 1024
JSON = {"Accept": "application/dicom+json"}


@dataclass
class NodeDoors:
    parts: NodeParts
    client: httpx.AsyncClient
    """Carries the token of a superuser of the clinic."""
    signer: TokenSigner
    reports: list[UUID]
    """Those that the institution says point to whatever is asked for."""

    def token(self, *roles: Role, at: InstitutionId = CLINIC, account: UUID = _ANA) -> dict[str, str]:
        somebody = Account(AccountId(account), "ana", "Ana", "Anić", frozenset(roles), at)
        return {"Authorization": f"Bearer {self.signer.sign(somebody).text}"}

    async def store(self, *instances: bytes, study: str = "", **headers: str) -> httpx.Response:
        """The answer to a STOW-RS request with these instances."""
        return await self.client.post(
            f"/dicom-web/studies{'/' if study else ''}{study}",
            content=multipart(instances),
            headers={"Content-Type": related("application/dicom"), **JSON, **headers},
        )

    async def empty(self) -> None:
        """Nothing is held any more."""
        for study_uid in self.parts.database.read(lambda tx: [row.study_uid for row in tx.rows(StudyRow.select())]):
            await self.parts.catalogue.delete_study(study_uid, SOMEBODY)


@contextlib.asynccontextmanager
async def node_doors(
    folder: Path, settings: IngestSettings | None = None, *, database_url: str = ""
) -> AsyncIterator[NodeDoors]:
    signer = TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600)
    verifier = TokenVerifier((signer.public_key,))
    access = Access(verifier)
    async with node_parts(folder, settings, database_url=database_url) as parts:
        stow = StoreInstances(
            parts.ingest,
            access,
            Metrics(),
            institution_id=CLINIC,
            base_url=BASE,
            request_limit_bytes=REQUEST_LIMIT_BYTES,
        )
        auditing = Auditing(parts.trail, parts.threads)
        archive = Archive(parts.store, parts.threads)
        await archive.start()
        reports: list[UUID] = []

        async def pointers(wanted: PointersWanted) -> Pointers:
            return Pointers(tuple(reports))

        blueprints = [
            Queries(archive, access, auditing, held_back(parts), BASE).blueprint(),
            Retrieval(archive, access, auditing, held_back(parts), BASE).blueprint(),
            studies(parts.catalogue, access, auditing, held_back(parts)),
            deletions(parts.catalogue, access, auditing, CLINIC, Pointing(NODE, pointers)),
            exports(Exports(archive), access, auditing, held_back(parts), CLINIC),
        ]
        root = Root(resources(blueprints), None, None, [stow])  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app=root)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            doors = NodeDoors(parts, client, signer, reports)
            client.headers.update(doors.token(Role.SUPERUSER))
            try:
                yield doors
            finally:
                await archive.stop()


def related(kind: str, boundary: str = "end") -> str:
    return f'multipart/related; type="{kind}"; boundary={boundary}'


def multipart(instances: Sequence[bytes], boundary: str = "end") -> bytes:
    """A multipart/related body of DICOM instances."""
    parts = [b"--%s\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % (boundary.encode(), one) for one in instances]
    return b"".join(parts) + b"--%s--\r\n" % boundary.encode()


def values(items: Iterable[dict], tag: str) -> list:  # type: ignore[type-arg]
    """The first value of an attribute in each item of the DICOM JSON model."""
    return [item[tag]["Value"][0] for item in items]
