"""All of a volume in the browser: every way to project and to light it, cut, turned, and honest about what is in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.async_api import expect

from tests.end_to_end.asking import Asked, drawn_by_server
from tests.end_to_end.browser import open_browser
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import HOST, RunningAppliance, all_in_one

CT_PRESETS = {"bone", "vessels", "lung", "soft-tissue", "skin", "mr", "mr-surface", "mr-vessels", "mr-haze"}


@pytest.fixture
async def ana(physician: Physician, filled: RunningAppliance) -> Physician:
    """Before the phantom's slices."""
    await physician.log_in()
    await physician.open_study("phantom")
    return physician


async def test_every_projection_is_the_servers_pixel_for_pixel(ana: Physician, filled: RunningAppliance) -> None:
    await ana.page.set_viewport_size({"width": 1200, "height": 800})
    await ana.show("mip")
    means = {}
    for method in ("maximum_ip", "minimum_ip", "average_ip"):
        asked = Asked(ana, "/rendered3d")
        await ana.page.keyboard.press("R")
        await ana.find("projection-select").select_option(method)
        # From another side: the first of them was on the screen before.
        await ana.find("orientation-cube").locator("[data-face=A]").click()
        await ana.drag(len(means) * 20 + 30, 0)
        shown = await ana.grey()

        assert f"renderingmethod={method}" in asked.last_path
        assert (shown == drawn_by_server(filled, asked.last_path)).all()
        means[method] = shown.mean()

    assert means["minimum_ip"] < means["average_ip"]
    assert means["average_ip"] > 5, "the mean is all black"


async def test_every_transfer_function_of_the_server_is_offered_and_seen(ana: Physician, photographs: Path) -> None:
    await ana.show("volume")
    choose = ana.find("material-select")
    names = [await option.get_attribute("value") for option in await choose.locator("option").all()]
    seen = []
    for name in names:
        await choose.select_option(name)
        await ana.settle()
        seen.append((await ana.colours()).astype(int))
    await choose.select_option("skin")
    await ana.settle()
    await ana.drag(90, 30)
    await ana.photograph(photographs / "volume-cube.png")

    assert set(names) == CT_PRESETS
    assert names[0] == "bone"
    assert all(np.abs(one - other).mean() > 0.1 for index, one in enumerate(seen) for other in seen[:index]), (
        "two presets look the same"
    )


async def test_a_clip_box_cuts_the_right_side_of_the_patient_away(ana: Physician) -> None:
    await ana.show("mip")
    await ana.find("space-options").click()
    await ana.find("space-panel").wait_for()
    await ana.settle()
    whole = (await ana.grey()).astype(int)
    await ana.find("clip-0").fill("0.5")
    await ana.settle()
    cut = (await ana.grey()).astype(int)
    middle = cut.shape[1] // 2
    await ana.find("clip-reset").click()
    await ana.settle()

    assert await ana.label("letter-left") == "R"
    assert whole[:, : middle - 3].max() > 100
    assert cut[:, : middle - 3].max() == 0
    assert cut[:, middle + 3 :].max() > 100
    assert ((await ana.grey()) == whole).all()


async def test_perspective_makes_what_is_near_larger(ana: Physician) -> None:
    await ana.show("mip")
    asked = Asked(ana, "/rendered3d")
    await ana.find("space-options").click()
    await ana.find("space-panel").wait_for()
    await ana.settle()
    parallel = await ana.grey()
    await ana.find("perspective").check()
    await ana.settle()

    seen = await ana.grey()

    assert "perspective=1" in asked.last_path
    assert np.ptp(np.nonzero(seen.max(axis=0) > 40)[0]) > np.ptp(np.nonzero(parallel.max(axis=0) > 40)[0])


async def test_the_cube_lies_as_the_patient_and_turns_the_volume(ana: Physician) -> None:
    await ana.show("volume")
    cube = ana.find("orientation-cube")

    assert await cube.locator("text").all_text_contents() == ["A"]

    await ana.drag(60, 40)
    assert set(await cube.locator("text").all_text_contents()) == {"A", "H", "R"}

    await cube.locator("[data-face=R]").click()
    await ana.settle()
    assert [await ana.label(f"letter-{side}") for side in ("left", "right", "top", "bottom")] == ["P", "A", "H", "F"]


@pytest.mark.long
async def test_a_volume_at_rest_has_a_sample_for_each_pixel_of_its_pane(ana: Physician) -> None:
    await ana.page.set_viewport_size({"width": 1800, "height": 1000})
    asked: list[str] = []
    ana.page.on("request", lambda request: asked.append(request.url))
    await ana.show("volume")
    canvas = await ana.page.evaluate("(({ width, height }) => [width, height])(document.querySelector('canvas'))")

    last = [url for url in asked if "/rendered3d" in url and "interactive" not in url][-1]
    assert canvas[0] > 1200
    assert [int(side) for side in httpx.URL(last).params["viewport"].split(",")] == canvas


async def test_a_slab_has_any_thickness_and_method(ana: Physician, filled: RunningAppliance) -> None:
    await ana.show("coronal")
    pictures = []
    for method in ("maximum_ip", "minimum_ip", "average_ip"):
        asked = Asked(ana, "/renderedmpr")
        await ana.find("slab-thickness").fill("37")
        await ana.find("slab-method").select_option(method)
        await ana.page.keyboard.press("ArrowDown")
        await ana.settle()
        shown = await ana.grey()

        assert "mprslab=37" in asked.last_path
        assert f"renderingmethod={method}" in asked.last_path
        assert (shown == drawn_by_server(filled, asked.last_path)).all()
        pictures.append(shown.astype(int))

    largest, least, mean = pictures
    assert least.mean() < mean.mean() < largest.mean()


async def test_a_whole_volume_says_so(ana: Physician) -> None:
    await ana.show("coronal")
    await expect(ana.find("volume-mark")).to_have_text("Whole volume")


@pytest.fixture
def small_box(tmp_path: Path, phantom_folder: Path) -> Iterator[RunningAppliance]:
    """One whose memory for textures is too small for the phantom."""
    (tmp_path / "box").mkdir()
    running = all_in_one(tmp_path / "box")
    running.settings["node"]["drawing"]["texture_cache_bytes"] = 9_000_000
    running.create_account()
    try:
        running.start()
        running.take_in(phantom_folder)
        yield running
        assert running.stop() == 0
    finally:
        running.kill()


@pytest.fixture
async def cramped(small_box: RunningAppliance, tmp_path: Path) -> AsyncIterator[Physician]:
    async with open_browser(tmp_path / "home", authority=small_box.authority, hosts={HOST: "127.0.0.1"}) as context:
        yield await Physician.at(context, small_box)


async def test_a_volume_that_does_not_fit_says_how_coarse_it_is_until_a_close_up_has_all(cramped: Physician) -> None:
    await cramped.log_in()
    await cramped.open_study("phantom")
    await cramped.show("mip")

    await expect(cramped.find("volume-mark")).to_contain_text("Reduced volume")

    await cramped.show("coronal")
    await expect(cramped.find("volume-mark")).to_have_text("Whole volume")
