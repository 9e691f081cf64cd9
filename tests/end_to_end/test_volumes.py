"""Whole studies in the browser: a real chest CT, a real PET, and a phantom of 555 slices; opened, scrolled, windowed, turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from provisioning.phantom import RECORDS, Phantom, read_mark, write_files
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
