"""Parts of a series as a series of their own."""

from __future__ import annotations

from appliance.domain.identifiers import InstanceUid, SeriesUid
from appliance.domain.image import FrameDescription, ImageDescription, PixelFormat, StoredImage, StoredSeries
from appliance.services.volume_inputs import narrowed


def image(number: int, frames: int = 1) -> StoredImage:
    description = ImageDescription(
        InstanceUid(f"1.2.{number}"),
        "1.2.840.10008.5.1.4.1.1.4.1",
        "1.2.840.10008.1.2.1",
        "MR",
        PixelFormat(4, 4, 1, 16, 12, 11, False, "MONOCHROME2"),
        tuple(FrameDescription(((32 * index, 32),)) for index in range(frames)),
    )
    return StoredImage(f"key {number}", description)


SERIES = StoredSeries(SeriesUid("1.2"), "as it is", (image(1, 3), image(2), image(3)))


def test_a_part_has_only_its_images_and_frames_and_a_version_of_its_own() -> None:
    part = narrowed(SERIES, {InstanceUid("1.2.1"): [2, 0], InstanceUid("1.2.3"): [0]})

    assert [one.key for one in part.images] == ["key 1", "key 3"]
    assert [frame.fragments for frame in part.images[0].description.frames] == [((0, 32),), ((64, 32),)]
    assert part.series_uid == SERIES.series_uid
    assert part.version != SERIES.version


def test_the_same_part_has_the_same_version_however_it_was_named() -> None:
    ways = [{InstanceUid("1.2.1"): frames} for frames in ([0, 1], (1, 0, 1))]

    assert narrowed(SERIES, ways[0]).version == narrowed(SERIES, ways[1]).version
    assert narrowed(SERIES, {InstanceUid("1.2.1"): [0, 2]}).version != narrowed(SERIES, ways[0]).version


def test_all_of_a_series_is_the_series_itself() -> None:
    whole = {one.description.instance_uid: range(len(one.description.frames)) for one in SERIES.images}

    assert narrowed(SERIES, whole) is SERIES
