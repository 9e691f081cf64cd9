"""Orthanc as a peer, both ways: it sends, finds, gets moved to it, and gives back what it was given."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from appliance.dimse.peers import Peer
from tests.dimse.dimse_node import EVERYTHING, DimseNode, dimse_node
from tests.end_to_end.running import free_port
from tests.services.node_parts import ct_slice, encoded

pytestmark = pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not installed")

_SAMPLES = ("nema-nm1/NM1_JLSL.dcm", "nema-nm1/NM1_J2KR.dcm", "nema-nm1/NM1_RLE.dcm")


@dataclass
class Orthanc:
    client: httpx.AsyncClient

    async def post(self, path: str, body: Any) -> Any:
        answer = await self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def instances(self) -> dict[str, str]:
        """Its own ids by SOP instance UID."""
        found = (await self.client.get("/instances?expand")).json()
        return {one["MainDicomTags"]["SOPInstanceUID"]: one["ID"] for one in found}


def values(content: bytes) -> dict[int, Any]:
    """The elements by tag, as far as Orthanc keeps them: it writes lengths of sequences anew, and leaves out padding."""
    ds = pydicom.dcmread(BytesIO(content))
    return {int(one.tag): one.value for one in ds if one.tag.element != 0 and one.tag != 0xFFFCFFFC}


@contextlib.asynccontextmanager
async def orthanc(folder: Path, dicom_port: int, node: DimseNode) -> AsyncIterator[Orthanc]:
    port = free_port()
    folder.mkdir()
    config = folder / "orthanc.json"
    config.write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "HttpPort": port,
                "DicomPort": dicom_port,
                "DicomAet": "ORTHANC",
                "TranscodeDicomProtocol": False,  # newer ones would send what is not compressed any more
                "DicomModalities": {"box": ["APPLIANCE", "127.0.0.1", node.port]},
                "Plugins": [],
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
            }
        )
    )
    process = await asyncio.create_subprocess_exec(
        "Orthanc", config, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            async with asyncio.timeout(20):
                while True:
                    with contextlib.suppress(httpx.HTTPError):
                        await client.get("/system")
                        break
                    await asyncio.sleep(0.1)
            yield Orthanc(client)
    finally:
        process.terminate()
        await process.wait()


async def test_orthanc_sends_finds_and_takes_back(tmp_path: Path, dicom_dir: Path) -> None:
    port = free_port()
    peers = (Peer("ORTHANC", ("127.0.0.1",), EVERYTHING, port), Peer("PEER", ("127.0.0.1",), EVERYTHING))
    contents = [(dicom_dir / "10-transfer-syntaxes" / name).read_bytes() for name in _SAMPLES] + [encoded(ct_slice())]
    uids = [pydicom.dcmread(dicom_dir / "10-transfer-syntaxes" / name).SOPInstanceUID for name in _SAMPLES]
    by_uid = dict(zip([*uids, "1.2.3.1.1"], contents, strict=True))
    async with dimse_node(tmp_path, peers=peers) as node, orthanc(tmp_path / "orthanc", port, node) as other:
        for content in by_uid.values():
            assert (await other.client.post("/instances", content=content)).status_code == 200

        assert (await other.client.post("/modalities/box/echo", content=b"{}")).status_code == 200
        sent = await other.post("/modalities/box/store", {"Resources": list((await other.instances()).values())})
        assert (sent["FailedInstancesCount"], sent["InstancesCount"]) == (0, len(by_uid))
        assert node.held().keys() == by_uid.keys()

        asked = {"Level": "Study", "Query": {"PatientID": "4711", "StudyInstanceUID": ""}}
        query = await other.post("/modalities/box/query", asked)
        (answer,) = (await other.client.get(f"{query['Path']}/answers?expand&simplify")).json()
        assert answer["StudyInstanceUID"] == "1.2.3"

        for ours in (await other.instances()).values():
            await other.client.delete(f"/instances/{ours}")
        for uid in {pydicom.dcmread(BytesIO(c)).StudyInstanceUID for c in by_uid.values()}:
            status, output = await node.call(
                "movescu", "-S", "-aem", "ORTHANC", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}"
            )
            assert status == 0, output

        back = await other.instances()
        for uid, content in by_uid.items():
            file = (await other.client.get(f"/instances/{back[uid]}/file")).content
            assert values(file) == values(content)
