"""Planes and volumes as PS3.18 §8.3.5.3 and §10.4.1.1.7 ask for them, of real files."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import imagecodecs
import numpy as np
import pydicom
import pytest
import pytest_asyncio
from pydicom.uid import generate_uid

from appliance.domain.identifiers import InstitutionId, SeriesUid, StudyUid
from appliance.services.drawing_rules import DRAWING_RULES
from tests.http.picture_doors import PictureDoors, grey, numbers, picture_doors, series_of, told
from tests.rendering.test_films import seen
from tests.services.node_parts import ct_slice, encoded

pytestmark = pytest.mark.asyncio(loop_scope="module")

PET = "01-volumes/pet-qin-headneck-0024"
MR = "01-volumes/mr-head-sag-decubitus-left"
TILTED_CT = "01-volumes/ct-head-variable-tilt-ge"
PHASES = tuple(f"02-enhanced-multiframe/6_{number}.dcm" for number in range(1, 5))
PHASES_OF_ONE_INSTANCE = "02-enhanced-multiframe/d2n-philips-enhanced-fmri.dcm"
WITH_GAPS = "08-seg-parametric/highdicom-seg_image_ct_binary_overlap.dcm"
ELSEWHERE = InstitutionId(UUID(int=2))
WIDE = 2300
ONE_SLICE = "10-transfer-syntaxes/nema-ct1/CT1_UNC.explicit-le.dcm"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PictureDoors]:
    async with picture_doors(tmp_path_factory.mktemp("node")) as opened:
        yield opened


async def study_of_phases(doors: PictureDoors, dicom_dir: Path, times: dict[str, float | None]) -> str:
    """A study with a series for each of the files of ``times``, acquired so long after the R wave."""
    study = generate_uid()
    for file, time_ms in times.items():
        ds = pydicom.dcmread(dicom_dir / file)
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, generate_uid(), generate_uid()
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        if time_ms is not None:
            ds.CardiacRRIntervalSpecified = time_ms
        written = io.BytesIO()
        ds.save_as(written)
        await doors.parts.put(written.getvalue())
    return f"/dicom-web/studies/{study}"


# Films and phases; the examples of PS3.18 B.32 to B.35 are in test_examples_of_the_standard


async def test_a_swivel_is_a_film_of_as_many_frames_as_its_range_has_steps(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    instance = await doors.take_in(dicom_dir / PHASES[0])
    query = {"orientation": "a", "renderingmethod": "maximum_ip", "viewport": "64,64", "window": "500,1000"}

    film = await doors.get(
        f"{instance}/rendered3d", "video/mp4", **query, swivelrange="60", animationstepsize="20", animationrate="20"
    )

    assert (film.status_code, film.headers["content-type"]) == (200, "video/mp4")
    shown, durations_ms = seen(film.content, "video/mp4")
    assert durations_ms == pytest.approx([50] * 3, abs=1)
    still = grey((await doors.get(f"{instance}/rendered3d", "image/png", **query)).content)
    differences = [np.abs(one[..., 0].astype(int) - still).mean() for one in shown]
    assert 2 * differences[1] < min(differences[0], differences[2])


async def test_a_study_whose_series_are_phases_is_a_film_of_those_that_match(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    study = await study_of_phases(doors, dicom_dir, dict(zip(PHASES, (100, 150, 250, None), strict=True)))
    query = {
        "renderingmethod": "average_ip",
        "viewpointposition": "532,38,126",
        "viewpointlookat": "0,10,20",
        "viewpointup": "0,0,0",
        "window": "400,800,linear",
        "viewport": "64,64",
    }

    film = await doors.get(
        f"{study}/renderedmpr", "video/mp4", CardiacRRIntervalSpecified="140-260", animationrate="30", **query
    )

    assert (film.status_code, film.headers["content-type"]) == (200, "video/mp4")
    shown, durations_ms = seen(film.content, "video/mp4")
    assert durations_ms == pytest.approx([33] * 2, abs=1)
    for frame, time in zip(shown, ("150", "250"), strict=True):
        still = await doors.get(f"{study}/renderedmpr", "image/png", CardiacRRIntervalSpecified=time, **query)
        assert np.abs(frame[..., 0].astype(int) - grey(still.content)).mean() < 4


async def test_one_phase_of_a_series_is_named_by_one_of_its_instances(doors: PictureDoors, dicom_dir: Path) -> None:
    instances = [await doors.take_in(dicom_dir / file) for file in PHASES]
    series = instances[0].partition("/instances/")[0]
    query = {
        "renderingmethod": "maximum_ip",
        "mprslab": "20",
        "viewpointposition": "0,-99,20",
        "viewpointlookat": "0,0,20",
        "viewpointup": "0,0,1",
        "viewport": "256,256",
        "window": "700,1000,linear",
    }

    answers = [
        await doors.get(f"{series}/renderedmpr", "image/jpeg", volumeinputreference=one.rpartition("/")[2], **query)
        for one in instances
    ]

    assert [imagecodecs.jpeg8_decode(one.content).shape for one in answers] == [(256, 256)] * 4
    assert len({one.content for one in answers}) == 4
    alone = await doors.get(f"{instances[2]}/renderedmpr", "image/jpeg", **query)
    assert answers[2].content == alone.content


# Which volume


async def test_a_series_of_several_volumes_shows_the_one_that_is_asked_for(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    instance = await doors.take_in(dicom_dir / PHASES_OF_ONE_INSTANCE)
    series = instance.partition("/instances/")[0]

    answers = [await doors.get(f"{series}/renderedmpr", "image/png", volume=str(number)) for number in range(4)]
    fifth = await doors.get(f"{series}/renderedmpr", volume="4")

    assert [told(one.headers["rendered-volume"])["number"] for one in answers] == ["0", "1", "2", "3"]
    assert len({one.content for one in answers}) == 4
    assert (fifth.status_code, fifth.json()["parameter"]) == (400, "volume")


async def test_frames_of_an_instance_are_a_volume_by_themselves(doors: PictureDoors, dicom_dir: Path) -> None:
    instance = await doors.take_in(dicom_dir / PHASES[0])
    query = {"orientation": "l", "mprslab": "1000", "renderingmethod": "maximum_ip", "window": "400,800"}
    whole = await doors.get(f"{instance}/renderedmpr", "image/png", **query, fieldofview="300")

    part = await doors.get(
        f"{instance}/renderedmpr", "image/png", **query, fieldofview="300", volumeinputreference="1,2,3"
    )

    rows = [np.flatnonzero(grey(one.content).any(axis=1)) for one in (whole, part)]
    assert np.ptp(rows[1]) == pytest.approx(np.ptp(rows[0]) / 2, abs=4)


async def test_a_reference_to_nothing_is_400(doors: PictureDoors, dicom_dir: Path) -> None:
    instance = await doors.take_in(dicom_dir / PHASES[0])
    series = instance.partition("/instances/")[0]

    answers = [
        await doors.get(f"{series}/renderedmpr", volumeinputreference="1.2.3"),
        await doors.get(f"{instance}/renderedmpr", volumeinputreference="99"),
    ]

    assert [(one.status_code, one.json()["parameter"]) for one in answers] == [(400, "volumeinputreference")] * 2


async def test_attributes_that_nothing_has_are_404(doors: PictureDoors, dicom_dir: Path) -> None:
    series = (await doors.take_in(dicom_dir / PHASES[0])).partition("/instances/")[0]

    answer = await doors.get(f"{series}/renderedmpr", CardiacRRIntervalSpecified="140-260")

    assert (answer.status_code, answer.json()["type"]) == (404, "nothing-matches")


async def test_a_study_is_its_series_with_the_most_slices_whatever_else_is_in_it(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    series = await series_of(doors, dicom_dir / MR)
    study, _, uid = series.partition("/series/")

    answers = [await doors.get(f"{level}/renderedmpr", "image/png") for level in (study, series)]

    assert answers[0].content == answers[1].content
    assert told(answers[0].headers["rendered-volume"]) == {"series": uid, "number": "0"}


async def test_what_is_no_volume_is_refused_with_the_reason(doors: PictureDoors, dicom_dir: Path) -> None:
    series = (await doors.take_in(dicom_dir / ONE_SLICE)).partition("/instances/")[0]

    for level in (series, series.partition("/series/")[0]):
        answer = await doors.get(f"{level}/rendered3d")

        assert (answer.status_code, answer.json()["type"]) == (422, "not-a-volume")
        assert answer.json()["title"] == "The series is a single picture."


async def test_what_is_held_back_from_another_institution_has_no_volume_either(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    instance = await doors.take_in(dicom_dir / PHASES[0])
    series = instance.partition("/instances/")[0]
    stranger = doors.token(at=ELSEWHERE)

    for level in (instance, series, series.partition("/series/")[0]):
        for query in ("", "?renderedvolumetricmetadata=yes", "?swivelrange=90"):
            answer = await doors.client.get(f"{level}/renderedmpr{query}", headers=stranger)
            assert answer.status_code == 404


# Where it lies, and what is missing


async def test_a_plane_at_the_place_of_a_slice_is_that_slice_and_says_so(doors: PictureDoors, dicom_dir: Path) -> None:
    series = await series_of(doors, dicom_dir / MR)
    ds = pydicom.dcmread(sorted((dicom_dir / MR).iterdir())[17])
    position, orientation = np.array(ds.ImagePositionPatient, float), np.array(ds.ImageOrientationPatient, float)
    across, down = orientation[:3], orientation[3:]
    middle = position + (across + down) * (255 / 2) * float(ds.PixelSpacing[0])
    query = {
        "viewpointlookat": ",".join(map(str, middle)),
        "viewpointposition": ",".join(map(str, middle - 100 * np.cross(across, down))),
        "viewpointup": ",".join(map(str, -down)),
        "fieldofview": str(256 * float(ds.PixelSpacing[0])),
        "viewport": "256,256",
        "window": "300,600",
    }

    plane = await doors.get(f"{series}/renderedmpr", "image/png", **query)

    place = told(plane.headers["rendered-place"])
    assert numbers(place["position"]) == pytest.approx(position, abs=1e-2)
    assert numbers(place["across"]) + numbers(place["down"]) == pytest.approx(orientation, abs=1e-5)
    assert numbers(place["spacing"]) == pytest.approx(ds.PixelSpacing, rel=1e-5)
    assert place["frame-of-reference"] == ds.FrameOfReferenceUID
    slice_of_file = await doors.get(f"{series}/instances/{ds.SOPInstanceUID}/rendered", "image/png", window="300,600")
    assert np.abs(grey(plane.content) - grey(slice_of_file.content)).max() <= 1


async def test_metadata_of_a_plane_repeat_the_request_and_lead_to_the_same_picture(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    series = await series_of(doors, dicom_dir / MR)
    first = await doors.get(f"{series}/renderedmpr", "image/png", orientation="a", mprslab="12")

    module = await doors.get(f"{series}/renderedmpr", orientation="a", mprslab="12", renderedvolumetricmetadata="yes")
    said = {tag: element["Value"] for tag, element in module.json().items()}
    again = await doors.get(
        f"{series}/renderedmpr",
        "image/png",
        renderingmethod=said["0070120D"][0].lower(),
        viewpointposition=",".join(map(str, said["00701603"])),
        viewpointlookat=",".join(map(str, said["00701604"])),
        viewpointup=",".join(map(str, said["00701605"])),
        mprslab=str(said["00701503"][0]),
        window=f"{said['00281050'][0]},{said['00281051'][0]},{said['00281056'][0].lower()}",
    )

    assert said["00720510"] == ["MPR"]
    assert again.content == first.content
    assert said["00200032"] == pytest.approx(numbers(told(first.headers["rendered-place"])["position"]), abs=1e-2)


async def test_gaps_and_what_else_is_wrong_are_told(doors: PictureDoors, dicom_dir: Path) -> None:
    series = (await doors.take_in(dicom_dir / WITH_GAPS)).partition("/instances/")[0]
    tilted = await series_of(doors, dicom_dir / TILTED_CT)

    with_gaps, uneven = [await doors.get(f"{one}/renderedmpr") for one in (series, tilted)]

    assert float(with_gaps.headers["volume-gaps"]) == pytest.approx(201.2, abs=2.5)
    assert "gaps between the slices" in with_gaps.headers["warning"]
    assert "volume-gaps" not in uneven.headers
    assert "The gantry was tilted by 18.5 degrees" in uneven.headers["warning"]


async def test_a_volume_that_is_too_large_is_drawn_reduced_and_says_how_much(tmp_path: Path, dicom_dir: Path) -> None:
    async with picture_doors(tmp_path, texture_cache_bytes=4 * 1024**2) as small:
        series = await series_of(small, dicom_dir / MR)

        query = {"renderingmethod": "maximum_ip", "viewport": "256,256"}
        answer = await small.get(f"{series}/rendered3d", "image/png", **query)
        module = (
            await small.get(f"{series}/rendered3d", "application/dicom+json", **query, renderedvolumetricmetadata="yes")
        ).json()
        plane = await small.get(f"{series}/renderedmpr", "image/png", viewport="512,512")

    assert answer.headers["volume-reduced"] == "1,2,2"
    assert answer.headers["cache-control"] == "no-store"
    assert module["00710010"]["Value"] == ["APPLIANCE VOLUME"]
    assert (module["00711001"]["Value"], module["00711002"]["Value"]) == ([1], [1, 2, 2])
    # Of a plane only the slices that it goes through need to be there.
    assert "volume-reduced" not in plane.headers


async def series_of_wide_slices(doors: PictureDoors) -> str:
    """Three slices of 40 rows of 2,300 columns, one wider than a 3D texture of software may be; columns differ one by one."""
    rng = np.random.default_rng(3)
    for number in range(3):
        ds = ct_slice(number + 1, study="1.9.8", series="1.9.8.1", z=float(number))
        ds.Rows, ds.Columns = 40, WIDE
        ds.PixelData = np.tile(rng.integers(0, 1000, WIDE), (40, 1)).astype("<u2").tobytes()
        await doors.parts.put(encoded(ds))
    return "/dicom-web/studies/1.9.8/series/1.9.8.1"


async def test_a_volume_beyond_the_largest_texture_is_drawn_reduced_and_a_close_up_from_all_of_its_voxels(
    doors: PictureDoors,
) -> None:
    series = await series_of_wide_slices(doors)
    # Pixels in the middles of voxels, of the middle slice, from the feet: columns 968 to 1031.
    x, y, z = 0.25 * 999.5, 10.0, 1.0
    close = {"viewpointposition": f"{x},{y},{z - 100}", "viewpointlookat": f"{x},{y},{z}", "viewpointup": "0,-1,0"}
    query = {"window": "-524,1000,linear-exact", "viewport": "64,32"}

    whole = await doors.get(f"{series}/renderedmpr", "image/png", **query)
    near = await doors.get(f"{series}/renderedmpr", "image/png", **query, **close, fieldofview="8", rules=DRAWING_RULES)
    projected = await doors.get(
        f"{series}/rendered3d", "image/png", **query, **close, fieldofview="8", renderingmethod="maximum_ip"
    )

    assert whole.headers["volume-reduced"] == "1,1,2"
    assert "volume-reduced" not in near.headers
    assert "volume-reduced" not in projected.headers
    assert "immutable" in near.headers["cache-control"]
    rng = np.random.default_rng(3)
    slices = np.array([rng.integers(0, 1000, WIDE) for _ in range(3)])[:, 968:1032]
    assert np.abs(grey(near.content) - slices[1] / 1000 * 255).max() <= 1
    assert np.abs(grey(projected.content)[16] - slices.max(axis=0) / 1000 * 255).max() <= 2


async def test_a_close_up_of_a_volume_beyond_the_memory_shows_what_a_larger_one_would(
    tmp_path: Path, doors: PictureDoors, dicom_dir: Path
) -> None:
    series = await series_of(doors, dicom_dir / MR)
    oblique = {"viewpointposition": "100,-150,60", "viewpointlookat": "0,0,0", "viewport": "128,128", "zoom": "5"}
    async with picture_doors(tmp_path, texture_cache_bytes=4 * 1024**2) as small:
        await series_of(small, dicom_dir / MR)

        answers = [await one.get(f"{series}/renderedmpr", "image/png", **oblique) for one in (doors, small)]

    large, little = [grey(answer.content) for answer in answers]
    assert "volume-reduced" not in answers[1].headers
    assert large.std() > 20
    assert np.abs(large - little).max() <= 1


async def test_a_close_up_of_a_volume_beyond_the_memory_is_lit_as_the_whole_is(
    tmp_path: Path, doors: PictureDoors, dicom_dir: Path
) -> None:
    series = await series_of(doors, dicom_dir / TILTED_CT)
    told_of = await doors.get(f"{series}/rendered3d", "application/dicom+json", renderedvolumetricmetadata="yes")
    x, y, z = told_of.json()["00701604"]["Value"]
    # Brain alone: beside its own few values noise would be steep, and lit as if it were a surface.
    box = f"{x - 15},{y - 15},{z - 15},{x + 15},{y + 15},{z + 15}"
    query = {"preset": "soft-tissue", "viewport": "128,128", "fieldofview": "32", "clip": box}
    async with picture_doors(tmp_path, texture_cache_bytes=8 * 1024**2) as small:
        await series_of(small, dicom_dir / TILTED_CT)

        answers = [await settled(one, f"{series}/rendered3d", **query) for one in (doors, small)]
        whole = await small.get(f"{series}/rendered3d", "image/png", viewport="64,64")

    assert "volume-reduced" in whole.headers
    large, little = [np.asarray(imagecodecs.png_decode(answer.content)).astype(int) for answer in answers]
    assert large.std() > 10
    assert np.abs(large - little).mean() < 0.5


async def settled(doors: PictureDoors, path: str, **query: str) -> httpx.Response:
    """A picture when all that it shows is there, as fine as it is."""
    async with asyncio.timeout(120):
        while True:
            answer = await doors.get(path, "image/png", **query)
            assert answer.status_code == 200
            if answer.headers["cache-control"] != "no-store":
                return answer


# Windows and tables of the files


async def chest_with(doors: PictureDoors, dicom_dir: Path, **changes: object) -> tuple[str, pydicom.Dataset]:
    """A series of six slices of a real chest with other attributes, and one of them in it, the fourth."""
    series, slices = generate_uid(), []
    for file in sorted((dicom_dir / "01-volumes" / "ct-chest-lidc-0314").iterdir())[:6]:
        ds = pydicom.dcmread(file)
        ds.SeriesInstanceUID, ds.SOPInstanceUID = series, generate_uid()
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        del ds.WindowCenter, ds.WindowWidth
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
        await doors.parts.put(encoded(ds))
        slices.append(ds)
    return f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{series}", slices[3]


def in_slice(ds: pydicom.Dataset) -> dict[str, str]:
    """The plane that shows the pixels of a slice as they are."""
    half = [
        (side - 1) / 2 * spacing for side, spacing in zip((ds.Columns, ds.Rows), ds.PixelSpacing[::-1], strict=True)
    ]
    x, y, z = (float(a) + b for a, b in zip(ds.ImagePositionPatient, (*half, 0.0), strict=True))
    return {
        "viewpointposition": f"{x},{y},{z - 500}",
        "viewpointlookat": f"{x},{y},{z}",
        "viewpointup": "0,-1,0",
        "viewport": f"{ds.Columns},{ds.Rows}",
        "fieldofview": f"{ds.Rows * ds.PixelSpacing[0]}",
    }


def bent_table() -> pydicom.Sequence:
    """A VOI LUT from -900 HU on that rises and falls, as no window can."""
    item = pydicom.Dataset()
    item.LUTDescriptor = [1500, -900, 12]
    item.LUTData = np.rint(2047.5 - 2047.5 * np.cos(np.arange(1500) / 160)).astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "SS", "OW"
    return pydicom.Sequence([item])


async def test_a_plane_of_a_ct_with_a_voi_lut_is_seen_through_it(doors: PictureDoors, dicom_dir: Path) -> None:
    series, ds = await chest_with(doors, dicom_dir, VOILUTSequence=bent_table())

    usual, chosen = [
        await doors.get(f"{series}/renderedmpr", "image/png", **in_slice(ds), **choice)
        for choice in ({}, {"voi": "lut,1"})
    ]
    frame = await doors.get(f"{series}/instances/{ds.SOPInstanceUID}/frames/1/rendered", "image/png", voi="lut,1")
    projection = {"renderingmethod": "maximum_ip", "orientation": "h", "viewport": "64,64"}
    projected, usual_of_ct = [
        await doors.get(f"{series}/rendered3d", "image/png", **projection, **choice)
        for choice in ({"voi": "lut,1"}, {})
    ]

    assert usual.status_code == 200
    assert "rendered-window" not in usual.headers
    assert grey(frame.content).std() > 40
    assert np.abs(grey(usual.content) - grey(frame.content)).max() <= 1
    assert chosen.content == usual.content
    assert (projected.status_code, "rendered-window" in projected.headers) == (200, False)
    assert np.abs(grey(projected.content) - grey(usual_of_ct.content)).mean() > 10


async def test_each_window_of_a_ct_can_be_chosen_for_its_planes_and_projections(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    series, ds = await chest_with(doors, dicom_dir, WindowCenter=[40, -450], WindowWidth=[400, 1500])

    second, third = [
        await doors.get(f"{series}/renderedmpr", "image/png", **in_slice(ds), voi=f"window,{n}") for n in (2, 3)
    ]
    frame = await doors.get(f"{series}/instances/{ds.SOPInstanceUID}/frames/1/rendered", "image/png", voi="window,2")
    projection = {"renderingmethod": "minimum_ip", "viewport": "64,64"}
    projected, as_window = [
        await doors.get(f"{series}/rendered3d", "image/png", **projection, **choice)
        for choice in ({"voi": "window,2"}, {"window": "-450,1500"})
    ]

    assert second.headers["rendered-window"] == "-450,1500,linear"
    assert np.abs(grey(second.content) - grey(frame.content)).max() <= 1
    assert projected.content == as_window.content
    assert (third.status_code, third.json()["type"]) == (422, "no-such-voi")


async def test_a_window_of_the_file_is_not_chosen_for_what_has_colours_or_another_window(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    series = await series_of(doors, dicom_dir / MR)

    lit = await doors.get(f"{series}/rendered3d", voi="window,1")
    both = await doors.get(f"{series}/renderedmpr", voi="window,1", window="40,400")

    assert [(each.status_code, each.json()["parameter"]) for each in (lit, both)] == [(400, "voi")] * 2


# What is ours


async def test_presets_are_data_of_which_points_make_the_same_picture(doors: PictureDoors, dicom_dir: Path) -> None:
    series = await series_of(doors, dicom_dir / TILTED_CT)
    listed = (await doors.get("/api/volume-presets")).json()["presets"]
    vessels = next(preset for preset in listed if preset["name"] == "vessels")
    query = {"viewport": "96,96"}

    by_name = await doors.get(f"{series}/rendered3d", "image/png", preset="vessels", **query)
    by_points = await doors.get(
        f"{series}/rendered3d",
        "image/png",
        transferpoints=",".join(str(part) for point in vessels["points"] for part in point),
        lighting=",".join(map(str, vessels["light"])),
        **query,
    )

    assert {"bone", "vessels", "lung", "skin", "mr"} <= {preset["name"] for preset in listed}
    assert by_name.content == by_points.content


async def test_an_unknown_preset_is_400_and_one_of_another_modality_422(doors: PictureDoors, dicom_dir: Path) -> None:
    series = await series_of(doors, dicom_dir / MR)

    unknown, of_ct = [await doors.get(f"{series}/rendered3d", preset=name) for name in ("gold", "bone")]

    assert (unknown.status_code, unknown.json()["parameter"]) == (400, "preset")
    assert (of_ct.status_code, of_ct.json()["type"]) == (422, "preset-not-of-modality")


async def test_an_opaque_red_without_light_is_red(doors: PictureDoors, dicom_dir: Path) -> None:
    series = await series_of(doors, dicom_dir / MR)

    answer = await doors.get(
        f"{series}/rendered3d",
        "image/png",
        transferpoints="-1000,1,0,0,1,100000,1,0,0,1",
        lighting="off",
        viewport="32,32",
        zoom="4",
    )

    pixels = np.asarray(imagecodecs.png_decode(answer.content))
    assert (pixels[..., 0] > 250).all() and not pixels[..., 1:].any()


async def test_nothing_is_drawn_outside_of_a_clip_box(doors: PictureDoors, dicom_dir: Path) -> None:
    series = await series_of(doors, dicom_dir / MR)
    query = {"renderingmethod": "maximum_ip", "viewport": "64,64", "fieldofview": "260"}
    whole = grey((await doors.get(f"{series}/rendered3d", "image/png", **query)).content)

    # The volume's middle is at x = 0, and seen from the front the patient's left is on the right.
    left = await doors.get(f"{series}/rendered3d", "image/png", clip="0,-999,-999,999,999,999", **query)

    assert not grey(left.content)[:, :31].any()
    assert np.array_equal(grey(left.content)[:, 33:], whole[:, 33:])


@pytest.mark.parametrize(
    "query",
    [{"gamma": "2.2"}, {"filter": "cubic"}, {"zoom": "1.5"}, {"invert": "1"}, {"quality": "30"}],
)
async def test_what_is_asked_for_changes_a_plane(doors: PictureDoors, dicom_dir: Path, query: dict[str, str]) -> None:
    series = await series_of(doors, dicom_dir / MR)

    plain, changed = [await doors.get(f"{series}/renderedmpr", **one) for one in ({}, query)]

    assert changed.status_code == 200
    assert changed.content != plain.content


async def test_a_curve_that_is_straight_is_that_plane(doors: PictureDoors, dicom_dir: Path) -> None:
    series = await series_of(doors, dicom_dir / MR)
    query = {"viewport": "100,80", "fieldofview": "160", "window": "300,600"}

    curved = await doors.get(f"{series}/renderedmpr", "image/png", curve="-100,5,10,0,5,10,0,5,10,100,5,10", **query)
    bent = await doors.get(f"{series}/renderedmpr", "image/png", curve="-100,5,10,0,40,10,100,5,10", **query)
    plane = await doors.get(
        f"{series}/renderedmpr",
        "image/png",
        viewpointposition="0,-95,10",
        viewpointlookat="0,5,10",
        viewpointup="0,0,1",
        **query,
    )

    assert np.abs(grey(curved.content) - grey(plane.content)).max() <= 1
    assert np.abs(grey(bent.content) - grey(plane.content)).mean() > 2
    assert set(told(curved.headers["rendered-place"])) == {"spacing", "frame-of-reference"}


async def test_perspective_shows_what_is_near_larger(doors: PictureDoors, dicom_dir: Path) -> None:
    series = await series_of(doors, dicom_dir / MR)
    query = {
        "renderingmethod": "maximum_ip",
        "viewpointposition": "0,-200,0",
        "viewpointlookat": "0,100,0",
        "viewport": "64,64",
        "fieldofview": "400",
        "window": "100,200",
    }

    parallel, perspective = [
        grey((await doors.get(f"{series}/rendered3d", "image/png", **query, perspective=flag)).content)
        for flag in ("0", "1")
    ]

    assert (perspective > 128).sum() > 1.2 * (parallel > 128).sum()


async def test_a_second_series_lies_over_the_first_in_the_colours_of_hot_metal(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    study = await study_of_phases(doors, dicom_dir, dict.fromkeys(PHASES[:2]))
    one, other = [
        summary.series_uid for summary in (await doors.parts.catalogue.study(StudyUid(study.rpartition("/")[2]))).series
    ]
    query = {"viewport": "64,64", "window": "400,800"}
    for path, more in (("renderedmpr", {}), ("rendered3d", {"renderingmethod": "maximum_ip"})):
        below, above = [
            grey((await doors.get(f"{study}/series/{uid}/{path}", "image/png", **query, **more)).content)
            for uid in (one, other)
        ]

        answer = await doors.get(
            f"{study}/series/{one}/{path}",
            "image/png",
            fuse=other,
            fusewindow="400,800",
            fuseopacity="0.6",
            **query,
            **more,
        )

        share = 0.6 * above[..., None] / 255
        colours = np.clip(above[..., None] / 255 * 3 - np.arange(3), 0, 1) * 255
        expected = below[..., None] * (1 - share) + colours * share
        assert above.max() > 100
        assert np.abs(np.asarray(imagecodecs.png_decode(answer.content)) - expected).max() <= 1


async def test_gaps_of_a_series_that_is_laid_over_another_are_told_as_those_of_the_other(doors: PictureDoors) -> None:
    for series, places in (("1.9.7.1", range(12)), ("1.9.7.2", (0, 1, 2, 3, 9, 10, 11))):
        for number, z in enumerate(places):
            ds = ct_slice(number + 1, study="1.9.7", series=series, z=float(z))
            ds.FrameOfReferenceUID = "1.9.7.9"
            await doors.parts.put(encoded(ds))
    series = "/dicom-web/studies/1.9.7/series/1.9.7."
    query = {"viewport": "16,16", "fuse": "1.9.7.2"}

    answer = await doors.get(f"{series}1/renderedmpr", **query)
    module = await doors.get(
        f"{series}1/renderedmpr", "application/dicom+json", **query, renderedvolumetricmetadata="yes"
    )
    alone = await doors.get(f"{series}2/renderedmpr", viewport="16,16")

    assert "volume-gaps" not in answer.headers
    assert answer.headers["fused-gaps"] == alone.headers["volume-gaps"] == "5.00"
    assert "Laid over it: " in answer.headers["warning"]
    assert alone.headers["warning"].removeprefix('299 - "') in answer.headers["warning"]
    assert (module.headers["fused-gaps"], module.headers["warning"]) == ("5.00", answer.headers["warning"])
    assert (module.json()["00711003"]["Value"], module.json()["00711005"]["Value"]) == ([0], [5])


async def test_series_that_do_not_share_a_space_are_not_fused(doors: PictureDoors, dicom_dir: Path) -> None:
    one = (await doors.take_in(dicom_dir / PHASES[0])).partition("/instances/")[0]
    study = await study_of_phases(doors, dicom_dir, {PHASES[0]: None, PHASES_OF_ONE_INSTANCE: None})
    series = (await doors.parts.catalogue.study(StudyUid(study.rpartition("/")[2]))).series

    elsewhere = await doors.get(f"{study}/series/{series[0].series_uid}/renderedmpr", fuse=series[1].series_uid)
    absent = await doors.get(f"{one}/renderedmpr", fuse="1.2.3")
    composited = await doors.get(f"{one}/rendered3d", fuse=one.rpartition("/")[2])

    assert (elsewhere.status_code, elsewhere.json()["type"]) == (422, "other-frame-of-reference")
    assert absent.status_code == 404
    assert (composited.status_code, composited.json()["parameter"]) == (400, "fuse")


async def test_while_the_camera_moves_nothing_is_kept(doors: PictureDoors, dicom_dir: Path) -> None:
    series = await series_of(doors, dicom_dir / MR)

    moving = await doors.get(f"{series}/rendered3d", interactive="1")
    resting = await doors.get(f"{series}/renderedmpr", viewport="64,64", rules=DRAWING_RULES)
    again = await doors.client.get(
        f"{series}/renderedmpr", params={"viewport": "64,64"}, headers={"If-None-Match": resting.headers["etag"]}
    )

    assert moving.headers["cache-control"] == "no-store" and "etag" not in moving.headers
    assert "immutable" in resting.headers["cache-control"]
    assert again.status_code == 304


async def test_a_film_of_planes_along_a_curve_shows_the_slices_that_it_passes(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    series = await series_of(doors, dicom_dir / PET, step=6)
    detail = await doors.parts.catalogue.series(*uids_of(series))
    first, last = detail.slices[10].position, detail.slices[14].position
    assert first is not None and last is not None
    query = {"window": "5000,10000", "viewport": "64,64", "fieldofview": "600"}

    film = await doors.get(
        f"{series}/renderedmpr",
        "image/webp",
        quality="100",
        volumetriccurvepoint=f"0,0,{first[2]},0,0,{last[2]}",
        animationstepsize=str(abs(last[2] - first[2]) / 4),
        **query,
    )

    shown, _ = seen(film.content, "image/webp")
    assert len(shown) == 4
    for frame, one in zip(shown, detail.slices[10:14], strict=True):
        assert one.position is not None
        still = await doors.get(
            f"{series}/renderedmpr",
            "image/png",
            viewpointposition=f"0,0,{one.position[2] - 1}",
            viewpointlookat=f"0,0,{one.position[2]}",
            **query,
        )
        assert np.abs(frame[..., 0].astype(int) - grey(still.content)).max() <= 1


def uids_of(series: str) -> tuple[StudyUid, SeriesUid]:
    _, _, _, study, _, uid = series.split("/")
    return StudyUid(study), SeriesUid(uid)


async def test_a_film_that_is_too_large_is_413(doors: PictureDoors, dicom_dir: Path) -> None:
    series = await series_of(doors, dicom_dir / MR)

    answer = await doors.get(f"{series}/renderedmpr", swivelrange="360", animationstepsize="1", viewport="1024,1024")

    assert (answer.status_code, answer.json()["type"]) == (413, "film-too-large")
