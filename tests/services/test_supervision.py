"""The protocols of systemd, spoken with a scripted service manager: a socket that hears, and sockets that are handed over."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.domain.errors import SettingsError
from appliance.services.supervision import Supervisor


class Manager:
    """What a service manager hears."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(10)
        self.address = address

    def hear(self) -> list[str]:
        """The lines of the next word."""
        return self._socket.recv(4096).decode().split("\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    heard = Manager(str(tmp_path / "notify") if request.param == "path" else f"@appliance-{os.getpid()}")
    yield heard
    heard.close()


@pytest.mark.parametrize(
    ("say", "first"),
    [(Supervisor.ready, "READY=1"), (Supervisor.reloading, "RELOADING=1"), (Supervisor.stopping, "STOPPING=1")],
)
def test_each_word_is_one_datagram(manager: Manager, say: Callable[[Supervisor], None], first: str) -> None:
    say(Supervisor(manager.address))

    assert manager.hear()[0] == first


def test_a_reload_says_when_it_began(manager: Manager) -> None:
    before = time.monotonic_ns() // 1000
    Supervisor(manager.address).reloading()

    name, _, microseconds = manager.hear()[1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(microseconds) <= time.monotonic_ns() // 1000


async def test_signs_of_life_come_more_than_twice_in_the_time_allowed(manager: Manager) -> None:
    supervisor = Supervisor.found_in({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "300000"})
    alive = asyncio.create_task(supervisor.keep_alive())
    began = time.monotonic()

    heard = [await asyncio.to_thread(manager.hear) for _ in range(3)]
    alive.cancel()

    assert heard == [["WATCHDOG=1"]] * 3
    assert time.monotonic() - began >= 0.2 - 0.05, "they are spread, not sent at once"


async def test_nobody_hears_signs_of_life_who_did_not_ask(manager: Manager) -> None:
    await asyncio.wait_for(Supervisor(manager.address).keep_alive(), 5)


async def test_a_watchdog_of_another_process_is_not_ours(manager: Manager) -> None:
    another = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getpid() + 1)}

    await asyncio.wait_for(Supervisor.found_in(another).keep_alive(), 5)


def test_without_a_manager_nothing_is_said_and_nothing_handed_over() -> None:
    supervisor = Supervisor.found_in({})

    supervisor.ready()
    supervisor.stopping()

    assert not supervisor.is_there
    assert supervisor.take("https") == []


def test_a_manager_that_has_gone_is_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Supervisor(str(tmp_path / "nobody")).ready()

    assert "did not hear READY=1" in caplog.text


def test_what_was_found_is_not_left_for_helper_processes() -> None:
    environment = {
        "NOTIFY_SOCKET": "@x",
        "WATCHDOG_USEC": "1000000",
        "WATCHDOG_PID": "1",
        "LISTEN_PID": "1",
        "PATH": "/bin",
    }

    Supervisor.found_in(environment)

    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, "NOTIFY_SOCKET"),
        ({"WATCHDOG_USEC": "soon"}, "WATCHDOG_USEC"),
        ({"WATCHDOG_USEC": "0"}, "WATCHDOG_USEC"),
        ({"LISTEN_FDS": "two"}, "LISTEN_FDS"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "https"}, "LISTEN_FDNAMES"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(environment: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        Supervisor.found_in(environment)


_CHILD = """
import os, sys
from appliance.services.supervision import Supervisor
count = int(os.environ["LISTEN_FDS"])
for n in range(count):
    os.dup2(int(sys.argv[2 + n]), 100 + n)
for n in range(count):
    os.dup2(100 + n, 3 + n)
os.environ["LISTEN_PID"] = sys.argv[1] or str(os.getpid())
supervisor = Supervisor.found_in(os.environ)
for name in ("https", "dimse"):
    for taken in supervisor.take(name):
        print(name, taken.type.name, taken.getsockname()[1], taken.get_inheritable())
print(supervisor.left_over)
"""


def told_by_a_child(handed: list[socket.socket], names: str, pid: str = "") -> list[str]:
    """What a process says that has these sockets from descriptor 3 on, as systemd starts one."""
    descriptors = [one.fileno() for one in handed]
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, pid, *map(str, descriptors)],
        env={**os.environ, "LISTEN_FDS": str(len(handed)), "LISTEN_FDNAMES": names},
        pass_fds=descriptors,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_sockets_come_by_name_and_are_not_inherited_further() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in (tcp, udp)]

        said = told_by_a_child([tcp, udp], "https:https")

    assert said == [f"https SOCK_STREAM {ports[0]} False", f"https SOCK_DGRAM {ports[1]} False", "[]"]


def test_sockets_that_nobody_takes_are_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        assert told_by_a_child([tcp], "telnet") == ["['telnet']"]


def test_sockets_for_another_process_are_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        assert told_by_a_child([tcp], "https", pid="1") == ["[]"]
