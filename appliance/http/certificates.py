"""Certificates: the files a listener shows to browsers, and a pair of our own making where no public one is configured.

A public certificate (ACME, DNS-01) is what a box in the field should have: browsers speak HTTP/3 only under a root that came
with them. Where there is none, ``ensure_self_made`` keeps a small authority and one server certificate signed by it; a clinic
installs ``authority.pem`` in its browsers once, and later renewals need nothing.

References: RFC 5280 §4.2 (extensions), RFC 9525 (names), CA/Browser Forum Baseline Requirements §6.3.2 (398 days).
"""

from __future__ import annotations

import fcntl
import ipaddress
import logging
import os
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.domain.errors import SettingsError

log = logging.getLogger(__name__)

_LEAF_LIFETIME = timedelta(days=397)
"""Browsers refuse server certificates that are valid for more than 398 days."""
_AUTHORITY_LIFETIME = timedelta(days=3650)
"""Ten years: a new authority has to be carried to every browser by hand."""
_RENEW_BEFORE_END = timedelta(days=30)
_BACKDATED = timedelta(days=1)
"""A clinic's clocks are not all right; a certificate from the future would be refused."""
_DNS_NAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")

_Name = x509.DNSName | x509.IPAddress


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files of one server identity.

    ``certificate`` holds the server's own first, then those that lead to the root. ``authority`` is the root to install in
    browsers, where the pair is of our own making.
    """

    certificate: Path
    key: Path
    authority: Path | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, P-256."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def check(files: CertificateFiles) -> None:
    """Nothing, when the files can be read and belong together; warns in the log when the certificate is out of its time.

    Raises SettingsError naming the file otherwise.
    """
    for path in (files.certificate, files.key):
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror}", key="certificate-unreadable") from error
    try:
        # An encrypted key would otherwise make OpenSSL ask on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, password=lambda: b"")
    except ssl.SSLError as error:
        raise SettingsError(_explain(error, files), key="certificate-unusable") from error
    _warn_when_out_of_time(files.certificate)


def stamp(files: CertificateFiles) -> tuple[tuple[int, int, int] | None, ...]:
    """Something that changes when a file is written or replaced; blocking."""
    return tuple(_stamp_of(path) for path in (files.certificate, files.key))


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _explain(error: ssl.SSLError, files: CertificateFiles) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key {files.key} does not belong to the certificate {files.certificate}"
    return f"{files.certificate} and {files.key} are not a certificate and an unencrypted key in PEM ({error.reason})"


def _warn_when_out_of_time(path: Path) -> None:
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    if not certificate.not_valid_before_utc <= datetime.now(UTC) < certificate.not_valid_after_utc:
        log.warning(
            "%s is valid from %s to %s: browsers will refuse it",
            path,
            certificate.not_valid_before_utc.isoformat(),
            certificate.not_valid_after_utc.isoformat(),
        )


def ensure_self_made(directory: Path, names: Sequence[str], *, now: datetime | None = None) -> CertificateFiles:
    """An authority of our own and a server certificate for ``names`` (DNS names or IP addresses), made where needed.

    What is in ``directory`` is kept while it fits: the server's is made again 30 days before its end, when the names have
    changed, or when it does not verify; the authority only when it is missing, damaged or would end before its
    certificate. All files are readable by their owner alone. Blocking (file locks and key generation).
    """
    wanted = frozenset(_parse_name(name) for name in names)
    if not wanted:
        raise SettingsError("a certificate needs at least one name", key="certificate-names")
    now = now or datetime.now(UTC)
    files = CertificateFiles(directory / "server.pem", directory / "server.key", directory / "authority.pem")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        authority = _ensure_authority(directory, now)
        if not _is_leaf_good(_read_pair(files.certificate, files.key), authority, wanted, now):
            common_name = _plain(_parse_name(names[0]))
            write_pair(make_leaf(authority, common_name, wanted, now), files.certificate, files.key)
            log.info("made a certificate for %s, valid for %d days", ", ".join(names), _LEAF_LIFETIME.days)
    return files


def _parse_name(name: str) -> _Name:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        pass
    try:
        ascii_name = name.encode("idna").decode("ascii").lower() if not name.isascii() else name.lower()
    except UnicodeError:
        ascii_name = ""
    if not _DNS_NAME.fullmatch(ascii_name) or len(ascii_name) > 253:
        raise SettingsError(f"{name!r} is neither a DNS name nor an IP address", key="certificate-names")
    return x509.DNSName(ascii_name)


def _plain(name: x509.GeneralName) -> str:
    return str(name.value)


def _ensure_authority(directory: Path, now: datetime) -> Pair:
    certificate_path, key_path = directory / "authority.pem", directory / "authority.key"
    authority = _read_pair(certificate_path, key_path)
    if authority and authority.certificate.not_valid_after_utc > now + _LEAF_LIFETIME:
        return authority
    authority = make_authority(now)
    write_pair(authority, certificate_path, key_path)
    log.info("made an authority of our own; browsers that are to trust this box need %s", certificate_path)
    return authority


def _is_leaf_good(leaf: Pair | None, authority: Pair, wanted: frozenset[_Name], now: datetime) -> bool:
    if leaf is None:
        return False
    certificate = leaf.certificate
    try:
        certificate.verify_directly_issued_by(authority.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    is_in_time = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - _RENEW_BEFORE_END
    return is_in_time and frozenset(names) == wanted


def _read_pair(certificate_path: Path, key_path: Path) -> Pair | None:
    """The pair, or None where it is missing, damaged, not P-256, or does not belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = load_pem_private_key(key_path.read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        return None
    return Pair(certificate, key)


def make_authority(now: datetime) -> Pair:
    """A root that signs certificates which sign nothing (path length 0)."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Two authorities of one name in one browser would be confused; the number keeps them apart.
    common_name = f"Appliance own authority {os.urandom(4).hex()}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now - _BACKDATED + _AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def make_leaf(
    authority: Pair,
    common_name: str,
    names: frozenset[_Name],
    now: datetime,
    *,
    purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
) -> Pair:
    """A certificate of one that is called, or, as ``purposes`` say, calls; signed by the authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    issuer_identifier = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now - _BACKDATED + _LEAF_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(sorted(names, key=_plain)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    return Pair(certificate, key)


def write_pair(pair: Pair, certificate_path: Path, key_path: Path) -> None:
    """Both files replaced; a crash between them leaves a pair that does not match, which is made again."""
    _write_private(key_path, pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _write_private(certificate_path, pair.certificate.public_bytes(Encoding.PEM))


def _write_private(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(path.suffix + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Several front processes may start at once; one of them makes the files."""
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
