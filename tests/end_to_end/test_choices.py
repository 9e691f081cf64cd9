"""What a file may be seen through, as a physician chooses it by name.

And a mammogram, too large to come whole, seen in its parts.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
from playwright.async_api import expect
from pydicom.pixels import pixel_array

from tests.end_to_end.asking import Asked, drawn_by_server
from tests.end_to_end.browser import open_browser
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import HOST, RunningAppliance, all_in_one

CHEST = "04-xray/DX-C3L-00277.dcm"
"""A window and three VOI LUTs: NORMAL, HARDER, SOFTER."""
MAMMOGRAM = "04-xray/MG-GH133.dcm"
"""3062 x 2394 pixels of 12 bits, JPEG lossless; of the right side, rows to the posterior, columns to feet and left."""
WINDOW = (2600, 1200)
_TIMEOUT_MS = 30_000


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, dicom_dir: Path) -> Iterator[RunningAppliance]:
    """All roles in one process, with a radiograph of the chest."""
    running, folder = all_in_one(tmp_path_factory.mktemp("clinic")), tmp_path_factory.mktemp("chest")
    running.create_account()
    shutil.copy(dicom_dir / CHEST, folder)
    mammogram = pydicom.dcmread(dicom_dir / MAMMOGRAM)
    mammogram.PatientBirthDate = "19600101"  # of nobody, in the file: such a patient would lie in the inbox
    mammogram.save_as(folder / "mammogram.dcm")
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


def grey_of(values: np.ndarray) -> np.ndarray:
    """Through ``WINDOW`` by the function of the file, SIGMOID (PS3.3 C.11.2.1.3.1)."""
    center, width = WINDOW
    return np.asarray(255 / (1 + np.exp(-4 * (values - center) / width)))


def last_part(asked: Asked) -> tuple[str, list[float]]:
    """The path of the last picture of a part that was asked for, and its ``viewport``: width, height, x, y, w, h."""
    for url in reversed(asked.urls):
        size = [float(number) for number in httpx.URL(url).params.get("viewport", "").split(",") if number]
        if len(size) == 6:
            return httpx.URL(url).raw_path.decode(), size
    raise AssertionError("no part was asked for")


@pytest.fixture
async def mammogram(ana: Physician) -> Physician:
    await ana.log_in()
    await ana.open_study("ANON-1234")
    await ana.find("window-center").fill(str(WINDOW[0]))
    await ana.find("window-center").press("Enter")
    await ana.find("window-width").fill(str(WINDOW[1]))
    await ana.find("window-width").press("Enter")
    await ana.settle()
    return ana


@pytest.mark.long
async def test_a_mammogram_is_sharp_pixel_for_pixel_and_only_the_part_that_is_seen_is_fetched(
    mammogram: Physician, dicom_dir: Path
) -> None:
    stored = pixel_array(pydicom.dcmread(dicom_dir / MAMMOGRAM))
    asked = Asked(mammogram, "/rendered")
    await mammogram.page.keyboard.press("O")
    await mammogram.settle()
    shown = (await mammogram.grey()).astype(int)

    _, size = last_part(asked)
    assert size[0] * size[1] < stored.size / 4
    # The part lies on whole pixels of the canvas, the middle of the picture in its middle.
    left, top = (
        int(np.floor(pane / 2 + first - whole / 2 + 0.5)) - int(first)
        for pane, first, whole in zip(shown.shape[::-1], size[2:4], stored.shape[::-1], strict=True)
    )
    part = stored[-top : -top + shown.shape[0], -left : -left + shown.shape[1]]
    inside = (slice(2, part.shape[0] - 2), slice(2, part.shape[1] - 2))
    assert part.shape[0] > 600
    assert np.abs(shown[inside] - grey_of(part.astype(float))[inside]).max() <= 1
    assert "100 %" in await mammogram.find("pane-0").inner_text()


@pytest.mark.long
async def test_a_mammogram_says_how_it_lies_and_of_which_side_it_is(mammogram: Physician) -> None:
    letters = [await mammogram.label(f"letter-{side}") for side in ("left", "right", "top", "bottom")]

    assert letters == ["A", "P", "HR", "FL"]
    assert await mammogram.label("overlay-side") == "R"


@pytest.mark.long
async def test_a_mammogram_under_the_magnifier_is_the_servers_part_of_it(
    mammogram: Physician, clinic: RunningAppliance, photographs: Path
) -> None:
    asked = Asked(mammogram, "/rendered")
    await mammogram.find("tool-lens").click()
    box = await mammogram.find("viewer-canvas").bounding_box()
    await mammogram.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await expect(mammogram.find("lens")).to_have_attribute("data-fine", "true", timeout=_TIMEOUT_MS)
    seen = (await mammogram.colours(_LENS))[:, :, 0].astype(int)
    await mammogram.photograph(photographs / "magnifier.png")

    path, _ = last_part(asked)
    exact = drawn_by_server(clinic, path).astype(int)
    # The part that was fetched begins at a whole pixel of the source, up to two beyond the edge of the glass.
    middle = seen[60:180, 60:180]
    shifted = [exact[60 + down : 180 + down, 60 + right : 180 + right] for down in range(4) for right in range(4)]
    assert min(np.abs(middle - one).max() for one in shifted) <= 1
    assert np.ptp(middle) > 20, "there is nothing to be seen"


_LENS = "() => document.querySelector('[data-testid=lens]').toDataURL('image/png').split(',')[1]"


@pytest.mark.long
async def test_the_window_of_what_is_seen_shows_all_that_differs_in_it(mammogram: Physician, dicom_dir: Path) -> None:
    stored = pixel_array(pydicom.dcmread(dicom_dir / MAMMOGRAM))
    await mammogram.page.keyboard.press("O")
    await mammogram.settle()
    before = await mammogram.label("window-label")
    shape = (await mammogram.grey()).shape
    await mammogram.find("auto-window").click()
    await expect(mammogram.find("window-label")).not_to_have_text(before, timeout=_TIMEOUT_MS)
    await mammogram.settle()

    center = float(await mammogram.find("window-center").input_value())
    width = float(await mammogram.find("window-width").input_value())
    top, left = ((whole - part) // 2 for whole, part in zip(stored.shape, shape, strict=True))
    part = stored[max(0, top) : top + shape[0], max(0, left) : left + shape[1]]
    part = part[part != part.min()]
    assert center - width / 2 == pytest.approx(np.percentile(part, 0.5), abs=0.05 * np.ptp(part))
    assert center + width / 2 == pytest.approx(np.percentile(part, 99.5), abs=0.05 * np.ptp(part))
