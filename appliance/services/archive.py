"""What is held, as strangers ask for it: searched by attributes, described, and given back.

Everything that is long comes in pieces, each read when the one before it has gone: no answer is ever whole in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from appliance.domain.anonymity import Pseudonymity
from appliance.domain.attributes import Attributes
from appliance.domain.documents import Document
from appliance.domain.errors import NotAcceptable, NotFound
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.domain.image import ImageDescription
from appliance.domain.outlines import Segmentation, StructureSet
from appliance.domain.preamble import PREAMBLE_BYTES, PREFIX, is_dangerous
from appliance.domain.presentations import PresentationState
from appliance.domain.searches import Matches, Search
from appliance.services.database_threads import DatabaseThreads
from appliance.services.dataset_process import AnonymousPieces, Datasets
from appliance.services.parse_process import ParseLimits
from appliance.storage import holdings, index, queries
from appliance.storage.bulk_data import Place
from appliance.storage.dicom_json import unpacked
from appliance.storage.holdings import Holding
from appliance.storage.instances import InstanceStore, SpoolReference
from appliance.storage.transcoding import (
    TARGETS,
    copied_frame,
    decoded_length,
    is_copied,
    lies_as_wanted,
    reason_not_transcoded,
)
from appliance.storage.transfer_syntaxes import DEFLATED_EXPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, is_video

_PIECE_BYTES = 1024 * 1024
_DESCRIBED_AT_ONCE = 50
AS_STORED = "*"
"""In a list of transfer syntaxes: the one that the object is stored in, whichever that is."""


@dataclass(frozen=True, slots=True)
class Consignment:
    """One instance to be given back, in a transfer syntax."""

    holding: Holding
    transfer_syntax_uid: str
    is_rewritten: bool = False
    """Whether it is written anew also in the transfer syntax that it is stored in."""

    @property
    def is_original(self) -> bool:
        return not self.is_rewritten and self.transfer_syntax_uid == self.holding.transfer_syntax_uid


class Archive:
    """Opened by ``start``."""

    def __init__(self, store: InstanceStore, database: DatabaseThreads, limits: ParseLimits | None = None) -> None:
        self._store = store
        self._database = database
        self._datasets = Datasets(limits or ParseLimits())

    async def start(self) -> None:
        await self._datasets.start()

    async def stop(self) -> None:
        await self._datasets.stop()

    async def search(self, wanted: Search) -> Matches:
        """What matches. Raises BadRequest, naming the attribute."""
        return await self._database.read(lambda tx: queries.search(tx, wanted))

    async def holdings(
        self, study_uid: StudyUid, series_uid: SeriesUid | None = None, instance_uid: InstanceUid | None = None
    ) -> tuple[Holding, ...]:
        """The instances of a study, of a series in it, or one of those. Raises NotFound."""
        return await self._database.read(lambda tx: holdings.holdings(tx, study_uid, series_uid, instance_uid))

    async def described(self, held: Sequence[Holding]) -> AsyncGenerator[tuple[Holding, bytes], None]:
        """Each instance with its metadata as JSON, the addresses in it relative."""
        for start in range(0, len(held), _DESCRIBED_AT_ONCE):
            portion = held[start : start + _DESCRIBED_AT_ONCE]
            uids = [one.instance_uid for one in portion]
            kept = await self._database.read(lambda tx, uids=uids: holdings.kept_metadata(tx, uids))  # type: ignore[misc]
            for one in portion:
                packed = kept.get(one.instance_uid)
                yield one, unpacked(packed) if packed else await self._describe(one)

    async def attributes(
        self, study_uid: StudyUid, instance_uids: Collection[InstanceUid]
    ) -> dict[InstanceUid, Attributes]:
        """The attributes of instances of a study. Raises NotFound."""
        held = [one for one in await self.holdings(study_uid) if one.instance_uid in instance_uids]
        return {one.instance_uid: Attributes(msgspec.json.decode(text)) async for one, text in self.described(held)}

    async def _describe(self, one: Holding) -> bytes:
        return await self._datasets.describe(await asyncio.to_thread(self._store.reference, one.key))

    async def presentation(self, study_uid: StudyUid, instance_uid: InstanceUid) -> tuple[str, PresentationState]:
        """A presentation state of a study, and its key. Raises NotFound, and NotDrawable for what is none."""
        held = (await self.holdings(study_uid, None, instance_uid))[0]
        return held.key, await self._datasets.presentation(await asyncio.to_thread(self._store.reference, held.key))

    # What is no picture

    async def document(self, one: Holding) -> Document:
        """What is written in a structured report. Raises NotDrawable for what is none, and TooLarge."""
        return await self._datasets.document(await self._reference(one))

    async def chart(self, one: Holding, start_s: float) -> bytes:
        """Waveforms as SVG, a minute from ``start_s`` on. Raises NotDrawable."""
        return await self._datasets.chart(await self._reference(one), start_s)

    async def film(self, one: Holding) -> bytes:
        """A stored video in MP4. Raises NotDrawable for what no browser plays, and TooLarge."""
        image = await self._image(one)
        return await self._datasets.film(await self._reference(one), image.frames[0].fragments)

    async def segmentation(self, one: Holding) -> Segmentation:
        """Raises NotDrawable for what is none."""
        return await self._datasets.segmentation(await self._reference(one))

    async def structure_set(self, one: Holding) -> StructureSet:
        """Raises NotDrawable for what is none, and TooLarge."""
        return await self._datasets.structure_set(await self._reference(one))

    async def outlines(
        self, one: Holding, image: ImageDescription, numbers: Sequence[int | None], maximum: int | None
    ) -> tuple[tuple[tuple[int, float, str], ...], ...]:
        """Of each frame of ``image``, whose segments are ``numbers``: segment, opacity and path. Raises NotDrawable."""
        return await self._datasets.outlines(await self._reference(one), image, numbers, maximum)

    async def _reference(self, one: Holding) -> SpoolReference:
        return await asyncio.to_thread(self._store.reference, one.key)

    # On media

    async def as_on_media(self, one: Holding) -> Consignment:
        """How an object stands in a file set (PS3.10 §7.1): as it is stored, or made a file where it is stored as none."""
        start = await asyncio.to_thread(self._start, one.key)
        if start[PREAMBLE_BYTES:] == PREFIX or not (one.is_drawable or not one.has_pixels):
            return Consignment(one, one.transfer_syntax_uid)
        return Consignment(one, EXPLICIT_LITTLE_ENDIAN, is_rewritten=True)

    def _start(self, key: str) -> bytes:
        with self._store.open(key) as reader:
            return reader.read_at(0, PREAMBLE_BYTES + len(PREFIX))

    async def anonymised(self, one: Holding, how: Pseudonymity) -> tuple[bytes, AnonymousPieces]:
        """The head of the object without who it is of, and the rest. Raises NotAcceptable."""
        about = await asyncio.to_thread(self._store.reference, one.key)
        return await self._datasets.anonymised(about, how)

    async def anonymous_bytes(self, one: Holding, head: bytes, rest: AnonymousPieces) -> AsyncGenerator[bytes, None]:
        """Such an object in pieces."""
        yield head
        if rest.pixels is not None:
            pieces = self._pieces(one.key, rest.pixels.offset, rest.pixels.offset + rest.pixels.length)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
        yield rest.tail

    # Instances

    def consigned(self, held: Sequence[Holding], wanted: Sequence[str]) -> list[Consignment]:
        """How each is given back, by the transfer syntaxes that are wanted, the best first.

        Raises NotAcceptable, with the reason, where one of them can be had in none.
        """
        return [self._consigned(one, wanted) for one in held]

    def _consigned(self, one: Holding, wanted: Sequence[str]) -> Consignment:
        for syntax in wanted:
            if syntax in (AS_STORED, one.transfer_syntax_uid):
                return Consignment(one, one.transfer_syntax_uid)
            if syntax in TARGETS and (one.is_drawable or not one.has_pixels):
                return Consignment(one, syntax)
        if any(syntax in TARGETS for syntax in wanted):
            reason = f"the pixels of an object in {one.transfer_syntax_uid} cannot be decoded"
        else:
            reason = f"objects are given back as stored, or in {' or '.join(TARGETS)}"
        raise NotAcceptable(
            reason, key="transfer-syntax", stored_in=one.transfer_syntax_uid, instance_uid=one.instance_uid
        )

    async def bytes_of(self, one: Consignment) -> AsyncGenerator[bytes, None]:
        """The object in pieces. Raises NotAcceptable, before the first of them, where it cannot be transcoded."""
        pieces = self.original(one.holding) if one.is_original else self._transcoded(one)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def original(self, one: Holding, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes as they came, from ``start`` to before ``end``; a preamble that is a program is zeroes."""
        zeroed = PREAMBLE_BYTES if is_dangerous(one.preamble) else 0
        end = one.size_bytes if end is None else end
        pieces = self._pieces(one.key, start, end)
        at = start
        async with aclosing(pieces):
            async for piece in pieces:
                hidden = max(0, min(zeroed - at, len(piece)))
                yield bytes(hidden) + piece[hidden:] if hidden else piece
                at += len(piece)

    async def _pieces(self, key: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        reader = await asyncio.to_thread(self._store.open, key)
        try:
            while start < end:
                piece = await asyncio.to_thread(reader.read_at, start, min(_PIECE_BYTES, end - start))
                if not piece:
                    return
                yield piece
                start += len(piece)
        finally:
            reader.close()

    async def _transcoded(self, one: Consignment) -> AsyncGenerator[bytes, None]:
        held, target = one.holding, one.transfer_syntax_uid
        image = await self._image(held) if held.is_drawable else None
        reason = reason_not_transcoded(held.transfer_syntax_uid, target, has_pixels=held.has_pixels, image=image)
        if reason:
            raise NotAcceptable(reason, key="transfer-syntax", instance_uid=held.instance_uid)
        about = await asyncio.to_thread(self._store.reference, held.key)
        yield await self._datasets.head(about, target, image)
        if image is None:
            return
        length = decoded_length(image)
        if lies_as_wanted(image):
            offset = image.frames[0].fragments[0][0]
            pieces = self._pieces(held.key, offset, offset + length)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
        else:
            for number in range(len(image.frames)):
                yield await self._datasets.frame(about, image, number)
        if length % 2:
            yield b"\0"

    # Frames and bulk data

    async def image(
        self, study_uid: StudyUid, series_uid: SeriesUid, instance_uid: InstanceUid
    ) -> tuple[str, ImageDescription]:
        """The key of an instance and what is to be known of its frames. Raises NotFound, NotDrawable."""
        stored = await self._database.read(lambda tx: index.stored_image(tx, study_uid, series_uid, instance_uid))
        return stored.key, stored.description

    async def _image(self, one: Holding) -> ImageDescription:
        return (await self.image(*one.uids))[1]

    async def stored_frame(self, key: str, image: ImageDescription, number: int) -> bytes:
        """A frame, counted from 1, encoded as it is stored. Raises NotFound, and NotAcceptable for one of a video."""
        if is_video(image.transfer_syntax_uid):
            raise NotAcceptable("a frame of a video does not stand by itself as it is stored", key="transfer-syntax")
        frame = image.frames[_frame_index(image, number)]
        return await asyncio.to_thread(self._fragments, key, frame.fragments)

    async def native_frame(self, key: str, image: ImageDescription, number: int) -> bytes:
        """A frame, counted from 1, uncompressed and little endian. Raises NotFound, NotDrawable."""
        frame_index = _frame_index(image, number)
        if is_copied(image) and image.transfer_syntax_uid != DEFLATED_EXPLICIT_LITTLE_ENDIAN:
            return await asyncio.to_thread(self._copied, key, image, frame_index)
        about = await asyncio.to_thread(self._store.reference, key)
        return await self._datasets.frame(about, image, frame_index)

    def _fragments(self, key: str, fragments: Sequence[tuple[int, int]]) -> bytes:
        with self._store.open(key) as reader:
            return b"".join(reader.read_at(offset, length) for offset, length in fragments)

    def _copied(self, key: str, image: ImageDescription, frame_index: int) -> bytes:
        with self._store.open(key) as reader:
            return copied_frame(image, frame_index, reader)

    async def bulk_data(self, one: Holding, path: tuple[str, ...]) -> Place | bytes:
        """A long value of an instance: its place, or itself. Raises NotFound (``pixels-in-fragments`` of those)."""
        return await self._datasets.find(await asyncio.to_thread(self._store.reference, one.key), path)


def default_syntaxes() -> tuple[str, ...]:
    """What is meant where no transfer syntax is named (PS3.18 §8.7.3.5): Explicit VR Little Endian, if it can be had."""
    return EXPLICIT_LITTLE_ENDIAN, AS_STORED


def _frame_index(image: ImageDescription, number: int) -> int:
    if not 1 <= number <= len(image.frames):
        raise NotFound(f"there is no frame {number} of {len(image.frames)}", key="no-such-frame")
    return number - 1
