"""What the page makes of a slow server and of all bits: no slice is left out, and what is marked as proven is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
from playwright.async_api import Route

from appliance.domain.views import STORED_VALUES
from tests.end_to_end.conftest import MARKED
from tests.end_to_end.physician import Grey, Physician
from tests.end_to_end.running import RunningAppliance

_SAMPLER = Path(__file__).resolve().parents[2] / "benchmarks" / "sampler.js"
_PROVEN = "() => document.querySelector('[data-testid=viewer-canvas]').dataset.proven === 'true'"
_PICTURES = "**/frames/*/rendered*"
_NOTCHES = 20
_CHANGED_ON_THE_WAY = """
  const asItCame = window.fetch
  window.changed = 0
  window.fetch = async (...parameters) => {
    const response = await asItCame(...parameters)
    if (!response.headers.has('Stored-Values')) return response
    const body = new Uint8Array(await response.arrayBuffer())
    body[Math.floor(body.length / 2)] ^= 1
    window.changed += 1
    return new Response(body, { status: response.status, headers: response.headers })
  }
"""
"""One bit of the stored values is turned over before the page gets them."""


async def test_a_slow_server_makes_no_slice_be_left_out(physician: Physician, filled: RunningAppliance) -> None:
    page = physician.page
    await page.add_init_script(f"window.sampledSide = {MARKED.size.rows}")
    await page.add_init_script(path=_SAMPLER)
    await page.reload()
    await physician.log_in()
    await physician.open_study("phantom")
    await page.keyboard.press("Home")
    await physician.settle()
    in_turn = asyncio.Semaphore(2)

    async def late(route: Route) -> None:
        async with in_turn:
            await asyncio.sleep(0.05)
        await route.continue_()

    await page.route(_PICTURES, late)
    await physician.find("viewer-canvas").hover()
    await page.evaluate("() => { sampled.slices = [] }")
    for _ in range(_NOTCHES):
        await page.mouse.wheel(0, 100)
    await page.wait_for_function("last => sampled.slices.at(-1)?.[1] === last", arg=_NOTCHES)
    await physician.settle()

    assert [number for _, number in await page.evaluate("() => sampled.slices")] == list(range(1, _NOTCHES + 1))
    await page.unroute_all(behavior="wait")


async def test_a_picture_is_marked_once_all_its_bits_are_proven(physician: Physician, filled: RunningAppliance) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    await physician.page.wait_for_function(_PROVEN)

    assert await physician.label("picture-proof") == "All bits, proven"


async def test_values_that_were_changed_on_their_way_are_not_marked(
    physician: Physician, filled: RunningAppliance
) -> None:
    page = physician.page
    await page.add_init_script(_CHANGED_ON_THE_WAY)
    await page.reload()
    await physician.log_in()
    await physician.open_study("phantom")
    await page.wait_for_function("() => window.changed > 0")
    await asyncio.sleep(1)

    assert not await page.evaluate(_PROVEN)
    assert await physician.find("picture-proof").count() == 0


async def test_a_window_is_drawn_in_the_page_as_the_server_draws_it(
    physician: Physician, filled: RunningAppliance
) -> None:
    page = physician.page
    asked: list[str] = []

    async def without_values(route: Route) -> None:
        if route.request.headers.get("accept") == STORED_VALUES:
            await route.abort()
        else:
            await route.continue_()

    await page.route(_PICTURES, without_values)
    await physician.log_in()
    await physician.open_study("phantom")
    from_server, window = await windowed(physician)
    await page.unroute_all(behavior="wait")

    await page.reload()
    await physician.settle()
    await page.wait_for_function(_PROVEN)
    page.on("request", lambda request: asked.append(request.url))
    from_page, same_window = await windowed(physician)

    assert window == same_window
    shown = await physician.find("viewer-canvas").get_attribute("data-shown")
    assert not [url for url in asked if shown.split("#")[0] in url], "the slice that is here was asked for again"
    assert np.array_equal(from_page, from_server)
    assert await page.evaluate(_PROVEN)


async def windowed(physician: Physician) -> tuple[Grey, str]:
    """The picture after a drag of the window, and what its label says."""
    await physician.drag(160, 40)
    return await physician.grey(), await physician.label("window-label")
