"""Reports at the page: written, with images, signed, amended, printed."""

from __future__ import annotations

import ssl

import httpx
import pypdf
from playwright.async_api import expect

from provisioning.phantom import read_mark
from tests.end_to_end.physician import Physician, fitted
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance


async def begin(physician: Physician, title: str) -> None:
    """A report that says something, saved as a draft."""
    await physician.log_in()
    await physician.open_patient("phantom")
    await physician.find("report-new").click()
    await physician.find("report-description").fill(title)
    await physician.find("report-findings").fill("No nodule.")
    await saved(physician)


async def saved(physician: Physician) -> None:
    await expect(physician.find("report-saving")).to_have_attribute("data-state", "saved", timeout=30_000)


async def signed(physician: Physician) -> None:
    await physician.find("report-sign").click()
    await expect(physician.find("report-editor")).to_be_hidden()


def row(physician: Physician, title: str):  # type: ignore[no-untyped-def]
    return physician.page.locator("li", has=physician.find("report-row").filter(has_text=title)).first


async def test_a_draft_is_saved_by_itself_and_gone_on_with_after_the_page_was_left(
    physician: Physician, filled: RunningAppliance
) -> None:
    await begin(physician, "Left and gone on with")
    await physician.page.reload()
    of_mine = row(physician, "Left and gone on with")
    await expect(of_mine.get_by_test_id("report-row")).to_have_attribute("data-state", "draft")

    await of_mine.get_by_test_id("report-row").click()
    await of_mine.get_by_test_id("report-amend").click()
    await expect(physician.find("report-findings")).to_have_value("No nodule.")
    await physician.find("report-conclusion").fill("Normal.")
    await signed(physician)

    await expect(of_mine.get_by_test_id("report-row")).to_have_attribute("data-state", "signed")
    await of_mine.get_by_test_id("report-row").click()
    await expect(of_mine.get_by_test_id("report-signature")).to_contain_text("Signed by Ana Anić")


async def test_images_are_attached_by_picking_taken_away_and_opened_in_the_viewer(
    physician: Physician, filled: RunningAppliance
) -> None:
    await begin(physician, "With images")
    await physician.find("report-attach").click()
    await physician.find("report-pick-study").select_option(index=1)
    await physician.find("report-attach-series").first.click()
    await physician.find("report-pick-series").first.click()
    await physician.find("report-pick-frame").fill("7")
    await physician.find("report-attach-frame").click()
    await expect(physician.find("report-image")).to_have_count(2)
    await physician.find("report-detach").first.click()
    await expect(physician.find("report-image")).to_have_count(1)
    await saved(physician)
    await signed(physician)

    of_mine = row(physician, "With images")
    await of_mine.get_by_test_id("report-row").click()
    thumbnail = of_mine.get_by_test_id("report-thumbnail")
    await expect(thumbnail).to_have_js_property("complete", True)
    assert await thumbnail.evaluate("async image => { await image.decode(); return image.naturalWidth }") > 0
    await of_mine.get_by_test_id("report-image").locator("a").click()
    await physician.settle()

    assert read_mark(fitted(await physician.grey(), 256, 256)) == 7


async def test_an_amendment_says_why_and_the_version_before_stays_readable(
    physician: Physician, filled: RunningAppliance
) -> None:
    await begin(physician, "To be amended")
    await signed(physician)
    of_mine = row(physician, "To be amended")
    await of_mine.get_by_test_id("report-row").click()
    await of_mine.get_by_test_id("report-amend").click()
    await physician.find("report-findings").fill("A nodule in the left lung.")
    await physician.find("report-sign").click()
    await expect(physician.page.get_by_role("alert")).to_contain_text("why")
    await physician.find("report-reason").fill("Overlooked")
    await saved(physician)
    await signed(physician)

    await expect(of_mine.get_by_test_id("report-state")).to_have_text("Amended, version 2")
    if not await of_mine.get_by_test_id("report-versions").is_visible():
        await of_mine.get_by_test_id("report-row").click()
    await of_mine.get_by_test_id("report-versions").click()
    versions = of_mine.get_by_test_id("report-version")
    await expect(versions).to_have_count(2)
    await expect(versions.nth(0)).to_contain_text("A nodule in the left lung.")
    await expect(versions.nth(1)).to_contain_text("No nodule.")


async def test_what_is_printed_says_who_wrote_and_signed_it_about_whom(
    physician: Physician, filled: RunningAppliance
) -> None:
    await begin(physician, "To be printed")
    await signed(physician)
    of_mine = row(physician, "To be printed")
    await of_mine.get_by_test_id("report-row").click()

    async with physician.page.expect_download() as printing:
        await of_mine.get_by_test_id("report-print").click()

    pdf = await (await printing.value).path()
    text = "".join(page.extract_text() for page in pypdf.PdfReader(pdf).pages)
    institution = filled.settings["institution"]["name"]
    for said in (institution, "Phantom", "To be printed", "No nodule.", "Version 1", "Signed by Ana Anić"):
        assert said in text, said


async def test_what_was_changed_at_another_desk_meanwhile_is_said_and_neither_is_lost(
    physician: Physician, filled: RunningAppliance
) -> None:
    await begin(physician, "At two desks")
    trusted = ssl.create_default_context(cafile=str(filled.authority))
    async with httpx.AsyncClient(base_url=filled.base_url, verify=trusted) as desk:
        await change_at_another_desk(desk, "At two desks", "Of the other desk")
    await physician.find("report-findings").fill("Of this desk")
    await expect(physician.find("report-saving")).to_have_attribute("data-state", "conflict", timeout=30_000)
    await expect(physician.find("report-saving")).to_contain_text("findings")

    await physician.find("report-take-other").click()

    await expect(physician.find("report-findings")).to_have_value("Of the other desk")
    await signed(physician)
    await expect(row(physician, "At two desks").get_by_test_id("report-row")).to_have_attribute("data-state", "signed")


async def change_at_another_desk(desk: httpx.AsyncClient, title: str, findings: str) -> None:
    login = await desk.post("/api/session", json={"username": USERNAME, "password": PASSWORD})
    desk.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
    (patient,) = (await desk.get("/api/patients", params={"search": "phantom"})).json()["patients"]
    reports = (await desk.get(f"/api/patients/{patient['id']}/reports")).json()["reports"]
    report = next(one for one in reports if one["versions"][-1]["description"] == title)
    draft = {"patient_id": patient["id"], "description": title, "findings": findings}
    answer = await desk.put(
        f"/api/reports/{report['id']}/draft", json=draft, headers={"If-Match": f'"{report["tag"]}"'}
    )
    assert answer.status_code == 200, answer.text


async def test_a_draft_is_discarded_after_a_question(physician: Physician, filled: RunningAppliance) -> None:
    title = "A draft that nobody wants"
    await begin(physician, title)

    await physician.find("report-discard").click()
    await physician.find("report-discard-yes").click()

    await expect(physician.find("report-editor")).to_be_hidden()
    await physician.page.reload()
    await expect(physician.find("place-state").last).to_have_attribute("data-state", "there")
    await expect(physician.find("report-row").filter(has_text=title)).to_have_count(0)
