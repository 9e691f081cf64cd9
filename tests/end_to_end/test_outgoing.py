"""What leaves the appliance from the viewer: a file set, a link for another physician, a picture, a printed sheet; and keys and
hangings of one's own."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from uuid import uuid4

import numpy as np
import pydicom
import pytest
import pyvips
from playwright.async_api import BrowserContext, expect
from pydicom.fileset import FileSet

from tests.end_to_end.physician import Physician
from tests.end_to_end.running import RunningAppliance
from tests.end_to_end.test_planes import PIXEL_MM, SIDE, SLICE_MM, SLICES, write_thin_table

PATIENT = "outgoing"
COARSE_MM = 6.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp(PATIENT)
    write_thin_table(made, PATIENT, (SLICE_MM, COARSE_MM))
    return made


@pytest.fixture(scope="module")
def study(appliance: RunningAppliance, folder: Path) -> str:
    """The Patient ID of a study of two series."""
    appliance.take_in(folder)
    return PATIENT


@pytest.fixture
async def ana(physician: Physician, study: str) -> Physician:
    await physician.log_in()
    await physician.open_study(study)
    return physician


@pytest.fixture(scope="module")
def hybrid(appliance: RunningAppliance, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Patient ID of a study of positron emission, fine, and computed tomography, coarse."""
    made = tmp_path_factory.mktemp("hybrid")
    write_thin_table(made, "hybrid", (SLICE_MM, COARSE_MM))
    for file in made.iterdir():
        ds = pydicom.dcmread(file)
        if ds.SeriesDescription == f"{SLICE_MM:g} mm":
            ds.Modality = "PT"
            ds.save_as(file)
    appliance.take_in(made)
    return "hybrid"


async def open_outgoing(ana: Physician) -> None:
    await ana.find("outgoing").click()
    await ana.find("outgoing-dialog").wait_for()


async def downloaded(ana: Physician, test_id: str) -> bytes:
    """What the browser saves when something is clicked."""
    async with ana.page.expect_download() as saving:
        await ana.find(test_id).click()
    return Path(await (await saving.value).path()).read_bytes()


async def test_a_study_is_saved_by_the_browser_as_a_file_set(ana: Physician, folder: Path, tmp_path: Path) -> None:
    await open_outgoing(ana)

    saved = await downloaded(ana, "export-begin")

    await expect(ana.find("export-state")).to_have_attribute("data-state", "done")
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        archive.extractall(tmp_path)
    sent = sorted(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert sorted(Path(one.path).read_bytes() for one in FileSet(tmp_path / "DICOMDIR")) == sent


async def test_an_anonymised_copy_has_the_pixels_and_not_the_patient(ana: Physician, folder: Path) -> None:
    await open_outgoing(ana)
    await ana.find("export-anonymised").check()

    saved = await downloaded(ana, "export-begin")

    archive = zipfile.ZipFile(io.BytesIO(saved))
    made = [pydicom.dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist() if name != "DICOMDIR"]
    sent = [pydicom.dcmread(file) for file in folder.rglob("*") if file.is_file()]
    assert sorted(ds.PixelData for ds in made) == sorted(ds.PixelData for ds in sent)
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert not [ds for ds in sent if ds.SOPInstanceUID.encode() in everything]
    assert PATIENT.encode() not in everything


async def test_another_physician_opens_a_link_by_its_pin_and_sees_the_same(
    ana: Physician, context: BrowserContext, photographs: Path
) -> None:
    seen = await ana.grey()
    await open_outgoing(ana)
    await ana.find("share-make").click()
    link, pin = await ana.label("share-link"), await ana.label("share-pin")
    await ana.photograph(photographs / "outgoing.png")

    guest = Physician(await context.new_page(), ana._appliance)
    await guest.page.set_viewport_size({"width": 1400, "height": 900})
    await guest.page.goto(link)
    await guest.find("guest-pin").fill(f"{(int(pin) + 1) % 10**6:06}")
    await guest.find("guest-open").click()
    await guest.page.get_by_role("alert").wait_for()
    await guest.find("guest-pin").fill(pin)
    await guest.find("guest-open").click()
    await guest.settle()

    assert (await guest.grey()).shape[0] > 0
    assert abs(float((await guest.grey()).mean()) - float(seen.mean())) < 5
    assert await guest.find("outgoing").count() == 0 or not await guest.find("outgoing").is_visible()
    assert link.partition("#")[2] not in " ".join(path for path, _ in await guest.protocols())
    await ana.find("share-end").first.click()
    await expect(ana.find("share").first).to_have_attribute("data-state", "revoked")
    assert guest.faults == []


async def test_the_picture_in_hand_is_saved_as_the_server_draws_it(ana: Physician) -> None:
    await open_outgoing(ana)

    saved = await downloaded(ana, "save-png")

    picture = pyvips.Image.new_from_buffer(saved, "").numpy()
    assert picture.shape[:2] == (SIDE, SIDE)
    assert len(np.unique(picture)) > 1


async def test_a_printed_sheet_says_whose_it_is_and_has_a_true_ruler(ana: Physician, photographs: Path) -> None:
    await ana.page.evaluate("() => { window.print = () => { window.printed = true } }")
    await open_outgoing(ana)
    await ana.find("print").click()
    await ana.page.wait_for_function("() => window.printed")
    await ana.page.emulate_media(media="print")
    sheet = ana.find("print-sheet")

    image, ruler = await sheet.locator("img").bounding_box(), await sheet.locator(".ruler").bounding_box()

    said = await sheet.inner_text()
    assert PATIENT in said
    millimetres = int(said.rpartition(" mm")[0].split()[-1])
    assert ruler["width"] / image["width"] == pytest.approx(millimetres / (SIDE * PIXEL_MM), rel=0.02)
    await ana.photograph(photographs / "printed-sheet.png")
    await ana.page.emulate_media(media="screen")


async def test_keys_of_ones_own_are_kept_and_shown(ana: Physician) -> None:
    await ana.find("help").click()
    await ana.page.locator("[data-testid=own-key][data-usual=W]").click()
    await ana.page.keyboard.press("l")
    await ana.page.keyboard.press("Escape")
    await ana.page.reload()
    await ana.settle()
    await ana.find("help").wait_for()

    await ana.page.keyboard.press("p")
    await expect(ana.find("tool-pan")).to_have_attribute("aria-pressed", "true")
    await ana.page.keyboard.press("l")

    await expect(ana.find("tool-window")).to_have_attribute("aria-pressed", "true")
    assert "L" in str(await ana.find("tool-window").get_attribute("title"))


async def test_a_study_hangs_by_the_rules(ana: Physician) -> None:
    await ana.find("hang").click()

    await expect(ana.find("panes").locator(".cell")).to_have_count(2)
    await ana.page.wait_for_function(
        "() => document.querySelector('[data-testid=pane-1] canvas')?.dataset.settled === 'true'"
    )
    assert await ana.find("pane-0").get_by_test_id("slice-label").inner_text() != ""
    assert SLICES > 1


async def test_a_study_hangs_by_itself_until_somebody_chose_a_layout(physician: Physician, hybrid: str) -> None:
    await physician.log_in()
    await physician.open_study(hybrid)
    cells = physician.find("panes").locator(".cell")
    await expect(cells).to_have_count(2)
    await expect(physician.find("pane-0")).to_contain_text(f"{COARSE_MM:g} mm")
    await expect(physician.find("pane-1")).to_contain_text(f"{SLICE_MM:g} mm")

    # It is remembered for the modality of the first that is shown when a study is opened.
    await physician.find("pane-1").get_by_test_id("viewer-canvas").click()
    await physician.find("layout-select").select_option(label="1×1")
    await physician.page.reload()
    await physician.settle()
    await physician.find("layout-select").wait_for()
    await expect(cells).to_have_count(1)


async def test_who_works_elsewhere_is_told_what_is_not_theirs_to_do(
    physician: Physician, appliance: RunningAppliance, study: str
) -> None:
    appliance.create_account("ivo", "physician", institution=str(uuid4()))
    await physician.log_in(username="ivo")
    await physician.open_study(study)

    await expect(physician.find("tool-mark")).to_be_disabled()
    assert "institution" in str(await physician.find("tool-mark").get_attribute("title"))
    await physician.page.keyboard.press("N")
    await expect(physician.find("tool-mark")).to_have_attribute("aria-pressed", "false")
    await open_outgoing(physician)
    await expect(physician.find("no-sharing")).to_contain_text("institution")
    await expect(physician.find("share-form")).to_have_count(0)
    await expect(physician.find("export-anonymised")).to_be_disabled()
    await expect(physician.find("export-begin")).to_be_enabled()
