"""A picture's query string and ``Accept``, made into a view of ``domain`` or refused naming the parameter (PS3.18 §8.3.5)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from appliance.domain.annotations import KINDS, AnnotationKind
from appliance.domain.errors import BadRequest, NotAcceptable, NotFound
from appliance.domain.image import ImageDescription, Window
from appliance.domain.views import (
    STORED_VALUES,
    Encoding,
    Region,
    SliceView,
    Viewport,
)
from appliance.domain.voi import VoiChoice
from appliance.http.media_types import MediaType, accepted
from appliance.http.query_values import Query, finite, flag, integer

_DEFAULT = "image/jpeg"
_ANY = frozenset({"*/*", "image/*"})
"""Means the default of PS3.18 §8.7.4 for a single frame."""
_MULTIPART = frozenset({"multipart/related", "multipart/*"})
PROFILES = {"no": False, "yes": True, "srgb": True}
WITH_PROFILE = ("image/jpeg", "image/png", "image/webp")
_OF_PICTURES = ("window", "voi", "viewport", "quality", "invert", "layers", "annotation", "iccprofile")
FUNCTIONS = {"linear": "linear", "linear-exact": "linear-exact", "sigmoid": "sigmoid"}
LARGEST_SIDE = 8192
_LOSSY_BY_DEFAULT = {"image/jpeg": 90, "image/webp": 90, "image/avif": 90, "video/mp4": 80}
THUMBNAIL_SIDE = 160
LARGEST_THUMBNAIL_SIDE = 512
_THUMBNAIL_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Form:
    """What is made of the frames that are asked for."""

    media_type: str
    is_multipart: bool
    is_film: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The query of a picture, what is accepted, the most wanted first, and what can be made here."""

    query: Query
    accept: tuple[MediaType, ...]
    can_make: Collection[str]
    can_animate: Collection[str] = ()

    @classmethod
    def of(
        cls, query: Query, accept: str | None, can_make: Collection[str], can_animate: Collection[str] = ()
    ) -> Asked:
        # PS3.18 §8.3.3.1: the parameter wins over the header.
        return cls(query, accepted(query.get("accept") or accept), can_make, can_animate)

    def form(self, frame_count: int, *, of_one_image: bool = True) -> Form:
        """How ``frame_count`` frames are given back: a picture, a part for each, or a film of them.

        A type that can be both, WebP, is a film of several frames of one image. Raises NotAcceptable.
        """
        for wanted in self.accept:
            is_multipart = wanted.name in _MULTIPART
            name = wanted.parameters.get("type", "*/*").lower() if is_multipart else wanted.name
            name = _DEFAULT if name in _ANY else name
            is_film = name in self.can_animate and (frame_count > 1 or name not in self.can_make)
            if is_film and of_one_image and not is_multipart:
                return Form(name, is_multipart=False, is_film=True)
            if name in self.can_make or name == STORED_VALUES:
                return Form(name, is_multipart or frame_count > 1)
        can_be = dict.fromkeys((*self.can_make, *(self.can_animate if of_one_image else ())))
        raise NotAcceptable(f"This can be {', '.join(can_be)}", key="no-such-media-type")


def annotation_kinds(query: Query) -> tuple[AnnotationKind, ...]:
    """What is to be written into pictures (PS3.18 §8.3.5.1.1)."""
    names = query["annotation"].lower().split(",") if "annotation" in query else []
    for name in names:
        if name not in KINDS:
            raise BadRequest(f"annotation is not of {', '.join(KINDS)}", parameter="annotation")
    return tuple(kind for kind in KINDS if kind in names)


def slice_view(image: ImageDescription, frame_number: int, asked: Asked, form: Form | None = None) -> SliceView:
    """One frame as PS3.18 Retrieve Rendered asks for it, in a ``form`` that was chosen; the first frame is number 1.

    Its annotation is not in the query, and is put in by who knows the patient.
    """
    if frame_number < 1:
        raise BadRequest("The first frame is number 1", parameter="frames")
    if frame_number > len(image.frames):
        raise NotFound(f"there is no frame {frame_number} of {len(image.frames)}", key="no-such-frame")
    query = asked.query
    encoding = encoding_of((form or asked.form(1)).media_type, query)
    if encoding.media_type == STORED_VALUES:
        _without_rendering(query)
    return SliceView(
        instance_uid=image.instance_uid,
        frame_index=frame_number - 1,
        encoding=encoding,
        window=window_of(query),
        viewport=viewport_of(query, (image.pixel_format.columns, image.pixel_format.rows)),
        invert=flag(query, "invert"),
        layers="layers" not in query or flag(query, "layers"),
        voi=voi_of(query),
        without_picture=_is_without_picture(query) if encoding.media_type == STORED_VALUES else False,
    )


def thumbnail_view(image: ImageDescription, frame_index: int, asked: Asked) -> SliceView:
    """A small picture; ``viewport`` may make it smaller or a little larger (PS3.18 §8.3.5.1.3)."""
    viewport = viewport_of(asked.query) or Viewport(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    if max(viewport.width, viewport.height) > LARGEST_THUMBNAIL_SIDE:
        raise BadRequest(f"A thumbnail has at most {LARGEST_THUMBNAIL_SIDE} pixels a side", parameter="viewport")
    form = asked.form(1)
    if form.media_type == STORED_VALUES or form.is_multipart or form.is_film:
        raise NotAcceptable(f"A thumbnail can be {', '.join(asked.can_make)}", key="no-such-media-type")
    quality = _THUMBNAIL_QUALITY if form.media_type in _LOSSY_BY_DEFAULT else None
    return SliceView(image.instance_uid, frame_index, Encoding(form.media_type, quality), viewport=viewport)  # type: ignore[arg-type]


def encoding_of(media_type: str, query: Query) -> Encoding:
    """How the picture is encoded, with ``quality`` and ``iccprofile``."""
    quality = _LOSSY_BY_DEFAULT.get(media_type)
    if "quality" in query:
        quality = integer(query["quality"], "quality")
        if not 1 <= quality <= 100:
            raise BadRequest("quality is not between 1 and 100", parameter="quality")
        if media_type != "image/jpeg" and quality == 100:
            quality = None
    if media_type in ("image/png", "image/jls"):
        quality = None
    return Encoding(media_type, quality, has_profile=_profile(query, media_type))  # type: ignore[arg-type]  # one of those made


def _profile(query: Query, media_type: str) -> bool:
    """Whether the picture carries the profile that ``iccprofile`` asks for (PS3.18 §8.3.5.1.5): colours here are sRGB."""
    wanted = query.get("iccprofile", "no").lower()
    if wanted not in PROFILES:
        raise BadRequest(f"iccprofile is not one of {', '.join(PROFILES)}", parameter="iccprofile")
    if PROFILES[wanted] and media_type not in WITH_PROFILE:
        raise BadRequest(f"Profiles are put into {', '.join(WITH_PROFILE)} only", parameter="iccprofile")
    return PROFILES[wanted]


def _without_rendering(query: Query) -> None:
    """Stored values are given as they are: what would change them is refused, not passed over.

    What a picture does not tell of them depends on how its grey was made.
    """
    of_their_picture = {"window", "voi", "invert"} if _is_without_picture(query) else set()
    for name in _OF_PICTURES:
        if name in query and name not in of_their_picture:
            raise BadRequest("Stored values are given as they are, all of them", parameter=name)


def _is_without_picture(query: Query) -> bool:
    if query.get("without", "picture") != "picture":
        raise BadRequest(
            "Stored values can be asked for without picture, and without nothing else", parameter="without"
        )
    return "without" in query


def window_of(query: Query, parameter: str = "window") -> Window | None:
    """``window`` (PS3.18 §8.3.5.1.4): center first, then width, then the function."""
    text = query.get(parameter)
    if text is None:
        return None
    center, width, *function = text.split(",")[:3] if text.count(",") in (1, 2) else ("", "")
    name = function[0].strip().lower() if function else "linear"
    if name not in FUNCTIONS:
        raise BadRequest(f"The window's function is not one of {', '.join(FUNCTIONS)}", parameter=parameter)
    window = Window(finite(center, parameter), finite(width, parameter), FUNCTIONS[name])  # type: ignore[arg-type]
    # PS3.3 C.11.2.1.2.1, C.11.2.1.3.2: LINEAR needs a width of at least 1, the others one above 0.
    if window.width < 1 if window.function == "linear" else window.width <= 0:
        raise BadRequest("The window's width is too small", parameter=parameter)
    return window


def voi_of(query: Query) -> VoiChoice | None:
    """``voi``: which of the file's windows or VOI LUTs, counted from 1."""
    text = query.get("voi")
    if text is None:
        return None
    if "window" in query:
        raise BadRequest("A window is asked for, and one of the file's: only one of them is applied", parameter="voi")
    kind, _, number = text.partition(",")
    if kind not in ("window", "lut") or (index := integer(number, "voi") - 1) < 0:
        raise BadRequest("voi is not window,1 or lut,1 or a higher number", parameter="voi")
    return VoiChoice(kind, index)  # type: ignore[arg-type]  # one of the two


def viewport_of(query: Query, source: tuple[int, int] | None = None) -> Viewport | None:
    """``source`` is (columns, rows) of what the region is of, and what an empty part of it means (PS3.18 §8.3.5.1.3)."""
    text = query.get("viewport")
    if text is None:
        return None
    numbers = text.split(",")
    if len(numbers) not in (2, 6):
        raise BadRequest("viewport is not width,height or width,height,x,y,w,h", parameter="viewport")
    width, height = (integer(number, "viewport") for number in numbers[:2])
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise BadRequest(f"A side of the viewport is not between 1 and {LARGEST_SIDE}", parameter="viewport")
    if len(numbers) == 2:
        return Viewport(width, height)
    if source is None:
        raise BadRequest("viewport has a region for frames only: move the camera", parameter="viewport")
    x, y = (abs(finite(number, "viewport")) if number else 0.0 for number in numbers[2:4])
    columns, rows = (
        finite(number, "viewport") if number else length - start
        for number, length, start in zip(numbers[4:], source, (x, y), strict=True)
    )
    if columns == 0 or rows == 0 or x >= source[0] or y >= source[1]:
        raise BadRequest("The viewport's region is empty", parameter="viewport")
    return Viewport(
        width, height, Region(x, y, abs(columns), abs(rows)), is_mirrored=columns < 0, is_upside_down=rows < 0
    )
