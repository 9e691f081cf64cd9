"""A name server (Knot) that takes signed changes, and an authority (Pebble) that asks it, both of Debian's packages.

Both listen on free ports of 127.0.0.1, keep everything in a folder of their own, and end with the context.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import httpx

from appliance.http.certificates import ensure_self_made
from tests.end_to_end.running import free_port

ZONE = "riverside.test"
KEY = "box-1"
SECRET = base64.b64encode(b"a secret of thirty-two bytes ...").decode()
ADDRESSES_KEY = "addresses"
_START_TIMEOUT_S = 60
PROGRAMS = ("knotd", "pebble")
MISSING = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]

_KNOT = """\
server:
    listen: 127.0.0.1@{port}
    rundir: {folder}
database:
    storage: {folder}
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
  - id: {reader}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: records
    key: {key}
    action: update
    update-type: [TXT]
  - id: addresses
    key: {reader}
    action: update
    update-type: [A]
template:
  - id: default
    storage: {folder}
    file: "%s.zone"
    acl: [records, addresses]
zone:
  - domain: {zone}
"""
_ZONE_FILE = """\
$ORIGIN {zone}.
@ 60 SOA ns hostmaster 1 3600 900 86400 60
@ 60 NS ns
ns 60 A 127.0.0.1
clinic 60 A 127.0.0.1
aliased 60 A 127.0.0.1
_acme-challenge.aliased 60 CNAME proofs
"""


@dataclass(frozen=True)
class NameServer:
    """Serves ``ZONE``; ``KEY`` may change its TXT records, ``ADDRESSES_KEY`` others."""

    port: int

    def values(self, name: str) -> set[str]:
        """Of the TXT records of that name."""
        answer = dns.query.udp(dns.message.make_query(name, "TXT"), "127.0.0.1", port=self.port, timeout=5)
        return {b"".join(record.strings).decode() for rrset in answer.answer for record in rrset}


@dataclass(frozen=True)
class Authority:
    """An ACME server whose own certificate is of ``authorities``."""

    directory: str
    authorities: Path


@contextlib.contextmanager
def running_name_server(folder: Path) -> Iterator[NameServer]:
    port = free_port()
    (folder / f"{ZONE}.zone").write_text(_ZONE_FILE.format(zone=ZONE))
    settings = folder / "knot.conf"
    values = {"key": KEY, "reader": ADDRESSES_KEY, "secret": SECRET, "zone": ZONE}
    settings.write_text(_KNOT.format(port=port, folder=folder, **values))
    server = NameServer(port)
    with _running(["knotd", "-c", str(settings)], folder / "knot.log") as process:

        def answers() -> bool:
            with contextlib.suppress(dns.exception.DNSException, OSError):
                server.values(ZONE)
                return True
            return False

        _wait(process, answers, folder / "knot.log")
        yield server


@contextlib.contextmanager
def running_authority(folder: Path, name_server: NameServer) -> Iterator[Authority]:
    port = free_port()
    own = ensure_self_made(folder / "own", ["127.0.0.1"])
    assert own.authority is not None
    settings = {
        "listenAddress": f"127.0.0.1:{port}", "managementListenAddress": f"127.0.0.1:{free_port()}",
        "certificate": str(own.certificate), "privateKey": str(own.key),
        "httpPort": 5002, "tlsPort": 5001, "ocspResponderURL": "", "externalAccountBindingRequired": False,
        "domainBlocklist": [f"blocked.{ZONE}"],
    }  # fmt: skip
    file = folder / "pebble.json"
    file.write_text(json.dumps({"pebble": settings}))
    # by default it waits for up to 15 s before it looks, and refuses one nonce in twenty
    environment = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    command = ["pebble", "-strict", "-config", str(file), "-dnsserver", f"127.0.0.1:{name_server.port}"]
    authority = Authority(f"https://127.0.0.1:{port}/dir", own.authority)
    with _running(command, folder / "pebble.log", environment) as process:

        def answers() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(authority.directory, verify=False).is_success
            return False

        _wait(process, answers, folder / "pebble.log")
        yield authority


@contextlib.contextmanager
def _running(
    command: list[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    path = f"{os.environ['PATH']}:/usr/sbin"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(shutil.which(command[0], path=path)), *command[1:]],
            stdout=output, stderr=output, env=os.environ | (environment or {}),
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], answers: object, log: Path) -> None:
    assert callable(answers)
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not answers():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
