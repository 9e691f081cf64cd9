"""What a study has besides pictures, on real files: text against what pydicom reads, curves against the stored samples."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
import pytest_asyncio
from pydicom import dcmread
from pydicom.dataset import Dataset

from appliance.domain.identifiers import SeriesUid, StudyUid
from appliance.services.catalogue import SliceDetail
from tests.domain.test_outlines import filled
from tests.http.node_doors import ELSEWHERE
from tests.http.picture_doors import PictureDoors, picture_doors
from tests.services.node_parts import encoded
from tests.storage.test_video import COLUMNS, COUNT, ROWS, picture, stream, video

pytestmark = pytest.mark.asyncio(loop_scope="module")

SVG = "{http://www.w3.org/2000/svg}"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PictureDoors]:
    async with picture_doors(tmp_path_factory.mktemp("objects")) as opened:
        yield opened


def objects_path(instance_path: str) -> str:
    return instance_path.partition("/series/")[0].replace("/dicom-web", "/api") + "/objects"


def statements(item: dict) -> list[dict]:
    return [item, *(one for child in item["children"] for one in statements(child))]


def texts_of(ds: Dataset) -> list[str]:
    """Every text, name and number of a content tree, as pydicom reads it."""
    found = [str(ds[keyword].value) for keyword in ("TextValue", "PersonName") if ds.get(keyword)]
    found += [str(one.NumericValue) for one in ds.get("MeasuredValueSequence", [])]
    found += [one.CodeMeaning for one in ds.get("ConceptCodeSequence", [])]
    return found + [text for child in ds.get("ContentSequence", []) for text in texts_of(child)]


REPORTS = (
    "test-SR.dcm",
    "reportsi.dcm",
    "dcmqi-tid1500-sr.dcm",
    "highdicom-sr.dcm",
    "dwv-tid1500-sr-roi.dcm",
    "rdsr-synthetic.dcm",
)


@pytest.mark.parametrize("name", REPORTS)
async def test_a_report_says_all_that_its_file_says(doors: PictureDoors, dicom_dir: Path, name: str) -> None:
    path = await doors.take_in(dicom_dir / "09-documents" / name)
    ds = dcmread(dicom_dir / "09-documents" / name)

    answer = (await doors.get(path.replace("/dicom-web", "/api") + "/document")).json()

    said = statements(answer["document"]["root"])
    words = "\n".join(
        [one["text"] for one in said]
        + [one["number"] for one in said]
        + [one["code"]["meaning"] for one in said if one["code"]]
    )
    for text in texts_of(ds):
        assert all(line.strip() in words for line in text.splitlines())
    assert len(said) == 1 + count_of(ds)


def count_of(ds: Dataset) -> int:
    return sum(1 + count_of(child) for child in ds.get("ContentSequence", []))


async def test_a_measurement_has_its_unit_and_names_what_it_was_measured_on(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    path = await doors.take_in(dicom_dir / "09-documents/highdicom-sr.dcm")

    document = (await doors.get(path.replace("/dicom-web", "/api") + "/document")).json()["document"]

    (mean, *_) = [one for one in statements(document["root"]) if one["kind"] == "NUM"]
    assert (mean["number"], mean["unit"]["value"]) == ("-119.07385253906", "[hnsf'U]")
    assert document["template"] == "1500"
    (source, *_) = [one for one in statements(document["root"]) if one["kind"] == "IMAGE"]
    evidence = {one["instance_uid"]: one["series_uid"] for one in document["evidence"]}
    assert source["pointer"]["series_uid"] == evidence[source["pointer"]["instance_uid"]] != ""


async def test_rendered_of_a_report_is_a_page_that_runs_nothing(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / "09-documents/test-SR.dcm")

    page = await doors.get(f"{path}/rendered")
    text = await doors.get(f"{path}/rendered", "text/plain")
    picture_of_it = await doors.get(f"{path}/rendered", "image/jpeg")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "sandbox" in page.headers["content-security-policy"]
    assert "<strong>Diameter:</strong> 3 Length Unit" in page.text
    assert "&amp;%$§&quot;!()&lt;&gt;{}/;" in page.text and '&%$§"!()<>{}/;' in text.text
    assert (picture_of_it.status_code, picture_of_it.json()["type"]) == (406, "no-such-media-type")


async def test_markup_in_a_report_stays_text(doors: PictureDoors, dicom_dir: Path) -> None:
    ds = dcmread(dicom_dir / "09-documents/reportsi.dcm")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "2.25.71"
    ds.ConceptNameCodeSequence[0].CodeMeaning = "<script>alert(1)</script>"
    await doors.parts.put(encoded(ds))

    page = await doors.get(
        f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/2.25.71/rendered"
    )

    assert "<script" not in page.text and "&lt;script&gt;alert(1)" in page.text


async def test_a_key_object_selection_names_its_images_and_where_they_are(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / "09-documents/ko-synthetic.dcm")

    answer = (await doors.get(path.replace("/dicom-web", "/api") + "/document")).json()

    (key_image,) = answer["key_objects"]
    assert (key_image["instance_uid"], key_image["series_uid"]) == ("2.25.122400110", "2.25.122400105")
    (listed,) = (await doors.get(objects_path(path))).json()["objects"]
    assert (listed["kind"], listed["title"]) == ("key-images", "Of Interest")
    assert listed["about_series"] == ["2.25.122400105"]


async def test_what_is_no_report_has_no_document(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / "09-documents/sample-pdf.dcm")

    answer = await doors.get(path.replace("/dicom-web", "/api") + "/document")

    assert (answer.status_code, answer.json()["type"]) == (422, "no-document")


async def test_an_encapsulated_pdf_is_given_as_it_is_in_parts_too(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / "09-documents/sample-pdf.dcm")
    document = bytes(dcmread(dicom_dir / "09-documents/sample-pdf.dcm").EncapsulatedDocument)

    whole = await doors.get(f"{path}/rendered")
    part = await doors.client.get(f"{path}/rendered", headers={"Range": "bytes=100-199"})

    assert whole.content == document and whole.content.startswith(b"%PDF-")
    assert (whole.headers["content-type"], whole.headers["x-content-type-options"]) == ("application/pdf", "nosniff")
    assert (part.status_code, part.content) == (206, document[100:200])
    (listed,) = (await doors.get(objects_path(path))).json()["objects"]
    assert (listed["kind"], listed["title"], listed["date"]) == ("pdf", "Sample protocol", "20170119")


async def test_what_only_calls_itself_pdf_is_refused(doors: PictureDoors, dicom_dir: Path) -> None:
    ds = dcmread(dicom_dir / "09-documents/sample-pdf.dcm")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "2.25.72"
    ds.EncapsulatedDocument = b"<html><script>alert(1)</script>x"
    await doors.parts.put(encoded(ds))

    answer = await doors.get(
        f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/2.25.72/rendered"
    )

    assert (answer.status_code, answer.json()["type"]) == (422, "no-document")


@pytest.mark.parametrize("name", ["waveform_ecg.dcm", "hemodynamic-waveform.dcm"])
async def test_curves_are_the_stored_samples_in_millimetres(doors: PictureDoors, dicom_dir: Path, name: str) -> None:
    file = dicom_dir / "09-documents" / name
    path = await doors.take_in(file)
    ds = dcmread(file)
    group = ds.WaveformSequence[0]

    drawing = await doors.get(f"{path}/rendered")

    assert drawing.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in drawing.headers["content-security-policy"]
    paths = ElementTree.fromstring(drawing.text).findall(f"{SVG}path[@data-channel]")[: group.NumberOfWaveformChannels]
    assert [one.get("data-channel") for one in paths][:6] == ["I", "II", "III", "aVR", "aVL", "aVF"]
    millivolts = ds.waveform_array(0) * (0.001 if "ecg" in name else 1.0)
    for drawn, stored in zip(paths, millivolts.T, strict=True):
        x, y = points_mm(drawn.get("d") or "")
        times_mm = np.arange(len(stored)) / float(group.SamplingFrequency) * 25
        assert abs(x[-1] - times_mm[-1]) < 0.25
        # Every point lies on the curve, and its peaks are there.
        assert np.abs(np.interp(x, times_mm, stored * 10) - y).max() < 0.05 + largest_step_mm(
            stored, float(group.SamplingFrequency)
        )
        assert (abs(y.max() - stored.max() * 10), abs(y.min() - stored.min() * 10)) < (0.03, 0.03)


def largest_step_mm(millivolts: np.ndarray, frequency_hz: float) -> float:
    """How far a curve goes up or down within the rounding of its time: half of 0.05 mm."""
    per_mm = np.abs(np.diff(millivolts)).max() * 10 / (25 / frequency_hz)
    return float(per_mm * 0.025)


def points_mm(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Of one unbroken line, upwards."""
    ((start_x, start_y),) = re.findall(r"M(-?\d+) (-?\d+)l", path)
    steps = np.array(re.findall(r"-?\d+", path.partition("l")[2]), int).reshape(-1, 2)
    points = np.vstack([[int(start_x), int(start_y)], steps]).cumsum(axis=0) * 0.05
    return points[:, 0], -points[:, 1]


async def test_the_other_minutes_of_a_long_recording_are_asked_for(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / "09-documents/waveform_ecg.dcm")

    from_8 = await doors.get(f"{path}/rendered", start="8")
    too_late = await doors.get(f"{path}/rendered", start="11")

    assert "RHYTHM · 8–10 s / 10 s" in from_8.text and "MEDIAN BEAT" not in from_8.text
    assert too_late.status_code == 422
    (listed,) = (await doors.get(objects_path(path))).json()["objects"]
    assert (listed["kind"], listed["duration_s"]) == ("waveform", 10.0)


async def test_a_stored_video_is_played_as_it_is_stored(doors: PictureDoors) -> None:
    await doors.parts.put(video(stream("libx264", "mpegts"), "1.2.840.10008.1.2.4.103"))
    path = "/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.4"

    film = await doors.get(f"{path}/rendered", accept="video/mp4")
    part = await doors.client.get(f"{path}/rendered?accept=video/mp4", headers={"Range": "bytes=0-99"})

    assert (film.status_code, film.headers["content-type"]) == (200, "video/mp4")
    assert film.content.find(b"moov") < film.content.find(b"mdat")
    assert (part.status_code, part.content) == (206, film.content[:100])
    with av.open(io.BytesIO(film.content)) as container:
        shown = list(container.decode(video=0))
    assert [frame.time for frame in shown] == pytest.approx([number / 25 for number in range(COUNT)])
    frames = [frame.to_ndarray(format="rgb24") for frame in shown]
    assert (len(frames), frames[0].shape) == (COUNT, (ROWS, COLUMNS, 3))
    assert abs(int(frames[17][5, 100, 0]) - int(picture(17)[5, 100, 0])) < 8
    (listed,) = (await doors.get("/api/studies/1.2.3/objects")).json()["objects"]
    assert listed["kind"] == "video"


async def test_a_video_that_no_browser_plays_is_drawn_as_a_film(doors: PictureDoors) -> None:
    old = video(stream("mpeg2video", "mpegts"), "1.2.840.10008.1.2.4.101").replace(b"1.2.3.4\x00", b"1.2.3.5\x00")
    await doors.parts.put(old)

    film = await doors.get("/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.5/rendered", accept="video/mp4")
    smaller = await doors.get(
        "/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.4/rendered", accept="video/mp4", viewport="64,48"
    )
    path = "/dicom-web/studies/1.2.3/series/1.2.3.1/instances/1.2.3.5/rendered?accept=video/mp4"
    part = await doors.client.get(path, headers={"Range": "bytes=100-", "If-Range": film.headers["ETag"]})

    # Without ranges a browser does not seek in a film.
    assert film.headers["Accept-Ranges"] == "bytes"
    assert (part.status_code, part.content) == (206, film.content[100:])
    for answer, size in ((film, (ROWS, COLUMNS)), (smaller, (48, 64))):
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
        with av.open(io.BytesIO(answer.content)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert (len(frames), frames[0].shape[:2]) == (COUNT, size)


async def test_what_is_held_back_is_not_there(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / "09-documents/test-SR.dcm")

    for address in (objects_path(path), path.replace("/dicom-web", "/api") + "/document", f"{path}/rendered"):
        answer = await doors.client.get(address, headers=doors.token(ELSEWHERE))
        assert answer.status_code == 404


async def test_a_presentation_state_and_a_segmentation_name_the_series_they_are_about(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    state = await doors.take_in(dicom_dir / "09-documents/prLUTs.dcm")
    segments = await doors.take_in(dicom_dir / "08-seg-parametric/liver.dcm")

    (listed,) = (await doors.get(objects_path(state))).json()["objects"]
    others = (await doors.get(objects_path(segments))).json()["objects"]

    image = dcmread(dicom_dir / "09-documents/imageForPrLUTs.dcm")
    assert (listed["kind"], listed["about_series"]) == ("presentation", [image.SeriesInstanceUID])
    liver = next(one for one in others if one["instance_uid"] == segments.rpartition("/")[2])
    source = dcmread(dicom_dir / "08-seg-parametric/ct-3slice-01.dcm")
    assert (liver["kind"], liver["about_series"]) == ("segmentation", [source.SeriesInstanceUID])
    assert liver["frame_of_reference_uid"] == source.FrameOfReferenceUID


# What is laid over slices


async def slices_of(doors: PictureDoors, series_path: str) -> tuple[SliceDetail, ...]:
    _, _, _, study, _, series = series_path.split("/")
    return (await doors.parts.catalogue.series(StudyUid(study), SeriesUid(series))).slices


async def regions_over(doors: PictureDoors, series: str, object_path: str, **query: str) -> dict:
    uid = object_path.rpartition("/")[2]
    answer = await doors.get(series.replace("/dicom-web", "/api") + "/regions", object=uid, **query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("name", ["liver.dcm", "partial_overlaps.dcm"])
async def test_segments_lie_on_the_slices_of_their_images_pixel_for_pixel(
    doors: PictureDoors, dicom_dir: Path, name: str
) -> None:
    folder = dicom_dir / "08-seg-parametric"
    images = [await doors.take_in(folder / f"ct-3slice-0{number}.dcm") for number in (1, 2, 3)]
    ds = dcmread(folder / name)
    path = await doors.take_in(folder / name)
    series = images[0].partition("/instances/")[0]
    slices = await slices_of(doors, series)

    laid = await regions_over(doors, series, path)

    assert laid["unplaced"] == 0
    assert [one["name"] for one in laid["regions"]] == [str(one.SegmentLabel) for one in ds.SegmentSequence]
    truth = {}
    for frame, groups in zip(ds.pixel_array, ds.PerFrameFunctionalGroupsSequence, strict=True):
        height = round(float(groups.PlanePositionSequence[0].ImagePositionPatient[2]), 2)
        truth[height, int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)] = frame.astype(bool)
    shown = {}
    for one, shapes in zip(slices, laid["slices"], strict=True):
        for shape in shapes:
            assert shape["matrix"] == pytest.approx([1, 0, 0, 1, 0, 0], abs=1e-3)
            shown[round(one.position[2], 2), shape["number"]] = filled(shape["path"], 512, 512)
    assert shown.keys() == {place for place, mask in truth.items() if mask.any()}
    assert all(np.array_equal(mask, truth[place]) for place, mask in shown.items())


async def test_a_segmentation_of_a_pet_lies_on_its_thirteen_places_among_299_slices(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    files = sorted((dicom_dir / "01-volumes/pet-qin-headneck-0024").iterdir())
    path = await doors.take_in(dicom_dir / "08-seg-parametric/seg-on-pet-qin-headneck-0024.dcm")
    ds = dcmread(dicom_dir / "08-seg-parametric/seg-on-pet-qin-headneck-0024.dcm")
    heights = sorted(
        {float(one.PlanePositionSequence[0].ImagePositionPatient[2]) for one in ds.PerFrameFunctionalGroupsSequence}
    )
    near = [
        file
        for file in files
        if heights[0] - 20 < float(dcmread(file, stop_before_pixels=True).ImagePositionPatient[2]) < heights[-1] + 20
    ]
    first, *_ = [await doors.take_in(file) for file in near]
    series = first.partition("/instances/")[0]
    slices = await slices_of(doors, series)

    whole = await regions_over(doors, series, path)
    part = await regions_over(doors, series, path, first="3", count="2")

    marked = [one.position[2] for one, shapes in zip(slices, whole["slices"], strict=True) if shapes]
    assert marked == pytest.approx(heights, abs=0.01)
    assert part["slices"] == whole["slices"][2:4] and part["regions"] == whole["regions"]


async def test_contours_lie_on_their_slices_where_the_patient_says(doors: PictureDoors, dicom_dir: Path) -> None:
    folder = dicom_dir / "07-radiotherapy"
    images = [await doors.take_in(folder / f"rtutils-ct_{number}.dcm") for number in (1, 2)]
    path = await doors.take_in(folder / "rtutils-rt.dcm")
    structures, image = dcmread(folder / "rtutils-rt.dcm"), dcmread(folder / "rtutils-ct_1.dcm")
    series = images[0].partition("/instances/")[0]
    slices = await slices_of(doors, series)

    laid = await regions_over(doors, series, path)

    (region,) = laid["regions"]
    assert (region["name"], region["colour"]) == ("ROI-1", "#a2885f")
    expected: dict[float, list[np.ndarray]] = {}
    for contour in structures.ROIContourSequence[0].ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        origin, spacing = np.array(image.ImagePositionPatient[:2], float), float(image.PixelSpacing[0])
        expected.setdefault(float(points[0, 2]), []).append((points[:, :2] - origin) / spacing + 0.5)
    for one, shapes in zip(slices, laid["slices"], strict=True):
        assert len(shapes) == len(expected.get(one.position[2], []))
        for shape, points in zip(shapes, expected.get(one.position[2], []), strict=True):
            # A point that follows itself is drawn once.
            points = points[np.append(True, np.any(np.diff(points, axis=0) != 0, axis=1))]  # noqa: PLW2901
            start, steps = shape["path"].removeprefix("M").removesuffix("z").split("l")
            moves = np.array(re.findall(r"-?\d+", steps), int).reshape(-1, 2)
            drawn = np.vstack([[*map(int, start.split(" "))], moves]).cumsum(axis=0) * shape["matrix"][0]
            assert np.abs(drawn - points).max() <= 0.006


async def test_contours_that_lie_on_no_slice_are_counted(doors: PictureDoors, dicom_dir: Path) -> None:
    """Of the CT of these structures there is one slice of 99."""
    image = await doors.take_in(dicom_dir / "07-radiotherapy/dicompyler-ct.0.dcm")
    path = await doors.take_in(dicom_dir / "07-radiotherapy/dicompyler-rtss.dcm")
    ds = dcmread(dicom_dir / "07-radiotherapy/dicompyler-rtss.dcm")
    height = float(dcmread(dicom_dir / "07-radiotherapy/dicompyler-ct.0.dcm").ImagePositionPatient[2])
    contours = [one for roi in ds.ROIContourSequence for one in roi.get("ContourSequence", [])]
    there = [one for one in contours if abs(float(one.ContourData[2]) - height) < 0.5]

    laid = await regions_over(doors, image.partition("/instances/")[0], path)

    assert len(laid["slices"][0]) == len(there) > 0
    assert laid["unplaced"] == len(contours) - len(there)
    assert [one["name"] for one in laid["regions"]] == [str(one.ROIName) for one in ds.StructureSetROISequence]


async def test_what_is_of_another_space_or_nothing_to_lay_over_is_refused(doors: PictureDoors, dicom_dir: Path) -> None:
    folder = dicom_dir / "08-seg-parametric"
    image = await doors.take_in(folder / "ct-3slice-01.dcm")
    path = image.partition("/instances/")[0].replace("/dicom-web", "/api") + "/regions"
    ds = dcmread(folder / "liver.dcm")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "2.25.74"
    ds.FrameOfReferenceUID = "2.25.75"
    await doors.parts.put(encoded(ds))

    of_another = await doors.get(path, object="2.25.74")
    an_image = await doors.get(path, object=image.rpartition("/")[2])
    nothing_said, no_slice = await doors.get(path), await doors.get(path, object="2.25.74", first="0")

    assert (of_another.status_code, of_another.json()["type"]) == (409, "other-frame-of-reference")
    assert (an_image.status_code, an_image.json()["type"]) == (422, "no-regions")
    assert [one.json()["parameter"] for one in (nothing_said, no_slice)] == ["object", "first"]
