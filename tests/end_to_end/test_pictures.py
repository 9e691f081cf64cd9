"""Pictures in a real browser: of stored values Chromium decodes what NumPy reads from the file, and films play.

No socket: the browser's requests go to the doors of a node in memory. The decoder is the page's own, bundled here alone since
nothing of the page loads it before it is needed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, Route

from appliance.domain.views import STORED_VALUES
from appliance.http.certificates import ensure_self_made
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory
from tests.end_to_end.browser import open_browser
from tests.http.picture_doors import BASE, PictureDoors, picture_doors

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ROOT = Path(__file__).resolve().parents[2]
_DECODER = "/decoder/"

REAL = {
    "CT of 12 bits": "01-volumes/ct-chest-lidc-0314/080.dcm",
    "CT, signed": "10-transfer-syntaxes/nema-ct1/CT1_UNC.explicit-le.dcm",
    "MR": "01-volumes/mr-head-sag-decubitus-left/017.dcm",
    "CR": "04-xray/RG3_J2KR.dcm",
    "ultrasound in colour": "10-transfer-syntaxes/nema-us1/US1_UNC.dcm",
    "8 bits": "04-xray/RF-KarstenHilbert.dcm",
}

_DECODE = """async ([address, accept]) => {
  const { arrivedValues, isProven, storedFrame } = await import('/decoder/stored-values.js')
  const answer = await fetch(address, { headers: { Accept: accept } })
  const frame = storedFrame(await arrivedValues(answer))
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', frame.values))
  return {
    digest: Array.from(digest, byte => byte.toString(16).padStart(2, '0')).join(''),
    isProven: await isProven(frame), shape: [frame.rows, frame.columns], rescale: frame.rescale,
  }
}"""


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's decoder as a browser loads it."""
    folder = tmp_path_factory.mktemp("decoder")
    rolldown = _ROOT / "webui" / "node_modules" / "rolldown" / "bin" / "cli.mjs"
    source = _ROOT / "webui" / "src" / "viewer" / "pictures" / "stored-values.ts"
    node = _ROOT / ".venv" / "bin" / "node"
    subprocess.run([node, rolldown, source, "--format", "esm", "--dir", folder], check=True, capture_output=True)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PictureDoors]:
    async with picture_doors(tmp_path_factory.mktemp("node")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(doors: PictureDoors, decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    folder = tmp_path_factory.mktemp("browser")
    authority = ensure_self_made(folder / "tls", ["box.test"]).certificate
    async with open_browser(folder / "home", authority=authority) as context:
        yield await _page_at_the_doors(context, doors, decoder)


async def _page_at_the_doors(context: BrowserContext, doors: PictureDoors, decoder: Path) -> Page:
    async def answered(route: Route) -> None:
        path = route.request.url.removeprefix(BASE)
        if path.startswith(_DECODER):
            body = (decoder / path.removeprefix(_DECODER)).read_bytes()
            await route.fulfill(body=body, content_type="text/javascript")
        elif path.startswith("/dicom-web/"):
            answer = await doors.get(path, route.request.headers["accept"])
            await route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.content)
        else:
            await route.fulfill(body="<!doctype html>", content_type="text/html")

    await context.route(f"{BASE}/**", answered)
    page = await context.new_page()
    await page.goto(f"{BASE}/")
    return page


@pytest.mark.parametrize("file", REAL.values(), ids=REAL)
async def test_chromium_decodes_what_numpy_reads(page: Page, doors: PictureDoors, dicom_dir: Path, file: str) -> None:
    path = await doors.take_in(dicom_dir / file)
    reader = InMemory((dicom_dir / file).read_bytes())
    image = parse(reader).image
    assert image is not None
    stored = np.asarray(decode_frame(image, 0, reader))

    decoded = await page.evaluate(_DECODE, [f"{path}/frames/1/rendered", STORED_VALUES])

    assert decoded["digest"] == hashlib.sha256(stored.tobytes()).hexdigest()
    assert decoded["isProven"] is True
    assert decoded["shape"] == list(stored.shape[:2])


async def test_the_decoder_is_small(decoder: Path) -> None:
    sizes = {file.name: file.stat().st_size for file in decoder.glob("*.js")}

    assert sum(sizes.values()) < 16_000, json.dumps(sizes)


_PLAY = """async address => {
  const film = await (await fetch(address, { headers: { Accept: 'video/mp4' } })).blob()
  const video = document.createElement('video')
  video.src = URL.createObjectURL(film)
  const happens = name => new Promise((done, failed) => {
    video.addEventListener(name, done, { once: true })
    video.addEventListener('error', () => failed(new Error(video.error.message)), { once: true })
  })
  await happens('loadeddata')
  const seeking = happens('seeked')
  video.currentTime = video.duration / 2
  await seeking
  return [video.videoWidth, video.videoHeight, video.duration]
}"""


async def test_chromium_plays_an_image_of_several_frames(page: Page, doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / "04-xray/XA-rubo-96f.dcm")

    width, height, duration_s = await page.evaluate(_PLAY, f"{path}/frames/{','.join(map(str, range(1, 31)))}/rendered")

    assert (width, height) == (512, 512)
    assert abs(duration_s - 30 * 0.033) < 0.02
