"""The site file: what this box is, which disks and which certificate it has, and the settings of its server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from certificates.settings import Order
from provisioning.progress import Refusal


class _Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No key that is not known."""


class Pool(_Block, frozen=True):
    """The disks and the key of the pool."""

    disks: tuple[str, ...] = ()
    """By their lasting names; none: all blank ones."""
    erase: tuple[str, ...] = ()
    """Those of them whose contents nobody wants back."""
    unlock: Literal["host+tpm2", "host", "none"] = "host+tpm2"
    """What the key is bound to for a start without anybody; ``none``: somebody types it at each start."""
    key_from: Path | None = None
    """64 hexadecimal digits; without it a key is made, and its sheet has to be typed back."""


class Supplied(_Block, frozen=True):
    """One that somebody brought, PEM: the server's own certificate first, then those in between."""

    chain: Path
    key: Path


class Acme(Order, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One that the box gets and renews by itself (RFC 8555), proven by a record in the DNS (RFC 2136)."""

    secret_from: Path
    """A file with the secret of ``dns.key``, base64; the box keeps it as a credential."""

    @property
    def order(self) -> Order:
        """Without what only provisioning needs."""
        return Order(**{name: getattr(self, name) for name in Order.__struct_fields__})


class Certificate(_Block, frozen=True):
    """Exactly one of them."""

    supplied: Supplied | None = None
    acme: Acme | None = None

    def __post_init__(self) -> None:
        if (self.supplied is None) == (self.acme is None):
            raise ValueError("expected either `supplied` or `acme`")


class Updates(_Block, frozen=True):
    """Whose versions this box takes."""

    key: Path
    """The public key, Ed25519, PEM: a file of another version has to be signed by it."""


class Enrolment(_Block, frozen=True):
    """How the box becomes known to the one above it."""

    token_from: Path
    """A file with the token that an administrator made there (docs/enrolment.md)."""


class Site(_Block, frozen=True):
    """All of it."""

    settings: dict[str, Any]  # Any: the server's own, which it checks itself
    pool: Pool = Pool()
    certificate: Certificate | None = None
    """Without it the settings say ``listen.self_made``."""
    time_servers: Annotated[tuple[str, ...], msgspec.Meta(max_length=8)] = ()
    """Those of the clinic; none: Debian's."""
    backup_to: str | None = None
    """POOL/NAME or ACCOUNT@BOX:POOL/NAME."""
    enrolment: Enrolment | None = None
    updates: Updates | None = None
    """Without it the box takes none (`appliance-update`)."""
    ssh_from: tuple[str, ...] = ("0.0.0.0/0", "::/0")
    """Networks from which the box is administered."""

    @property
    def is_clinic(self) -> bool:
        """Whether it keeps and draws pictures, which decides which of the two servers it runs."""
        return "node" in self.settings.get("roles", ())

    @property
    def server(self) -> str:
        return "appliance-clinic" if self.is_clinic else "appliance-central"

    @property
    def dimse(self) -> dict[str, Any] | None:
        """The block of the DICOM network, if there is one."""
        node = self.settings.get("node")
        dimse = node.get("dimse") if isinstance(node, dict) else None
        return dimse if isinstance(dimse, dict) else None

    @property
    def modalities(self) -> list[str]:
        """Addresses and networks of all peers, each once."""
        peers = (self.dimse or {}).get("peers", ())
        return list(dict.fromkeys(str(host) for peer in peers for host in peer.get("hosts", ())))

    @property
    def parents(self) -> list[Path]:
        """The files of this box's own keys towards those above it."""
        blocks = (self.settings.get(role) for role in ("institution", "node"))
        return [Path(b["parent"]["key"]) for b in blocks if isinstance(b, dict) and isinstance(b.get("parent"), dict)]


def read(file: Path) -> Site:
    """Refusal naming the key that is wrong; the server's settings are checked by itself, later."""
    try:
        plain = yaml.safe_load(file.read_text())
        return msgspec.convert(plain, Site, dec_hook=_path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Refusal(f"{file}: {error}", "docs/technician.md shows one") from error


def _path(kind: type, value: Any) -> Any:  # Any: whatever YAML holds there
    if kind is Path and isinstance(value, str) and value.startswith("/"):
        return Path(value)
    raise ValueError(f"expected an absolute path, found {value!r}")
