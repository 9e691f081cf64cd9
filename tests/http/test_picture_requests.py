"""Query strings of pictures: what they mean, and what is refused by the name of the parameter."""

from __future__ import annotations

import pytest

from appliance.domain.errors import BadRequest, NotAcceptable
from appliance.domain.identifiers import InstanceUid, SeriesUid
from appliance.domain.image import Window
from appliance.domain.views import Encoding, PlaneView, Region, RenderingMethod, SliceView, Viewport, VolumeView
from appliance.http import picture_requests

CENTER = (10.0, 20.0, 30.0)
SIZE = (400.0, 300.0, 600.0)


def slice_of(header: str | None = None, **query: str) -> SliceView:
    return picture_requests.slice_view(InstanceUid("1.2"), 1, query, header)


def plane_of(**query: str) -> PlaneView:
    return picture_requests.plane_view(SeriesUid("1.2"), query, None, center_mm=CENTER, size_mm=SIZE)


def volume_of(**query: str) -> VolumeView:
    return picture_requests.volume_view(SeriesUid("1.2"), query, None, center_mm=CENTER, size_mm=SIZE)


def test_frame_1_is_the_first() -> None:
    assert picture_requests.slice_view(InstanceUid("1.2"), 3, {}, None).frame_index == 2


def test_frame_0_is_refused() -> None:
    with pytest.raises(BadRequest):
        picture_requests.slice_view(InstanceUid("1.2"), 0, {}, None)


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


def test_a_plane_is_axial_seen_from_the_feet_by_default() -> None:
    camera = plane_of().camera

    assert camera.look_at == CENTER
    assert camera.position[2] < CENTER[2]
    assert camera.up == (0.0, -1.0, 0.0)


def test_a_volume_is_seen_from_the_front_head_up_by_default() -> None:
    view = volume_of()

    assert view.method is RenderingMethod.VOLUME_RENDERED
    assert view.camera.position[1] < CENTER[1]
    assert view.camera.up == (0.0, 0.0, 1.0)


def test_the_default_view_shows_the_whole_volume_also_in_a_narrow_picture() -> None:
    assert volume_of(viewport="512,512").camera.field_of_view_mm == 600
    assert volume_of(viewport="100,400").camera.field_of_view_mm == 1600


def test_a_camera_that_is_asked_for_is_taken() -> None:
    camera = plane_of(viewpointposition="1,2,3", viewpointlookat="4,5,9", viewpointup="0,1,0", fieldofview="120").camera

    assert (camera.position, camera.look_at, camera.up) == ((1, 2, 3), (4, 5, 9), (0, 1, 0))
    assert camera.field_of_view_mm == 120


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("orientation", "x"),
        ("viewpointposition", "1,2"),
        ("viewpointlookat", "a,b,c"),
        ("viewpointup", "0,0,1"),
        ("fieldofview", "0"),
        ("mprslab", "-1"),
        ("mprslab", "nan"),
        ("renderingmethod", "magic"),
        ("renderingmethod", "volume_rendered"),
        ("invert", "yes"),
        ("viewport", "10,10,0,0,5,5"),
    ],
)
def test_a_plane_that_cannot_be_is_refused_by_the_name_of_the_parameter(parameter: str, value: str) -> None:
    with pytest.raises(BadRequest) as caught:
        plane_of(**{parameter: value})

    assert caught.value.fields["parameter"] == parameter
