"""The life of a front process: it listens, and relays what is asked to the process that started it (``fronts``).

It ends when it is told to drain and has, or when that process has gone.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import msgspec
import uvloop

from appliance.http.certificates import CertificateFiles
from appliance.http.connection_ids import Share
from appliance.http.fronts import FrontSettings
from appliance.http.listeners import Bound, listening
from appliance.http.relay import Channel, Kind, Relay
from appliance.services import journal


class _Life:
    """What it is told, and when it is over."""

    def __init__(self) -> None:
        self.channel = Channel(self._hear, self._lost)
        self.relay = Relay(self.channel)
        self.told: asyncio.Future[FrontSettings] = asyncio.get_running_loop().create_future()
        self.is_over = asyncio.Event()

    def _hear(self, number: int, kind: Kind, payload: bytes) -> None:
        if kind is Kind.SETTINGS:
            self.told.set_result(msgspec.msgpack.decode(payload, type=FrontSettings))
        elif kind is Kind.DRAIN:
            self.is_over.set()
        else:
            self.relay.heard(number, kind, payload)

    def _lost(self) -> None:
        self.relay.lost()
        self.is_over.set()
        if not self.told.done():
            self.told.cancel()


async def _live(descriptor: int) -> None:
    life = _Life()
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: life.channel, sock=socket.socket(fileno=descriptor))
    settings = await life.told
    certificate = CertificateFiles(Path(settings.certificate), Path(settings.certificate_key))
    bound = Bound(socket.socket(fileno=settings.tcp), socket.socket(fileno=settings.udp))
    share = Share(settings.index, settings.count, settings.key)
    over = asyncio.create_task(life.is_over.wait(), name="wait for the end")
    async with listening(life.relay, bound, certificate, settings.drain_timeout_s, share) as tcp:
        life.channel.send(0, Kind.READY)
        await asyncio.wait({tcp, over}, return_when=asyncio.FIRST_COMPLETED)
    over.cancel()
    life.channel.close()


def main() -> None:
    """Until the parent says so; Ctrl-C reaches the whole group, and the parent decides when."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    journal.set_up_as_parent()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_live(int(sys.argv[1])))


if __name__ == "__main__":
    main()
