"""How the page feels on a bad line: real Chromium, real packets, and what is seen judged by the pixels on the screen.

For each line (``benchmarks.line``: 2G, 4G and none) a browser with nothing in its cache opens a study of numbered slices over
HTTP/3. Server and browser share this machine; only the line between them is slow.

    cold_first_slice_s   from the address being opened, by somebody who is logged in, to the first slice that can be read
    slices_per_s         different slices on the screen, while a wheel goes through the stack at 30 notches a second
    dropped              slices that the wheel passed and that never were on the screen
    stop_to_exact_s      from the last notch to the picture without loss, of the slice where the wheel stopped
    stop_to_all_bits_s   the same to all its stored values, proven by their SHA-256
    wasted_bytes         that came over the line after a jump to the other end of the stack and before its picture, but not for it
    volume_frames_per_s  different pictures of a volume while a hand turns it
    heap_mb              of the page after all that, megabytes: JavaScript, its buffers and the engine's objects
    ratio_vs_ohif        null: OHIF is not measured yet
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, CDPSession, Page

from benchmarks.line import NEAR_ADDRESS, PROFILES, Line, NoLine, enter, open_line
from provisioning.phantom import Phantom, Size, write_files
from tests.end_to_end.browser import chromium_path, open_browser
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one

Say = Callable[[str], None]
_SAMPLER = Path(__file__).with_name("sampler.js")
_VIEWPORT = {"width": 1280, "height": 800}
_NOTCHES_PER_S = 30
_NOTCH_PIXELS = 100
_TURNING_S = 5.0
_TIMEOUT_MS = 60_000
_QUIET_S = 1.5
"""So long a page is left alone before something is measured: what it fetches by itself has come."""
_SETTLED = "() => document.querySelector('[data-testid=viewer-canvas]')?.dataset.settled === 'true'"
_PROVEN = "() => document.querySelector('[data-testid=viewer-canvas]')?.dataset.proven === 'true'"
_OHIF_REASON = "OHIF is not measured yet"


@dataclass(frozen=True)
class Stack:
    """The study that is looked at."""

    appliance: RunningAppliance
    path: str
    slices: int


def measure(*, quick: bool, say: Say) -> dict[str, Any]:
    """The figures of each line. Ends the program where no line can be made."""
    try:
        with open_line(PROFILES["none"]) as line, tempfile.TemporaryDirectory(prefix="slow-line-") as name:
            enter(line.near)  # the servers are started there; only the browser is at the far side
            return asyncio.run(_measure(line, Path(name), quick=quick, say=say))
    except NoLine as reason:
        raise SystemExit(f"slow-line cannot be measured here: {reason}") from reason


def show(figures: dict[str, Any]) -> None:
    lines = figures["slow-line"]
    names = next(iter(lines.values()))
    print(f"{'':22}" + "".join(f"{line:>12}" for line in lines))
    for name in names:
        print(f"{name:22}" + "".join(f"{_written(lines[line][name]):>12}" for line in lines))
    print(f"ratio_vs_ohif is missing: {_OHIF_REASON}")


def _written(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


async def _measure(line: Line, folder: Path, *, quick: bool, say: Say) -> dict[str, Any]:
    slices, colds = (61, 2) if quick else (241, 5)
    stack = _prepared(folder, slices, say)
    try:
        stack.appliance.start()
        stack = _found(stack)
        figures: dict[str, Any] = {}
        await _warm(line, stack, folder)
        for name, profile in PROFILES.items():
            say(f"{name}: {profile}")
            line.shape(profile)
            figures[name] = await _Sitting(line, stack, folder, say).figures(colds)
    finally:
        stack.appliance.kill()
    return {"slow-line": figures}


def _prepared(folder: Path, slices: int, say: Say) -> Stack:
    """An appliance with an account and the numbered stack, not running."""
    appliance = all_in_one(folder / "appliance")
    appliance.directory.mkdir()
    appliance.settings["listen"]["address"] = "0.0.0.0"  # of a namespace that nobody else is in
    appliance.create_account()
    phantom = Phantom(Size(slices, 512, 512, 0.78, 2.5), marked=True)
    say(f"making {slices} slices")
    for _ in write_files(phantom, folder / "stack"):
        pass
    return Stack(appliance, "", slices)


def _found(stack: Stack) -> Stack:
    """The stack taken in, with its address in the page."""
    appliance = stack.appliance
    appliance.take_in(appliance.directory.parent / "stack")
    with appliance.client() as client:
        grant = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD}).raise_for_status().json()
        headers = {"Authorization": f"Bearer {grant['access_token']}"}
        patients = client.get("/api/patients", params={"search": "phantom"}, headers=headers).raise_for_status().json()
        patient = patients["patients"][0]["id"]
        studies = client.get(f"/api/patients/{patient}/studies", headers=headers).raise_for_status().json()
        study = studies["studies"][0]
    path = f"/patients/{patient}/nodes/{study['node_id']}/studies/{study['study_uid']}"
    return Stack(appliance, path, stack.slices)


async def _warm(line: Line, stack: Stack, folder: Path) -> None:
    """The server has drawn before, as one that is in use."""
    async with _browser(line, stack, folder) as context:
        page = await _opened(context, stack)
        await page.wait_for_function(_SETTLED)
        await page.get_by_test_id("view-volume").click()
        await page.wait_for_function(_SETTLED)


@asynccontextmanager
async def _browser(line: Line, stack: Stack, folder: Path) -> AsyncIterator[BrowserContext]:
    """A browser at the far side, with nothing in its cache, of somebody who is logged in."""
    appliance = stack.appliance
    with tempfile.TemporaryDirectory(dir=folder, prefix="home-", ignore_cleanup_errors=True) as home:
        executable = Path(home) / "chromium-at-the-far-side"
        executable.write_text(f'#!/bin/sh\nexec nsenter --net={line.far} {chromium_path()} "$@"\n')
        executable.chmod(0o700)
        async with open_browser(
            Path(home),
            authority=appliance.authority,
            hosts={appliance.host: NEAR_ADDRESS},
            http3=[f"{appliance.host}:{appliance.port}"],
            executable=str(executable),
        ) as context:
            context.set_default_timeout(_TIMEOUT_MS)
            await context.add_init_script(path=_SAMPLER)
            with appliance.client() as client:
                client.post("/api/session", json={"username": USERNAME, "password": PASSWORD}).raise_for_status()
                cookies = [cookie for cookie in client.cookies.jar]  # noqa: C416 (a jar is no list)
            for cookie in cookies:
                await context.add_cookies(
                    [
                        {
                            "name": cookie.name, "value": cookie.value or "", "domain": appliance.host,
                            "path": cookie.path, "secure": True, "httpOnly": True, "sameSite": "Strict",
                        }
                    ]
                )  # fmt: skip
            yield context


async def _opened(context: BrowserContext, stack: Stack) -> Page:
    page = context.pages[0]
    await page.set_viewport_size(_VIEWPORT)  # type: ignore[arg-type]
    await asyncio.sleep(_QUIET_S)
    await page.goto(stack.appliance.origin + stack.path, wait_until="commit")
    return page


@dataclass
class _Sitting:
    """Somebody at a line."""

    line: Line
    stack: Stack
    folder: Path
    say: Say

    async def figures(self, colds: int) -> dict[str, Any]:
        cold = []
        for _ in range(colds):
            async with _browser(self.line, self.stack, self.folder) as context:
                cold.append(await self._cold(await _opened(context, self.stack)))
                self.say(f"  cold first slice {cold[-1]:.2f} s")
        async with _browser(self.line, self.stack, self.folder) as context:
            page = await _opened(context, self.stack)
            await page.wait_for_function(_SETTLED)
            session = await context.new_cdp_session(page)
            found = {"cold_first_slice_s": round(statistics.median(cold), 2)}
            found |= await self._ride(page)
            found |= {"wasted_bytes": await self._jump(page, session)}
            found |= {"volume_frames_per_s": await self._turn(page)}
            found |= {"heap_mb": await _heap_mb(session), "ratio_vs_ohif": None}
        for name, value in found.items():
            self.say(f"  {name}: {_written(value)}")
        return found

    async def _cold(self, page: Page) -> float:
        await page.wait_for_function("() => sampled.slices.length > 0")
        return float(await page.evaluate("() => sampled.slices[0][0]")) / 1000

    async def _ride(self, page: Page) -> dict[str, Any]:
        await self._go_to_the_first(page)
        before = int(await page.evaluate("() => sampled.slices.at(-1)[1]"))
        await page.evaluate("() => { sampled.slices = []; sampled.states = []; sampled.wheels = [] }")
        await self._wheel(page, self.stack.slices - 11)  # the end of the stack would hide what comes after the stop
        await page.wait_for_function(_SETTLED)
        last = int(await page.evaluate("() => sampled.slices.at(-1)[1]"))
        proven = await _within(page, _PROVEN, 10_000)
        sampled = await page.evaluate("() => sampled")
        passed = range(before + 1, last + 1) if last > before else range(last, before)
        return _judged_ride(sampled, passed, last, is_proven=proven)

    async def _go_to_the_first(self, page: Page) -> None:
        await page.get_by_test_id("viewer-canvas").hover()
        await page.keyboard.press("Home")
        await asyncio.sleep(_QUIET_S)
        await page.wait_for_function(_SETTLED)
        await asyncio.sleep(_QUIET_S)

    async def _wheel(self, page: Page, notches: int) -> None:
        async with asyncio.TaskGroup() as hand:
            async for _ in _paced(notches):
                hand.create_task(page.mouse.wheel(0, _NOTCH_PIXELS))

    async def _jump(self, page: Page, session: CDPSession) -> int:
        """Bytes of the line, from the jump to the first picture of the other end, less those of that picture."""
        await self._go_to_the_first(page)
        arrived = _Arrivals()
        session.on("Network.requestWillBeSent", arrived.asked)
        session.on("Network.dataReceived", arrived.came)
        await session.send("Network.enable")
        await self._wheel(page, 30)
        before = self.line.counts()["down"]["bytes"]
        await page.evaluate("() => { sampled.slices = [] }")
        await page.keyboard.press("End")
        last = self.stack.slices - 1
        await page.wait_for_function("last => sampled.slices.some(([, number]) => number === last)", arg=last)
        after = self.line.counts()["down"]["bytes"]
        await page.wait_for_function(_SETTLED)
        shown = await page.evaluate("() => document.querySelector('[data-testid=viewer-canvas]').dataset.shown")
        await session.send("Network.disable")
        return after - before - arrived.first_of(shown.split("#")[0])

    async def _turn(self, page: Page) -> float:
        await page.get_by_test_id("view-volume").click()
        await page.wait_for_function(
            "() => document.querySelector('[data-testid=viewer-canvas]').dataset.mode === 'volume'"
        )
        await page.wait_for_function(_SETTLED)
        box = await page.get_by_test_id("viewer-canvas").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 3, box["y"] + box["height"] / 2
        await page.mouse.move(x, y)
        await page.mouse.down()
        await page.evaluate("() => { sampled.pictures = [] }")
        started = time.perf_counter()
        async with asyncio.TaskGroup() as hand:
            async for step in _paced(int(_TURNING_S * _NOTCHES_PER_S)):
                hand.create_task(page.mouse.move(x + step * 2, y))
        taken_s = time.perf_counter() - started
        pictures = int(await page.evaluate("() => sampled.pictures.length"))
        await page.mouse.up()
        return round(pictures / taken_s, 1)


async def _paced(count: int) -> AsyncIterator[int]:
    """0 and the numbers after it, at the pace of the hand; one that is late is not waited for by the next."""
    started = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / _NOTCHES_PER_S - time.perf_counter()))
        yield number


class _Arrivals:
    """What the page's requests received."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._bytes: dict[str, int] = {}

    def asked(self, event: dict[str, Any]) -> None:
        self._urls[event["requestId"]] = event["request"]["url"]

    def came(self, event: dict[str, Any]) -> None:
        self._bytes[event["requestId"]] = self._bytes.get(event["requestId"], 0) + int(event["dataLength"])

    def first_of(self, instance_uid: str) -> int:
        """Bytes of the answer that was asked for first, of those about an instance."""
        return next(self._bytes.get(request, 0) for request, url in self._urls.items() if instance_uid in url)


def _judged_ride(sampled: dict[str, Any], passed: range, last: int, *, is_proven: bool) -> dict[str, Any]:
    first_notch, last_notch = sampled["wheels"][0], sampled["wheels"][-1]
    times = [at for at, number in sampled["slices"] if number in passed]
    shown = {number for _, number in sampled["slices"]}
    stopped = [(at, state) for at, state in sampled["states"] if at >= last_notch and state["number"] == last]
    exact = next((at for at, state in stopped if state["settled"] == "true" and state["grade"] == "final"), None)
    proven = next((at for at, state in stopped if state["proven"] == "true"), None) if is_proven else None
    seconds = (max(times) - first_notch) / 1000
    return {
        "slices_per_s": round(len(shown & set(passed)) / seconds, 1),
        "wheel_per_s": round((len(sampled["wheels"]) - 1) / (last_notch - first_notch) * 1000, 1),
        "dropped": len(set(passed) - shown),
        "stop_to_exact_s": None if exact is None else round((exact - last_notch) / 1000, 2),
        "stop_to_all_bits_s": None if proven is None else round((proven - last_notch) / 1000, 2),
    }


async def _within(page: Page, condition: str, timeout_ms: float) -> bool:
    deadline = time.monotonic() + timeout_ms / 1000
    while time.monotonic() < deadline:
        if await page.evaluate(condition):
            return True
        await asyncio.sleep(0.05)
    return False


async def _heap_mb(session: CDPSession) -> float:
    usage = await session.send("Runtime.getHeapUsage")
    parts = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")
    return round(sum(usage.get(part, 0) for part in parts) / 1e6, 1)
