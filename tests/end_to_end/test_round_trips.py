"""How many requests follow each other until there is a picture: on a line of 100 ms each of them is 100 ms and more."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Any

from playwright.async_api import BrowserContext, Page, Request, Response, Route

from tests.end_to_end.physician import Physician
from tests.end_to_end.running import RunningAppliance

_LATE_S = 0.5
"""Every request takes so much longer that those that do not wait for each other are seen to be beside each other."""
_KINDS = (
    (r"/frames/\d+/rendered", "picture"),
    (r"/thumbnail", "thumbnail"),
    (r"/api/studies/", "study"),
    (r"/api/session", "session"),
    (r"/api/inbox", "inbox"),
    (r"/api/place", "place"),
    (r"/assets/", "part of the page"),
    (r"/patients/|/$", "document"),
)


@dataclass
class Asked:
    """A request of the page."""

    kind: str
    began_s: float
    answered_s: float | None = None
    """When its answer began."""

    def is_answered_by(self, time_s: float) -> bool:
        return self.answered_s is not None and self.answered_s <= time_s


class Waterfall:
    """Every request of a page, in the order in which they were made; nothing of it comes from a cache."""

    def __init__(self) -> None:
        self.asked: dict[Request, Asked] = {}

    @classmethod
    async def of(cls, page: Page) -> Waterfall:
        waterfall = cls()
        page.on("response", waterfall._answered)
        await page.route("**/*", waterfall._late)
        return waterfall

    def until_first(self, kind: str) -> list[list[str]]:
        """What was on the line at once, one after the other: the kinds of requests that waited for none, for one, for two …"""
        first = next(one for one in self.asked.values() if one.kind == kind)
        before = [one for one in self.asked.values() if one.began_s <= first.began_s]
        depths: list[int] = []
        for one in before:
            earlier = zip(before, depths, strict=False)
            depths.append(1 + max((depth for other, depth in earlier if other.is_answered_by(one.began_s)), default=0))
        return [
            sorted({one.kind for one, depth in zip(before, depths, strict=True) if depth == level})
            for level in range(1, max(depths) + 1)
        ]

    async def _late(self, route: Route) -> None:
        kind = next((kind for pattern, kind in _KINDS if re.search(pattern, route.request.url)), route.request.url)
        self.asked[route.request] = Asked(kind, time.monotonic())
        await asyncio.sleep(_LATE_S)
        await route.continue_()

    def _answered(self, response: Response) -> None:
        if response.request in self.asked:
            self.asked[response.request].answered_s = time.monotonic()


async def test_four_requests_follow_each_other_from_an_address_to_its_first_picture(
    physician: Physician, filled: RunningAppliance, context: BrowserContext
) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    address = physician.page.url
    page = await context.new_page()
    waterfall = await Waterfall.of(page)

    await page.goto(address)
    await Physician(page, filled).settle()

    assert waterfall.until_first("picture") == [
        ["document"],
        ["part of the page", "session"],
        ["study"],
        ["picture"],
    ]
    await page.unroute_all(behavior="wait")


async def test_two_requests_follow_each_other_from_the_list_of_studies_to_the_first_picture(
    physician: Physician, filled: RunningAppliance
) -> None:
    await physician.log_in()
    await physician.open_patient("phantom")
    row = physician.find("study-row").first
    await row.wait_for()
    await physician.page.wait_for_load_state("networkidle")
    waterfall = await Waterfall.of(physician.page)

    await row.click()
    await physician.settle()

    first, *then = waterfall.until_first("picture")
    assert "study" in first  # the search of the page before may be beside it
    assert then == [["picture"]]
    await physician.page.unroute_all(behavior="wait")


async def test_the_first_picture_does_not_wait_for_the_page(
    physician: Physician, filled: RunningAppliance, context: BrowserContext
) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    page = await context.new_page()
    is_asked = asyncio.Event()
    page.on("request", lambda request: is_asked.set() if "/rendered?" in request.url else None)

    async def after_the_picture(route: Route) -> None:
        await is_asked.wait()
        await route.continue_()

    await page.route("**/assets/*.js", after_the_picture)
    await page.goto(physician.page.url)

    await Physician(page, filled).settle()


async def test_the_draft_that_the_document_asks_for_is_the_one_that_the_page_wants(
    physician: Physician, filled: RunningAppliance, context: BrowserContext
) -> None:
    await physician.log_in()
    await physician.open_study("phantom")
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    drafts: list[tuple[str, bool]] = []
    is_there = asyncio.Event()

    def answered(event: dict[str, Any]) -> None:
        if "&quality=" in event["response"]["url"] and len(drafts) < 2:
            drafts.append((event["response"]["url"], event["response"]["fromDiskCache"]))
            is_there.set() if len(drafts) == 2 else None

    session.on("Network.responseReceived", answered)
    await session.send("Network.enable")
    await session.send("Network.clearBrowserCache")

    await page.goto(physician.page.url)
    await Physician(page, filled).settle()
    await asyncio.wait_for(is_there.wait(), 30)

    (by_document, from_cache), (by_page, again_from_cache) = drafts
    assert by_document == by_page
    assert (from_cache, again_from_cache) == (False, True)
