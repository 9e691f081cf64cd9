"""``rendered`` of what is no picture (PS3.18 §8.7.4): reports as text, PDFs and videos as they are, waveforms drawn.

What a file says reaches a browser as something that runs nothing: HTML and SVG are escaped, and answered with a policy that
forbids all; a document counts as PDF only if it begins like one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quart import Response, request

from appliance.domain.errors import NotAcceptable, NotDrawable, NotFound
from appliance.domain.study_objects import ObjectKind
from appliance.http.bodies import compressed
from appliance.http.media_types import MediaType, accepted
from appliance.http.parts import PRIVATE, Pieces, one_piece
from appliance.http.picture_answers import etag_of
from appliance.http.query_values import number_within
from appliance.http.ranges import ranged
from appliance.rendering.documents import page_of, text_of
from appliance.services.archive import Archive
from appliance.services.byte_cache import ByteCache
from appliance.services.study_objects import kind_of_holding
from appliance.storage.bulk_data import Place
from appliance.storage.holdings import Holding

FORMS: Mapping[ObjectKind, tuple[str, ...]] = {
    ObjectKind.REPORT: ("text/html", "text/plain"),
    ObjectKind.KEY_IMAGES: ("text/html", "text/plain"),
    ObjectKind.PDF: ("application/pdf",),
    ObjectKind.WAVEFORM: ("image/svg+xml",),
    ObjectKind.VIDEO: ("video/mp4",),
}
"""What can be had of each kind, the usual one first."""
_SAFE = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-site"}
_INERT = {**_SAFE, "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
_ENCAPSULATED_DOCUMENT = "00420011"
_PDF = b"%PDF-"
_LATEST_S = 86_400.0 * 14
FILM_NOT_PLAYED = "film-not-played"
_KEPT_FILMS_BYTES = 64 * 1024 * 1024


class RenderedDocuments:
    """Answers for one instance that is held."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._films: ByteCache[str, bytes] = ByteCache(_KEPT_FILMS_BYTES)

    def takes(self, held: Holding) -> bool:
        """Whether it is answered here: of a video only where all of it is asked for, as it is stored."""
        kind = kind_of_holding(held)
        if kind is ObjectKind.VIDEO:
            return any(one.name == "video/mp4" for one in _accept()[:1]) and not set(request.args) - {"accept"}
        return kind in FORMS

    async def answer(self, held: Holding) -> Response:
        """Raises NotAcceptable, NotDrawable and TooLarge."""
        kind = kind_of_holding(held)
        media_type = _chosen(FORMS[kind] if kind else ())
        match kind:
            case ObjectKind.PDF:
                return await self._pdf(held)
            case ObjectKind.VIDEO:
                return await self._film(held)
            case ObjectKind.WAVEFORM:
                start_s = number_within(request.args, "start", 0.0, _LATEST_S, 0.0)
                etag = etag_of(held.key, ("waveform", start_s))
                return _kept(etag) or await _written(await self._archive.chart(held, start_s), media_type, etag)
            case _:
                etag = etag_of(held.key, ("document", media_type))
                return _kept(etag) or await self._document(held, media_type, etag)

    async def _document(self, held: Holding, media_type: str, etag: str) -> Response:
        document = await self._archive.document(held)
        body = page_of(document) if media_type == "text/html" else text_of(document)
        return await _written(body, f"{media_type}; charset=utf-8", etag)

    async def _pdf(self, held: Holding) -> Response:
        try:
            value = await self._archive.bulk_data(held, (_ENCAPSULATED_DOCUMENT,))
        except NotFound as error:
            raise NotDrawable("The object holds no document", key="no-document") from error
        start, size_bytes = (value.offset, value.length) if isinstance(value, Place) else (0, len(value))

        def pieces(first: int, end: int) -> Pieces:
            if isinstance(value, Place):
                return self._archive.original(held, start + first, start + end)
            return one_piece(value[first:end])

        if b"".join([piece async for piece in pieces(0, min(size_bytes, len(_PDF)))]) != _PDF:
            raise NotDrawable("The document is no PDF, though it is called one", key="no-document")
        about = {**_SAFE, "Content-Disposition": 'inline; filename="document.pdf"'}
        return ranged(pieces, size_bytes, f'"{held.key[:32]}"', "application/pdf", about)

    async def _film(self, held: Holding) -> Response:
        film = self._films.get(held.key)
        if film is None:
            film = await self._archive.film(held)
            self._films.put(held.key, film, len(film))
        body = film
        return ranged(
            lambda start, end: one_piece(body[start:end]), len(body), f'"{held.key[:32]}-film"', "video/mp4", _SAFE
        )


def _accept() -> tuple[MediaType, ...]:
    return accepted(request.args.get("accept") or request.headers.get("Accept"))


def _chosen(forms: Sequence[str]) -> str:
    for wanted in _accept():
        for form in forms:
            if wanted.covers(form):
                return form
    raise NotAcceptable(f"This can be {' or '.join(forms)}", key="no-such-media-type")


def _kept(etag: str) -> Response | None:
    """That whoever asks has it, if so."""
    if etag not in request.headers.get("If-None-Match", ""):
        return None
    return Response("", 304, headers={"ETag": etag, "Cache-Control": PRIVATE})


async def _written(body: bytes, content_type: str, etag: str) -> Response:
    headers = {**_INERT, "ETag": etag, "Cache-Control": PRIVATE, "Vary": "Accept, Accept-Encoding"}
    return await compressed(Response(body, 200, headers=headers, content_type=content_type))
