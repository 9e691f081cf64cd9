"""Planes through a volume in the browser: at rest what the server draws, sample for pixel, with all that is in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.end_to_end.asking import Asked, drawn_by_server
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import RunningAppliance

SLICES, SIDE = 24, 320
PIXEL_MM, SLICE_MM = 0.4, 3.0
TABLE_ROW = 260
"""The table is one voxel thick."""
AIR, BODY, TABLE = 0, 1040, 1400
PATIENT = "thin-table"


def slice_values() -> NDArray[np.uint16]:
    """(row, column): a block of water on a thin table, air round both."""
    values = np.full((SIDE, SIDE), AIR, np.uint16)
    values[60:240, 60:260] = BODY
    values[TABLE_ROW, 20:300] = TABLE
    return values


def write_thin_table(folder: Path, patient: str = PATIENT, apart_mm: Sequence[float] = (SLICE_MM,)) -> None:
    """A study with a series for each distance of slices, all of one frame of reference and as high as each other."""
    study, place = generate_uid(), generate_uid()
    for number, slice_mm in enumerate(apart_mm, 1):
        series = generate_uid()
        for index in range(round(SLICES * SLICE_MM / slice_mm)):
            ds = _slice(patient, slice_mm, index)
            ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, place
            ds.SeriesNumber, ds.SeriesDescription = number, f"{slice_mm:g} mm"
            ds.save_as(folder / f"{number}-{index:03}.dcm", enforce_file_format=True)


def _slice(patient: str, slice_mm: float, index: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Tablic^Thin", patient, "19700131", "F"
    ds.StudyDate, ds.StudyTime, ds.Modality, ds.InstanceNumber = "20260102", "101500", "CT", index
    ds.Rows, ds.Columns, ds.SamplesPerPixel = SIDE, SIDE, 1
    ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.WindowCenter, ds.WindowWidth = 0, 2000
    ds.PixelSpacing, ds.SliceThickness = [PIXEL_MM, PIXEL_MM], slice_mm
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [-SIDE * PIXEL_MM / 2, -SIDE * PIXEL_MM / 2, index * slice_mm]
    ds.PixelData = slice_values().tobytes()
    return ds


@pytest.fixture(scope="module")
def thin_table(appliance: RunningAppliance, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Patient ID of whose study it is."""
    folder = tmp_path_factory.mktemp("thin-table")
    write_thin_table(folder)
    appliance.take_in(folder)
    return PATIENT


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
async def test_a_plane_at_rest_is_the_servers_picture_pixel_for_pixel(
    physician: Physician, appliance: RunningAppliance, thin_table: str, plane: str
) -> None:
    await physician.log_in()
    await physician.open_study(thin_table)
    asked = Asked(physician, "/renderedmpr")
    await physician.show(plane)

    shown = await physician.grey()

    assert (shown == drawn_by_server(appliance, asked.last_path)).all()


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (420, 330)], ids=["large pane", "small pane"])
async def test_what_is_one_voxel_thick_is_seen_where_it_is(
    physician: Physician, thin_table: str, width: int, height: int
) -> None:
    await physician.page.set_viewport_size({"width": width, "height": height})
    await physician.log_in()
    await physician.open_study(thin_table)
    await physician.show("sagittal")

    shown = (await physician.grey()).astype(int)
    pixels_per_voxel = min(shown.shape[0] / (SLICES * SLICE_MM), shown.shape[1] / (SIDE * PIXEL_MM)) * PIXEL_MM
    # Right in this plane is to the back, and the row of the middle is air beside body and table.
    place = shown.shape[1] / 2 + (TABLE_ROW - (SIDE - 1) / 2) * pixels_per_voxel
    across = shown[shown.shape[0] // 2, int(place) - 4 : int(place) + 5]

    # A sample lies within half a pixel of the table's middle; of a small pane's pixel the table is a part.
    seen = min(1 - 0.5 / pixels_per_voxel, 1.0) if pixels_per_voxel > 1 else 0.5 * pixels_per_voxel
    assert across.max() >= seen * grey_of(TABLE)
    assert abs(int(across.argmax()) - 4) <= max(1, pixels_per_voxel / 2)


def grey_of(stored: int) -> int:
    """Through the window of the file (PS3.3 C.11.2.1.2.1)."""
    center, width = 0, 2000
    return int(np.clip(((int(stored) - 1024 - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255))
