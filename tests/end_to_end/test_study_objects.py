"""What a study has besides pictures, as a physician sees it: each against what its file says, pixel by pixel and word by word."""

from __future__ import annotations

import asyncio
import base64
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from playwright.async_api import Locator, expect
from pydicom import dcmread
from pydicom.dataset import Dataset
from pypdf import PdfReader

from tests.end_to_end.physician import Physician
from tests.end_to_end.running import RunningAppliance
from tests.http.test_study_objects import texts_of
from tests.storage.test_video import COLUMNS, ROWS, picture, stream, video

Colours = NDArray[np.int64]
"""(row, column, red green blue)."""
Mask = NDArray[np.bool_]
SIDE = 512
COVER = 0.35
"""How much of a region's colour lies over the picture."""
CT = "08-seg-parametric/ct-3slice-0{}.dcm"
SEGMENTS = "08-seg-parametric/partial_overlaps.dcm"
REPORT, PDF, ECG = (f"09-documents/{name}.dcm" for name in ("highdicom-sr", "sample-pdf", "waveform_ecg"))
STRUCTURES = tuple(f"07-radiotherapy/rtutils-{name}.dcm" for name in ("rt", "ct_1", "ct_2"))
PRESENTED = {
    "LUTS": ("09-documents/imageForPrLUTs.dcm", "09-documents/prLUTs.dcm", "weasis-expected_imgForPrLUT.png"),
    "OVERLAY": ("09-documents/overlay.dcm", "09-documents/prOverlay.dcm", "weasis-expected_overlay.png"),
}
FILMS = {
    "1.2.3.4": ("libx264", "1.2.840.10008.1.2.4.103"),
    "1.2.3.5": ("mpeg2video", "1.2.840.10008.1.2.4.101"),
}
FRAME_S = 0.04
MM_S, MM_MV, MARGIN_MM = 25.0, 10.0, 20.0
"""Of an ECG: as wide and high as on paper, right of the names of its leads."""
PIXELS_MM = 96 / 25.4
INK = 190
"""Lighter are the paper and its squares."""
SHOWN_WITHIN_S = 30

_DRAWN = """picture => {
  const canvas = document.createElement('canvas')
  canvas.width = picture.naturalWidth ?? picture.videoWidth
  canvas.height = picture.naturalHeight ?? picture.videoHeight
  canvas.getContext('2d').drawImage(picture, 0, 0)
  return canvas.toDataURL('image/png').split(',')[1]
}"""
_SEEK = """(film, seconds) => new Promise(done => {
  film.pause()
  film.addEventListener('seeked', () => done(), {once: true})
  film.currentTime = seconds
})"""


def of(patient_id: str, *datasets: Dataset) -> list[Dataset]:
    """All in one study of one patient of whom enough is known."""
    for ds in datasets:
        ds.StudyInstanceUID, ds.StudyDate = datasets[0].StudyInstanceUID, "20260102"
        ds.PatientID, ds.PatientName, ds.PatientBirthDate = patient_id, f"{patient_id.title()}^Olga", "19700131"
        ds.PatientSex, ds.AccessionNumber = "F", ""
    return list(datasets)


def abdomen(dicom_dir: Path) -> list[Dataset]:
    """Three slices of CT, the last of them a key image, and what belongs to them."""
    images = [dcmread(dicom_dir / CT.format(number)) for number in (1, 2, 3)]
    chosen = dcmread(dicom_dir / "09-documents/ko-synthetic.dcm")
    chosen.CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID = images[0].StudyInstanceUID
    series = chosen.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.SeriesInstanceUID = images[0].SeriesInstanceUID
    for pointer in (series, chosen.ContentSequence[0]):
        pointer.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = images[2].SOPInstanceUID
    return [*images, chosen, *(dcmread(dicom_dir / name) for name in (REPORT, PDF, ECG, SEGMENTS))]


def film(instance_uid: str) -> Dataset:
    encoder, syntax = FILMS[instance_uid]
    ds = dcmread(BytesIO(video(stream(encoder, "mpegts"), syntax)))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = instance_uid
    return ds


@pytest.fixture(scope="module")
def objects(appliance: RunningAppliance, tmp_path_factory: pytest.TempPathFactory, dicom_dir: Path) -> RunningAppliance:
    folder = tmp_path_factory.mktemp("objects")
    everything = [
        *of("OBJECTS", *abdomen(dicom_dir)),
        *of("STRUCTURES", *(dcmread(dicom_dir / name) for name in STRUCTURES)),
        *of("FILMS", *(film(uid) for uid in FILMS)),
    ]
    for patient_id, (image, state, _) in PRESENTED.items():
        everything += of(patient_id, dcmread(dicom_dir / image), dcmread(dicom_dir / state))
    for number, ds in enumerate(everything):
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    appliance.take_in(folder)
    return appliance


@pytest.fixture
async def ana(physician: Physician, objects: RunningAppliance) -> Physician:
    await physician.log_in()
    return physician


def card(ana: Physician, kind: str) -> Locator:
    return ana.page.locator(f"[data-testid=study-object][data-kind={kind}]")


async def drawn(shown: Locator) -> Colours:
    """A picture or the frame of a film at its own size."""
    png = base64.b64decode(await shown.evaluate(_DRAWN))
    return np.asarray(pyvips.Image.new_from_buffer(png, "").numpy())[:, :, :3].astype(int)


async def on_screen(shown: Locator) -> Colours:
    """With all that lies over it."""
    return np.asarray(pyvips.Image.new_from_buffer(await shown.screenshot(), "").numpy())[:, :, :3].astype(int)


def eroded(mask: Mask, by: int = 1) -> Mask:
    """What is left of a region when ``by`` pixels of its border are taken away."""
    padded = np.pad(mask, by)
    rows, columns = mask.shape
    steps = range(2 * by + 1)
    return np.all([padded[y : y + rows, x : x + columns] for y in steps for x in steps], axis=0)


def enclosed(corners: NDArray[np.float64]) -> Mask:
    """The pixels whose middle a polygon of (x, y), in pixels, encloses: by evenodd."""
    middles = np.arange(SIDE) + 0.5
    crossings = np.zeros((SIDE, SIDE), int)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        for row in np.flatnonzero((y0 <= middles) != (y1 <= middles)):
            crossings[row] += middles > x0 + (middles[row] - y0) / (y1 - y0) * (x1 - x0)
    return (crossings % 2).astype(bool)


def assert_lies_over(before: Colours, after: Colours, masks: list[tuple[str, Mask]]) -> None:
    """What came over the picture has each region's colour within it, and nothing anywhere else.

    ``masks`` with their colours (#rrggbb), in pixels of an image of ``SIDE`` that fits the middle of the pane. A pixel of
    the screen lies within a region where all image pixels about it do.
    """
    height, width = before.shape[:2]
    scale = min(height, width) / SIDE
    y = np.floor((np.arange(height) + 0.5 - (height - SIDE * scale) / 2) / scale).astype(int)
    x = np.floor((np.arange(width) + 0.5 - (width - SIDE * scale) / 2) / scale).astype(int)
    is_picture = ((y >= 0) & (y < SIDE))[:, None] & ((x >= 0) & (x < SIDE))[None, :]
    place = np.ix_(np.clip(y, 0, SIDE - 1), np.clip(x, 0, SIDE - 1))
    expected = before.astype(float)
    is_sure = is_picture.copy()
    for colour, mask in masks:
        within, without = eroded(mask, 2)[place], eroded(~mask, 2)[place]
        ink = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
        expected[within] += COVER * (ink - expected[within])
        is_sure &= within | without
        assert (within & is_picture).sum() > 50 or not eroded(mask, 2).any()
    assert np.abs(after - expected)[is_sure].max() <= 4
    assert np.array_equal(after[~is_picture], before[~is_picture])


async def colours_of_regions(ana: Physician) -> dict[str, str]:
    """By name, as the list of regions shows them."""
    rows = ana.find("region-switch").locator("xpath=..")
    return {
        (await row.inner_text()).strip(): await row.locator(".swatch").evaluate(
            "swatch => '#' + getComputedStyle(swatch).backgroundColor.match(/\\d+/g)"
            ".map(one => Number(one).toString(16).padStart(2, '0')).join('')"
        )
        for row in await rows.all()
    }


@pytest.mark.long  # compares a pane whose bar of slices still changes: green beside other work, not on a quiet machine
async def test_segments_lie_on_the_picture_where_their_pixels_are(
    ana: Physician, dicom_dir: Path, photographs: Path
) -> None:
    ds = dcmread(dicom_dir / SEGMENTS)
    names = {int(one.SegmentNumber): str(one.SegmentLabel) for one in ds.SegmentSequence}
    image = dcmread(dicom_dir / CT.format(2))
    masks = {
        names[int(one.SegmentIdentificationSequence[0].ReferencedSegmentNumber)]: frame.astype(bool)
        for frame, one in zip(ds.pixel_array, ds.PerFrameFunctionalGroupsSequence, strict=True)
        if abs(float(one.PlanePositionSequence[0].ImagePositionPatient[2]) - float(image.ImagePositionPatient[2])) < 0.1
    }
    await ana.open_study("OBJECTS")
    await expect(ana.find("slice-label")).to_contain_text("2 / 3")
    pane = ana.find("viewer-canvas")
    await expect(ana.find("picture-proof")).to_contain_text("All bits")
    await ana.page.wait_for_load_state("networkidle")  # the bar of what is here tells of the neighbours, too
    before = await on_screen(pane)

    await card(ana, "segmentation").click()
    await expect(ana.find("region")).to_have_count(len(masks))

    colours = await colours_of_regions(ana)
    assert list(colours) == list(names.values())
    assert_lies_over(before, await on_screen(pane), [(colours[name], mask) for name, mask in masks.items()])
    await ana.photograph(photographs / "segmentation.png")

    await ana.find("region-switch").first.click()
    await expect(ana.find("region")).to_have_count(len(masks) - 1)
    del masks[next(iter(names.values()))]
    assert_lies_over(before, await on_screen(pane), [(colours[name], mask) for name, mask in masks.items()])


@pytest.mark.long
async def test_structures_lie_on_the_picture_where_the_patient_says(
    ana: Physician, dicom_dir: Path, photographs: Path
) -> None:
    structures, image = (dcmread(dicom_dir / name) for name in STRUCTURES[:2])
    contours = [
        np.array(one.ContourData, float).reshape(-1, 3)
        for one in structures.ROIContourSequence[0].ContourSequence
        if abs(float(one.ContourData[2]) - float(image.ImagePositionPatient[2])) < 0.1
    ]
    origin, spacing = np.array(image.ImagePositionPatient[:2], float), float(image.PixelSpacing[0])
    masks = [enclosed((one[:, :2] - origin) / spacing + 0.5) for one in contours]
    await ana.open_study("STRUCTURES")
    await ana.page.keyboard.press("Home")
    await ana.settle()
    pane = ana.find("viewer-canvas")
    await expect(ana.find("picture-proof")).to_contain_text("All bits")
    before = await on_screen(pane)

    await card(ana, "structures").click()
    await expect(ana.find("region")).not_to_have_count(0)

    ((name, colour),) = (await colours_of_regions(ana)).items()
    assert name == str(structures.StructureSetROISequence[0].ROIName)
    assert_lies_over(before, await on_screen(pane), [(colour, mask) for mask in masks])
    await ana.photograph(photographs / "structures.png")


@pytest.mark.long
async def test_a_report_is_read_beside_the_pictures_to_its_last_word(
    ana: Physician, dicom_dir: Path, photographs: Path
) -> None:
    await ana.open_study("OBJECTS")
    await card(ana, "report").click()
    await expect(ana.find("report")).to_contain_text("-119.07385253906 Hounsfield unit", ignore_case=True)

    said = " ".join((await ana.find("report").inner_text()).split())
    missing = [text for text in texts_of(dcmread(dicom_dir / REPORT)) if " ".join(text.split()) not in said]
    # A person's name is written as one writes it.
    assert missing == ["Doe^John"] and "Doe, John" in said
    assert await ana.find("viewer-canvas").is_visible()
    await ana.photograph(photographs / "structured-report.png")

    await ana.find("paper-close").click()
    await expect(ana.find("paper")).to_have_count(0)


@pytest.mark.long
async def test_a_key_image_brings_its_slice_into_the_picture(ana: Physician) -> None:
    await ana.open_study("OBJECTS")
    await ana.page.keyboard.press("End")
    await expect(ana.find("slice-label")).to_contain_text("3 / 3")
    await card(ana, "key-images").click()

    await ana.find("key-image").click()

    # The third file has the smallest z, and slices begin there.
    await expect(ana.find("slice-label")).to_contain_text("1 / 3")
    await ana.settle()


@pytest.mark.long
async def test_a_video_is_played_and_each_frame_is_at_its_time(ana: Physician, photographs: Path) -> None:
    await ana.open_patient("FILMS")
    await ana.find("study-row").first.click()
    for number in range(len(FILMS)):
        await card(ana, "video").nth(number).click()
        shown = ana.find("paper-video")
        await shown.evaluate("film => (film.muted = true, film.play())")
        await ana.page.wait_for_function("film => film.currentTime > 0.3", arg=await shown.element_handle())
        await ana.photograph(photographs / "video.png")

        for frame in (3, 17):
            await shown.evaluate(_SEEK, (frame + 0.5) * FRAME_S)
            seen = await drawn(shown)
            assert seen.shape == (ROWS, COLUMNS, 3)
            assert abs(seen[4:28, 4:-4].mean() - picture(frame)[5, 100].mean()) < 8
            bar = np.abs(seen[36:60] - picture(frame)[40, 0]).sum(2).mean(0) < 60
            assert abs(int(bar.sum()) - (4 * frame + 4)) <= 2
        await ana.find("paper-close").click()


@pytest.mark.long
@pytest.mark.parametrize("patient_id", PRESENTED)
async def test_a_presentation_state_is_applied_to_its_image(
    ana: Physician, dicom_dir: Path, photographs: Path, patient_id: str
) -> None:
    reference = pyvips.Image.new_from_file(str(dicom_dir / "reference" / PRESENTED[patient_id][2])).numpy()
    # The other viewer has overlays in bright green.
    expected = np.asarray(reference).reshape(*reference.shape[:2], -1)[:, :, :3].max(axis=2).astype(int)
    await ana.open_study(patient_id)

    await card(ana, "presentation").click()
    shown = ana.find("paper-presentation")
    await ana.page.wait_for_function("picture => picture.naturalWidth > 0", arg=await shown.element_handle())

    seen = await drawn(shown)
    assert np.abs(seen - expected[:, :, None]).max() <= 1
    await ana.photograph(photographs / f"presentation-{patient_id.lower()}.png")


@pytest.mark.long
async def test_an_ecg_is_drawn_as_its_samples_say(ana: Physician, dicom_dir: Path, photographs: Path) -> None:
    group = dcmread(dicom_dir / ECG).WaveformSequence[0]
    stored = np.frombuffer(group.WaveformData, np.int16).reshape(-1, group.NumberOfWaveformChannels)
    await ana.open_study("OBJECTS")
    await card(ana, "waveform").click()
    chart = ana.find("paper-chart")
    await ana.page.wait_for_function("chart => chart.naturalWidth > 900", arg=await chart.element_handle())
    await ana.photograph(photographs / "ecg.png")

    ink = (await drawn(chart)).max(axis=2) < INK
    heights = []
    for values, channel in zip(stored.T, group.ChannelDefinitionSequence, strict=True):
        assert channel.ChannelSensitivityUnitsSequence[0].CodeValue == "uV"
        rows_up = values * float(channel.ChannelSensitivity) / 1000 * MM_MV * PIXELS_MM
        found = [traced(ink, rows_up, float(group.SamplingFrequency), zero) for zero in range(ink.shape[0])]
        heights.append(int(np.argmax(found)))
        assert max(found) > 0.97
    assert heights == sorted(set(heights))


def traced(ink: Mask, rows_up: NDArray[np.float64], frequency_hz: float, zero: int) -> float:
    """The part of a curve's samples that have ink where they belong, within a pixel, when ``zero`` is the row of 0."""
    x = np.rint((MARGIN_MM + np.arange(len(rows_up)) / frequency_hz * MM_S) * PIXELS_MM).astype(int)
    y = np.rint(zero - rows_up).astype(int)
    if y.min() < 1 or y.max() > ink.shape[0] - 2:
        return 0.0
    return float(np.mean(ink[y - 1, x] | ink[y, x] | ink[y + 1, x]))


@pytest.mark.long
async def test_the_first_page_of_a_pdf_is_seen(ana: Physician, dicom_dir: Path, photographs: Path) -> None:
    page = PdfReader(BytesIO(dcmread(dicom_dir / PDF).EncapsulatedDocument)).pages[0]
    baselines: list[float] = []
    page.extract_text(visitor_text=lambda text, _, place, *__: text.strip() and baselines.append(place[5]))
    await ana.open_study("OBJECTS")
    await card(ana, "pdf").click()
    width_pt, height_pt = float(page.mediabox.width), float(page.mediabox.height)

    async def rows_of_text() -> NDArray[np.bool_]:
        """Whether there is ink at a height of the page, in steps of a point from its top, as far as it is seen."""
        seen = (await on_screen(ana.find("paper-pdf"))).min(axis=2)
        is_paper = (seen > 250).mean(axis=1) > 0.3
        if not is_paper.any():
            return np.zeros(0, bool)
        top = int(is_paper.argmax())
        across = np.flatnonzero((seen[top:] > 250).mean(axis=0) > 0.3)
        scale = (across[-1] + 1 - across[0]) / width_pt
        at = (top + (np.arange(int(height_pt)) + 0.5) * scale).astype(int)
        text = seen[:, int(across[0] + 88 * scale) : int(across[0] + 500 * scale)]
        return (text.min(axis=1) < 140)[at[at < seen.shape[0]]]

    async with asyncio.timeout(SHOWN_WITHIN_S):
        while len(rows := await rows_of_text()) < height_pt / 2 or not rows.any():
            await asyncio.sleep(0.2)
    await ana.photograph(photographs / "pdf.png")

    lines = sorted(height_pt - one for one in baselines if height_pt - one < len(rows) - 2)
    assert len(lines) > 10
    assert all(rows[int(line) - 5 : int(line)].any() for line in lines)
    gaps = [(a, b) for a, b in pairwise(lines) if b - a > 30]
    assert gaps and not any(rows[int(a) + 6 : int(b) - 14].any() for a, b in gaps)
