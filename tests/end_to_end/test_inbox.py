"""Studies whose patient is not certain, as a physician meets them: they wait, are assigned, and later ones come by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from playwright.async_api import expect

from tests.end_to_end.browser import open_browser
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import HOST, PASSWORD, RunningAppliance, all_in_one
from tests.services.node_parts import ct_slice, encoded

ELSEWHERE = str(UUID(int=77))
FIRST, SECOND, OTHER = "1.2.826.0.1.1", "1.2.826.0.1.2", "1.2.826.0.1.3"


def study_in(folder: Path, uid: str, *, description: str, born: str = "19700131") -> Path:
    """A CT of two slices, of Eva Muster by the number 4711."""
    folder.mkdir()
    for number in (1, 2):
        ds = ct_slice(number, study=uid, series=f"{uid}.1", value=1000 + 50 * number, z=float(number))
        ds.PatientBirthDate, ds.StudyDescription = born, description
        (folder / f"{number}.dcm").write_bytes(encoded(ds))
    return folder


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """All roles in one process, where unknown numbers wait; with a physician of another institution."""
    running = all_in_one(tmp_path_factory.mktemp("clinic"))
    running.settings["institution"]["new_patients"] = "inbox"
    running.create_account()
    running.create_account("ivo", "physician", institution=ELSEWHERE)
    try:
        running.start()
        yield running
        assert running.stop() == 0
    finally:
        running.kill()


@pytest.fixture
async def ana(clinic: RunningAppliance, tmp_path: Path) -> AsyncIterator[Physician]:
    """A physician of the institution, logged in."""
    async with open_browser(tmp_path, authority=clinic.authority, hosts={HOST: "127.0.0.1"}) as context:
        physician = await Physician.at(context, clinic)
        await physician.log_in()
        await expect(physician.find("inbox-link")).to_be_visible()
        yield physician
        assert physician.faults == []


async def test_a_study_waits_is_assigned_and_the_next_one_comes_by_itself(
    ana: Physician, clinic: RunningAppliance, tmp_path: Path, photographs: Path
) -> None:
    clinic.take_in(study_in(tmp_path / "first", FIRST, description="CT chest"))

    # It waits, is in nobody's list, and can be looked at.
    await ana.page.reload()
    await expect(ana.find("inbox-count")).to_have_text("1")
    await expect(ana.page.get_by_text("There are no patients yet.")).to_be_visible()
    await ana.find("inbox-link").click()
    await expect(ana.find("inbox-row")).to_have_count(1)
    await expect(ana.find("inbox-reason")).to_have_text("Unknown number")
    await ana.find("inbox-row").click()
    await ana.find("inbox-look").click()
    await ana.settle()
    await ana.find("viewer-back").click()

    # It is assigned to a patient made of it; nobody was chosen before.
    await expect(ana.find("inbox-assign")).to_have_count(0)
    await expect(ana.find("inbox-create")).to_have_count(0)
    await ana.find("inbox-new").check()
    await expect(ana.find("inbox-family-name")).to_have_value("Muster")
    await ana.find("inbox-create").click()
    await expect(ana.find("decision-done")).to_contain_text("Muster, Eva")
    await expect(ana.find("inbox-history")).to_contain_text("Ana Anić")
    await expect(ana.find("inbox-count")).to_have_count(0)

    # A second study with the number comes by itself; one with another birth date waits, and says why.
    clinic.take_in(study_in(tmp_path / "second", SECOND, description="CT chest, control"))
    clinic.take_in(study_in(tmp_path / "other", OTHER, description="CT head", born="19700130"))
    await ana.page.get_by_role("link", name="Patients").click()
    await ana.open_patient("muster")
    await expect(ana.find("study-row")).to_have_count(2)
    await expect(ana.find("study-row").filter(has_text="control")).to_have_count(1)
    await ana.find("inbox-link").click()
    await expect(ana.find("inbox-reason")).to_have_text("Another birth date")
    await ana.find("inbox-row").click()
    await expect(ana.find("decision-reason")).to_contain_text("the birth date is another")

    # Its number's owner is offered beside it, not chosen, and keeps the number.
    await expect(ana.find("inbox-candidate")).to_have_count(1)
    await expect(ana.find("inbox-candidate")).not_to_be_checked()
    await ana.find("inbox-candidate").check()
    await expect(ana.find("inbox-comparison")).to_contain_text("differs")
    await ana.photograph(photographs / "inbox.png")
    await ana.find("inbox-new").check()
    await expect(ana.find("inbox-with-number")).not_to_be_checked()
    await ana.find("inbox-birth-date").fill("1970-01-30")
    await ana.photograph(photographs / "inbox-new.png")
    await ana.find("inbox-create").click()
    await expect(ana.find("decision-done")).to_be_visible()
    await ana.page.get_by_role("link", name="Patients").click()
    await ana.find("patient-search").fill("muster")
    await expect(ana.find("patient-row")).to_have_count(2)


async def test_a_wrong_assignment_is_moved_from_the_patients_list(
    ana: Physician, clinic: RunningAppliance, photographs: Path
) -> None:
    await ana.open_patient("muster 1970-01-30")
    await ana.find("study-move").click()

    await ana.find("inbox-move").click()
    await ana.find("inbox-search").fill("muster 1970-01-31")
    await ana.page.locator("label", has_text="31 Jan 1970").get_by_role("radio").check()
    await ana.photograph(photographs / "inbox-moved.png")
    await ana.find("inbox-assign").click()
    await expect(ana.find("inbox-history").get_by_role("listitem")).to_have_count(2)

    await ana.find("decision-done").get_by_role("link").click()
    await expect(ana.page.get_by_text("31 Jan 1970")).to_be_visible()
    await expect(ana.find("study-row")).to_have_count(3)


async def test_the_second_of_two_physicians_is_told(ana: Physician, clinic: RunningAppliance) -> None:
    await ana.page.goto(f"{clinic.origin}/inbox/studies/{OTHER}")
    await expect(ana.find("inbox-take-back")).to_be_visible()
    with clinic.client() as client:
        headers = token_of(client, "ana")
        now = client.get(f"/api/inbox/{OTHER}", headers=headers).json()["patient_id"]
        back = {"patient_id": None, "seen_patient_id": now, "with_number": False}
        client.put(f"/api/inbox/{OTHER}/patient", headers=headers, json=back).raise_for_status()

    await ana.find("inbox-take-back").click()

    await expect(ana.find("inbox-meanwhile")).to_contain_text("Ana Anić")
    await ana.find("inbox-meanwhile").get_by_role("button").click()
    await expect(ana.find("decision-reason")).to_contain_text("Taken back")


async def test_a_physician_of_another_institution_sees_no_inbox_and_nothing_that_waits(
    clinic: RunningAppliance, tmp_path: Path
) -> None:
    with clinic.client() as client:
        headers = token_of(client, "ivo")
        answers = [client.get(path, headers=headers) for path in ("/api/inbox", f"/api/inbox/{OTHER}")]
        assert [answer.status_code for answer in answers] == [403, 403]
        # The node hears within seconds what was assigned, and what was taken back.
        await until_answered(client, f"/api/studies/{OTHER}", headers, 404)
        assert client.get(f"/api/studies/{OTHER}", headers=token_of(client, "ana")).status_code == 200
        await until_answered(client, f"/api/studies/{FIRST}", headers, 200)
        found = client.get("/dicom-web/studies", headers=headers).json()
        assert {study["0020000D"]["Value"][0] for study in found} == {FIRST, SECOND}

    async with open_browser(tmp_path, authority=clinic.authority, hosts={HOST: "127.0.0.1"}) as context:
        ivo = await Physician.at(context, clinic)
        await ivo.log_in(username="ivo")
        await expect(ivo.find("patient-row")).to_have_count(2)
        await expect(ivo.find("inbox-link")).to_have_count(0)
        await ivo.page.goto(f"{clinic.origin}/inbox/studies/{OTHER}")
        await expect(ivo.page.get_by_text("for physicians of an institution")).to_be_visible()
        assert ivo.faults == []


async def until_answered(client: httpx.Client, path: str, headers: dict[str, str], status: int) -> None:
    async with asyncio.timeout(10):
        while client.get(path, headers=headers).status_code != status:
            await asyncio.sleep(0.1)


def token_of(client, username: str) -> dict[str, str]:  # type: ignore[no-untyped-def]
    answer = client.post("/api/session", json={"username": username, "password": PASSWORD}).raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}
