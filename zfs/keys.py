"""The key of the encryption root: 256 bits, printed for people as a sheet, typed back, loaded, unloaded, changed.

ZFS has one key for a root and no slots: what the TPM seals, what lies in the safe and what the toplevel keeps are copies of the
same one. A change wraps the master key anew; nothing that is kept is encrypted again, and a disk that somebody took before the
change opens with the old key.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from zfs.running import HERE, CommandFailed, Machine, Refusal

CREDENTIAL = Path("/etc/credstore.encrypted/pool.key")
_CREDENTIAL_NAME = "pool.key"
_DIGITS = 64
_LINE_DIGITS = 8


def make() -> str:
    """A new key, 64 hexadecimal digits."""
    return secrets.token_hex(_DIGITS // 2)


def parse(text: str) -> str:
    """The key in ``text``; Refusal where that is not one. The text is not repeated: it may be a key with a slip in it."""
    key = text.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{_DIGITS}}}", key):
        raise Refusal(f"this is no key: {_DIGITS} hexadecimal digits are expected, and there are {len(key)} characters")
    return key


def sheet(key: str) -> str:
    """The key as eight numbered lines, each with two digits by which a slip in it is found."""
    lines = [key[n : n + _LINE_DIGITS] for n in range(0, _DIGITS, _LINE_DIGITS)]
    return "\n".join(f"{n}  {line[:4]} {line[4:]}  {_check(n, line)}" for n, line in enumerate(lines, start=1)) + "\n"


def read_sheet(text: str) -> str:
    """The key of a sheet that somebody typed, with any spaces and either case; Refusal naming the first line with a slip."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) != _DIGITS // _LINE_DIGITS:
        raise Refusal(f"the sheet has {_DIGITS // _LINE_DIGITS} lines, and here are {len(lines)}")
    key = ""
    for n, line in enumerate(lines, start=1):
        typed = re.fullmatch(rf"{n}([0-9a-f]{{{_LINE_DIGITS}}})([0-9a-f]{{2}})", re.sub(r"\s", "", line.lower()))
        if typed is None or _check(n, typed[1]) != typed[2]:
            raise Refusal(f"line {n} is not as it was printed")
        key += typed[1]
    return key


def _check(number: int, digits: str) -> str:
    """CRC-8 (x⁸ + x² + x + 1): one wrong digit, or two neighbours that changed places, never pass."""
    remainder = 0
    for octet in bytes([number]) + bytes.fromhex(digits):
        remainder ^= octet
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x107 if remainder & 0x80 else 0)) & 0xFF
    return f"{remainder:02x}"


def is_loaded(root: str, machine: Machine = HERE) -> bool:
    """Whether what is below ``root`` can be mounted. Raises CommandFailed where there is no such data set."""
    return machine.run("zfs", "get", "-H", "-o", "value", "keystatus", root).strip() == "available"


def opens(root: str, key: str, machine: Machine = HERE) -> bool:
    """Whether ``key`` is the one, loaded or not; nothing is changed."""
    try:
        machine.run("zfs", "load-key", "-n", root, given=f"{key}\n".encode())
    except CommandFailed as failed:
        if "Incorrect key" in failed.said:
            return False
        raise
    return True


def load(root: str, key: str, machine: Machine = HERE) -> bool:
    """The key is loaded; whether it was not before."""
    if is_loaded(root, machine):
        return False
    machine.run("zfs", "load-key", root, given=f"{key}\n".encode())
    if not is_loaded(root, machine):
        raise Refusal(f"{root} took the key and is still locked")
    return True


def unload(root: str, machine: Machine = HERE) -> bool:
    """The key is forgotten; whether it was there. Refusal while something below is mounted."""
    if not is_loaded(root, machine):
        return False
    try:
        machine.run("zfs", "unload-key", root)
    except CommandFailed as failed:
        if "busy" not in failed.said:
            raise
        raise Refusal(
            f"{root} is in use",
            "unmount it: `systemctl stop` its mount units, which stops what uses them (docs/box.md)",
        ) from failed
    return True


def change(root: str, new: str, machine: Machine = HERE) -> None:
    """``new`` opens ``root`` from now on, and nothing else does. Refusal, with the old key in force, where it is locked."""
    if not is_loaded(root, machine):
        raise Refusal(f"{root} is locked", "load its key first")
    machine.run("zfs", "change-key", "-o", "keyformat=hex", "-o", "keylocation=prompt", root, given=f"{new}\n".encode())
    if not opens(root, new, machine):
        raise Refusal(f"{root} does not open with the new key", "keep both sheets, and do not restart the box")


def seal(key: str, file: Path, bound_to: str, machine: Machine = HERE) -> None:
    """``file`` holds the key, sealed to this machine (``bound_to``: host+tpm2, or host where there is no TPM).

    PCR 7 is the state of Secure Boot, which an update of the appliance does not touch.
    """
    pcrs = ["--tpm2-pcrs=7"] if "tpm2" in bound_to else []
    machine.run(
        "systemd-creds", "encrypt", f"--with-key={bound_to}", *pcrs, f"--name={_CREDENTIAL_NAME}", "-", str(file),
        given=key.encode(),
    )  # fmt: skip
