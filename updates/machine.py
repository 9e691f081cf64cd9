"""What the steps of an update do on a real box: systemd, ZFS, and the provisioning that each version brings with itself."""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from updates.versions import Version
from zfs import names
from zfs.layout import RECORDS
from zfs.running import HERE, Refusal

SETTINGS = Path("/etc/appliance/appliance.yaml")
_DATABASE = f"{RECORDS}/database"
_HOLD = "update"
"""The hourly pruning leaves what is held."""
_READY_TIMEOUT_S = 900.0
"""A box without a graphics card compiles its shaders first, and a large index is changed by the first start."""
_ASKED_EVERY_S = 0.1
_ANSWER_TIMEOUT_S = 30.0
_ACCOUNT = "appliance"


class Box:
    """A machine that ``provisioning/provision`` made. Root's."""

    databases = Path("/var/lib/appliance")

    def install(self, version: Version) -> None:
        """The packages of its lock, each by its hash, and the appliance."""
        script = str(version.source / "provisioning" / "with-python")
        HERE.run(script, "-m", "provisioning.box_environment", "--into", str(version.environment))

    def try_out(self, version: Version) -> None:
        """As the server's account, with its drivers and fonts."""
        commands = version.environment / "bin"
        HERE.run(*_as_server(str(commands / "appliance"), "check-config", str(SETTINGS)))
        with tempfile.TemporaryDirectory() as scratch:
            shutil.chown(scratch, _ACCOUNT)
            shaders = [
                "env",
                f"PYTHONPATH={version.source}",
                "MESA_SHADER_CACHE_DIR=/var/cache/appliance",
                f"TMPDIR={scratch}",
            ]
            test = [str(commands / "python"), "-m", "provisioning.self_test", "--picture", f"{scratch}/picture.png"]
            HERE.run(*_as_server(*shaders, *test))

    def take_on(self, version: Version) -> None:
        """By its own provisioning: packages of Debian, accounts, units, the page."""
        HERE.run(str(version.source / "provisioning" / "provision"), "--install-only")

    def stop(self) -> None:
        """The sockets as well: who calls would start it."""
        HERE.run("systemctl", "stop", *self._sockets, f"{self._server}.service")

    def start(self) -> None:
        HERE.run("systemctl", "reset-failed", f"{self._server}.service")
        HERE.run("systemctl", "start", *self._sockets)
        HERE.run("systemctl", "start", f"{self._server}.service")
        wait_until_ready("127.0.0.1", 443, _READY_TIMEOUT_S)

    def keep(self) -> str:
        name = names.snapshot(datetime.now(UTC))
        HERE.run("zfs", "snapshot", f"{_DATABASE}@{name}")
        HERE.run("zfs", "hold", _HOLD, f"{_DATABASE}@{name}")
        return name

    def kept(self, name: str) -> Path:
        return self.databases / ".zfs" / "snapshot" / name

    def release(self, name: str) -> None:
        """It stays for as long as the hourly ones do."""
        HERE.run("zfs", "release", _HOLD, f"{_DATABASE}@{name}")

    @property
    def _server(self) -> str:
        return "appliance-clinic" if _is_enabled("appliance-clinic.service") else "appliance-central"

    @property
    def _sockets(self) -> list[str]:
        dimse = ["appliance-dimse.socket"] if _is_enabled("appliance-dimse.socket") else []
        return [f"{self._server}.socket", *dimse]


def wait_until_ready(host: str, port: int, patience_s: float, is_over: Callable[[], bool] = lambda: False) -> None:
    """Returns once the server says at ``/readyz`` that it is; Refusal with what it said last after ``patience_s``.

    ``is_over`` says that nothing will answer any more.
    """
    began = time.monotonic()
    while told := _readiness(host, port):
        if is_over():
            raise Refusal("it ended by itself")
        if time.monotonic() - began > patience_s:
            raise Refusal(f"it does not answer {patience_s:.0f} s after it was started: {told}")
        time.sleep(_ASKED_EVERY_S)


def _readiness(host: str, port: int) -> str:
    """Empty when the server says that it is ready, else why not."""
    # what answers on this machine's own loopback need not prove who it is
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, port, timeout=_ANSWER_TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        told = answer.read(500).decode(errors="replace")
        return "" if answer.status == http.client.OK else f"{answer.status} {told}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()


def _is_enabled(unit: str) -> bool:
    return subprocess.run(["/usr/bin/systemctl", "is-enabled", "--quiet", unit], check=False).returncode == 0


def _as_server(*command: str) -> list[str]:
    return ["runuser", "--user", _ACCOUNT, "--", *command]
