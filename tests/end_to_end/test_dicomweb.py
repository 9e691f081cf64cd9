"""Programs of others speak DICOMweb with a served appliance over HTTPS: what they store comes back as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import highdicom
import httpx
import numpy as np
import pydicom
import pytest
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import (
    CodedConcept,
    ComprehensiveSR,
    FindingSite,
    Measurement,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from appliance.http.multipart import MultipartReader, PartBegins, PartData
from tests.end_to_end.running import RunningAppliance, all_in_one
from tests.end_to_end.strangers import dicomweb_client, http_client, orthanc

_ORIGINAL = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
_AT_ONCE = 40


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """An appliance of this file's own, since it is filled with everything."""
    running = all_in_one(tmp_path_factory.mktemp("box"), host="localhost")
    running.create_account()
    try:
        running.start()
        yield running
        assert running.stop() == 0
    finally:
        running.kill()


def files_in(folder: Path, *names: str) -> list[Path]:
    """Files that may be DICOM, as they are given to a store."""
    roots = [folder / name for name in names] if names else [folder]
    return [
        path for root in roots for path in sorted(root.rglob("*")) if path.is_file() and "reference" not in path.parts
    ]


def store(client: httpx.Client, files: Sequence[Path]) -> dict:  # type: ignore[type-arg]
    """The answer of the store to one request with these files, streamed."""

    def body() -> Iterator[bytes]:
        for file in files:
            yield b"--part\r\nContent-Type: application/dicom\r\n\r\n"
            yield file.read_bytes()
            yield b"\r\n"
        yield b"--part--\r\n"

    kind = 'multipart/related; type="application/dicom"; boundary=part'
    answer = client.post("/studies", content=body(), headers={"Content-Type": kind, "Accept": "application/dicom+json"})
    assert answer.status_code in (200, 202, 409), answer.text
    return dict(answer.json())


def items(module: dict, tag: str) -> list[dict]:  # type: ignore[type-arg]
    return list(module.get(tag, {}).get("Value", []))


def instances_of(client: httpx.Client, path: str) -> Iterator[bytes]:
    """The instances under an address, as they came."""
    with client.stream("GET", path, headers=_ORIGINAL) as answer:
        assert answer.status_code == 200
        reader, content = MultipartReader(answer.headers["content-type"].partition("boundary=")[2]), bytearray()
        for piece in answer.iter_bytes():
            for event in reader.feed(piece):
                if isinstance(event, PartBegins):
                    content = bytearray()
                elif isinstance(event, PartData):
                    content += event.data
                else:
                    yield bytes(content)
        reader.end()


def stored_and_given_back(box: RunningAppliance, files: Sequence[Path]) -> tuple[int, int]:
    """How many files were taken and how many refused; each that was taken came back bit for bit."""
    known = {hashlib.sha256(file.read_bytes()).digest() for file in files}
    studies: set[str] = set()
    instances: set[str] = set()
    refused = 0
    with http_client(box) as client:
        for start in range(0, len(files), _AT_ONCE):
            module = store(client, files[start : start + _AT_ONCE])
            taken = items(module, "00081199")
            failed = items(module, "00081198") + items(module, "0008119A")
            assert len(taken) + len(failed) == len(files[start : start + _AT_ONCE])
            refused += len(failed)
            instances |= {item["00081155"]["Value"][0] for item in taken}
            studies |= {item["00081190"]["Value"][0].split("/studies/")[1].split("/")[0] for item in taken}
        given_back = 0
        for study in sorted(studies):
            for data in instances_of(client, f"/studies/{study}"):
                assert hashlib.sha256(data).digest() in known
                given_back += 1
    assert given_back == len(instances)
    return given_back, refused


def test_odd_files_are_stored_and_given_back_bit_for_bit(box: RunningAppliance, dicom_dir: Path) -> None:
    files = files_in(dicom_dir, "02-enhanced-multiframe", "07-radiotherapy", "09-documents", "10-transfer-syntaxes",
                     "12-charsets", "14-malformed")  # fmt: skip

    given_back, _ = stored_and_given_back(box, files)

    assert given_back > 100


@pytest.mark.long
def test_every_file_is_stored_and_given_back_bit_for_bit(box: RunningAppliance, dicom_dir: Path) -> None:
    given_back, refused = stored_and_given_back(box, files_in(dicom_dir))

    assert given_back > 1000
    assert refused < 150


def test_the_client_of_others_stores_finds_and_fetches(box: RunningAppliance, dicom_dir: Path) -> None:
    files = sorted((dicom_dir / "01-volumes" / "ct-head-variable-tilt-ge").iterdir())[:5]
    datasets = [pydicom.dcmread(file) for file in files]
    study, series = datasets[0].StudyInstanceUID, datasets[0].SeriesInstanceUID
    client = dicomweb_client(box)

    answer = client.store_instances(datasets=datasets)

    assert len(answer.ReferencedSOPSequence) == 5
    found = client.search_for_studies(search_filters={"StudyInstanceUID": study}, fields=["StudyDescription"])
    assert [one["0020000D"]["Value"] for one in found] == [[study]]
    assert found[0]["00201208"]["Value"] == [5]
    assert [one["0020000E"]["Value"][0] for one in client.search_for_series(study)] == [series]
    assert len(client.search_for_instances(study, series, limit=3)) == 3
    name = str(datasets[0].PatientName)
    assert client.search_for_studies(fuzzymatching=True, search_filters={"PatientName": name}) or not name
    assert client.search_for_studies(search_filters={"PatientID": "nobody has this one"}) == []

    fetched = client.retrieve_series(study, series)
    assert sorted(ds.PixelData for ds in fetched) == sorted(ds.PixelData for ds in datasets)
    one = datasets[2]
    uids = (study, series, one.SOPInstanceUID)
    assert client.retrieve_instance(*uids).PixelData == one.PixelData
    (frame,) = client.retrieve_instance_frames(*uids, frame_numbers=[1])
    assert frame == one.PixelData
    metadata = client.retrieve_instance_metadata(*uids)
    described = pydicom.Dataset.from_json(metadata, bulk_data_uri_handler=lambda tag, vr, uri: b"")
    assert described.ImagePositionPatient == one.ImagePositionPatient
    assert client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])[0] == one.PixelData
    assert len(client.retrieve_series_metadata(study, series)) == 5

    client.delete_instance(*uids)
    assert len(client.search_for_instances(study, series)) == 4
    client.delete_study(study)
    assert client.search_for_instances(study, series) == []


def source_images(dicom_dir: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(file) for file in sorted((dicom_dir / "01-volumes" / "mr-fruit-sag-3d").iterdir())[:3]]


def segmentation(images: Sequence[pydicom.Dataset]) -> Segmentation:
    mask = np.zeros((len(images), images[0].Rows, images[0].Columns), bool)
    mask[:, 40:80, 50:90] = True
    algorithm = AlgorithmIdentificationSequence(
        name="drawn by hand", family=codes.cid7162.ArtificialIntelligence, version="1"
    )
    description = SegmentDescription(
        1, "flesh", codes.SCT.Tissue, codes.SCT.Tissue, SegmentAlgorithmTypeValues.AUTOMATIC, algorithm
    )
    return Segmentation(
        images, mask, SegmentationTypeValues.BINARY, [description],
        series_instance_uid=highdicom.UID(), series_number=100, sop_instance_uid=highdicom.UID(), instance_number=1,
        manufacturer="tests", manufacturer_model_name="tests", software_versions="1", device_serial_number="1",
    )  # fmt: skip


def test_a_segmentation_comes_back_as_highdicom_made_it(box: RunningAppliance, dicom_dir: Path) -> None:
    images = source_images(dicom_dir)
    made = segmentation(images)
    client = dicomweb_client(box)

    client.store_instances(datasets=[*images, made])
    fetched = client.retrieve_instance(made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)

    again = highdicom.seg.segread(as_file(fetched))
    sources = [image.SOPInstanceUID for image in images]
    assert again.number_of_segments == 1
    expected = made.get_pixels_by_source_instance(sources)
    assert np.array_equal(again.get_pixels_by_source_instance(sources), expected)
    assert fetched == pydicom.dcmread(as_file(made))
    found = client.search_for_series(made.StudyInstanceUID, search_filters={"Modality": "SEG"})
    assert [one["0020000E"]["Value"][0] for one in found] == [made.SeriesInstanceUID]


def structured_report(image: pydicom.Dataset) -> ComprehensiveSR:
    person = PersonObserverIdentifyingAttributes(name="Anić^Ana")
    observer = ObserverContext(observer_type=codes.DCM.Person, observer_identifying_attributes=person)
    region = highdicom.sr.ImageRegion(
        graphic_type=highdicom.sr.GraphicTypeValues.POLYLINE,
        graphic_data=np.array([[10.0, 10.0], [20.0, 10.0], [20.0, 20.0], [10.0, 10.0]]),
        source_image=highdicom.sr.SourceImageForRegion.from_source_image(image),
    )
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=highdicom.UID(), identifier="first"),
        referenced_region=region,
        finding_type=codes.SCT.Tissue,
        finding_sites=[FindingSite(anatomic_location=CodedConcept("39607008", "SCT", "Lung"))],
        measurements=[Measurement(name=codes.SCT.Area, value=50.0, unit=codes.UCUM.SquareMillimeter)],
    )
    report = MeasurementReport(
        observation_context=ObservationContext(observer_person_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=[group],
    )
    return ComprehensiveSR(
        evidence=[image], content=report[0], series_instance_uid=highdicom.UID(), series_number=101,
        sop_instance_uid=highdicom.UID(), instance_number=1, manufacturer="tests",
    )  # fmt: skip


def test_a_structured_report_comes_back_as_highdicom_made_it(box: RunningAppliance, dicom_dir: Path) -> None:
    image = source_images(dicom_dir)[0]
    made = structured_report(image)
    client = dicomweb_client(box)

    client.store_instances(datasets=[made])
    fetched = client.retrieve_instance(made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID)

    report = highdicom.sr.ComprehensiveSR.from_dataset(fetched)
    (group,) = report.content.get_planar_roi_measurement_groups()
    assert group.get_measurements()[0].value == 50.0
    assert fetched == pydicom.dcmread(as_file(made))


def as_file(ds: pydicom.Dataset) -> BytesIO:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return buffer


def test_orthanc_pushes_asks_and_fetches(box: RunningAppliance, dicom_dir: Path, tmp_path: Path) -> None:
    files = sorted((dicom_dir / "01-volumes" / "mr-head-sag-decubitus-left").iterdir())[:12]
    with orthanc(tmp_path / "orthanc", box) as peer, http_client(box) as client:
        uploaded = [peer.post("/instances", content=file.read_bytes()).json() for file in files]
        study = uploaded[0]["ParentStudy"]
        uid = peer.get(f"/studies/{study}").json()["MainDicomTags"]["StudyInstanceUID"]
        client.delete(f"/studies/{uid}")

        pushed = peer.post("/dicom-web/servers/box/stow", json={"Resources": [study], "Synchronous": True})
        assert pushed.status_code == 200, pushed.text
        assert sorted(instances_of(client, f"/studies/{uid}")) == sorted(file.read_bytes() for file in files)

        found = peer.post(
            "/dicom-web/servers/box/qido", json={"Uri": "/studies", "Arguments": {"StudyInstanceUID": uid}}
        ).json()
        assert [one["0020000D"]["Value"] for one in found] == [uid]

        peer.delete(f"/studies/{study}")
        fetched = peer.post(
            "/dicom-web/servers/box/retrieve", json={"Resources": [{"Study": uid}], "Synchronous": True}
        )
        assert fetched.status_code == 200, fetched.text
        back = [
            peer.get(f"/instances/{one['ID']}/file").content for one in peer.get(f"/studies/{study}/instances").json()
        ]
        assert sorted(back) == sorted(file.read_bytes() for file in files)
