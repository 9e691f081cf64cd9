"""Query strings of planes and volumes: what they mean, and what is refused by the name of the parameter."""

from __future__ import annotations

import pytest

from appliance.domain.attribute_matching import Wanted
from appliance.domain.errors import ApplianceError, BadRequest, NotAcceptable, TooLarge
from appliance.domain.geometry import LatticeSlice, VolumeGeometry
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.domain.image import FrameDescription, ImageDescription, PixelFormat, StoredImage, StoredSeries
from appliance.domain.views import STORED_VALUES, PlaneView, RenderingMethod, Vector, VolumeView
from appliance.http.picture_requests import Asked
from appliance.http.volume_requests import Kind, Rendering, attribute_names, rendering_of, target_of, wants_metadata
from appliance.services.volume_inputs import StoredVolume

CENTER = (10.0, 20.0, 30.0)
SIZE = (400.0, 300.0, 600.0)
CAN_MAKE = ("image/jpeg", "image/png", "image/webp", "image/jxl")
CAN_ANIMATE = ("image/gif", "image/webp", "video/mp4")


def volume(number: int = 0, *, slices: int = 4, is_usual: bool = True) -> StoredVolume:
    description = ImageDescription(
        instance_uid=InstanceUid("1.2.3"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        pixel_format=PixelFormat(4, 4, 1, 16, 12, 11, False, "MONOCHROME2"),
        frames=(FrameDescription(((0, 1),)),),
    )
    identity = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))
    lattice = tuple(LatticeSlice(i, i) for i in range(slices))
    geometry = VolumeGeometry((slices, 4, 4), (1, 1, 1), identity, CENTER, SIZE, lattice)
    series = StoredSeries(SeriesUid("1.2"), f"version {number}", (StoredImage("key", description),))
    return StoredVolume(series, geometry, number, is_usual, frozenset({InstanceUid("1.2.3")}), "1.9")


def asked(accept: str | None = None, **query: str) -> Asked:
    return Asked.of(query, accept, CAN_MAKE, CAN_ANIMATE)


def rendering(kind: Kind, accept: str | None = None, *, count: int = 1, **query: str) -> Rendering:
    return rendering_of(kind, asked(accept, **query), [volume(number) for number in range(count)])


def plane_of(**query: str) -> PlaneView:
    (view,) = rendering("mpr", **query).views
    assert isinstance(view, PlaneView)
    return view


def volume_of(**query: str) -> VolumeView:
    (view,) = rendering("3d", **query).views
    assert isinstance(view, VolumeView)
    return view


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


def test_zoom_shows_so_much_less() -> None:
    assert plane_of(zoom="2").camera.field_of_view_mm == plane_of().camera.field_of_view_mm / 2


@pytest.mark.parametrize(
    ("looking_along", "up"),
    [("0,1,0", (0.0, 0.0, 1.0)), ("1,1,1", (0.0, 0.0, 1.0)), ("0,0,-1", (0.0, -1.0, 0.0))],
)
@pytest.mark.parametrize("said", [{}, {"viewpointup": "0,0,0"}])
def test_an_up_direction_that_is_not_said_is_the_head_or_from_above_the_front(
    looking_along: str, up: Vector, said: dict[str, str]
) -> None:
    camera = plane_of(viewpointposition="0,0,0", viewpointlookat=looking_along, **said).camera

    assert camera.up == up


def test_what_is_ours_comes_into_the_view() -> None:
    plane = plane_of(gamma="2.2", filter="cubic", interactive="1", invert="1")
    composed = volume_of(
        clip="10,0,5,0,20,30", lighting="0.5,0.5,0.1,20", transferpoints="0,1,0,0,0,100,1,1,1,1", perspective="1"
    )

    assert (plane.gamma, plane.filter, plane.interactive, plane.invert) == (2.2, "cubic", True, True)
    assert composed.clip == ((0, 0, 5), (10, 20, 30))
    assert composed.light == (0.5, 0.5, 0.1, 20)
    assert composed.points == ((0, 1, 0, 0, 0), (100, 1, 1, 1, 1))
    assert composed.camera.is_perspective
    assert volume_of(lighting="off").light == (1, 0, 0, 1)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("orientation", "x"),
        ("viewpointposition", "1,2"),
        ("viewpointlookat", "a,b,c"),
        ("viewpointup", "0,0,1"),
        ("fieldofview", "0"),
        ("zoom", "0"),
        ("zoom", "1000"),
        ("mprslab", "-1"),
        ("mprslab", "nan"),
        ("renderingmethod", "magic"),
        ("renderingmethod", "volume_rendered"),
        ("invert", "yes"),
        ("viewport", "10,10,0,0,5,5"),
        ("gamma", "0"),
        ("filter", "best"),
        ("annotation", "patient"),
        ("curve", "0,0,0"),
        ("curve", "0,0,0,1,1"),
        ("swivelrange", "361"),
        ("swivelrange", "-10"),
        ("animationstepsize", "2"),
        ("animationrate", "0"),
        ("animationrate", "1000"),
        ("volumetriccurvepoint", "1,2,3"),
        ("volumetriccurvepoint", "1,2,3,4"),
        ("volumetriccurvepoint", "1,2,3,1,2,3"),
        ("preset", "bone"),
        ("transferpoints", "0,1,0,0,0,100,1,1,1,1"),
        ("lighting", "off"),
        ("clip", "0,0,0,1,1,1"),
        ("perspective", "1"),
    ],
)
def test_a_plane_that_cannot_be_is_refused_by_the_name_of_the_parameter(parameter: str, value: str) -> None:
    with pytest.raises(BadRequest) as caught:
        plane_of(**{parameter: value})

    assert caught.value.fields["parameter"] == parameter


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("preset", "gold"),
        ("transferpoints", "0,1,0,0,0"),
        ("transferpoints", "0,1,0,0,0,100,1,1,1"),
        ("transferpoints", "100,1,0,0,0,0,1,1,1,1"),
        ("transferpoints", "0,2,0,0,0,100,1,1,1,1"),
        ("transferpoints", ""),
        ("lighting", "1,1,1"),
        ("lighting", "2,1,1,10"),
        ("lighting", "on"),
        ("clip", "0,0,0,1,1"),
        ("clip", "0,0,0,1,0,1"),
        ("perspective", "60"),
        ("mprslab", "10"),
        ("filter", "cubic"),
        ("volumetriccurvepoint", "0,0,0,1,1,1"),
    ],
)
def test_a_volume_that_cannot_be_is_refused_by_the_name_of_the_parameter(parameter: str, value: str) -> None:
    with pytest.raises(BadRequest) as caught:
        volume_of(**{parameter: value})

    assert caught.value.fields["parameter"] == parameter


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("mpr", {"orientation": "a", "viewpointposition": "1,2,3"}),
        ("mpr", {"orientation": "a", "viewpointlookat": "1,2,3"}),
        ("3d", {"orientation": "a", "viewpointup": "0,0,1"}),
        ("3d", {"preset": "bone", "transferpoints": "0,1,0,0,0,100,1,1,1,1"}),
        ("3d", {"preset": "bone", "renderingmethod": "maximum_ip"}),
        ("mpr", {"swivelrange": "90", "volumetriccurvepoint": "0,0,0,1,1,1"}),
        ("3d", {"fieldofview": "100", "zoom": "2"}),
        ("mpr", {"interactive": "1", "swivelrange": "90"}),
        ("mpr", {"curve": "0,0,0,1,1,1", "mprslab": "5"}),
        ("mpr", {"curve": "0,0,0,1,1,1", "filter": "cubic"}),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(kind: Kind, query: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as caught:
        rendering(kind, **query)

    assert caught.value.fields["parameter"] in query


def test_a_swivel_has_as_many_frames_as_the_range_has_steps_with_the_view_in_the_middle() -> None:
    film = rendering("3d", "video/mp4", swivelrange="90", animationstepsize="30", animationrate="20")

    assert film.film is not None and film.film.duration_ms == 50
    directions = [tuple(round(part) for part in view.camera.position) for view in film.views]
    assert len(directions) == 3
    assert film.views[1].camera == film.camera
    assert all(view.camera.look_at == CENTER and view.camera.up == (0, 0, 1) for view in film.views)


def test_a_whole_turn_begins_with_the_view_itself() -> None:
    film = rendering("3d", swivelrange="360", animationstepsize="90")

    assert film.views[0].camera == film.camera
    offsets = [tuple(round(a - b) for a, b in zip(v.camera.position, CENTER, strict=True))[:2] for v in film.views]
    assert offsets == [(0, -1200), (1200, 0), (0, 1200), (-1200, 0)]


def test_planes_along_a_curve_stand_across_it_every_step() -> None:
    film = rendering("mpr", volumetriccurvepoint="0,0,0,0,0,10,10,0,10", animationstepsize="5")

    assert [view.camera.look_at for view in film.views] == [(0, 0, 0), (0, 0, 5), (0, 0, 10), (5, 0, 10)]
    looks = [tuple(b - a for a, b in zip(v.camera.position, v.camera.look_at, strict=True)) for v in film.views]
    assert looks == [(0, 0, 1), (0, 0, 1), (1, 0, 0), (1, 0, 0)]


def test_a_film_of_too_many_frames_is_refused() -> None:
    with pytest.raises(TooLarge):
        rendering("mpr", volumetriccurvepoint="0,0,0,0,0,1e9", animationstepsize="1")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [(None, "video/mp4"), ("image/*", "image/gif"), ("image/webp", "image/webp"), ("image/gif", "image/gif")],
)
def test_a_film_is_what_is_accepted(accept: str | None, expected: str) -> None:
    assert rendering("3d", accept, swivelrange="90").views[0].encoding.media_type == expected


def test_a_film_is_not_a_still_picture_nor_the_other_way_round() -> None:
    with pytest.raises(NotAcceptable):
        rendering("3d", "image/png", swivelrange="90")
    with pytest.raises(NotAcceptable):
        rendering("3d", "video/mp4")


def test_several_volumes_come_one_after_the_other_where_a_film_is_asked_for() -> None:
    films = [rendering("mpr", "video/mp4", count=3), rendering("mpr", "image/webp", count=3, animationrate="5")]

    for film in films:
        assert [one.number for one in film.volumes] == [0, 1, 2]
    assert films[1].film is not None and films[1].film.duration_ms == 200


def test_several_volumes_in_one_picture_are_the_usual_one_of_most_slices() -> None:
    several = [volume(0, slices=9, is_usual=False), volume(1, slices=5), volume(2, slices=7)]

    assert [one.number for one in rendering_of("mpr", asked(), several).volumes] == [2]


def test_a_rate_alone_moves_nothing() -> None:
    with pytest.raises(BadRequest) as caught:
        rendering("mpr", animationrate="5")

    assert caught.value.fields["parameter"] == "animationrate"


def test_planes_and_volumes_have_no_stored_values() -> None:
    with pytest.raises(NotAcceptable):
        rendering("mpr", STORED_VALUES)


def test_metadata_are_asked_for_with_yes_and_are_json() -> None:
    assert not wants_metadata(asked())
    assert wants_metadata(asked("application/dicom+json", renderedvolumetricmetadata="yes"))
    with pytest.raises(NotAcceptable):
        wants_metadata(asked("image/jpeg", renderedvolumetricmetadata="yes"))
    with pytest.raises(BadRequest):
        wants_metadata(asked(renderedvolumetricmetadata="no"))


def test_what_is_no_parameter_may_be_an_attribute() -> None:
    query = {"CardiacRRIntervalSpecified": "140-260", "window": "1,2", "zoom": "2", "mprslab": "1", "colour": "3"}

    assert attribute_names(query) == ("CardiacRRIntervalSpecified", "colour")
    target = target_of(query, {"CardiacRRIntervalSpecified": "00189070"}, StudyUid("1.2"))
    assert target.attributes == (Wanted("00189070", ("140-260",)),)


@pytest.mark.parametrize("query", [{"volumeinputreference": ","}, {"volume": "-1"}, {"volume": "first"}])
def test_a_volume_that_is_named_wrongly_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(ApplianceError) as caught:
        target_of(query, {}, StudyUid("1.2"))

    assert caught.value.fields["parameter"] in query
