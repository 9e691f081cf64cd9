"""Nothing at the page is in the way of whoever uses it by keyboard or listens to it: axe looks at each view of it.

Serious and critical findings fail: https://github.com/dequelabs/axe-core/blob/develop/doc/rule-descriptions.md
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.end_to_end.browser import open_browser
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import HOST, RunningAppliance, all_in_one

_FAILING = ("serious", "critical")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, phantom_folder: Path) -> Iterator[RunningAppliance]:
    """With somebody who sees everything, a study of a patient, and one whose patient is not known."""
    running = all_in_one(tmp_path_factory.mktemp("clinic"))
    running.create_account("ana", "physician,administrator,superuser")
    try:
        running.start()
        running.take_in(phantom_folder)
        yield running
        assert running.stop() == 0
    finally:
        running.kill()


@pytest.fixture
async def stranger(clinic: RunningAppliance, tmp_path: Path) -> AsyncIterator[Physician]:
    """Somebody before the login page."""
    async with open_browser(tmp_path, authority=clinic.authority, hosts={HOST: "127.0.0.1"}) as context:
        yield await Physician.at(context, clinic)


@pytest.fixture
async def ana(stranger: Physician) -> Physician:
    """The same, logged in."""
    await stranger.log_in()
    await expect(stranger.find("patient-row").first).to_be_visible()
    return stranger


async def test_the_login_page_has_no_barriers(stranger: Physician) -> None:
    await expect(stranger.find("login-submit")).to_be_visible()
    assert await barriers(stranger.page) == []

    await stranger.log_in("not the password")
    await expect(stranger.find("login-message")).not_to_be_empty()
    assert await barriers(stranger.page) == []


async def test_the_way_to_a_picture_has_no_barriers(ana: Physician) -> None:
    found = {"patients": await barriers(ana.page)}
    await ana.find("patient-row").first.click()
    await expect(ana.find("study-row").first).to_be_visible()
    found["patient"] = await barriers(ana.page)
    await ana.find("study-row").first.click()
    await ana.settle()
    found["viewer"] = await barriers(ana.page)

    assert found == {"patients": [], "patient": [], "viewer": []}


async def test_the_report_editor_has_no_barriers(ana: Physician) -> None:
    await ana.find("patient-row").first.click()
    await ana.find("report-new").click()
    await ana.find("report-description").fill("Without barriers")
    await ana.find("report-findings").fill("No nodule.")
    await expect(ana.find("report-saving")).to_have_attribute("data-state", "saved", timeout=30_000)
    found = {"editor": await barriers(ana.page)}
    await ana.find("report-attach").click()
    await ana.find("report-pick-study").select_option(index=1)
    await ana.find("report-attach-series").first.click()
    await expect(ana.find("report-image")).to_have_count(1)
    found["with images"] = await barriers(ana.page)
    await ana.find("report-sign").click()
    await expect(ana.find("report-editor")).to_be_hidden()
    await ana.find("report-row").filter(has_text="Without barriers").click()
    await expect(ana.find("report-signature")).to_be_visible()
    found["signed"] = await barriers(ana.page)
    await ana.find("report-amend").filter(visible=True).click()
    await ana.find("report-sign").click()
    await expect(ana.find("report-reason")).to_be_visible()
    found["why it is amended"] = await barriers(ana.page)

    assert found == {place: [] for place in found}


@pytest.mark.long
async def test_the_panels_of_the_viewer_have_no_barriers(ana: Physician) -> None:
    await ana.find("patient-row").first.click()
    await ana.find("study-row").first.click()
    await ana.settle()
    found = {}
    await ana.find("priors").locator("summary").click()
    await expect(ana.find("place-state").first).to_be_visible()
    found["other studies"] = await barriers(ana.page)
    await ana.find("screen-size-open").click()
    await expect(ana.find("screen-card")).to_be_visible()
    found["size of the screen"] = await barriers(ana.page)
    await ana.page.keyboard.press("Escape")
    await ana.page.keyboard.press("?")
    await expect(ana.find("keyboard-map")).to_be_visible()
    found["keys"] = await barriers(ana.page)
    await ana.page.keyboard.press("Escape")
    await ana.show("volume")
    await ana.find("space-options").click()
    await expect(ana.find("space-panel")).to_be_visible()
    found["volume"] = await barriers(ana.page)
    await ana.find("show-planes").click()
    await ana.find("tool-cross").click()
    await expect(ana.find("turn-coronal").first).to_be_visible()
    found["crosshair"] = await barriers(ana.page)

    assert found == {panel: [] for panel in found}


async def test_upload_and_inbox_have_no_barriers(ana: Physician) -> None:
    found = {}
    for place in ("Upload", "Inbox"):
        await ana.page.get_by_role("navigation").get_by_role("link", name=place).click()
        await expect(ana.page.get_by_role("heading", level=1, name=place)).to_be_visible()
        found[place] = await barriers(ana.page)

    assert found == {"Upload": [], "Inbox": []}


async def test_the_own_account_has_no_barriers(ana: Physician) -> None:
    await ana.find("account-link").click()
    await expect(ana.find("session").first).to_be_visible()
    found = await barriers(ana.page)
    await ana.find("passkey-add").click()
    found += await barriers(ana.page)

    assert found == []


async def test_what_administrators_see_has_no_barriers(ana: Physician) -> None:
    await ana.find("administration-link").click()
    await expect(ana.find("account-row").first).to_be_visible()
    found = {"accounts": await barriers(ana.page)}
    await ana.find("account-create").click()
    found["a new account"] = await barriers(ana.page)
    rows = {
        "institutions": "institution-row",
        "nodes": "node-row",
        "record-types": "record-type-new",
        "synchronisation": "line-row",
        "audit": "audit-row",
    }
    for part, row in rows.items():
        await ana.find(f"part-{part}").click()
        await expect(ana.find(row).first).to_be_visible()
        found[part] = await barriers(ana.page)

    assert found == {place: [] for place in found}


async def barriers(page: Page) -> list[str]:
    """Each serious finding: the rule, and where. How the page fares in all is printed (``-s``)."""
    response = (await Axe().run(page)).response
    lesser = sum(violation["impact"] not in _FAILING for violation in response["violations"])
    place = urlsplit(page.url).path.partition("/studies/")[0]
    print(
        f"axe: {len(response['passes'])} rules kept, {len(response['violations']) - lesser} serious, {lesser} lesser,"
        f" {len(response['incomplete'])} for a person to judge: {re.sub('/[0-9a-f-]{36}', '', place) or '/'}"
    )
    return [
        f"{violation['id']}: {', '.join(str(node['target']) for node in violation['nodes'])}"
        for violation in response["violations"]
        if violation["impact"] in _FAILING
    ]
