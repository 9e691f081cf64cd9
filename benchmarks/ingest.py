"""Instances stored a second, by STOW-RS and by C-STORE, from 1 and from 4 senders, beside Orthanc on the same machine.

The same instances (512 x 512 CT, 0.5 MB) go to both servers in turn, run by run, into empty stores; each acknowledges only
what is on the disk (Orthanc with ``SyncStorageArea``, its default). The appliance encrypts and speaks TLS over HTTP; Orthanc
does neither, so the ratio is at our cost. Orthanc and DCMTK come from Debian's packages orthanc, orthanc-dicomweb, dcmtk.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.instances import write_instances
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one, free_port

Say = Callable[[str], None]
_SENDERS = (1, 4)
_BOUNDARY = "benchmark-part"
_READY_TIMEOUT_S = 60


@dataclass(frozen=True)
class Door:
    """A server that takes instances in."""

    name: str
    http: Callable[[], http.client.HTTPConnection]
    headers: dict[str, str]
    dicom_port: int
    ae_title: str


def measure(*, quick: bool, say: Say) -> dict[str, Any]:
    """Instances a second and ratios to Orthanc; medians of the runs."""
    count, runs = (120, 3) if quick else (400, 5)
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        folder = Path(name)
        files = write_instances(folder / "instances", count)
        size_mb = sum(file.stat().st_size for file in files) / 1e6
        rates: dict[str, list[float]] = {}
        for run in range(runs):
            for server in (appliance, orthanc):
                with server(folder / f"{server.__name__}-{run}") as door:
                    for senders in _SENDERS:
                        for road, send in (("stow", stow), ("cstore", cstore)):
                            key = f"{road}_{senders}_{door.name}"
                            part = _share(files, road, senders)
                            rates.setdefault(key, []).append(len(part) / _seconds(send, door, part, senders))
                            say(f"run {run + 1}: {key}: {rates[key][-1]:.0f} instances/s")
    return _figures(rates, size_mb / count)


def show(figures: dict[str, Any]) -> None:
    print(f"{'':16}{'appliance':>22}{'Orthanc':>22}{'ratio':>8}")
    for road in ("stow", "cstore"):
        for senders in _SENDERS:
            ours, theirs = (figures[f"{road}_{senders}_{name}_per_s"] for name in ("appliance", "orthanc"))
            mega = figures["megabytes_per_instance"]
            cells = [f"{rate:6.0f}/s {rate * mega:6.1f} MB/s" for rate in (ours, theirs)]
            print(
                f"{road:8}{senders} sender{'s' if senders > 1 else ' '}{cells[0]:>22}{cells[1]:>22}{ours / theirs:8.2f}"
            )


def _share(files: Sequence[Path], road: str, senders: int) -> Sequence[Path]:
    """A part of the files for each measurement, so that every instance is new to the store."""
    index = [("stow", 1), ("stow", 4), ("cstore", 1), ("cstore", 4)].index((road, senders))
    length = len(files) // 4
    return files[index * length : (index + 1) * length]


def _seconds(
    send: Callable[[Door, Sequence[Path], int], None], door: Door, files: Sequence[Path], senders: int
) -> float:
    started = time.perf_counter()
    send(door, files, senders)
    return time.perf_counter() - started


def _figures(rates: dict[str, list[float]], mega: float) -> dict[str, Any]:
    medians = {f"{key}_per_s": round(statistics.median(values), 1) for key, values in rates.items()}
    figures: dict[str, Any] = {"megabytes_per_instance": round(mega, 3), **medians}
    for road in ("stow", "cstore"):
        figures[f"{road}_per_s"] = medians[f"{road}_1_appliance_per_s"]
        for senders in _SENDERS:
            ours, theirs = (medians[f"{road}_{senders}_{name}_per_s"] for name in ("appliance", "orthanc"))
            figures[f"{road}_{senders}_ratio_vs_orthanc"] = round(ours / theirs, 2)
        figures[f"{road}_ratio_vs_orthanc"] = figures[f"{road}_1_ratio_vs_orthanc"]
    return figures


# Senders, the same for both servers


def stow(door: Door, files: Sequence[Path], senders: int) -> None:
    """A request for each instance, over one connection for each sender."""
    with ThreadPoolExecutor(senders) as threads:
        list(threads.map(lambda n: _stow_all(door, files[n::senders]), range(senders)))


def _stow_all(door: Door, files: Sequence[Path]) -> None:
    connection = door.http()
    headers = {
        **door.headers,
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}',
        "Accept": "application/dicom+json",
    }
    for file in files:
        head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        connection.request(
            "POST", "/dicom-web/studies", head + file.read_bytes() + f"\r\n--{_BOUNDARY}--\r\n".encode(), headers
        )
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{door.name} answered {answer.status}: {body[:200]!r}")
    connection.close()


def cstore(door: Door, files: Sequence[Path], senders: int) -> None:
    """DCMTK's storescu, one process and one association for each sender."""
    processes = [
        subprocess.Popen(
            ["storescu", "-aet", "BENCHMARK", "-aec", door.ae_title, "127.0.0.1", str(door.dicom_port),
             *map(str, files[n::senders])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for n in range(senders)
    ]  # fmt: skip
    for process in processes:
        _, said = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"storescu to {door.name} ended with {process.returncode}: {said[-300:]!r}")


# Servers


@contextlib.contextmanager
def appliance(folder: Path) -> Iterator[Door]:
    folder.mkdir()
    running: RunningAppliance = all_in_one(folder)
    running.settings["roles"] = ["toplevel", "institution", "node"]
    dicom_port = free_port()
    running.settings["node"]["dimse"] = {
        "ae_title": "APPLIANCE",
        "port": dicom_port,
        "peers": [{"ae_title": "BENCHMARK", "hosts": ["127.0.0.1"], "verbs": ["echo", "store"]}],
    }
    running.create_account()
    try:
        running.start()
        with running.client() as client:
            session = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD}).raise_for_status()
        context = ssl.create_default_context(cafile=str(running.authority))
        yield Door(
            "appliance",
            lambda: http.client.HTTPSConnection("localhost", running.port, context=context),
            {"Authorization": f"Bearer {session.json()['access_token']}"},
            dicom_port,
            "APPLIANCE",
        )
        running.stop()
    finally:
        running.kill()


@contextlib.contextmanager
def orthanc(folder: Path) -> Iterator[Door]:
    program = shutil.which("Orthanc")
    if program is None:
        raise SystemExit("there is no Orthanc: install Debian's packages orthanc and orthanc-dicomweb")
    folder.mkdir()
    http_port, dicom_port = free_port(), free_port()
    settings = {
        "Name": "benchmark",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "DicomAlwaysAllowStore": True,
        "SyncStorageArea": True,
        "Plugins": ["/usr/share/orthanc/plugins"],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    process = subprocess.Popen([program, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_port(http_port)
        _await_port(dicom_port)
        yield Door("orthanc", lambda: http.client.HTTPConnection("localhost", http_port), {}, dicom_port, "ORTHANC")
    finally:
        process.terminate()
        process.wait(_READY_TIMEOUT_S)


def _await_port(port: int) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port}")
