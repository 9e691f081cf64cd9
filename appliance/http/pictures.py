"""Pictures by the resource names of PS3.18: ``rendered`` and ``thumbnail``, at a node."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import cast

from quart import Blueprint, Response, request

from appliance.domain.annotations import AnnotationKind, annotation
from appliance.domain.cine import frame_durations_ms
from appliance.domain.errors import BadRequest, NotDrawable, TooLarge
from appliance.domain.grayscale import is_inverted
from appliance.domain.identifiers import InstanceUid, StudyUid, checked_uid
from appliance.domain.masks import has_mask
from appliance.domain.presentations import PresentationState, presented_as
from appliance.domain.views import FilmView, Picture, SliceView
from appliance.http import addresses, picture_requests
from appliance.http.asgi import Scope
from appliance.http.documents import FILM_NOT_PLAYED, RenderedDocuments
from appliance.http.frame_lists import frame_numbers
from appliance.http.parts import Pieces, one_piece, part, streamed
from appliance.http.picture_answers import Caching, PictureAnswers, etag_of, window_header
from appliance.http.ranges import seekable
from appliance.services.ahead import made_ahead
from appliance.services.archive import Archive
from appliance.services.catalogue import Catalogue, StoredFrame
from appliance.services.drawing import Drawing

_STUDY = "/dicom-web/studies/<study>"
_SERIES = f"{_STUDY}/series/<series>"
_INSTANCE = f"{_SERIES}/instances/<instance>"
RESOURCES = (
    (f"{_STUDY}/rendered", "study"),
    (f"{_SERIES}/rendered", "series"),
    (f"{_INSTANCE}/rendered", "instance"),
    (f"{_INSTANCE}/frames/<frames>/rendered", "frames"),
    (f"{_STUDY}/thumbnail", "study_thumbnail"),
    (f"{_SERIES}/thumbnail", "series_thumbnail"),
    (f"{_INSTANCE}/thumbnail", "instance_thumbnail"),
    (f"{_INSTANCE}/frames/<frames>/thumbnail", "frame_thumbnail"),
)
"""Each path, and the method of ``Pictures`` that answers it."""
MOST_PICTURES = 1000
"""Of one answer."""


class Pictures:
    """The resources; what they need is handed over once."""

    def __init__(
        self, catalogue: Catalogue, archive: Archive, drawing: Drawing, answers: PictureAnswers, *, base_url: str
    ) -> None:
        self._catalogue = catalogue
        self._archive = archive
        self._drawing = drawing
        self._answers = answers
        self._documents = RenderedDocuments(archive)
        self._base_url = base_url

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("pictures", __name__)
        for path, name in RESOURCES:
            blueprint.get(path)(getattr(self, name))
        return blueprint

    # Frames

    async def study(self, study: str) -> Response:
        viewer = await self._answers.viewer(study)
        uid = addresses.study_uid(study)
        return await self._rendered(viewer, uid, await self._catalogue.frames(uid, at_most=MOST_PICTURES))

    async def series(self, study: str, series: str) -> Response:
        viewer = await self._answers.viewer(study, series)
        uids = addresses.uids_of_series(study, series)
        return await self._rendered(viewer, uids[0], await self._catalogue.frames(*uids, at_most=MOST_PICTURES))

    async def instance(self, study: str, series: str, instance: str) -> Response:
        return await self._of_instance(study, series, instance, None)

    async def frames(self, study: str, series: str, instance: str, frames: str) -> Response:
        return await self._of_instance(study, series, instance, frame_numbers(frames))

    async def _of_instance(self, study: str, series: str, instance: str, numbers: Sequence[int] | None) -> Response:
        viewer = await self._answers.viewer(study, series, instance)
        uids = addresses.uids_of_instance(study, series, instance)
        held = (await self._archive.holdings(*uids))[0] if numbers is None else None
        if held and self._documents.takes(held):
            try:
                return await self._documents.answer(held)
            except NotDrawable as error:
                if error.key != FILM_NOT_PLAYED:  # what no browser plays is drawn, as the films of other images are
                    raise
        if held and not held.has_pixels:
            return await self._rendered(viewer, uids[0], await self._presented(uids[0], uids[2]), uids[2])
        image = await self._catalogue.stored_image(*uids)
        indexes = range(len(image.description.frames)) if numbers is None else [number - 1 for number in numbers]
        if len(indexes) > MOST_PICTURES:
            raise TooLarge(f"These are more than {MOST_PICTURES} pictures", key="too-many-pictures")
        return await self._rendered(viewer, uids[0], [StoredFrame(uids[1], image, index) for index in indexes])

    async def _presented(self, study_uid: StudyUid, state_uid: InstanceUid) -> list[StoredFrame]:
        """The frames that a presentation state is about. Raises NotDrawable for what is none."""
        _, state = await self._archive.presentation(study_uid, state_uid)
        frames = []
        for series_uid, about in zip(state.series_uids, state.about, strict=True):
            image = await self._catalogue.stored_image(study_uid, series_uid, about.instance_uid)
            indices = about.frame_indices or range(len(image.description.frames))
            frames += [StoredFrame(series_uid, image, index) for index in indices]
            if len(frames) > MOST_PICTURES:
                raise TooLarge(f"These are more than {MOST_PICTURES} pictures", key="too-many-pictures")
        if not frames:
            raise NotDrawable("The presentation state is about no image.", key="not-presented")
        return frames

    async def _rendered(
        self, viewer: str, study_uid: StudyUid, frames: Sequence[StoredFrame], state_uid: InstanceUid | None = None
    ) -> Response:
        """One picture, or one for each frame as parts, in order (PS3.18 §10.4.4); as a presentation state wishes, if any."""
        asked = self._answers.asked()
        is_one_image = len({one.image.key for one in frames}) == 1
        form = asked.form(len(frames), of_one_image=is_one_image)
        views = [picture_requests.slice_view(one.image.description, one.frame_index + 1, asked, form) for one in frames]
        if (named := asked.query.get("presentationUID")) is not None:
            state_uid = InstanceUid(checked_uid(named, "presentationUID"))
        if state_uid is not None:
            key, state = await self._archive.presentation(study_uid, state_uid)
            frames = [_as_presented(one, state) for one in frames]
            views = [replace(view, presentation=key) for view in views]
        if form.is_film:
            return await self._film(viewer, study_uid, frames, views[0])
        if kinds := picture_requests.annotation_kinds(asked.query):
            views = await self._annotated(study_uid, frames, views, kinds)

        def draw(index: int) -> Awaitable[Picture]:
            return self._drawing.slice(frames[index].image, views[index], viewer=viewer)

        if not form.is_multipart:
            one = frames[0]
            return await self._answers.picture(
                etag_of(one.image.key, views[0]), lambda: draw(0), about=lambda picture: _about(picture, one)
            )
        root = addresses.dicom_web(cast(Scope, request.scope), self._base_url)
        pictures = made_ahead([partial(draw, index) for index in range(len(frames))])
        return await streamed(
            form.media_type, lambda boundary: self._parts(boundary, root, study_uid, frames, pictures)
        )

    async def _film(self, viewer: str, study_uid: StudyUid, frames: Sequence[StoredFrame], view: SliceView) -> Response:
        """The frames of one image one after the other, each for as long as its file says."""
        images, indexes = [one.image for one in frames], tuple(one.frame_index for one in frames)
        said = (await self._archive.attributes(study_uid, {view.instance_uid}))[view.instance_uid]
        if kinds := picture_requests.annotation_kinds(request.args):
            view = replace(view, annotation=annotation(said, kinds, 1, 1))  # the number of the frame changes
        film = FilmView(replace(view, frame_index=0), indexes, frame_durations_ms(said, indexes))
        drawn = await self._answers.picture(
            etag_of(images[0].key, film), lambda: self._drawing.film(images, film, viewer=viewer), about=window_header
        )
        return await seekable(drawn)

    async def _annotated(
        self,
        study_uid: StudyUid,
        frames: Sequence[StoredFrame],
        views: Sequence[SliceView],
        kinds: Sequence[AnnotationKind],
    ) -> list[SliceView]:
        said = await self._archive.attributes(study_uid, {view.instance_uid for view in views})
        return [
            replace(
                view,
                annotation=annotation(
                    said[view.instance_uid], kinds, view.frame_index + 1, len(frame.image.description.frames)
                ),
            )
            for frame, view in zip(frames, views, strict=True)
        ]

    async def _parts(
        self,
        boundary: str,
        root: str,
        study_uid: StudyUid,
        frames: Sequence[StoredFrame],
        pictures: AsyncGenerator[Picture, None],
    ) -> Pieces:
        places = iter(frames)
        async with aclosing(pictures):
            async for picture in pictures:
                self._answers.observe(picture)
                frame = next(places)
                lines = {"Content-Type": picture.media_type, **_about(picture, frame)}
                head = "\r\n".join(f"{name}: {value}" for name, value in lines.items())
                uids = (study_uid, frame.series_uid, frame.image.description.instance_uid)
                url = f"{addresses.resource(root, uids)}/frames/{frame.frame_index + 1}/rendered"
                async for piece in part(boundary, head, url, one_piece(picture.body)):
                    yield piece

    # Thumbnails

    async def study_thumbnail(self, study: str) -> Response:
        viewer = await self._answers.viewer(study)
        middle = await self._catalogue.representative_frame(addresses.study_uid(study))
        return await self._thumbnail(middle, viewer, Caching.CHANGING)

    async def series_thumbnail(self, study: str, series: str) -> Response:
        viewer = await self._answers.viewer(study, series)
        middle = await self._catalogue.representative_frame(*addresses.uids_of_series(study, series))
        return await self._thumbnail(middle, viewer, Caching.CHANGING)

    async def instance_thumbnail(self, study: str, series: str, instance: str) -> Response:
        return await self.frame_thumbnail(study, series, instance, "1")

    async def frame_thumbnail(self, study: str, series: str, instance: str, frames: str) -> Response:
        viewer = await self._answers.viewer(study, series, instance)
        number, *others = frame_numbers(frames)
        if others:
            raise BadRequest("One thumbnail at a time", parameter="frames")
        uids = addresses.uids_of_instance(study, series, instance)
        image = await self._catalogue.stored_image(*uids)
        return await self._thumbnail(StoredFrame(uids[1], image, number - 1), viewer, Caching.SETTLED)

    async def _thumbnail(self, frame: StoredFrame, viewer: str, caching: Caching) -> Response:
        view = picture_requests.thumbnail_view(frame.image.description, frame.frame_index, self._answers.asked())
        etag = etag_of(frame.image.key, ("thumbnail", view))
        return await self._answers.picture(
            etag,
            lambda: self._drawing.slice(frame.image, view, viewer=viewer, is_kept=True),
            about=window_header,
            caching=caching,
        )


def _as_presented(frame: StoredFrame, state: PresentationState) -> StoredFrame:
    described = presented_as(frame.image.description, frame.frame_index, state)
    return replace(frame, image=replace(frame.image, description=described))


def _about(picture: Picture, frame: StoredFrame) -> dict[str, str]:
    """What is to be known of a picture of a frame, or of its stored values."""
    values = picture.stored_values
    if values is None:
        return window_header(picture)
    image = frame.image.description
    form = image.pixel_format
    described: dict[str, object] = {
        "rows": form.rows,
        "columns": form.columns,
        "samples": values.samples,
        "type": values.type,
        "bits": form.bits_stored,
        "photometric": "RGB" if values.samples == 3 else form.photometric_interpretation.replace(" ", "_"),
    }
    if not image.is_colour:
        described["inverted"] = int(is_inverted(image))
        if image.modality_lut is None:
            plane = image.frames[frame.frame_index]
            described |= {"slope": plane.rescale_slope, "intercept": plane.rescale_intercept}
        if form.padding is not None:
            described |= {"padding-first": min(form.padding), "padding-last": max(form.padding)}
        if image.presentation_lut is None and not has_mask(image, frame.frame_index):
            described["plain"] = 1
    if values.is_without_picture:
        described["without"] = "picture"
    described["sha-256"] = values.sha256
    return {
        "Stored-Values": ", ".join(f"{name}={value}" for name, value in described.items()),
        "Priority": "u=4",  # whoever asks for a picture beside them looks at it, and waits for that one
    }
