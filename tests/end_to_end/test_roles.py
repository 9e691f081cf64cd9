"""The roles on boxes of their own: a central one and a clinic's, different sites to the browser, joined by synchronisation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.async_api import Request, Route, expect

from provisioning.phantom import read_mark
from tests.end_to_end.browser import open_browser, trust
from tests.end_to_end.physician import Physician, fitted
from tests.end_to_end.running import RunningAppliance, all_in_one

CENTRAL, CLINIC = "health.test", "clinic.test"
_PERMISSION = "loopback-network"
"""Of Local Network Access, for servers on the browser's own machine."""


class Boxes:
    """Two appliances that know each other."""

    def __init__(self, folder: Path) -> None:
        self.central = self._box(folder / "central", CENTRAL, ["web", "toplevel"])
        self.clinic = self._box(folder / "clinic", CLINIC, ["institution", "node"])
        self.central.settings["web"] = {"origins": [f"https://{CLINIC}:{self.clinic.port}"]}
        self.clinic.settings["allowed_origins"] = [f"https://{CENTRAL}:{self.central.port}"]
        self.clinic.settings["institution"]["parent"] = {
            "base_url": self.central.base_url,
            "key": "institution.pem",
            "authorities": str(self.central.authority),
        }

    def enrol(self) -> None:
        """The clinic redeems a token of the central box, which is running."""
        token = self.central.run("enrolment-token", "--config", str(self.central.config))
        self.clinic.config.write_text(yaml.safe_dump(self.clinic.settings))
        enrol = ("enrol", "--config", str(self.clinic.config), "--toplevel", self.central.base_url, "--token", "-")
        assert "enrolled at" in self.clinic.run(*enrol, stdin=token)

    def _box(self, folder: Path, host: str, roles: list[str]) -> RunningAppliance:
        folder.mkdir()
        box = all_in_one(folder, host=host)
        for role in ("toplevel", "institution", "node"):
            if role not in roles:
                del box.settings[role]
        box.settings["roles"] = roles
        return box


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory, phantom_folder: Path) -> Iterator[Boxes]:
    made = Boxes(tmp_path_factory.mktemp("boxes"))
    institution = str(made.clinic.settings["institution"]["id"])
    made.central.create_account(institution=institution)
    try:
        made.central.start()
        made.enrol()
        made.clinic.start()
        made.clinic.take_in(phantom_folder)
        yield made
        assert made.clinic.stop() == 0
        assert made.central.stop() == 0
    finally:
        made.clinic.kill()
        made.central.kill()


async def test_the_page_of_one_box_shows_the_pictures_of_another(boxes: Boxes, tmp_path: Path) -> None:
    trust(tmp_path, boxes.clinic.authority)
    origins = [f"{CENTRAL}:{boxes.central.port}", f"{CLINIC}:{boxes.clinic.port}"]
    hosts = {CENTRAL: "127.0.0.1", CLINIC: "127.0.0.1"}
    async with open_browser(tmp_path, authority=boxes.central.authority, hosts=hosts, http3=origins) as context:
        physician = await Physician.at(context, boxes.central)
        preflights: list[str] = []
        physician.page.on(
            "request", lambda request: preflights.append(request.url) if request.method == "OPTIONS" else None
        )
        await physician.log_in()
        await physician.open_study("phantom")

        number = int((await physician.label("slice-label")).split()[1]) - 1
        assert read_mark(fitted(await physician.grey(), 256, 256)) == number
        protocols = await physician.protocols()
        pictures = [protocol for path, protocol in protocols if "/rendered" in path]
        assert pictures
        assert set(pictures) == {"h3"}
        assert not [url for url in preflights if "/dicom-web/" in url]
        thumbnail = physician.find("series-card").first.locator("img")
        assert await thumbnail.evaluate("image => image.complete && image.naturalWidth") > 0
        assert physician.faults == []


async def test_the_first_picture_of_another_box_does_not_wait_for_the_page(boxes: Boxes, tmp_path: Path) -> None:
    trust(tmp_path, boxes.clinic.authority)
    hosts = {CENTRAL: "127.0.0.1", CLINIC: "127.0.0.1"}
    async with open_browser(tmp_path, authority=boxes.central.authority, hosts=hosts) as context:
        physician = await Physician.at(context, boxes.central)
        await physician.log_in()
        await physician.open_study("phantom")
        page = await context.new_page()
        is_asked = asyncio.Event()
        entrances: list[str] = []

        def note(request: Request) -> None:
            if request.method == "POST" and request.url.endswith("/api/access"):
                entrances.append(request.url)
            if "/rendered?" in request.url:
                is_asked.set()

        async def after_the_picture(route: Route) -> None:
            await is_asked.wait()
            await route.continue_()

        page.on("request", note)
        await page.route("**/assets/*.js", after_the_picture)
        await page.goto(physician.page.url)

        await Physician(page, boxes.central).settle()
        assert entrances == [f"https://{CLINIC}:{boxes.clinic.port}/api/access"]


async def test_a_clinic_that_is_dark_is_said_and_blocks_nothing(boxes: Boxes, tmp_path: Path) -> None:
    trust(tmp_path, boxes.clinic.authority)
    hosts = {CENTRAL: "127.0.0.1", CLINIC: "127.0.0.1"}
    async with open_browser(tmp_path, authority=boxes.central.authority, hosts=hosts) as context:
        physician = await Physician.at(context, boxes.central)
        await physician.log_in()
        await physician.find("patient-search").fill("phantom")
        await expect(physician.find("patient-row")).to_have_count(1)
        assert boxes.clinic.stop() == 0
        try:
            await physician.find("patient-row").first.click()

            await expect(physician.find("patient-name")).to_contain_text("Phantom")
            await expect(physician.find("place-state").first).to_contain_text("not reachable", timeout=20_000)
        finally:
            boxes.clinic.start()


def test_a_stranger_cannot_deliver(boxes: Boxes) -> None:
    with boxes.central.client() as client:
        answer = client.post("/api/sync/changes", content=b"{}", headers={"Authorization": "Bearer x.y.z"})

    assert answer.status_code == 401


async def test_a_browser_that_keeps_the_page_from_its_own_network_is_named_and_told_how(
    boxes: Boxes, tmp_path: Path
) -> None:
    """Local Network Access: the central box is taken for one of the open net, the clinic's is of the browser's own."""
    trust(tmp_path, boxes.clinic.authority)
    public = f"--ip-address-space-overrides=127.0.0.1:{boxes.central.port}=public"
    async with open_browser(
        tmp_path,
        authority=boxes.central.authority,
        hosts={CENTRAL: "127.0.0.1", CLINIC: "127.0.0.1"},
        arguments=[public],
    ) as context:
        physician = await Physician.at(context, boxes.central)
        session = await context.new_cdp_session(physician.page)
        await session.send("Browser.setPermission", {"permission": {"name": _PERMISSION}, "setting": "denied"})
        await physician.log_in()
        await physician.open_patient("phantom")
        await expect(physician.find("place-state").first).to_contain_text("allow “Local network access”")

        await session.send("Browser.setPermission", {"permission": {"name": _PERMISSION}, "setting": "granted"})
        await physician.find("place-state").first.get_by_role("button").click()

        await expect(physician.find("study-row")).to_have_count(1)
