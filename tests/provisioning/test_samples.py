"""The samples of a demonstration."""

from __future__ import annotations

import warnings

import pydicom
import pytest

from provisioning.samples import DEMONSTRATED, REAL_IMAGES, real_images


def test_every_named_image_is_inside_the_installed_package():
    assert [path.name for path in real_images()] == list(REAL_IMAGES)


@pytest.mark.parametrize("path", real_images(), ids=lambda path: path.name)
def test_a_sample_names_a_patient_and_holds_pixels(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path)

    assert str(ds.PatientName) or ds.PatientID
    assert "PixelData" in ds
    assert ds.Rows >= 64


def test_the_demonstrated_phantom_has_a_few_hundred_slices():
    assert 200 <= DEMONSTRATED.size.slices <= 600
