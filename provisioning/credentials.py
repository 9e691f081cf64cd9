"""Credentials of services, sealed to this machine (systemd-creds(1)): what is kept in ``/etc/credstore.encrypted``."""

from __future__ import annotations

import subprocess
from pathlib import Path

from provisioning.parts import run

FOLDER = Path("/etc/credstore.encrypted")


def unsealed(name: str) -> bytes | None:
    """None where there is none, or one that was sealed to another machine or to its board before it was changed."""
    file = FOLDER / name
    if not file.is_file():
        return None
    command = ["systemd-creds", "decrypt", f"--name={name}", str(file), "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def seal(name: str, content: bytes, sealed_to: str) -> None:
    """By PCR 7, the state of Secure Boot, as the key of the pool."""
    pcrs = ["--tpm2-pcrs=7"] if "tpm2" in sealed_to else []
    command = [
        "systemd-creds",
        "encrypt",
        f"--with-key={sealed_to}",
        *pcrs,
        f"--name={name}",
        "-",
        str(FOLDER / name),
    ]
    run(*command, given=content.decode(), mend="is the TPM switched on? pool.unlock: host does without")
