"""The phantom as DICOM: CT Image Storage, a file a slice, or one Enhanced CT Image Storage.

The same phantom always gets the same UIDs, so that what was imported once is recognised.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from provisioning.phantom.slices import BITS_STORED, RESCALE_INTERCEPT, Phantom

PATIENT_NAME = "Phantom^Body"
PATIENT_ID = "PHANTOM-1"
_NAMESPACE = uuid.UUID("6c1f2a0e-4b5d-4f0e-9d3a-7e2b8c9d0a11")
_DATE, _TIME = "20260105", "083000"
_ORIENTATION = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
"""Columns grow to the patient's left, rows to the back: seen from the feet, as is usual."""
_WINDOWS = (("SOFT TISSUE", 40, 400), ("LUNG", -500, 1500), ("BONE", 500, 2000))


def write_files(phantom: Phantom, folder: Path) -> Iterator[Path]:
    """Writes a CT Image Storage file a slice into ``folder``, which is made; yields each path as soon as it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, pixels in enumerate(phantom.slices()):
        ds = _describe(phantom, CTImageStorage, f"instance {index}")
        _describe_slice(ds, phantom, index)
        ds.PixelData = pixels.tobytes()
        path = folder / f"slice-{index + 1:04}.dcm"
        ds.save_as(path, enforce_file_format=True)
        yield path


def write_multiframe(phantom: Phantom, path: Path) -> Iterator[int]:
    """Writes one Enhanced CT Image Storage file; yields the number of each frame as soon as it is written.

    Frames go to the file as they are made: Pixel Data is the last element, so its bytes can follow the rest of the data set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    size = phantom.size
    ds = _describe(phantom, EnhancedCTImageStorage, "multi-frame")
    _describe_frames(ds, phantom)
    ds.save_as(path, enforce_file_format=True)
    length = size.slices * size.rows * size.columns * 2
    with path.open("ab") as file:
        # (7FE0,0010) OW, explicit VR, 32-bit length (PS3.5 7.1.2)
        file.write(b"\xe0\x7f\x10\x00OW\x00\x00" + length.to_bytes(4, "little"))
        for index, pixels in enumerate(phantom.slices()):
            file.write(pixels.tobytes())
            yield index + 1


def make_uid(phantom: Phantom, what: str) -> UID:
    """The UID of a thing of this phantom, always the same: made from a UUID (PS3.5 B.2)."""
    name = hashlib.sha256(repr((phantom, what)).encode()).hexdigest()
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, name).int}")


def _describe(phantom: Phantom, sop_class: UID, instance: str) -> Dataset:
    """What every instance says, but for its pixels and where they lie."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop_class
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = make_uid(phantom, instance)
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = PATIENT_NAME, PATIENT_ID, "19700101", "O"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = make_uid(phantom, "study"), make_uid(phantom, f"series {sop_class}")
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = make_uid(phantom, "frame of reference"), ""
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = _DATE
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = _TIME
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "", ""
    ds.StudyDescription, ds.SeriesDescription = "Calculated phantom", f"Trunk {phantom.size.slice_spacing_mm:g} mm"
    ds.SeriesNumber = 1
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "appliance", "phantom"
    ds.BodyPartExamined, ds.PatientPosition = "CHESTABDOMEN", "HFS"
    ds.KVP, ds.ConvolutionKernel = "120", "SMOOTH"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = phantom.size.rows, phantom.size.columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, BITS_STORED, BITS_STORED - 1, 0
    return ds


def _describe_slice(ds: Dataset, phantom: Phantom, index: int) -> None:
    """What CT Image Storage says of a slice (PS3.3 A.3)."""
    size = phantom.size
    position = phantom.position_mm(index)
    ds.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    ds.InstanceNumber, ds.AcquisitionNumber = index + 1, 1
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [f"{value:.4f}" for value in position], _ORIENTATION
    ds.SliceLocation = f"{position[2]:.4f}"
    ds.PixelSpacing = [size.pixel_spacing_mm] * 2
    ds.SliceThickness, ds.SpacingBetweenSlices = size.slice_spacing_mm, size.slice_spacing_mm
    _describe_values(ds)


def _describe_values(ds: Dataset) -> None:
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = RESCALE_INTERCEPT, 1, "HU"
    _describe_windows(ds)


def _describe_windows(ds: Dataset) -> None:
    names, centers, widths = zip(*_WINDOWS, strict=True)
    ds.WindowCenter, ds.WindowWidth, ds.WindowCenterWidthExplanation = list(centers), list(widths), list(names)


def _describe_frames(ds: Dataset, phantom: Phantom) -> None:
    """What Enhanced CT Image Storage says of all frames together and of each (PS3.3 A.38, C.7.6.16)."""
    size = phantom.size
    ds.ImageType = ["DERIVED", "SECONDARY", "VOLUME", "NONE"]
    ds.InstanceNumber, ds.NumberOfFrames = 1, size.slices
    ds.PixelPresentation, ds.VolumetricProperties, ds.VolumeBasedCalculationTechnique = "MONOCHROME", "VOLUME", "NONE"
    ds.ContentQualification, ds.BurnedInAnnotation, ds.LossyImageCompression = "RESEARCH", "NO", "00"
    ds.PresentationLUTShape, ds.AcquisitionDateTime, ds.SoftwareVersions = "IDENTITY", _DATE + _TIME, "1"
    organization = make_uid(phantom, "dimensions")
    ds.DimensionOrganizationSequence = Sequence([_item(DimensionOrganizationUID=organization)])
    index = _item(DimensionOrganizationUID=organization)
    index.DimensionIndexPointer, index.FunctionalGroupPointer = 0x00209057, 0x00209111  # In-Stack Position Number
    ds.DimensionIndexSequence = Sequence([index])
    ds.SharedFunctionalGroupsSequence = Sequence([_shared_groups(phantom)])
    ds.PerFrameFunctionalGroupsSequence = Sequence([_frame_groups(phantom, i) for i in range(size.slices)])


def _shared_groups(phantom: Phantom) -> Dataset:
    size = phantom.size
    frame_type = _item(FrameType=["DERIVED", "SECONDARY", "VOLUME", "NONE"], PixelPresentation="MONOCHROME")
    frame_type.VolumetricProperties, frame_type.VolumeBasedCalculationTechnique = "VOLUME", "NONE"
    region = _item(CodeValue="416775004", CodingSchemeDesignator="SCT", CodeMeaning="Chest, Abdomen and Pelvis")
    windows = Dataset()
    _describe_windows(windows)
    measures = _item(PixelSpacing=[size.pixel_spacing_mm] * 2, SliceThickness=size.slice_spacing_mm)
    measures.SpacingBetweenSlices = size.slice_spacing_mm
    values = _item(RescaleIntercept=RESCALE_INTERCEPT, RescaleSlope=1, RescaleType="HU")
    return _item(
        PixelMeasuresSequence=Sequence([measures]),
        PlaneOrientationSequence=Sequence([_item(ImageOrientationPatient=_ORIENTATION)]),
        PixelValueTransformationSequence=Sequence([values]),
        FrameVOILUTSequence=Sequence([windows]),
        CTImageFrameTypeSequence=Sequence([frame_type]),
        FrameAnatomySequence=Sequence([_item(FrameLaterality="U", AnatomicRegionSequence=Sequence([region]))]),
    )


def _frame_groups(phantom: Phantom, index: int) -> Dataset:
    content = _item(StackID="1", InStackPositionNumber=index + 1, DimensionIndexValues=[index + 1])
    position = _item(ImagePositionPatient=[f"{value:.4f}" for value in phantom.position_mm(index)])
    return _item(FrameContentSequence=Sequence([content]), PlanePositionSequence=Sequence([position]))


def _item(**elements: Any) -> Dataset:  # Any: whatever the element named by the keyword holds
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds
