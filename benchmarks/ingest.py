"""Instances stored a second, by STOW-RS and by C-STORE, from 1 and from 4 senders, beside Orthanc on the same machine.

The same instances (512 x 512 CT, 0.5 MB) go to all servers in turn, run by run, into empty stores, after a few that are not
counted; each server acknowledges only what is on the disk (Orthanc with ``SyncStorageArea``, its default). STOW-RS is measured
with one instance a request, over one connection that is kept for each sender, and with all of a sender's instances in one
request, as an archive pushes them.

    appliance        sealed files, TLS, as it is installed
    appliance_plain  the same without sealing, for a directory that is encrypted itself
    orthanc          plain HTTP, plain files; the ratios are to this one
    orthanc_tls      the same behind nginx, which ends TLS, as its manual has it; Debian's own HTTPS falls over (SIGSEGV in
                     1.10.1, at the first request). Left out where there is no nginx

Orthanc, DCMTK and nginx come from Debian's packages orthanc, orthanc-dicomweb, dcmtk, nginx-light.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from appliance.http.certificates import ensure_self_made
from benchmarks.instances import write_instances
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one, free_port

Say = Callable[[str], None]
_BOUNDARY = "benchmark-part"
_READY_TIMEOUT_S = 60
_WARMING = 4
"""Instances that each server gets first, by each road, and that are not counted."""


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
    each, runs = (24, 3) if quick else (80, 5)
    with tempfile.TemporaryDirectory(prefix="ingest-") as name:
        folder = Path(name)
        files = write_instances(folder / "instances", _WARMING + each * len(_MEASUREMENTS))
        mega = sum(file.stat().st_size for file in files) / len(files) / 1e6
        rates: dict[str, list[float]] = {}
        for run in range(runs):
            for server, server_name in _SERVERS:
                with server(folder / f"{server_name}-{run}") as door:
                    _warm(door, files[:_WARMING])
                    for number, measurement in enumerate(_MEASUREMENTS):
                        if server_name not in _LEFT_OUT.get(measurement[0], ()):
                            start = _WARMING + number * each  # so that every instance is new to the store
                            key = f"{measurement[0]}_{measurement[1]}_{server_name}"
                            rate = each / _seconds(measurement, door, files[start : start + each])
                            rates.setdefault(key, []).append(rate)
                            say(f"run {run + 1}: {key}: {rate:.0f} instances/s")
    return _figures(rates, mega)


def show(figures: dict[str, Any]) -> None:
    mega = figures["megabytes_per_instance"]
    names = [name for _, name in _SERVERS]
    print(f"{'':22}" + "".join(f"{name:>22}" for name in names) + f"{'ratio':>8}")
    for road, senders in _MEASUREMENTS:
        rates = [figures.get(f"{road}_{senders}_{name}_per_s") for name in names]
        cells = ["" if rate is None else f"{rate:6.0f}/s {rate * mega:6.1f} MB/s" for rate in rates]
        ratio = figures[f"{road}_{senders}_ratio_vs_orthanc"]
        print(
            f"{road:12}{senders} sender{'s' if senders > 1 else ' '} "
            + "".join(f"{c:>22}" for c in cells)
            + f"{ratio:8.2f}"
        )


def _warm(door: Door, files: Sequence[Path]) -> None:
    stow(door, files[::2], 1)
    cstore(door, files[1::2], 1)


def _seconds(measurement: tuple[str, int], door: Door, files: Sequence[Path]) -> float:
    road, senders = measurement
    started = time.perf_counter()
    _ROADS[road](door, files, senders)
    return time.perf_counter() - started


def _figures(rates: dict[str, list[float]], mega: float) -> dict[str, Any]:
    medians = {f"{key}_per_s": round(statistics.median(values), 1) for key, values in rates.items()}
    figures: dict[str, Any] = {"megabytes_per_instance": round(mega, 3), **medians}
    for road, senders in _MEASUREMENTS:
        ours, theirs = (medians[f"{road}_{senders}_{name}_per_s"] for name in ("appliance", "orthanc"))
        figures[f"{road}_{senders}_ratio_vs_orthanc"] = round(ours / theirs, 2)
    for road in ("stow", "cstore"):
        figures[f"{road}_per_s"] = medians[f"{road}_1_appliance_per_s"]
        figures[f"{road}_ratio_vs_orthanc"] = figures[f"{road}_1_ratio_vs_orthanc"]
    return figures


# Senders, the same for both servers


def stow(door: Door, files: Sequence[Path], senders: int) -> None:
    """A request for each instance, over one connection for each sender."""
    _stow(door, senders, [[[file] for file in files[n::senders]] for n in range(senders)])


def stow_many(door: Door, files: Sequence[Path], senders: int) -> None:
    """One request for each sender, with all of its instances."""
    _stow(door, senders, [[files[n::senders]] for n in range(senders)])


def _stow(door: Door, senders: int, requests: Sequence[Sequence[Sequence[Path]]]) -> None:
    with ThreadPoolExecutor(senders) as threads:
        list(threads.map(lambda some: _send_requests(door, some), requests))


def _send_requests(door: Door, requests: Sequence[Sequence[Path]]) -> None:
    connection = door.http()
    headers = {
        **door.headers,
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}',
        "Accept": "application/dicom+json",
    }
    head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    for files in requests:
        parts = b"".join(head + file.read_bytes() + b"\r\n" for file in files)
        connection.request("POST", "/dicom-web/studies", parts + f"--{_BOUNDARY}--\r\n".encode(), headers)
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
def appliance(folder: Path, *, plain: bool = False) -> Iterator[Door]:
    folder.mkdir()
    running: RunningAppliance = all_in_one(folder)
    running.settings["roles"] = ["toplevel", "institution", "node"]
    dicom_port = free_port()
    running.settings["node"]["dimse"] = {
        "ae_title": "APPLIANCE",
        "port": dicom_port,
        "peers": [{"ae_title": "BENCHMARK", "hosts": ["127.0.0.1"], "verbs": ["echo", "store"]}],
    }
    if plain:
        instances = running.settings["node"]["instances"]
        del instances["key"]
        instances["plain"] = True
    running.create_account()
    try:
        running.start()
        with running.client() as client:
            session = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD}).raise_for_status()
        context = ssl.create_default_context(cafile=str(running.authority))
        yield Door(
            folder.name,
            lambda: http.client.HTTPSConnection("localhost", running.port, context=context),
            {"Authorization": f"Bearer {session.json()['access_token']}"},
            dicom_port,
            "APPLIANCE",
        )
        running.stop()
    finally:
        running.kill()


@contextlib.contextmanager
def orthanc(folder: Path, more: Mapping[str, Any] | None = None) -> Iterator[Door]:
    """Orthanc with the settings of this benchmark, and ``more``."""
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
        **(more or {}),
    }
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    process = subprocess.Popen([program, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await_port(http_port)
        await_port(dicom_port)
        yield Door("orthanc", lambda: http.client.HTTPConnection("localhost", http_port), {}, dicom_port, "ORTHANC")
    finally:
        process.terminate()
        process.wait(_READY_TIMEOUT_S)


@contextlib.contextmanager
def orthanc_tls(folder: Path) -> Iterator[Door]:
    with orthanc(folder) as plain:
        made = ensure_self_made(folder / "certificates", ["localhost"])
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(_NGINX.format(folder=folder, made=made, port=port, behind=plain.http().port))
        process = subprocess.Popen(["nginx", "-c", str(config), "-e", str(folder / "nginx.log")])
        context = ssl.create_default_context(cafile=str(made.authority))
        try:
            await_port(port)
            yield replace(plain, http=lambda: http.client.HTTPSConnection("localhost", port, context=context))
        finally:
            process.terminate()
            process.wait(_READY_TIMEOUT_S)


_NGINX = """
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    upstream behind {{ server 127.0.0.1:{behind}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {made.certificate};
        ssl_certificate_key {made.key};
        ssl_protocols TLSv1.3;
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
        }}
    }}
}}
"""


def await_port(port: int) -> None:
    """Returns when somebody listens on 127.0.0.1."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port}")


_ROADS = {"stow": stow, "stow_many": stow_many, "cstore": cstore}
_MEASUREMENTS = tuple((road, senders) for road in _ROADS for senders in (1, 4))
_SERVERS: tuple[tuple[Callable[[Path], contextlib.AbstractContextManager[Door]], str], ...] = (
    (appliance, "appliance"),
    (partial(appliance, plain=True), "appliance_plain"),
    (orthanc, "orthanc"),
    *([(orthanc_tls, "orthanc_tls")] if shutil.which("nginx") else []),
)
_LEFT_OUT = {"cstore": ("orthanc_tls",)}
"""C-STORE has no TLS here, on either side."""
