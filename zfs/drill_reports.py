"""What came of each drill, signed: for whoever asks, years later and elsewhere, whether restores were practised.

A report is one line of JSON in the one form of RFC 8785 (keys sorted, no white space, whole numbers only) with a signature by
Ed25519 (RFC 8032) over it. It has its number and the SHA-256 of the report before, so that one that was changed, taken out or put
in elsewhere is found as long as a later one is there. The key is a credential of the drill's service and nothing else's. Whoever
is root on the box can have it sign; that somebody was, no signature can exclude.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from zfs.drill import Drill
from zfs.running import Refusal

_FORMAT = "appliance-drill-report/1"
_SIGNED_AS = b"appliance drill report 1\n"
"""Before what is signed, so that a signature of this key is never one of anything else."""
_NAME = re.compile(r"drill-(\d{6,})\.json")
_PUBLIC = "public.pem"
_FIRST = 1

Plain = Mapping[str, Any]
"""Any: what JSON holds."""


def new_key() -> bytes:
    """PEM."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_key(content: bytes) -> Ed25519PrivateKey:
    """Refusal for what is no such key."""
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise Refusal("the key for reports is no key in PEM", "run provisioning/provision again") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Refusal("the key for reports is no Ed25519 key", "run provisioning/provision again")
    return key


def read_public(file: Path) -> Ed25519PublicKey:
    """Refusal for what is no such key."""
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Refusal(f"{file} is no public key in PEM: {error}", "name the one that was filed: --public") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Refusal(f"{file} is no Ed25519 key", "name the one that was filed: --public")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """To be compared by people with what the technician filed."""
    return f"SHA256:{hashlib.sha256(_raw(key)).hexdigest()}"


def public_file(folder: Path) -> Path:
    """The key that the reports of ``folder`` say they are signed by."""
    return folder / _PUBLIC


def write(found: Drill, box: str, key: Ed25519PrivateKey, folder: Path) -> Path:
    """The next report, after those that are in ``folder``; whole or not at all."""
    folder.mkdir(mode=0o755, exist_ok=True)
    there = _files(folder)
    number = max(there, default=_FIRST - 1) + 1
    report = {
        **json.loads(found.as_json()),
        "box": box,
        "format": _FORMAT,
        "key": fingerprint(key.public_key()),
        "number": number,
        "previous": _digest(there[number - 1]) if there else None,
    }
    signature = base64.b64encode(key.sign(_SIGNED_AS + _canonical(report))).decode()
    _put(public_file(folder), key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    file = folder / f"drill-{number:06}.json"
    _put(file, _canonical({"report": report, "signature": signature}) + b"\n")
    return file


def verify(file: Path, key: Ed25519PublicKey) -> Plain:
    """The report; Refusal saying what is wrong with it."""
    return verify_content(_content(file), file, key)


def verify_content(content: bytes, file: Path, key: Ed25519PublicKey) -> Plain:
    """The report that ``file`` had in it; Refusal saying what is wrong with it."""
    try:
        whole = json.loads(content)
        report, signature = whole["report"], base64.b64decode(whole["signature"], validate=True)
        # the last letter of Base64 has bits that mean nothing (RFC 4648 §3.5)
        is_canonical = _canonical(whole | {"signature": base64.b64encode(signature).decode()}) + b"\n" == content
    except (ValueError, TypeError, KeyError, binascii.Error) as error:
        raise Refusal(f"{file} is no report, or was cut") from error
    try:
        key.verify(signature, _SIGNED_AS + _canonical(report))
    except InvalidSignature as error:
        raise Refusal(f"{file} was changed, or signed by another key than {fingerprint(key)}") from error
    if not is_canonical or whole.keys() != {"report", "signature"}:
        raise Refusal(f"{file} has more in it than what was signed")
    named = _NAME.fullmatch(file.name)
    if named is None or int(named[1]) != report["number"]:
        raise Refusal(f"{file} is the report number {report['number']}, under another name")
    checked: Plain = report
    return checked


def verify_all(folder: Path, key: Ed25519PublicKey) -> Iterator[Plain]:
    """All reports of the folder in order; Refusal at the first that is wrong, or missing between two, or at the beginning."""
    there = _files(folder)
    if not there:
        raise Refusal(f"there is no report in {folder}")
    for number in range(_FIRST, max(there) + 1):
        if number not in there:
            raise Refusal(f"the report number {number} was taken out of {folder}")
        report = verify(there[number], key)
        before = _digest(there[number - 1]) if number > _FIRST else None
        if report["previous"] != before:
            raise Refusal(f"{there[number]} does not follow the report before it: one of the two was put in its place")
        yield report


def in_words(report: Plain) -> str:
    """One line."""
    outcome = "no fault" if report["is_well"] else f"{report['faults']} FAULTS"
    read = f"{report['instances']} instances, {report['bytes_read'] / 1e9:.1f} GB read"
    return f"{report['number']}: {report['ended']}, {report['snapshot']} from {report['came_from']}: {read}, {outcome}"


def _files(folder: Path) -> dict[int, Path]:
    """By number; what has another name is not a report."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir()) if folder.is_dir() else ()
    return {int(named[1]): path for named, path in found if named}


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror}") from error


def _digest(file: Path) -> str:
    return hashlib.sha256(_content(file)).hexdigest()


def _canonical(value: object) -> bytes:
    """RFC 8785; there are whole numbers only, and names in ASCII, so that Python's order is the standard's (§3.2.3)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _put(file: Path, content: bytes) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.chmod(0o644)
    fresh.replace(file)
