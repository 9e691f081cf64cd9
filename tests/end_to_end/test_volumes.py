"""Whole studies in the browser: a real chest CT, a real PET, and a phantom of 555 slices; opened, scrolled, windowed, turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from provisioning.phantom import RECORDS, Phantom, Size, read_mark, write_files
from tests.end_to_end.physician import Physician, fitted
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance


async def opened(physician: Physician, folder: Path, appliance: RunningAppliance) -> None:
    """The study in ``folder`` is imported, assigned, found by its Patient ID and opened.

    It has no birth date of its patient, so by the rule it waits in the inbox.
    """
    appliance.take_in(folder)
    first = next(path for path in sorted(folder.iterdir()) if path.suffix == ".dcm")
    header = pydicom.dcmread(first, stop_before_pixels=True)
    assign(appliance, str(header.StudyInstanceUID), str(header.PatientID))
    await physician.log_in()
    await physician.open_study(str(header.PatientID))


def assign(appliance: RunningAppliance, study_uid: str, patient: str) -> None:
    """The study is that of a new patient, whom the toplevel knows by now."""
    record = {"family_name": patient, "given_name": "", "birth_date": None, "gender": None}
    with appliance.client() as client:
        login = {"username": USERNAME, "password": PASSWORD}
        token = client.post("/api/session", json=login).raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        decision = {**record, "seen_patient_id": None, "with_number": True}
        client.post(f"/api/inbox/{study_uid}/patient", headers=headers, json=decision).raise_for_status()
    appliance.wait_until_told()


async def scrolled(physician: Physician, slices: int) -> list[float]:
    """Goes through the series; how much each picture differs from the one before."""
    await physician.page.keyboard.press("Home")
    await physician.settle()
    before = (await physician.grey()).astype(int)
    differences = []
    for _ in range(4):
        for _ in range(slices // 6):
            await physician.page.keyboard.press("ArrowDown")
        await physician.settle()
        now = (await physician.grey()).astype(int)
        differences.append(float(np.abs(now - before).mean()))
        before = now
    assert f"/ {slices}" in await physician.label("slice-label")
    return differences


async def turned(physician: Physician, view: str) -> float:
    """Turns the volume; how much the picture changed."""
    await physician.show(view)
    front = (await physician.colours()).astype(int)
    assert front.std() > 10, f"{view} shows nothing"
    await physician.drag(180, 40)
    side = (await physician.colours()).astype(int)
    assert side.std() > 10, f"{view} shows nothing after turning"
    return float(np.abs(front - side).mean())


async def test_the_chest_ct_opens_scrolls_windows_and_turns(
    physician: Physician, appliance: RunningAppliance, dicom_dir: Path, photographs: Path
) -> None:
    await opened(physician, dicom_dir / "01-volumes" / "ct-chest-lidc-0314", appliance)

    assert min(await scrolled(physician, 160)) > 1
    before = await physician.label("window-label")
    await physician.drag(120, 60)
    assert await physician.label("window-label") != before
    assert await turned(physician, "mip") > 2
    assert await turned(physician, "volume") > 2
    await physician.photograph(photographs / "chest-volume.png")


async def test_the_whole_body_pet_opens_scrolls_windows_and_turns(
    physician: Physician, appliance: RunningAppliance, dicom_dir: Path, photographs: Path
) -> None:
    await opened(physician, dicom_dir / "01-volumes" / "pet-qin-headneck-0024", appliance)

    assert min(await scrolled(physician, 299)) > 0.5
    before = await physician.label("window-label")
    await physician.drag(-60, -60)
    assert await physician.label("window-label") != before
    assert await turned(physician, "mip") > 1
    await physician.photograph(photographs / "pet-mip.png")
    assert await turned(physician, "volume") > 1


_SETTLED_AT = """place => {
  const canvas = document.querySelector(`[data-testid=pane-${place}] canvas`)
  return canvas?.dataset.settled === 'true'
}"""


async def test_the_screenshots_of_the_documentation(
    physician: Physician, appliance: RunningAppliance, tmp_path: Path, photographs: Path
) -> None:
    for _ in write_files(Phantom(Size(110, 400, 400, 1.0, 3.4), seed=3), tmp_path):
        pass
    appliance.take_in(tmp_path)
    await physician.log_in()
    await physician.open_study("phantom", having="110 objects")

    taken = [photographs / name for name in ("slice.png", "coronal.png", "volume.png")]
    await physician.photograph(taken[0])
    await physician.show("coronal")
    await physician.photograph(taken[1])
    await physician.show("volume")
    await physician.drag(60, 20)
    await physician.photograph(taken[2])

    assert min(file.stat().st_size for file in taken) > 30_000


@pytest.mark.long
async def test_oblique_planes_and_a_phone_are_photographed(
    physician: Physician, appliance: RunningAppliance, tmp_path: Path, photographs: Path
) -> None:
    for _ in write_files(Phantom(Size(110, 400, 400, 1.0, 3.4), seed=3), tmp_path):
        pass
    appliance.take_in(tmp_path)
    await physician.log_in()
    await physician.open_study("phantom", having="110 objects")
    await physician.find("show-planes").click()
    await physician.find("tool-cross").click()
    turn = physician.find("pane-0").get_by_test_id("turn-coronal").last
    for _ in range(20):
        await turn.press("ArrowUp")
    for place in range(4):
        await physician.page.wait_for_function(_SETTLED_AT, arg=place)
    await physician.photograph(photographs / "planes.png")
    await physician.find("layout-select").select_option(label="1×1")
    await physician.page.set_viewport_size({"width": 390, "height": 844})
    await physician.settle()
    await physician.photograph(photographs / "phone.png")

    assert min((photographs / name).stat().st_size for name in ("planes.png", "phone.png")) > 30_000


@pytest.mark.long
async def test_a_phantom_of_555_slices_opens_scrolls_windows_and_turns(
    physician: Physician, appliance: RunningAppliance, tmp_path: Path
) -> None:
    folder = tmp_path / "record-c"
    folder.mkdir()
    for _ in write_files(Phantom(RECORDS["C"], seed=7, marked=True), folder):
        pass
    appliance.take_in(folder)
    await physician.log_in()
    await physician.open_study("phantom", having="555 objects")

    assert min(await scrolled(physician, 555)) > 0.5
    number = int((await physician.label("slice-label")).split()[1]) - 1
    assert read_mark(fitted(await physician.grey(), 512, 512)) == number
    before = await physician.label("window-label")
    await physician.drag(120, 60)
    assert await physician.label("window-label") != before
    assert await turned(physician, "mip") > 2
    assert await turned(physician, "volume") > 2
