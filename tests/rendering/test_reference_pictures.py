"""Real files against what other programs made of them (``benchmarks/references.py``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.references import (
    PICTURES,
    SEGMENTATIONS,
    VOLUMES,
    Picture,
    is_near,
    picture_difference,
    segment_counts,
    volume_planes,
)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.reference)
def test_pictures_agree_with_those_of_others(dicom_dir: Path, picture: Picture) -> None:
    difference = picture_difference(dicom_dir, picture)

    assert is_near(picture, difference), difference


@pytest.mark.parametrize("name", VOLUMES)
def test_values_are_those_of_the_volumes_of_others(dicom_dir: Path, name: str) -> None:
    looked_for, found = volume_planes(dicom_dir, name)

    assert found == looked_for


@pytest.mark.parametrize("file", SEGMENTATIONS)
def test_segments_have_as_many_pixels_as_those_of_dcmqi(dicom_dir: Path, file: str) -> None:
    ours, theirs = segment_counts(dicom_dir, file)

    assert ours == theirs


def test_every_reference_is_looked_at(dicom_dir: Path) -> None:
    looked_at = {f"{picture.reference}.png" for picture in PICTURES} | set(VOLUMES)
    looked_at |= {f"{name}.nrrd" for names in SEGMENTATIONS.values() for name in names}

    folder = dicom_dir / "reference"
    assert looked_at == {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
