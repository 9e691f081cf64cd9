"""Who may associate with this node, from where, and for what: what the settings say, as a DIMSE process gets it."""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from pathlib import Path
from typing import Literal

import msgspec

from appliance.storage.instances import StoreSettings

Verb = Literal["echo", "store", "find", "get", "move", "commit"]


class Peer(msgspec.Struct, frozen=True):
    """A device or an archive that is known."""

    ae_title: str
    hosts: tuple[str, ...]
    """Addresses and networks."""
    verbs: frozenset[Verb]
    port: int | None = None
    """Where it listens itself, on the first of its hosts."""
    tls: bool = False

    def is_at(self, host: str) -> bool:
        """Whether it may come from this address."""
        address = ipaddress.ip_address(host)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in ipaddress.ip_network(known) for known in self.hosts)


class Tls(msgspec.Struct, frozen=True):
    certificate: str
    key: str
    authorities: str | None = None


class Limits(msgspec.Struct, frozen=True):
    """What one DIMSE process lets peers cost."""

    associations: int = 32
    idle_s: float = 60
    pdu_bytes: int = 256 * 1024
    half_open: int = 200
    """Connections that have not asked for an association yet; the oldest goes when one more comes."""
    request_s: float = 10
    """How long such a connection may take to ask (the ARTIM timer of PS3.8 §9.1.5)."""
    instance_bytes: int = 4 * 1024**3


class DimseSettings(msgspec.Struct, frozen=True):
    """What a DIMSE process needs."""

    listener: int
    """Descriptor of the listening socket, which all DIMSE processes share."""
    ae_title: str
    peers: tuple[Peer, ...]
    node_id: str
    database: str
    store_directory: str
    key_file: str | None
    floor_bytes: int
    tls: Tls | None = None
    limits: Limits = Limits()
    parsers: int = 1

    def store(self) -> StoreSettings:
        return StoreSettings(
            Path(self.store_directory), Path(self.key_file) if self.key_file else None, self.floor_bytes
        )


class Refusal(IntEnum):
    """Why there is no association; the value is result, source and reason as PS3.8 table 9-21 codes them."""

    UNKNOWN_PEER = 0x010103
    """Calling AE title not recognized."""
    WRONG_HOST = 0x1010103
    """The same to the outside: who guesses titles does not learn that he guessed one."""
    OTHER_TITLE = 0x010107
    """Called AE title not recognized."""
    TOO_MANY = 0x020302
    """Local limit exceeded, which passes."""

    @property
    def code(self) -> bytes:
        return (self & 0xFFFFFF).to_bytes(3, "big")

    @property
    def outcome(self) -> str:
        """As logs and figures call it."""
        return self.name.lower().replace("_", "-")


def admitted(settings: DimseSettings, *, called: str, calling: str, host: str) -> Peer | Refusal:
    """The peer who calls from ``host``, or why there is none."""
    if called != settings.ae_title:
        return Refusal.OTHER_TITLE
    peer = find_peer(settings, calling)
    if peer is None:
        return Refusal.UNKNOWN_PEER
    return peer if peer.is_at(host) else Refusal.WRONG_HOST


def find_peer(settings: DimseSettings, ae_title: str) -> Peer | None:
    return next((peer for peer in settings.peers if peer.ae_title == ae_title), None)
