"""Firefox, unmodified, driven by Marionette, the protocol that it brings along (no driver program is needed)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provisioning.debian import find_firefox
from tests.end_to_end.browser import BrowserMissing
from tests.end_to_end.running import free_port

_START_TIMEOUT_S = 60
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of a web element (WebDriver §11)."""
_QUIET = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


class Firefox:
    """A page in Firefox."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rwb")
        self._number = 0
        self._receive()  # who it is
        self.command("WebDriver:NewSession", {})

    def command(self, name: str, parameters: Mapping[str, Any]) -> Any:
        """What the browser answers; raises AssertionError with its words where it refuses."""
        self._number += 1
        message = json.dumps([0, self._number, name, parameters]).encode()
        self._stream.write(b"%d:%b" % (len(message), message))
        self._stream.flush()
        _, _, error, result = self._receive()
        assert error is None, f"{name}: {error}"
        return result

    def _receive(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            byte = self._stream.read(1)
            assert byte, "Firefox has ended"
            length += byte
        return json.loads(self._stream.read(int(length[:-1])))

    def go(self, address: str) -> None:
        self.command("WebDriver:Navigate", {"url": address})

    def evaluate(self, script: str) -> Any:
        return self.command("WebDriver:ExecuteScript", {"script": script, "args": []})["value"]

    def until(self, script: str, *, timeout_s: float = 60) -> None:
        """Returns once the script returns something true."""
        deadline = time.monotonic() + timeout_s
        while not self.evaluate(script):
            assert time.monotonic() < deadline, f"{script}: never; the page says {self.evaluate(_TEXT)}"
            time.sleep(0.1)

    def fill(self, test_id: str, text: str) -> None:
        self.command("WebDriver:ElementSendKeys", {"id": self._find(test_id), "text": text})

    def click(self, test_id: str) -> None:
        self.command("WebDriver:ElementClick", {"id": self._find(test_id)})

    def _find(self, test_id: str) -> str:
        self.until(f"return document.querySelector('[data-testid={test_id}]') !== null")
        found = self.command("WebDriver:FindElement", {"using": "css selector", "value": f"[data-testid={test_id}]"})
        return str(found["value"][_ELEMENT])


_TEXT = "return document.body.innerText.slice(0, 500)"


def _path() -> str:
    found = find_firefox()
    if found is None:
        raise BrowserMissing("there is no Firefox: install Debian's package firefox-esr")
    return found


@contextmanager
def open_firefox(folder: Path, *, authority: Path, host: str) -> Iterator[Firefox]:
    """Headless, with a fresh profile in ``folder``; ``host`` is this machine, and HTTP/3 is allowed under ``authority``."""
    certutil = shutil.which("certutil")
    if certutil is None:
        raise BrowserMissing("there is no certutil: install Debian's package libnss3-tools")
    profile = folder / "firefox"
    profile.mkdir()
    database = f"sql:{profile}"
    subprocess.run([certutil, "-d", database, "-N", "--empty-password"], check=True)
    subprocess.run([certutil, "-d", database, "-A", "-t", "C,,", "-n", "ours", "-i", str(authority)], check=True)
    port = free_port()
    preferences = {
        **_QUIET,
        "marionette.port": port,
        "network.dns.localDomains": host,
        "network.http.http3.disable_when_third_party_roots_found": False,
    }
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [_path(), "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
    log = folder / "firefox.log"
    with log.open("wb") as output:
        environment = {**os.environ, "HOME": str(folder), "MOZ_HEADLESS": "1"}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        with _connected(port, process, log) as connection:
            yield Firefox(connection)
    finally:
        process.terminate()
        process.wait(20)


def _connected(port: int, process: subprocess.Popen[bytes], log: Path) -> socket.socket:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=_START_TIMEOUT_S)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise AssertionError("Firefox did not start:\n" + log.read_text()[-2000:])
