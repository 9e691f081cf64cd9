"""Parsing strangers' files in a process that has little to lose.

It may use so much memory and processor time, write no file and start no process; it gets the beginning of one file at a time,
or the key of one that is spooled, and never that of the store. A file that kills it is refused, and the next one meets a fresh
process: each child has one file at a time, so it is known which one it was.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable

import msgspec

from appliance.domain.errors import ApplianceError, NotDicom, Unavailable
from appliance.domain.hierarchy import ParsedInstance
from appliance.services.children import ONE_THREAD_EACH, Child, Message, Request, serve_requests
from appliance.services.process_limits import allow_processor_time, limit
from appliance.storage.instances import SpoolReference, open_spooled
from appliance.storage.parsing import parse
from appliance.storage.stream import BeyondHead, Head
from appliance.storage.structure import DataSetLimits

log = logging.getLogger(__name__)

_MIB = 1024 * 1024
_DEATHS = 2
"""So many parsers may die over one file."""


class ParseLimits(msgspec.Struct, frozen=True):
    """What one file may cost."""

    memory_bytes: int = 1536 * _MIB
    """Address space of the process; about 300 MiB of it are Python and its libraries."""
    processor_s: int = 20
    """The slowest sound file seen, 10,000 frames with a group each, takes 3."""
    wall_s: int = 60
    """For a disk that does not answer."""
    open_files: int = 32
    data_set: DataSetLimits = DataSetLimits()


class _ParserDied(Exception):
    """The process ended in the middle of a file."""


class Parsers:
    """Some parsing children; each parses one file at a time."""

    def __init__(self, count: int, limits: ParseLimits) -> None:
        settings = msgspec.msgpack.encode(limits)
        # Libraries of numpy start a thread for every core otherwise, which the limits forbid.
        self._limits = limits
        self._children = [
            Child(__name__, settings, name=f"parser {n + 1}", environment=ONE_THREAD_EACH) for n in range(count)
        ]
        self._idle: asyncio.Queue[Child] = asyncio.Queue()

    async def start(self) -> None:
        for child in self._children:
            await child.start()
            self._idle.put_nowait(child)

    async def stop(self) -> None:
        for child in self._children:
            await child.stop()

    async def parse(self, spooled: SpoolReference) -> ParsedInstance:
        """What is kept of a spooled file. Raises TooLarge, and NotDicom, also for a file that kills its parser or takes too long.

        A parser can be killed by others, for lack of memory say: a file is refused when a second one dies over it.
        """
        answer = await self._answer(msgspec.msgpack.encode(spooled), b"")
        return msgspec.msgpack.decode(answer, type=ParsedInstance)

    async def parse_head(self, head: bytes, size_bytes: int) -> ParsedInstance | None:
        """``parse`` of an object of which only the beginning is at hand; None where more of it is needed."""
        answer = await self._answer(msgspec.msgpack.encode(size_bytes), head)
        return msgspec.msgpack.decode(answer, type=ParsedInstance | None)

    async def _answer(self, question: bytes, head: bytes) -> bytes:
        for _ in range(_DEATHS - 1):
            try:
                return await self._ask(question, head)
            except _ParserDied:
                log.warning("a parser died over a file, which is tried once more")
        try:
            return await self._ask(question, head)
        except _ParserDied as error:
            raise NotDicom("the parser died over it", key="unreadable-dicom") from error

    async def _ask(self, question: bytes, head: bytes) -> bytes:
        child = await self._idle.get()
        try:
            answer = await asyncio.wait_for(child.ask(question, head), self._limits.wall_s)
        except TimeoutError:
            raise NotDicom("parsing takes too long", key="unreadable-dicom") from None
        except Unavailable as error:
            if error.key != "helper-died":
                raise
            raise _ParserDied from error
        finally:
            self._idle.put_nowait(child)
        return answer.header


def _prepare(settings: bytes) -> Callable[[Request], None]:
    limits = msgspec.msgpack.decode(settings, type=ParseLimits)
    limit(resource.RLIMIT_AS, limits.memory_bytes)
    limit(resource.RLIMIT_NOFILE, limits.open_files)
    limit(resource.RLIMIT_CORE, 0)  # a dump would hold what the file holds
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_NPROC, 0)

    def handle(request: Request) -> None:
        allow_processor_time(limits.processor_s)
        request.answer(msgspec.msgpack.encode(_parsed(request.message, limits.data_set)))

    return handle


def _parsed(asked: Message, limits: DataSetLimits) -> ParsedInstance | None:
    about = msgspec.msgpack.decode(asked.header, type=SpoolReference | int)
    try:
        if isinstance(about, int):
            return parse(Head(asked.body, about), limits)
        with open_spooled(about) as reader:
            return parse(reader, limits)
    except BeyondHead:
        return None
    except ApplianceError:
        raise
    except Exception as error:
        # The edge of the task. The text of an error may quote the file: its type says enough.
        raise NotDicom(f"the parser fails: {type(error).__name__}", key="unreadable-dicom") from None


if __name__ == "__main__":
    serve_requests(_prepare)
