"""Clients of others, unmodified, at the real server: curl (ngtcp2) and niquests (qh3) over HTTP/3, 2 and 1.1, and Firefox."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from pathlib import Path

import curl_cffi
import numpy as np
import pytest
import pyvips
from curl_cffi import CurlHttpVersion
from numpy.typing import NDArray

from provisioning.debian import find_firefox
from tests.end_to_end.firefox import open_firefox
from tests.end_to_end.running import HOST, PASSWORD, USERNAME, RunningAppliance
from tests.end_to_end.strangers import token_of
from tests.end_to_end.test_story import expected_grey

CURLS_VERSIONS = {CurlHttpVersion.V3ONLY: 30, CurlHttpVersion.V2TLS: 3, CurlHttpVersion.V1_1: 2}
"""What to ask of curl, and what it calls what it got (CURLINFO_HTTP_VERSION)."""


@pytest.fixture(scope="module")
def bearer(filled: RunningAppliance) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_of(filled)}"}


@pytest.fixture(scope="module")
def picture_path(filled: RunningAppliance, bearer: dict[str, str]) -> str:
    """Of one rendered picture of the phantom."""
    with filled.client() as client:
        found = client.get("/dicom-web/instances?limit=1", headers=bearer).json()[0]
    study, series, instance = (found[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
    return f"/dicom-web/studies/{study}/series/{series}/instances/{instance}/rendered"


@pytest.mark.parametrize("version", CURLS_VERSIONS, ids=["HTTP/3", "HTTP/2", "HTTP/1.1"])
def test_curl_gets_a_picture(
    filled: RunningAppliance, bearer: dict[str, str], picture_path: str, version: CurlHttpVersion
) -> None:
    with curl_cffi.Session(http_version=version, verify=str(filled.authority)) as session:
        for _ in range(20):
            answer = session.get(f"{filled.base_url}{picture_path}", headers={**bearer, "Accept": "image/jpeg"})

            assert (answer.status_code, answer.content[:2]) == (200, b"\xff\xd8")
            assert answer.http_version == CURLS_VERSIONS[version]


def test_curl_uploads_over_http_3(filled: RunningAppliance, bearer: dict[str, str]) -> None:
    """More than a window; what is no DICOM is refused, after it has come."""
    with curl_cffi.Session(http_version=CurlHttpVersion.V3ONLY, verify=str(filled.authority)) as session:
        answer = session.post(
            f"{filled.base_url}/dicom-web/studies",
            data=b"--b\r\nContent-Type: application/dicom\r\n\r\n" + bytes(3 << 20) + b"\r\n--b--\r\n",
            headers={**bearer, "Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
        )

    assert answer.status_code == 409
    assert answer.http_version == 30


_NIQUESTS = Path(__file__).resolve().parents[2] / ".cache" / "niquests-3.21.2"
_ASK_BY_NIQUESTS = """
import sys, niquests
from urllib.parse import urlsplit
url, token, authority, version = sys.argv[1:]
others = {f"disable_http{other}": True for other in "123" if other != version}
at = (urlsplit(url).hostname, urlsplit(url).port)
with niquests.Session(quic_cache_layer={at: at} if version == "3" else None, **others) as session:
    for _ in range(20):
        fields = {"Authorization": f"Bearer {token}", "Accept": "image/jpeg"}
        answer = session.get(url, headers=fields, verify=authority)
        assert answer.status_code == 200, answer.text
        assert answer.content.startswith(bytes([255, 216])), answer.content[:20]
    print(answer.http_version)
"""
NIQUESTS_VERSIONS = {"3": 30, "2": 20, "1": 11}


@pytest.fixture(scope="module")
def niquests_python() -> Path:
    """A Python that has niquests: in an environment of its own, for its urllib3-future would stand in for urllib3 here."""
    python = _NIQUESTS / "bin" / "python"
    if not (_NIQUESTS / "made").exists():
        shutil.rmtree(_NIQUESTS, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", _NIQUESTS], check=True)
        made = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "niquests==3.21.2"], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            pytest.skip(f"niquests cannot be installed here: {made.stderr.strip().splitlines()[-1]}")
        (_NIQUESTS / "made").touch()
    return python


@pytest.mark.long
@pytest.mark.parametrize("version", NIQUESTS_VERSIONS)
def test_niquests_gets_a_picture(
    filled: RunningAppliance, bearer: dict[str, str], picture_path: str, niquests_python: Path, version: str
) -> None:
    """qh3 over HTTP/3, jh2 over HTTP/2."""
    token = bearer["Authorization"].removeprefix("Bearer ")
    asked = subprocess.run(
        [niquests_python, "-c", _ASK_BY_NIQUESTS, f"{filled.base_url}{picture_path}", token, filled.authority, version],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert asked.returncode == 0, asked.stderr
    assert int(asked.stdout) == NIQUESTS_VERSIONS[version]


_PROTOCOLS = """return performance.getEntriesByType('resource').map(e => e.nextHopProtocol)"""
_PIXELS = "return document.querySelector('[data-testid=viewer-canvas]').toDataURL('image/png').split(',')[1]"
_SHADES = """
  const canvas = document.querySelector('[data-testid=viewer-canvas]')
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d')
  copy.drawImage(canvas, 0, 0)
  return new Set(copy.getImageData(0, 0, canvas.width, canvas.height).data).size"""


@pytest.mark.skipif(
    find_firefox() is None, reason="no Firefox: Ubuntu has it only as a snap, which trusts no test's certificate"
)
def test_firefox_shows_a_slice_over_http_3(
    filled: RunningAppliance, phantom_values: NDArray[np.uint16], tmp_path: Path
) -> None:
    with open_firefox(tmp_path, authority=filled.authority, host=HOST) as page:
        page.go(filled.origin)
        page.go(filled.origin)  # the first answer said where HTTP/3 is
        page.fill("login-username", USERNAME)
        page.fill("login-password", PASSWORD)
        page.click("login-submit")
        page.fill("patient-search", "phantom")
        page.until("return document.querySelectorAll('[data-testid=patient-row]').length === 1")
        page.click("patient-row")
        page.click("study-row")
        page.until("return document.querySelector('[data-testid=viewer-canvas]')?.dataset.proven === 'true'")
        page.click("actual-size")
        page.until("return document.querySelector('[data-testid=pane-0]').innerText.includes('Zoom 100 %')")
        page.until("return document.querySelector('[data-testid=viewer-canvas]').dataset.settled === 'true'")

        assert "All bits, proven" in page.evaluate("return document.querySelector('[data-testid=pane-0]').innerText")
        number = int(page.evaluate("return document.querySelector('[data-testid=slice-label]').innerText").split()[1])
        shown = decoded(page.evaluate(_PIXELS))
        right = expected_grey(phantom_values[number - 1], 40, 400).astype(int)
        top, left = ((pane - side) // 2 for pane, side in zip(shown.shape, right.shape, strict=True))
        # Whole pixels of the screen: where an odd one is left over, the picture lies before or after it.
        places = [
            shown[top + y : top + y + len(right), left + x : left + x + len(right)] for y in (0, 1) for x in (0, 1)
        ]
        assert min(np.abs(one - right).max() for one in places) <= 1
        assert "h3" in page.evaluate(_PROTOCOLS)


def decoded(png: str) -> NDArray[np.int64]:
    """Grey of a picture that is grey: (row, column)."""
    colours = np.asarray(pyvips.Image.new_from_buffer(base64.b64decode(png), "").numpy())[:, :, :3].astype(int)
    assert np.ptp(colours, axis=2).max() == 0
    return colours[:, :, 0]


@pytest.mark.long
@pytest.mark.skipif(
    find_firefox() is None, reason="no Firefox: Ubuntu has it only as a snap, which trusts no test's certificate"
)
def test_firefox_goes_the_main_road(filled: RunningAppliance, tmp_path: Path) -> None:
    with open_firefox(tmp_path, authority=filled.authority, host=HOST) as page:
        page.go(filled.origin)
        page.fill("login-username", USERNAME)
        page.fill("login-password", PASSWORD)
        page.click("login-submit")
        page.fill("patient-search", "phantom")
        page.until("return document.querySelectorAll('[data-testid=patient-row]').length === 1")
        page.click("patient-row")
        page.click("study-row")
        settled = "return document.querySelector('[data-testid=viewer-canvas]')?.dataset.settled === 'true'"
        page.until(settled)
        page.until("return document.querySelector('[data-testid=tool-lens]') !== null")
        for view in ("coronal", "mip", "volume", "2d"):
            page.click(f"view-{view}")
            page.until(f"{settled} && document.querySelector('[data-testid=viewer-canvas]').dataset.mode === '{view}'")
            assert page.evaluate(_SHADES) > 20, view
        page.click("tool-invert")
        page.until(settled)
        page.click("auto-window")
        page.until("return document.querySelector('[data-testid=preset-select]').value === 'own'")
        page.until(settled)

        assert page.evaluate(_SHADES) > 20
