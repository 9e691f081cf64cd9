"""One long STOW-RS request over HTTP/3 beside the same over HTTP/2, by the same client (curl), into the same appliance.

Once with the connections in the application's process and once in two of their own (``listen.processes``). Each request brings
instances that are new to the store. Beside the rate, for which client and server share the machine, stand the bytes for each
second of the processor that the application and its front processes worked for them: those hold on a busy machine too.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import curl_cffi
from curl_cffi import CurlHttpVersion

from benchmarks.instances import write_instances
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one

Say = Callable[[str], None]
_VERSIONS = {"http3": CurlHttpVersion.V3ONLY, "http2": CurlHttpVersion.V2TLS}
_PROCESSES = (1, 2)
_BOUNDARY = "benchmark-part"
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Upload:
    """What one request cost."""

    megabytes: float
    seconds: float
    application_s: float
    fronts_s: float


def measure(*, quick: bool, say: Say) -> dict[str, Any]:
    """MB/s and MB for each second of the processor, medians of the runs; ratios of HTTP/3 to HTTP/2."""
    each, runs = (40, 2) if quick else (400, 5)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="uploads-") as name:
        folder = Path(name)
        files = write_instances(folder / "instances", each * runs * len(_VERSIONS))
        for processes in _PROCESSES:
            uploads: dict[str, list[Upload]] = {version: [] for version in _VERSIONS}
            with _serving(folder / f"processes-{processes}", processes) as (appliance, headers):
                parts = iter(range(0, len(files), each))
                for run in range(runs):
                    for version, asked in _VERSIONS.items():
                        start = next(parts)
                        upload = _upload(appliance, headers, asked, files[start : start + each])
                        uploads[version].append(upload)
                        rate = upload.megabytes / upload.seconds
                        say(
                            f"processes {processes}, run {run + 1}: {version}: {upload.megabytes:.0f} MB, {rate:.1f} MB/s"
                        )
            figures |= _figures(processes, uploads)
    return figures


def show(figures: dict[str, Any]) -> None:
    print(f"{'':24}{'MB/s':>8}{'application':>14}{'fronts':>10}   MB for each second of the processor")
    for processes in _PROCESSES:
        for version in _VERSIONS:
            key = f"{version}_{processes}"
            fronts = figures[f"{key}_megabytes_per_front_s"]
            print(
                f"{version}, {processes} process{'es' if processes > 1 else '':<8}{figures[f'{key}_megabytes_per_s']:8.1f}"
                f"{figures[f'{key}_megabytes_per_application_s']:14.1f}" + (f"{fronts:10.1f}" if fronts else "")
            )
        print(f"  HTTP/3 to HTTP/2: {figures[f'upload_{processes}_ratio_http3_to_http2']:.2f}")


def _figures(processes: int, uploads: dict[str, list[Upload]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for version, all_of_it in uploads.items():
        key = f"{version}_{processes}"
        figures[f"{key}_megabytes_per_s"] = _median(one.megabytes / one.seconds for one in all_of_it)
        figures[f"{key}_megabytes_per_application_s"] = _median(one.megabytes / one.application_s for one in all_of_it)
        figures[f"{key}_megabytes_per_front_s"] = (
            _median(one.megabytes / one.fronts_s for one in all_of_it) if processes > 1 else None
        )
    rates = [figures[f"{version}_{processes}_megabytes_per_s"] for version in ("http3", "http2")]
    figures[f"upload_{processes}_ratio_http3_to_http2"] = round(rates[0] / rates[1], 2)
    return figures


def _median(values: Iterator[float]) -> float:
    return round(statistics.median(values), 1)


@contextlib.contextmanager
def _serving(folder: Path, processes: int) -> Iterator[tuple[RunningAppliance, dict[str, str]]]:
    folder.mkdir()
    appliance = all_in_one(folder)
    appliance.settings["roles"] = ["toplevel", "institution", "node"]
    appliance.settings["listen"]["processes"] = processes
    appliance.create_account()
    try:
        appliance.start()
        with appliance.client() as client:
            session = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD}).raise_for_status()
        yield (
            appliance,
            {
                "Authorization": f"Bearer {session.json()['access_token']}",
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}',
                "Accept": "application/dicom+json",
            },
        )
        appliance.stop()
    finally:
        appliance.kill()


def _upload(
    appliance: RunningAppliance, headers: dict[str, str], version: CurlHttpVersion, files: Sequence[Path]
) -> Upload:
    head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + file.read_bytes() + b"\r\n" for file in files) + f"--{_BOUNDARY}--\r\n".encode()
    assert appliance.process is not None
    application, fronts = appliance.process.pid, _fronts_of(appliance.process.pid)
    with curl_cffi.Session(http_version=version, verify=str(appliance.authority), timeout=1800) as session:
        session.get(f"{appliance.base_url}/healthz").raise_for_status()  # the connection is there
        before = _processor_s(application), sum(map(_processor_s, fronts))
        started = time.perf_counter()
        answer = session.post(f"{appliance.base_url}/dicom-web/studies", data=body, headers=headers)
        seconds = time.perf_counter() - started
    if answer.status_code != 200:
        raise RuntimeError(f"the appliance answered {answer.status_code}: {answer.content[:200]!r}")
    after = _processor_s(application), sum(map(_processor_s, fronts))
    return Upload(len(body) / 1e6, seconds, after[0] - before[0], after[1] - before[1])


def _processor_s(pid: int) -> float:
    """What a process has worked, without its children (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _fronts_of(pid: int) -> list[int]:
    children = [
        int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()
    ]
    return [child for child in children if b"front_process" in Path(f"/proc/{child}/cmdline").read_bytes()]
