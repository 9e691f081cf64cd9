"""The service manager that started this process: what it hands over, and what it wants to hear.

In come listening sockets, which it keeps: whoever calls while the appliance is started again waits instead of being refused. Out
go short words: ready, reloading, stopping, alive. Both are a few environment variables and a datagram, documented as stable and
open to programs without libsystemd, so they are spoken here directly and the same lines run, and are tested, on every machine.
Without a service manager nothing is handed over and nothing is said.

References: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import MutableMapping, Sequence

from appliance.domain.errors import SettingsError

log = logging.getLogger(__name__)

_FIRST_DESCRIPTOR = 3
"""Sockets are handed over from here on, after standard input, output and error."""
_SIGNS_OF_LIFE = 3
"""In the time after which the service manager takes us for hung; sd_watchdog_enabled(3) advises two at least."""
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Supervisor:
    """A service manager, or nobody."""

    def __init__(
        self,
        address: str | None = None,
        watchdog_s: float | None = None,
        sockets: Sequence[tuple[str, socket.socket]] = (),
    ) -> None:
        """``address`` is where it listens: a path, or a name in the abstract namespace behind @. ``sockets`` have names."""
        if address is not None and address[:1] not in ("/", "@"):
            raise SettingsError(f"NOTIFY_SOCKET: {address!r} is neither a path nor an abstract name")
        self._address = address
        self._watchdog_s = watchdog_s
        self._sockets = list(sockets)

    @classmethod
    def found_in(cls, environment: MutableMapping[str, str]) -> Supervisor:
        """Whoever the variables of ``environment`` tell of; they are taken out, so that helper processes do not answer too.

        Raises SettingsError where they make no sense.
        """
        found = {name: environment.pop(name) for name in _VARIABLES if name in environment}
        return cls(found.get("NOTIFY_SOCKET"), _watchdog_s(found), _handed_over(found))

    @property
    def is_there(self) -> bool:
        """Whether anybody listens."""
        return self._address is not None

    def take(self, name: str) -> list[socket.socket]:
        """The sockets of that name (FileDescriptorName=), which are the caller's from now on; empty if there are none."""
        taken = [handed for called, handed in self._sockets if called == name]
        self._sockets = [(called, handed) for called, handed in self._sockets if called != name]
        return taken

    @property
    def left_over(self) -> list[str]:
        """Names of sockets that nobody took."""
        return [name for name, _ in self._sockets]

    def ready(self) -> None:
        """Requests are taken, for the first time or after a reload."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The settings are being read again; ``ready`` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Nothing new is taken any more."""
        self._tell("STOPPING=1")

    async def keep_alive(self) -> None:
        """Says that the event loop turns, as often as is asked for, until cancelled; ends at once if it is not asked for."""
        if self._watchdog_s is None:
            return
        while True:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / _SIGNS_OF_LIFE)

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        where = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)  # a manager that does not listen must not hold up the event loop
                sender.sendto("\n".join(lines).encode(), where)
        except OSError as error:
            log.warning("the service manager did not hear %s: %s", lines[0], error.strerror)


def _watchdog_s(found: MutableMapping[str, str]) -> float | None:
    """How long without a sign of life is too long; None if nobody counts, or not of this process."""
    if "WATCHDOG_USEC" not in found or not _is_this_process(found, "WATCHDOG_PID"):
        return None
    microseconds = _number(found, "WATCHDOG_USEC")
    if microseconds <= 0:
        raise SettingsError(f"WATCHDOG_USEC: {microseconds} is no span of time")
    return microseconds / 1e6


def _handed_over(found: MutableMapping[str, str]) -> list[tuple[str, socket.socket]]:
    if "LISTEN_FDS" not in found or not _is_this_process(found, "LISTEN_PID"):
        return []
    count = _number(found, "LISTEN_FDS")
    names = found["LISTEN_FDNAMES"].split(":") if found.get("LISTEN_FDNAMES") else ["unknown"] * count
    if len(names) != count:
        raise SettingsError(f"LISTEN_FDNAMES: has {len(names)} names for {count} sockets")
    return [(name, _socket(_FIRST_DESCRIPTOR + n)) for n, name in enumerate(names)]


def _socket(descriptor: int) -> socket.socket:
    try:
        handed = socket.socket(fileno=descriptor)
    except OSError as error:
        raise SettingsError(f"LISTEN_FDS: descriptor {descriptor} is no socket: {error.strerror}") from error
    handed.set_inheritable(False)
    return handed


def _is_this_process(found: MutableMapping[str, str], variable: str) -> bool:
    """A shell between the manager and us would have let through what was meant for itself."""
    return variable not in found or _number(found, variable) == os.getpid()


def _number(found: MutableMapping[str, str], variable: str) -> int:
    try:
        return int(found[variable])
    except ValueError:
        raise SettingsError(f"{variable}: {found[variable]!r} is no number") from None
