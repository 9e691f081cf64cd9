"""DICOM over TLS, with DCMTK's own: with and without a certificate of the peer's, and never in the clear."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove

from appliance.dimse.peers import Limits, Peer, Tls
from tests.dimse.authority import Authority
from tests.dimse.dimse_node import EVERYTHING, PEERS, DimseNode, dimse_node
from tests.end_to_end.running import free_port
from tests.services.node_parts import ct_slice, encoded

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strange"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory, ours: Authority) -> AsyncIterator[DimseNode]:
    tls = Tls(str(ours.certificate), str(ours.key), str(ours.authority))
    limits = Limits(request_s=3)
    async with dimse_node(tmp_path_factory.mktemp("node"), peers=PEERS, tls=tls, limits=limits) as made:
        yield made


async def test_a_peer_with_a_certificate_of_ours_stores(node: DimseNode, ours: Authority, tmp_path: Path) -> None:
    file = tmp_path / "ct.dcm"
    file.write_bytes(encoded(ct_slice()))

    status, output = await node.call("storescu", *ours.of_dcmtk(), "+cf", ours.authority, "-xe", file)

    assert (status, output) == (0, "")
    assert list(node.held()) == ["1.2.3.1.1"]


async def test_a_peer_with_a_strange_certificate_is_not_let_in(
    node: DimseNode, ours: Authority, strange: Authority
) -> None:
    status, _ = await node.call("echoscu", *strange.of_dcmtk(), "+cf", ours.authority)

    assert status != 0
    await node.until("associations", "tls-failed")


async def test_a_peer_without_a_certificate_is_not_let_in(node: DimseNode, ours: Authority) -> None:
    assert (await node.call("echoscu", "+tla", "+cf", ours.authority))[0] != 0


async def test_a_peer_that_speaks_in_the_clear_is_not_let_in(node: DimseNode) -> None:
    assert (await node.call("echoscu"))[0] != 0


async def test_instances_move_to_a_destination_that_listens_with_tls(ours: Authority, tmp_path: Path) -> None:
    port, there = free_port(), tmp_path / "there"
    there.mkdir()
    peers = (Peer("PEER", ("127.0.0.1",), EVERYTHING, port, tls=True),)
    tls = Tls(str(ours.certificate), str(ours.key), str(ours.authority))
    receiver = await asyncio.create_subprocess_exec(
        "storescp", *map(str, ours.of_dcmtk()), "+cf", ours.authority, "-aet", "PEER", "-od", there, str(port),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with dimse_node(tmp_path, peers=peers, tls=tls) as node:
            await node.parts.put(encoded(ct_slice()))
            statuses = await asyncio.to_thread(move, node, ours)
    finally:
        receiver.kill()
        await receiver.wait()

    assert statuses == [0]
    assert len(list(there.iterdir())) == 1


def move(node: DimseNode, ours: Authority) -> list[int]:
    """Statuses of a C-MOVE to PEER, asked for over TLS; blocks."""
    context = ssl.create_default_context(cafile=str(ours.authority))
    context.check_hostname = False
    context.load_cert_chain(ours.certificate, ours.key)
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", "1.2.3"
    ae = AE("PEER")
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
    association = ae.associate("127.0.0.1", node.port, ae_title="APPLIANCE", tls_args=(context, "localhost"))
    try:
        answers = association.send_c_move(identifier, "PEER", StudyRootQueryRetrieveInformationModelMove)
        return [int(status.Status) for status, _ in answers]
    finally:
        association.release()


async def test_without_authorities_a_peer_needs_no_certificate(ours: Authority, tmp_path: Path) -> None:
    async with dimse_node(tmp_path, tls=Tls(str(ours.certificate), str(ours.key))) as node:
        assert await node.call("echoscu", "+tla", "+cf", ours.authority) == (0, "")
