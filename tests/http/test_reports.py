"""Reports at the doors of an institution: drafts, signatures, amendments, and who sees them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import httpx
import msgspec
import pypdf
import pytest

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import PointersWanted
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.services.tokens import TokenSigner
from appliance.services.trust import SigningKeys
from tests.http.central import CLINIC, NODE, OTHER_CLINIC, client_of, deliver_a_study, node_of, settings_in

REPORT, OTHER_REPORT = str(UUID(int=77)), str(UUID(int=78))
TEXT = {"description": "CT chest", "findings": "No nodule.", "conclusion": "Normal."}
IMAGE = {
    "institution_id": str(CLINIC),
    "node_id": str(NODE),
    "study_uid": "1.2.3",
    "series_uid": "1.2.3.1",
    "instance_uid": "1.2.3.1.1",
    "frame": 2,
}


PEOPLE = (("ana", Role.PHYSICIAN, CLINIC), ("adam", Role.ADMINISTRATOR, CLINIC), ("ivo", Role.PHYSICIAN, OTHER_CLINIC))


def token(folder: Path, account_id: UUID, username: str, role: Role, institution_id: UUID) -> dict[str, str]:
    signer = TokenSigner(SigningKeys(folder / "tokens.pem").signing, lifetime_s=600)
    account = Account(
        AccountId(account_id), username, username.title(), "Anić", frozenset({role}), InstitutionId(institution_id)
    )
    return {"Authorization": f"Bearer {signer.sign(account).text}"}


@dataclass
class Clinic:
    client: httpx.AsyncClient
    folder: Path
    patient: str
    tokens: dict[str, dict[str, str]]

    async def keep(self, *, seen: str | None, by: str = "ana", report: str = REPORT, **changes: Any) -> httpx.Response:
        body = {"patient_id": self.patient, **TEXT, **changes}
        return await self._ask("PUT", f"/api/reports/{report}/draft", seen, by, body)

    async def sign(self, seen: str | None, by: str = "ana", report: str = REPORT) -> httpx.Response:
        return await self._ask("POST", f"/api/reports/{report}/signature", seen, by)

    async def discard(self, seen: str | None, by: str = "ana", report: str = REPORT) -> httpx.Response:
        return await self._ask("DELETE", f"/api/reports/{report}/draft", seen, by)

    async def read(self, by: str = "ana", report: str = REPORT) -> httpx.Response:
        return await self.client.get(f"/api/reports/{report}", headers=self.tokens[by])

    async def listed(self, by: str = "ana") -> httpx.Response:
        return await self.client.get(f"/api/patients/{self.patient}/reports", headers=self.tokens[by])

    async def _ask(self, method: str, path: str, seen: str | None, by: str, body: Any = None) -> httpx.Response:
        conditions = {} if seen is None else {"If-None-Match": "*"} if seen == "*" else {"If-Match": seen}
        return await self.client.request(method, path, headers={**self.tokens[by], **conditions}, json=body)

    def events(self) -> list[tuple[str, str, str]]:
        with closing(sqlite3.connect(self.folder / "institution.sqlite")) as rows:
            query = (
                "SELECT action, outcome, reason FROM audit "
                "WHERE subject_kind = 'report' OR action = 'break-glass' ORDER BY sequence"
            )
            return list(rows.execute(query))


async def opened(
    folder: Path, node_key: Path, policy: Literal["open", "reason", "closed"] = "open"
) -> AsyncIterator[Clinic]:
    settings = settings_in(folder)
    institution = msgspec.structs.replace(settings.institution, reports_elsewhere=policy)  # type: ignore[type-var]
    async with client_of(msgspec.structs.replace(settings, institution=institution)) as client:
        tokens = {
            name: token(folder, UUID(int=number), name, role, institution_id)
            for number, (name, role, institution_id) in enumerate(PEOPLE, start=50)
        }
        await deliver_a_study(client, node_key)
        found: list[Any] = []
        while not found:
            answer = await client.get("/api/patients", params={"search": "muller"}, headers=tokens["ana"])
            found = answer.json()["patients"]
        yield Clinic(client, folder, found[0]["id"], tokens)


@pytest.fixture
async def clinic(folder: Path, node_key: Path) -> AsyncIterator[Clinic]:
    async for one in opened(folder, node_key):
        yield one


async def test_a_draft_is_kept_read_and_kept_again(clinic: Clinic) -> None:
    begun = await clinic.keep(seen="*", images=[IMAGE], date="2026-11-20", record_type="Findings")
    changed = await clinic.keep(seen=begun.headers["ETag"], findings="A nodule.", images=[IMAGE])

    assert (begun.status_code, changed.status_code) == (201, 200)
    assert begun.headers["ETag"] != changed.headers["ETag"]
    read = await clinic.read()
    assert read.json() == changed.json()
    (version,) = read.json()["versions"]
    assert (version["state"], version["findings"], version["images"]) == ("draft", "A nodule.", [IMAGE])
    assert version["author"]["name"] == "Ana Anić"


async def test_a_change_that_does_not_say_what_it_was_made_from_is_refused(clinic: Clinic) -> None:
    refused = await clinic.keep(seen=None)

    assert (refused.status_code, refused.json()["type"]) == (428, "condition-missing")


async def test_a_change_of_what_was_changed_meanwhile_is_told_what_differs(clinic: Clinic) -> None:
    first = (await clinic.keep(seen="*")).headers["ETag"]
    await clinic.keep(seen=first, findings="A nodule.", images=[IMAGE])

    late = await clinic.keep(seen=first, conclusion="Not normal.")

    assert (late.status_code, late.json()["type"]) == (412, "changed-meanwhile")
    assert late.json()["changed"] == ["findings", "conclusion", "images"]
    assert f'"{late.json()["tag"]}"' == (await clinic.read()).headers["ETag"]
    assert "nodule" not in late.text


async def test_a_save_whose_answer_was_lost_is_acknowledged_when_it_comes_again(clinic: Clinic) -> None:
    first = (await clinic.keep(seen="*")).headers["ETag"]
    again = await clinic.keep(seen="*")
    changed = await clinic.keep(seen=first, findings="A nodule.")
    repeated = await clinic.keep(seen=first, findings="A nodule.")

    assert again.headers["ETag"] == first
    assert repeated.headers["ETag"] == changed.headers["ETag"]


async def test_a_signed_report_has_author_time_and_hash_and_is_never_changed(clinic: Clinic) -> None:
    tag = (await clinic.keep(seen="*")).headers["ETag"]

    signed = await clinic.sign(tag)

    assert signed.status_code == 200
    (version,) = signed.json()["versions"]
    signature = version["signature"]
    assert (version["state"], signature["by"]["name"], signature["is_intact"]) == ("signed", "Ana Anić", True)
    assert signature["patient"]["family_name"] == "Müller"
    assert len(signature["sha256"]) == 64
    assert (await clinic.keep(seen=tag, findings="Forged.")).status_code == 412
    discarded = await clinic.discard(signed.headers["ETag"])
    assert (discarded.status_code, discarded.json()["type"], discarded.json()["versions"]) == (
        409,
        "report-signed",
        [1],
    )
    assert (await clinic.read()).json() == signed.json()
    assert (await clinic.sign(tag)).json() == signed.json()


async def test_what_is_changed_in_the_database_behind_the_signature_is_seen(clinic: Clinic) -> None:
    await clinic.sign((await clinic.keep(seen="*")).headers["ETag"])
    with closing(sqlite3.connect(clinic.folder / "institution.sqlite")) as rows:
        rows.execute("UPDATE report_version SET findings = 'A nodule.'")
        rows.commit()

    assert not (await clinic.read()).json()["versions"][0]["signature"]["is_intact"]


async def test_an_amendment_is_a_new_version_that_says_why_and_all_stay_readable(clinic: Clinic) -> None:
    signed = await clinic.sign((await clinic.keep(seen="*")).headers["ETag"])

    draft = await clinic.keep(seen=signed.headers["ETag"], findings="A nodule.")
    without_reason = await clinic.sign(draft.headers["ETag"])
    reasoned = await clinic.keep(seen=draft.headers["ETag"], findings="A nodule.", reason="Overlooked")
    amended = await clinic.sign(reasoned.headers["ETag"])

    assert (without_reason.status_code, without_reason.json()["type"]) == (400, "reason-missing")
    first, second = amended.json()["versions"]
    assert (first["findings"], second["findings"]) == ("No nodule.", "A nodule.")
    assert first == signed.json()["versions"][0]
    assert second["signature"]["is_intact"]
    assert second["reason"] == "Overlooked"


async def test_nobody_sees_or_changes_the_draft_of_somebody_else(clinic: Clinic) -> None:
    tag = (await clinic.keep(seen="*")).headers["ETag"]
    clinic.tokens["eva"] = token(clinic.folder, UUID(int=99), "eva", Role.PHYSICIAN, CLINIC)

    assert (await clinic.read("ivo")).status_code == 404
    assert (await clinic.listed("ivo")).json() == {"reports": []}
    assert (await clinic.keep(seen=tag, by="ivo")).status_code == 403
    assert (await clinic.sign(tag, by="ivo")).status_code == 403
    assert (await clinic.read("adam")).status_code == 403
    assert (await clinic.read("eva")).status_code == 404
    of_colleague = await clinic.keep(seen=tag, by="eva", findings="Mine.")
    assert (of_colleague.status_code, of_colleague.json()["type"]) == (409, "draft-of-another")
    assert (await clinic.discard(tag, by="eva")).status_code == 409


async def test_an_empty_report_is_not_signed_and_its_draft_can_be_discarded(clinic: Clinic) -> None:
    tag = (await clinic.keep(seen="*", description=" ", findings="", conclusion="")).headers["ETag"]

    refused = await clinic.sign(tag)
    discarded = await clinic.discard(tag)

    assert (refused.status_code, refused.json()["type"]) == (400, "empty-report")
    assert discarded.status_code == 204
    assert (await clinic.read()).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": [{**IMAGE, "series_uid": "x"}]},
        {"images": [{**IMAGE, "instance_uid": None}]},
        {"images": [{**IMAGE, "frame": 0}]},
        {"images": [IMAGE, IMAGE]},
        {"study_uid": "Doe"},
        {"findings": "x" * 100_001},
        {"date": "yesterday"},
        {"colour": "red"},
    ],
)
async def test_what_no_report_can_hold_is_refused(clinic: Clinic, wrong: dict[str, Any]) -> None:
    assert (await clinic.keep(seen="*", **wrong)).status_code == 400
    assert (await clinic.read()).status_code == 404


async def test_a_report_stays_with_its_patient(clinic: Clinic) -> None:
    tag = (await clinic.keep(seen="*")).headers["ETag"]

    moved = await clinic.keep(seen=tag, patient_id=str(UUID(int=5)))

    assert (moved.status_code, moved.json()["type"]) == (409, "other-patient")


async def test_each_step_is_on_record_once(clinic: Clinic) -> None:
    tag = (await clinic.keep(seen="*")).headers["ETag"]
    for text in ("A", "A n", "A nodule."):
        tag = (await clinic.keep(seen=tag, findings=text)).headers["ETag"]
    tag = (await clinic.sign(tag)).headers["ETag"]
    tag = (await clinic.keep(seen=tag, reason="Again")).headers["ETag"]
    await clinic.discard(tag)
    await clinic.keep(seen="*", by="ivo", report=OTHER_REPORT)

    assert clinic.events() == [
        ("write-report", "done", ""),
        ("sign-report", "done", ""),
        ("amend-report", "done", ""),
        ("discard-draft", "done", ""),
        ("write-report", "refused", "other-institution"),
    ]


async def test_a_version_is_printed_with_whose_it_is_and_who_signed(clinic: Clinic) -> None:
    tag = (await clinic.keep(seen="*", images=[IMAGE])).headers["ETag"]
    await clinic.sign(tag)
    path = f"/api/reports/{REPORT}/versions/1/print"

    pdf = await clinic.client.get(path, headers={**clinic.tokens["ana"], "Accept-Language": "fr,hr-HR;q=0.8,en;q=0.5"})
    missing = await clinic.client.get(path.replace("/1/", "/2/"), headers=clinic.tokens["ana"])

    assert (pdf.status_code, pdf.headers["Content-Type"]) == (200, "application/pdf")
    text = "".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(pdf.content)).pages)
    for said in ("Clinic", "Müller, Anna", "31.01.1970.", "77", "Ana Anić", "Verzija 1", "Potpisano", "No nodule."):
        assert said in text, said
    assert missing.status_code == 404
    assert clinic.events()[-1] == ("print-report", "done", "")


async def test_reports_that_are_kept_from_other_institutions_are_opened_by_a_reason(
    folder: Path, node_key: Path
) -> None:
    async for clinic in opened(folder, node_key, "reason"):
        await clinic.sign((await clinic.keep(seen="*")).headers["ETag"])
        path = f"/api/patients/{clinic.patient}/reports/access"

        before = await clinic.listed("ivo")
        blank = await clinic.client.post(path, headers=clinic.tokens["ivo"], json={"reason": "      "})
        opened_now = await clinic.client.post(
            path, headers=clinic.tokens["ivo"], json={"reason": "Unconscious in the ER"}
        )
        after = await clinic.listed("ivo")

        assert (before.status_code, before.json()["type"]) == (403, "reason-needed")
        assert blank.status_code == 400
        assert opened_now.status_code == 200
        assert len(after.json()["reports"]) == 1
        assert (await clinic.listed("ana")).status_code == 200
        assert (await clinic.read("ivo")).status_code == 200
        assert ("break-glass", "done", "") in clinic.events()


async def test_reports_that_are_closed_are_opened_by_nothing(folder: Path, node_key: Path) -> None:
    async for clinic in opened(folder, node_key, "closed"):
        path = f"/api/patients/{clinic.patient}/reports/access"

        answer = await clinic.client.post(path, headers=clinic.tokens["ivo"], json={"reason": "Unconscious in the ER"})

        assert (answer.status_code, answer.json()["type"]) == (403, "reports-closed")
        assert (await clinic.listed("ivo")).json()["type"] == "reports-closed"
        assert (await clinic.listed("ana")).status_code == 200


async def test_a_node_is_told_which_reports_point_to_what_it_holds(clinic: Clinic) -> None:
    await clinic.keep(seen="*", images=[IMAGE])
    node = node_of(clinic.client, clinic.folder / "node.pem")

    of_study = await node.pointers(PointersWanted(NODE, "1.2.3"))
    of_another = await node.pointers(PointersWanted(NODE, "1.2.3", "1.2.3.2"))

    assert of_study.reports == (UUID(REPORT),)
    assert of_another.reports == ()
