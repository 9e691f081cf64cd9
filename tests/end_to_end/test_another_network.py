"""Somebody whose line is lost, and who has another one then, with another address: work goes on, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.end_to_end.browser import open_browser
from tests.end_to_end.physician import Physician
from tests.end_to_end.relay import Relay, relay
from tests.end_to_end.running import HOST, PASSWORD, RunningAppliance

_WAY_IN = "127.0.0.2"
_FIRST_NETWORK, _OTHER_NETWORK = "127.0.0.3", "127.0.0.4"


@asynccontextmanager
async def behind_a_relay(
    appliance: RunningAppliance, home: Path, *, has_http3: bool
) -> AsyncIterator[tuple[Physician, Relay]]:
    port = appliance.port
    async with (
        relay((_WAY_IN, port), ("127.0.0.1", port), _FIRST_NETWORK) as way,
        open_browser(
            home,
            authority=appliance.authority,
            hosts={HOST: _WAY_IN},
            http3=[f"{HOST}:{port}"] if has_http3 else [],
        ) as context,
    ):
        physician = await Physician.at(context, appliance)
        yield physician, way
        assert physician.faults == []


async def lose(physician: Physician, way: Relay) -> None:
    way.cut()
    await physician.page.mouse.move(200, 300)
    await expect(physician.find("line-lost")).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("has_http3", [True, False], ids=["over HTTP/3", "over HTTP/2"])
async def test_pictures_go_on_over_another_network_with_the_window_that_was_chosen(
    filled: RunningAppliance, tmp_path: Path, has_http3: bool
) -> None:
    async with behind_a_relay(filled, tmp_path, has_http3=has_http3) as (physician, way):
        await physician.log_in()
        await physician.open_study("phantom")
        assert {protocol for _, protocol in await physician.protocols() if protocol} == {"h3" if has_http3 else "h2"}
        await physician.page.keyboard.press("Home")
        await physician.drag(60, 40)
        window = await physician.label("window-label")
        await lose(physician, way)
        await physician.page.keyboard.press("End")

        way.move(_OTHER_NETWORK)

        await expect(physician.find("slice-label")).to_have_text("Slice 60 / 60")
        await physician.settle()
        assert await physician.label("window-label") == window
        await expect(physician.find("line-lost")).to_be_hidden()


async def test_a_report_that_is_being_written_is_saved_over_another_network(
    filled: RunningAppliance, tmp_path: Path
) -> None:
    async with behind_a_relay(filled, tmp_path, has_http3=True) as (physician, way):
        await physician.log_in()
        await physician.open_patient("phantom")
        await physician.find("report-new").click()
        await physician.find("report-description").fill("Over another network")
        saving = physician.find("report-saving")
        await expect(saving).to_have_attribute("data-state", "saved", timeout=30_000)
        await lose(physician, way)
        await physician.find("report-findings").fill("Written without a line")
        await expect(saving).not_to_have_attribute("data-state", "saved")

        way.move(_OTHER_NETWORK)

        await expect(physician.find("line-lost")).to_be_hidden(timeout=30_000)
        await expect(saving).to_have_attribute("data-state", "saved", timeout=60_000)
        await physician.page.reload()
        await physician.find("report-row").filter(has_text="Over another network").click()
        await physician.find("report-amend").filter(visible=True).click()
        await expect(physician.find("report-findings")).to_have_value("Written without a line")


async def test_a_login_that_was_begun_without_a_line_is_not_typed_again(
    filled: RunningAppliance, tmp_path: Path
) -> None:
    async with behind_a_relay(filled, tmp_path, has_http3=True) as (physician, way):
        await lose(physician, way)
        await physician.log_in()

        way.move(_OTHER_NETWORK)

        # It ends by itself, or, where its time was over, by another press of the button.
        ended = physician.page.locator("[data-testid=login-submit]:enabled, [data-testid=patient-search]")
        await expect(ended).to_be_visible(timeout=60_000)
        if await physician.find("login-submit").count():
            await expect(physician.find("login-password")).to_have_value(PASSWORD)
            await physician.find("login-submit").click()
        await expect(physician.find("patient-search")).to_be_visible(timeout=30_000)
