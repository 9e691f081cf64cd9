"""What a file may be seen through, as a physician chooses it by name."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.end_to_end.browser import open_browser
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import HOST, RunningAppliance, all_in_one

CHEST = "04-xray/DX-C3L-00277.dcm"
"""A window and three VOI LUTs: NORMAL, HARDER, SOFTER."""


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, dicom_dir: Path) -> Iterator[RunningAppliance]:
    """All roles in one process, with a radiograph of the chest."""
    running, folder = all_in_one(tmp_path_factory.mktemp("clinic")), tmp_path_factory.mktemp("chest")
    running.create_account()
    shutil.copy(dicom_dir / CHEST, folder)
    try:
        running.start()
        running.take_in(folder)
        yield running
        assert running.stop() == 0
    finally:
        running.kill()


@pytest.fixture
async def ana(clinic: RunningAppliance, tmp_path: Path) -> AsyncIterator[Physician]:
    async with open_browser(tmp_path, authority=clinic.authority, hosts={HOST: "127.0.0.1"}) as context:
        physician = await Physician.at(context, clinic)
        yield physician
        assert physician.faults == []


async def test_the_tables_of_a_file_are_chosen_by_name_and_seen(ana: Physician, dicom_dir: Path) -> None:
    name = str(pydicom.dcmread(dicom_dir / CHEST, stop_before_pixels=True).PatientName).partition("^")[0]
    await ana.log_in()
    await ana.open_study(name)
    choose, asked = ana.find("preset-select"), list[str]()
    ana.page.on("request", lambda request: asked.append(request.url))
    usual = await ana.grey()

    names = [text.strip() for text in await choose.locator("option").all_inner_texts()]
    await choose.select_option("2")
    await ana.settle()
    harder = await ana.grey()
    await choose.select_option("default")
    await ana.settle()

    assert names == ["Default", "1  CHEST, UPRIGHT", "2  NORMAL (table)", "3  HARDER (table)", "4  SOFTER (table)"]
    assert [url for url in asked if "voi=lut,2" in url and "rules=" in url]
    assert not np.array_equal(harder, usual)
    assert np.array_equal(await ana.grey(), usual)
