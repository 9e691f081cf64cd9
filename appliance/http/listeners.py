"""The listeners: one application on HTTP/1.1 and HTTP/2 over TCP and on HTTP/3 over UDP, on one port.

hypercorn serves TCP, ``appliance.http.quic`` UDP, in the same event loop: that of the application, or of front processes
(``appliance.http.fronts``) that hold the connections for it. The application's lifespan is run here, once, so
that it starts before the first request of either and ends after the last:

    bind both  →  lifespan startup  →  serve  →  stop is set  →  drain both  →  close both  →  lifespan shutdown

References: RFC 7838 (Alt-Svc), RFC 8446 (TLS 1.3), the ASGI specification 2.4 (HTTP, lifespan).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.run import worker_serve
from hypercorn.config import Config, Sockets

from appliance.domain.errors import SettingsError, Unavailable
from appliance.http import certificates, http2, receive_queue
from appliance.http.certificates import CertificateFiles
from appliance.http.connection_ids import Share, spread
from appliance.http.fronts import Fronts
from appliance.http.quic import DISCONNECT_GRACE_S, Application, Message, QuicListener

log = logging.getLogger(__name__)

_ALT_SVC_MAX_AGE_S = 86400
_BACKLOG = 1024
_DRAIN_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 5.0
"""For connections to end after their requests were cancelled."""
_LIFESPAN_TIMEOUT_S = 60.0
_KEEP_ALIVE_TIMEOUT_S = 75.0
"""hypercorn's 5 s would cost a physician who reads a report a handshake with each next picture."""
_ENDLESS = 10**9
"""Requests on a connection. At its default of 1000 hypercorn sends a GOAWAY that loses requests of Chromium."""
_CERTIFICATE_POLL_S = 10.0
_UNSENT_BYTES = 16 << 10
"""What the kernel takes of a connection over TCP before it can be sent: the urgent picture waits behind it, and what was given
up is sent all the same. Linux would take 85 kB and more, a second of a bad line."""
_PORT_ATTEMPTS = 20
"""To find a port that is free for both TCP and UDP."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the listeners listen."""

    host: str
    port: int


@dataclass(slots=True)
class ListenerState:
    """How the listeners are, for the figures and for whoever asks."""

    udp: Sequence[socket.socket] = ()
    """While they listen."""
    fronts: Fronts | None = None
    """Where the connections are held by processes of their own."""

    @property
    def dropped_datagrams(self) -> int:
        """Since the start: they came while their queue was full."""
        return sum(map(receive_queue.dropped, self.udp))

    @property
    def receive_queue_bytes(self) -> int:
        """What may wait to be read, as the kernel granted it to each socket."""
        return min(map(receive_queue.granted_bytes, self.udp), default=0)

    def note(self) -> str | None:
        """What should be done about this machine; None where nothing should."""
        return receive_queue.shortage(self.receive_queue_bytes) if self.udp else None

    @property
    def restarts(self) -> int:
        """How often a front process died and was started again."""
        return self.fronts.restarts if self.fronts else 0

    def missing(self) -> str | None:
        """Which front process does not listen just now."""
        return self.fronts.missing() if self.fronts else None


@dataclass(frozen=True, slots=True)
class Bound:
    """The sockets of one process; several processes have the first in common."""

    tcp: socket.socket
    udp: socket.socket

    @property
    def address(self) -> Address:
        return Address(*self.tcp.getsockname()[:2])


@dataclass(frozen=True, slots=True)
class _Group:
    """The sockets of all processes on a port. They stay open while a process is started again: what comes meanwhile waits."""

    tcp: socket.socket
    udp: tuple[socket.socket, ...]

    @property
    def address(self) -> Address:
        return Address(*self.tcp.getsockname()[:2])

    def close(self) -> None:
        for one in (self.tcp, *self.udp):
            one.close()


class _TcpConfig(Config):
    """hypercorn's settings; TLS 1.3 and nothing older (hypercorn itself offers 1.2)."""

    context: ssl.SSLContext | None = None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        self.context = super().create_ssl_context()
        assert self.context is not None
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        return self.context

    def show(self, certificate: CertificateFiles) -> None:
        """To connections from now on; OpenSSL leaves those that are there alone."""
        if self.context is not None:
            self.context.load_cert_chain(certificate.certificate, certificate.key)


class _Exchange:
    """One request over TCP.

    What hypercorn 0.18 leaves to the application is seen to here. A client that is gone ends the application also where it
    does not listen; hypercorn only says so, to whoever listens. And an answer is not ended before all of its request is there:
    hypercorn keeps the rest of a body in a queue, which nobody empties any more and which then holds up all requests of an
    HTTP/2 connection.
    """

    def __init__(self, receive: Any, send: Any, task: asyncio.Task[Any]) -> None:
        self._receive = receive
        self._send = send
        self._task = task
        self._ahead: deque[Message] = deque()
        self._news = asyncio.Event()
        self._taken = asyncio.Event()
        self._is_complete = asyncio.Event()
        self._is_answered = False
        self._readers = 0
        self._reading_ahead = asyncio.create_task(self._read_ahead())

    async def _read_ahead(self) -> None:
        """One message, or, where it was the last of the body, also the news that the client is gone."""
        while True:
            message: Message = await self._receive()
            self._ahead.append(message)
            self._news.set()
            if message["type"] == "http.disconnect":
                self._is_complete.set()
                self._end_application()
                return
            if message.get("more_body", False):
                self._taken.clear()
                await self._taken.wait()
            else:
                self._is_complete.set()

    def _end_application(self) -> None:
        if self._is_answered:
            return
        if self._readers:
            asyncio.get_running_loop().call_later(DISCONNECT_GRACE_S, self._task.cancel)
        else:
            self._task.cancel()

    async def receive(self) -> Message:
        self._readers += 1
        try:
            while not self._ahead:
                self._news.clear()
                await self._news.wait()
        finally:
            self._readers -= 1
        message = self._ahead[0]
        if message["type"] != "http.disconnect":  # which stays true
            self._ahead.popleft()
            self._taken.set()
        return message

    async def send(self, message: Message) -> None:
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and not self._is_complete.is_set():
            await self._send({**message, "more_body": True})
            await self.read_past_rest()
            message = {"type": "http.response.body"}
        self._is_answered = self._is_answered or is_last
        await self._send(message)

    async def read_past_rest(self) -> None:
        """All of the request is there, or the client is gone."""
        while not self._is_complete.is_set():
            if self._readers:  # Quart reads on beside its handlers
                await self._is_complete.wait()
            else:
                await self.receive()

    def close(self) -> None:
        """The application has ended."""
        self._is_answered = True
        self._reading_ahead.cancel()


class _InFlight:
    """The application as hypercorn sees it: without its lifespan, and with its requests known."""

    def __init__(self, application: Application) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self._application = application

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _acknowledge_lifespan(receive, send)
            return
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        exchange = _Exchange(receive, send, task)
        try:
            await self._application(scope, exchange.receive, exchange.send)
        except Exception:
            await exchange.read_past_rest()
            raise
        finally:
            exchange.close()
            self.tasks.discard(task)

    def cancel(self) -> None:
        """Every request is cancelled, and with it the answer broken off."""
        if self.tasks:
            log.warning("%d requests over TCP are not finished and are cancelled", len(self.tasks))
        for task in list(self.tasks):
            task.cancel()


async def serve(
    application: Application,
    *,
    address: str,
    port: int,
    certificate: CertificateFiles,
    stop: asyncio.Event,
    ready: Callable[[Address], object] | None = None,
    drain_timeout_s: float = _DRAIN_TIMEOUT_S,
    state: ListenerState | None = None,
    processes: int = 1,
    handed: Sequence[socket.socket] = (),
) -> None:
    """Serves the application until ``stop`` is set and its last requests are answered, at most ``drain_timeout_s`` later.

    The files of the certificate are watched: when they are replaced, new connections get the new one, and those that are
    there go on. ``port`` 0 is a free one. ``handed`` are the sockets of a service manager, which are used instead of
    ``address``, and must be of ``port``: one for TCP, and for UDP one a process. ``ready`` is called once, when requests are
    taken, with the address; ``state`` says meanwhile how the listeners are. With ``processes`` of more than one, the
    connections are held by as many processes of their own, and the application's answers relayed. Raises SettingsError where
    the address or the certificate cannot be used, and Unavailable when the application refuses to start.
    """
    state = state or ListenerState()
    certificates.check(certificate)
    group = _adopt(handed, port, processes) if handed else _bind(address, port, processes)
    stopping = asyncio.create_task(stop.wait(), name="wait for the stop")
    try:
        async with _lifespan(application), AsyncExitStack() as stack:
            ending: set[asyncio.Task[Any]] = {stopping}
            if processes == 1:
                bound = Bound(group.tcp, group.udp[0])
                ending.add(await stack.enter_async_context(listening(application, bound, certificate, drain_timeout_s)))
            else:
                state.fronts = Fronts(application, group.tcp, group.udp, certificate, drain_timeout_s)
                await state.fronts.start()
                stack.push_async_callback(state.fronts.stop)
            state.udp = group.udp
            log.info("listening on %s port %d (TCP and UDP)", group.address.host, group.address.port)
            if ready is not None:
                ready(group.address)
            await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        state.udp, state.fronts = (), None
        group.close()


@asynccontextmanager
async def listening(
    application: Application,
    bound: Bound,
    certificate: CertificateFiles,
    drain_timeout_s: float,
    share: Share | None = None,
) -> AsyncIterator[asyncio.Task[None]]:
    """Both listeners of one process serve; the task is hypercorn's. On leaving they are drained and closed."""
    in_flight, stop = _InFlight(application), asyncio.Event()
    config = _tcp_config(certificate, bound.address.port, drain_timeout_s)
    quic = await QuicListener.start(application, bound.udp, certificate, share)
    bound.tcp.listen(_BACKLOG)  # from here on the kernel takes connections, and hypercorn finds them waiting
    tcp = asyncio.create_task(_serve_tcp(in_flight, bound, config, stop), name="TCP listener")
    watching = asyncio.create_task(_show_renewed(certificate, config, quic), name="certificate watch")
    try:
        yield tcp
        stop.set()
        await asyncio.gather(quic.drain(drain_timeout_s), _drain_tcp(in_flight, tcp, drain_timeout_s))
        quic.close()
        await _end(tcp)
    finally:
        watching.cancel()
        quic.close()
        tcp.cancel()


async def _show_renewed(certificate: CertificateFiles, config: _TcpConfig, quic: QuicListener) -> None:
    """A pair that does not fit, as while it is being written, is left until it changes again."""
    seen = certificates.stamp(certificate)
    while True:
        await asyncio.sleep(_CERTIFICATE_POLL_S)
        found = await asyncio.to_thread(certificates.stamp, certificate)
        if found == seen:
            continue
        seen = found
        try:
            certificates.check(certificate)
            config.show(certificate)
            quic.show(certificate)
        except (SettingsError, OSError) as error:  # of which ssl.SSLError is one
            log.warning("the certificate has changed and cannot be used, the former one stays: %s", error)
        else:
            log.info("%s has changed: new connections get the new certificate", certificate.certificate)


async def _serve_tcp(in_flight: _InFlight, bound: Bound, config: _TcpConfig, stop: asyncio.Event) -> None:
    sockets = Sockets([bound.tcp], [], [])
    http2.install()
    application = ASGIWrapper(cast(Any, in_flight))  # hypercorn's types of ASGI are its own
    await worker_serve(application, config, sockets=sockets, shutdown_trigger=stop.wait)


def _tcp_config(certificate: CertificateFiles, port: int, drain_timeout_s: float) -> _TcpConfig:
    config = _TcpConfig()
    config.certfile = str(certificate.certificate)
    config.keyfile = str(certificate.key)
    config.alt_svc_headers = [f'h3=":{port}"; ma={_ALT_SVC_MAX_AGE_S}']
    config.backlog = _BACKLOG
    config.keep_alive_timeout = _KEEP_ALIVE_TIMEOUT_S
    config.keep_alive_max_requests = _ENDLESS
    config.h2_max_concurrent_streams = 100
    config.graceful_timeout = drain_timeout_s + _CLOSE_TIMEOUT_S  # the draining here comes first
    config.include_server_header = False
    config.accesslog = None  # it would write the queries down
    config.errorlog = logging.getLogger(f"{__name__}.tcp")
    return config


async def _drain_tcp(in_flight: _InFlight, tcp: asyncio.Task[None], timeout_s: float) -> None:
    """hypercorn ends its connections as their requests end; from Python 3.12 on it waits for them without a limit."""
    await asyncio.wait({tcp}, timeout=timeout_s)
    if not tcp.done():
        in_flight.cancel()


async def _end(tcp: asyncio.Task[None]) -> None:
    await asyncio.wait({tcp}, timeout=_CLOSE_TIMEOUT_S)
    if not tcp.done():
        log.warning("connections over TCP did not end in %g s and are dropped", _CLOSE_TIMEOUT_S)
        tcp.cancel()
        await asyncio.wait({tcp}, timeout=_CLOSE_TIMEOUT_S)
        if tcp.done() and not tcp.cancelled():
            tcp.exception()  # hypercorn 0.18 fails over its own cancellation, which says nothing of the stop
    elif not tcp.cancelled():
        tcp.result()  # raises what hypercorn failed with


def _bind(address: str, port: int, processes: int) -> _Group:
    """A TCP socket, and a UDP socket for each process, on the same address and port."""
    family, host = _resolve(address)
    for attempt in range(_PORT_ATTEMPTS):
        tcp = _bind_one(family, socket.SOCK_STREAM, host, port)
        try:
            return _Group(tcp, _bind_datagrams(family, host, tcp.getsockname()[1], processes))
        except SettingsError:
            tcp.close()
            if port != 0 or attempt == _PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("the loop returns or raises")


def _bind_datagrams(family: socket.AddressFamily, host: str, port: int, processes: int) -> tuple[socket.socket, ...]:
    if processes == 1:
        return (_bind_one(family, socket.SOCK_DGRAM, host, port),)
    group: list[socket.socket] = []
    try:
        for _ in range(processes):
            group.append(_bind_one(family, socket.SOCK_DGRAM, host, port, is_shared=True))
        spread(group)
    except SettingsError:
        for one in group:
            one.close()
        raise
    return tuple(group)


def _adopt(handed: Sequence[socket.socket], port: int, processes: int) -> _Group:
    """The sockets that a service manager listens on; it keeps all, so that who calls between two lives of this process waits."""
    tcp = [one for one in handed if one.type is socket.SOCK_STREAM]
    udp = [one for one in handed if one.type is socket.SOCK_DGRAM]
    families = {one.family for one in handed}
    is_internet = families in ({socket.AF_INET}, {socket.AF_INET6})
    if len(tcp) != 1 or len(udp) != processes or len(handed) != 1 + processes or not is_internet:
        kinds = ", ".join(f"{one.family!s} {one.type!s}" for one in handed)
        wanted = "one" if processes == 1 else f"{processes}, one a process,"
        raise SettingsError(f"handed over are {kinds}: one TCP and {wanted} UDP socket are needed", key="listen")
    ports = {one.getsockname()[1] for one in handed}
    if len(ports) != 1 or (port and ports != {port}):
        listed = " and ".join(map(str, sorted(ports)))
        raise SettingsError(f"handed over are sockets of port {listed}, and listen.port is {port}", key="listen")
    _send_soon(tcp[0])
    for one in handed:
        one.setblocking(False)
    if processes > 1:
        spread(udp)
    return _Group(tcp[0], tuple(udp))


def _resolve(address: str) -> tuple[socket.AddressFamily, str]:
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(f"{address!r} is no address to listen on: {error}", key="listen-address") from error
    return found[0][0], str(found[0][4][0])


def _bind_one(
    family: socket.AddressFamily, kind: socket.SocketKind, host: str, port: int, *, is_shared: bool = False
) -> socket.socket:
    bound = socket.socket(family, kind)
    if is_shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if kind is socket.SOCK_STREAM:
        # connections of a former process may still be ending
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _send_soon(bound)
    if family is socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # "::" means IPv4 as well
    try:
        bound.bind((host, port))
        if kind is socket.SOCK_STREAM:
            bound.listen(1)  # two may bind to one port with SO_REUSEADDR; only one may listen
    except OSError as error:
        bound.close()
        protocol = "TCP" if kind is socket.SOCK_STREAM else "UDP"
        raise SettingsError(f"cannot listen on {host} port {port} ({protocol}): {_why(error)}", key="listen") from error
    bound.setblocking(False)
    return bound


def _send_soon(listener: socket.socket) -> None:
    """The connections of ``listener``, which have its options, neither gather small writes nor take much that waits."""
    # asyncio sets this only on sockets that name their protocol; without it an answer in two writes takes 40 ms
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def _why(error: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "another process listens there",
        errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE",
        errno.EADDRNOTAVAIL: "this machine does not have the address",
    }
    return reasons.get(error.errno or 0, error.strerror or str(error))


@asynccontextmanager
async def _lifespan(application: Application) -> AsyncIterator[None]:
    """The application is started; on leaving it is shut down. One that knows no lifespan is taken as it is."""
    to_application: asyncio.Queue[Message] = asyncio.Queue()
    from_application: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.create_task(
        _run_lifespan(application, scope, to_application, from_application), name="application lifespan"
    )
    try:
        await _lifespan_step("startup", task, to_application, from_application)
        try:
            yield
        finally:
            await _lifespan_step("shutdown", task, to_application, from_application)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _run_lifespan(
    application: Application,
    scope: Message,
    to_application: asyncio.Queue[Message],
    from_application: asyncio.Queue[Message],
) -> None:
    try:
        await application(scope, to_application.get, from_application.put)
    except Exception as error:  # the specification: an application that raises here has no lifespan
        log.debug("the application has no lifespan: %s", error)


async def _lifespan_step(
    name: str,
    task: asyncio.Task[None],
    to_application: asyncio.Queue[Message],
    from_application: asyncio.Queue[Message],
) -> None:
    if task.done():
        return
    await to_application.put({"type": f"lifespan.{name}"})
    answering = asyncio.create_task(from_application.get())
    done, _ = await asyncio.wait({answering, task}, timeout=_LIFESPAN_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
    if answering not in done:
        answering.cancel()
        if not done:
            raise Unavailable(f"the application did not finish its {name} in {_LIFESPAN_TIMEOUT_S:g} s", key=name)
        return
    answer = answering.result()
    if answer["type"] == f"lifespan.{name}.failed":
        raise Unavailable(f"the application's {name} failed: {answer.get('message', '')}", key=f"{name}-failed")


async def _acknowledge_lifespan(receive: Any, send: Any) -> None:
    for _ in range(2):
        message = await receive()
        await send({"type": message["type"] + ".complete"})
