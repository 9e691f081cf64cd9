"""What a physician does at the page, and what they then see: the pixels of the canvas, not only that there is one."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray
from playwright.async_api import BrowserContext, Page, expect

from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance

Grey = NDArray[np.uint8]
"""(row, column)."""
_TIMEOUT_MS = 30_000
_SETTLED = """() => document.querySelector('[data-testid=viewer-canvas]')?.dataset.settled === 'true'"""
_PIXELS = """() => document.querySelector('[data-testid=viewer-canvas]').toDataURL('image/png').split(',')[1]"""
_PROTOCOLS = """() => {
  const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  return entries.map(e => [new URL(e.name).pathname, e.nextHopProtocol])
}"""


class Physician:
    """Somebody at a page of the appliance."""

    def __init__(self, page: Page, appliance: RunningAppliance) -> None:
        self.page = page
        self.faults: list[str] = []
        self._appliance = appliance
        page.set_default_timeout(_TIMEOUT_MS)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    @classmethod
    async def at(cls, context: BrowserContext, appliance: RunningAppliance) -> Physician:
        page = await context.new_page()
        await page.set_viewport_size({"width": 1400, "height": 900})
        await page.goto(appliance.origin)
        return cls(page, appliance)

    def find(self, test_id: str) -> Any:  # Any: Playwright's locators, of which a test uses many methods
        return self.page.get_by_test_id(test_id)

    async def log_in(self, password: str = PASSWORD, *, username: str = USERNAME) -> None:
        await self.find("login-username").fill(username)
        await self.find("login-password").fill(password)
        await self.find("login-submit").click()

    async def open_patient(self, search: str) -> None:
        """The one patient whom a search finds."""
        await self.find("patient-search").fill(search)
        rows = self.find("patient-row")
        await expect(rows).to_have_count(1)
        await rows.first.click()

    async def open_study(self, search: str, *, having: str = "") -> None:
        """The one patient whom a search finds, and their newest study ``having`` some text, in the viewer and at rest."""
        await self.open_patient(search)
        await self.find("study-row").filter(has_text=having).first.click()
        await self.settle()

    async def show(self, view: str) -> None:
        """Another way to look: 2d, axial, coronal, sagittal, mip or volume."""
        await self.find(f"view-{view}").click()
        await self.page.wait_for_function(
            "mode => document.querySelector('[data-testid=viewer-canvas]').dataset.mode === mode", arg=view
        )
        await self.settle()

    async def settle(self) -> None:
        """The picture that is wanted is shown, in full quality."""
        await self.find("viewer-canvas").first.wait_for()
        await self.page.wait_for_function(_SETTLED)

    async def drag(self, dx: int, dy: int, *, steps: int = 8) -> None:
        """Presses in the middle of the picture, moves, and lets go."""
        box = await self.find("viewer-canvas").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse = self.page.mouse
        await mouse.move(x, y)
        await mouse.down()
        await mouse.move(x + dx, y + dy, steps=steps)
        await mouse.up()
        await self.settle()

    async def colours(self, of: str = _PIXELS, place: int = 0) -> NDArray[np.uint8]:
        """What the canvas shows, or what a script with a pane's ``place`` reads from it: (row, column, red green blue)."""
        png = base64.b64decode(await self.page.evaluate(of, place))
        return np.asarray(pyvips.Image.new_from_buffer(png, "").numpy())[:, :, :3]

    async def grey(self) -> Grey:
        """What the canvas shows, where that is grey."""
        colours = await self.colours()
        assert (colours[:, :, 0] == colours[:, :, 1]).all(), "the picture has colours"
        return colours[:, :, 0]

    async def label(self, test_id: str) -> str:
        return str(await self.find(test_id).inner_text())

    async def protocols(self) -> list[tuple[str, str]]:
        """Path and protocol of everything that the page loaded."""
        return [(path, protocol) for path, protocol in await self.page.evaluate(_PROTOCOLS)]

    async def photograph(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=file)


def fitted(shown: Grey, rows: int, columns: int) -> Grey:
    """A square-pixelled picture of ``rows`` x ``columns`` that fills the middle of ``shown``, sampled at its own pixels."""
    height, width = shown.shape
    scale = min(height / rows, width / columns)
    top, left = (height - rows * scale) / 2, (width - columns * scale) / 2
    y = np.clip((top + (np.arange(rows) + 0.5) * scale).astype(int), 0, height - 1)
    x = np.clip((left + (np.arange(columns) + 0.5) * scale).astype(int), 0, width - 1)
    return shown[np.ix_(y, x)]
