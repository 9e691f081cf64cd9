"""Three appliances on one machine, as ``provisioning/run --clinics 2`` starts them, and a physician at all of them."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from playwright.async_api import Route, expect

from provisioning import county, demonstration
from provisioning.data_folder import Place
from tests.end_to_end.browser import open_browser
from tests.end_to_end.county import log_in, sign_report
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import RunningAppliance, free_port
from tests.end_to_end.test_dark_toplevel import bearer, wait_for

_ROOT = Path(__file__).resolve().parents[2]
_APPLIANCE = [sys.executable, "-m", "appliance"]
_FINDINGS = "Nothing of note at the second clinic"


@dataclass
class Started:
    county: county.County
    passwords: dict[str, str]

    def client(self, box: county.Box) -> httpx.Client:
        return RunningAppliance(box.folder.parent, {"listen": {"port": box.place.port}}).client()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("county")
    template = yaml.safe_load((_ROOT / "config" / "all-in-one.yaml").read_text())
    template["node"]["instances"]["free_floor_bytes"] = 0
    (folder / "template.yaml").write_text(yaml.safe_dump(template))
    made = county.County(folder, folder / "template.yaml", 2, Place("127.0.0.1", three_free_ports()))
    with county.running(made, _APPLIANCE, demonstration.serving) as people:
        county.fill(made, _APPLIANCE, county.write_samples)
        yield Started(made, {one.username: one.password for one in people})


def three_free_ports() -> int:
    """The first of three in a row."""
    while True:
        first = free_port()
        try:
            for port in range(first, first + 3):
                demonstration.refuse_used_port(Place("127.0.0.1", port))
        except county.Refusal:
            continue
        return first


def test_one_person_is_one_patient_with_images_at_both_clinics(started: Started) -> None:
    with started.client(started.county.central) as central:
        someone = bearer(log_in(central, "demo-1", started.passwords["demo-1"]))

        def held_by() -> list[int]:
            found = central.get("/api/patients", params={"search": "phantom"}, headers=someone).json()["patients"]
            return [len(patient["institution_ids"]) for patient in found]

        wait_for(lambda: held_by() == [2], "both clinics hold something of the one patient")


async def test_a_physician_logs_in_searches_reads_what_both_clinics_have_and_opens_an_image_of_the_other(
    started: Started, tmp_path: Path
) -> None:
    first, second = (urlsplit(box.origin).netloc for box in started.county.clinics)
    write_report_at_the_second_clinic(started)
    may_answer = asyncio.Event()

    async with open_browser(
        tmp_path, authority=started.county.central.authority, hosts={"*.localhost": "127.0.0.1"}
    ) as context:
        page = await context.new_page()
        await page.goto(started.county.central.origin)
        physician = Physician(page, RunningAppliance(tmp_path, {}))

        async def hold(route: Route) -> None:
            await may_answer.wait()
            await route.continue_()

        await physician.log_in(started.passwords["demo-1"], username="demo-1")
        await physician.find("patient-search").fill("phantom")
        await expect(physician.find("patient-row")).to_have_count(1)
        await page.route(re.compile(re.escape(f"//{first}/")), hold)
        await physician.find("patient-row").first.click()

        await expect(physician.find("study-row").filter(has_text="Clinic 2")).to_have_count(1)
        await expect(physician.find("study-row")).to_have_count(1)
        may_answer.set()
        await expect(physician.find("study-row")).to_have_count(2)
        await page.locator("summary").filter(has_text="Clinic 2").click()
        await expect(page.get_by_text(_FINDINGS)).to_be_visible()

        pictures: list[str] = []
        page.on("response", lambda response: pictures.append(response.url) if "/rendered" in response.url else None)
        await physician.find("study-row").filter(has_text="Clinic 2").first.click()
        await physician.settle()

        assert {urlsplit(url).netloc for url in pictures} == {second}
        assert (await physician.grey()).std() > 10
        assert physician.faults == []


def write_report_at_the_second_clinic(started: Started) -> None:
    with started.client(started.county.central) as central:
        someone = bearer(log_in(central, "demo-2", started.passwords["demo-2"]))
        found = central.get("/api/patients", params={"search": "phantom"}, headers=someone).json()["patients"]
    with started.client(started.county.clinics[1]) as clinic:
        clinic.headers.update(someone)
        sign_report(clinic, found[0]["id"], _FINDINGS)


def test_a_second_start_leaves_ids_and_passwords_as_they_are(started: Started) -> None:
    before = [box.settings_file.read_text() for box in started.county.boxes]

    started.county.prepare()

    assert [box.settings_file.read_text() for box in started.county.boxes] == before
    assert {one.username: one.password for one in started.county.people()} == started.passwords
