"""The examples of PS3.18 B.32 to B.35: each request as the standard writes it, but for its UIDs and the root of its addresses.

What they show lies where their cameras look: a real multi-frame instance and real slices where the camera is free, volumes made
here where the example names places in the patient. Examples B.33 and B.34 say in words that their ``window`` has the width first;
the parameter itself (§8.3.5.1.4) has the center first, and so it is read: the answer says through which window it was drawn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import httpx
import imagecodecs
import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from pydicom import Dataset

from tests.http.picture_doors import PictureDoors, grey, picture_doors, series_of
from tests.http.test_volume_pictures import MR, PHASES
from tests.http.test_volumetric_states import images, rendered, stored
from tests.rendering.test_films import seen
from tests.services.node_parts import ct_slice, encoded

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIDE, SLICES = 64, 40
"""Millimetres along each axis of the volumes that are made here, but for the axis of the slices."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PictureDoors]:
    async with picture_doors(tmp_path_factory.mktemp("node")) as opened:
        yield opened


def slices(
    hounsfield: NDArray[np.int_], middle: tuple[float, float, float], series: str, first_number: int = 1
) -> Iterable[Dataset]:
    """Axial slices of (slice, row, column), a millimetre apart and of square millimetres, about a place in the patient."""
    for k, plane in enumerate(hounsfield):
        ds = ct_slice(first_number + k, study="1.9.5", series=series, z=middle[2] - SLICES / 2 + k)
        ds.ImagePositionPatient[:2] = [middle[0] - SIDE / 2, middle[1] - SIDE / 2]
        ds.Rows, ds.Columns = plane.shape
        ds.PixelSpacing = [1, 1]
        ds.PixelData = (plane + 1024).astype("<u2").tobytes()
        yield ds


async def asked(doors: PictureDoors, address: str, accept: str) -> httpx.Response:
    """The answer to an address that is written as it goes over the wire."""
    return await doors.client.get(address, headers={"Accept": accept})


def of_one_value(value: int) -> NDArray[np.int_]:
    return np.full((SLICES, SIDE, SIDE), value)


async def test_b32_a_multi_frame_instance_as_a_volume_told_in_metadata(doors: PictureDoors, dicom_dir: Path) -> None:
    instance = await doors.take_in(dicom_dir / PHASES[0])
    request = f"{instance}/rendered3D?renderingmethod=volume_rendered&orientation=a&swivelrange=180&animationrate=20"

    answer = await asked(doors, f"{request}&renderedvolumetricmetadata=yes", "application/dicom+json")
    film = await asked(doors, f"{request}&viewport=16,16", "video/mp4")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
    said = answer.json()
    assert (said["00720510"], said["0070120D"]) == (
        {"vr": "CS", "Value": ["3D_RENDERING"]},
        {"vr": "CS", "Value": ["VOLUME_RENDERED"]},
    )
    (x, y, z), look_at = said["00701603"]["Value"], said["00701604"]["Value"]
    # From the front: a smaller y, and the head above.
    assert ([x, z], y < look_at[1], said["00701605"]["Value"]) == ([look_at[0], look_at[2]], True, [0, 0, 1])
    assert (said["00701A06"]["Value"], said["00701A03"]["Value"]) == ([180], [20])
    assert "00281050" not in said  # composited: no window
    # The step that we chose, and as many pictures as it makes of the range, 50 ms each.
    assert said["00701A05"]["Value"] == [5]
    assert seen(film.content, "video/mp4")[1] == pytest.approx([50] * 36, abs=1)


async def test_b33_a_study_of_phases_as_an_oblique_film(doors: PictureDoors) -> None:
    study = "/dicom-web/studies/1.9.5"
    middle = (-532.0, -76.0, -154.0)  # at what the camera of the example looks
    for number, (time_ms, value) in enumerate({100: 380, 150: 390, 250: 410, 300: 420}.items()):
        for ds in slices(of_one_value(value), middle, f"1.9.5.1{number}"):
            ds.CardiacRRIntervalSpecified = float(time_ms)
            await doors.parts.put(encoded(ds))

    answer = await asked(
        doors,
        f"{study}/renderedmpr?CardiacRRIntervalSpecified=140-260&renderingmethod=average_ip"
        "&viewpointposition=532,38,126&viewpointlookat=-532,-76,-154&viewpointup=0,0,0&animationrate=30"
        "&window=400,40,linear",
        "video/mp4",
    )

    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert answer.headers["rendered-window"] == "400,40,linear"
    shown, durations_ms = seen(answer.content, "video/mp4")
    assert durations_ms == pytest.approx([33] * 2, abs=1)
    # The phases of 150 and of 250 ms, in the middle of the picture: a quarter below and above the window's center.
    middles = [frame[112:144, 112:144, 0].mean() for frame in shown]
    assert middles == pytest.approx([64, 191], abs=6)


async def test_b34_one_phase_of_a_series_as_a_slab_of_largest_values(doors: PictureDoors) -> None:
    series = "/dicom-web/studies/1.9.5/series/1.9.5.2"
    phases = [of_one_value(660), of_one_value(660)]
    # Rows are y from 68 on: within 10 mm of 100, and beyond, where the second phase is brightest.
    phases[1][:, 26:30, 20:40] = 710
    phases[1][:, 50:56] = 1000
    for number, phase in enumerate(phases):
        for ds in slices(phase, (100, 100, 200), "1.9.5.2", 1 + number * SLICES):
            await doors.parts.put(encoded(ds))

    def request(instance: int) -> str:
        return (
            f"{series}/renderedmpr?volumeinputreference=1.9.5.2.{instance}&renderingmethod=maximum_ip&mprslab=20"
            "&viewpointposition=100,101,200&viewpointlookat=100,100,200&viewpointup=0,0,1"
            "&viewport=256,256&window=700,100,linear"
        )

    second, first = [await asked(doors, request(instance), "image/jpeg") for instance in (SLICES + 7, 7)]

    assert (second.status_code, second.headers["content-type"]) == (200, "image/jpeg")
    assert second.headers["rendered-window"] == "700,100,linear"
    pixels = imagecodecs.jpeg8_decode(second.content).astype(int)
    assert pixels.shape == (256, 256)
    # Seen from behind: x = 88 to 107 is to the right of the middle by 12 mm and to the left by 7, of 64 mm, at 0.6 of the window.
    spacing_mm = float(second.headers["rendered-place"].partition("spacing=")[2].split()[0])
    bright = np.flatnonzero(pixels[128] > 100)
    assert (np.array([bright[0], bright[-1]]) - 127.5) * spacing_mm == pytest.approx([-7.5, 12.5], abs=1)
    assert pixels[128, bright[3:-3]].mean() == pytest.approx(155, abs=6)
    assert imagecodecs.jpeg8_decode(first.content)[128].max() < 40


async def test_b35_a_volume_rendering_state_by_itself(doors: PictureDoors, dicom_dir: Path) -> None:
    await series_of(doors, dicom_dir / MR)
    state = await stored(doors, rendered(images(dicom_dir)))

    answer = await asked(doors, f"{state}/rendered3D", "image/jpeg")
    turned = await doors.get(f"{state}/rendered3D", "image/png", orientation="l")
    more = await doors.get(f"{state}/rendered3D", "image/jpeg", renderingmethod="maximum_ip")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert imagecodecs.jpeg8_decode(answer.content).std() > 10
    # Of parameters only those of the camera are for a state (§8.3.5.3).
    assert grey(turned.content).shape[:2] == (512, 512)
    assert (more.status_code, more.json()["parameter"]) == (400, "renderingmethod")
