"""A toplevel and an institution in memory, below which everything is real, and a node that delivers to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from uuid import UUID

import httpx

from appliance import assembly
from appliance.domain.accounts import Role
from appliance.domain.changes import Delivery, NodeHere, NumberedChange, PatientAsHeld, StudyHeld
from appliance.domain.identifiers import InstitutionId
from appliance.services.accounts import account_to_create
from appliance.services.synchronisation import RemoteParent
from appliance.services.tokens import load_or_make_private_key, load_private_key, make_private_key, public_key_of
from appliance.settings import Appliance, Institution, Listen, SelfMadeCertificate, Toplevel
from appliance.storage import enrolment
from appliance.storage.database import Database, migrate

CLINIC = UUID(int=1)
OTHER_CLINIC = UUID(int=8)
NODE = UUID(int=2)
PASSWORD = "correct horse battery"
BASE = "https://localhost"
_IDENTITY = "identity-institution.pem"


@asynccontextmanager
async def client_of(settings: Appliance) -> AsyncIterator[httpx.AsyncClient]:
    async with assembly.opened(settings) as assembled:
        transport = httpx.ASGITransport(app=assembled.application, client=("192.0.2.7", 4711))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            yield client


def settings_in(folder: Path, new_patients: Literal["inbox", "create"] = "create") -> Appliance:
    return Appliance(
        roles=("toplevel", "institution"),
        listen=Listen(self_made=SelfMadeCertificate(directory=folder / "certificates")),
        toplevel=Toplevel(
            base_url=BASE, database=f"sqlite:///{folder}/toplevel.sqlite", signing_key=folder / "tokens.pem"
        ),
        institution=Institution(
            id=CLINIC,
            name="Clinic",
            base_url=BASE,
            database=f"sqlite:///{folder}/institution.sqlite",
            new_patients=new_patients,
        ),
    )


def prepare(folder: Path) -> None:
    """Accounts (their hashes cost time on purpose) and a node on another machine that was enrolled."""
    for username, role, institution_id in (
        ("ana", Role.PHYSICIAN, CLINIC),
        ("adam", Role.ADMINISTRATOR, CLINIC),
        ("ivo", Role.PHYSICIAN, OTHER_CLINIC),
    ):
        account = account_to_create(
            username,
            given_name=username.title(),
            family_name="Anić",
            roles=[role],
            institution_id=InstitutionId(institution_id),
        )
        asyncio.run(assembly.create_account(settings_in(folder), account, PASSWORD))
    make_private_key(folder / "node.pem")
    load_or_make_private_key(folder / _IDENTITY)
    public_key = public_key_of(load_private_key(folder / "node.pem").public_key())
    database = Database(f"sqlite:///{folder}/institution.sqlite")
    migrate(database, "enrolment", enrolment.MIGRATIONS)
    database.run(lambda tx: enrolment.keep_child(tx, "node", NODE, "Node", public_key.x))
    database.close()


def node_of(client: httpx.AsyncClient, key: Path, folder: Path | None = None) -> RemoteParent:
    """The institution as a node sees it that signs with ``key``; ``folder`` is where that is which it was enrolled at."""
    identity = load_private_key((folder or key.parent) / _IDENTITY)
    parent = RemoteParent(BASE, NODE, load_private_key(key), identity.public_key(), None)
    parent._client = client  # the real one signs; the line between is in memory
    return parent


async def token_of(client: httpx.AsyncClient, username: str = "ana") -> dict[str, str]:
    answer = await client.post("/api/session", json={"username": username, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def deliver_a_study(
    client: httpx.AsyncClient, node_key: Path, *, patient_id: str = "77", uid: str = "1.2.3", name: str = "Müller^Anna"
) -> None:
    held = StudyHeld(
        study_uid=uid,
        node_id=NODE,
        patient=PatientAsHeld("", patient_id, name, "1970-01-31", "F"),
        date="2026-11-22",
        time=None,
        description="CT chest",
        accession_number="",
        modalities=("CT",),
        series_count=1,
        instance_count=160,
    )
    node = NodeHere(NODE, "Node", BASE)
    sequence = 2 * int(uid.rpartition(".")[2]) - 5  # 1.2.3 is the first
    changes = (NumberedChange(sequence, node), NumberedChange(sequence + 1, held))
    acknowledged = await node_of(client, node_key).deliver(Delivery(NODE, changes))
    assert acknowledged.sequence == sequence + 1
