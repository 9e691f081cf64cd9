"""Patients' records at the page: added, found, changed, merged and deleted; and the texts in Croatian."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from playwright.async_api import expect

from tests.end_to_end.browser import open_browser
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import HOST, RunningAppliance


async def add(physician: Physician, family_name: str, number: str = "") -> None:
    """A patient is there, and the record open."""
    await physician.find("patient-new").click()
    await physician.find("patient-family-name").fill(family_name)
    await physician.find("patient-given-name").fill("Đurđa")
    await physician.find("patient-birth-date").fill("1970-01-31")
    if number:
        await physician.find("patient-add-number").click()
        await physician.find("patient-issuer").fill("HZZO")
        await physician.find("patient-number").fill(number)
    await physician.find("patient-save").click()
    await physician.find("patient-open").click()
    await expect(physician.find("patient-name")).to_contain_text(family_name)


async def search(physician: Physician, text: str, count: int) -> None:
    await physician.page.get_by_role("link", name="Patients").click()
    await physician.find("patient-search").fill(text)
    await expect(physician.find("patient-row")).to_have_count(count)


async def test_a_patient_is_added_found_changed_and_deleted(physician: Physician, filled: RunningAppliance) -> None:
    name, number = f"Šimić-{uuid4().hex[:8]}", uuid4().hex
    await physician.log_in()
    await add(physician, name, number)
    for text in (f"durda {name.replace('Š', 's').replace('ć', 'c')}", number):
        await search(physician, text, 1)
    await physician.find("patient-row").first.click()

    await physician.find("patient-edit").click()
    await expect(physician.find("patient-number")).to_have_value(number)
    await physician.find("patient-family-name").fill(f"Kovač-{name}")
    await physician.find("patient-save").click()
    await expect(physician.find("patient-name")).to_contain_text("Kovač")

    await physician.find("patient-remove").click()
    await physician.find("patient-remove-yes").click()
    await expect(physician.find("patient-removed")).to_be_visible()
    await search(physician, number, 0)


async def test_a_patient_with_studies_is_not_deleted_and_it_is_said_where_they_are(
    physician: Physician, filled: RunningAppliance
) -> None:
    await physician.log_in()
    await physician.open_patient("phantom")

    await physician.find("patient-remove").click()
    await physician.find("patient-remove-yes").click()

    await expect(physician.page.get_by_role("alert")).to_contain_text(filled.settings["institution"]["name"])
    await expect(physician.find("patient-name")).to_contain_text("Phantom")


async def test_a_duplicate_is_merged_and_its_number_finds_the_one_that_is_kept(
    physician: Physician, filled: RunningAppliance
) -> None:
    kept, duplicate, number = (f"{what}-{uuid4().hex[:8]}" for what in ("Kept", "Twice", "N"))
    await physician.log_in()
    await add(physician, duplicate, number)
    await physician.page.get_by_role("link", name="Patients").click()
    await add(physician, kept)

    await physician.find("patient-merge").click()
    await physician.find("merge-search").fill(duplicate)
    await physician.find("merge-choose").click()
    await physician.find("merge-yes").click()
    await expect(physician.find("patient-merge-panel")).to_be_hidden()

    await search(physician, duplicate, 0)
    await search(physician, number, 1)
    await expect(physician.find("patient-row").first).to_contain_text(kept)


async def test_a_croatian_browser_is_answered_in_croatian(filled: RunningAppliance, tmp_path: Path) -> None:
    async with open_browser(
        tmp_path, authority=filled.authority, hosts={HOST: "127.0.0.1"}, arguments=["--lang=hr", "--accept-lang=hr"]
    ) as context:
        physician = await Physician.at(context, filled)
        await physician.log_in()
        await expect(physician.find("patient-new")).to_have_text("Novi pacijent")
        await physician.open_patient("phantom")
        await physician.find("report-new").click()

        await expect(physician.find("report-sign")).to_have_text("Potpiši")
        assert physician.faults == []
