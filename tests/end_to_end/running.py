"""A real appliance for end-to-end tests: its own folder, its own port, started by the command that a person uses."""

from __future__ import annotations

import contextlib
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml

_ROOT = Path(__file__).resolve().parents[2]
_READY_TIMEOUT_S = 90
_STOP_TIMEOUT_S = 30
_HEARD_TIMEOUT_S = 30
HOST = "box.test"
USERNAME = "ana"
PASSWORD = "correct horse battery"


def free_port() -> int:
    """A port that is free for TCP and UDP just now."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "appliance", *arguments]


@dataclass
class RunningAppliance:
    """``appliance serve`` as a process of its own."""

    directory: Path
    settings: dict  # type: ignore[type-arg]
    host: str = HOST
    name: str = "appliance"
    own_group: bool = False
    """Whether it leads a process group, so that it can be killed together with its helpers."""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def config(self) -> Path:
        return self.directory / f"{self.name}.yaml"

    @property
    def port(self) -> int:
        return int(self.settings["listen"]["port"])

    @property
    def origin(self) -> str:
        """As browsers know it; ``host`` is mapped to 127.0.0.1 there."""
        return f"https://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """As other clients on this machine know it."""
        return f"https://localhost:{self.port}"

    @property
    def authority(self) -> Path:
        return self.directory / "certificates" / "authority.pem"

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    def start(self) -> None:
        """Serves and is ready."""
        self.config.write_text(yaml.safe_dump(self.settings))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command("serve", "--config", str(self.config)),
                cwd=_ROOT,
                stderr=log,
                start_new_session=self.own_group,
            )
        self._wait_until_ready()

    def stop(self) -> int:
        """The exit status after SIGTERM."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_TIMEOUT_S)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def create_account(
        self, username: str = USERNAME, roles: str = "physician,administrator", *, institution: str | None = None
    ) -> None:
        """An account with ``PASSWORD``; of the institution in the settings where none is named."""
        self.config.write_text(yaml.safe_dump(self.settings))
        self.run(
            "create-account", "--config", str(self.config), "--username", username, "--roles", roles,
            "--given-name", "Ana", "--family-name", "Anić", "--password-stdin",
            *(["--institution", institution] if institution else []),
            stdin=PASSWORD + "\n",
        )  # fmt: skip

    def run(self, *arguments: str, stdin: str = "") -> str:
        """What a command of the appliance printed; fails if it failed."""
        done = subprocess.run(
            command(*arguments), cwd=_ROOT, input=stdin, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def take_in(self, folder: Path) -> None:
        """``appliance import`` beside the running server, until everybody above has heard of it."""
        self.run("import", "--config", str(self.config), str(folder))
        self.wait_until_told()

    def wait_until_told(self) -> None:
        """Everybody above has heard of everything."""
        deadline = time.monotonic() + _HEARD_TIMEOUT_S
        while self._untold():
            assert time.monotonic() < deadline, "the outboxes do not empty"
            time.sleep(0.1)

    def _untold(self) -> int:
        """How many changes wait in the outboxes, and how many studies whose patient the toplevel was not asked for."""
        untold = 0
        for role in ("node", "institution"):
            file = self.directory / self.settings[role]["database"].removeprefix("sqlite:///")
            with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
                untold += database.execute("SELECT count(*) FROM outbox WHERE role = ?", (role,)).fetchone()[0]
                if role == "institution":
                    not_asked = "SELECT count(*) FROM study_patient WHERE reason = 'not-asked'"
                    untold += database.execute(not_asked).fetchone()[0]
        return untold

    def client(self) -> httpx.Client:
        """A client that trusts the appliance's certificate."""
        return httpx.Client(
            base_url=self.base_url, verify=ssl.create_default_context(cafile=str(self.authority)), timeout=60
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                with self.client() as client:
                    if client.get("/readyz").status_code == 200:
                        return
            except (httpx.HTTPError, OSError):
                pass
            time.sleep(0.1)
        raise AssertionError("the appliance did not become ready:\n" + self.log.read_text()[-3000:])


def all_in_one(directory: Path, *, host: str = HOST) -> RunningAppliance:
    """All four roles in one process, as ``config/all-in-one.yaml`` has them, on a free port; not started."""
    settings = yaml.safe_load((_ROOT / "config" / "all-in-one.yaml").read_text())
    port = free_port()
    settings["listen"]["port"] = port
    settings["listen"]["self_made"]["names"] = [host, "localhost", "127.0.0.1"]
    settings["node"]["instances"]["free_floor_bytes"] = 0
    settings["institution"]["new_patients"] = "create"
    for role in ("toplevel", "institution", "node"):
        settings[role]["base_url"] = f"https://{host}:{port}"
    return RunningAppliance(directory, settings, host)
