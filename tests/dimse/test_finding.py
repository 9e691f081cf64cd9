"""C-FIND by DCMTK's findscu: levels, wildcards, ranges, lists, and values that are none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pydicom
import pytest
import pytest_asyncio

from appliance.dimse.peers import Peer
from appliance.storage import dimse_queries, queries
from appliance.storage.audit import AuditRow
from tests.dimse.dimse_node import PEERS, DimseNode, dimse_node
from tests.services.node_parts import ct_slice, encoded

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ONLY_STORE = Peer("CT1", ("127.0.0.1",), frozenset({"echo", "store"}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DimseNode]:
    """Eva Muster with a CT of two series, and Øyvind Åse with an MR of 2020."""
    async with dimse_node(tmp_path_factory.mktemp("node"), peers=(*PEERS, _ONLY_STORE)) as made:
        for number in (1, 2, 3):
            await made.parts.put(encoded(ct_slice(number)))
        await made.parts.put(encoded(ct_slice(1, series="1.2.3.2")))
        mr = ct_slice(1, study="1.2.4", series="1.2.4.1")
        mr.SpecificCharacterSet = "ISO_IR 192"
        mr.PatientName, mr.PatientID, mr.StudyDate, mr.StudyTime, mr.Modality = (
            "Åse^Øyvind",
            "0815",
            "20200229",
            "235959",
            "MR",
        )
        mr.PatientBirthDate = None
        await made.parts.put(encoded(mr))
        yield made


async def find(node: DimseNode, folder: Path, *keys: str, root: str = "-S") -> list[pydicom.Dataset]:
    """The identifiers that findscu got."""
    options = [part for key in keys for part in ("-k", key)]
    status, output = await node.call("findscu", root, "-X", "-od", folder, *options)
    assert status == 0, output
    return [pydicom.dcmread(file, force=True) for file in sorted(folder.glob("rsp*.dcm"))]


async def uids(node: DimseNode, folder: Path, *keys: str) -> set[str]:
    """Of the studies that match."""
    found = await find(node, folder, "QueryRetrieveLevel=STUDY", "StudyInstanceUID", *keys)
    return {ds.StudyInstanceUID for ds in found}


async def test_a_search_by_dicomweb_and_one_by_dimse_know_the_same_attributes() -> None:
    of_dicomweb = {attribute.keyword for attribute in queries.ATTRIBUTES if not attribute.sequence}

    assert {attribute.keyword for attribute in dimse_queries.ATTRIBUTES} == of_dicomweb


async def test_an_instance_is_found_by_its_bits(node: DimseNode, tmp_path: Path) -> None:
    keys = ("QueryRetrieveLevel=IMAGE", "SOPInstanceUID", "SeriesInstanceUID=1.2.3.1", "InstanceNumber=2")

    found = await find(node, tmp_path, *keys, "BitsAllocated=16", "NumberOfFrames=1", "PerformedProcedureStepStartDate")

    assert [(ds.SOPInstanceUID, ds.BitsAllocated) for ds in found] == [("1.2.3.1.2", 16)]
    assert found[0].PerformedProcedureStepStartDate == ""


async def test_a_key_below_the_level_is_passed_over(node: DimseNode, tmp_path: Path) -> None:
    keys = (
        "Modality=MR",
        "SeriesDate=20000101",
        "BitsAllocated=8",
        "NumberOfFrames=7",
        "PerformedProcedureStepStartDate=20000101",
    )

    assert await uids(node, tmp_path, *keys) == {"1.2.3", "1.2.4"}


async def test_a_study_comes_with_what_was_asked_for(node: DimseNode, tmp_path: Path) -> None:
    asked = ["PatientName", "StudyDate", "StudyTime", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"]

    (ds,) = await find(node, tmp_path, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3", *asked)

    assert (ds.PatientName, ds.StudyDate, ds.StudyTime) == ("Muster^Eva", "20261122", "105400")
    assert (ds.ModalitiesInStudy, ds.NumberOfStudyRelatedInstances) == ("CT", 4)
    assert (ds.QueryRetrieveLevel, ds.RetrieveAETitle) == ("STUDY", "APPLIANCE")
    assert "PatientID" not in ds


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("PatientName=Muster^Eva", {"1.2.3"}),
        ("PatientName=muster*", {"1.2.3"}),
        ("PatientName=M?ster^*", {"1.2.3"}),
        ("PatientName=Muster", set()),
        ("PatientName=*", {"1.2.3", "1.2.4"}),
        ("PatientName=", {"1.2.3", "1.2.4"}),
        ("PatientID=4711", {"1.2.3"}),
        ("PatientID=47*", {"1.2.3"}),
        ("PatientID=47%", set()),
        ("PatientID=471_", set()),
        ("StudyDate=20261122", {"1.2.3"}),
        ("StudyDate=20200101-20201231", {"1.2.4"}),
        ("StudyDate=20200301-", {"1.2.3"}),
        ("StudyDate=-20200301", {"1.2.4"}),
        ("StudyTime=1054", {"1.2.3"}),
        ("StudyTime=110000-", {"1.2.4"}),
        ("StudyInstanceUID=1.2.3\\1.2.4\\1.2.5", {"1.2.3", "1.2.4"}),
        ("ModalitiesInStudy=MR", {"1.2.4"}),
        ("ModalitiesInStudy=MR\\CT", {"1.2.3", "1.2.4"}),
        ("PatientBirthDate=19700131", {"1.2.3"}),
        ("StudyDescription=chest", set()),
        ("StudyDescription=Ch*", {"1.2.3", "1.2.4"}),
    ],
)
async def test_a_key_matches(node: DimseNode, tmp_path: Path, key: str, expected: set[str]) -> None:
    assert await uids(node, tmp_path, key) == expected


async def test_names_beyond_ascii_are_found_and_come_back(node: DimseNode, tmp_path: Path) -> None:
    keys = ("SpecificCharacterSet=ISO_IR 192", "QueryRetrieveLevel=STUDY", "PatientName=åse*", "StudyInstanceUID")

    (ds,) = await find(node, tmp_path, *keys)

    assert ds.PatientName == "Åse^Øyvind"


async def test_series_of_a_study(node: DimseNode, tmp_path: Path) -> None:
    keys = (
        "QueryRetrieveLevel=SERIES",
        "StudyInstanceUID=1.2.3",
        "SeriesInstanceUID",
        "NumberOfSeriesRelatedInstances",
    )

    found = await find(node, tmp_path, *keys)

    counts = {ds.SeriesInstanceUID: ds.NumberOfSeriesRelatedInstances for ds in found}
    assert counts == {"1.2.3.1": 3, "1.2.3.2": 1}


async def test_instances_of_a_series_in_their_order(node: DimseNode, tmp_path: Path) -> None:
    keys = (
        "QueryRetrieveLevel=IMAGE",
        "StudyInstanceUID=1.2.3",
        "SeriesInstanceUID=1.2.3.1",
        "InstanceNumber",
        "SOPClassUID",
    )

    found = await find(node, tmp_path, *keys)

    assert [(ds.InstanceNumber, ds.SOPInstanceUID) for ds in found] == [(n, f"1.2.3.1.{n}") for n in (1, 2, 3)]


async def test_one_instance_by_its_number(node: DimseNode, tmp_path: Path) -> None:
    keys = ("QueryRetrieveLevel=IMAGE", "SeriesInstanceUID=1.2.3.1", "InstanceNumber=2")

    (ds,) = await find(node, tmp_path, *keys)

    assert ds.SOPInstanceUID == "1.2.3.1.2"


async def test_patients_come_once_each(node: DimseNode, tmp_path: Path) -> None:
    found = await find(
        node, tmp_path, "QueryRetrieveLevel=PATIENT", "PatientID", "PatientName", "PatientSex", root="-P"
    )

    assert sorted(ds.PatientID for ds in found) == ["0815", "4711"]


async def test_what_is_not_kept_and_sequences_come_back_empty(node: DimseNode, tmp_path: Path) -> None:
    keys = ("StudyInstanceUID=1.2.3", "PatientComments=x", "ReferencedStudySequence[0].ReferencedSOPInstanceUID=1")

    (ds,) = await find(node, tmp_path, "QueryRetrieveLevel=STUDY", *keys)

    assert not ds.PatientComments
    assert len(ds.ReferencedStudySequence) == 0


@pytest.mark.parametrize(
    "keys",
    [
        ("QueryRetrieveLevel=PATIENT", "PatientID"),
        ("QueryRetrieveLevel=EVERYTHING",),
        ("PatientID",),
        ("QueryRetrieveLevel=STUDY", "StudyDate=yesterday"),
        ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=../../etc"),
        ("QueryRetrieveLevel=SERIES", "SeriesNumber=one"),
    ],
    ids=" ".join,
)
async def test_an_identifier_that_does_not_fit_is_said(node: DimseNode, keys: tuple[str, ...]) -> None:
    options = [part for key in keys for part in ("-k", key)]

    _, output = await node.call("findscu", "-v", "-S", *options)

    assert "Failed" in output or "Error" in output, output


async def test_a_peer_that_may_only_store_finds_nothing(node: DimseNode) -> None:
    status, output = await node.call("findscu", "-S", "-k", "QueryRetrieveLevel=STUDY", title="CT1")

    assert status != 0
    assert "No Acceptable Presentation Contexts" in output


async def test_no_value_of_an_identifier_is_in_the_log(
    node: DimseNode, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await uids(node, tmp_path, "PatientName=Muster^Eva")

    assert "Muster" not in capfd.readouterr().err


async def test_who_searches_is_on_record_without_what_was_searched(node: DimseNode, tmp_path: Path) -> None:
    last = node.parts.trail.count(node.parts.database)

    await find(node, tmp_path, "QueryRetrieveLevel=STUDY", "PatientName=Muster*")

    (row,) = node.parts.database.read(lambda tx: tx.rows(AuditRow.select().where(AuditRow.sequence > last)))
    assert (row.actor_kind, row.actor_id, row.address) == ("peer", "PEER", "127.0.0.1")
    assert (row.action, row.subject_kind, row.subject_uid, row.reason) == ("search", "study", "", "")
