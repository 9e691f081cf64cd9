"""A line that is lost is said, nothing typed is lost, and work goes on; a second visit costs next to nothing of it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.async_api import BrowserContext, Page, expect

from tests.end_to_end.physician import Physician
from tests.end_to_end.running import RunningAppliance

_SAID_WITHIN_S = 6.0
"""Three seconds, and as many for a machine that is busy; ``line.spec.ts`` tests the three by a clock of its own."""
_SECOND_VISIT_BYTES = 16_000
"""The document's 304, the session, the study's description and what the inbox says; no part of the page, no picture."""


@contextmanager
def dead(appliance: RunningAppliance) -> Iterator[None]:
    """Nothing answers any more, and nothing says so: as behind a line that was cut."""
    assert appliance.process is not None
    appliance.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        appliance.process.send_signal(signal.SIGCONT)


async def seconds_until_said(physician: Physician) -> float:
    """From now on, with a hand at the page."""
    began = time.monotonic()
    await physician.page.mouse.move(200, 300)
    await expect(physician.find("line-lost")).to_be_visible(timeout=20_000)
    return time.monotonic() - began


async def test_a_lost_line_is_said_and_nothing_typed_is_lost(physician: Physician, filled: RunningAppliance) -> None:
    await physician.log_in()
    await physician.open_patient("phantom")
    await physician.find("report-new").click()
    await physician.find("report-description").fill("Chest CT")
    await physician.find("report-findings").fill("No nodules")
    await asyncio.sleep(2)  # the line is quiet
    with dead(filled):
        assert await seconds_until_said(physician) < _SAID_WITHIN_S
        await physician.find("report-findings").press_sequentially(", no effusion.")
        await physician.page.evaluate("() => location.reload()")  # what somebody does then
        await asyncio.sleep(1)
    await expect(physician.find("report-findings")).to_have_value("No nodules, no effusion.", timeout=30_000)
    await expect(physician.find("line-lost")).to_be_hidden()

    await expect(physician.find("report-saving")).to_have_attribute("data-state", "saved", timeout=30_000)
    await physician.find("report-sign").click()

    await expect(physician.find("report-findings")).to_be_hidden()
    await physician.page.reload()
    await expect(physician.find("report-new")).to_be_visible()
    row = physician.find("report-row").filter(has_text="Chest CT").first
    await expect(row).to_have_attribute("data-state", "signed")
    await row.click()
    await expect(physician.find("report-version").filter(has_text="No nodules, no effusion.").first).to_be_visible()


async def test_pictures_go_on_by_themselves_when_the_line_is_back(
    physician: Physician, filled: RunningAppliance
) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    await physician.page.keyboard.press("Home")
    await physician.settle()
    with dead(filled):
        assert await seconds_until_said(physician) < _SAID_WITHIN_S
        await physician.page.keyboard.press("End")
        await asyncio.sleep(3)
        assert "60 / 60" not in (await physician.label("slice-label")).partition("→")[0]

    await physician.settle()

    await expect(physician.find("slice-label")).to_have_text("Slice 60 / 60")
    await expect(physician.find("line-lost")).to_be_hidden()


async def test_quality_can_be_held_and_stays_so_for_this_person(physician: Physician, filled: RunningAppliance) -> None:
    page = physician.page
    await physician.log_in()
    await physician.open_study("phantom")
    await expect(physician.find("line-state")).to_contain_text("bit/s")
    await physician.find("hold-quality").click()
    await page.reload()
    await physician.settle()
    await expect(physician.find("hold-quality")).to_have_attribute("aria-pressed", "true")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    await physician.find("viewer-canvas").hover()
    for _ in range(5):
        await page.mouse.wheel(0, 100)
        await asyncio.sleep(0.05)
    await physician.settle()

    pictures = [url for url in asked if "/frames/" in url]
    assert pictures and not [url for url in pictures if "quality=" in url]


async def test_a_second_visit_fetches_nothing_that_is_here(
    physician: Physician, filled: RunningAppliance, context: BrowserContext
) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    address = physician.page.url
    await physician.page.reload()
    await physician.settle()
    await physician.page.wait_for_load_state("networkidle")
    page = await context.new_page()
    came = await Came.at(page, context)

    await page.goto(address)
    await Physician(page, filled).settle()

    assert not [url for url, size in came.bytes.items() if size and ("/assets/" in url or "/rendered" in url)]
    assert sum(came.bytes.values()) < _SECOND_VISIT_BYTES


class Came:
    """Bytes that the answers to a page's requests took of the line, heads included."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}
        self._urls: dict[str, str] = {}
        self._cached: set[str] = set()

    @classmethod
    async def at(cls, page: Page, context: BrowserContext) -> Came:
        came = cls()
        session = await context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", came._asked)
        session.on("Network.requestServedFromCache", lambda event: came._cached.add(event["requestId"]))
        session.on("Network.loadingFinished", came._finished)
        await session.send("Network.enable")
        return came

    def _asked(self, event: dict[str, Any]) -> None:
        self._urls[event["requestId"]] = event["request"]["url"]

    def _finished(self, event: dict[str, Any]) -> None:
        url = self._urls.get(event["requestId"], "")
        if event["requestId"] not in self._cached and url.startswith("https:"):
            self.bytes[url] = self.bytes.get(url, 0) + int(event["encodedDataLength"])
