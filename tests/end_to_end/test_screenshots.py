"""The pictures of docs/viewer.md: the main views, on published studies, each as it is when it is at rest.

They are written to build/screenshots/published; docs/screenshots has copies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvips
from playwright.async_api import expect
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.end_to_end.browser import open_browser
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import HOST, RunningAppliance, all_in_one
from tests.end_to_end.test_study_objects import abdomen, of

pytestmark = pytest.mark.long

CT = "01-volumes/ct-chest-lidc-0314"
HEAD = "01-volumes/mr-head-sag-decubitus-left"
MAMMOGRAM = "04-xray/MG-GH133.dcm"
SERIES = "Chest, 1 mm"
STEP, FINER = 2, 4
"""Of the calculated PET: slices of CT between two of it, and pixels of CT along the side of one of it."""
HOT = ((0.45, 250, 150, 9.0), (0.62, 262, 350, 12.0))
"""Where it is hot: part of the height, row and column of CT, radius in mm."""
DEGREES = 15
WITHOUT_TABLE = {"clip-0": "0.14", "clip-1": "0.86", "clip-3": "0.82"}
"""What of the volume lies before the table and between its sides."""
MOST_BYTES, LEAST_BYTES = 150_000, 5_000
_PLANES_SETTLED = """() => [...document.querySelectorAll('[data-testid=viewer-canvas]')].length === 4
  && [...document.querySelectorAll('[data-testid=viewer-canvas]')].every(one => one.dataset.settled === 'true')"""


def person(patient_id: str, name: str, born: str, sex: str, *datasets: Dataset) -> list[Dataset]:
    for ds in datasets:
        ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = patient_id, name, born, sex
        ds.InstitutionName = "Demonstration Clinic"
    return list(datasets)


def pet_over(slices: list[Dataset]) -> Iterator[Dataset]:
    """A PET that is calculated over a CT: what is dense takes up a little, and two places much."""
    series_uid = generate_uid()
    heights = [float(one.ImagePositionPatient[2]) for one in slices]
    for number, ct in enumerate(slices[::STEP]):
        units = ct.pixel_array * float(ct.RescaleSlope) + float(ct.RescaleIntercept)
        uptake = np.where(units > -300, 1500.0, 150.0) + np.clip(units, 0, 200) * 4
        row, column = np.mgrid[: ct.Rows, : ct.Columns]
        spacing, z = float(ct.PixelSpacing[0]), float(ct.ImagePositionPatient[2])
        for part, y, x, radius in HOT:
            height = heights[0] + part * (heights[-1] - heights[0])
            far = ((row - y) * spacing) ** 2 + ((column - x) * spacing) ** 2 + (z - height) ** 2
            uptake += 22_000 * np.exp(-far / (2 * (radius / 1.5) ** 2))
        coarse = uptake.reshape(ct.Rows // FINER, FINER, ct.Columns // FINER, FINER).mean((1, 3))
        yield _pet(ct, coarse, series_uid, number)


def _pet(ct: Dataset, becquerels: np.ndarray, series_uid: str, number: int) -> Dataset:
    ds = Dataset()
    for keyword in ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyDescription", "FrameOfReferenceUID"):
        setattr(ds, keyword, ct.get(keyword, ""))
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.128", generate_uid()
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber = "PT", series_uid, 9
    ds.SeriesDescription, ds.InstanceNumber, ds.Units = "PET (calculated)", number + 1, "BQML"
    spacing = float(ct.PixelSpacing[0])
    ds.ImageOrientationPatient, ds.PixelSpacing = ct.ImageOrientationPatient, [spacing * FINER] * 2
    x, y, z = map(float, ct.ImagePositionPatient)
    ds.ImagePositionPatient = [x + (FINER - 1) / 2 * spacing, y + (FINER - 1) / 2 * spacing, z]
    ds.SliceThickness = STEP
    ds.Rows, ds.Columns = becquerels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "BQML"
    ds.WindowCenter, ds.WindowWidth = 6000, 12000
    ds.PixelData = np.rint(becquerels).astype("<u2").tobytes()
    ds.file_meta = type(ct.file_meta)()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    return ds


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, dicom_dir: Path) -> Iterator[RunningAppliance]:
    """All roles in one process, with what was published of three people, who have other names here."""
    running, folder = all_in_one(tmp_path_factory.mktemp("clinic")), tmp_path_factory.mktemp("published")
    chest = [dcmread(file) for file in sorted((dicom_dir / CT).iterdir())]
    chest.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    for ds in chest:
        ds.StudyDescription, ds.SeriesDescription = "CT of the chest", SERIES
        ds.FrameOfReferenceUID = chest[
            0
        ].FrameOfReferenceUID  # whoever took the names out gave each slice one of its own
    head = [dcmread(file) for file in sorted((dicom_dir / HEAD).iterdir())]
    for ds in head:
        ds.StudyDescription = "MR of the head"
    everything = [
        *person("DEMO-1", "Demo^Chest", "19561014", "F", *chest, *pet_over(chest), *head),
        *person("DEMO-2", "Demo^Breast", "19600101", "F", dcmread(dicom_dir / MAMMOGRAM)),
        *person("DEMO-3", "Demo^Abdomen", "19700131", "F", *of("DEMO-3", *abdomen(dicom_dir))),
    ]
    for number, ds in enumerate(everything):
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    running.create_account()
    try:
        running.start()
        running.take_in(folder)
        yield running
        assert running.stop() == 0
    finally:
        running.kill()


@pytest.fixture
async def visitor(clinic: RunningAppliance, tmp_path: Path) -> AsyncIterator[Physician]:
    async with open_browser(tmp_path, authority=clinic.authority, hosts={HOST: "127.0.0.1"}) as context:
        physician = await Physician.at(context, clinic)
        await physician.page.set_viewport_size({"width": 1280, "height": 800})
        yield physician
        assert physician.faults == []


@pytest.fixture
async def ana(visitor: Physician) -> Physician:
    await visitor.log_in()
    await expect(visitor.find("patient-row")).to_have_count(3)
    return visitor


async def publish(ana: Physician, photographs: Path, name: str) -> None:
    """Lossy, for a page of the documentation; small enough and not empty."""
    file = photographs / "published" / f"{name}.webp"
    file.parent.mkdir(parents=True, exist_ok=True)
    image = pyvips.Image.new_from_buffer(await ana.page.screenshot(), "")
    pictures = (image.webpsave_buffer(Q=quality, effort=4, keep="none") for quality in (85, 75, 60, 45))
    body = next(one for one in pictures if len(one) <= MOST_BYTES)
    file.write_bytes(body)
    assert len(body) >= LEAST_BYTES


async def proven(ana: Physician) -> None:
    await ana.settle()
    await expect(ana.find("picture-proof").first).to_contain_text("All bits", timeout=60_000)


async def open_chest(ana: Physician) -> None:
    """The CT alone, which hangs beside its PET by itself."""
    await ana.open_study("DEMO-1", having="CT of the chest")
    await expect(ana.find("viewer-canvas")).to_have_count(2, timeout=60_000)
    await ana.find("series-card").filter(has_text=SERIES).click()
    await ana.find("layout-select").select_option(label="1×1")
    await expect(ana.find("pane-0")).to_contain_text(SERIES)
    await proven(ana)


async def drag(ana: Physician, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of the picture to another, each as parts of its width and height."""
    box = await ana.find("viewer-canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    await ana.page.mouse.move(*places[0])
    await ana.page.mouse.down()
    await ana.page.mouse.move(*places[1], steps=6)
    await ana.page.mouse.up()


async def test_the_login(visitor: Physician, photographs: Path) -> None:
    await visitor.find("login-username").fill("ana")
    await publish(visitor, photographs, "login")


async def test_the_record_of_a_patient(ana: Physician, photographs: Path) -> None:
    await ana.open_patient("DEMO-1")
    await expect(ana.find("study-row")).to_have_count(2)
    await ana.find("report-new").click()
    await ana.find("report-description").fill("CT of the chest")
    await ana.find("report-findings").fill("No nodule, no effusion. The vessels are of usual width.")
    await expect(ana.find("report-saving")).to_have_attribute("data-state", "saved", timeout=30_000)
    await ana.find("report-sign").click()
    await expect(ana.find("report-editor")).to_be_hidden()
    await ana.find("report-row").click()
    await expect(ana.find("report-signature")).to_be_visible()
    await publish(ana, photographs, "record")


async def test_a_slice_measured(ana: Physician, photographs: Path) -> None:
    await open_chest(ana)
    lung = ana.find("preset-select").locator("option").filter(has_text="Lung")
    await ana.find("preset-select").select_option(await lung.get_attribute("value"))
    await ana.find("tool-mark").click()
    await ana.find("mark-length").click()
    await drag(ana, (0.34, 0.62), (0.44, 0.5))
    await ana.find("mark-ellipse").click()
    await drag(ana, (0.52, 0.4), (0.6, 0.54))
    await expect(ana.find("mark")).to_have_count(2)
    await expect(ana.find("mark-label").filter(has_text="HU")).to_be_visible()
    await expect(ana.find("mark-saving")).to_have_attribute("data-state", "saved")
    await publish(ana, photographs, "measured")


async def test_planes_that_are_turned_and_a_volume(ana: Physician, photographs: Path) -> None:
    await open_chest(ana)
    await ana.find("show-planes").click()
    await ana.find("tool-cross").click()
    turn = ana.find("pane-0").get_by_test_id("turn-coronal").last
    for _ in range(DEGREES):
        await turn.press("ArrowUp")
    await ana.page.wait_for_function(_PLANES_SETTLED)
    await publish(ana, photographs, "planes")


async def test_a_volume(ana: Physician, photographs: Path) -> None:
    await open_chest(ana)
    await ana.show("volume")
    await ana.find("material-select").select_option("bone")
    await ana.find("space-options").click()
    for side, part in WITHOUT_TABLE.items():
        await ana.find(side).fill(part)
    await ana.find("space-options").click()
    await ana.find("viewer-canvas").hover()
    for _ in range(4):
        await ana.page.mouse.wheel(0, -120)
    await ana.drag(120, 30)
    await publish(ana, photographs, "volume")


async def test_a_pet_over_its_ct(ana: Physician, photographs: Path) -> None:
    await open_chest(ana)
    await ana.show("coronal")
    await ana.find("fuse-select").select_option(index=1)
    await ana.settle()
    seen = (await ana.colours()).astype(int)
    assert (np.ptp(seen, axis=2) > 60).sum() > 500, "there is nothing in colour"
    await publish(ana, photographs, "fusion")


async def test_a_mammogram_at_one_to_one(ana: Physician, photographs: Path) -> None:
    await ana.open_study("DEMO-2")
    await proven(ana)
    await ana.page.keyboard.press("O")
    await proven(ana)
    await expect(ana.find("pane-0")).to_contain_text("100 %")
    await publish(ana, photographs, "mammogram")


@pytest.mark.parametrize(
    ("kind", "shown", "name"), [("report", "report", "structured-report"), ("waveform", "paper-chart", "ecg")]
)
async def test_a_document_beside_its_pictures(
    ana: Physician, photographs: Path, kind: str, shown: str, name: str
) -> None:
    await ana.open_study("DEMO-3")
    await ana.page.locator(f"[data-testid=study-object][data-kind={kind}]").click()
    await expect(ana.find(shown)).to_be_visible()
    await ana.page.wait_for_load_state("networkidle")
    await proven(ana)
    await publish(ana, photographs, name)


async def test_segments_over_a_picture(ana: Physician, photographs: Path) -> None:
    await ana.open_study("DEMO-3")
    await ana.page.locator("[data-testid=study-object][data-kind=segmentation]").click()
    await expect(ana.find("region").first).to_be_attached()
    await proven(ana)
    await publish(ana, photographs, "segmentation")


async def test_the_place_of_administrators(ana: Physician, photographs: Path) -> None:
    await ana.find("administration-link").click()
    await ana.page.get_by_role("link", name="Audit trail").click()
    await expect(ana.page.get_by_role("row").nth(5)).to_be_visible()
    await publish(ana, photographs, "administration")


async def test_a_phone(ana: Physician, photographs: Path) -> None:
    await open_chest(ana)
    await ana.page.set_viewport_size({"width": 390, "height": 844})
    await proven(ana)
    await publish(ana, photographs, "phone")
