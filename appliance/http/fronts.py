"""Front processes: they hold the connections of browsers, on one port, for the process that answers them.

They share one TCP socket, from which whoever is free takes the next connection; each has a UDP socket of its own, and the kernel
gives it the datagrams of its connections (``connection_ids``). The sockets outlive the processes: what comes while one is started
again waits, and its former clients are told that their connections are gone.

Nothing else is divided: sessions, limits, figures, caches and what was cancelled are the application's, in one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import sys
from collections.abc import Sequence

import msgspec

from appliance.domain.errors import Unavailable
from appliance.http.certificates import CertificateFiles
from appliance.http.quic import Application
from appliance.http.relay import Channel, Gate, Kind

log = logging.getLogger(__name__)

_PROCESS = "appliance.http.front_process"
_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 15.0
"""Beyond the time for requests in flight, before a process is killed."""
_FIRST_RESTART_DELAY_S = 0.1
_LONGEST_RESTART_DELAY_S = 10.0
_LIVED_WELL_S = 30.0
"""A process that lived so long has earned a quick restart."""


class FrontSettings(msgspec.Struct, frozen=True):
    """What a front process is told first."""

    index: int
    count: int
    key: bytes
    tcp: int
    udp: int
    certificate: str
    certificate_key: str
    drain_timeout_s: float


class Fronts:
    """All front processes of an appliance. The sockets stay the caller's."""

    def __init__(
        self,
        application: Application,
        tcp: socket.socket,
        udp: Sequence[socket.socket],
        certificate: CertificateFiles,
        drain_timeout_s: float,
    ) -> None:
        key = secrets.token_bytes(32)
        self._tcp = tcp
        self._drain_timeout_s = drain_timeout_s
        self._fronts = [
            _Front(
                application,
                FrontSettings(
                    index,
                    len(udp),
                    key,
                    tcp.fileno(),
                    one.fileno(),
                    str(certificate.certificate),
                    str(certificate.key),
                    drain_timeout_s,
                ),
            )
            for index, one in enumerate(udp)
        ]

    @property
    def restarts(self) -> int:
        return sum(front.restarts for front in self._fronts)

    @property
    def pids(self) -> list[int]:
        return [front.pid for front in self._fronts if front.pid is not None]

    def missing(self) -> str | None:
        """Which of them do not listen just now."""
        away = [front.name for front in self._fronts if not front.is_listening.is_set()]
        return f"{', '.join(away)}: not listening" if away else None

    async def start(self) -> None:
        """All of them listen. Raises Unavailable where one does not."""
        try:
            await asyncio.gather(*(front.start() for front in self._fronts))
            async with asyncio.timeout(_START_TIMEOUT_S):
                await asyncio.gather(*(front.is_listening.wait() for front in self._fronts))
        except BaseException as error:
            await asyncio.gather(*(front.kill() for front in self._fronts))
            if isinstance(error, TimeoutError):
                raise Unavailable(f"{self.missing()} after {_START_TIMEOUT_S:g} s", key="fronts") from None
            raise

    async def stop(self) -> None:
        """No new request is taken; those under way are answered, or cancelled in time, and all connections closed."""
        self._tcp.close()
        await asyncio.gather(*(front.stop(self._drain_timeout_s + _END_TIMEOUT_S) for front in self._fronts))


class _Front:
    """One of them, kept alive until it is stopped."""

    def __init__(self, application: Application, settings: FrontSettings) -> None:
        self.name = f"front {settings.index + 1}"
        self.restarts = 0
        self.is_listening = asyncio.Event()
        self._application = application
        self._settings = settings
        self._channel: Channel | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """The process runs, and will listen soon."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep_alive(), name=f"keep {self.name} alive")

    async def stop(self, timeout_s: float) -> None:
        self._is_stopping = True
        if self._channel is not None:
            self._channel.send(0, Kind.DRAIN)
        assert self._process is not None
        try:
            await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            log.warning("%s did not end in %g s and is killed", self.name, timeout_s)
        await self.kill()

    async def kill(self) -> None:
        self._is_stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._channel is not None:
            self._channel.close()

    async def _spawn(self) -> None:
        gate = Gate(self._application)

        def hear(number: int, kind: Kind, payload: bytes) -> None:
            if kind is Kind.READY:
                self.is_listening.set()
            else:
                gate.heard(channel, number, kind, payload)

        def lost() -> None:
            if self._channel is channel:
                self.is_listening.clear()
            gate.lost()

        channel = self._channel = Channel(hear, lost)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                _PROCESS,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno(), self._settings.tcp, self._settings.udp],
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ},
            )
        await asyncio.get_running_loop().create_connection(lambda: channel, sock=ours)
        channel.send(0, Kind.SETTINGS, msgspec.msgpack.encode(self._settings))

    async def _keep_alive(self) -> None:
        delay_s = _FIRST_RESTART_DELAY_S
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            assert self._process is not None
            status = await self._process.wait()
            if self._is_stopping:
                return
            self.restarts += 1
            log.error("%s ended with status %s and is started again", self.name, status)
            if loop.time() - started > _LIVED_WELL_S:
                delay_s = _FIRST_RESTART_DELAY_S
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_RESTART_DELAY_S)
            await self._spawn()
