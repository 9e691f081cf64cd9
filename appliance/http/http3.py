"""HTTP/3 as aioquic speaks it, with what a server of browsers needs besides.

Everything that leans on the insides of aioquic (1.7.2, pinned exactly) stands in this file; tests/http/test_quic.py notices
when an upgrade moves them.

* A malformed request is an error of its stream (RFC 9114 §4.1.2); aioquic closes the connection with all its requests.
* The receive windows follow the consumer (RFC 9000 §4.1); aioquic doubles them with the producer, without an end.
* GOAWAY announces the end of a connection (RFC 9114 §5.2), so that a browser sends the next request elsewhere at once.
* A request of a few bytes, each of which stands for the longest entry of the header table, is not unfolded (RFC 9204 §7.3.1).
* An answer that is broken off is forgotten; aioquic keeps its state until the connection ends.
* The urgent answer is sent first (RFC 9218); aioquic lets all take turns, and reads past PRIORITY_UPDATE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from aioquic.buffer import Buffer, BufferReadError, encode_uint_var  # type: ignore[attr-defined]
from aioquic.h3.connection import (
    ErrorCode,
    FrameError,
    FrameType,
    FrameUnexpected,
    H3Connection,
    H3Stream,
    HeadersState,
    IdError,
    MessageError,
    ProtocolError,
    Setting,
    encode_frame,
)
from aioquic.h3.events import H3Event, Headers
from aioquic.quic.connection import Limit, QuicConnection
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

from appliance.http.priorities import UNSAID, Priority, priority_of, read_priority

FIRST_WINDOW_BYTES = 96 << 10
"""What a client may send on a stream before the application reads it. All 128 streams so filled leave room in the window of
the connection, so that a request which waits for its turn never stops the one whose turn it is."""
STREAM_WINDOW_BYTES = 1 << 20
"""What it may send ahead of an application that reads: 10 MB/s at a round trip of 100 ms."""
CONNECTION_WINDOW_BYTES = 16 << 20
"""The same for all streams of a connection together: what one client can make us hold."""
FIELD_SECTION_LIMIT_BYTES = 64 << 10
"""Of a request's headers, counted as RFC 9114 §4.2.2 does: 32 bytes a field besides its name and value."""

_FIELD_LINES_LIMIT = 256
"""Of a request, each of them up to 4 kB from a byte: some ten times what a browser sends."""
_FIELD_OVERHEAD_BYTES = 32
_PRIORITY_UPDATE = 0xF0700
_PRIORITY_UPDATE_OF_PUSH = 0xF0701
_PRIORITY_UPDATE_LIMIT_BYTES = 1 << 10
_REMEMBERED_PRIORITIES = 256
"""Before those of streams that are over are looked for: twice the streams that a client may have open."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's control data and header fields, as an ASGI scope wants them."""

    method: str
    raw_path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]

    @property
    def path(self) -> str:
        """The path with its percent-encoding undone."""
        return unquote(self.raw_path.decode("ascii"))


class RefusedRequest(Exception):
    """A request that never reaches the application; ``status`` is its answer."""

    def __init__(self, status: int, key: str, title: str) -> None:
        super().__init__(title)
        self.status = status
        self.key = key
        self.title = title


@dataclass
class MalformedReceived(H3Event):
    """A request, or the rest of one, that RFC 9114 §4.1.2 calls malformed."""

    stream_id: int
    reason: str
    is_head: bool
    """Whether it is the head; else the request has been seen, and possibly answered."""


def read_head(headers: Headers) -> RequestHead:
    """The request that the fields of a HEADERS frame ask for.

    Raises RefusedRequest where there is none that this server could answer. Cookies that the client split for better
    compression are one field again (RFC 9114 §4.2.1), and ``:authority`` becomes ``host`` (§4.3.1).
    """
    if sum(len(name) + len(value) + _FIELD_OVERHEAD_BYTES for name, value in headers) > FIELD_SECTION_LIMIT_BYTES:
        raise RefusedRequest(431, "headers-too-large", "The header fields are too large")
    control = {name: value for name, value in headers if name.startswith(b":")}
    method = control[b":method"]
    if method == b"CONNECT":
        raise RefusedRequest(405, "method-not-allowed", "This server is no proxy")
    if control.get(b":scheme") != b"https":
        raise RefusedRequest(400, "bad-request", "The scheme is not https")
    raw_path, _, query_string = control.get(b":path", b"").partition(b"?")
    if not raw_path.startswith(b"/") or not raw_path.isascii() or not method.isascii():
        raise RefusedRequest(400, "bad-request", "The method or the path is not one of HTTP")
    fields = _join_fields(headers, control[b":authority"])
    return RequestHead(method.decode("ascii").upper(), raw_path, query_string, fields)


def _join_fields(headers: Headers, authority: bytes) -> list[tuple[bytes, bytes]]:
    fields = [(b"host", authority)]
    cookies = []
    for name, value in headers:
        if name == b"host" and value != authority:
            raise RefusedRequest(400, "bad-request", "The host is not the authority")
        if name == b"cookie":
            cookies.append(value)
        elif name != b"host" and not name.startswith(b":"):
            fields.append((name, value))
    if cookies:
        fields.append((b"cookie", b"; ".join(cookies)))
    return fields


def has_many_lines(section: bytes) -> bool:
    """Whether an encoded field section has more lines than any browser sends; it need not be a right one (RFC 9204 §4.5)."""
    if len(section) <= _FIELD_LINES_LIMIT:
        return False
    lines = 0
    try:
        _, at = _pull_integer(section, 0, 8)
        _, at = _pull_integer(section, at, 7)
        while at < len(section) and lines <= _FIELD_LINES_LIMIT:
            at = _skip_line(section, at)
            lines += 1
    except IndexError:
        return False  # cut short: the decoder says so
    return lines > _FIELD_LINES_LIMIT


def _skip_line(section: bytes, at: int) -> int:
    first = section[at]
    if first & 0x80:  # indexed
        return _pull_integer(section, at, 6)[1]
    if first & 0x40:  # a name of a table, and a value
        return _skip_string(section, _pull_integer(section, at, 4)[1], 7)
    if first & 0x20:  # a name and a value
        return _skip_string(section, _skip_string(section, at, 3), 7)
    if first & 0x10:  # indexed, of the newest entries
        return _pull_integer(section, at, 4)[1]
    return _skip_string(section, _pull_integer(section, at, 3)[1], 7)


def _skip_string(section: bytes, at: int, prefix_bits: int) -> int:
    length, at = _pull_integer(section, at, prefix_bits)
    return at + length


def _pull_integer(section: bytes, at: int, prefix_bits: int) -> tuple[int, int]:
    """An integer of RFC 7541 §5.1 and where it ends."""
    full = (1 << prefix_bits) - 1
    value, at = section[at] & full, at + 1
    if value < full:
        return value, at
    shift = 0
    while True:
        value += (section[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not section[at - 1] & 0x80:
            return value, at


class ExcessiveLoad(ProtocolError):
    """A client makes us keep more than any browser would."""

    error_code = ErrorCode.H3_EXCESSIVE_LOAD


class SendOrder:
    """Sends the urgent answer first (RFC 9218 §10), packet by packet.

    aioquic fills each packet from its queue of streams, in their order, and puts those that sent at the end of it; the limits
    of the connection are written just before. There the queue is sorted.
    """

    def __init__(self, quic: QuicConnection) -> None:
        self._quic = quic
        self._priorities: dict[int, Priority] = {}
        self._write_connection_limits = quic._write_connection_limits
        quic._write_connection_limits = self._sort_and_write_limits  # type: ignore[method-assign]

    def prioritize(self, stream_id: int, priority: Priority) -> None:
        """From now on; nothing, where the stream is over."""
        if self._quic._stream_is_discarded(stream_id):
            return
        self._priorities[stream_id] = priority
        if len(self._priorities) > _REMEMBERED_PRIORITIES:
            is_over = self._quic._stream_is_discarded
            self._priorities = {one: said for one, said in self._priorities.items() if not is_over(one)}

    def priority(self, stream_id: int) -> Priority:
        return self._priorities.get(stream_id, UNSAID)

    def is_said(self, stream_id: int) -> bool:
        """Whether anything was said of the stream before its request came."""
        return stream_id in self._priorities

    def _sort_and_write_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        if len(self._quic._streams_queue) > 1:
            self._quic._streams_queue.sort(key=self._rank)
        self._write_connection_limits(builder=builder, space=space)

    def _rank(self, stream: QuicStream) -> tuple[int, bool, int]:
        assert stream.stream_id is not None
        if stream.stream_id % 4 != 0:  # the control stream and those of the header table
            return (-1, False, stream.stream_id)
        return self.priority(stream.stream_id).rank(stream.stream_id)


class Http3(H3Connection):
    """The HTTP/3 side of one connection."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self._order = SendOrder(quic)
        self._is_priority_update = False

    def heed_priority(self, stream_id: int, headers: Headers) -> None:
        """The request's own words count unless the client has said something newer."""
        if not self._order.is_said(stream_id):
            self._order.prioritize(stream_id, priority_of(headers))

    def heed_priority_of_answer(self, stream_id: int, headers: Headers) -> None:
        """What the answer says of itself counts until the client says something newer."""
        self._order.prioritize(stream_id, priority_of(headers, self._order.priority(stream_id)))

    def announce_end(self, next_stream_id: int) -> None:
        """Sends GOAWAY: requests on ``next_stream_id`` and later have not been looked at (RFC 9114 §5.2)."""
        if self._is_done:  # for a broken rule, which may be that the client stopped our control stream
            return
        assert self._local_control_stream_id is not None
        frame = encode_frame(FrameType.GOAWAY, encode_uint_var(next_stream_id))
        self._quic.send_stream_data(self._local_control_stream_id, frame)

    def is_request_complete(self, stream_id: int) -> bool:
        """Whether all of a request has arrived."""
        stream = self._quic._streams.get(stream_id)
        return stream is None or stream.receiver.is_finished

    def stop_request(self, stream_id: int, error_code: ErrorCode) -> None:
        """Asks the client to send no more of a request; does nothing when all of it is there."""
        stream = self._quic._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            stream.receiver.stop(error_code)

    def break_off(self, stream_id: int, error_code: ErrorCode) -> None:
        """Ends the answer on a stream where it stands, and the request with it."""
        self._quic.reset_stream(stream_id, error_code)
        self.stop_request(stream_id, error_code)
        stream = self._stream.get(stream_id)
        if stream is not None:
            stream.sending_ended = True
            if stream.is_ended():
                del self._stream[stream_id]

    def is_answer_wanted(self, stream_id: int) -> bool:
        """Whether the client still listens to a stream; it may have stopped before its request was read."""
        stream = self._quic._streams.get(stream_id)
        return stream is not None and stream.sender._reset_error_code is None

    def undecoded_bytes(self, stream_id: int) -> int:
        """Bytes of a stream that wait for the rest of their frame, or for the header table."""
        stream = self._stream.get(stream_id)
        return len(stream.buffer) if stream is not None else 0

    def _get_local_settings(self) -> dict[int, int]:
        settings = super()._get_local_settings()
        del settings[Setting.ENABLE_CONNECT_PROTOCOL]  # no WebSocket over HTTP/3 here
        settings[Setting.MAX_FIELD_SECTION_SIZE] = FIELD_SECTION_LIMIT_BYTES
        return settings

    def _decode_headers(self, stream_id: int, frame_data: bytes | None) -> Headers:
        if frame_data is not None and has_many_lines(frame_data):
            raise ExcessiveLoad("So many header fields are not looked at")
        return super()._decode_headers(stream_id, frame_data)

    def _check_control_frame_type(self, frame_type: int) -> None:
        super()._check_control_frame_type(frame_type)
        if frame_type == _PRIORITY_UPDATE_OF_PUSH:
            raise IdError("Nothing was ever pushed")
        self._is_priority_update = frame_type == _PRIORITY_UPDATE
        if self._is_priority_update:
            assert self._peer_control_stream_id is not None
            stream = self._stream[self._peer_control_stream_id]
            if (stream.frame_size or 0) > _PRIORITY_UPDATE_LIMIT_BYTES:
                raise ExcessiveLoad("A PRIORITY_UPDATE this long says nothing")
            # aioquic reads past the frames that it does not know, and keeps only these whole
            stream.frame_type = FrameType.MAX_PUSH_ID

    def _handle_control_frame(self, frame_type: int, frame_data: bytes) -> None:
        if self._is_priority_update:
            self._priority_updated(frame_data)
        else:
            super()._handle_control_frame(frame_type, frame_data)

    def _priority_updated(self, frame_data: bytes) -> None:
        buffer = Buffer(data=frame_data)
        try:
            stream_id = buffer.pull_uint_var()
        except BufferReadError as error:
            raise FrameError("A PRIORITY_UPDATE names no stream") from error
        if stream_id % 4 != 0 or stream_id // 4 >= self._quic._local_max_streams_bidi.value:
            raise IdError("A PRIORITY_UPDATE is for what is no request")
        self._order.prioritize(stream_id, read_priority(frame_data[buffer.tell() :]))

    def _check_request_or_push_frame_type(self, frame_type: int, stream: H3Stream) -> None:
        super()._check_request_or_push_frame_type(frame_type, stream)
        if frame_type in (_PRIORITY_UPDATE, _PRIORITY_UPDATE_OF_PUSH):
            raise FrameUnexpected("A PRIORITY_UPDATE belongs on the control stream")

    def _handle_request_or_push_frame(
        self, frame_type: int, frame_data: bytes | None, stream: H3Stream, stream_ended: bool
    ) -> list[H3Event]:
        try:
            return super()._handle_request_or_push_frame(frame_type, frame_data, stream, stream_ended)
        except MessageError as error:
            return [self._set_aside(stream, error)]

    def _handle_request_or_push_end(self, stream: H3Stream) -> list[H3Event]:
        try:
            return super()._handle_request_or_push_end(stream)
        except MessageError as error:
            return [self._set_aside(stream, error)]

    def _set_aside(self, stream: H3Stream, error: MessageError) -> MalformedReceived:
        """The rest of the request may still arrive: it is read past, not an error of the connection."""
        is_head = stream.headers_recv_state is HeadersState.INITIAL
        stream.headers_recv_state = HeadersState.AFTER_HEADERS
        stream.expected_content_length = None
        return MalformedReceived(stream.stream_id, error.reason_phrase, is_head)


class ReceiveWindows:
    """Lets a client send as far ahead as the application has room for, and no further (RFC 9000 §4.1).

    ``unread_bytes`` tells, by stream, what was received in order and has not been consumed; ``window_bytes`` how much that
    may be. Whoever consumes says so by ``moved``: aioquic asks about every stream for every packet, and only those are
    looked at. A window is raised when half of it can be given back, so that small reads do not each cost a frame.
    """

    def __init__(
        self, quic: QuicConnection, unread_bytes: Callable[[int], int], window_bytes: Callable[[int], int]
    ) -> None:
        self._quic = quic
        self._unread_bytes = unread_bytes
        self._window_bytes = window_bytes
        self._moved: set[int] = set()
        self._has_connection_moved = False
        self._write_stream_limits = quic._write_stream_limits
        self._write_connection_limits = quic._write_connection_limits
        quic._write_stream_limits = self._raise_stream_window  # type: ignore[method-assign]
        quic._write_connection_limits = self._raise_connection_window  # type: ignore[method-assign]

    def moved(self, stream_id: int) -> None:
        """Something of the stream was received or consumed."""
        self._moved.add(stream_id)
        self._has_connection_moved = True

    def held_bytes(self) -> int:
        """Received on all streams and not consumed."""
        return sum(self._held_by(stream) for stream in self._quic._streams.values())

    def _held_by(self, stream: QuicStream) -> int:
        """With the gaps that out-of-order data opens: those are buffers too."""
        assert stream.stream_id is not None
        receiver = stream.receiver
        unordered = 0 if receiver.is_finished else receiver.highest_offset - receiver.starting_offset()
        return unordered + self._unread_bytes(stream.stream_id)

    def _raise_stream_window(self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream) -> None:
        assert stream.stream_id is not None
        receiver = stream.receiver
        if stream.stream_id in self._moved:
            self._moved.discard(stream.stream_id)
            self._set_stream_window(stream)
        if stream.max_stream_data_local_sent == stream.max_stream_data_local:
            return
        # aioquic would double the window of a stream that has received anything: for it, this one has not
        highest_offset, receiver.highest_offset = receiver.highest_offset, 0
        try:
            self._write_stream_limits(builder=builder, space=space, stream=stream)
        finally:
            receiver.highest_offset = highest_offset

    def _set_stream_window(self, stream: QuicStream) -> None:
        receiver = stream.receiver
        if not receiver.is_finished and receiver._stop_error_code is None:
            assert stream.stream_id is not None
            size = self._window_bytes(stream.stream_id)
            limit = receiver.highest_offset - self._held_by(stream) + size
            if limit - stream.max_stream_data_local >= size // 2:
                stream.max_stream_data_local = limit

    def _raise_connection_window(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        limit: Limit = self._quic._local_max_data
        if self._has_connection_moved and limit.value - limit.used <= CONNECTION_WINDOW_BYTES * 3 // 4:
            self._has_connection_moved = False
            value = limit.used - self.held_bytes() + CONNECTION_WINDOW_BYTES
            if value - limit.value >= CONNECTION_WINDOW_BYTES // 4:
                limit.value = value
        used, limit.used = limit.used, 0  # as above
        try:
            self._write_connection_limits(builder=builder, space=space)
        finally:
            limit.used = used
