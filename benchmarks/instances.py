"""Instances to send: CT-sized, each with UIDs of its own and noise that does not compress."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

_ROWS = _COLUMNS = 512


def write_instances(folder: Path, count: int, *, per_study: int = 50) -> list[Path]:
    """``count`` CT instances of 512 x 512 in ``folder``, in studies of ``per_study``."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    written = []
    study = series = UID("")
    for number in range(count):
        if number % per_study == 0:
            study, series = generate_uid(), generate_uid()
        file = folder / f"{number:05}.dcm"
        pixels = random.integers(0, 4096, (_ROWS, _COLUMNS), dtype=np.uint16)
        _instance(study, series, number, pixels.tobytes()).save_as(file, enforce_file_format=True)
        written.append(file)
    return written


def _instance(study: UID, series: UID, number: int, pixels: bytes) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Bench^Mark", "BENCH", "", "O"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260101", "120000", "1", ""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 1, number
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.7, 0.7], 1
    ds.Rows, ds.Columns, ds.SamplesPerPixel = _ROWS, _COLUMNS, 1
    ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.PixelData = pixels
    ds["PixelData"].VR = "OW"
    return ds
