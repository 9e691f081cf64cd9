"""An authority for DICOM over TLS, made for one test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from appliance.http.certificates import make_authority, make_leaf, write_pair


class Authority:
    """An authority and a certificate that it signed, which a device shows whoever it calls and whoever calls it."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key, self.authority = (
            folder / "device.pem",
            folder / "device.key",
            folder / "authority.pem",
        )
        now, names = datetime.now(UTC), frozenset({x509.DNSName("device")})
        both_ways = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
        authority = make_authority(now)
        write_pair(authority, self.authority, folder / "authority.key")
        write_pair(make_leaf(authority, "device", names, now, purposes=both_ways), self.certificate, self.key)

    def of_dcmtk(self) -> tuple[str | Path, ...]:
        """DCMTK's options for a peer that shows this certificate."""
        return ("+tls", self.key, self.certificate)
