"""The pages that are measured: how each is opened, and when it has come to rest. What is seen is read from their pixels."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from playwright.async_api import BrowserContext, Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from benchmarks.ohif import Clinic
from provisioning.phantom import Phantom
from provisioning.phantom.instances import make_uid
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance

State = dict[str, Any]
"""What the canvas showed, ``number``, and what the page said of it; see ``sampler.js``."""

_PROOF_MS = 20_000
"""So long all bits are waited for after the exact picture."""


class Viewer(Protocol):
    """A page that shows the numbered stack."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str: ...

    @property
    def authority(self) -> Path:
        """Of its server's certificate, a PEM file."""

    @property
    def stack(self) -> Phantom: ...

    @property
    def patience_s(self) -> float:
        """So long each of its steps may take; what has not come by then is said to be missing."""

    @property
    def loads_volume(self) -> bool:
        """Whether the page draws volumes itself, and has to have all slices before."""

    @property
    def http3(self) -> tuple[str, ...]:
        """Origins that it is to be asked for over HTTP/3 from the first request."""

    @property
    def canvas(self) -> str:
        """Selector of the canvas."""

    async def admit(self, context: BrowserContext) -> None:
        """Whoever looks is known to the server, and the sampler knows where to look."""

    async def settle(self, page: Page) -> None:
        """What the page does for the picture that is wanted now is done."""

    async def stopped_at(self, page: Page, before: int) -> int:
        """The slice where the wheel, which began at slice ``before``, has stopped; once its exact picture is there."""

    def is_exact(self, state: State) -> bool: ...

    def is_all_bits(self, state: State) -> bool: ...

    async def show_volume(self, page: Page) -> None:
        """The volume is on the screen, in 3D, all of it."""


@dataclass(frozen=True)
class Ours:
    """The appliance's own page, over HTTP/3."""

    appliance: RunningAppliance
    path: str
    stack: Phantom
    name: str = "ours"
    patience_s: float = 60
    loads_volume: bool = False
    canvas: str = "[data-testid=viewer-canvas]"

    @property
    def address(self) -> str:
        return self.appliance.origin + self.path

    @property
    def authority(self) -> Path:
        return self.appliance.authority

    @property
    def http3(self) -> tuple[str, ...]:
        return (f"{self.appliance.host}:{self.appliance.port}",)

    async def admit(self, context: BrowserContext) -> None:
        with self.appliance.client() as client:
            client.post("/api/session", json={"username": USERNAME, "password": PASSWORD}).raise_for_status()
            cookies = list(client.cookies.jar)
        for cookie in cookies:
            await context.add_cookies(
                [
                    {
                        "name": cookie.name, "value": cookie.value or "", "domain": self.appliance.host,
                        "path": cookie.path, "secure": True, "httpOnly": True, "sameSite": "Strict",
                    }
                ]
            )  # fmt: skip

    async def settle(self, page: Page) -> None:
        await page.wait_for_function(_says("settled"))

    async def stopped_at(self, page: Page, before: int) -> int:
        await self.settle(page)
        number = int(await page.evaluate("() => sampled.slices.at(-1)[1]"))
        with contextlib.suppress(PlaywrightTimeout):  # only its own figure is missing then
            await page.wait_for_function(_says("proven"), timeout=_PROOF_MS)
        return number

    def is_exact(self, state: State) -> bool:
        return state.get("settled") == "true" and state.get("grade") == "final"

    def is_all_bits(self, state: State) -> bool:
        return state.get("proven") == "true"

    async def show_volume(self, page: Page) -> None:
        await page.get_by_test_id("view-volume").click()
        await page.wait_for_function(
            "() => document.querySelector('[data-testid=viewer-canvas]').dataset.mode === 'volume'"
        )
        await self.settle(page)


def _says(what: str) -> str:
    return f"() => document.querySelector('[data-testid=viewer-canvas]')?.dataset.{what} === 'true'"


@dataclass(frozen=True)
class Ohif:
    """OHIF over HTTP/2. It draws whole frames only: what it shows of a slice is exact, and all its bits are there."""

    clinic: Clinic
    stack: Phantom
    name: str = "OHIF"
    patience_s: float = 120
    loads_volume: bool = True
    canvas: str = "canvas.cornerstone-canvas"
    http3: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"{self.clinic.origin}/viewer?StudyInstanceUIDs={make_uid(self.stack, 'study')}"

    @property
    def authority(self) -> Path:
        return self.clinic.authority

    async def admit(self, context: BrowserContext) -> None:
        """Nobody is asked who he is, which would cost it more; he has seen its tour and its notice before."""
        await context.add_init_script(
            f"""
            window.sampledCanvas = {json.dumps(self.canvas)}
            window.sampledMode = '2d'
            localStorage.setItem('shownTours', '["basicViewerTour"]')
            sessionStorage.setItem('investigationalUseDialog', 'hidden')
            """
        )

    async def settle(self, page: Page) -> None:
        """It loads the whole stack by itself, without an end on a bad line: a slice is all that is waited for."""
        await page.wait_for_function("() => sampled.slices.length > 0")

    async def stopped_at(self, page: Page, before: int) -> int:
        """It goes on by one slice for each event of the wheel, of which the browser may have made one out of several."""
        events = int(await page.evaluate("() => sampled.wheels.length"))
        number = before + events if before == 0 else before - events
        await page.wait_for_function("number => sampled.slices.at(-1)?.[1] === number", arg=number)
        return number

    def is_exact(self, state: State) -> bool:
        return True

    def is_all_bits(self, state: State) -> bool:
        return True

    async def show_volume(self, page: Page) -> None:
        await page.evaluate(
            "() => { window.sampledMode = 'volume'; commandsManager.run('setHangingProtocol', {protocolId: 'only3D'}) }"
        )
        await page.wait_for_function(
            """() => cornerstone.cache.getVolumes().some((volume) => volume.loadStatus?.loaded)
                && performance.now() - sampled.pictures.at(-1) > 2000"""
        )
