"""Which authority, which name, which name server: ``/etc/appliance/certificate.yaml``, written from the site file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

_LABELS = r"(?=.{1,253}\.?$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.?"
_DnsName = Annotated[str, msgspec.Meta(pattern=f"^{_LABELS}$")]
_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Refusal(Exception):
    """Something that stops us: what was found and what was expected, in one line."""


class _Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No key that is not known."""


class Key(_Block, frozen=True, kw_only=True):
    """By what the name server knows us (TSIG, RFC 8945); its secret is a credential and never stands in a file of settings."""

    name: _DnsName
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"


class NameServer(_Block, frozen=True, kw_only=True):
    """The one that takes changes of the zone (RFC 2136)."""

    server: str
    """Its address or name."""
    port: _Port = 53
    zone: _DnsName
    key: Key
    others: tuple[str, ...] = ()
    """More servers of the zone, which have to show the record before the authority is told to look: it may ask any of them."""
    record: _DnsName | None = None
    """Where the record is put, if ``_acme-challenge.NAME`` is an alias (CNAME) to there; default: under that name itself."""


class Order(_Block, frozen=True, kw_only=True):
    """A certificate for one name."""

    directory: Annotated[str, msgspec.Meta(pattern="^https://")]
    """The authority's ACME directory; what stands there as its terms of service is agreed to."""
    authorities: Path | None = None
    """Certificates that the directory's own is checked against, PEM; without it the usual public ones."""
    name: _DnsName
    contact: Annotated[str, msgspec.Meta(pattern="^[^@,? ]+@[^@,? ]+$")]
    """An address for mail to whoever looks after the box."""
    dns: NameServer

    def __post_init__(self) -> None:
        """A ValueError naming the key, for a record outside of its zone."""
        zone = self.dns.zone.rstrip(".")
        if not re.fullmatch(rf"(.+\.)?{re.escape(zone)}", self.record):
            raise ValueError(f"dns.zone: {self.record} is not in {zone}")

    @property
    def record(self) -> str:
        """Where the authority looks, RFC 8555 §8.4; without a dot at its end."""
        return (self.dns.record or f"_acme-challenge.{self.name}").rstrip(".")


def read(file: Path) -> Order:
    """Refusal naming the key that is wrong."""
    try:
        return msgspec.convert(yaml.safe_load(file.read_text()), Order, dec_hook=_path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Refusal(f"{file}: {error}") from error


def _path(kind: type, value: Any) -> Any:  # Any: whatever YAML holds there
    if kind is Path and isinstance(value, str) and value.startswith("/"):
        return Path(value)
    raise ValueError(f"expected an absolute path, found {value!r}")
