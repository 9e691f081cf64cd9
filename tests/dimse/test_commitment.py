"""Storage commitment, asked for by pynetdicom: what is kept, what is not, on either association."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_role

from appliance.dimse.peers import Peer
from appliance.storage.commitments import CommitmentRow
from appliance.storage.database import Transaction
from tests.dimse.dimse_node import EVERYTHING, DimseNode, dimse_node
from tests.end_to_end.running import free_port
from tests.services.node_parts import ct_slice, encoded

pytestmark = pytest.mark.asyncio(loop_scope="module")

_COMMITMENT = "1.2.840.10008.1.20.1"
_CT = "1.2.840.10008.5.1.4.1.1.2"
_MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory, port: int) -> AsyncIterator[DimseNode]:
    peers = (
        Peer("PEER", ("127.0.0.1",), EVERYTHING),
        Peer("LISTENING", ("127.0.0.1",), EVERYTHING, port),
        Peer("CT1", ("127.0.0.1",), frozenset({"store"})),
    )
    async with dimse_node(tmp_path_factory.mktemp("node"), peers=peers) as made:
        for number in (1, 2):
            await made.parts.put(encoded(ct_slice(number)))
        yield made


def commitment(*instances: tuple[str, str]) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = "1.2.3.999"
    ds.ReferencedSOPSequence = []
    for sop_class_uid, instance_uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, instance_uid
        ds.ReferencedSOPSequence.append(item)
    return ds


class Asking:
    """A modality that asks, and takes results on the same association."""

    def __init__(self) -> None:
        self.results: queue.Queue[tuple[int, Dataset]] = queue.Queue()

    def take(self, event: Any) -> tuple[int, None]:
        self.results.put((event.event_type, event.event_information))
        return 0x0000, None

    def ask(self, node: DimseNode, title: str, ds: Dataset, *, is_kept_open: bool) -> tuple[int, int, Dataset]:
        """Status of the request, type of the event, and the result; blocks."""
        ae = AE(title)
        ae.add_requested_context(_COMMITMENT)
        handlers = [(evt.EVT_N_EVENT_REPORT, self.take)]
        association = ae.associate("127.0.0.1", node.port, ae_title="APPLIANCE", evt_handlers=handlers)
        assert association.is_established
        try:
            status, _ = association.send_n_action(ds, 1, _COMMITMENT, "1.2.840.10008.1.20.1.1")
            if not is_kept_open:
                association.release()
            return int(status.Status), *self.results.get(timeout=10)
        finally:
            association.release()


@pytest.fixture
def asking() -> Asking:
    return Asking()


@pytest.fixture
def listening(asking: Asking, port: int) -> Iterator[Asking]:
    """It takes results on its own port too."""
    ae = AE("LISTENING")
    ae.add_supported_context(_COMMITMENT, scu_role=False, scp_role=True)
    ae.supported_contexts[0].scu_role, ae.supported_contexts[0].scp_role = True, True
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, asking.take)])
    yield asking
    server.shutdown()


async def test_instances_that_are_kept_are_committed_to(node: DimseNode, asking: Asking) -> None:
    wanted = commitment((_CT, "1.2.3.1.1"), (_CT, "1.2.3.1.2"))

    status, kind, result = await asyncio.to_thread(asking.ask, node, "PEER", wanted, is_kept_open=True)

    assert (status, kind) == (0, 1)
    assert result.TransactionUID == "1.2.3.999"
    assert [item.ReferencedSOPInstanceUID for item in result.ReferencedSOPSequence] == ["1.2.3.1.1", "1.2.3.1.2"]
    assert "FailedSOPSequence" not in result


async def test_what_is_not_kept_is_named_with_its_reason(node: DimseNode, asking: Asking) -> None:
    wanted = commitment((_CT, "1.2.3.1.1"), (_CT, "1.2.3.1.77"), (_MR, "1.2.3.1.2"))

    _, kind, result = await asyncio.to_thread(asking.ask, node, "PEER", wanted, is_kept_open=True)

    reasons = {item.ReferencedSOPInstanceUID: item.FailureReason for item in result.FailedSOPSequence}
    assert kind == 2
    assert reasons == {"1.2.3.1.77": 0x0112, "1.2.3.1.2": 0x0119}


async def test_bytes_that_are_lost_are_not_committed_to(node: DimseNode, asking: Asking) -> None:
    await node.parts.put(encoded(ct_slice(3)))
    node.parts.store.delete(node.held()["1.2.3.1.3"])

    _, _, result = await asyncio.to_thread(asking.ask, node, "PEER", commitment((_CT, "1.2.3.1.3")), is_kept_open=True)

    assert [item.FailureReason for item in result.FailedSOPSequence] == [0x0110]
    assert "ReferencedSOPSequence" not in result


async def test_a_peer_that_listens_is_told_on_an_association_of_ours(node: DimseNode, listening: Asking) -> None:
    wanted = commitment((_CT, "1.2.3.1.1"))

    status, kind, result = await asyncio.to_thread(listening.ask, node, "LISTENING", wanted, is_kept_open=False)

    assert (status, kind, len(result.ReferencedSOPSequence)) == (0, 1, 1)


async def test_a_result_outlives_the_process_that_promised_it(
    node: DimseNode, asking: Asking, port: int, request: pytest.FixtureRequest
) -> None:
    """The peer is away when it is to be told, and there again after kill -9 of the process."""

    def ask() -> int:
        ae = AE("LISTENING")
        ae.add_requested_context(_COMMITMENT)
        association = ae.associate("127.0.0.1", node.port, ae_title="APPLIANCE")
        wanted = commitment((_CT, "1.2.3.1.1"), (_CT, "1.2.3.1.88"))
        status, _ = association.send_n_action(wanted, 1, _COMMITMENT, "1.2.840.10008.1.20.1.1")
        association.release()
        return int(status.Status)

    assert await asyncio.to_thread(ask) == 0
    while node.parts.database.read(attempts) != [1]:
        await asyncio.sleep(0.05)
    (pid,) = node.dimse.pids
    os.kill(pid, signal.SIGKILL)
    node.parts.database.run(lambda tx: tx.execute(CommitmentRow.update(due_ms=0)))
    listening = request.getfixturevalue("listening")

    kind, result = await asyncio.to_thread(listening.results.get, timeout=30)

    assert (kind, result.TransactionUID) == (2, "1.2.3.999")
    assert [item.ReferencedSOPInstanceUID for item in result.ReferencedSOPSequence] == ["1.2.3.1.1"]
    while node.parts.database.read(attempts):
        await asyncio.sleep(0.05)


def attempts(tx: Transaction) -> list[int]:
    """How often each commitment that waits was tried in vain."""
    return [row.attempts for row in tx.rows(CommitmentRow.select())]


async def test_a_request_without_instances_fails(node: DimseNode) -> None:
    def ask() -> int:
        ae = AE("PEER")
        ae.add_requested_context(_COMMITMENT)
        association = ae.associate("127.0.0.1", node.port, ae_title="APPLIANCE")
        try:
            return int(association.send_n_action(commitment(), 1, _COMMITMENT, "1.2.840.10008.1.20.1.1")[0].Status)
        finally:
            association.release()

    assert await asyncio.to_thread(ask) == 0x0110


async def test_a_peer_without_the_verb_is_not_offered_it(node: DimseNode) -> None:
    def accepted() -> list[Any]:
        ae = AE("CT1")
        ae.add_requested_context(_COMMITMENT)
        ae.add_requested_context(_CT)
        association = ae.associate(
            "127.0.0.1", node.port, ae_title="APPLIANCE", ext_neg=[build_role(_CT, scu_role=True)]
        )
        try:
            return [context.abstract_syntax for context in association.accepted_contexts]
        finally:
            association.release()

    assert await asyncio.to_thread(accepted) == [_CT]
