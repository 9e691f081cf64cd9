"""The part of a box that gets and renews its certificate by itself: settings, two credentials, and a first certificate."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from certificates import files, renewal
from provisioning import credentials
from provisioning.parts import Copy, Found, Part
from provisioning.progress import Refusal
from provisioning.site import Acme

FOLDER = Path("/var/lib/appliance-certificate")
SETTINGS = Path("/etc/appliance/certificate.yaml")
_SERVICE = "appliance-certificate.service"
_ACCOUNT, _SECRET = "acme-account.key", "acme-tsig"
"""Credentials of the service."""
_JOURNAL = f"journalctl -u {_SERVICE}"


def unfit(settings: dict[str, Any]) -> list[str]:  # Any: the server's own
    """What is against the server's settings where the certificate comes by ACME."""
    wanted = {"file": str(files.chain_file(FOLDER)), "key": str(files.key_file(FOLDER))}
    if settings.get("listen", {}).get("certificate") == wanted:
        return []
    return [
        f"listen.certificate does not name {wanted['file']} and {wanted['key']}, where `certificate.acme` puts them"
    ]


def part(acme: Acme, *, sealed_to: str) -> Part:
    """``sealed_to`` is what systemd-creds(1) calls ``--with-key``."""
    settings = Copy(_settings_text(acme), SETTINGS, 0o640, "appliance")

    def look() -> Found:
        missing = [what for what, is_there in (
            (str(SETTINGS), settings.is_there),
            (f"the credential {_ACCOUNT}", credentials.unsealed(_ACCOUNT) is not None),
            (f"the credential {_SECRET}, as {acme.secret_from} has it", credentials.unsealed(_SECRET) == _secret(acme)),
        ) if not is_there]  # fmt: skip
        there = files.current(FOLDER)
        if there is None or acme.name.rstrip(".") not in there.names or there.ends < datetime.now(UTC):
            missing.append(f"a certificate for {acme.name}")
        if missing or there is None:
            return Found(is_well=False, told=f"not there: {', '.join(missing)}")
        return Found(
            is_well=True, told=f"for {acme.name}, {(there.ends - datetime.now(UTC)).days} days left, renewed by ACME"
        )

    def mend() -> None:
        settings.put()
        if credentials.unsealed(_ACCOUNT) is None:
            credentials.seal(_ACCOUNT, renewal.new_account_key(), sealed_to)
        if credentials.unsealed(_SECRET) != _secret(acme):
            credentials.seal(_SECRET, _secret(acme), sealed_to)
        _obtain()

    return Part("Certificate", look, mend)


def _settings_text(acme: Acme) -> bytes:
    head = "# Written by provisioning/provision from the site file: change it there.\n"
    plain = msgspec.to_builtins(acme.order, enc_hook=str)
    return (head + yaml.safe_dump(plain, sort_keys=False)).encode()


def _secret(acme: Acme) -> bytes:
    try:
        return acme.secret_from.read_bytes()
    except OSError as error:
        raise Refusal(f"{acme.secret_from}: {error.strerror}", "name the file: certificate.acme.secret_from") from error


def _obtain() -> None:
    """By the service itself, so that what is renewed later is what was tried now."""
    since = datetime.now(UTC)
    started = subprocess.run(["systemctl", "start", _SERVICE], capture_output=True, check=False)
    if started.returncode:
        command = [
            "journalctl",
            "-u",
            _SERVICE,
            f"--since=@{since.timestamp():.0f}",
            "-o",
            "cat",
            "-n",
            "5",
            "-t",
            "appliance-certificate",
        ]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        raise Refusal(f"no certificate was had: {told}", _JOURNAL)
