"""The way of a physician, from the login to the picture, in a real browser over HTTP/3; each picture judged by its pixels."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pydicom
import pytest
import pyvips
from numpy.typing import NDArray
from playwright.async_api import expect

from appliance.domain import grayscale
from appliance.domain.image import Window
from provisioning.phantom import read_mark
from tests.end_to_end.browser import open_browser
from tests.end_to_end.conftest import MARKED
from tests.end_to_end.physician import Physician, fitted
from tests.end_to_end.running import HOST, PASSWORD, USERNAME, RunningAppliance
from tests.end_to_end.strangers import http_client

ROWS = COLUMNS = 256
SLICES = MARKED.size.slices
INTERCEPT = -1024


async def shown_slice(physician: Physician) -> int | None:
    """Which slice the pixels say that they are, counted from 0."""
    return read_mark(fitted(await physician.grey(), ROWS, COLUMNS))


async def labelled_slice(physician: Physician) -> int:
    """Which slice the label says it is, counted from 0."""
    return int((await physician.label("slice-label")).split()[1]) - 1


def expected_grey(stored: NDArray[np.uint16], center: float, width: float) -> NDArray[np.uint8]:
    """A slice windowed by PS3.3 C.11.2.1.2.1, written down once more."""
    values = stored.astype(float) + INTERCEPT
    grey = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def likeness(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Correlation of two pictures, without the rows of the mark and its neighbours."""
    return float(np.corrcoef(a[12:].ravel().astype(float), b[12:].ravel().astype(float))[0, 1])


async def test_a_wrong_password_is_said(physician: Physician) -> None:
    await physician.log_in("not the password")

    await expect(physician.find("login-message")).to_be_visible()
    await expect(physician.find("login-submit")).to_be_enabled()


async def test_a_folder_is_uploaded_found_and_seen(
    physician: Physician, appliance: RunningAppliance, phantom_folder: Path
) -> None:
    with http_client(appliance) as client:  # other files of tests put it there, too
        study = pydicom.dcmread(next(phantom_folder.iterdir()), stop_before_pixels=True).StudyInstanceUID
        assert client.delete(f"/studies/{study}").status_code in {204, 404}
    await physician.log_in()
    await physician.page.get_by_role("link", name="Upload").click()
    await physician.find("upload-folder").set_input_files(phantom_folder)
    await expect(physician.find("upload-count-stored")).to_contain_text(str(SLICES), timeout=60_000)

    await physician.page.get_by_role("link", name="Patients").click()
    await physician.open_study("phantom")

    assert await shown_slice(physician) == await labelled_slice(physician)
    # The list of series comes after the first picture.
    is_asked = "() => performance.getEntriesByType('resource').some(({ name }) => name.includes('/thumbnail'))"
    await physician.page.wait_for_function(is_asked)
    protocols = await physician.protocols()
    assert {protocol for _, protocol in protocols} == {"h3"}, protocols
    asked = " ".join(path for path, _ in protocols)
    assert all(part in asked for part in ("/assets/", "/api/patients", "/rendered", "/thumbnail"))


async def test_what_is_no_dicom_is_refused_by_name(
    physician: Physician, filled: RunningAppliance, tmp_path: Path
) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear colleague")
    await physician.log_in()
    await physician.page.get_by_role("link", name="Upload").click()
    await physician.find("upload-files").set_input_files(letter)

    await expect(physician.find("upload-outcome").first).to_contain_text("DICOM")
    await expect(physician.find("upload-count-stored")).to_have_count(0)


async def test_wheel_keys_and_slider_show_the_slice_that_they_say(
    physician: Physician, filled: RunningAppliance
) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    seen = []

    await physician.find("viewer-canvas").hover()
    for _ in range(5):
        await physician.page.mouse.wheel(0, 120)
    await physician.settle()
    seen.append((await labelled_slice(physician), await shown_slice(physician)))
    await physician.page.keyboard.press("Home")
    await physician.settle()
    seen.append((await labelled_slice(physician), await shown_slice(physician)))
    for _ in range(3):
        await physician.page.keyboard.press("ArrowDown")
    await physician.settle()
    seen.append((await labelled_slice(physician), await shown_slice(physician)))
    await physician.page.keyboard.press("End")
    await physician.settle()
    seen.append((await labelled_slice(physician), await shown_slice(physician)))

    labelled = [label for label, _ in seen]
    assert labelled == [shown for _, shown in seen]
    assert labelled[0] == SLICES // 2 + 5
    assert labelled[1:] in ([0, 3, SLICES - 1], [SLICES - 1, SLICES - 4, 0])


async def test_a_settled_slice_is_the_stored_values_windowed(
    physician: Physician, filled: RunningAppliance, phantom_values: NDArray[np.uint16]
) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    index = await labelled_slice(physician)

    shown = fitted(await physician.grey(), ROWS, COLUMNS)

    right = expected_grey(phantom_values[index], 40, 400)
    assert likeness(shown, right) > 0.99
    assert likeness(shown, right) > likeness(shown, expected_grey(phantom_values[index - 1], 40, 400))
    assert np.abs(shown[12:].astype(int) - right[12:]).mean() < 3


async def test_a_slice_at_one_for_one_is_exact_to_the_last_grey_level(
    filled: RunningAppliance, phantom_values: NDArray[np.uint16]
) -> None:
    with filled.client() as client:
        headers = {"Authorization": "Bearer " + _token(client)}
        study, series, slices = _series_of(client, headers)
        index = SLICES // 3
        path = f"/dicom-web/studies/{study}/series/{series}/instances/{slices[index]['instance_uid']}/rendered"
        answer = client.get(path, params={"window": "40,400"}, headers={**headers, "Accept": "image/png"})

    shown = np.asarray(pyvips.Image.new_from_buffer(answer.content, "").numpy())
    assert shown.shape == (ROWS, COLUMNS), "grey stays one channel"
    reference = grayscale.windowed(phantom_values[index].astype(np.float64) + INTERCEPT, Window(40, 400))
    assert (shown == np.rint(reference * 255).astype(np.uint8)).all()
    assert (shown == expected_grey(phantom_values[index], 40, 400)).all()


async def test_the_first_slice_comes_while_nothing_else_of_the_series_was_read(filled: RunningAppliance) -> None:
    with filled.client() as client:
        headers = {"Authorization": "Bearer " + _token(client)}
        study, series, slices = _series_of(client, headers)
        before = _decoded(client)
        path = f"/dicom-web/studies/{study}/series/{series}/instances/{slices[7]['instance_uid']}/rendered"
        client.get(path, params={"window": "123,456"}, headers=headers).raise_for_status()

        assert _decoded(client) - before <= 1


async def test_dragging_changes_the_window_as_the_label_says(
    physician: Physician, filled: RunningAppliance, phantom_values: NDArray[np.uint16]
) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    before = await physician.label("window-label")

    await physician.find("tool-window").click()
    await physician.drag(150, 90)

    after = await physician.label("window-label")
    assert after != before
    _, center, _, width, *_ = after.replace("−", "-").replace(",", "").split()
    shown = fitted(await physician.grey(), ROWS, COLUMNS)
    right = expected_grey(phantom_values[await labelled_slice(physician)], float(center), float(width))
    assert likeness(shown, right) > 0.99
    assert np.abs(shown[12:].astype(int) - right[12:]).mean() < 3


async def test_invert_turns_the_grey_round(physician: Physician, filled: RunningAppliance) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    before = fitted(await physician.grey(), ROWS, COLUMNS)

    await physician.find("tool-invert").click()
    await physician.settle()

    after = fitted(await physician.grey(), ROWS, COLUMNS)
    assert np.abs(255 - after.astype(int) - before).mean() < 3


async def test_zooming_shows_a_part_and_panning_another(physician: Physician, filled: RunningAppliance) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    whole = await physician.grey()

    await physician.find("tool-zoom").click()
    await physician.drag(0, -150)
    zoomed = await physician.grey()
    await physician.find("tool-pan").click()
    await physician.drag(120, 60)
    panned = await physician.grey()

    assert (zoomed > 0).mean() > (whole > 0).mean()
    moved = zoomed[200:-200, 200:-200].astype(float), panned[260:-140, 320:-80].astype(float)
    assert np.corrcoef(moved[0].ravel(), moved[1].ravel())[0, 1] > 0.97


@pytest.mark.parametrize("view", ["axial", "coronal", "sagittal"])
async def test_a_plane_is_drawn_and_scrolls(
    physician: Physician, filled: RunningAppliance, phantom_values: NDArray[np.uint16], view: str
) -> None:
    await physician.log_in()
    await physician.open_study("phantom")

    await physician.show(view)
    first = await physician.grey()
    await physician.find("viewer-canvas").hover()
    for _ in range(4):
        await physician.page.mouse.wheel(0, 120)
    await physician.settle()
    second = await physician.grey()

    assert first.std() > 25
    assert np.abs(first.astype(int) - second).mean() > 0.5
    volume = phantom_values.astype(np.float32)
    middle = {
        "axial": volume[SLICES // 2 - 1 : SLICES // 2 + 1].mean(0),
        "coronal": volume[::-1, ROWS // 2 - 1 : ROWS // 2 + 1].mean(1),
        "sagittal": volume[::-1, :, COLUMNS // 2 - 1 : COLUMNS // 2 + 1].mean(2),
    }[view]
    right = expected_grey(middle.astype(np.uint16), 40, 400)
    rows = right.shape[0] if view == "axial" else round(SLICES * 5 / 1.5625)  # 5 mm slices, 1.5625 mm pixels
    stretched = right[np.arange(rows) * right.shape[0] // rows]
    seen = fitted(first, rows, COLUMNS)
    assert np.corrcoef(seen.ravel(), stretched.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("view", ["mip", "volume"])
async def test_a_volume_is_drawn_and_turns(physician: Physician, filled: RunningAppliance, view: str) -> None:
    await physician.log_in()
    await physician.open_study("phantom")

    await physician.show(view)
    front = (await physician.colours()).astype(int)
    await physician.drag(200, 0)
    side = (await physician.colours()).astype(int)

    assert front.std() > 15
    assert side.std() > 15
    assert np.abs(front - side).mean() > 3
    if view == "volume":
        lit = front[front.max(2) > 40]
        assert np.abs(lit[:, 0] - lit[:, 2]).mean() > 5, "bones have a colour"


async def test_every_pane_says_whose_picture_it_is(physician: Physician, filled: RunningAppliance) -> None:
    await physician.log_in()
    await physician.open_study("phantom")

    assert "Phantom" in await physician.label("overlay-patient")
    assert await physician.page.get_by_text("PHANTOM-1").first.is_visible()
    letters = [await physician.label(f"letter-{edge}") for edge in ("top", "right", "bottom", "left")]
    assert letters == ["A", "L", "P", "R"]


async def test_reloading_keeps_the_place_and_logging_out_ends_it(
    physician: Physician, filled: RunningAppliance
) -> None:
    await physician.log_in()
    await physician.open_study("phantom")

    await physician.page.reload()
    await physician.settle()
    assert await shown_slice(physician) is not None

    await physician.find("logout").click()
    await expect(physician.find("login-username")).to_be_visible()
    await physician.page.reload()
    await expect(physician.find("login-username")).to_be_visible()


async def test_the_same_page_works_over_http_2(filled: RunningAppliance, tmp_path: Path) -> None:
    async with open_browser(tmp_path, authority=filled.authority, hosts={HOST: "127.0.0.1"}) as context:
        physician = await Physician.at(context, filled)
        await physician.log_in()
        await physician.open_study("phantom")

        assert await shown_slice(physician) == await labelled_slice(physician)
        assert {protocol for _, protocol in await physician.protocols()} == {"h2"}
        assert physician.faults == []


async def test_no_picture_costs_a_preflight(physician: Physician, filled: RunningAppliance) -> None:
    asked: list[str] = []
    physician.page.on("request", lambda request: asked.append(request.method))
    await physician.log_in()
    await physician.open_study("phantom")

    assert "OPTIONS" not in asked


async def test_scrolling_fast_ends_at_the_right_slice(physician: Physician, filled: RunningAppliance) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    await physician.page.keyboard.press("Home")

    for _ in range(25):
        await physician.page.keyboard.press("ArrowDown")
        await asyncio.sleep(0.01)
    await physician.settle()

    assert await labelled_slice(physician) in (25, SLICES - 26)
    assert await shown_slice(physician) == await labelled_slice(physician)


def _token(client) -> str:  # type: ignore[no-untyped-def]
    answer = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD})
    return str(answer.raise_for_status().json()["access_token"])


def _series_of(client, headers):  # type: ignore[no-untyped-def]
    """Study, series and slices of the phantom."""
    (patient,) = client.get("/api/patients", params={"search": "phantom"}, headers=headers).json()["patients"]
    (study,) = client.get(f"/api/patients/{patient['id']}/studies", headers=headers).json()["studies"]
    detail = client.get(f"/api/studies/{study['study_uid']}", headers=headers).json()
    series = detail["series"][0]["series_uid"]
    slices = client.get(f"/api/studies/{study['study_uid']}/series/{series}", headers=headers).json()["slices"]
    return study["study_uid"], series, slices


def _decoded(client) -> int:  # type: ignore[no-untyped-def]
    """How many frames were decoded since the start."""
    lines = client.get("/metrics").text.splitlines()
    counts = [line for line in lines if line.startswith('appliance_picture_stage_seconds_count{stage="decode"}')]
    return int(float(counts[0].split()[-1])) if counts else 0
