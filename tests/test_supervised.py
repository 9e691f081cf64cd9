"""``appliance serve`` under a service manager: a scripted one, which hears what systemd would hear."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.running import RunningAppliance, all_in_one, command

_START_TIMEOUT_S = 60


class Service:
    """An appliance that was started with an address to tell how it is, and what it told."""

    def __init__(self, appliance: RunningAppliance, heard: socket.socket) -> None:
        self.appliance = appliance
        self._heard = heard
        environment = {**os.environ, "NOTIFY_SOCKET": str(appliance.directory / "notify"), "WATCHDOG_USEC": "600000000"}
        with appliance.log.open("ab") as log:
            self.process = subprocess.Popen(
                command("serve", "--config", str(appliance.config)), env=environment, stderr=log
            )

    def next_word(self) -> str:
        """The first line of what is heard next."""
        try:
            return self._heard.recv(4096).decode().split("\n")[0]
        except TimeoutError:
            raise AssertionError(self.appliance.log.read_text()[-3000:]) from None

    def restate(self, **settings: object) -> None:
        """The settings in the file are others."""
        self.appliance.settings.update(settings)
        self.appliance.config.write_text(yaml.safe_dump(self.appliance.settings))

    def reload(self) -> str:
        """What the log says after SIGHUP was dealt with."""
        before = self.appliance.log.stat().st_size
        self.process.send_signal(signal.SIGHUP)
        assert [self.next_word(), self.next_word()] == ["RELOADING=1", "READY=1"]
        return self.appliance.log.read_bytes()[before:].decode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Only the role that starts quickly."""
    appliance = all_in_one(tmp_path_factory.mktemp("supervised"))
    appliance.settings = {key: appliance.settings[key] for key in ("listen", "log", "toplevel")} | {
        "roles": ["toplevel"]
    }
    appliance.config.write_text(yaml.safe_dump(appliance.settings))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(appliance.directory / "notify"))
        heard.settimeout(_START_TIMEOUT_S)
        service = Service(appliance, heard)
        yield service
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()


def test_it_is_alive_while_it_starts_and_ready_when_it_answers(service: Service) -> None:
    assert service.next_word() == "WATCHDOG=1"
    assert service.next_word() == "READY=1"
    with service.appliance.client() as client:
        assert client.get("/readyz").status_code == 200


def test_a_reload_takes_the_level_of_the_log(service: Service) -> None:
    service.restate(log={"level": "debug"})

    said = service.reload()

    assert '"message":"reloaded"' in said
    assert '"log_level":"debug"' in said


def test_a_reload_names_what_needs_a_restart(service: Service) -> None:
    service.restate(allowed_origins=["https://health.example.org"])

    assert '"blocks":["allowed_origins"]' in service.reload()


def test_settings_that_are_wrong_are_told_and_the_service_goes_on(service: Service) -> None:
    was = service.appliance.settings["roles"]
    service.restate(roles=["cook"])

    assert "the settings are not taken" in service.reload()
    service.restate(roles=was)
    with service.appliance.client() as client:
        assert client.get("/healthz").status_code == 200


def test_it_says_that_it_stops_and_ends_well(service: Service) -> None:
    service.process.send_signal(signal.SIGTERM)

    assert service.next_word() == "STOPPING=1"
    assert service.process.wait(30) == 0


def test_a_socket_that_the_settings_have_no_use_for_is_told(tmp_path: Path) -> None:
    appliance = all_in_one(tmp_path)
    appliance.settings = {key: appliance.settings[key] for key in ("listen", "log", "toplevel")} | {
        "roles": ["toplevel"]
    }
    appliance.config.write_text(yaml.safe_dump(appliance.settings))
    handing = (
        "import os, sys; descriptor = int(sys.argv[1]); os.dup2(descriptor, 103); os.dup2(103, 3); "
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='dimse'); "
        "os.execv(sys.executable, [sys.executable, '-m', 'appliance', *sys.argv[2:]])"
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as dimse,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard,
        appliance.log.open("ab") as log,
    ):
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(_START_TIMEOUT_S)
        process = subprocess.Popen(
            [*command()[:1], "-c", handing, str(dimse.fileno()), "serve", "--config", str(appliance.config)],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
            pass_fds=[dimse.fileno()],
            stderr=log,
        )
        assert heard.recv(4096) == b"READY=1", appliance.log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0

    assert '"sockets":["dimse"]' in appliance.log.read_text()
