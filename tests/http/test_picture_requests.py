"""Query strings of pictures: what they mean, and what is refused by the name of the parameter."""

from __future__ import annotations

import pytest

from appliance.domain.errors import BadRequest, NotAcceptable, NotFound
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, ImageDescription, PixelFormat, Window
from appliance.domain.views import (
    STORED_VALUES,
    Encoding,
    Region,
    SliceView,
    Viewport,
)
from appliance.domain.voi import VoiChoice
from appliance.http import picture_requests
from appliance.http.picture_requests import Asked, Form

CAN_MAKE = ("image/jpeg", "image/png", "image/webp", "image/jxl")
IMAGE = ImageDescription(
    instance_uid=InstanceUid("1.2"),
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    modality="CT",
    pixel_format=PixelFormat(300, 400, 1, 16, 12, 11, False, "MONOCHROME2"),
    frames=(FrameDescription(((0, 1),)),) * 3,
)


def asked(header: str | None = None, **query: str) -> Asked:
    return Asked.of(query, header, CAN_MAKE)


def slice_of(header: str | None = None, **query: str) -> SliceView:
    return picture_requests.slice_view(IMAGE, 1, asked(header, **query))


def test_frame_1_is_the_first() -> None:
    assert picture_requests.slice_view(IMAGE, 3, asked()).frame_index == 2


def test_frame_0_is_refused() -> None:
    with pytest.raises(BadRequest):
        picture_requests.slice_view(IMAGE, 0, asked())


def test_a_frame_after_the_last_is_not_found() -> None:
    with pytest.raises(NotFound) as caught:
        picture_requests.slice_view(IMAGE, 4, asked())

    assert caught.value.key == "no-such-frame"


def test_layers_lie_over_a_picture_unless_they_are_left_out() -> None:
    assert slice_of().layers
    assert slice_of(layers="1").layers
    assert not slice_of(layers="0").layers


def test_a_window_has_center_width_and_function() -> None:
    assert slice_of(window="40,400,sigmoid").window == Window(40, 400, "sigmoid")


def test_a_window_without_function_is_linear() -> None:
    assert slice_of(window="-600.5,1500").window == Window(-600.5, 1500, "linear")


@pytest.mark.parametrize("window", ["40", "40,400,cubic", "a,b", "40,0", "nan,400", "40,inf", "1,2,linear,3", ""])
def test_a_window_that_is_none_is_refused(window: str) -> None:
    with pytest.raises(BadRequest) as caught:
        slice_of(window=window)

    assert caught.value.fields["parameter"] == "window"


@pytest.mark.parametrize(("voi", "expected"), [("window,1", VoiChoice("window", 0)), ("lut,3", VoiChoice("lut", 2))])
def test_a_window_or_table_of_the_file_is_asked_for_by_its_number(voi: str, expected: VoiChoice) -> None:
    assert slice_of(voi=voi).voi == expected


@pytest.mark.parametrize(
    "query", [{"voi": "lut"}, {"voi": "lut,0"}, {"voi": "table,1"}, {"voi": "lut,1", "window": "1,2"}]
)
def test_a_choice_that_is_none_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as caught:
        slice_of(**query)

    assert caught.value.fields["parameter"] == "voi"


def test_a_region_that_is_not_said_ends_at_the_edges() -> None:
    assert slice_of(viewport="64,48,,,,").viewport == Viewport(64, 48, Region(0, 0, 400, 300))
    assert slice_of(viewport="64,48,100,,,200").viewport == Viewport(64, 48, Region(100, 0, 300, 200))


def test_a_negative_width_mirrors_and_a_negative_height_turns_upside_down() -> None:
    assert slice_of(viewport="64,48,10,20,-30,40").viewport == Viewport(
        64, 48, Region(10, 20, 30, 40), is_mirrored=True
    )
    assert slice_of(viewport="64,48,10,20,30,-40").viewport == Viewport(
        64, 48, Region(10, 20, 30, 40), is_upside_down=True
    )


@pytest.mark.parametrize("viewport", ["64,48,400,0,1,1", "64,48,0,300,1,1", "64,48,0,0,0,5"])
def test_a_region_beside_the_frame_is_refused(viewport: str) -> None:
    with pytest.raises(BadRequest) as caught:
        slice_of(viewport=viewport)

    assert caught.value.fields["parameter"] == "viewport"


@pytest.mark.parametrize(
    ("accept", "count", "expected"),
    [
        (None, 1, Form("image/jpeg", is_multipart=False)),
        (None, 2, Form("image/jpeg", is_multipart=True)),
        ("image/png", 2, Form("image/png", is_multipart=True)),
        ('multipart/related; type="image/png"', 1, Form("image/png", is_multipart=True)),
        ("multipart/related", 1, Form("image/jpeg", is_multipart=True)),
        ('multipart/related; type="image/heic", image/webp', 1, Form("image/webp", is_multipart=False)),
        ("image/avif, */*;q=0.1", 1, Form("image/jpeg", is_multipart=False)),
        (STORED_VALUES, 1, Form(STORED_VALUES, is_multipart=False)),
    ],
)
def test_several_frames_come_as_parts_and_one_as_it_is_asked_for(
    accept: str | None, count: int, expected: Form
) -> None:
    assert asked(accept).form(count) == expected


@pytest.mark.parametrize(
    ("accept", "count", "expected"),
    [
        ("video/mp4", 1, Form("video/mp4", is_multipart=False, is_film=True)),
        ("image/webp", 2, Form("image/webp", is_multipart=False, is_film=True)),
        ("image/webp", 1, Form("image/webp", is_multipart=False)),
        ('multipart/related; type="image/webp"', 2, Form("image/webp", is_multipart=True)),
    ],
)
def test_a_film_is_what_several_frames_of_one_image_become(accept: str, count: int, expected: Form) -> None:
    can_animate = ("image/gif", "image/webp", "video/mp4")

    assert Asked.of({}, accept, CAN_MAKE, can_animate).form(count) == expected


def test_frames_of_several_images_are_no_film() -> None:
    with pytest.raises(NotAcceptable):
        Asked.of({}, "video/mp4", CAN_MAKE, ("video/mp4",)).form(2, of_one_image=False)


@pytest.mark.parametrize("parameter", ["window", "viewport", "quality", "invert"])
def test_stored_values_are_not_changed_by_any_parameter(parameter: str) -> None:
    query = {"window": "40,400", "viewport": "1,1", "quality": "5", "invert": "1"}[parameter]

    with pytest.raises(BadRequest) as caught:
        slice_of(STORED_VALUES, **{parameter: query})

    assert caught.value.fields["parameter"] == parameter


def test_what_a_picture_does_not_tell_depends_on_its_window() -> None:
    view = slice_of(STORED_VALUES, without="picture", window="40,400", invert="1")

    assert (view.without_picture, view.window, view.invert) == (True, Window(40, 400), True)
    assert not slice_of(STORED_VALUES).without_picture
    assert not slice_of("image/png", without="picture").without_picture


@pytest.mark.parametrize(("parameter", "value"), [("viewport", "1,1"), ("quality", "5"), ("without", "colour")])
def test_what_a_picture_does_not_tell_depends_on_nothing_else(parameter: str, value: str) -> None:
    with pytest.raises(BadRequest) as caught:
        slice_of(STORED_VALUES, **{"without": "picture", parameter: value})

    assert caught.value.fields["parameter"] == parameter


@pytest.mark.parametrize(("profile", "expected"), [("no", False), ("yes", True), ("srgb", True)])
def test_a_profile_is_put_in_when_it_is_asked_for(profile: str, expected: bool) -> None:
    assert slice_of("image/png", iccprofile=profile).encoding.has_profile is expected


@pytest.mark.parametrize(("accept", "profile"), [("image/png", "adobergb"), ("image/jxl", "srgb")])
def test_a_profile_that_cannot_be_is_refused(accept: str, profile: str) -> None:
    with pytest.raises(BadRequest) as caught:
        slice_of(accept, iccprofile=profile)

    assert caught.value.fields["parameter"] == "iccprofile"


def test_a_thumbnail_has_a_size_of_its_own() -> None:
    assert picture_requests.thumbnail_view(IMAGE, 2, asked()).viewport == Viewport(160, 160)
    assert picture_requests.thumbnail_view(IMAGE, 2, asked(viewport="80,64")).viewport == Viewport(80, 64)
    with pytest.raises(BadRequest):
        picture_requests.thumbnail_view(IMAGE, 2, asked(viewport="513,64"))


def test_parameters_that_are_not_known_are_passed_over() -> None:
    assert slice_of(contrast="3") == slice_of()


def test_a_viewport_has_a_size_and_perhaps_a_region() -> None:
    assert slice_of(viewport="640,480").viewport == Viewport(640, 480)
    assert slice_of(viewport="64,48,10.5,20,128,96").viewport == Viewport(64, 48, Region(10.5, 20, 128, 96))


@pytest.mark.parametrize("viewport", ["640", "0,480", "640,-1", "99999,2", "1,2,3", "1,2,3,4,0,6", "a,b", "1e3,5"])
def test_a_viewport_that_is_none_is_refused(viewport: str) -> None:
    with pytest.raises(BadRequest) as caught:
        slice_of(viewport=viewport)

    assert caught.value.fields["parameter"] == "viewport"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "image/jpeg"),
        ("*/*", "image/jpeg"),
        ("image/png", "image/png"),
        ("image/webp;q=0.5, image/png", "image/png"),
        ("image/avif, image/webp, */*;q=0.1", "image/webp"),
        ("image/jxl", "image/jxl"),
        ("image/jpeg;q=0, image/png", "image/png"),
    ],
)
def test_accept_chooses_the_media_type_that_is_wanted_most(accept: str | None, expected: str) -> None:
    assert slice_of(accept).encoding.media_type == expected


@pytest.mark.parametrize("accept", ["video/mp4", "application/dicom", "image/jpeg;q=0"])
def test_a_media_type_that_cannot_be_made_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        slice_of(accept)


def test_the_accept_parameter_wins_over_the_header() -> None:
    assert slice_of("image/jpeg", accept="image/png").encoding.media_type == "image/png"


@pytest.mark.parametrize(
    ("accept", "quality", "expected"),
    [
        ("image/webp", "100", Encoding("image/webp", None)),
        ("image/webp", "60", Encoding("image/webp", 60)),
        ("image/png", "60", Encoding("image/png", None)),
        ("image/jpeg", "100", Encoding("image/jpeg", 100)),
    ],
)
def test_quality_100_is_lossless_where_the_encoding_can_be(accept: str, quality: str, expected: Encoding) -> None:
    assert slice_of(accept, quality=quality).encoding == expected


@pytest.mark.parametrize("quality", ["0", "101", "high", ""])
def test_a_quality_that_is_none_is_refused(quality: str) -> None:
    with pytest.raises(BadRequest):
        slice_of(quality=quality)
