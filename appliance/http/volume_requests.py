"""The query string of ``renderedmpr`` or ``rendered3d``, made into views of volumes or refused (PS3.18 §8.3.5.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from appliance.domain.attribute_matching import Wanted
from appliance.domain.errors import BadRequest, NotAcceptable, NotDrawable
from appliance.domain.geometry import slice_count
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.domain.views import (
    STORED_VALUES,
    Camera,
    Encoding,
    PlaneView,
    RenderingMethod,
    VolumeFilmView,
    VolumeView,
)
from appliance.domain.volumetric_states import VolumetricState
from appliance.http.picture_requests import Asked, encoding_of, viewport_of
from appliance.http.query_values import (
    Query,
    integer,
)
from appliance.http.volume_motion import Motion, film_type, motion_of, moved
from appliance.http.volume_views import DEFAULT_SIZE, fusion_of, plane_view, volume_view
from appliance.services.volume_inputs import StoredVolume
from appliance.services.volume_selection import VolumeTarget

Kind = Literal["mpr", "3d"]

OF_THE_STANDARD = (
    "volumeinputreference",
    "renderingmethod",
    "orientation",
    "viewpointposition",
    "viewpointlookat",
    "viewpointup",
    "mprslab",
    "swivelrange",
    "volumetriccurvepoint",
    "animationstepsize",
    "animationrate",
    "renderedvolumetricmetadata",
)
"""PS3.18 table 8.3.5-3."""
OURS = (
    "fieldofview",
    "zoom",
    "gamma",
    "invert",
    "voi",
    "interactive",
    "volume",
    "filter",
    "curve",
    "preset",
    "transferpoints",
    "lighting",
    "clip",
    "perspective",
    "fuse",
    "fusewindow",
    "fuseopacity",
)
_OF_ALL_PICTURES = ("accept", "window", "viewport", "quality", "annotation", "iccprofile", "charset")
ONLY_OF: Mapping[str, Kind] = {
    "mprslab": "mpr",
    "volumetriccurvepoint": "mpr",
    "filter": "mpr",
    "curve": "mpr",
    "preset": "3d",
    "transferpoints": "3d",
    "lighting": "3d",
    "clip": "3d",
    "perspective": "3d",
}
RESOURCES_OF: Mapping[Kind, str] = {"mpr": "renderedmpr", "3d": "rendered3d"}
_VIEWPOINT = ("orientation", "viewpointposition", "viewpointlookat", "viewpointup")
_NOT_ALONG_CURVES = ("orientation", "mprslab", "filter", "swivelrange", "volumetriccurvepoint", "fuse")
_EXCLUDE_EACH_OTHER = (
    ("orientation", "viewpointposition"),
    ("orientation", "viewpointlookat"),
    ("orientation", "viewpointup"),
    ("swivelrange", "volumetriccurvepoint"),
    *(("curve", other) for other in _NOT_ALONG_CURVES),
    ("fieldofview", "zoom"),
    ("preset", "transferpoints"),
)
_DEFAULT_FILM_SIZE = (256, 256)


@dataclass(frozen=True, slots=True)
class Rendering:
    """What is to be drawn: one view of one volume, or several one after the other."""

    volumes: tuple[StoredVolume, ...]
    """Of each view."""
    views: tuple[PlaneView | VolumeView, ...]
    camera: Camera
    """As it was asked for, before anything moves."""
    motion: Motion | None = None
    fused: StoredVolume | None = None
    """Laid over the picture of the only view."""

    @property
    def film(self) -> VolumeFilmView | None:
        if self.motion is None:
            return None
        planes = tuple(view for view in self.views if isinstance(view, PlaneView))
        volumes = tuple(view for view in self.views if isinstance(view, VolumeView))
        return VolumeFilmView(planes, volumes, 1000 / self.motion.rate)


def as_state_says(kind: Kind, state: VolumetricState, query: Query) -> dict[str, str]:
    """The parameters of a picture of a presentation state: a viewpoint that is asked for goes before that of the state.

    Raises BadRequest for parameters that a state has no room for (PS3.18 §8.3.5.3), NotDrawable for a state of the other kind.
    """
    if state.kind != kind:
        raise NotDrawable(f"The presentation state is for {RESOURCES_OF[state.kind]}", key="presentation-of-other-kind")
    for name in query:
        if name in OF_THE_STANDARD and name not in _VIEWPOINT:
            raise BadRequest(f"{name} is not for a presentation state", parameter=name)
    width_mm, height_mm = state.size_mm
    longest = max(state.size_mm)
    width, height = (max(1, round(DEFAULT_SIZE[0] * side_mm / longest)) for side_mm in state.size_mm)
    said = {
        "viewport": f"{width},{height}",
        "viewpointposition": _joined(state.position),
        "viewpointlookat": _joined(state.look_at),
        "viewpointup": _joined(state.up),
    }
    if any(name in query for name in _VIEWPOINT):
        said = {}
    elif "viewport" in query:
        size = viewport_of(query)
        assert size is not None
        # All of the view is shown, also in a picture of another shape.
        height_mm = max(height_mm, width_mm * size.height / size.width)
    if not any(name in query for name in ("zoom", "fieldofview", *_VIEWPOINT)):
        said["fieldofview"] = repr(height_mm)
    if state.method:
        said["renderingmethod"] = state.method.lower()
    if state.slab_mm is not None:
        said["mprslab"] = repr(state.slab_mm)
    # A window is laid over colours, and a state's is not meant for those.
    if state.window and (kind == "mpr" or state.method not in (None, "VOLUME_RENDERED")):
        said["window"] = _joined(state.window)
    if kind == "3d" and state.clip:
        said["clip"] = _joined((*state.clip[0], *state.clip[1]))
    if kind == "3d" and state.is_perspective:
        said["perspective"] = "1"
    return {**said, **query}


def _joined(numbers: Sequence[float]) -> str:
    return ",".join(map(repr, numbers))


def target_of(
    query: Query,
    tags: Mapping[str, str],
    study_uid: StudyUid,
    series_uid: SeriesUid | None = None,
    instance_uid: InstanceUid | None = None,
) -> VolumeTarget:
    """Which volumes are meant. ``tags`` are those of the parameters that are attributes, by their names."""
    references = tuple(one.strip() for one in query.get("volumeinputreference", "").split(",") if one.strip())
    if "volumeinputreference" in query and not references:
        raise BadRequest("volumeinputreference names nothing", parameter="volumeinputreference")
    wanted = tuple(Wanted(tag, tuple(query[name].replace("\\", ",").split(","))) for name, tag in tags.items())
    number = integer(query["volume"], "volume") if "volume" in query else None
    if number is not None and number < 0:
        raise BadRequest("The first volume is number 0", parameter="volume")
    return VolumeTarget(study_uid, series_uid, instance_uid, references, wanted, number)


def attribute_names(query: Query) -> tuple[str, ...]:
    """Parameters that may be attributes to match, since they are nothing else."""
    known = {*OF_THE_STANDARD, *OURS, *_OF_ALL_PICTURES}
    return tuple(name for name in query if name not in known)


def wants_metadata(asked: Asked) -> bool:
    """Whether what was understood is asked for, and no picture (PS3.18 §8.3.5.3.13). Raises NotAcceptable, BadRequest."""
    text = asked.query.get("renderedvolumetricmetadata")
    if text is None:
        return False
    if text != "yes":
        raise BadRequest("renderedvolumetricmetadata is not yes", parameter="renderedvolumetricmetadata")
    if not any(one.covers(kind) for one in asked.accept for kind in ("application/dicom+json", "application/json")):
        raise NotAcceptable("Metadata can be application/dicom+json", key="no-such-media-type")
    return True


def rendering_of(kind: Kind, asked: Asked, volumes: Sequence[StoredVolume], *, is_metadata: bool = False) -> Rendering:
    """What is to be drawn of ``volumes``, the first of which is the usual one."""
    _refuse_contradictions(kind, asked.query)
    motion = motion_of(asked, volumes)
    chosen = tuple(volumes) if motion and motion.style == "volumes" else (usual_of(volumes),)
    encoding = Encoding("image/png") if is_metadata else _encoding(asked, motion)
    views = tuple(_view(kind, volume, asked.query, encoding, is_film=motion is not None) for volume in chosen)
    if motion is None or motion.style == "volumes":
        return Rendering(chosen, _of_one_camera(views), views[0].camera, motion)
    cameras = moved(views[0].camera, motion)
    moved_views = tuple(replace(views[0], camera=camera) for camera in cameras)
    return Rendering(chosen * len(cameras), moved_views, views[0].camera, motion)


def with_fusion(rendering: Rendering, fused: StoredVolume, query: Query) -> Rendering:
    """The same with ``fused`` laid over it. Raises BadRequest, and NotDrawable where they do not lie in one space."""
    (view, *others), volume = rendering.views, rendering.volumes[0]
    if others:
        raise BadRequest("fuse is for pictures that do not move", parameter="fuse")
    if isinstance(view, VolumeView) and view.method is RenderingMethod.VOLUME_RENDERED:
        raise BadRequest("fuse is for planes and projections, not for volume_rendered", parameter="fuse")
    space = volume.frame_of_reference_uid
    if not space or space != fused.frame_of_reference_uid:
        raise NotDrawable("The two series do not share a frame of reference", key="other-frame-of-reference")
    laid_over = replace(view, fusion=fusion_of(query, fused))
    return replace(rendering, views=(laid_over,), fused=fused)


def _refuse_contradictions(kind: Kind, query: Query) -> None:
    if "annotation" in query:
        raise BadRequest("annotation is for frames only", parameter="annotation")
    for name, only in ONLY_OF.items():
        if name in query and only != kind:
            raise BadRequest(f"{name} is for {RESOURCES_OF[only]} only", parameter=name)
    for one, other in _EXCLUDE_EACH_OTHER:
        if one in query and other in query:
            raise BadRequest(f"{one} and {other} exclude each other", parameter=one)


def _view(
    kind: Kind, volume: StoredVolume, query: Query, encoding: Encoding, *, is_film: bool
) -> PlaneView | VolumeView:
    geometry, uid = volume.geometry, volume.series.series_uid
    default_size = _DEFAULT_FILM_SIZE if is_film else DEFAULT_SIZE
    center_mm, size_mm = geometry.center_mm, geometry.size_mm
    understood = plane_view if kind == "mpr" else volume_view
    view = understood(uid, query, encoding, center_mm=center_mm, size_mm=size_mm, default_size=default_size)
    return replace(view, volume=volume.number_of_view)


def usual_of(volumes: Sequence[StoredVolume]) -> StoredVolume:
    """Of the usual volumes of each series the one of most slices, and of these the first."""
    return max(volumes, key=lambda volume: (volume.is_usual, slice_count(volume.geometry)))


def _of_one_camera(views: tuple[PlaneView | VolumeView, ...]) -> tuple[PlaneView | VolumeView, ...]:
    """All seen as the first is: what moves is the patient, not the viewer."""
    return tuple(replace(view, camera=views[0].camera) for view in views)


def _encoding(asked: Asked, motion: Motion | None) -> Encoding:
    if motion is not None:
        return encoding_of(film_type(asked), asked.query)
    form = asked.form(1)
    if form.media_type == STORED_VALUES or form.is_multipart:
        raise NotAcceptable(f"A picture can be {', '.join(asked.can_make)}", key="no-such-media-type")
    if form.is_film:
        raise NotAcceptable(
            "One picture is no film: swivelrange, volumetriccurvepoint or several volumes make one",
            key="no-such-media-type",
        )
    return encoding_of(form.media_type, asked.query)
