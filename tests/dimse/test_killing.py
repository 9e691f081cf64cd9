"""``kill -9`` of a DIMSE process under load: what was acknowledged is kept, what was not is whole or absent."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pynetdicom import AE, _config

from appliance.storage.part10 import data_set_offset
from appliance.storage.stream import InMemory
from tests.dimse.dimse_node import DimseNode, dimse_node
from tests.services.node_parts import ct_slice, encoded

_SENDERS = 2
_EACH = 12


@pytest.mark.parametrize("kills", [2, pytest.param(200, marks=pytest.mark.long)])
async def test_what_was_acknowledged_outlives_kills(tmp_path: Path, kills: int) -> None:
    async with dimse_node(tmp_path, processes=_SENDERS) as node:
        acknowledged: dict[str, bytes] = {}
        for kill in range(kills):
            await _kill_one_under_load(node, tmp_path, kill, acknowledged)

        assert acknowledged
        held = node.held()
        for uid, data_set in acknowledged.items():
            with node.parts.store.open(held[uid]) as reader:
                content = reader.read_all()
            assert content[data_set_offset(InMemory(content)) :] == data_set, uid
        for key in held.values():
            assert node.parts.store.is_whole(key)


async def _kill_one_under_load(node: DimseNode, folder: Path, kill: int, acknowledged: dict[str, bytes]) -> None:
    while await node.dimse.missing():
        await asyncio.sleep(0.05)
    chance = random.Random(kill)
    files = [_files(folder, kill, sender) for sender in range(_SENDERS)]
    sending = [asyncio.to_thread(_send, node, some) for some in files]
    under_way = asyncio.gather(*sending)
    await asyncio.sleep(chance.uniform(0.05, 0.8))
    os.kill(chance.choice(node.dimse.pids), signal.SIGKILL)
    for done in await under_way:
        acknowledged.update(done)


def _files(folder: Path, kill: int, sender: int) -> list[Path]:
    files = []
    for number in range(1, _EACH + 1):
        ds = ct_slice(number, study=f"1.2.{kill}", series=f"1.2.{kill}.{sender}")
        ds.Rows, ds.Columns = 256, 256
        ds.PixelData = np.random.default_rng(number).integers(0, 4096, (256, 256), "<u2").tobytes()
        files.append(folder / f"{sender} {number}.dcm")
        files[-1].write_bytes(encoded(ds))
    return files


def _send(node: DimseNode, files: list[Path]) -> dict[str, bytes]:
    """The data sets that were acknowledged with success, by UID."""
    _config.STORE_SEND_CHUNKED_DATASET = True
    ae = AE("PEER")
    ae.acse_timeout = ae.dimse_timeout = 3  # it does not notice that its peer has gone
    ae.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
    association = ae.associate("127.0.0.1", node.port, ae_title="APPLIANCE")
    acknowledged = {}
    for file in files:
        if not association.is_established:
            break
        try:
            status = association.send_c_store(file).get("Status")
        except RuntimeError:  # the association went between the two lines
            break
        if status == 0:
            content = file.read_bytes()
            acknowledged[str(dcmread(file).SOPInstanceUID)] = content[data_set_offset(InMemory(content)) :]
    if association.is_established:
        association.release()
    return acknowledged
