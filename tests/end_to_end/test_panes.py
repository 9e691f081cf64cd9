"""Several panes beside each other, and what a physician does with one: hung otherwise, measured by the pixel, played."""

from __future__ import annotations

import re
from pathlib import Path

import highdicom
import httpx
import numpy as np
import pydicom
import pytest
from playwright.async_api import expect

from tests.end_to_end.asking import Asked, colours_of_server, drawn_by_server
from tests.end_to_end.physician import Grey, Physician, fitted
from tests.end_to_end.running import RunningAppliance
from tests.end_to_end.test_planes import (
    PIXEL_MM,
    SIDE,
    SLICE_MM,
    SLICES,
    TABLE_ROW,
    grey_of,
    slice_values,
    write_thin_table,
)

TWO_SERIES = "two-series"
COARSE_MM = 6.0
WITH_PRIOR = "with-prior"
_SETTLED = """place => {
  const canvas = document.querySelector(`[data-testid=pane-${place}] canvas`)
  return canvas?.dataset.settled === 'true'
}"""
_PIXELS = (
    """place => document.querySelector(`[data-testid=pane-${place}] canvas`).toDataURL('image/png').split(',')[1]"""
)


@pytest.fixture(scope="module")
def two_series(appliance: RunningAppliance, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Patient ID of a study with slices 3 mm apart, and others 6 mm apart, of one frame of reference."""
    folder = tmp_path_factory.mktemp("two-series")
    write_thin_table(folder, TWO_SERIES, (SLICE_MM, COARSE_MM))
    appliance.take_in(folder)
    return TWO_SERIES


@pytest.fixture(scope="module")
def with_prior(appliance: RunningAppliance, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Patient ID of two studies, of 2026 and of 2024, each of its own frame of reference."""
    for day in ("20260102", "20240506"):
        folder = tmp_path_factory.mktemp("with-prior")
        write_thin_table(folder, WITH_PRIOR)
        for file in folder.iterdir():
            ds = pydicom.dcmread(file)
            ds.StudyDate = day
            ds.save_as(file)
        appliance.take_in(folder)
    return WITH_PRIOR


@pytest.fixture
async def ana(physician: Physician, two_series: str) -> Physician:
    await physician.log_in()
    await physician.open_study(two_series)
    return physician


async def settled(ana: Physician, place: int) -> None:
    await ana.page.wait_for_function(_SETTLED, arg=place)


async def grey_in(ana: Physician, place: int) -> Grey:
    return (await ana.colours(_PIXELS, place))[:, :, 0]


def in_pane(ana: Physician, place: int, test_id: str):  # type: ignore[no-untyped-def]  # Playwright's locator
    return ana.find(f"pane-{place}").get_by_test_id(test_id)


async def number_in(ana: Physician, place: int) -> int:
    """Of the slice or plane that is shown."""
    found = re.search(r"(\d+) /", await in_pane(ana, place, "slice-label").inner_text())
    assert found is not None
    return int(found[1])


async def test_a_dragged_series_scrolls_with_the_other_by_position_and_is_crossed_by_its_line(
    ana: Physician, photographs: Path
) -> None:
    await ana.find("layout-select").select_option(label="1×2")
    await ana.find("series-card").nth(1).drag_to(ana.find("pane-1"))
    await settled(ana, 1)
    await ana.find("pane-0").get_by_test_id("viewer-canvas").click()
    await ana.page.keyboard.press("Home")
    for _ in range(5):
        await ana.page.keyboard.press("ArrowDown")
    await expect(in_pane(ana, 0, "slice-label")).to_contain_text("6 /")
    await settled(ana, 0)
    await settled(ana, 1)
    fine, coarse = await number_in(ana, 0), await number_in(ana, 1)
    assert abs((fine - 1) * SLICE_MM - (coarse - 1) * COARSE_MM) <= COARSE_MM / 2

    await ana.find("link-panes").click()
    for _ in range(6):
        await ana.page.keyboard.press("ArrowDown")
    await expect(in_pane(ana, 0, "slice-label")).to_contain_text("12 /")
    assert await number_in(ana, 1) == coarse

    await ana.find("pane-1").get_by_test_id("viewer-canvas").click()
    await ana.page.keyboard.press("C")
    await settled(ana, 1)
    await ana.find("pane-0").get_by_test_id("viewer-canvas").click()
    line = in_pane(ana, 1, "reference-line")
    await expect(line).to_be_attached()
    heights = [float(await line.get_attribute(name)) for name in ("y1", "y2")]
    size = (await grey_in(ana, 1)).shape
    scale = min(size[0] / (SLICES * SLICE_MM), size[1] / (SIDE * PIXEL_MM))
    middle_mm = (SLICES * SLICE_MM - COARSE_MM) / 2
    assert heights[0] == heights[1]
    assert abs(heights[0] - (size[0] / 2 - (11 * SLICE_MM - middle_mm) * scale)) < 2
    await ana.photograph(photographs / "two-series.png")


async def test_the_crosshair_leads_all_planes_to_one_place_of_the_patient(ana: Physician, photographs: Path) -> None:
    await ana.find("show-planes").click()
    for place in range(4):
        await settled(ana, place)
    await ana.find("tool-cross").click()
    axial = ana.find("pane-0").get_by_test_id("viewer-canvas")
    size = (await grey_in(ana, 0)).shape
    scale = min(size) / (SIDE * PIXEL_MM)
    # On the table, 10 mm to the patient's right of the middle.
    x_mm, y_mm = -10.0, (TABLE_ROW - (SIDE - 1) / 2) * PIXEL_MM
    await axial.click(position={"x": size[1] / 2 + x_mm * scale, "y": size[0] / 2 + y_mm * scale})
    for place in (1, 2):
        await expect(in_pane(ana, place, "crosshair")).to_be_attached()
        await settled(ana, place)

    coronal, sagittal = await number_in(ana, 1), await number_in(ana, 2)
    assert abs((coronal - 1) - TABLE_ROW) <= 1
    assert abs((sagittal - 1) - (x_mm / PIXEL_MM + (SIDE - 1) / 2)) <= 1
    cross = in_pane(ana, 2, "crosshair")
    x, y = [float(await cross.get_attribute(f"data-{axis}")) for axis in "xy"]
    picture = await grey_in(ana, 2)
    around = picture[int(y) - 2 : int(y) + 3, int(x) - 3 : int(x) + 4]
    assert around.max() > grey_of(1040) * 0.5, "the crosshair is not on the table"
    await ana.photograph(photographs / "three-planes.png")


async def test_a_series_laid_over_a_plane_is_seen_in_the_servers_colours(
    ana: Physician, appliance: RunningAppliance
) -> None:
    await ana.show("coronal")
    bare = await ana.colours()
    asked: list[str] = []
    ana.page.on("request", lambda request: asked.append(request.url))
    await ana.find("fuse-select").select_option(index=1)
    await ana.settle()
    shown = await ana.colours()

    last = [httpx.URL(url).raw_path.decode() for url in asked if "fuse=" in url and "quality=100" in url][-1]
    assert (bare[:, :, 0] == bare[:, :, 2]).all()
    assert (shown[:, :, 0] != shown[:, :, 2]).any()
    assert np.abs(shown.astype(int) - colours_of_server(appliance, last).astype(int)).max() <= 1
    await expect(ana.find("fused-label")).to_have_text("Over it: 6 mm")


async def test_a_picture_is_turned_and_turned_over_with_its_letters(ana: Physician) -> None:
    letters = ("letter-left", "letter-top", "letter-right", "letter-bottom")
    upright = fitted(await ana.grey(), SIDE, SIDE).astype(int)

    await ana.find("rotate").click()
    await ana.settle()
    turned = fitted(await ana.grey(), SIDE, SIDE).astype(int)
    assert [await ana.label(one) for one in letters] == ["P", "R", "A", "L"]
    assert np.abs(turned - np.rot90(upright, -1)).mean() < 1

    await ana.page.keyboard.press("F")
    await ana.settle()
    over = fitted(await ana.grey(), SIDE, SIDE).astype(int)
    assert [await ana.label(one) for one in letters] == ["A", "R", "P", "L"]
    assert np.abs(over - np.fliplr(turned)).mean() < 1


async def test_pixel_for_pixel_is_what_is_stored_and_fit_is_all_of_it(ana: Physician) -> None:
    fit = await ana.grey()
    await ana.page.keyboard.press("O")
    await ana.settle()
    shown = await ana.grey()
    # In an odd room the middle is rounded up.
    top, left = (shown.shape[0] - SIDE + 1) // 2, (shown.shape[1] - SIDE + 1) // 2
    exact = np.vectorize(grey_of)(slice_values())

    part = shown[top : top + SIDE, left : left + SIDE].astype(int)
    assert np.abs(part - exact).max() <= 1
    assert "100 %" in await ana.find("pane-0").inner_text()

    await ana.page.keyboard.press("0")
    await ana.settle()
    assert (await ana.grey() == fit).all()


async def test_typed_windows_and_values_under_the_pointer_are_those_of_the_file(ana: Physician) -> None:
    await ana.find("window-center").fill("100")
    await ana.find("window-center").press("Enter")
    await ana.find("window-width").fill("800")
    await ana.find("window-width").press("Enter")
    await ana.settle()
    shown = fitted(await ana.grey(), SIDE, SIDE)

    assert "C 100\u2002W 800 HU" in await ana.label("window-label")
    assert abs(int(shown[150, 150]) - round(((16 - 99.5) / 799 + 0.5) * 255)) <= 1

    await ana.find("tool-probe").click()
    box = await ana.find("viewer-canvas").bounding_box()
    scale = min(box["width"], box["height"]) / SIDE
    for row, column, value in ((150, 150, "16 HU"), (TABLE_ROW, 100, "376 HU"), (5, 5, "−1024 HU")):
        x = box["x"] + box["width"] / 2 + (column + 0.5 - SIDE / 2) * scale
        y = box["y"] + box["height"] / 2 + (row + 0.5 - SIDE / 2) * scale
        await ana.page.mouse.move(x, y)
        await expect(ana.find("probe-value")).to_have_text(value)
        await expect(ana.find("probe")).to_contain_text(f"Column {column + 1}, row {row + 1}")


async def test_a_series_plays_in_order_and_stands_where_it_is_stopped(ana: Physician) -> None:
    await ana.page.keyboard.press("Home")
    await ana.settle()
    await ana.page.evaluate(_WATCH)
    await ana.find("cine").click()
    await ana.page.wait_for_function("() => window.shownSlices.length > 6")
    rate = float((await ana.label("cine-rate")).removesuffix("/s"))
    await ana.find("cine").click()
    seen = await ana.page.evaluate("() => window.shownSlices")

    numbers = [int(text) for text in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert 0 < rate <= 11, "files that say nothing are shown ten a second"


async def place_on_screen(ana: Physician, column: float, row: float) -> tuple[float, float]:
    """Where a point of the slice lies that fits the pane; (0, 0) is the outer corner of its first pixel."""
    box = await ana.find("viewer-canvas").bounding_box()
    scale = min(box["width"], box["height"]) / SIDE
    return (
        box["x"] + box["width"] / 2 + (column - SIDE / 2) * scale,
        box["y"] + box["height"] / 2 + (row - SIDE / 2) * scale,
    )


async def draw(ana: Physician, kind: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """By the mouse, from one (column, row) to the other."""
    await ana.find(f"mark-{kind}").click()
    await drag_to(ana, start, end)


async def drag_to(ana: Physician, start: tuple[float, float], end: tuple[float, float]) -> None:
    await ana.page.mouse.move(*await place_on_screen(ana, *start))
    await ana.page.mouse.down()
    await ana.page.mouse.move(*await place_on_screen(ana, *end), steps=5)
    await ana.page.mouse.up()


async def wipe(ana: Physician) -> None:
    """Nothing is drawn any more, here and at the institution: the study is that of other tests too."""
    for left in reversed(range(await ana.find("mark").count())):
        await ana.find("mark").first.focus()
        await ana.page.keyboard.press("Delete")
        await expect(ana.find("mark")).to_have_count(left)
    await expect(ana.find("mark-saving")).to_have_attribute("data-state", "saved")


def numbers_of(text: str) -> list[float]:
    return [float(one.replace("\u2212", "-")) for one in re.findall(r"[\u2212-]?\d+(?:\.\d+)?", text)]


async def drawn(ana: Physician, kind: str) -> list[list[float]]:
    """The (column, row) of the one figure of a kind, as the institution keeps it."""
    await expect(ana.find("mark").and_(ana.page.locator(f'[data-kind="{kind}"][data-kept="true"]'))).to_have_count(1)
    await expect(ana.find("mark-saving")).to_have_attribute("data-state", "saved")
    points: list[list[float]] = await ana.page.evaluate(_KEPT, kind)
    return points


_KEPT = """async kind => {
  const asked = performance.getEntriesByType('resource').map(entry => new URL(entry.name).pathname)
  const answer = await fetch(asked.find(path => path.endsWith('/measurements')), { credentials: 'include' })
  return (await answer.json()).measurements.find(one => one.kind === kind).points
}"""


async def test_a_length_and_an_ellipse_have_the_numbers_of_the_file_and_stay(ana: Physician, photographs: Path) -> None:
    await expect(ana.find("tool-mark")).to_be_enabled()  # its part of the page comes after the first picture
    await ana.page.keyboard.press("n")
    await draw(ana, "length", (50, 60), (130, 120))
    await draw(ana, "ellipse", (40, 100), (120, 200))

    (x0, y0), (x1, y1) = await drawn(ana, "length")
    assert [x0, y0, x1, y1] == pytest.approx([50, 60, 130, 120], abs=0.5)
    length = ana.page.locator('[data-kind="length"] [data-testid="mark-label"]')
    (told,) = numbers_of(str(await length.text_content()))
    assert told == pytest.approx(float(np.hypot(x1 - x0, y1 - y0)) * PIXEL_MM, abs=0.051)

    (left, top), (right, bottom) = await drawn(ana, "ellipse")
    row, column = np.mgrid[:SIDE, :SIDE] + 0.5
    x = (column - (left + right) / 2) / ((right - left) / 2)
    y = (row - (top + bottom) / 2) / ((bottom - top) / 2)
    inside = slice_values()[x**2 + y**2 <= 1].astype(float) - 1024
    ellipse = ana.page.locator('[data-kind="ellipse"] [data-testid="mark-label"]')
    await expect(ellipse).to_contain_text("HU")
    mean, deviation, least, most, area = numbers_of(str(await ellipse.text_content()))
    assert [mean, deviation] == pytest.approx([inside.mean(), inside.std()], abs=0.051)
    assert (least, most) == (inside.min(), inside.max())
    assert area == pytest.approx(np.pi * (right - left) * (bottom - top) / 4 * PIXEL_MM**2, abs=0.051)
    await ana.photograph(photographs / "measured.png")

    async with ana.page.expect_download() as saving:
        await ana.find("mark-sr").click()
    report = highdicom.sr.srread(await (await saving.value).path()).content
    (region,), (line,) = report.get_planar_roi_measurement_groups(), report.get_image_measurement_groups()
    assert line.get_measurements()[0].value == pytest.approx(told, abs=0.051)
    values = [item.value for item in region.get_measurements()]
    assert values == pytest.approx([area, mean, deviation, least, most], abs=0.051)

    await ana.page.reload()
    await ana.settle()
    await expect(ana.find("mark")).to_have_count(2)
    await ana.page.locator('[data-kind="ellipse"]').focus()
    await ana.page.keyboard.press("Delete")
    await expect(ana.find("mark")).to_have_count(1)
    await ana.page.keyboard.press("Control+z")
    await expect(ana.find("mark")).to_have_count(2)
    await wipe(ana)
    assert ana.faults == []


async def test_a_known_length_an_angle_and_words_are_drawn_and_moved_by_hand(ana: Physician) -> None:
    await ana.find("tool-mark").click()
    await draw(ana, "calibration", (40, 30), (140, 30))
    await ana.find("mark-form").locator("input").fill("200")
    await ana.page.keyboard.press("Enter")
    await draw(ana, "length", (40, 60), (40, 110))
    (x0, _), (x1, _) = await drawn(ana, "calibration")
    before = await drawn(ana, "length")
    label = ana.page.locator('[data-kind="length"] [data-testid="mark-label"]')
    await expect(label).to_contain_text("calibrated by hand")
    known = (before[1][1] - before[0][1]) / (x1 - x0) * 200
    assert numbers_of(str(await label.text_content())) == pytest.approx([known], abs=0.051)

    await drag_to(ana, (40, 85), (60, 95))
    moved = await drawn(ana, "length")
    assert [part for point in moved for part in point] == pytest.approx(
        [part for x, y in before for part in (x + 20, y + 10)], abs=0.5
    )

    await ana.page.mouse.wheel(0, 100)  # the pointer is on the line
    await expect(ana.find("mark")).to_have_count(0)
    await ana.page.mouse.wheel(0, -100)
    await expect(ana.find("mark")).to_have_count(2)

    await draw(ana, "angle", (200, 150), (150, 150))
    await ana.page.mouse.click(*await place_on_screen(ana, 150, 100))
    await drawn(ana, "angle")
    angle = ana.page.locator('[data-kind="angle"] [data-testid="mark-label"]')
    assert numbers_of(str(await angle.text_content())) == pytest.approx([90], abs=0.5)

    await ana.find("mark-text").click()
    await ana.page.mouse.click(*await place_on_screen(ana, 100, 200))
    await ana.find("mark-form").locator("input").fill("Nodule?")
    await ana.page.keyboard.press("Enter")
    await drawn(ana, "text")
    await expect(ana.page.locator('[data-kind="text"] [data-testid="mark-label"]')).to_have_text("Nodule?")
    await wipe(ana)
    assert ana.faults == []


_WATCH = """() => {
  window.shownSlices = []
  const note = () => {
    const number = /(\\d+) \\//.exec(document.querySelector('[data-testid=slice-label]').textContent)[1]
    if (window.shownSlices.at(-1) !== number) window.shownSlices.push(number)
  }
  note()
  const label = document.querySelector('[data-testid=slice-label]')
  new MutationObserver(note).observe(label, { childList: true, subtree: true, characterData: true })
}"""


async def test_a_line_of_the_crosshair_turns_the_other_planes(
    ana: Physician, appliance: RunningAppliance, photographs: Path
) -> None:
    await ana.find("show-planes").click()
    for place in range(4):
        await settled(ana, place)
    await ana.find("tool-cross").click()
    asked = Asked(ana, "/renderedmpr")
    handle = in_pane(ana, 0, "turn-coronal").last
    box = await ana.find("pane-0").get_by_test_id("viewer-canvas").bounding_box()
    grip = await handle.bounding_box()
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    middle_x, middle_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    turn = np.deg2rad(30)
    to_x = middle_x + np.cos(turn) * (x - middle_x) - np.sin(turn) * (y - middle_y)
    to_y = middle_y + np.sin(turn) * (x - middle_x) + np.cos(turn) * (y - middle_y)
    await ana.page.mouse.move(x, y)
    await ana.page.mouse.down()
    await ana.page.mouse.move(to_x, to_y, steps=6)
    await ana.page.mouse.up()
    for place in range(3):
        await settled(ana, place)

    axial_letters = [await in_pane(ana, 0, f"letter-{side}").inner_text() for side in ("left", "top")]
    assert axial_letters == ["R", "A"], "the picture whose line is turned stays"
    assert await in_pane(ana, 1, "letter-left").inner_text() == "RA"
    assert await in_pane(ana, 1, "letter-right").inner_text() == "LP"
    normals = {tuple(np.round(looked_along(path), 2)) for path in (paths_of(asked))}
    assert any(np.allclose(np.abs(one), (np.sin(turn), np.cos(turn), 0), atol=0.03) for one in normals)
    shown = await grey_in(ana, 1)
    last = next(path for path in reversed(paths_of(asked)) if abs(looked_along(path)[1]) > 0.8)
    assert np.abs(shown.astype(int) - drawn_by_server(appliance, last).astype(int)).max() <= 1
    await ana.photograph(photographs / "oblique.png")

    await in_pane(ana, 0, "slab-coronal").press("ArrowUp")
    await in_pane(ana, 0, "slab-coronal").press("ArrowUp")
    await expect(in_pane(ana, 1, "slice-label")).to_be_visible()
    await expect(ana.find("pane-1")).to_contain_text("Slab 2 mm")
    await in_pane(ana, 0, "straighten").click()
    await settled(ana, 1)
    assert await in_pane(ana, 1, "letter-left").inner_text() == "R"


def paths_of(asked: Asked) -> list[str]:
    return [httpx.URL(url).raw_path.decode() for url in asked.urls]


def looked_along(path: str) -> np.ndarray:
    """The unit vector from what is looked at to the eye."""
    query = httpx.URL(f"https://node.test{path}").params
    eye, at = (
        np.array([float(part) for part in query[f"viewpoint{name}"].split(",")]) for name in ("position", "lookat")
    )
    return (eye - at) / np.linalg.norm(eye - at)


async def test_a_prior_is_put_beside_the_study_and_goes_along_by_its_distance(
    physician: Physician, with_prior: str, photographs: Path
) -> None:
    ana = physician
    await ana.log_in()
    await ana.open_study(with_prior)
    await ana.find("layout-select").select_option(label="1×2")
    await ana.find("priors").locator("summary").click()
    await ana.find("prior-study").click()
    await ana.find("priors").get_by_test_id("series-card").first.drag_to(ana.find("pane-1"))
    await settled(ana, 1)
    assert "2026" in await ana.find("pane-0").inner_text()
    assert "2024" in await ana.find("pane-1").inner_text()
    assert "Tablic" in await in_pane(ana, 1, "overlay-patient").inner_text()

    await ana.find("link-panes").click()
    await ana.find("pane-1").get_by_test_id("viewer-canvas").click()
    await ana.page.keyboard.press("Home")
    await expect(in_pane(ana, 1, "slice-label")).to_contain_text("1 /")
    await ana.find("pane-0").get_by_test_id("viewer-canvas").click()
    await ana.page.keyboard.press("Home")
    await ana.page.keyboard.press("ArrowDown")
    await ana.page.keyboard.press("ArrowDown")
    await ana.find("link-panes").click()
    for _ in range(4):
        await ana.page.keyboard.press("ArrowDown")
    await expect(in_pane(ana, 0, "slice-label")).to_contain_text("7 /")
    await expect(in_pane(ana, 1, "slice-label")).to_contain_text("5 /")
    await settled(ana, 0)
    await settled(ana, 1)
    await ana.photograph(photographs / "prior.png")

    await ana.page.reload()
    await settled(ana, 0)
    await expect(ana.find("layout-select")).to_have_value("1")
    await expect(ana.find("pane-1")).to_be_visible()


async def test_true_size_is_asked_for_once_and_then_a_millimetre_is_one(ana: Physician) -> None:
    await ana.find("true-size").click()
    await ana.find("screen-slider").fill("4")
    card = await ana.find("screen-card").bounding_box()
    assert card["width"] == pytest.approx(4 * 85.6, abs=1)
    await ana.find("screen-keep").click()
    await expect(ana.find("screen-size")).to_have_count(0)
    # A pixel is 0.4 mm, a mm 4 pixels of the screen.
    await expect(ana.find("pane-0")).to_contain_text("Zoom 160 %")

    await ana.page.keyboard.press("0")
    await expect(ana.find("pane-0")).not_to_contain_text("Zoom 160 %")
    await ana.page.keyboard.press("K")
    await expect(ana.find("pane-0")).to_contain_text("Zoom 160 %")


async def test_two_fingers_enlarge_and_one_goes_through_the_slices(ana: Physician) -> None:
    fingers = await ana.page.context.new_cdp_session(ana.page)
    box = await ana.find("viewer-canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    async def touch(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": at_x, "y": at_y, "id": number} for number, (at_x, at_y) in enumerate(points)]
        await fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    before = percent_of(await ana.find("pane-0").inner_text())
    await touch("touchStart", (x - 50, y))
    await touch("touchStart", (x - 50, y), (x + 50, y))
    for step in range(1, 6):
        await touch("touchMove", (x - 50 - 10 * step, y), (x + 50 + 10 * step, y))
    await touch("touchEnd")
    await ana.settle()
    after = percent_of(await ana.find("pane-0").inner_text())
    assert after / before == pytest.approx(2, abs=0.03)

    await ana.find("tool-scroll").click()
    number = await number_in(ana, 0)
    await touch("touchStart", (x, y))
    await touch("touchMove", (x, y + 60))
    await touch("touchMove", (x, y + 120))
    await touch("touchEnd")
    await ana.settle()
    assert await number_in(ana, 0) == number + 5
    assert percent_of(await ana.find("pane-0").inner_text()) == after


async def test_the_bar_beside_the_number_tells_which_slices_are_here_with_all_bits(ana: Physician) -> None:
    bar = ana.find("loaded-bar")
    await expect(bar).to_have_attribute("data-all-bits", "1")

    await ana.page.keyboard.press("ArrowDown")
    await expect(bar).to_have_attribute("data-all-bits", "2")


async def test_no_tool_is_out_of_sight(ana: Physician) -> None:
    last = ana.find("mark-remove")
    await ana.find("tool-mark").click()
    for width, height in ((1440, 900), (1280, 720)):
        await ana.page.set_viewport_size({"width": width, "height": height})
        await expect(last).to_be_in_viewport(ratio=1)
        await expect(ana.find("tool-window")).to_be_in_viewport(ratio=1)
        assert await last.evaluate("it => { const r = it.closest('.rail'); return r.scrollHeight <= r.clientHeight }")


@pytest.mark.long
async def test_on_a_phone_the_picture_has_most_of_the_room(ana: Physician) -> None:
    await ana.page.set_viewport_size({"width": 390, "height": 844})
    await ana.settle()
    box = await ana.find("viewer-canvas").bounding_box()

    assert box["height"] > 0.45 * 844
    assert box["width"] > 0.75 * 390
    assert await ana.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def percent_of(text: str) -> float:
    found = re.search(r"Zoom ([\d,]+) %", text)
    assert found is not None
    return float(found[1].replace(",", ""))


async def test_the_keys_are_shown_by_a_question_mark(ana: Physician, photographs: Path) -> None:
    await ana.page.keyboard.press("?")
    await expect(ana.find("keyboard-map")).to_contain_text("Turn by a quarter")
    await ana.photograph(photographs / "keys.png")
    await ana.page.keyboard.press("Escape")
    await expect(ana.find("keyboard-map")).to_have_count(0)
