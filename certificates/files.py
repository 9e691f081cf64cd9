"""The certificate and its key in one folder, as the server reads them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from certificates.settings import Refusal

_READABLE_BY_GROUP = 0o640
"""The server is of that group (systemd/system/appliance-certificate.service)."""


@dataclass(frozen=True)
class Current:
    """A certificate that is there and has its key beside it."""

    chain: bytes
    """PEM, the box's own first."""
    names: frozenset[str]
    begins: datetime
    ends: datetime


def chain_file(folder: Path) -> Path:
    return folder / "certificate.pem"


def key_file(folder: Path) -> Path:
    return folder / "certificate.key"


def current(folder: Path) -> Current | None:
    """What there is; None where there is nothing, or what no server could use."""
    try:
        chain = chain_file(folder).read_bytes()
        first = x509.load_pem_x509_certificate(chain)
        key = load_pem_private_key(key_file(folder).read_bytes(), password=None)
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, TypeError, x509.ExtensionNotFound):
        return None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if first.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        return None
    told = frozenset(names.get_values_for_type(x509.DNSName))
    return Current(chain, told, first.not_valid_before_utc, first.not_valid_after_utc)


def put(folder: Path, chain: str, key: ec.EllipticCurvePrivateKey) -> None:
    """Each file is whole at every moment. A server that looks between the two keeps what it has and looks again.

    Refusal where the certificate is not one of this key.
    """
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    first = x509.load_pem_x509_certificate(chain.encode())
    if first.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise Refusal("the authority sent a certificate of another key")
    _write(key_file(folder), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _write(chain_file(folder), chain.encode())


def _write(file: Path, content: bytes) -> None:
    fresh = file.with_suffix(f"{file.suffix}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        os.fchmod(descriptor, _READABLE_BY_GROUP)
        stream.flush()
        os.fsync(descriptor)
    fresh.replace(file)
