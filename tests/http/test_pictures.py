"""Retrieve Rendered, as PS3.18 §10.4 says it, of real files."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
import pytest_asyncio
from pydicom.pixels import apply_modality_lut, apply_windowing
from pydicom.pixels.processing import apply_voi

from appliance.domain.views import STORED_VALUES
from appliance.services.drawing_rules import DRAWING_RULES
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory
from tests.http.picture_doors import PictureDoors, parts_of, picture_doors, told
from tests.rendering.test_films import seen

pytestmark = pytest.mark.asyncio(loop_scope="module")

CT = "01-volumes/ct-chest-lidc-0314/080.dcm"
SIGNED_CT = "10-transfer-syntaxes/nema-ct1/CT1_UNC.explicit-le.dcm"
ULTRASOUND = "10-transfer-syntaxes/nema-us1/US1_UNC.dcm"
ENHANCED_MR = "02-enhanced-multiframe/emri_small.dcm"
CINE = "04-xray/XA-rubo-96f.dcm"
OVERLAID = "09-documents/overlay.dcm"
FRAME_TIME_MS = 33
"""As the file says."""
EIGHT_BITS = "04-xray/RF-KarstenHilbert.dcm"
TABLES = "04-xray/DX-C3L-00277.dcm"
"""A window and three VOI LUTs."""
WINDOWS = "11-pixel-encodings/MR-SIEMENS-DICOM-WithOverlays.dcm"
"""Two windows."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PictureDoors]:
    async with picture_doors(tmp_path_factory.mktemp("node")) as opened:
        yield opened


def stored_values(path: Path, frame_index: int = 0) -> np.ndarray:
    reader = InMemory(path.read_bytes())
    image = parse(reader).image
    assert image is not None
    return np.asarray(decode_frame(image, frame_index, reader))


async def test_frames_of_a_list_come_in_its_order_each_with_its_address(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / ENHANCED_MR)

    answer = await doors.get(f"{path}/frames/5,1,3/rendered", 'multipart/related; type="image/png"')

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith('multipart/related; type="image/png"; boundary=')
    parts = parts_of(answer)
    assert [part.headers["content-location"] for part in parts] == [
        f"https://box.test{path}/frames/{number}/rendered" for number in (5, 1, 3)
    ]
    for part, number in zip(parts, (5, 1, 3), strict=True):
        alone = await doors.get(f"{path}/frames/{number}/rendered", "image/png")
        assert part.body == alone.content
        assert part.headers["rendered-window"] == alone.headers["rendered-window"]


async def test_a_frame_after_the_last_is_404_before_anything_is_sent(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / ENHANCED_MR)

    answer = await doors.get(f"{path}/frames/1,99/rendered")

    assert (answer.status_code, answer.json()["type"]) == (404, "no-such-frame")


@pytest.mark.parametrize("frames", ["0", "1,,2", "x", "-1"])
async def test_frames_that_are_none_are_400(doors: PictureDoors, dicom_dir: Path, frames: str) -> None:
    path = await doors.take_in(dicom_dir / ENHANCED_MR)

    answer = await doors.get(f"{path}/frames/{frames}/rendered")

    assert (answer.status_code, answer.json()["parameter"]) == (400, "frames")


async def test_an_instance_of_several_frames_comes_as_a_part_for_each(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / ENHANCED_MR)

    answer = await doors.get(f"{path}/rendered", viewport="32,32")

    parts = parts_of(answer)
    assert {part.headers["content-type"] for part in parts} == {"image/jpeg"}
    assert [imagecodecs.jpeg8_decode(part.body).shape for part in parts] == [(32, 32)] * 10


async def test_an_instance_of_one_frame_is_one_picture(doors: PictureDoors, dicom_dir: Path) -> None:
    answer = await doors.get(f"{await doors.take_in(dicom_dir / CT)}/rendered")

    assert answer.headers["content-type"] == "image/jpeg"
    assert imagecodecs.jpeg8_decode(answer.content).shape == (512, 512)


async def test_a_series_comes_in_order_of_position_and_a_study_whole(doors: PictureDoors, dicom_dir: Path) -> None:
    head = sorted((dicom_dir / "01-volumes/ct-head-variable-tilt-ge").iterdir())[:3]
    paths = [await doors.take_in(file) for file in head]
    series = paths[0].partition("/instances/")[0]
    study = series.partition("/series/")[0]

    of_series, of_study = [await doors.get(f"{one}/rendered", viewport="64,64") for one in (series, study)]

    located = [part.headers["content-location"] for part in parts_of(of_series)]
    assert sorted(located) == sorted(f"https://box.test{path}/frames/1/rendered" for path in paths)
    assert located in ([*paths_located(paths)], [*paths_located(paths[::-1])])
    assert [part.body for part in parts_of(of_study)] == [part.body for part in parts_of(of_series)]


def paths_located(paths: list[str]) -> list[str]:
    return [f"https://box.test{path}/frames/1/rendered" for path in paths]


@pytest.mark.parametrize(
    ("file", "voi"), [(TABLES, "lut,1"), (TABLES, "lut,3"), (WINDOWS, "window,1"), (WINDOWS, "window,2")]
)
async def test_a_window_or_table_of_the_file_is_seen_through_as_others_see_it(
    doors: PictureDoors, dicom_dir: Path, file: str, voi: str
) -> None:
    ds = pydicom.dcmread(dicom_dir / file)
    values = apply_modality_lut(stored_values(dicom_dir / file), ds)
    kind, number = voi.split(",")
    apply = apply_voi if kind == "lut" else apply_windowing
    theirs = apply(values, ds, index=int(number) - 1).astype(float)
    highest = (1 << int(ds.VOILUTSequence[0].LUTDescriptor[2])) - 1 if kind == "lut" else (1 << ds.BitsStored) - 1

    answer = await doors.get(
        f"{await doors.take_in(dicom_dir / file)}/frames/1/rendered", "image/png", voi=voi, layers="0"
    )

    assert answer.status_code == 200
    ours = np.asarray(imagecodecs.png_decode(answer.content))
    assert np.abs(ours - np.clip(theirs / highest, 0, 1) * 255).max() <= 1
    assert ("rendered-window" in answer.headers) == (kind == "window")


async def test_a_choice_that_the_file_has_not_is_refused_by_name(doors: PictureDoors, dicom_dir: Path) -> None:
    answer = await doors.get(f"{await doors.take_in(dicom_dir / WINDOWS)}/frames/1/rendered", voi="window,3")

    assert (answer.status_code, answer.json()["type"]) == (422, "no-such-voi")


async def test_every_level_has_a_thumbnail(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / ENHANCED_MR)
    series = path.partition("/instances/")[0]

    for level in (series.partition("/series/")[0], series, path, f"{path}/frames/2"):
        answer = await doors.get(f"{level}/thumbnail")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert max(imagecodecs.jpeg8_decode(answer.content).shape) == 160


async def test_a_thumbnail_may_be_smaller(doors: PictureDoors, dicom_dir: Path) -> None:
    answer = await doors.get(f"{await doors.take_in(dicom_dir / CT)}/thumbnail", "image/png", viewport="48,32")

    assert imagecodecs.png_decode(answer.content).shape == (32, 32)


async def test_a_picture_is_not_sent_again_to_who_has_it(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / CT)
    first = await doors.get(f"{path}/frames/1/rendered", "image/png", window="40,400")

    again = await doors.client.get(
        f"{path}/frames/1/rendered?window=40,400",
        headers={"Accept": "image/png", "If-None-Match": first.headers["etag"]},
    )

    assert first.headers["cache-control"] == "private, no-cache"
    assert (again.status_code, again.content) == (304, b"")


async def test_a_picture_says_how_long_the_server_had_it_whoever_it_waited_for(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    path = await doors.take_in(dicom_dir / CT)

    answer = await doors.get(f"{path}/rendered?viewport=96,96", "image/png")

    told = (stage.split(";dur=") for stage in answer.headers["server-timing"].split(", "))
    stages = {name: float(cost_ms) for name, cost_ms in told}
    assert {"draw", "encode", "total"} <= stages.keys()
    assert stages["total"] >= stages["draw"] + stages["encode"]


async def test_a_picture_is_kept_for_good_only_under_the_rules_by_which_it_is_drawn(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    path = f"{await doors.take_in(dicom_dir / CT)}/frames/1/rendered"

    ours, older = [await doors.get(path, rules=rules) for rules in (DRAWING_RULES, "0123456789abcdef")]
    values = await doors.get(path, STORED_VALUES, rules=DRAWING_RULES)

    assert ours.headers["cache-control"] == values.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert older.headers["cache-control"] == "private, no-cache"
    assert older.content == ours.content


@pytest.mark.parametrize(
    ("viewport", "turned"),
    [
        ("200,100,100,150,-200,100", lambda part: part[:, ::-1]),
        ("200,100,100,150,200,-100", lambda part: part[::-1]),
        ("200,100,100,150,-200,-100", lambda part: part[::-1, ::-1]),
    ],
)
async def test_a_region_is_turned_round_as_the_viewport_says(
    doors: PictureDoors, dicom_dir: Path, viewport: str, turned: object
) -> None:
    path = await doors.take_in(dicom_dir / CT)
    whole = imagecodecs.png_decode((await doors.get(f"{path}/rendered", "image/png", window="40,400")).content)

    answer = await doors.get(f"{path}/rendered", "image/png", window="40,400", viewport=viewport)

    assert np.array_equal(imagecodecs.png_decode(answer.content), turned(whole[150:250, 100:300]))  # type: ignore[operator]


@pytest.mark.parametrize("accept", ["image/jpeg", "image/png", "image/webp", "image/avif", "image/jxl"])
async def test_every_format_is_what_it_says(doors: PictureDoors, dicom_dir: Path, accept: str) -> None:
    answer = await doors.get(f"{await doors.take_in(dicom_dir / EIGHT_BITS)}/rendered", accept)

    assert (answer.status_code, answer.headers["content-type"]) == (200, accept)
    decode = {"image/jpeg": "jpeg8", "image/avif": "avif", "image/jxl": "jpegxl"}.get(accept, accept.partition("/")[2])
    pixels = getattr(imagecodecs, f"{decode}_decode")(answer.content)
    assert np.squeeze(pixels).shape[:2] == (464, 512)


@pytest.mark.parametrize("accept", ["image/gif", "image/webp", "video/mp4"])
async def test_an_image_of_several_frames_is_a_film_where_one_is_accepted(
    doors: PictureDoors, dicom_dir: Path, accept: str
) -> None:
    path = await doors.take_in(dicom_dir / CINE)

    query = {"viewport": "128,128", "window": "120,240"}

    answer = await doors.get(f"{path}/frames/1,2,3,4,5,6/rendered", accept, **query)

    assert (answer.status_code, answer.headers["content-type"]) == (200, accept)
    shown, durations_ms = seen(answer.content, accept)
    assert [one.shape for one in shown] == [(128, 128, 3)] * 6
    assert durations_ms == pytest.approx([FRAME_TIME_MS] * 6, abs=6)  # GIF counts in hundredths of a second
    still = imagecodecs.png_decode((await doors.get(f"{path}/frames/6/rendered", "image/png", **query)).content)
    assert np.abs(shown[5][..., 0].astype(int) - still).mean() < 4


async def test_frames_without_a_window_of_their_own_are_seen_through_that_of_the_first(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    path = await doors.take_in(dicom_dir / CINE)

    film = await doors.get(f"{path}/frames/1,96/rendered", "image/webp", viewport="64,64")
    first = await doors.get(f"{path}/frames/1/rendered", viewport="64,64")

    assert film.headers["rendered-window"] == first.headers["rendered-window"]


async def test_a_film_that_is_too_large_is_refused_by_name(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / CINE)

    answer = await doors.get(f"{path}/rendered", "video/mp4", viewport="2048,2048")

    assert (answer.status_code, answer.json()["type"]) == (413, "film-too-large")


async def test_several_images_are_no_film(doors: PictureDoors, dicom_dir: Path) -> None:
    for file in sorted((dicom_dir / "01-volumes/ct-head-variable-tilt-ge").iterdir())[:2]:
        path = await doors.take_in(file)

    answer = await doors.get(f"{path.partition('/instances/')[0]}/rendered", "video/mp4")

    assert (answer.status_code, answer.json()["type"]) == (406, "no-such-media-type")


async def test_an_annotation_is_written_into_the_picture_and_nowhere_else(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / CT)
    plain, patient, both = [
        imagecodecs.png_decode((await doors.get(f"{path}/rendered", "image/png", window="40,400", **query)).content)
        for query in ({}, {"annotation": "patient"}, {"annotation": "patient,technique"})
    ]

    assert (plain != patient)[:100].any() and not (plain != patient)[100:].any()
    assert np.array_equal(patient[:256], both[:256])
    assert (patient != both)[400:].any()


async def test_text_is_not_turned_with_the_picture(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / CT)
    query = {"window": "40,400", "viewport": "512,512,0,0,-512,-512"}

    turned = imagecodecs.png_decode((await doors.get(f"{path}/rendered", "image/png", **query)).content)
    named = await doors.get(f"{path}/rendered", "image/png", annotation="patient", **query)

    changed = imagecodecs.png_decode(named.content) != turned
    assert changed[:100].any() and not changed[100:].any()


@pytest.mark.parametrize("annotation", ["", "patient,birthday", "all"])
async def test_an_annotation_that_is_none_is_refused(doors: PictureDoors, dicom_dir: Path, annotation: str) -> None:
    answer = await doors.get(f"{await doors.take_in(dicom_dir / CT)}/rendered", annotation=annotation)

    assert (answer.status_code, answer.json()["parameter"]) == (400, "annotation")


async def test_colours_carry_a_profile_when_it_is_asked_for(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / ULTRASOUND)

    with_profile, without = [
        (await doors.get(f"{path}/rendered", "image/png", iccprofile=wanted)).content for wanted in ("srgb", "no")
    ]

    assert b"iCCP" in with_profile and b"iCCP" not in without
    assert np.array_equal(imagecodecs.png_decode(with_profile), imagecodecs.png_decode(without))


@pytest.mark.parametrize(
    ("file", "type_", "signed_bits"),
    [(CT, "uint16", 0), (SIGNED_CT, "int16", 16), (EIGHT_BITS, "uint8", 0), (ULTRASOUND, "uint8", 0)],
    ids=["CT", "signed CT", "8 bits", "colours"],
)
async def test_stored_values_are_given_with_all_that_proves_and_windows_them(
    doors: PictureDoors, dicom_dir: Path, file: str, type_: str, signed_bits: int
) -> None:
    stored = stored_values(dicom_dir / file)

    answer = await doors.get(f"{await doors.take_in(dicom_dir / file)}/frames/1/rendered", STORED_VALUES)

    assert (answer.status_code, answer.headers["content-type"]) == (200, STORED_VALUES)
    about = told(answer.headers["stored-values"])
    assert (int(about["rows"]), int(about["columns"]), about["type"]) == (*stored.shape[:2], type_)
    assert about["sha-256"] == hashlib.sha256(stored.tobytes()).hexdigest()
    lines = np.asarray(imagecodecs.jpegls_decode(answer.content))
    if stored.ndim == 2:
        assert np.array_equal(lines.astype(np.int32) - ((1 << signed_bits) >> 1), stored)
    else:
        assert np.array_equal(lines[: len(stored)], stored[..., 1])


@pytest.mark.parametrize(
    "look", [{}, {"window": "40,400"}, {"window": "0,90", "invert": "1"}], ids=["file's", "40", "inv"]
)
@pytest.mark.parametrize("file", [CT, SIGNED_CT, EIGHT_BITS, OVERLAID], ids=["CT", "signed CT", "8 bits", "overlay"])
async def test_a_picture_and_what_it_does_not_tell_are_all_bits(
    doors: PictureDoors, dicom_dir: Path, file: str, look: dict[str, str]
) -> None:
    stored = stored_values(dicom_dir / file)
    path = f"{await doors.take_in(dicom_dir / file)}/frames/1/rendered"

    picture = imagecodecs.jpegls_decode((await doors.get(path, "image/jls", **look)).content)
    rest = await doors.get(path, STORED_VALUES, without="picture", **look)

    assert told(rest.headers["stored-values"])["without"] == "picture"
    range_ = 1 << (8 * stored.itemsize)
    starts = np.frombuffer(rest.content, "<u2", 256).astype(np.int64)
    raised = (starts[picture] + np.asarray(imagecodecs.jpegls_decode(rest.content[512:])) - range_ // 2) % range_
    assert np.array_equal(raised - (range_ // 2 if stored.dtype.kind == "i" else 0), stored)


async def test_colours_come_whole_whatever_was_asked_for(doors: PictureDoors, dicom_dir: Path) -> None:
    path = f"{await doors.take_in(dicom_dir / ULTRASOUND)}/frames/1/rendered"

    answer = await doors.get(path, STORED_VALUES, without="picture")

    assert "without" not in told(answer.headers["stored-values"])
    assert answer.content == (await doors.get(path, STORED_VALUES)).content


async def test_stored_values_tell_how_they_become_those_that_are_measured(doors: PictureDoors, dicom_dir: Path) -> None:
    answer = await doors.get(f"{await doors.take_in(dicom_dir / CT)}/frames/1/rendered", STORED_VALUES)

    about = told(answer.headers["stored-values"])
    assert (float(about["slope"]), float(about["intercept"])) == (1, -1000)
    assert (about["photometric"], about["inverted"], about["bits"]) == ("MONOCHROME2", "0", "12")


async def test_stored_values_are_plain_unless_something_lies_over_them(doors: PictureDoors, dicom_dir: Path) -> None:
    plain, overlaid = [
        told(
            (await doors.get(f"{await doors.take_in(dicom_dir / file)}/frames/1/rendered", STORED_VALUES)).headers[
                "stored-values"
            ]
        )
        for file in (CT, OVERLAID)
    ]

    assert plain["plain"] == "1"
    assert "plain" not in overlaid


async def test_frames_of_a_list_can_be_stored_values_too(doors: PictureDoors, dicom_dir: Path) -> None:
    file = dicom_dir / ENHANCED_MR

    answer = await doors.get(f"{await doors.take_in(file)}/frames/2,4/rendered", STORED_VALUES)

    digests = [told(part.headers["stored-values"])["sha-256"] for part in parts_of(answer)]
    assert digests == [hashlib.sha256(stored_values(file, index).tobytes()).hexdigest() for index in (1, 3)]


async def test_stored_values_of_more_than_16_bits_are_given_too(doors: PictureDoors, dicom_dir: Path) -> None:
    file = dicom_dir / "07-radiotherapy/rtdose.dcm"

    answer = await doors.get(f"{await doors.take_in(file)}/frames/1/rendered", STORED_VALUES)

    about = told(answer.headers["stored-values"])
    assert (answer.status_code, about["type"], about["bits"]) == (200, "uint32", "32")
    assert about["sha-256"] == hashlib.sha256(stored_values(file).tobytes()).hexdigest()
    high, low = np.split(np.asarray(imagecodecs.jpegls_decode(answer.content)).astype(np.uint32), 2)
    assert np.array_equal(high << 16 | low, stored_values(file))


async def test_who_is_not_logged_in_gets_no_picture(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await doors.take_in(dicom_dir / CT)

    answer = await doors.client.get(f"{path}/frames/1,1/rendered", headers={"Authorization": ""})

    assert answer.status_code == 401
