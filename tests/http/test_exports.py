"""A study taken out as a file set in a ZIP, as it is or of nobody, checked by pydicom and DCMTK and byte by byte."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path
from uuid import UUID

import httpx
import pydicom
import pytest
import pytest_asyncio
from pydicom.fileset import FileSet

from appliance.domain.accounts import Role
from appliance.storage.audit import AuditRow
from tests.http.node_doors import ELSEWHERE, node_doors
from tests.services.node_parts import ct_slice, encoded

pytestmark = pytest.mark.asyncio(loop_scope="module")

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "dicom"
HEAD_CT = REAL / "01-volumes" / "ct-head-variable-tilt-ge"
STUDY = {"study_uid": "1.2.3"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory):
    async with node_doors(tmp_path_factory.mktemp("node")) as doors:
        yield doors


@pytest_asyncio.fixture(loop_scope="module")
async def doors(opened):
    """A node that holds nothing."""
    yield opened
    await opened.empty()


def is_real(file: Path) -> bool:
    return file.read_bytes()[128:132] == b"DICM"


async def asked(doors, body: dict, path: str = "/api/exports") -> dict:
    answer = await doors.client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def fetched(doors, export: dict) -> httpx.Response:
    return await doors.client.get(f"/api/exports/{export['id']}/media")


async def unpacked(doors, folder: Path, body: dict, path: str = "/api/exports") -> FileSet:
    """The file set, as pydicom reads it from a folder."""
    answer = await fetched(doors, await asked(doors, body, path))
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return FileSet(folder / "DICOMDIR")


async def test_a_study_goes_out_as_a_file_set_bit_for_bit(doors, tmp_path):
    slices = [encoded(ct_slice(n)) for n in (1, 2, 3)] + [encoded(ct_slice(1, series="1.2.3.2"))]
    await doors.store(*slices)

    file_set = await unpacked(doors, tmp_path, STUDY)

    assert sorted(Path(one.path).read_bytes() for one in file_set) == sorted(slices)
    assert [one.ReferencedFileID for one in file_set] == [["DICOM", "SE000001", f"IM00000{n}"] for n in (1, 2, 3)] + [
        ["DICOM", "SE000002", "IM000001"]
    ]
    assert [one.PatientID for one in file_set] == ["4711"] * 4


async def test_the_directory_comes_last_and_names_are_file_ids(doors):
    await doors.store(*(encoded(ct_slice(n)) for n in (1, 2)))

    answer = await fetched(doors, await asked(doors, STUDY))

    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert names == ["DICOM/SE000001/IM000001", "DICOM/SE000001/IM000002", "DICOMDIR"]
    assert answer.headers["content-disposition"].startswith('attachment; filename="dicom-')
    assert "4711" not in str(answer.headers)


async def test_one_series_goes_out_alone(doors, tmp_path):
    await doors.store(encoded(ct_slice(1)), encoded(ct_slice(1, series="1.2.3.2")))

    file_set = await unpacked(doors, tmp_path, {**STUDY, "series_uid": "1.2.3.2"})

    assert [one.SeriesInstanceUID for one in file_set] == ["1.2.3.2"]


async def test_dcmtk_reads_the_file_set_and_finds_its_files_as_the_directory_says(doors, tmp_path):
    files = [file.read_bytes() for file in sorted(HEAD_CT.iterdir())[:3]]
    study = str(pydicom.dcmread(io.BytesIO(files[0])).StudyInstanceUID)
    await doors.store(*files)
    await unpacked(doors, tmp_path, {"study_uid": study})

    # dcmgpdir reads the directory that is there, compares its files with it, and writes it anew.
    checked = subprocess.run(
        ["dcmgpdir", "--verbose", "--invent", "--no-xfer-check", "--update", "--recurse", "DICOM"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stderr
    assert "error" not in (checked.stdout + checked.stderr).lower()
    assert len(FileSet(tmp_path / "DICOMDIR")) == 3


async def test_documents_and_reports_have_records_of_their_own_kind(doors, tmp_path):
    files = [file for file in sorted((REAL / "09-documents").glob("*.dcm")) if is_real(file)]
    studies = set()
    for file in files:
        study = pydicom.dcmread(file, stop_before_pixels=True).get("StudyInstanceUID")
        if study and (await doors.store(file.read_bytes())).status_code == 200:
            studies.add(str(study))
    for number, study in enumerate(sorted(studies)):
        await unpacked(doors, tmp_path / str(number), {"study_uid": study})
    directories = [pydicom.dcmread(folder / "DICOMDIR") for folder in tmp_path.iterdir()]

    found = {record.DirectoryRecordType for ds in directories for record in ds.DirectoryRecordSequence}

    assert {"PATIENT", "STUDY", "SERIES", "IMAGE", "SR DOCUMENT", "PRESENTATION", "WAVEFORM"} <= found


async def test_what_was_stored_without_a_file_around_it_is_a_file_on_media(doors, tmp_path):
    whole = encoded(ct_slice(1))
    bare = whole[whole.index(b"\x08\x00\x16\x00UI") :]
    await doors.store(bare)

    (one,) = await unpacked(doors, tmp_path, STUDY)

    assert Path(one.path).read_bytes()[128:132] == b"DICM"
    assert one.load().PixelData == ct_slice(1).PixelData


async def test_an_export_is_fetched_once(doors):
    await doors.store(encoded(ct_slice(1)))
    export = await asked(doors, STUDY)
    await fetched(doors, export)

    again = await fetched(doors, export)

    assert (again.status_code, again.json()["type"]) == (404, "export-is-spent")
    done = (await doors.client.get(f"/api/exports/{export['id']}")).json()
    assert (done["state"], done["instances_done"], done["bytes_done"]) == ("done", 1, export["size_bytes"])


async def test_an_export_that_was_stopped_is_not_to_be_had(doors):
    await doors.store(encoded(ct_slice(1)))
    export = await asked(doors, STUDY)

    stopped = await doors.client.delete(f"/api/exports/{export['id']}")

    assert stopped.status_code == 204
    assert (await fetched(doors, export)).status_code == 404
    assert (await doors.client.get(f"/api/exports/{export['id']}")).json()["state"] == "stopped"


async def test_two_exports_of_one_account_wait_and_a_third_is_refused(doors):
    await doors.store(encoded(ct_slice(1)))
    waiting = [await asked(doors, STUDY) for _ in range(2)]

    third = await doors.client.post("/api/exports", json=STUDY)

    assert (third.status_code, third.json()["type"]) == (503, "too-many-exports")
    for one in waiting:
        await doors.client.delete(f"/api/exports/{one['id']}")
    assert (await fetched(doors, await asked(doors, STUDY))).status_code == 200


async def test_an_export_is_there_for_who_asked_for_it_only(doors):
    await doors.store(encoded(ct_slice(1)))
    export = await asked(doors, STUDY)
    other = doors.token(Role.PHYSICIAN, account=UUID(int=10))

    for path in ("", "/media"):
        answer = await doors.client.get(f"/api/exports/{export['id']}{path}", headers=other)
        assert answer.status_code == 404
    await doors.client.delete(f"/api/exports/{export['id']}")


async def test_what_is_held_back_from_other_institutions_is_not_exported_by_them(doors):
    await doors.store(encoded(ct_slice(1)))

    answer = await doors.client.post("/api/exports", json=STUDY, headers=doors.token(Role.PHYSICIAN, at=ELSEWHERE))

    assert answer.status_code == 404


async def test_each_copy_that_goes_out_is_on_record(doors):
    await doors.store(encoded(ct_slice(1)))
    await fetched(doors, await asked(doors, STUDY))
    await fetched(doors, await asked(doors, {**STUDY, "dates": "shifted"}, "/api/exports/anonymised"))

    rows = doors.parts.database.read(lambda tx: list(tx.rows(AuditRow.select().order_by(AuditRow.sequence))))

    assert [(row.action, row.reason, row.instances) for row in rows[-2:]] == [
        ("export", "", 1),
        ("anonymise", "shifted", 1),
    ]


# Of nobody


async def test_nothing_of_who_it_was_is_anywhere_in_an_anonymised_copy(doors, tmp_path):
    slices = [ct_slice(n) for n in (1, 2)]
    for ds in slices:
        ds.ReferringPhysicianName, ds.InstitutionName, ds.AccessionNumber = "Kovač^Ivo", "Klinika Muster", "ACC-90210"
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.ContentLabel, ds.FrameOfReferenceUID = "OF MUSTER", "1.2.3.99"
        block = ds.private_block(0x0009, "SOMEBODY", create=True)
        block.add_new(0x01, "LO", "Muster^Eva")
    await doors.store(*(encoded(ds) for ds in slices))

    answer = await fetched(doors, await asked(doors, STUDY, "/api/exports/anonymised"))

    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    everything = b"".join(archive.read(name) for name in archive.namelist())
    for trace in (
        b"Muster",
        b"MUSTER",
        b"Eva",
        b"4711",
        b"19700131",
        b"Kova",
        b"ACC-90210",
        b"20261122",
        b"1.2.3.1",
        b"1.2.3.99",
    ):
        assert trace not in everything, trace


async def test_an_anonymised_copy_of_real_slices_has_their_pixels_and_nothing_of_their_patient(doors, tmp_path):
    files = [file.read_bytes() for file in sorted(HEAD_CT.iterdir())[:3]]
    originals = [pydicom.dcmread(io.BytesIO(data)) for data in files]
    await doors.store(*files)

    body = {"study_uid": str(originals[0].StudyInstanceUID)}
    made = [one.load() for one in await unpacked(doors, tmp_path, body, "/api/exports/anonymised")]

    assert [ds.PixelData for ds in made] == [ds.PixelData for ds in originals]
    assert len({ds.StudyInstanceUID for ds in made} | {ds.SeriesInstanceUID for ds in made}) == 2
    everything = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for ds in originals:
        for uid in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID, ds.FrameOfReferenceUID):
            assert uid.encode() not in everything
        assert str(ds.PatientID).encode() not in everything
    first = made[0]
    assert (first.PatientIdentityRemoved, first.LongitudinalTemporalInformationModified) == ("YES", "REMOVED")
    assert [item.CodeValue for item in first.DeidentificationMethodCodeSequence] == ["113100"]
    assert not any(element.tag.is_private for element in first.iterall())
    assert first.ImagePositionPatient == originals[0].ImagePositionPatient


async def test_shifted_dates_keep_their_distance(doors, tmp_path):
    first, second = ct_slice(1), ct_slice(2)
    first.AcquisitionDate, second.AcquisitionDate = "20261122", "20261125"
    await doors.store(encoded(first), encoded(second))

    made = [
        one.load() for one in await unpacked(doors, tmp_path, {**STUDY, "dates": "shifted"}, "/api/exports/anonymised")
    ]

    days = [pydicom.valuerep.DA(ds.AcquisitionDate) for ds in made]
    assert (days[1] - days[0]).days == 3
    assert 365 <= (pydicom.valuerep.DA("20261122") - days[0]).days <= 3650
    assert {item.CodeValue for item in made[0].DeidentificationMethodCodeSequence} == {"113100", "113107"}


async def test_what_may_have_a_name_in_its_pixels_is_left_out_and_said(doors, tmp_path):
    written_on, burned_in = ct_slice(1, series="1.2.3.2"), ct_slice(1, series="1.2.3.3")
    written_on.Modality, burned_in.BurnedInAnnotation = "US", "YES"
    await doors.store(encoded(ct_slice(1)), encoded(written_on), encoded(burned_in))

    export = await asked(doors, STUDY, "/api/exports/anonymised")

    assert export["instances"] == 1
    assert {one["series_uid"]: one["reason"] for one in export["left_out"]} == {
        "1.2.3.2": "written-on",
        "1.2.3.3": "burned-in",
    }
    await doors.client.delete(f"/api/exports/{export['id']}")


async def test_a_study_of_which_nothing_can_be_anonymised_is_refused_with_the_reason(doors):
    ds = ct_slice(1)
    ds.Modality = "US"
    await doors.store(encoded(ds))

    answer = await doors.client.post("/api/exports/anonymised", json=STUDY)

    assert (answer.status_code, answer.json()["type"], answer.json()["reasons"]) == (
        409,
        "nothing-to-anonymise",
        ["written-on"],
    )


async def test_two_copies_of_one_study_have_nothing_in_common(doors, tmp_path):
    await doors.store(encoded(ct_slice(1)))

    uids = set()
    for n in (1, 2):
        (one,) = await unpacked(doors, tmp_path / str(n), STUDY, "/api/exports/anonymised")
        uids |= {one.StudyInstanceUID, one.SOPInstanceUID, one.PatientID}

    assert len(uids) == 6


async def test_only_physicians_of_the_institution_anonymise(doors):
    await doors.store(encoded(ct_slice(1)))

    for token in (doors.token(Role.ADMINISTRATOR), doors.token(Role.PHYSICIAN, at=ELSEWHERE)):
        answer = await doors.client.post("/api/exports/anonymised", json=STUDY, headers=token)
        assert answer.status_code == 403
