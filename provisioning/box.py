"""What a box has of Debian, each with the reason, and where the appliance lies on it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from provisioning.debian import PACKAGES as DRAWING_PACKAGES
from provisioning.debian import Package

ENVIRONMENT = Path("/opt/appliance")
VERSIONS = Path("/opt/appliance-versions")
"""Of which the environment is one, by a link."""
CACHE = Path("/var/cache/appliance-provisioning")
LOG = Path("/var/log/appliance-provisioning.log")
SETTINGS = Path("/etc/appliance/appliance.yaml")


def _lacks_zfs() -> bool:
    """Whether no module of OpenZFS is there for the kernel that runs: an image has one that was built with it."""
    return subprocess.run(["modinfo", "zfs"], capture_output=True, check=False).returncode != 0


_BUILDS = ("gcc", "python3-dev")
"""Of those that drawing needs: where its Python packages are installed already, as in an image, nothing is compiled."""

MODULE_PACKAGES = (
    Package("linux-headers-amd64", "OpenZFS comes as source, and is built against these", _lacks_zfs),
    Package("zfs-dkms", "OpenZFS, built here for Debian's kernel: that takes minutes", _lacks_zfs),
)
BUILD_PACKAGES = tuple(package for package in DRAWING_PACKAGES if package.name in _BUILDS)
PACKAGES = (
    *(package for package in DRAWING_PACKAGES if package.name not in _BUILDS),
    Package("python3-systemd", "messages of the server carry their fields into the journal"),
    Package("zfsutils-linux", "the pool: zpool and zfs"),
    Package("libtss2-esys-3.0.2-0t64", "speaks to the TPM"),
    Package("libtss2-mu-4.0.1-0t64", "speaks to the TPM"),
    Package("libtss2-rc0t64", "speaks to the TPM"),
    Package("libtss2-tcti-device0t64", "speaks to the TPM"),
    Package("nftables", "the firewall: 443 from everywhere, DICOM from the modalities that are listed"),
    Package("chrony", "the clock: signatures between boxes hold for a minute"),
    Package("unattended-upgrades", "security updates of Debian, by themselves"),
    Package("openssh-client", "copies to another box"),
)
