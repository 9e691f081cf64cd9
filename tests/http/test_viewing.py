"""What a viewer asks besides pictures, on real files: values against what pydicom reads, times as the files say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import pytest_asyncio
from pydicom.pixels import apply_rescale, pixel_array

from tests.http.node_doors import ELSEWHERE
from tests.http.picture_doors import PictureDoors, picture_doors

pytestmark = pytest.mark.asyncio(loop_scope="module")

CT = "01-volumes/ct-chest-lidc-0314/080.dcm"
COLOUR = "10-transfer-syntaxes/nema-us1/US1_UNC.dcm"
FILM = "04-xray/XA-rubo-96f.dcm"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PictureDoors]:
    async with picture_doors(tmp_path_factory.mktemp("node")) as opened:
        yield opened


async def address(doors: PictureDoors, file: Path) -> str:
    """Of the instance, under /api."""
    path = await doors.take_in(file)
    return path.replace("/dicom-web/", "/api/")


@pytest.mark.parametrize(("row", "column"), [(0, 0), (256, 256), (300, 140), (511, 511)])
async def test_a_value_is_in_the_unit_of_its_file(doors: PictureDoors, dicom_dir: Path, row: int, column: int) -> None:
    ds = pydicom.dcmread(dicom_dir / CT)
    stored = pixel_array(ds)[row, column]
    path = await address(doors, dicom_dir / CT)

    answer = (await doors.get(f"{path}/frames/1/value", row=str(row), column=str(column))).json()

    is_padding = "PixelPaddingValue" in ds and stored == ds.PixelPaddingValue
    assert answer["stored"] == [stored]
    assert answer["unit"] == "HU"
    assert answer["is_padding"] is bool(is_padding)
    assert answer["value"] == (None if is_padding else float(apply_rescale(np.array([stored]), ds)[0]))


async def test_a_colour_has_three_samples_and_no_value(doors: PictureDoors, dicom_dir: Path) -> None:
    pixels = pixel_array(pydicom.dcmread(dicom_dir / COLOUR))
    path = await address(doors, dicom_dir / COLOUR)

    answer = (await doors.get(f"{path}/frames/1/value", row="200", column="300")).json()

    assert answer["stored"] == pixels[200, 300].tolist()
    assert answer["value"] is None


@pytest.mark.parametrize(
    ("frame", "place", "status"),
    [
        ("1", {"row": "512", "column": "0"}, 400),
        ("1", {"row": "-1", "column": "0"}, 400),
        ("1", {"row": "0"}, 400),
        ("1", {"row": "a", "column": "0"}, 400),
        ("2", {"row": "0", "column": "0"}, 404),
        ("0", {"row": "0", "column": "0"}, 404),
    ],
)
async def test_what_lies_outside_is_refused(
    doors: PictureDoors, dicom_dir: Path, frame: str, place: dict[str, str], status: int
) -> None:
    path = await address(doors, dicom_dir / CT)

    assert (await doors.get(f"{path}/frames/{frame}/value", **place)).status_code == status


@pytest.mark.parametrize("region", ["", "200,220,100,60"], ids=["all of it", "a part"])
async def test_a_window_found_for_a_part_holds_its_values(doors: PictureDoors, dicom_dir: Path, region: str) -> None:
    ds = pydicom.dcmread(dicom_dir / CT)
    values = apply_rescale(pixel_array(ds), ds)
    padding = getattr(ds, "PixelPaddingValue", None)
    seen = values[220:280, 200:300] if region else values
    is_inside = seen > values.min()  # round the circle that was scanned there is one value
    if padding is not None:
        is_inside &= seen != padding * ds.RescaleSlope + ds.RescaleIntercept
    inside = seen[is_inside]
    path = await address(doors, dicom_dir / CT)

    answer = (await doors.get(f"{path}/frames/1/window", **({"region": region} if region else {}))).json()

    black, white = (answer["center"] + sign * answer["width"] / 2 for sign in (-1, 1))
    share = float(np.mean((inside >= black) & (inside <= white)))
    assert answer["unit"] == "HU"
    assert 0.95 < share <= 1
    assert white - black <= np.ptp(inside)


@pytest.mark.parametrize("region", ["0,0,513,1", "-1,0,5,5", "0,0,0,5", "1,2,3", "a,b,c,d"])
async def test_a_part_that_is_not_within_the_frame_has_no_window(
    doors: PictureDoors, dicom_dir: Path, region: str
) -> None:
    path = await address(doors, dicom_dir / CT)

    assert (await doors.get(f"{path}/frames/1/window", region=region)).status_code == 400


async def test_colours_have_no_window(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await address(doors, dicom_dir / COLOUR)

    assert (await doors.get(f"{path}/frames/1/window")).status_code == 422


async def test_frames_of_a_film_have_the_time_of_its_file(doors: PictureDoors, dicom_dir: Path) -> None:
    ds = pydicom.dcmread(dicom_dir / FILM, stop_before_pixels=True)
    path = await address(doors, dicom_dir / FILM)

    answer = (await doors.get(f"{path.partition('/instances/')[0]}/frame-times")).json()

    assert answer["frame_ms"] == [float(ds.FrameTime)] * int(ds.NumberOfFrames)


async def test_single_frames_are_shown_as_long_as_is_usual(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await address(doors, dicom_dir / CT)

    assert (await doors.get(f"{path.partition('/instances/')[0]}/frame-times")).json() == {"frame_ms": [100.0]}


async def test_who_may_not_look_learns_no_value(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await address(doors, dicom_dir / CT)
    headers = doors.token(ELSEWHERE)

    answer = await doors.client.get(f"{path}/frames/1/value?row=0&column=0", headers=headers)

    assert answer.status_code in (403, 404)
