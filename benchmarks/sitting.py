"""Somebody at a line, in front of a viewer: opens it, goes through the stack, jumps, turns the volume.

Nothing here trusts the viewer about what it shows, only about when it has come to rest. A step that does not end in time is
a figure that is missing, with its reason, and the next one is taken.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, CDPSession, Page
from playwright.async_api import Error as PlaywrightError

from benchmarks.line import NEAR_ADDRESS, PROFILES, Line, Profile
from benchmarks.viewers import State, Viewer
from provisioning.phantom.instances import make_uid
from tests.end_to_end.browser import chromium_path, open_browser

Say = Callable[[str], None]
Figures = dict[str, float | None]
_SAMPLER = Path(__file__).with_name("sampler.js")
_VIEWPORT = {"width": 1280, "height": 800}
_NOTCHES_PER_S = 30
_NOTCH_PIXELS = 100
_SPARED = 10
"""Slices that the wheel leaves: the end of the stack would hide what comes after the stop."""
_BEFORE_A_JUMP = 30
_TURNING_S = 5.0
_PATIENCES = 3
"""A step that waits for several things may take so many times a viewer's patience."""
_QUIET_S = 1.5
"""So long a page is left alone before something is measured: what it fetches by itself has come."""


@dataclass
class Sitting:
    """One viewer at one line."""

    viewer: Viewer
    line: Line
    profile: Profile
    folder: Path
    say: Say
    ends_at: float = math.inf
    """By ``time.monotonic``: what has not come by then is missing."""
    missing: list[str] = field(default_factory=list)
    """Figures that are missing, each with its reason."""

    async def figures(self, opens: int) -> Figures:
        """All figures; the cold start is the median of so many, each in a browser of its own."""
        self.line.shape(self.profile)
        cold: list[float] = []
        for _ in range(opens - 1):
            async with self._opened() as (page, _session):
                await self._open(page, cold)
        with self._home() as home:
            async with self._opened(home) as (page, session):
                await self._open(page, cold)
                found: Figures = {"cold_first_slice_s": round(statistics.median(cold), 2) if cold else None}
                found |= await self._at_work(page, session)
            async with self._opened(home) as (page, _session):
                found |= await self._step(SECOND_VISIT, self._visit_again(page))
        for name, value in found.items():
            self.say(f"  {name}: {written(value)}")
        return found

    async def _at_work(self, page: Page, session: CDPSession) -> Figures:
        """What is measured in a page that is open."""
        found = await self._step(RIDE, self._ride(page))
        found |= await self._step(("wasted_bytes",), self._jump(page, session))
        if self.turns_volume:
            found |= await self._step(TURN, self._turn(page, session))
        return found | await self._step(("heap_mb",), _heap_mb(session))

    async def warm(self) -> None:
        """The server has drawn before, as one that is in use."""
        self.line.shape(PROFILES["none"])
        async with self._opened() as (page, _):
            await self._step((), self._draw_all(page))

    async def _draw_all(self, page: Page) -> Figures:
        await self._look(page)
        await self.viewer.settle(page)
        if not self.viewer.loads_volume:
            await self.viewer.show_volume(page)
        return {}

    async def _open(self, page: Page, cold: list[float]) -> None:
        found = await self._step(("cold",), self._cold(page))
        if found["cold"] is not None:
            cold.append(found["cold"])
            self.say(f"  cold first slice {cold[-1]:.2f} s")

    async def _step(self, names: tuple[str, ...], doing: Awaitable[Figures]) -> Figures:
        patience_s = min(_PATIENCES * self.viewer.patience_s, self.ends_at - time.monotonic())
        try:
            async with asyncio.timeout(patience_s):  # not everything that is asked has a limit
                return await doing
        except (PlaywrightError, TimeoutError) as error:
            said = str(error).splitlines() or ["did not end"]
            reason = f"{self.viewer.name}: {', '.join(names)}: {said[0]}"
            self.missing.append(reason)
            self.say(f"  missing: {reason}")
            return dict.fromkeys(names)

    @property
    def _last(self) -> int:
        return self.viewer.stack.size.slices - 1

    @property
    def turns_volume(self) -> bool:
        """A volume that is drawn in the page turns the same on every line: it is loaded where that takes no minutes."""
        return not self.viewer.loads_volume or self.profile == PROFILES["none"]

    # The browser

    @contextmanager
    def _home(self) -> Iterator[Path]:
        """Where a browser keeps what it has."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="home-", ignore_cleanup_errors=True) as name:
            yield Path(name)

    @asynccontextmanager
    async def _opened(self, home: Path | None = None) -> AsyncIterator[tuple[Page, CDPSession]]:
        """A page of a browser at the far side, of somebody who is logged in; nothing in its cache but what ``home`` has."""
        viewer = self.viewer
        host = viewer.address.split("/")[2].split(":")[0]
        with ExitStack() as own:
            home = home or own.enter_context(self._home())
            executable = home / "chromium-at-the-far-side"
            executable.write_text(f'#!/bin/sh\nexec nsenter --net={self.line.far} {chromium_path()} "$@"\n')
            executable.chmod(0o700)
            async with open_browser(
                home,
                authority=viewer.authority,
                hosts={host: NEAR_ADDRESS},
                http3=viewer.http3,
                executable=str(executable),
            ) as context:
                yield await self._page(context)

    async def _page(self, context: BrowserContext) -> tuple[Page, CDPSession]:
        context.set_default_timeout(self.viewer.patience_s * 1000)
        await self.viewer.admit(context)
        await context.add_init_script(path=_SAMPLER)
        page = context.pages[0]
        await page.set_viewport_size(_VIEWPORT)  # type: ignore[arg-type]
        return page, await context.new_cdp_session(page)

    async def _look(self, page: Page) -> None:
        await asyncio.sleep(_QUIET_S)
        await page.goto(self.viewer.address, wait_until="commit")

    # The steps

    async def _cold(self, page: Page) -> Figures:
        await self._look(page)
        await page.wait_for_function("() => sampled.slices.length > 0")
        return {"cold": float(await page.evaluate("() => sampled.slices[0][0]")) / 1000}

    async def _visit_again(self, page: Page) -> Figures:
        """The same address in a new browser that has been there before."""
        before = self.line.counts()["down"]["bytes"]
        first_s = (await self._cold(page))["cold"]
        came = self.line.counts()["down"]["bytes"] - before
        return {"second_visit_s": None if first_s is None else round(first_s, 2), "second_visit_bytes": came}

    async def _ride(self, page: Page) -> Figures:
        before = await self._go_to_an_end(page, "Home")
        await page.evaluate(
            "() => { sampled.slices = []; sampled.wheels = []; sampled.states.splice(0, sampled.states.length - 1) }"
        )
        await self._wheel(page, self._last - _SPARED)
        await self._has_heard(page)
        last = await self.viewer.stopped_at(page, before)
        return judged_ride(await page.evaluate("() => sampled"), before, last, self.viewer)

    async def _go_to_an_end(self, page: Page, key: str) -> int:
        """The slice that is there then."""
        await self.viewer.settle(page)
        await page.locator(self.viewer.canvas).first.hover()
        await page.keyboard.press(key)
        await asyncio.sleep(_QUIET_S)
        await page.wait_for_function("last => [0, last].includes(sampled.slices.at(-1)?.[1])", arg=self._last)
        await self.viewer.settle(page)
        await asyncio.sleep(_QUIET_S)
        return int(await page.evaluate("() => sampled.slices.at(-1)[1]"))

    async def _wheel(self, page: Page, notches: int) -> None:
        await asyncio.gather(
            *[asyncio.ensure_future(page.mouse.wheel(0, _NOTCH_PIXELS)) async for _ in _paced(notches)]
        )

    async def _has_heard(self, page: Page) -> None:
        """All notches have reached the page, which a busy one hears of late."""
        await page.wait_for_function("() => performance.now() - sampled.wheels.at(-1) > 1000")

    async def _jump(self, page: Page, session: CDPSession) -> Figures:
        """Bytes of the line, from the jump to the first picture of the other end, less those of that picture."""
        first = await self._go_to_an_end(page, "Home")
        last = self._last - first
        async with _watched(session) as requests:
            await self._wheel(page, _BEFORE_A_JUMP)
            before = self.line.counts()["down"]["bytes"]
            await page.evaluate("() => { sampled.slices = [] }")
            await page.keyboard.press("End")
            await page.wait_for_function("last => sampled.slices.some(([, number]) => number === last)", arg=last)
            after = self.line.counts()["down"]["bytes"]
            await self.viewer.settle(page)
        return {
            "wasted_bytes": after - before - requests.bytes_of_first(make_uid(self.viewer.stack, f"instance {last}"))
        }

    async def _turn(self, page: Page, session: CDPSession) -> Figures:
        await self.viewer.show_volume(page)
        box = await page.locator(self.viewer.canvas).first.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 3, box["y"] + box["height"] / 2
        await page.mouse.move(x, y)
        await page.mouse.down()
        async with _watched(session) as requests:
            await page.evaluate("() => { sampled.pictures = [] }")
            started = time.perf_counter()
            steps = _paced(int(_TURNING_S * _NOTCHES_PER_S))
            await asyncio.gather(*[asyncio.ensure_future(page.mouse.move(x + step * 2, y)) async for step in steps])
            taken_s = time.perf_counter() - started
            pictures = int(await page.evaluate("() => sampled.pictures.length"))
            await page.mouse.up()
        return {
            "volume_frames_per_s": round(pictures / taken_s, 2),
            "volume_asked": requests.asked,
            "volume_taken_back": requests.taken_back,
        }


RIDE = ("slices_per_s", "wheel_per_s", "dropped", "behind_s", "stop_to_exact_s", "stop_to_all_bits_s")
SECOND_VISIT = ("second_visit_s", "second_visit_bytes")
TURN = ("volume_frames_per_s", "volume_asked", "volume_taken_back")


async def _paced(count: int) -> AsyncIterator[int]:
    """0 and the numbers after it, at the pace of the hand; one that is late is not waited for by the next."""
    started = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / _NOTCHES_PER_S - time.perf_counter()))
        yield number


class Requests:
    """What a page asked for and received, while it was watched."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._bytes: dict[str, int] = {}
        self.taken_back = 0

    @property
    def asked(self) -> int:
        return len(self._urls)

    def on_asked(self, event: dict[str, Any]) -> None:
        self._urls[event["requestId"]] = event["request"]["url"]

    def on_came(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = self._bytes.get(event["requestId"], 0) + int(event["dataLength"])

    def on_failed(self, event: dict[str, Any]) -> None:
        self.taken_back += bool(event.get("canceled"))

    def bytes_of_first(self, instance_uid: str) -> int:
        """Bytes of the answer that was asked for first, of those about an instance; 0 if none was asked for."""
        asked = (request for request, url in self._urls.items() if instance_uid in url)
        return self._bytes.get(next(asked, ""), 0)


@asynccontextmanager
async def _watched(session: CDPSession) -> AsyncIterator[Requests]:
    requests = Requests()
    listeners = {
        "Network.requestWillBeSent": requests.on_asked,
        "Network.dataReceived": requests.on_came,
        "Network.loadingFailed": requests.on_failed,
    }
    for event, listener in listeners.items():
        session.on(event, listener)
    await session.send("Network.enable")
    try:
        yield requests
    finally:
        await session.send("Network.disable")
        for event, listener in listeners.items():
            session.remove_listener(event, listener)


def judged_ride(sampled: dict[str, Any], before: int, last: int, viewer: Viewer) -> Figures:
    """What the sampler saw of a wheel that went from slice ``before`` to ``last``."""
    passed = set(range(before + 1, last + 1) if last > before else range(last, before))
    first_notch, last_notch = sampled["wheels"][0], sampled["wheels"][-1]
    times = [at for at, number in sampled["slices"] if number in passed]
    shown = passed & {number for _, number in sampled["slices"]}
    seconds = (max(times) - min(times)) / 1000 if times else 0
    stopped = [(at, state) for at, state in _since(sampled["states"], last_notch) if state["number"] == last]
    return {
        "slices_per_s": round((len(shown) - 1) / seconds, 2) if seconds else 0.0,
        "wheel_per_s": round((len(sampled["wheels"]) - 1) / (last_notch - first_notch) * 1000, 1),
        "dropped": len(passed - shown),
        "behind_s": _seconds_to(lambda state: True, stopped, last_notch),
        "stop_to_exact_s": _seconds_to(viewer.is_exact, stopped, last_notch),
        "stop_to_all_bits_s": _seconds_to(viewer.is_all_bits, stopped, last_notch),
    }


def _since(states: list[tuple[float, State]], moment: float) -> list[tuple[float, State]]:
    """Those that held at ``moment`` or later, the first of them from that moment on."""
    begin = max((index for index, (at, _) in enumerate(states) if at <= moment), default=0)
    return [(max(at, moment), state) for at, state in states[begin:]]


def _seconds_to(is_so: Callable[[State], bool], states: list[tuple[float, State]], moment: float) -> float | None:
    at = next((at for at, state in states if is_so(state)), None)
    return None if at is None else round((at - moment) / 1000, 2)


def written(value: float | None) -> str:
    return "-" if value is None else f"{value:,.10g}"


async def _heap_mb(session: CDPSession) -> Figures:
    usage = await session.send("Runtime.getHeapUsage")
    parts = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")
    return {"heap_mb": round(sum(usage.get(part, 0) for part in parts) / 1e6, 1)}
