"""The file that a version comes in: a tar whose first two members are the list of all others and its signature.

    manifest.json   number and name of the version; of each file its SHA-256, its size, and whether it is a program
    manifest.sig    Ed25519 (RFC 8032) over ``appliance update 1``, a new line, and manifest.json as it is
    source/…        the files

The signature is looked at before anything else is read. Nothing is unpacked that the list does not have: no link, no device, no
path that leads out.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from zfs.running import Refusal

_FORMAT = "appliance-update/1"
_SIGNED_AS = b"appliance update 1\n"
"""Before what is signed, so that a signature of this key is never one of anything else."""
_LIST, _SIGNATURE, _FILES = "manifest.json", "manifest.sig", "source/"
_LIST_AT_MOST = 16 * 1024 * 1024
"""Bytes that are read before their signature was looked at."""
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """A file of a version."""

    sha256: str
    size: int
    executable: bool


@dataclass(frozen=True)
class Manifest:
    """What is signed."""

    number: int
    """Of two versions the later has the greater one."""
    name: str
    made: str
    """RFC 3339."""
    files: dict[str, Entry]
    """By path, below the root of the checkout."""


def make(
    root: Path, paths: Iterable[str], *, number: int, name: str, made: datetime, key: Ed25519PrivateKey, to: Path
) -> None:
    """Writes the bundle ``to``; ``paths`` are relative to ``root``."""
    wanted = sorted(set(paths))
    files = {path: _entry(root / path) for path in wanted}
    manifest = {
        "format": _FORMAT, "number": number, "name": name, "made": made.isoformat(),
        "files": {path: vars(entry) for path, entry in files.items()},
    }  # fmt: skip
    text = json.dumps(manifest, sort_keys=True, indent=1).encode()
    with tarfile.open(to, "w:gz", compresslevel=6) as tar:
        _add(tar, _LIST, text)
        _add(tar, _SIGNATURE, key.sign(_SIGNED_AS + text))
        for path in wanted:
            _add(tar, _FILES + path, (root / path).read_bytes())


def unpack(file: Path, key: Ed25519PublicKey, into: Path) -> Manifest:
    """The list, whose files are then in ``into``, each as it was signed. Refusal else, with ``into`` as far as it came."""
    try:
        with tarfile.open(file, "r|gz") as tar:
            manifest = _signed(tar, key, file)
            missing = set(manifest.files)
            while (member := tar.next()) is not None:
                path = member.name.removeprefix(_FILES)
                entry = manifest.files.get(path)
                if entry is None or path not in missing or not member.isfile() or not member.name.startswith(_FILES):
                    raise Refusal(f"{file}: {member.name!r} is not in the list that was signed")
                if member.size != entry.size:
                    raise Refusal(f"{file}: {path} is not as it was signed")
                missing.remove(path)
                _write(tar.extractfile(member), into / path, entry, f"{file}: {path}")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise Refusal(f"{file} is no update, or was cut: {error}") from error
    if missing:
        raise Refusal(f"{file}: {len(missing)} files of its list are missing, {min(missing)} among them")
    return manifest


def read_private(file: Path) -> Ed25519PrivateKey:
    """Refusal for what is no such key."""
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Refusal(f"{file} is no key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Refusal(f"{file} is no Ed25519 key")
    return key


def read_public(file: Path) -> Ed25519PublicKey:
    """Refusal for what is no such key."""
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Refusal(f"{file} is no public key in PEM: {error}", "name it in the site file: updates.key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise Refusal(f"{file} is no Ed25519 key", "name it in the site file: updates.key")
    return key


def _entry(file: Path) -> Entry:
    content = file.read_bytes()
    return Entry(hashlib.sha256(content).hexdigest(), len(content), bool(file.stat().st_mode & 0o100))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _signed(tar: tarfile.TarFile, key: Ed25519PublicKey, file: Path) -> Manifest:
    text, signature = (_first(tar, name, file) for name in (_LIST, _SIGNATURE))
    try:
        key.verify(signature, _SIGNED_AS + text)
    except InvalidSignature as error:
        raise Refusal(f"{file} is not signed by the key that this box believes, or was changed") from error
    plain = json.loads(text)
    if plain["format"] != _FORMAT:
        raise Refusal(f"{file} is of the form {plain['format']}, and {_FORMAT} is the one that is known here")
    files = {path: Entry(**entry) for path, entry in plain["files"].items()}
    for path in files:
        if not _is_inside(path):
            raise Refusal(f"{file}: {path!r} would be unpacked elsewhere")
    return Manifest(int(plain["number"]), str(plain["name"]), str(plain["made"]), files)


def _first(tar: tarfile.TarFile, name: str, file: Path) -> bytes:
    member = tar.next()
    if member is None or member.name != name or not member.isfile() or member.size > _LIST_AT_MOST:
        raise Refusal(f"{file} is no update: there is no {name} where it should be")
    stream = tar.extractfile(member)
    assert stream is not None, "it is a file"
    return stream.read()


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] != "/" and ".." not in parts and str(PurePosixPath(path)) == path


def _write(stream: IO[bytes] | None, target: Path, entry: Entry, named: str) -> None:
    assert stream is not None, "it is a file"
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as out:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != entry.sha256:
        raise Refusal(f"{named} is not as it was signed")
    target.chmod(0o755 if entry.executable else 0o644)
