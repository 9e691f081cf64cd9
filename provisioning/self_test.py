"""A picture from end to end, with nothing of the clinic's: an appliance of its own on the loopback takes in a slice and draws it.

It runs as the server's account, with the server's Python, drivers and fonts; its keys, its account and what it kept are gone
afterwards. What is drawn is compared with what arithmetic makes of the same slice.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pydicom
import yaml
from numpy.typing import NDArray

from provisioning.data_folder import DataFolder, FirstAccount, Place
from provisioning.demonstration import import_folder, serving
from provisioning.installation import ROOT, or_complain
from provisioning.phantom import Phantom, Size, write_files
from provisioning.progress import Refusal

_PHANTOM = Phantom(Size(3, 256, 256, 1.56, 5.0))
_CENTER, _WIDTH = 40.0, 400.0
"""HU, soft tissue."""
_MOST_DIFFERENCE = 1
"""Grey values: one by rounding."""
_READY_TIMEOUT_S = 900
"""A machine without a graphics card compiles its shaders first."""


def main() -> int:
    """Prints one JSON object: seconds until the picture, its size, and the greatest difference from the calculated one."""
    parser = argparse.ArgumentParser(prog="self_test", description=__doc__)
    parser.add_argument("--picture", type=Path, required=True, metavar="FILE.png")
    arguments = parser.parse_args()
    return or_complain(lambda: print(json.dumps(run(arguments.picture))))


def run(picture: Path) -> dict[str, object]:
    """What ``main`` prints; the picture is written. Refusal where any of it is not so."""
    started = time.monotonic()
    appliance = [sys.executable, "-m", "appliance"]
    with tempfile.TemporaryDirectory(prefix="appliance-self-test-") as scratch:
        data = DataFolder(Path(scratch) / "data", without_page(ROOT / "config" / "all-in-one.yaml", Path(scratch)))
        place = data.prepare("127.0.0.1", _free_port())
        account = data.make_first_account(appliance)
        files = list(write_files(_PHANTOM, Path(scratch) / "slices"))
        with serving(data, place, appliance, timeout_s=_READY_TIMEOUT_S):
            import_folder(data, files[0].parent, appliance)
            drawn = _fetch(place, data, account, files[1])
        took_s = time.monotonic() - started
        seen: NDArray[Any] = np.asarray(imagecodecs.png_decode(drawn))
        wanted = _calculated(files[1])
    picture.write_bytes(drawn)
    if seen.shape[:2] != wanted.shape:
        raise Refusal(f"the picture is {seen.shape[:2]} and should be {wanted.shape}", "see docs/technician.md")
    grey = seen if seen.ndim == 2 else seen[..., 0]
    difference = int(np.abs(grey.astype(int) - wanted.astype(int)).max())
    if difference > _MOST_DIFFERENCE:
        raise Refusal(f"the picture differs by {difference} of 255 from the calculated one", "see docs/technician.md")
    rows, columns = wanted.shape
    return {"seconds": round(took_s, 1), "rows": rows, "columns": columns, "greatest_difference": difference}


def without_page(settings_file: Path, folder: Path) -> Path:
    """The same settings, in ``folder``, without the role that gives out the page: a box need not have one, to draw."""
    settings = yaml.safe_load(settings_file.read_text())
    settings["roles"] = [role for role in settings["roles"] if role != "web"]
    settings.pop("web", None)
    file = folder / settings_file.name
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    return file


def _fetch(place: Place, data: DataFolder, account: FirstAccount, file: Path) -> bytes:
    """The slice as a PNG, asked for as a page does: log in, then ask with the token."""
    trust = ssl.create_default_context(cafile=str(data.settings_file.parent / "certificates" / "authority.pem"))
    slice_ = pydicom.dcmread(file, stop_before_pixels=True)
    path = (
        f"/dicom-web/studies/{slice_.StudyInstanceUID}/series/{slice_.SeriesInstanceUID}"
        f"/instances/{slice_.SOPInstanceUID}/rendered"
    )
    with httpx.Client(base_url=place.base_url, verify=trust, timeout=_READY_TIMEOUT_S, trust_env=False) as client:
        login = {"username": account.username, "password": account.password}
        token = _well(client.post("/api/session", json=login, headers={"Origin": place.base_url})).json()[
            "access_token"
        ]
        headers = {"Authorization": f"Bearer {token}", "Accept": "image/png"}
        return _well(client.get(path, params={"window": f"{_CENTER},{_WIDTH},linear-exact"}, headers=headers)).content


def _well(answer: httpx.Response) -> httpx.Response:
    if answer.status_code != httpx.codes.OK:
        raise Refusal(f"{answer.request.url.path} was answered by {answer.status_code}", "see docs/technician.md")
    return answer


def _calculated(file: Path) -> NDArray[np.float64]:
    """Grey values (row, column) of the slice through the window (PS3.3 C.11.2.1.3.2)."""
    ds = pydicom.dcmread(file)
    values = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    grey: NDArray[np.float64] = np.clip((values - _CENTER) / _WIDTH + 0.5, 0, 1) * 255
    return grey.round()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
