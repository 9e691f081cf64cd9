"""DICOMweb programs of others, run by the tests on the loopback."""

from __future__ import annotations

import contextlib
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
from dicomweb_client.api import DICOMwebClient

from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, free_port

_DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_ORTHANC_READY_S = 30


def token_of(appliance: RunningAppliance) -> str:
    """What a program that has no page sends as its bearer."""
    with appliance.client() as client:
        answer = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


def http_client(appliance: RunningAppliance) -> httpx.Client:
    trust = ssl.create_default_context(cafile=str(appliance.authority))
    bearer = {"Authorization": f"Bearer {token_of(appliance)}"}
    return httpx.Client(base_url=f"{appliance.base_url}/dicom-web", verify=trust, timeout=120, headers=bearer)


def dicomweb_client(appliance: RunningAppliance) -> DICOMwebClient:
    """The client of the ImagingDataCommons, unmodified."""
    session = requests.Session()
    session.trust_env = False  # a bundle of authorities named in the environment would win over ours
    session.verify = str(appliance.authority)
    session.headers["Authorization"] = f"Bearer {token_of(appliance)}"
    return DICOMwebClient(f"{appliance.base_url}/dicom-web", session=session)


@contextlib.contextmanager
def orthanc(folder: Path, peer: RunningAppliance) -> Iterator[httpx.Client]:
    """Orthanc with its DICOMweb plugin, which knows the appliance as the server ``box``."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin")
    if program is None or not _DICOMWEB_PLUGIN.exists():
        pytest.skip("Orthanc and its DICOMweb plugin are not installed (Debian: orthanc, orthanc-dicomweb)")
    port = free_port()
    folder.mkdir()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "Plugins": [str(_DICOMWEB_PLUGIN)],
        "HttpPort": port,
        "HttpServerEnabled": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": False,
        "HttpsVerifyPeers": True,
        "HttpsCACertificates": str(peer.authority),
        "DicomWeb": {
            "Enable": True,
            "Servers": {
                "box": {
                    "Url": f"{peer.base_url}/dicom-web/",
                    "HttpHeaders": {"Authorization": f"Bearer {token_of(peer)}"},
                    "ChunkedTransfers": True,
                }
            },
        },
    }
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(config)], stdout=log, stderr=log, cwd=folder)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait_until_ready(client, folder / "log")
            yield client
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(client: httpx.Client, log: Path) -> None:
    deadline = time.monotonic() + _ORTHANC_READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if client.get("/system").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError("Orthanc did not become ready:\n" + log.read_text()[-3000:])
