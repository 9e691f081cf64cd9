"""Helper processes: work that is heavy, or that may crash, outside the process that answers browsers.

A ``Child`` is the parent's side, in asyncio; ``serve_requests`` is the child's, plain and synchronous. Between them runs a
socket pair with numbered messages, so that many requests are under way at once and each can be cancelled:

    parent  →  request n (header, body), cancel n
    child   →  answer n (header, body) | refusal n (an ApplianceError)

Headers are MessagePack of types that the two sides agree on; bodies are bytes as they are. Nothing is ever unpickled: a child
that parses hostile files must not be able to make its parent run anything.

A child that dies fails what it was asked (``Unavailable``) and is started again, slower each time that it dies at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

from appliance.domain import errors

log = logging.getLogger(__name__)

_HEAD = struct.Struct("<QBII")
"""Number, kind, length of the header and of the body in bytes."""
_FIRST_RESTART_DELAY_S = 0.1
_LONGEST_RESTART_DELAY_S = 10.0
_LIVED_WELL_S = 30.0
"""A child that lived so long has earned a quick restart."""
_STOP_TIMEOUT_S = 5.0


class _Kind(IntEnum):
    REQUEST = 1
    CANCEL = 2
    ANSWER = 3
    REFUSAL = 4


@dataclass(frozen=True, slots=True)
class Message:
    """Header and body, either way."""

    header: bytes
    body: bytes = b""


class _Refusal(msgspec.Struct, frozen=True):
    name: str
    message: str
    key: str
    fields: dict[str, str | int | float | bool | None]


def encode_refusal(error: errors.ApplianceError) -> bytes:
    """The refusal as one process tells it to another."""
    plain = {k: v if isinstance(v, str | int | float | bool | None) else str(v) for k, v in error.fields.items()}
    return msgspec.msgpack.encode(_Refusal(type(error).__name__, error.message, error.key, plain))


def decode_refusal(header: bytes) -> errors.ApplianceError:
    """What ``encode_refusal`` was given; of a class that is not known here, the base of all."""
    refusal = msgspec.msgpack.decode(header, type=_Refusal)
    kind = getattr(errors, refusal.name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.ApplianceError)) or kind is errors.TooManyAttempts:
        kind = errors.ApplianceError
    return kind(refusal.message, key=refusal.key, **refusal.fields)


ONE_THREAD_EACH = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Environment of processes that use NumPy: its libraries start a thread for every core otherwise, which spin while they wait."""


class Child:
    """One helper process, kept alive until ``stop``.

    ``module`` is run with ``python -m`` and must call ``serve_requests``. ``settings`` is what it gets first;
    ``descriptors`` are open in it under the same numbers, and stay those of the caller.
    """

    def __init__(
        self,
        module: str,
        settings: bytes,
        *,
        name: str,
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.restarts = 0
        self._module = module
        self._settings = settings
        self._environment = dict(environment or {})
        self._descriptors = tuple(descriptors)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._stopping = False

    async def start(self) -> None:
        """The process runs; returns before it has finished preparing itself."""
        reader = await self._spawn()
        self._keeper = asyncio.create_task(self._keep_alive(reader), name=f"keep {self.name} alive")

    @property
    def is_running(self) -> bool:
        """Whether there is a process to ask just now."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def prepare_next(self, settings: bytes) -> None:
        """The next process, should this one end, begins with other settings."""
        self._settings = settings

    async def ask(self, header: bytes, body: bytes = b"") -> Message:
        """The child's answer.

        Cancelling the waiting task tells the child to drop the request. Raises what the child refused with, and
        ``Unavailable`` when the child died over it.
        """
        if not self._ready.is_set():
            try:
                await asyncio.wait_for(self._ready.wait(), _LONGEST_RESTART_DELAY_S)
            except TimeoutError:
                raise errors.Unavailable(f"{self.name} is not running", key="helper-away", helper=self.name) from None
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._send(number, _Kind.REQUEST, header, body)
            return await answer
        except asyncio.CancelledError:
            with contextlib.suppress(ConnectionError, errors.Unavailable):
                await self._send(number, _Kind.CANCEL, b"", b"")
            raise
        finally:
            self._waiting.pop(number, None)

    async def stop(self) -> None:
        """The process is gone; what it was asked has failed."""
        self._stopping = True
        if self._writer:
            self._writer.close()
        if self._process:
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    async def _send(self, number: int, kind: _Kind, header: bytes, body: bytes) -> None:
        if self._writer is None or self._writer.is_closing():
            raise errors.Unavailable(f"{self.name} is not running", key="helper-away", helper=self.name)
        # One call for both: each write is a call of the system.
        self._writer.write(_HEAD.pack(number, kind, len(header), len(body)) + header)
        if body:
            self._writer.write(body)
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise errors.Unavailable(f"{self.name} has gone", key="helper-away", helper=self.name) from error

    async def _spawn(self) -> asyncio.StreamReader:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno(), *self._descriptors],
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, **self._environment},
            )
        reader, self._writer = await asyncio.open_connection(sock=ours)
        await self._send(0, _Kind.REQUEST, self._settings, b"")
        self._ready.set()
        return reader

    async def _keep_alive(self, reader: asyncio.StreamReader) -> None:
        delay_s = _FIRST_RESTART_DELAY_S
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            await self._read_answers(reader)
            self._ready.clear()
            assert self._process is not None
            status = await self._process.wait()
            self._fail_waiting()
            if self._stopping:
                return
            self.restarts += 1
            log.error("%s ended with status %s and is started again", self.name, status)
            if loop.time() - started > _LIVED_WELL_S:
                delay_s = _FIRST_RESTART_DELAY_S
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_RESTART_DELAY_S)
            reader = await self._spawn()

    async def _read_answers(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                number, kind, header_length, body_length = _HEAD.unpack(await reader.readexactly(_HEAD.size))
                message = Message(await reader.readexactly(header_length), await reader.readexactly(body_length))
                waiting = self._waiting.get(number)
                if waiting is None or waiting.done():
                    continue
                if kind == _Kind.ANSWER:
                    waiting.set_result(message)
                else:
                    waiting.set_exception(decode_refusal(message.header))

    def _fail_waiting(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(
                    errors.Unavailable(f"{self.name} died over it", key="helper-died", helper=self.name)
                )


@dataclass(slots=True)
class Request:
    """What a child was asked; answered once, from any thread."""

    number: int
    message: Message
    _reply: Callable[[int, _Kind, bytes, bytes], None]
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _on_done: Callable[[int], None] = lambda number: None

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._cancelled.is_set()

    def answer(self, header: bytes, body: bytes = b"") -> None:
        self._on_done(self.number)
        self._reply(self.number, _Kind.ANSWER, header, body)

    def refuse(self, error: errors.ApplianceError) -> None:
        self._on_done(self.number)
        self._reply(self.number, _Kind.REFUSAL, encode_refusal(error), b"")


def serve_requests(prepare: Callable[[bytes], Callable[[Request], None]]) -> None:
    """Reads requests until the parent goes; the whole life of a child.

    ``prepare`` gets the settings and returns the handler. The handler is called on this thread, must not block for
    long (it hands the request to a thread of its own or answers at once), and answers through the request. An exception in
    it that is no ApplianceError ends the process: the parent starts a clean one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when; Ctrl-C reaches the whole group
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    lock = threading.Lock()
    open_requests: dict[int, Request] = {}

    def reply(number: int, kind: _Kind, header: bytes, body: bytes) -> None:
        head = _HEAD.pack(number, kind, len(header), len(body))
        with lock, contextlib.suppress(ConnectionError):
            connection.sendall(head + header)
            connection.sendall(body)

    def forget(number: int) -> None:
        open_requests.pop(number, None)

    with connection.makefile("rb", buffering=1 << 16) as stream:
        handle: Callable[[Request], None] | None = None
        while head := stream.read(_HEAD.size):
            number, kind, header_length, body_length = _HEAD.unpack(head)
            message = Message(stream.read(header_length), stream.read(body_length))
            if handle is None:
                handle = prepare(message.header)
            elif kind == _Kind.CANCEL:
                cancelled = open_requests.pop(number, None)
                if cancelled:
                    cancelled._cancelled.set()
            else:
                request = Request(number, message, reply, _on_done=forget)
                open_requests[number] = request
                try:
                    handle(request)
                except errors.ApplianceError as error:
                    request.refuse(error)
    os._exit(0)  # threads may still be drawing for nobody
