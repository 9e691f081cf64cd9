"""Presentation states asked for at a node's doors, with a real render process below them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread

from appliance.domain.accounts import Role
from appliance.http.access import Access
from appliance.http.application import Root, resources
from appliance.http.pictures import Pictures
from appliance.services.archive import Archive
from appliance.services.drawing import Drawing, DrawingSettings
from appliance.services.metrics import Metrics
from appliance.services.tokens import TokenVerifier
from appliance.storage.instances import StoreSettings
from tests.http.node_doors import BASE, NodeDoors, node_doors

IMAGE, STATE, OTHER = "imageForPrLUTs.dcm", "prLUTs.dcm", "prOverlay.dcm"


@pytest.fixture
async def doors(tmp_path: Path, dicom_dir: Path) -> AsyncIterator[NodeDoors]:
    async with node_doors(tmp_path) as opened:
        for name in (IMAGE, STATE, "overlay.dcm", OTHER):
            await opened.parts.put((dicom_dir / "09-documents" / name).read_bytes())
        yield opened


@pytest.fixture
async def client(doors: NodeDoors, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    verifier = TokenVerifier()
    verifier.replace_keys((doors.signer.public_key,))
    archive = Archive(doors.parts.store, doors.parts.threads)
    drawing = Drawing(DrawingSettings(StoreSettings(tmp_path / "store", tmp_path / "key", floor_bytes=0)))
    await archive.start()
    await drawing.start()
    pictures = Pictures(doors.parts.catalogue, archive, drawing, Access(verifier), Metrics())
    root = Root(resources([pictures.blueprint()]), None, None)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=root), base_url=BASE) as opened:  # type: ignore[arg-type]
        opened.headers.update({"Accept": "image/png", **doors.token(Role.PHYSICIAN)})
        yield opened
    await drawing.stop()
    await archive.stop()


def address(dicom_dir: Path, name: str) -> str:
    ds = dcmread(dicom_dir / "09-documents" / name, stop_before_pixels=True)
    return f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"


def uid(dicom_dir: Path, name: str) -> str:
    return address(dicom_dir, name).rpartition("/")[2]


async def test_an_image_is_drawn_as_a_state_of_its_study_wishes(client: httpx.AsyncClient, dicom_dir: Path) -> None:
    plain = await client.get(f"{address(dicom_dir, IMAGE)}/rendered")
    presented = await client.get(
        f"{address(dicom_dir, IMAGE)}/frames/1/rendered?presentationUID={uid(dicom_dir, STATE)}"
    )
    of_state = await client.get(f"{address(dicom_dir, STATE)}/rendered")

    expected = np.asarray(
        imagecodecs.png_decode((dicom_dir / "reference/weasis-expected_imgForPrLUT.png").read_bytes())
    )
    expected = expected[..., 0] if expected.ndim == 3 else expected
    assert np.abs(imagecodecs.png_decode(presented.content).astype(int) - expected).max() <= 1
    assert of_state.content == presented.content != plain.content
    assert presented.headers["ETag"] != plain.headers["ETag"]


async def test_a_state_that_cannot_be_applied_is_refused_with_the_reason(
    client: httpx.AsyncClient, dicom_dir: Path
) -> None:
    overlay = address(dicom_dir, "overlay.dcm")

    elsewhere = await client.get(f"{overlay}/rendered?presentationUID={uid(dicom_dir, STATE)}")
    no_state = await client.get(f"{overlay}/rendered?presentationUID={uid(dicom_dir, 'overlay.dcm')}")
    no_uid = await client.get(f"{overlay}/rendered?presentationUID=x")

    assert (elsewhere.status_code, no_state.status_code, no_uid.status_code) == (404, 422, 400)
    assert "no grayscale softcopy presentation state" in no_state.text
