"""An authority for DICOM over TLS, made for one test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """An authority and a certificate that it signed, which a device shows whoever it calls and whoever calls it."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key, self.authority = (
            folder / "device.pem",
            folder / "device.key",
            folder / "authority.pem",
        )
        authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority = _named(folder.name)
        root = _signed(authority, authority, authority_key, authority_key, is_authority=True)
        device = _signed(_named("device"), authority, key, authority_key, is_authority=False)
        self.authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        self.certificate.write_bytes(device.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def of_dcmtk(self) -> tuple[str | Path, ...]:
        """DCMTK's options for a peer that shows this certificate."""
        return ("+tls", self.key, self.certificate)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


_SIGNS_CERTIFICATES = x509.KeyUsage(
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


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    # Python 3.13 asks for what RFC 5280 §4.2.1 asks for: who a certificate is of and whose key signed it.
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(signer, critical=False)
    if is_authority:
        builder = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())
