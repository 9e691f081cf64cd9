"""The transport under a real browser: which protocol it speaks, and what its aborted requests leave behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from appliance.http.certificates import CertificateFiles, ensure_self_made
from appliance.http.listeners import serve
from appliance.http.priorities import read_priority
from tests.end_to_end.browser import BrowserMissing, chromium_path, open_browser, trust

HOST = "box.test"

PROTOCOLS = """async () => {
  await (await fetch('/small')).text()
  const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  return entries.filter(e => e.nextHopProtocol).map(e => e.nextHopProtocol)
}"""

ABORT = """async count => {
  let aborted = 0
  for (let i = 0; i < count; i++) {
    const controller = new AbortController()
    const asked = fetch(i % 2 ? '/never' : '/endless', { signal: controller.signal })
      .then(r => r.arrayBuffer())
      .catch(error => { if (error.name === 'AbortError') aborted++ })
    await new Promise(resolve => setTimeout(resolve, i % 3 * 20))
    controller.abort()
    await asked
  }
  return [aborted, await (await fetch('/small')).text()]
}"""

PARALLEL = """async count => {
  const ask = async i => (await fetch('/small?' + i)).text()
  const texts = await Promise.all(Array.from({ length: count }, (_, i) => ask(i)))
  return [texts.length, [...new Set(texts)]]
}"""

UPLOAD = """async size => {
  const body = new Uint8Array(size).fill(7)
  return Number(await (await fetch('/upload', { method: 'POST', body })).text())
}"""

EARLY = """async size => {
  const response = await fetch('/refuse', { method: 'POST', body: new Uint8Array(size) })
  return [response.status, await (await fetch('/small')).text()]
}"""


URGENCIES = """async () => {
  const said = []
  for (const priority of ['high', 'auto', 'low']) said.push(await (await fetch('/priority', { priority })).text())
  return said
}"""


class SmallApplication:
    """A page and what it may ask for; counts the handlers that were cut short."""

    def __init__(self) -> None:
        self.versions: set[str] = set()
        self.ended_early = 0
        self.running = 0
        self._priority = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan")
        self.versions.add(scope["http_version"])
        self.running += 1
        self._priority = dict(scope["headers"]).get(b"priority", b"")
        try:
            await getattr(self, scope["path"].strip("/").removesuffix(".ico") or "page")(receive, send)
        except asyncio.CancelledError:
            self.ended_early += 1
            raise
        finally:
            self.running -= 1

    async def page(self, receive: Any, send: Any) -> None:
        await respond(send, b"<!doctype html><title>page</title>", b"text/html")

    async def favicon(self, receive: Any, send: Any) -> None:
        await respond(send, b"", status=404)

    async def small(self, receive: Any, send: Any) -> None:
        await respond(send, b"small")

    async def priority(self, receive: Any, send: Any) -> None:
        """What the browser said of this request."""
        await respond(send, self._priority)

    async def never(self, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.ended_early += 1

    async def endless(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        disconnected = asyncio.create_task(self.never(receive, send))
        while not disconnected.done():
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            await asyncio.sleep(0)

    async def upload(self, receive: Any, send: Any) -> None:
        received_bytes, is_more = 0, True
        while is_more:
            message = await receive()
            received_bytes += len(message["body"])
            is_more = message["more_body"]
        await respond(send, json.dumps(received_bytes).encode())

    async def refuse(self, receive: Any, send: Any) -> None:
        await respond(send, b"no", status=401)


async def respond(send: Any, body: bytes, content_type: bytes = b"text/plain", *, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type)]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return ensure_self_made(tmp_path_factory.mktemp("tls"), [HOST])


@pytest.fixture
def application() -> SmallApplication:
    return SmallApplication()


@asynccontextmanager
async def visiting(
    application: SmallApplication, certificate: CertificateFiles, home: Path, *, is_http3: bool
) -> AsyncIterator[Page]:
    """The application's page, open in the browser."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    server = asyncio.create_task(
        serve(application, address="127.0.0.1", port=0, certificate=certificate, stop=stop, ready=ready.set_result)
    )
    try:
        port = (await ready).port
        assert certificate.authority is not None
        async with open_browser(
            home,
            authority=certificate.authority,
            hosts={HOST: "127.0.0.1"},
            http3=[f"{HOST}:{port}"] if is_http3 else [],
        ) as context:
            page = context.pages[0]
            await page.goto(f"https://{HOST}:{port}/")
            yield page
    finally:
        stop.set()
        await server


@pytest.mark.parametrize(("is_http3", "protocol", "version"), [(True, "h3", "3"), (False, "h2", "2")])
async def test_the_browser_speaks_what_was_asked_for(
    application: SmallApplication,
    certificate: CertificateFiles,
    tmp_path: Path,
    is_http3: bool,
    protocol: str,
    version: str,
) -> None:
    async with visiting(application, certificate, tmp_path, is_http3=is_http3) as page:
        protocols = await page.evaluate(PROTOCOLS)

    assert len(protocols) >= 2
    assert set(protocols) == {protocol}
    assert application.versions == {version}


@pytest.mark.parametrize("is_http3", [True, False])
async def test_the_transport_holds_what_a_page_does(
    application: SmallApplication, certificate: CertificateFiles, tmp_path: Path, is_http3: bool
) -> None:
    async with visiting(application, certificate, tmp_path, is_http3=is_http3) as page:
        assert await page.evaluate(PARALLEL, 50) == [50, ["small"]]
        assert await page.evaluate(ABORT, 30) == [30, "small"]
        assert await page.evaluate(UPLOAD, 4_000_000) == 4_000_000
        await asyncio.sleep(0.3)
        assert application.running == 0

    assert application.ended_early >= 10


@pytest.mark.parametrize("is_http3", [True, False])
async def test_the_browser_says_how_urgent_a_request_is(
    application: SmallApplication, certificate: CertificateFiles, tmp_path: Path, is_http3: bool
) -> None:
    async with visiting(application, certificate, tmp_path, is_http3=is_http3) as page:
        said = await page.evaluate(URGENCIES)
    high, auto, low = (read_priority(value.encode()).urgency for value in said)
    print(said)

    assert high <= auto < low


@pytest.mark.parametrize("is_http3", [True, False])
async def test_an_answer_before_the_end_of_an_upload_arrives(
    application: SmallApplication, certificate: CertificateFiles, tmp_path: Path, is_http3: bool
) -> None:
    async with visiting(application, certificate, tmp_path, is_http3=is_http3) as page:
        assert await asyncio.wait_for(page.evaluate(EARLY, 4_000_000), 20) == [401, "small"]


def test_a_missing_browser_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("APPLIANCE_TEST_CHROMIUM", raising=False)

    with pytest.raises(BrowserMissing, match="package chromium"):
        chromium_path()
    with pytest.raises(BrowserMissing, match="package libnss3-tools"):
        trust(tmp_path, tmp_path / "authority.pem")
