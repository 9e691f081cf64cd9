"""Reading held objects again, in a process with little to lose: what is held is still anybody's file.

It describes data sets, finds long values in them, rewrites headers, anonymises, decodes frames, and reads what is no picture,
within the limits of the parsers (``services.parse_process``) and with the key of the one file that it is asked about.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from appliance.domain.anonymity import Pseudonymity
from appliance.domain.documents import Document
from appliance.domain.errors import ApplianceError, Damaged, NotAcceptable, Unavailable
from appliance.domain.image import ImageDescription
from appliance.domain.outlines import Segmentation, StructureSet
from appliance.domain.presentations import PresentationState
from appliance.rendering.waveforms import drawn
from appliance.services.children import ONE_THREAD_EACH, Child, Message, Request, serve_requests
from appliance.services.parse_process import ParseLimits
from appliance.services.process_limits import allow_processor_time, limit
from appliance.storage import bulk_data
from appliance.storage.bulk_data import Place
from appliance.storage.deidentification import anonymised
from appliance.storage.dicom_json import metadata_of
from appliance.storage.documents import document_of
from appliance.storage.instances import InstanceReader, SpoolReference, open_spooled
from appliance.storage.media_directory import entry_of
from appliance.storage.outlines import outlines_of, segmentation_of, structure_set_of
from appliance.storage.parsing import metadata, read_header
from appliance.storage.presentation_states import presentation_of
from appliance.storage.structure import DataSetLimits
from appliance.storage.transcoding import decoded_frame, transcoded_head
from appliance.storage.waveforms import waveforms_of


class Describe(msgspec.Struct, frozen=True, tag=True):
    """The data set in the DICOM JSON model."""


class Find(msgspec.Struct, frozen=True, tag=True):
    """A long value; answered by its place, or by itself as the body."""

    path: tuple[str, ...]


class Head(msgspec.Struct, frozen=True, tag=True):
    """The object in another transfer syntax, up to its pixels."""

    target: str
    image: ImageDescription | None


class Frame(msgspec.Struct, frozen=True, tag=True):
    """The one frame of ``image``, native."""

    image: ImageDescription


class Present(msgspec.Struct, frozen=True, tag=True):
    """What a presentation state wishes."""


class Read(msgspec.Struct, frozen=True, tag=True):
    """What is written in a structured report."""


class Chart(msgspec.Struct, frozen=True, tag=True):
    """Waveforms on paper, from a second on; the body."""

    start_s: float


class Rewrap(msgspec.Struct, frozen=True, tag=True):
    """A video as browsers play it; the body."""

    fragments: tuple[tuple[int, int], ...]


class Segments(msgspec.Struct, frozen=True, tag=True):
    """The segments of a segmentation, and whose each frame is."""


class Structures(msgspec.Struct, frozen=True, tag=True):
    """The contours of a structure set."""


class Outline(msgspec.Struct, frozen=True, tag=True):
    """The regions in the frames of ``image``."""

    image: ImageDescription
    numbers: tuple[int | None, ...]
    maximum: int | None


class Anonymise(msgspec.Struct, frozen=True, tag=True):
    """The object without who it is of; answered by ``AnonymousPieces``, and what it begins with as the body."""

    how: Pseudonymity


class AnonymousPieces(msgspec.Struct, frozen=True):
    """An object of nobody: a head, a part of the stored bytes, a tail."""

    pixels: Place | None
    tail: bytes
    transfer_syntax_uid: str
    entry: dict[str, Any]
    """What a DICOMDIR says of it, in the DICOM JSON model."""


Wanted = Describe | Find | Head | Frame | Present | Anonymise | Read | Chart | Rewrap | Segments | Structures | Outline


class Question(msgspec.Struct, frozen=True):
    about: SpoolReference
    wanted: Wanted


class Datasets:
    """One child; it answers one question at a time, so that it is known which object it died over."""

    def __init__(self, limits: ParseLimits) -> None:
        self._limits = limits
        self._child = Child(__name__, msgspec.msgpack.encode(limits), name="data sets", environment=ONE_THREAD_EACH)
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        await self._child.start()

    async def stop(self) -> None:
        await self._child.stop()

    async def describe(self, about: SpoolReference) -> bytes:
        """JSON."""
        return (await self._ask(about, Describe())).body

    async def find(self, about: SpoolReference, path: tuple[str, ...]) -> Place | bytes:
        """Raises NotFound."""
        answer = await self._ask(about, Find(path))
        return msgspec.msgpack.decode(answer.header, type=Place) if answer.header else answer.body

    async def head(self, about: SpoolReference, target: str, image: ImageDescription | None) -> bytes:
        """Raises NotAcceptable."""
        return (await self._ask(about, Head(target, image))).body

    async def frame(self, about: SpoolReference, image: ImageDescription, frame_index: int) -> bytes:
        """One frame, counted from 0, native and little endian. Raises NotDrawable."""
        return (await self._ask(about, Frame(replace(image, frames=(image.frames[frame_index],))))).body

    async def anonymised(self, about: SpoolReference, how: Pseudonymity) -> tuple[bytes, AnonymousPieces]:
        """The head of an object of nobody, and the rest. Raises NotAcceptable."""
        answer = await self._ask(about, Anonymise(how))
        return answer.body, msgspec.msgpack.decode(answer.header, type=AnonymousPieces)

    async def presentation(self, about: SpoolReference) -> PresentationState:
        """Raises NotDrawable for objects that are no presentation state that can be applied."""
        return msgspec.msgpack.decode((await self._ask(about, Present())).header, type=PresentationState)

    async def document(self, about: SpoolReference) -> Document:
        """Raises NotDrawable for objects that are no document, and TooLarge."""
        return msgspec.msgpack.decode((await self._ask(about, Read())).header, type=Document)

    async def chart(self, about: SpoolReference, start_s: float) -> bytes:
        """Waveforms as SVG, a minute from ``start_s`` on. Raises NotDrawable."""
        return (await self._ask(about, Chart(start_s))).body

    async def film(self, about: SpoolReference, fragments: Sequence[tuple[int, int]]) -> bytes:
        """A stored video in MP4. Raises NotDrawable for what no browser plays, and TooLarge."""
        return (await self._ask(about, Rewrap(tuple(fragments)))).body

    async def segmentation(self, about: SpoolReference) -> Segmentation:
        """Raises NotDrawable for objects that are none."""
        return msgspec.msgpack.decode((await self._ask(about, Segments())).header, type=Segmentation)

    async def structure_set(self, about: SpoolReference) -> StructureSet:
        """Raises NotDrawable for objects that are none, and TooLarge."""
        return msgspec.msgpack.decode((await self._ask(about, Structures())).header, type=StructureSet)

    async def outlines(
        self, about: SpoolReference, image: ImageDescription, numbers: Sequence[int | None], maximum: int | None
    ) -> tuple[tuple[tuple[int, float, str], ...], ...]:
        """Of each frame of ``image``: segment, opacity and path. Raises NotDrawable."""
        answer = await self._ask(about, Outline(image, tuple(numbers), maximum))
        return msgspec.msgpack.decode(answer.header, type=tuple[tuple[tuple[int, float, str], ...], ...])

    async def _ask(self, about: SpoolReference, wanted: Wanted) -> Message:
        question = msgspec.msgpack.encode(Question(about, wanted))
        async with self._turn:
            try:
                return await asyncio.wait_for(self._child.ask(question), self._limits.wall_s)
            except TimeoutError:
                raise NotAcceptable("reading the object takes too long", key="too-costly") from None
            except Unavailable as error:
                if error.key != "helper-died":
                    raise
                raise NotAcceptable("the reader died over the object", key="too-costly") from error


def _prepare(settings: bytes) -> Callable[[Request], None]:
    limits = msgspec.msgpack.decode(settings, type=ParseLimits)
    limit(resource.RLIMIT_AS, limits.memory_bytes)
    limit(resource.RLIMIT_NOFILE, limits.open_files)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)

    def handle(request: Request) -> None:
        allow_processor_time(limits.processor_s)
        question = msgspec.msgpack.decode(request.message.header, type=Question)
        with open_spooled(question.about) as reader:
            header, body = _answered(question.wanted, reader, limits.data_set)
        request.answer(header, body)

    return handle


def _answered(wanted: Wanted, reader: InstanceReader, limits: DataSetLimits) -> tuple[bytes, bytes]:  # noqa: PLR0911, PLR0912  # a table
    try:
        match wanted:
            case Describe():
                return b"", msgspec.json.encode(metadata(read_header(reader, limits)))
            case Find(path):
                value = bulk_data.found(reader, path, limits)
                return (b"", value) if isinstance(value, bytes) else (msgspec.msgpack.encode(value), b"")
            case Head(target, image):
                return b"", transcoded_head(reader, target, image, limits)
            case Frame(image):
                return b"", decoded_frame(image, 0, reader)
            case Anonymise(how):
                made = anonymised(reader, how, limits)
                entry = entry_of(metadata_of(made.ds, made.transfer_syntax_uid, None))
                pieces = AnonymousPieces(made.pixels, made.tail, made.transfer_syntax_uid, entry)
                return msgspec.msgpack.encode(pieces), made.head
            case Present():
                return msgspec.msgpack.encode(presentation_of(read_header(reader, limits))), b""
            case Read():
                return msgspec.msgpack.encode(document_of(read_header(reader, limits))), b""
            case Chart(start_s):
                return b"", drawn(waveforms_of(read_header(reader, limits)), start_s)
            case Segments():
                return msgspec.msgpack.encode(segmentation_of(read_header(reader, limits))), b""
            case Structures():
                return msgspec.msgpack.encode(structure_set_of(read_header(reader, limits))), b""
            case Outline(image, numbers, maximum):
                return msgspec.msgpack.encode(outlines_of(image, numbers, maximum, reader)), b""
            case Rewrap(fragments):
                # Only here: FFmpeg is large, and whoever never sees a video would wait for it at the start.
                from appliance.storage.video import film_of

                return b"", film_of(fragments, reader)
    except ApplianceError:
        raise
    except Exception as error:
        # The edge of the task. The text of an error may quote the file: its type says enough.
        raise Damaged(f"a held object cannot be read: {type(error).__name__}", key="unreadable-dicom") from None


if __name__ == "__main__":
    serve_requests(_prepare)
