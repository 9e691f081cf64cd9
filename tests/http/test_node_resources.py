"""What a node answers beside pictures, asked in memory: uploads and conflicts; below them everything is real."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import StudyHeld
from appliance.domain.errors import NotFound
from appliance.domain.identifiers import AccountId, InstitutionId, StudyUid
from appliance.http.access import Access
from appliance.http.application import Root, resources
from appliance.http.conflicts import conflicts
from appliance.http.nodes import capacity
from appliance.http.renderer import renderer
from appliance.http.uploads import UploadLimits, Uploads
from appliance.services.archive import Archive
from appliance.services.audit import Auditing
from appliance.services.conflicts import Conflicts
from appliance.services.drawing import RendererState
from appliance.services.imports import ArchiveLimits
from appliance.services.metrics import Metrics
from appliance.services.nodes import Holdings
from appliance.services.tokens import TokenSigner, TokenVerifier
from appliance.storage.audit import AuditRow
from appliance.storage.render_cache import CacheFigures
from tests.services.node_parts import NODE_ID, NodeParts, ct_slice, encoded, node_parts

LIMITS = UploadLimits(
    instance_bytes=10_000_000, request_bytes=20_000_000, archive=ArchiveLimits(unpacked_bytes=30_000_000, members=50)
)
DRAWS = RendererState(is_running=True, renderer="a card", contexts_lost=3, render_cache=CacheFigures(entries=7))
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
        auditing, archive = Auditing(node.trail, node.threads), Archive(node.store, node.threads)
        service = Conflicts(node.store, node.threads, node.ingest, archive, auditing, node_id=NODE_ID)
        uploads = Uploads(node.ingest, access, Metrics(), institution_id=CLINIC, limits=LIMITS)
        blueprints = [
            conflicts(service, access, auditing, CLINIC),
            renderer(lambda: DRAWS, access),
            capacity(Holdings(node.store, node.threads), access),
        ]
        root = Root(resources(blueprints), None, uploads)  # type: ignore[arg-type]
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


async def test_administrators_see_what_draws_and_physicians_do_not(asking: Asking) -> None:
    answer = await asking.client.get("/api/renderer", headers=asking.headers(Role.ADMINISTRATOR))

    assert answer.status_code == 200
    told = answer.json()
    assert (told["renderer"], told["contexts_lost"], told["render_cache"]["entries"]) == ("a card", 3, 7)
    assert (await asking.client.get("/api/renderer", headers=asking.headers())).status_code == 403


async def test_administrators_see_what_a_node_holds_and_how_much_room_there_is(asking: Asking) -> None:
    empty = await asking.client.get("/api/capacity", headers=asking.headers(Role.ADMINISTRATOR))
    for uid in ("1.2.3", "1.2.4"):
        await asking.upload(encoded(ct_slice(study=uid, series=f"{uid}.1")))

    told = (await asking.client.get("/api/capacity", headers=asking.headers(Role.ADMINISTRATOR))).json()

    assert [empty.json()[what] for what in ("studies", "series", "instances")] == [0, 0, 0]
    assert [told[what] for what in ("studies", "series", "instances")] == [2, 2, 2]
    assert 0 < told["free_bytes"] < told["total_bytes"]
    assert told["floor_bytes"] == 0
    assert (await asking.client.get("/api/capacity", headers=asking.headers())).status_code == 403


async def conflict_of(asking: Asking, first: bytes, other: bytes) -> dict[str, str]:
    """The conflict between two instances of the same UID."""
    assert (await asking.upload(first)).status_code == 201
    assert (await asking.upload(other)).status_code == 409
    answer = await asking.client.get("/api/conflicts", headers=asking.headers(Role.ADMINISTRATOR))
    (conflict,) = answer.json()["conflicts"]
    return dict(conflict)


def path_of(conflict: dict[str, str]) -> str:
    return f"/api/conflicts/{conflict['instance_uid']}/{conflict['refused_key']}"


async def resolve(asking: Asking, conflict: dict[str, str], keep: str, **headers: str) -> httpx.Response:
    body = {"keep": keep, "held_key": conflict["held_key"]}
    said = headers or asking.headers(Role.ADMINISTRATOR)
    return await asking.client.post(f"{path_of(conflict)}/resolution", headers=said, json=body)


def audited(asking: Asking, action: str) -> list[tuple[str, str, str]]:
    rows = asking.node.database.read(lambda tx: tx.rows(AuditRow.select().where(AuditRow.action == action)))
    return [(row.subject_uid, row.outcome, row.reason) for row in rows]


async def test_the_bytes_that_were_kept_apart_are_given_to_an_administrator(asking: Asking) -> None:
    other = encoded(ct_slice(value=2))
    conflict = await conflict_of(asking, encoded(ct_slice(value=1)), other)

    answer = await asking.client.get(path_of(conflict), headers=asking.headers(Role.ADMINISTRATOR))
    refused = await asking.client.get(path_of(conflict), headers=asking.headers())

    assert (answer.status_code, answer.content) == (200, other)
    assert answer.headers["Cache-Control"] == "no-store"
    assert refused.status_code == 403
    assert audited(asking, "retrieve") == [
        ("1.2.3.1.1", "done", "kept-apart"),
        ("1.2.3.1.1", "refused", "missing-right"),
    ]


async def test_what_is_held_is_kept_and_the_other_bytes_go(asking: Asking) -> None:
    conflict = await conflict_of(asking, encoded(ct_slice(value=1)), encoded(ct_slice(value=2)))

    answer = await resolve(asking, conflict, "held")

    assert answer.status_code == 204
    assert asking.node.store.contains(conflict["held_key"])
    assert not asking.node.store.contains(conflict["refused_key"])
    assert (await resolve(asking, conflict, "held")).status_code == 404
    assert audited(asking, "resolve-conflict") == [("1.2.3.1.1", "done", "held-kept")]


async def test_what_was_kept_apart_takes_the_place_and_describes_the_study(asking: Asking) -> None:
    corrected = ct_slice(value=2)
    corrected.PatientName, corrected.StudyDescription = "Muster^Ewa", "Corrected"
    conflict = await conflict_of(asking, encoded(ct_slice(value=1)), encoded(corrected))

    answer = await resolve(asking, conflict, "refused")

    assert answer.status_code == 204
    assert asking.node.store.contains(conflict["refused_key"])
    assert not asking.node.store.contains(conflict["held_key"])
    study = await asking.node.catalogue.study(StudyUid("1.2.3"))
    assert (study.patient.name, study.description) == ("Muster^Ewa", "Corrected")
    assert [(one.instance_count, one.frame_count) for one in study.series] == [(1, 1)]
    last = (await asking.node.outbox.waiting(100))[-1].change
    assert isinstance(last, StudyHeld)
    assert (last.patient.person_name, last.instance_count) == ("Muster^Ewa", 1)
    assert (await asking.upload(encoded(corrected))).json()["outcome"] == "already-there"
    assert audited(asking, "resolve-conflict") == [("1.2.3.1.1", "done", "refused-kept")]


async def test_a_replaced_instance_of_several_leaves_the_counts_as_they_are(asking: Asking) -> None:
    await asking.upload(encoded(ct_slice(2)))
    conflict = await conflict_of(asking, encoded(ct_slice(1, value=1)), encoded(ct_slice(1, value=2)))

    assert (await resolve(asking, conflict, "refused")).status_code == 204

    study = await asking.node.catalogue.study(StudyUid("1.2.3"))
    assert [(one.instance_count, one.frame_count) for one in study.series] == [(2, 2)]


async def test_bytes_of_another_study_move_the_instance_there(asking: Asking) -> None:
    moved = ct_slice(value=2)
    moved.StudyInstanceUID = "1.2.9"
    conflict = await conflict_of(asking, encoded(ct_slice(value=1)), encoded(moved))

    assert (await resolve(asking, conflict, "refused")).status_code == 204

    assert (await asking.node.catalogue.study(StudyUid("1.2.9"))).series[0].instance_count == 1
    with pytest.raises(NotFound):
        await asking.node.catalogue.study(StudyUid("1.2.3"))
    told = [numbered.change for numbered in await asking.node.outbox.waiting(100)]
    assert [(type(change).__name__, change.study_uid) for change in told[-2:]] == [
        ("StudyGone", "1.2.3"),
        ("StudyHeld", "1.2.9"),
    ]


async def test_of_three_the_third_stays_in_conflict_with_what_took_the_place(asking: Asking) -> None:
    conflict = await conflict_of(asking, encoded(ct_slice(value=1)), encoded(ct_slice(value=2)))
    await asking.upload(encoded(ct_slice(value=3)))

    assert (await resolve(asking, conflict, "refused")).status_code == 204
    answer = await asking.client.get("/api/conflicts", headers=asking.headers(Role.ADMINISTRATOR))
    (left,) = answer.json()["conflicts"]
    late = await resolve(asking, {**left, "held_key": conflict["held_key"]}, "refused")

    assert left["held_key"] == conflict["refused_key"]
    assert (late.status_code, late.json()["type"]) == (409, "held-meanwhile")
    assert asking.node.store.contains(left["held_key"]) and asking.node.store.contains(left["refused_key"])


async def test_only_administrators_decide_about_a_conflict(asking: Asking) -> None:
    conflict = await conflict_of(asking, encoded(ct_slice(value=1)), encoded(ct_slice(value=2)))

    answer = await resolve(asking, conflict, "refused", **asking.headers())

    assert answer.status_code == 403
    assert asking.node.store.contains(conflict["held_key"])
    assert audited(asking, "resolve-conflict") == [("1.2.3.1.1", "refused", "missing-right")]


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "limit=5000", "offset=-1"])
async def test_a_page_that_cannot_be_is_400(asking: Asking, query: str) -> None:
    answer = await asking.client.get(f"/api/conflicts?{query}", headers=asking.headers(Role.ADMINISTRATOR))

    assert answer.status_code == 400


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("content_type", ["application/zip", "application/octet-stream", ""])
async def test_a_cd_as_a_zip_file_has_an_outcome_for_each_member(
    asking: Asking, dicom_dir: Path, content_type: str
) -> None:
    cd = zipped(
        {
            "DICOMDIR": (dicom_dir / "13-dicomdir" / "set" / "DICOMDIR").read_bytes(),
            "../../IMAGES/IM1": encoded(ct_slice(1)),
            "IMAGES/IM2": encoded(ct_slice(2)),
            "IMAGES/AGAIN": encoded(ct_slice(2)),
            "VIEWER.EXE": b"MZ" + bytes(1000),
            "inner.zip": zipped({"IM3": encoded(ct_slice(3))}),
        }
    )

    answer = await asking.upload(cd, content_type)

    assert answer.status_code == 201
    body = answer.json()
    assert [body[name] for name in ("outcome", "stored", "already_there", "ignored", "refused")] == [
        "archive",
        2,
        1,
        1,
        2,
    ]
    assert [(one["name"], one["outcome"], one["key"]) for one in body["members"]] == [
        ("DICOMDIR", "ignored", "dicomdir"),
        ("../../IMAGES/IM1", "stored", None),
        ("IMAGES/IM2", "stored", None),
        ("IMAGES/AGAIN", "already-there", None),
        ("VIEWER.EXE", "refused", "not-dicom"),
        ("inner.zip", "refused", "nested-archive"),
    ]
    assert body["members"][1]["instance_uid"] == "1.2.3.1.1"
    assert asking.node.spooled_files() == []
    assert len(asking.node.kept_files()) == 2


async def test_the_same_archive_again_brings_nothing_new(asking: Asking) -> None:
    archive = zipped({"one": encoded(ct_slice(1))})
    await asking.upload(archive)

    again = await asking.upload(archive)

    assert (again.status_code, again.json()["already_there"]) == (200, 1)


async def test_an_archive_bomb_is_stopped_by_what_was_unpacked(asking: Asking) -> None:
    answer = await asking.upload(zipped({f"{n}": bytes(9_000_000) for n in range(5)}))

    assert (answer.status_code, answer.json()["stored"]) == (200, 0)
    assert [one["key"] for one in answer.json()["members"]] == ["not-dicom"] * 3 + ["archive-too-large"] * 2
    assert asking.node.spooled_files() == []


async def test_an_archive_of_too_many_members_is_413_and_a_broken_one_422(asking: Asking) -> None:
    many = await asking.upload(zipped({f"{n}": b"" for n in range(51)}))
    broken = await asking.upload(zipped({"one": encoded(ct_slice())})[:-30])

    assert (many.status_code, many.json()["type"]) == (413, "archive-too-large")
    assert (broken.status_code, broken.json()["type"]) == (422, "archive-damaged")


async def test_an_instance_has_its_own_limit_and_an_archive_that_of_a_request(asking: Asking) -> None:
    instance = await asking.upload(bytes(10_000_001))
    archive = await asking.upload(zipped({"one": bytes(11_000_000)}, zipfile.ZIP_STORED))
    request = await asking.upload(zipped({"one": bytes(20_000_000)}, zipfile.ZIP_STORED))

    assert (instance.status_code, archive.status_code, request.status_code) == (413, 200, 413)
    assert asking.node.spooled_files() == []


@pytest.mark.parametrize("length", ["9" * 5000, str(1 << 62)])
async def test_a_huge_content_length_is_413_before_anything_is_read(asking: Asking, length: str) -> None:
    headers = {**asking.headers(), "Content-Length": length}

    answer = await asking.client.post("/api/uploads", content=b"x", headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (413, "too-large")


async def test_a_gzip_bomb_is_never_inflated(asking: Asking) -> None:
    headers = {**asking.headers(), "Content-Encoding": "gzip"}

    answer = await asking.client.post("/api/uploads", content=gzip.compress(bytes(100_000_000)), headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (422, "not-dicom")


async def test_a_single_dicomdir_is_refused_by_its_name(asking: Asking, dicom_dir: Path) -> None:
    answer = await asking.upload((dicom_dir / "13-dicomdir" / "set" / "DICOMDIR").read_bytes())

    assert (answer.status_code, answer.json()["type"]) == (422, "dicomdir")
