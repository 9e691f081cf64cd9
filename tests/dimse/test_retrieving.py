"""C-GET and C-MOVE by DCMTK: what arrives is what was stored, to known destinations only, and what fails is counted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import pytest_asyncio
from pydicom.encaps import encapsulate

from appliance.dimse.peers import Peer
from appliance.storage.audit import AuditRow
from appliance.storage.part10 import data_set_offset
from appliance.storage.stream import InMemory
from tests.dimse.dimse_node import EVERYTHING, DimseNode, dimse_node, run
from tests.end_to_end.running import free_port
from tests.services.node_parts import ct_slice, encoded

pytestmark = pytest.mark.asyncio(loop_scope="module")

_NM1 = "10-transfer-syntaxes/nema-nm1"


@pytest.fixture(scope="module")
def port() -> int:
    """Where the destination listens."""
    return free_port()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory, port: int) -> AsyncIterator[DimseNode]:
    """Holds a study of two series."""
    peers = (
        Peer("PEER", ("127.0.0.1",), EVERYTHING, port),
        Peer("NOWHERE", ("127.0.0.1",), EVERYTHING, free_port()),
        Peer("CLIENT", ("127.0.0.1",), EVERYTHING),
    )
    async with dimse_node(tmp_path_factory.mktemp("node"), peers=peers) as made:
        for number in (1, 2, 3):
            await made.parts.put(encoded(ct_slice(number, value=number)))
        await made.parts.put(encoded(ct_slice(1, series="1.2.3.2", value=9)))
        yield made


def data_sets(folder: Path) -> dict[str, bytes]:
    """The encoded data set of each file, by instance UID."""
    found = {}
    for file in folder.iterdir():
        content = file.read_bytes()
        found[pydicom.dcmread(file).SOPInstanceUID] = content[data_set_offset(InMemory(content)) :]
    return found


def expected(*numbers: int) -> dict[str, bytes]:
    contents = {f"1.2.3.1.{n}": encoded(ct_slice(n, value=n)) for n in numbers}
    return {uid: content[data_set_offset(InMemory(content)) :] for uid, content in contents.items()}


@contextlib.asynccontextmanager
async def storescp(port: int, folder: Path, *options: str) -> AsyncIterator[None]:
    """DCMTK's receiver, writing what comes bit for bit."""
    folder.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        "storescp", "-aet", "PEER", "+B", "-od", folder, *options, str(port), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _until_listening(port)
        yield
    finally:
        process.kill()
        await process.wait()


async def _until_listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                return
            await asyncio.sleep(0.05)


async def test_a_series_is_got_bit_for_bit(node: DimseNode, tmp_path: Path) -> None:
    status, output = await node.call(
        "getscu", "-S", "+B", "-od", tmp_path, "-k", "QueryRetrieveLevel=SERIES",
        "-k", "StudyInstanceUID=1.2.3", "-k", "SeriesInstanceUID=1.2.3.1",
    )  # fmt: skip

    assert status == 0, output
    assert data_sets(tmp_path) == expected(1, 2, 3)


async def test_a_patient_is_got_with_all_studies(node: DimseNode, tmp_path: Path) -> None:
    await node.call("getscu", "-P", "-od", tmp_path, "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID=4711")

    assert len(data_sets(tmp_path)) == 4


async def test_a_series_moves_to_a_known_destination_bit_for_bit(node: DimseNode, tmp_path: Path, port: int) -> None:
    async with storescp(port, tmp_path / "there"):
        status, output = await node.call(
            "movescu", "-S", "-aem", "PEER", "-k", "QueryRetrieveLevel=SERIES",
            "-k", "StudyInstanceUID=1.2.3", "-k", "SeriesInstanceUID=1.2.3.1",
            title="CLIENT",
        )  # fmt: skip

    assert status == 0, output
    assert data_sets(tmp_path / "there") == expected(1, 2, 3)


async def test_who_moves_what_where_is_on_record(node: DimseNode, tmp_path: Path, port: int) -> None:
    last = node.parts.trail.count(node.parts.database)

    async with storescp(port, tmp_path / "there"):
        await node.call(
            "movescu", "-S", "-aem", "PEER", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3",
            title="CLIENT",
        )  # fmt: skip

    (row,) = node.parts.database.read(lambda tx: tx.rows(AuditRow.select().where(AuditRow.sequence > last)))
    assert (row.actor_kind, row.actor_id, row.address) == ("peer", "CLIENT", "127.0.0.1")
    assert (row.action, row.subject_uid, row.reason, row.instances) == ("retrieve", "1.2.3", "PEER", 4)


async def test_a_list_of_instances_moves(node: DimseNode, tmp_path: Path, port: int) -> None:
    async with storescp(port, tmp_path / "there"):
        await node.call(
            "movescu", "-S", "-aem", "PEER", "-k", "QueryRetrieveLevel=IMAGE", "-k", "StudyInstanceUID=1.2.3",
            "-k", "SOPInstanceUID=1.2.3.1.1\\1.2.3.1.3",
        )  # fmt: skip

    assert data_sets(tmp_path / "there") == expected(1, 3)


@pytest.mark.parametrize("destination", ["STRANGER", "CLIENT", "NOWHERE", "../../tmp"])
async def test_a_destination_that_cannot_be_is_unknown(node: DimseNode, destination: str) -> None:
    _, output = await node.call(
        "movescu", "-v", "-S", "-aem", destination, "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3"
    )

    assert "MoveDestinationUnknown" in output, output


async def test_what_is_not_held_moves_as_nothing(node: DimseNode) -> None:
    status, _ = await node.call(
        "movescu", "-S", "-aem", "PEER", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.99"
    )

    assert status == 0


async def test_a_retrieval_without_its_unique_key_is_refused(node: DimseNode) -> None:
    _, output = await node.call(
        "movescu", "-v", "-S", "-aem", "PEER", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=*"
    )

    assert "DataSetDoesNotMatchSOPClass" in output, output


async def test_what_the_destination_takes_goes_as_it_is_stored(
    node: DimseNode, tmp_path: Path, port: int, dicom_dir: Path
) -> None:
    compressed = dicom_dir / _NM1 / "NM1_JLSL.dcm"

    async with storescp(port, tmp_path / "there", "+xt"):
        output = await _move_study_of(node, compressed.read_bytes())

    assert "Success" in output, output
    content = compressed.read_bytes()
    assert list(data_sets(tmp_path / "there").values()) == [content[data_set_offset(InMemory(content)) :]]


@pytest.mark.parametrize(
    ("option", "syntax"), [("+xi", "1.2.840.10008.1.2"), ("+x=", "1.2.840.10008.1.2.1")], ids=["implicit", "explicit"]
)
async def test_what_it_does_not_take_moves_uncompressed(
    node: DimseNode, tmp_path: Path, port: int, dicom_dir: Path, option: str, syntax: str
) -> None:
    """The same picture, without loss in JPEG-LS and uncompressed, of one machine (NEMA WG-04)."""
    async with storescp(port, tmp_path / "there", option):
        output = await _move_study_of(node, (dicom_dir / _NM1 / "NM1_JLSL.dcm").read_bytes())

    assert "Success" in output, output
    (file,) = (tmp_path / "there").iterdir()
    arrived = pydicom.dcmread(file)
    assert arrived.file_meta.TransferSyntaxUID == syntax
    assert arrived.PixelData == pydicom.dcmread(dicom_dir / _NM1 / "NM1_UNC.dcm").PixelData


async def test_what_the_asking_one_does_not_take_is_got_uncompressed(
    node: DimseNode, tmp_path: Path, dicom_dir: Path
) -> None:
    content = (dicom_dir / _NM1 / "NM1_JLSL.dcm").read_bytes()
    await node.parts.put(content)
    study = pydicom.dcmread(BytesIO(content)).StudyInstanceUID

    status, output = await node.call(
        "getscu", "-xi", "-S", "+B", "-od", tmp_path, "-k", "QueryRetrieveLevel=STUDY",
        "-k", f"StudyInstanceUID={study}",
    )  # fmt: skip

    assert status == 0, output
    (file,) = tmp_path.iterdir()
    arrived = pydicom.dcmread(file, force=True)
    assert arrived.PixelData == pydicom.dcmread(dicom_dir / _NM1 / "NM1_UNC.dcm").PixelData


async def test_what_cannot_be_decoded_fails_by_itself_and_says_why(
    node: DimseNode, tmp_path: Path, port: int, dicom_dir: Path
) -> None:
    """Two of one study: one whose pixels are broken, after it one that is whole."""
    broken = pydicom.dcmread(dicom_dir / _NM1 / "NM1_JLSL.dcm")
    broken.StudyInstanceUID, broken.SOPInstanceUID = "1.2.50", "1.2.50.1.1"
    broken.file_meta.MediaStorageSOPInstanceUID = broken.SOPInstanceUID
    broken.PixelData = encapsulate([b"\xff\xd8" + bytes(500)])
    await node.parts.put(encoded(ct_slice(7, study="1.2.50", series="1.2.50.2")))

    async with storescp(port, tmp_path / "there", "+xi"):
        output = await _move_study_of(node, encoded(broken), "-d")

    assert "SubOperationsCompleteOneOrMoreFailures" in output, output
    assert "pixel-data-damaged" in output, output
    assert list(data_sets(tmp_path / "there")) == ["1.2.50.2.7"]


async def _move_study_of(node: DimseNode, content: bytes, verbosity: str = "-v") -> str:
    """What movescu said of moving the study of an instance, which is held now."""
    await node.parts.put(content)
    study = pydicom.dcmread(BytesIO(content)).StudyInstanceUID
    _, output = await node.call(
        "movescu", verbosity, "-S", "-aem", "PEER", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"
    )
    return output


@pytest.fixture
def archive(tmp_path: Path, port: int) -> Iterator[Path]:
    """The configuration of DCMTK's archive, which stores, finds and moves itself."""
    storage = tmp_path / "archive"
    storage.mkdir()
    config = tmp_path / "dcmqrscp.cfg"
    config.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nnode = (APPLIANCE, 127.0.0.1, 11112)\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nPEER {storage} RW (200, 1024mb) ANY\nAETable END\n"
    )
    yield config


async def test_a_study_moves_into_another_archive(node: DimseNode, archive: Path, port: int) -> None:
    process = await asyncio.create_subprocess_exec(
        "dcmqrscp", "-c", archive, stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await _until_listening(port)
        status, output = await node.call(
            "movescu", "-S", "-aem", "PEER", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3"
        )
        _, found = await run(
            "findscu", "-v", "-S", "-aec", "PEER", "127.0.0.1", str(port),
            "-k", "QueryRetrieveLevel=SERIES", "-k", "StudyInstanceUID=1.2.3", "-k", "SeriesInstanceUID",
        )  # fmt: skip
    finally:
        process.kill()
        await process.wait()

    assert status == 0, output
    assert "1.2.3.1" in found
    assert "1.2.3.2" in found
