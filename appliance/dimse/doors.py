"""The side of the appliance: the DIMSE processes, kept alive, what they counted, and the socket that they share.

The socket is made here and outlives them: while one is started again, connections wait or another takes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from appliance.dimse.figures import Told
from appliance.dimse.peers import DimseSettings
from appliance.domain.errors import ApplianceError, SettingsError, Unavailable
from appliance.services.children import ONE_THREAD_EACH, Child

log = logging.getLogger(__name__)

FIGURES = b"figures"
STOP = b"stop"
STOP_TIMEOUT_S = 4.0
"""An instance that is being stored may come to its end."""
_PROCESS = "appliance.dimse.process"
"""Run, never imported here: pynetdicom is not for the process that answers browsers."""
_BACKLOG = 512
_ASK_AGAIN_S = 0.5
_GATHER_S = 0.1
"""Between two questions. What happened to each instance, told one by one, was a quarter of the time of a process under load."""
_STOP_MARGIN_S = 3.0


def listening(address: str, port: int, handed: Sequence[socket.socket] = ()) -> socket.socket:
    """What DIMSE processes take connections from: the socket of a service manager, or one of our own. Raises SettingsError."""
    if handed:
        return _adopt(handed, port)
    is_both = address == "::"
    try:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server(
            (address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=is_both and socket.has_dualstack_ipv6()
        )
    except OSError as error:
        raise SettingsError(f"node.dimse: cannot listen on {address} port {port}: {error.strerror}") from error


def _adopt(handed: Sequence[socket.socket], port: int) -> socket.socket:
    """A port below 1024 without the right to bind one."""
    listener = handed[0]
    is_tcp = listener.type == socket.SOCK_STREAM and listener.family in (socket.AF_INET, socket.AF_INET6)
    if len(handed) != 1 or not is_tcp or listener.getsockname()[1] != port:
        raise SettingsError(f"node.dimse: handed over must be one TCP socket of port {port}, as in the settings")
    return listener


class Dimse:
    """The processes of one node."""

    def __init__(
        self, settings: DimseSettings, listener: socket.socket, processes: int, on_told: Callable[[Told], None]
    ) -> None:
        """``on_told`` is called in the event loop with what was counted since the last time. Owns the listener."""
        share = math.ceil(settings.limits.associations / processes)
        each = msgspec.structs.replace(
            settings,
            listener=listener.fileno(),
            limits=msgspec.structs.replace(settings.limits, associations=share),
        )
        self._listener = listener
        self._on_told = on_told
        self._children = [
            Child(
                _PROCESS,
                msgspec.msgpack.encode(each),
                name=f"dimse {n + 1}",
                environment=ONE_THREAD_EACH,
                descriptors=(listener.fileno(),),
            )
            for n in range(processes)
        ]
        self._open: Counter[str] = Counter()
        self._listening: set[str] = set()
        self._asking: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def associations_open(self) -> int:
        return self._open.total()

    @property
    def restarts(self) -> int:
        return sum(child.restarts for child in self._children)

    @property
    def pids(self) -> list[int]:
        return [child.pid for child in self._children if child.pid is not None]

    async def start(self) -> None:
        """The processes run; they listen soon."""
        for child in self._children:
            await child.start()
        self._asking = [asyncio.create_task(self._ask(child), name=f"ask {child.name}") for child in self._children]

    async def stop(self) -> None:
        """Nobody listens any more; instances that were being stored are, or nothing of them is."""
        for asking in self._asking:
            asking.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await asyncio.gather(*(self._stop(child) for child in self._children))
        self._listener.close()

    async def missing(self) -> str | None:
        """What is missing, for whoever asks whether all is ready."""
        away = [child.name for child in self._children if child.name not in self._listening]
        return f"{', '.join(away)}: not listening" if away else None

    async def _ask(self, child: Child) -> None:
        while True:
            try:
                answer = await child.ask(FIGURES)
            except Unavailable:
                self._listening.discard(child.name)
                self._open.pop(child.name, None)
                await asyncio.sleep(_ASK_AGAIN_S)
                continue
            self._listening.add(child.name)
            told = msgspec.msgpack.decode(answer.header, type=Told)
            self._open[child.name] = told.associations_open
            self._on_told(told)
            await asyncio.sleep(_GATHER_S)

    async def _stop(self, child: Child) -> None:
        if child.is_running and child.name in self._listening:
            with contextlib.suppress(ApplianceError, TimeoutError):  # then it is stopped less kindly
                await asyncio.wait_for(child.ask(STOP), STOP_TIMEOUT_S + _STOP_MARGIN_S)
        await child.stop()
