"""Compressed frames are decoded in processes that have nothing to lose: a native decoder may crash, or want all memory.

    render process   ⇄ one stream of requests ⇄   nursery: has the decoders loaded, and forks
    render process   ⇄ memory and a socket each ⇄ workers: decode one frame at a time

Bytes go in and values come out through memory that both sides have mapped; the socket carries the description of the frame, and
that it is done. A worker opens no file and gets no key. One that dies costs the frame at hand and is replaced in milliseconds,
since a fork needs no imports; the frame is tried once more, for it may have been killed by others, and then refused.

The memory is sealed against shrinking, so that a worker cannot make the one who reads it fault.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import logging
import math
import mmap
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import imagecodecs
import msgspec
import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import ApplianceError, Damaged, NotDrawable, Unavailable
from appliance.domain.image import FrameDescription, ImageDescription, Overlay
from appliance.services.children import ONE_THREAD_EACH, decode_refusal, encode_refusal
from appliance.services.process_limits import allow_processor_time, limit
from appliance.storage.decoding import Room, decode_frame, decode_overlay, new_room
from appliance.storage.stream import InMemory, Readable
from appliance.storage.transfer_syntaxes import DEFLATED_EXPLICIT_LITTLE_ENDIAN, is_native

log = logging.getLogger(__name__)

Pixels = NDArray[np.generic]

_MIB = 1024 * 1024
_TRIES = 2
"""So many workers may die over one frame."""
_LONGEST_MESSAGE_BYTES = 1 << 16
_PAGE_BYTES = mmap.PAGESIZE
_LARGEST_KEPT_BYTES = 64 * _MIB
"""Shared memory that a worker keeps for its next frame."""
_KILLED_FIRST = "500"
"""Of 1000, for the kernel that looks for a process to end when memory is out: not the one that holds the pictures."""
_DECODERS = (
    "jpeg8_decode",
    "jpegsof3_decode",
    "jpegls_decode",
    "jpeg2k_decode",
    "htj2k_decode",
    "jpegxl_decode",
    "packbits_decode",
)
"""Loaded before the first fork: imagecodecs loads each when it is asked for."""


class DecodeLimits(msgspec.Struct, frozen=True):
    """What one frame may cost."""

    memory_bytes: int = 2048 * _MIB
    """Address space of a worker; about 125 MiB of it are Python and its libraries."""
    processor_s: int = 20
    """The largest frames seen, 5,000 by 4,000 in JPEG 2000, take 1."""
    wall_s: float = 60
    open_files: int = 16


class _Job(msgspec.Struct, frozen=True):
    """A frame whose bytes are at the start of the shared memory; its values go to ``output_offset``."""

    image: ImageDescription
    input_bytes: int
    output_offset: int
    output_bytes: int
    overlay: Overlay | None = None
    """Whose bits are wanted instead of the frame."""


class _Done(msgspec.Struct, frozen=True):
    kind: str
    """Type of the values, as NumPy writes it."""
    shape: tuple[int, ...]


class _Answer(msgspec.Struct, frozen=True):
    done: _Done | None = None
    refusal: bytes = b""


class _WorkerDied(Exception):
    """The process ended in the middle of a frame."""


def is_decoded_apart(transfer_syntax_uid: str) -> bool:
    """Whether frames of this syntax are for a worker; those that only have to be read are not."""
    return not is_native(transfer_syntax_uid) or transfer_syntax_uid == DEFLATED_EXPLICIT_LITTLE_ENDIAN


class Decoders:
    """Up to ``count`` workers; for any thread, which waits for its frame."""

    def __init__(self, count: int, limits: DecodeLimits | None = None, *, niceness: int = 0) -> None:
        """``niceness`` is of the operating system: 0 for what somebody waits for, up to 19."""
        self.deaths = 0
        self._limits = limits or DecodeLimits()
        self._niceness = niceness
        self._free = threading.BoundedSemaphore(count)
        self._idle: list[_Worker] = []
        self._nursery: _Nursery | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """The first worker is on its way; without this it would be with the first frame."""
        with contextlib.suppress(Unavailable), self._lock:
            self._idle.append(self._new_worker())

    def stop(self) -> None:
        """The processes are gone; they would go by themselves when this one does."""
        with self._lock:
            for worker in self._idle:
                worker.end()
            self._idle.clear()
            if self._nursery:
                self._nursery.end()
                self._nursery = None

    @property
    def pids(self) -> list[int]:
        """Of the workers that wait for a frame."""
        with self._lock:
            return [worker.pid for worker in self._idle]

    def decode(
        self, description: ImageDescription, frame_index: int, reader: Readable, room: Room = new_room
    ) -> Pixels:
        """What ``storage.decoding.decode_frame`` gives, and refuses; besides NotDrawable for a frame that is too costly.

        The array is the caller's, in memory of ``room``.
        """
        return self._decoded(*_alone(description, frame_index, reader), room)

    def decode_overlay(
        self, description: ImageDescription, frame_index: int, overlay: Overlay, reader: Readable
    ) -> NDArray[np.bool_]:
        """What ``storage.decoding.decode_overlay`` gives, and refuses; by a worker where the overlay is in what is encoded."""
        if not _is_overlay_encoded(description, overlay):
            return decode_overlay(description, frame_index, overlay, reader)
        return np.asarray(self._decoded(*_alone(description, frame_index, reader), new_room, overlay), np.bool_)

    def _decoded(self, image: ImageDescription, data: bytes, room: Room, overlay: Overlay | None = None) -> Pixels:
        with self._free:
            for attempt in itertools.count(1):
                worker = self._taken()
                try:
                    values = worker.decode(image, data, room, self._limits.wall_s, overlay)
                except _WorkerDied:
                    worker.end()
                    self.deaths += 1
                    log.warning("a decoder died over a frame in %s", image.transfer_syntax_uid)
                    if attempt == _TRIES:
                        raise NotDrawable("a decoder dies over the frame", key="decoder-died") from None
                except TimeoutError:
                    worker.end()
                    raise NotDrawable("decoding the frame takes too long", key="frame-too-costly") from None
                except BaseException:
                    self._give_back(worker)
                    raise
                else:
                    self._give_back(worker)
                    return values
        raise AssertionError("left by an answer or a refusal")

    def _taken(self) -> _Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if not worker.has_ended():
                    return worker
                worker.end()  # not over a frame
            return self._new_worker()

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)

    def _new_worker(self) -> _Worker:
        for _ in range(_TRIES):
            if self._nursery is None:
                self._nursery = _Nursery(self._limits)
            try:
                return self._nursery.born(self._niceness)
            except OSError:
                self._nursery.end()
                self._nursery = None
        raise Unavailable("no decoder can be started", key="helper-away", helper="decoder")


def _alone(description: ImageDescription, frame_index: int, reader: Readable) -> tuple[ImageDescription, bytes]:
    """The frame as the only one of its image, without what decoding does not look at, and the bytes that it is in."""
    if not 0 <= frame_index < len(description.frames):
        raise NotDrawable(f"frame {frame_index + 1} of {len(description.frames)}", key="no-such-frame")
    frame = description.frames[frame_index]
    if description.transfer_syntax_uid == DEFLATED_EXPLICIT_LITTLE_ENDIAN:
        data, fragments = reader.read_at(0, reader.size_bytes), frame.fragments
    else:
        data = b"".join(reader.read_at(offset, length) for offset, length in frame.fragments)
        fragments = ((0, sum(length for _, length in frame.fragments)),)
    only = FrameDescription(fragments, frame.first_bit, stream_index=frame.stream_index)
    return replace(
        description, frames=(only,), modality_lut=None, voi_luts=(), palette=None, presentation_lut=None
    ), data


def _is_overlay_encoded(description: ImageDescription, overlay: Overlay) -> bool:
    """Whether its bits come out of a decoder: those of the pixels, or of a data set that is deflated."""
    is_inside = overlay.embedded_bit is not None
    is_deflated = description.transfer_syntax_uid == DEFLATED_EXPLICIT_LITTLE_ENDIAN and overlay.place is not None
    return is_deflated or (is_inside and is_decoded_apart(description.transfer_syntax_uid))


class _Nursery:
    """The parent's end of the process that forks workers."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # a module of ours
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD_EACH},  # threads do not survive a fork
            )
        self._connection.send(msgspec.msgpack.encode(limits))

    def born(self, niceness: int) -> _Worker:
        """A worker, on its way. Raises OSError if the nursery has died."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                socket.send_fds(self._connection, [bytes([niceness])], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return _Worker(ours)

    def end(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()


class _Worker:
    """The parent's end of one worker; used by one thread at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pid = 0
        self._process: int | None = None
        """A descriptor of it: its number may be another process' once it has ended."""
        self._memory: mmap.mmap | None = None

    @property
    def pid(self) -> int:
        """Waits until the process is there. Raises OSError if it came to nothing."""
        if self._process is None:
            self._pid = int.from_bytes(self._connection.recv(8), "big")
            self._process = os.pidfd_open(self._pid)
        return self._pid

    def has_ended(self) -> bool:
        """Whether the process was there, and is no more."""
        return self._process is not None and bool(select.select([self._process], [], [], 0)[0])

    def decode(
        self, image: ImageDescription, data: bytes, room: Room, wall_s: float, overlay: Overlay | None
    ) -> Pixels:
        """Raises _WorkerDied, TimeoutError, and what decoding refuses."""
        output_offset = -(-len(data) // _PAGE_BYTES) * _PAGE_BYTES
        output_bytes = overlay.rows * overlay.columns if overlay else _size_bytes(image)
        descriptor = self._make_room(output_offset + output_bytes)
        assert self._memory is not None
        self._memory[: len(data)] = data
        job = msgspec.msgpack.encode(_Job(image, len(data), output_offset, output_bytes, overlay))
        try:
            self._connection.settimeout(wall_s)
            _ = self.pid  # its first word; nothing else comes before it
            socket.send_fds(self._connection, [job], [] if descriptor is None else [descriptor])
            told = self._connection.recv(_LONGEST_MESSAGE_BYTES)
        except TimeoutError:
            raise
        except OSError as error:
            raise _WorkerDied from error
        finally:
            if descriptor is not None:
                os.close(descriptor)
        if not told:
            raise _WorkerDied
        return self._values(told, output_offset, output_bytes, room)

    def _values(self, told: bytes, output_offset: int, output_bytes: int, room: Room) -> Pixels:
        try:
            answer = msgspec.msgpack.decode(told, type=_Answer)
            if answer.done is None:
                raise decode_refusal(answer.refusal)
            kind = np.dtype(answer.done.kind)
            assert self._memory is not None
            if math.prod(answer.done.shape) * kind.itemsize != output_bytes or kind.hasobject:
                raise ValueError("values of another size")
            data = room(output_bytes)
            values: Pixels = data.view(kind).reshape(answer.done.shape)
        except (msgspec.DecodeError, ValueError, TypeError, MemoryError) as error:
            # It decodes strangers' bytes: what it says is not believed either.
            raise Damaged("a decoder answers what makes no sense", key="pixel-data-damaged") from error
        data[:] = np.frombuffer(self._memory, np.uint8, output_bytes, output_offset)
        return values

    def _make_room(self, wanted_bytes: int) -> int | None:
        """So many bytes are shared; a descriptor of memory that the worker does not have yet, or None."""
        held_bytes = len(self._memory) if self._memory else 0
        if wanted_bytes <= held_bytes <= max(_LARGEST_KEPT_BYTES, 4 * wanted_bytes):
            return None
        if self._memory:
            self._memory.close()
        size_bytes = max(_MIB, -(-wanted_bytes // _PAGE_BYTES) * _PAGE_BYTES)
        descriptor = os.memfd_create("frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, size_bytes)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            self._memory = mmap.mmap(descriptor, size_bytes)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            os.close(self._process)
            self._process = None
        self._connection.close()
        if self._memory:
            self._memory.close()


def _size_bytes(image: ImageDescription) -> int:
    form = image.pixel_format
    return form.rows * form.columns * form.samples_per_pixel * max(1, form.bits_allocated // 8)


# In the nursery and in the workers


def _serve_nursery(connection: socket.socket) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when; Ctrl-C reaches the whole group
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a worker ended
    limits = msgspec.msgpack.decode(connection.recv(_LONGEST_MESSAGE_BYTES), type=DecodeLimits)
    for name in _DECODERS:
        getattr(imagecodecs, name)
    while True:
        wanted, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
        if not wanted:
            os._exit(0)
        if os.fork() == 0:
            connection.close()
            with contextlib.suppress(ConnectionError):  # the parent has gone
                _serve_worker(socket.socket(fileno=descriptors[0]), limits, niceness=wanted[0])
            os._exit(0)
        os.close(descriptors[0])


def _serve_worker(connection: socket.socket, limits: DecodeLimits, *, niceness: int) -> NoReturn:
    os.nice(niceness)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_KILLED_FIRST)
    limit(resource.RLIMIT_AS, limits.memory_bytes)
    limit(resource.RLIMIT_NOFILE, limits.open_files)
    limit(resource.RLIMIT_CORE, 0)  # a dump would hold what the frame holds
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_NPROC, 0)
    connection.send(os.getpid().to_bytes(8, "big"))
    memory: mmap.mmap | None = None
    while True:
        told, descriptors, _, _ = socket.recv_fds(connection, _LONGEST_MESSAGE_BYTES, 1)
        if not told:
            os._exit(0)
        allow_processor_time(limits.processor_s)
        try:
            if descriptors:
                if memory:
                    memory.close()
                    memory = None
                memory = _mapped(descriptors[0])
            assert memory is not None, "the first frame brings memory"
            answer = _answered(msgspec.msgpack.decode(told, type=_Job), memory)
        except ApplianceError as error:
            answer = _Answer(refusal=encode_refusal(error))
        connection.send(msgspec.msgpack.encode(answer))


def _mapped(descriptor: int) -> mmap.mmap:
    try:
        return mmap.mmap(descriptor, 0)
    except (OSError, MemoryError) as error:
        raise _too_costly() from error
    finally:
        os.close(descriptor)


def _answered(job: _Job, memory: mmap.mmap) -> _Answer:
    try:
        held = InMemory(memory[: job.input_bytes])
        values: Pixels = (
            decode_overlay(job.image, 0, job.overlay, held) if job.overlay else decode_frame(job.image, 0, held)
        )
        if values.nbytes != job.output_bytes:
            raise NotDrawable("the frame has another size than described", key="pixel-data-damaged")
        shared = np.frombuffer(memory, values.dtype, values.size, job.output_offset).reshape(values.shape)
        shared[...] = values
    except ApplianceError as error:
        if isinstance(error.__cause__, MemoryError):
            raise _too_costly() from error
        raise
    except MemoryError as error:
        raise _too_costly() from error
    except Exception as error:
        # The edge of the task. The text of an error may quote the file: its type says enough.
        raise NotDrawable(f"the decoder fails: {type(error).__name__}", key="pixel-data-damaged") from None
    return _Answer(_Done(values.dtype.str, values.shape))


def _too_costly() -> NotDrawable:
    return NotDrawable("decoding the frame needs more memory than a frame may take", key="frame-too-costly")


if __name__ == "__main__":
    _serve_nursery(socket.socket(fileno=int(sys.argv[1])))
