"""C-ECHO and C-STORE, by DCMTK and by pynetdicom as senders: what is kept is what was sent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pydicom
import pytest
import pytest_asyncio
from pydicom.uid import UID
from pynetdicom import AE, _config

from appliance.dimse.peers import Limits, Peer
from appliance.storage.part10 import data_set_offset, file_head
from appliance.storage.stream import InMemory
from tests.dimse.dimse_node import PEERS, DimseNode, dimse_node, run
from tests.services.node_parts import ct_slice, encoded

pytestmark = pytest.mark.asyncio(loop_scope="module")

_FAMILIES = "10-transfer-syntaxes"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DimseNode]:
    async with dimse_node(tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def node(shared_node: DimseNode) -> AsyncIterator[DimseNode]:
    """A node that holds nothing yet."""
    yield shared_node
    shared_node.empty()


def data_set_of(content: bytes) -> bytes:
    """The bytes after the meta information, where there is one."""
    return content[data_set_offset(InMemory(content)) :]


def stored_data_set(node: DimseNode, instance_uid: str) -> bytes:
    with node.parts.store.open(node.held()[instance_uid]) as reader:
        return data_set_of(reader.read_all())


def saved(folder: Path, *slices: pydicom.Dataset) -> list[Path]:
    files = []
    for ds in slices:
        files.append(folder / f"{ds.SOPInstanceUID}.dcm")
        files[-1].write_bytes(encoded(ds))
    return files


def announced(
    folder: Path, *, sop_class_uid: str = "1.2.840.10008.5.1.4.1.1.2", instance_uid: str = "1.2.3.1.1"
) -> Path:
    """A CT slice, 1.2.3.1.1, in a file that says something else."""
    file = folder / "announced.dcm"
    head = file_head(sop_class_uid, instance_uid, "1.2.840.10008.1.2.1")
    file.write_bytes(head + data_set_of(encoded(ct_slice(1))))
    return file


def send(node: DimseNode, files: list[Path], *, title: str = "PEER") -> list[int]:
    """Statuses of files sent as they are by pynetdicom, on one association; blocks."""
    _config.STORE_SEND_CHUNKED_DATASET = True
    ae = AE(title)
    metas = [pydicom.filereader.read_file_meta_info(file) for file in files]
    for sop_class, syntax in {(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) for meta in metas}:
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate("127.0.0.1", node.port, ae_title="APPLIANCE")
    assert association.is_established
    try:
        return [int(association.send_c_store(file).get("Status", -1)) for file in files]
    finally:
        association.release()


async def test_a_known_peer_is_answered(node: DimseNode) -> None:
    assert await node.call("echoscu") == (0, "")


async def test_an_instance_that_storescu_sends_is_kept_bit_for_bit(node: DimseNode, tmp_path: Path) -> None:
    (file,) = saved(tmp_path, ct_slice())

    status, output = await node.call("storescu", "-xe", file)

    assert (status, output) == (0, "")
    assert stored_data_set(node, "1.2.3.1.1") == data_set_of(file.read_bytes())


async def test_what_is_kept_is_a_dicom_file(node: DimseNode, tmp_path: Path) -> None:
    (file,) = saved(tmp_path, ct_slice())
    await node.call("storescu", "-xe", file)
    with node.parts.store.open(node.held()["1.2.3.1.1"]) as reader:
        (tmp_path / "kept.dcm").write_bytes(reader.read_all())

    status, output = await run("dcmftest", tmp_path / "kept.dcm")
    ds = pydicom.dcmread(tmp_path / "kept.dcm")

    assert (status, output[:4]) == (0, "yes:")
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


async def test_every_transfer_syntax_comes_in_as_it_is(node: DimseNode, dicom_dir: Path, tmp_path: Path) -> None:
    by_syntax = _by_syntax(dicom_dir / _FAMILIES)
    assert len(by_syntax) >= 18
    files = [of_a_study(first(files), tmp_path) for files in by_syntax.values()]

    statuses = await asyncio.to_thread(send, node, files)

    assert statuses == [0] * len(files)
    for file in files:
        uid = pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID
        assert stored_data_set(node, uid) == data_set_of(file.read_bytes()), file.name


def of_a_study(file: Path, folder: Path) -> Path:
    """The file, or where it names no study (as some test objects do) a copy that does."""
    ds = pydicom.dcmread(file)
    if "StudyInstanceUID" in ds:
        return file
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    ds.save_as(folder / file.name, enforce_file_format=True)
    return folder / file.name


def first(files: list[Path]) -> Path:
    return min(files, key=lambda file: file.stat().st_size)


def _by_syntax(folder: Path) -> dict[str, list[Path]]:
    """Files by transfer syntax, one of each instance."""
    found: dict[str, list[Path]] = {}
    seen: set[str] = set()
    for file in sorted(folder.rglob("*.dcm")):
        ds = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        syntax = getattr(ds.file_meta, "TransferSyntaxUID", None)
        if syntax and ds.SOPInstanceUID not in seen:
            seen.add(ds.SOPInstanceUID)
            found.setdefault(str(syntax), []).append(file)
    return found


_PROPOSALS = {
    "-xe": "1.2.840.10008.1.2.1",
    "-xb": "1.2.840.10008.1.2.2",
    "-xi": "1.2.840.10008.1.2",
    "-xd": "1.2.840.10008.1.2.1.99",
}


@pytest.mark.parametrize(("option", "syntax"), _PROPOSALS.items())
async def test_what_storescu_proposes_first_is_what_is_taken(
    node: DimseNode, tmp_path: Path, option: str, syntax: str
) -> None:
    (file,) = saved(tmp_path, ct_slice())

    status, _ = await node.call("storescu", "-R", "+C", option, file)

    with node.parts.store.open(node.held()["1.2.3.1.1"]) as reader:
        (tmp_path / "kept.dcm").write_bytes(reader.read_all())
    kept = pydicom.dcmread(tmp_path / "kept.dcm")
    assert status == 0
    assert kept.file_meta.TransferSyntaxUID == syntax
    assert kept.PatientName == "Muster^Eva"


async def test_an_object_of_a_private_class_is_kept(node: DimseNode, tmp_path: Path) -> None:
    ds = ct_slice()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID("1.3.12.2.1107.5.9.1")

    statuses = await asyncio.to_thread(send, node, saved(tmp_path, ds))

    assert statuses == [0]
    assert list(node.held()) == ["1.2.3.1.1"]


async def test_the_same_data_set_again_is_acknowledged_and_kept_once(node: DimseNode, tmp_path: Path) -> None:
    (file,) = saved(tmp_path, ct_slice())
    await node.parts.put(file.read_bytes())  # came in as a file first, with other meta information
    before = node.held()

    status, _ = await node.call("storescu", "-xe", file)

    assert status == 0
    assert node.held() == before
    await node.until("instances", "already-there")


async def test_another_data_set_under_the_same_uid_is_a_duplicate(node: DimseNode, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first_one, other = saved(tmp_path, ct_slice(value=1))[0], saved(tmp_path / "other", ct_slice(value=2))[0]

    assert await asyncio.to_thread(send, node, [first_one]) == [0]
    assert await asyncio.to_thread(send, node, [other]) == [0x0111]

    assert stored_data_set(node, "1.2.3.1.1") == data_set_of(first_one.read_bytes())


async def test_a_data_set_of_another_class_than_announced_is_refused(node: DimseNode, tmp_path: Path) -> None:
    mr = announced(tmp_path, sop_class_uid="1.2.840.10008.5.1.4.1.1.4")

    assert await asyncio.to_thread(send, node, [mr]) == [0xA900]
    assert node.held() == {}


async def test_a_data_set_under_another_uid_than_announced_is_refused(node: DimseNode, tmp_path: Path) -> None:
    assert await asyncio.to_thread(send, node, [announced(tmp_path, instance_uid="1.2.3.1.999")]) == [0x0117]
    assert node.held() == {}


async def test_bytes_that_are_no_data_set_are_not_understood(node: DimseNode, tmp_path: Path) -> None:
    (file,) = saved(tmp_path, ct_slice())
    content = file.read_bytes()
    start = data_set_offset(InMemory(content))
    file.write_bytes(content[:start] + b"\x77" * 5000)

    assert await asyncio.to_thread(send, node, [file]) == [0xC000]
    assert node.held() == {}
    assert node.parts.spooled_files() == []


async def test_the_next_instance_is_taken_after_one_that_was_refused(node: DimseNode, tmp_path: Path) -> None:
    wrong = announced(tmp_path, instance_uid="1.2.3.1.999")

    statuses = await asyncio.to_thread(send, node, [wrong, *saved(tmp_path, ct_slice(2))])

    assert statuses == [0x0117, 0]


async def test_an_instance_beyond_the_limit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    ds = ct_slice(1)
    ds.Rows, ds.Columns, ds.PixelData = 1024, 1024, bytes(2 << 20)
    async with dimse_node(tmp_path, limits=Limits(instance_bytes=1 << 20)) as node:
        statuses = await asyncio.to_thread(send, node, saved(tmp_path, ds, ct_slice(2)))

        assert statuses == [0xA700, 0]
        assert node.parts.spooled_files() == []


async def test_a_full_store_is_out_of_resources(tmp_path: Path) -> None:
    async with dimse_node(tmp_path, floor_bytes=1 << 60) as node:
        assert await asyncio.to_thread(send, node, saved(tmp_path, ct_slice())) == [0xA700]
        assert node.held() == {}


async def test_a_peer_that_may_only_echo_cannot_store(tmp_path: Path) -> None:
    async with dimse_node(tmp_path, peers=(Peer("PEER", ("127.0.0.1",), frozenset({"echo"})),)) as node:
        status, output = await node.call("storescu", "-R", "-xe", saved(tmp_path, ct_slice())[0])

        assert status != 0
        assert "No Acceptable Presentation Contexts" in output
        assert node.held() == {}


async def test_a_sender_that_goes_in_the_middle_leaves_nothing(node: DimseNode, tmp_path: Path) -> None:
    ds = ct_slice()
    ds.Rows, ds.Columns, ds.PixelData = 4096, 4096, bytes(32 << 20)
    (file,) = saved(tmp_path, ds)
    sender = await asyncio.create_subprocess_exec(
        "storescu",
        "-xe",
        "-aet",
        "PEER",
        "-aec",
        "APPLIANCE",
        "--max-send-pdu",
        "4096",
        "127.0.0.1",
        str(node.port),
        file,
    )
    while not node.parts.spooled_files():
        await asyncio.sleep(0.005)
    sender.kill()
    await sender.wait()

    await node.until("operations", "store interrupted")
    assert node.parts.spooled_files() == []
    assert node.held() == {}
    assert (await node.call("echoscu"))[0] == 0


async def test_several_senders_at_once_are_all_served(tmp_path: Path) -> None:
    """Beside two that are slow to say anything: pydicom/pynetdicom#917."""
    senders, each = 6, 15
    folders = []
    for sender in range(senders):
        folder = tmp_path / f"sender {sender}"
        folder.mkdir()
        saved(folder, *(ct_slice(n, series=f"1.2.3.{sender}") for n in range(1, each + 1)))
        folders.append(folder)
    async with dimse_node(tmp_path, processes=2) as node:
        done = await asyncio.gather(*(node.call("storescu", "-R", "-xe", "+sd", folder) for folder in folders))

        assert [status for status, _ in done] == [0] * senders, done
        assert len(node.held()) == senders * each


async def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    async with dimse_node(tmp_path, peers=PEERS) as node:
        os.kill(node.dimse.pids[0], signal.SIGKILL)
        while node.dimse.restarts == 0 or await node.dimse.missing():
            await asyncio.sleep(0.05)

        assert (await node.call("echoscu"))[0] == 0
