"""Gigabytes over HTTP/3 into the running appliance: all of it is kept, and little of it is ever in memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.end_to_end.running import RunningAppliance, all_in_one
from tests.end_to_end.strangers import token_of
from tests.http.leaks import MIB
from tests.http.quic_client import Client, connected
from tests.services.node_parts import ct_slice, encoded

SIDE = 2048
"""Of a slice: 8 MiB each."""
_BOUNDARY = b"gigabytes"
_AHEAD_BYTES = 4 * MIB
STUDY, SERIES = "1.2.826.0.1.3680043.10.999", "1.2.826.0.1.3680043.10.999.1"


def instances(count: int) -> Iterator[bytes]:
    """So many slices of noise, which nothing makes smaller."""
    draw = np.random.default_rng(1)
    for number in range(1, count + 1):
        ds = ct_slice(number, study=STUDY, series=SERIES, z=float(number))
        ds.Rows = ds.Columns = SIDE
        ds.PixelData = draw.integers(0, 4096, (SIDE, SIDE), dtype="<u2").tobytes()
        yield encoded(ds)


async def stow(client: Client, token: str, count: int) -> dict[str, Any]:
    """The answer to one STOW-RS request with all of them; none is held here any longer than it takes to send it."""
    fields = [
        (b"authorization", b"Bearer " + token.encode()),
        (b"accept", b"application/dicom+json"),
        (b"content-type", b'multipart/related; type="application/dicom"; boundary=' + _BOUNDARY),
    ]
    stream_id = client.open("/dicom-web/studies", method="POST", headers=fields, is_end=False)
    for instance in instances(count):
        client.upload(stream_id, b"--" + _BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n")
        for at in range(0, len(instance), 1 << 16):
            client.upload(stream_id, instance[at : at + (1 << 16)])
            while client.unsent_bytes(stream_id) > _AHEAD_BYTES and not client.answers[stream_id].headers:
                await asyncio.sleep(0.002)
        client.upload(stream_id, b"\r\n")
    client.upload(stream_id, b"--" + _BOUNDARY + b"--\r\n", is_end=True)
    answer = await client.wait_for(stream_id, timeout_s=600)
    assert answer.status == 200, bytes(answer.body[:500])
    return cast(dict[str, Any], json.loads(answer.body))


def highest_resident_bytes(pid: int) -> int:
    """Of a process, since it began or was last asked to forget (proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def forget_highest(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("count", [3, pytest.param(240, marks=pytest.mark.long)], ids=["25 MB", "2 GB"])
async def test_a_stow_of_gigabytes_over_http_3_is_kept_with_bounded_memory(
    tmp_path: Path, count: int, processes: int
) -> None:
    appliance = all_in_one(tmp_path)
    appliance.settings["listen"]["processes"] = processes
    appliance.create_account()
    try:
        appliance.start()
        await _upload_and_look(appliance, count)
        assert appliance.stop() == 0
    finally:
        appliance.kill()


async def _upload_and_look(appliance: RunningAppliance, count: int) -> None:
    assert appliance.process is not None
    pid = appliance.process.pid
    token = token_of(appliance)
    at = SimpleNamespace(address=("127.0.0.1", appliance.port))
    forget_highest(pid)
    before, worked_s, started = highest_resident_bytes(pid), processor_s(pid), time.monotonic()
    async with connected(cast(Any, at), cast(Any, appliance)) as client:
        answer = await stow(client, token, count)
    size = count * SIDE * SIDE * 2
    grown, worked_s = highest_resident_bytes(pid) - before, processor_s(pid) - worked_s
    print(
        f"STOW of {size / 1e6:.0f} MB over HTTP/3: {size / 1e6 / (time.monotonic() - started):.1f} MB/s with aioquic "
        f"on the same machine, {size / 1e6 / worked_s:.1f} MB per second of the application's processor, "
        f"{grown / 1e6:+.1f} MB resident at the highest"
    )

    assert len(answer["00081199"]["Value"]) == count
    assert grown < 96 * MIB
    anew = {"Authorization": f"Bearer {token_of(appliance)}"}  # the upload may have outlived the other
    with appliance.client() as http:
        assert len(http.get(f"/dicom-web/studies/{STUDY}/instances?limit=1000", headers=anew).json()) == count
