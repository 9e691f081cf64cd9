"""The firewall: who may come in, and where.

References: nft(8).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network


def rules(https_port: int, dimse_port: int | None, modalities: Sequence[str], ssh_from: Sequence[str]) -> str:
    """A whole ``/etc/nftables.conf``: HTTPS over TCP and UDP from everywhere, DICOM from ``modalities``, ssh from ``ssh_from``.

    Networks are of IPv4 or IPv6. ValueError where one is neither. Connections that go on are never cut, and what the network
    itself needs (ICMP, neighbours, addresses by DHCP) comes in.
    """
    lines = [
        "#!/usr/sbin/nft -f",
        "# Written by provisioning/provision from the site file: change it there.",
        "flush ruleset",
        "table inet box {",
        "  chain input {",
        "    type filter hook input priority filter; policy drop;",
        "    ct state established,related accept",
        "    ct state invalid drop",
        '    iif "lo" accept',
        "    meta l4proto { icmp, ipv6-icmp } accept",
        "    udp dport 546 ip6 saddr fe80::/10 accept",
        f"    tcp dport {https_port} accept",
        f"    udp dport {https_port} accept",
        *_from(ssh_from, 22),
        *(_from(modalities, dimse_port) if dimse_port is not None else []),
        "  }",
        "  chain forward {",
        "    type filter hook forward priority filter; policy drop;",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _from(networks: Sequence[str], port: int) -> list[str]:
    parsed = [ip_network(network, strict=False) for network in networks]
    found = []
    for version, word in ((4, "ip"), (6, "ip6")):
        # a larger network and one inside of it are one element, or nft complains of an overlap
        of_version = [network for network in parsed if network.version == version]
        members = [str(n) for n in of_version if not any(n != other and _is_within(n, other) for other in of_version)]
        if members:
            found.append(f"    {word} saddr {{ {', '.join(dict.fromkeys(members))} }} tcp dport {port} accept")
    return found


def _is_within(inner: object, outer: object) -> bool:
    return bool(inner.subnet_of(outer))  # type: ignore[attr-defined]
