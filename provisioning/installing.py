"""The parts of a box that are the same everywhere and need no site file: an image has them already."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from provisioning import box, debian
from provisioning.box_environment import BoxEnvironment, prepare_link
from provisioning.box_page import BoxPage
from provisioning.installation import ROOT
from provisioning.parts import Copy, Found, Part, files_part, run
from provisioning.progress import Refusal

_SYSTEMD = ROOT / "systemd"
_MEMORY_KIB = 1_700_000
"""Of what calls itself 2 GB; a clinic's box has 16 and more (docs/technician.md)."""
_TARGETS = {
    "sysusers.d": Path("/etc/sysusers.d"),
    "tmpfiles.d": Path("/etc/tmpfiles.d"),
    "sysctl.d": Path("/etc/sysctl.d"),
    "system-preset": Path("/etc/systemd/system-preset"),
    "system": Path("/etc/systemd/system"),
}
_PACKAGES = (*box.PACKAGES, *box.MODULE_PACKAGES)
_OPENZFS = next(package for package in box.PACKAGES if package.name == "zfsutils-linux")
_ARCHIVE = Copy(
    b"# Written by provisioning/provision: OpenZFS is here.\n"
    b"Types: deb\nURIs: http://deb.debian.org/debian\nSuites: trixie trixie-updates\nComponents: contrib\n"
    b"Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
    b"Types: deb\nURIs: http://deb.debian.org/debian-security\nSuites: trixie-security\nComponents: contrib\n"
    b"Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
    Path("/etc/apt/sources.list.d/appliance.sources"),
)
_PROGRAMS = Path("/usr/local/bin")
_COMMANDS = ("appliance", "appliance-zfs", "appliance-certificate", "appliance-update")
_ACCOUNTS = ("sysusers.d", "tmpfiles.d", "sysctl.d")


def parts() -> list[Part]:
    """In the order in which they need each other."""
    page = BoxPage()
    return [
        Part("Machine", look_at_machine),
        Part("Archive", _look_at_archive, _add_archive),
        Part("Packages of Debian", _look_at_packages, _install_packages),
        Part("Packages of Python", lambda: _look_at_python(BoxEnvironment()), _install_python),
        Part("Appliance", lambda: _look_at_appliance(BoxEnvironment()), lambda: BoxEnvironment().install_appliance()),
        Part("Commands", look_at_commands, link_commands),
        Part("Page", page.look, page.install),
        files_part("Accounts and folders", lambda: _copies(_ACCOUNTS), _make_accounts),
        files_part("Units", lambda: _copies(("system-preset", "system")), _take_units),
    ]


def look_at_machine() -> Found:
    """Whether it is one that a box can be made of."""
    release = platform.freedesktop_os_release()
    system = f"{release.get('PRETTY_NAME', 'unknown')}, {platform.machine()}"
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    told = f"{system}, {os.cpu_count()} processors, {memory_kib / 1e6:.1f} GB of memory"
    if os.geteuid() != 0:
        return Found(is_well=False, told=f"{told}; a box is made by root (sudo)")
    if (release.get("ID"), release.get("VERSION_ID")) != ("debian", "13"):
        return Found(is_well=False, told=f"{told}; it has to be Debian 13")
    if memory_kib < _MEMORY_KIB:
        return Found(is_well=False, told=f"{told}; 2 GB are the least on which anything is drawn")
    return Found(is_well=True, told=told)


def _look_at_packages() -> Found:
    missing = [package.name for package in debian.find_missing(_PACKAGES)]
    if missing:
        return Found(is_well=False, told=f"missing: {', '.join(missing)}")
    return Found(is_well=True, told=f"all {len(box.PACKAGES)} are there")


def _install_packages() -> None:
    debian.provide(_PACKAGES, box.LOG)


def _look_at_archive() -> Found:
    """OpenZFS is in `contrib`, which an installation of Debian does not ask for by itself."""
    if debian.find_missing((_OPENZFS,)):
        known = run("apt-cache", "policy", _OPENZFS.name, mend="apt-get update")
        if "Candidate: (none)" in known or not known:
            return Found(
                is_well=False, told=f"nothing is known of {_OPENZFS.name}: `contrib` is not asked for, or never was"
            )
    return Found(is_well=True, told=f"{_OPENZFS.name} can be had")


def _add_archive() -> None:
    _ARCHIVE.put()
    run("apt-get", "update", mend="is the network there?")


def _look_at_python(environment: BoxEnvironment) -> Found:
    if environment.has_packages:
        return Found(is_well=True, told=f"{box.ENVIRONMENT} has those of the lock")
    return Found(is_well=False, told=f"{box.ENVIRONMENT} has not those of the lock")


def _install_python() -> None:
    debian.provide(box.BUILD_PACKAGES, box.LOG)
    prepare_link()
    BoxEnvironment().install_packages()


def _look_at_appliance(environment: BoxEnvironment) -> Found:
    if environment.has_appliance:
        return Found(is_well=True, told=f"{box.ENVIRONMENT} has the one of {ROOT}")
    return Found(is_well=False, told=f"{box.ENVIRONMENT} has not the one of {ROOT}")


def look_at_commands(folder: Path = _PROGRAMS) -> Found:
    """Whether a technician's shell, and another box that copies hither by ssh, find them."""
    missing = [name for name in _COMMANDS if not _is_linked(folder / name)]
    if missing:
        return Found(is_well=False, told=f"not in {folder}, or another's: {', '.join(missing)}")
    return Found(is_well=True, told=f"{', '.join(_COMMANDS)} are in {folder}")


def link_commands(folder: Path = _PROGRAMS) -> None:
    """Refusal where another program has the name."""
    for name in _COMMANDS:
        link = folder / name
        if _is_linked(link):
            continue
        if link.exists() and not link.is_symlink():
            raise Refusal(f"{link} is another program", "remove it, or move it away")
        link.unlink(missing_ok=True)
        link.symlink_to(box.ENVIRONMENT / "bin" / name)


def _is_linked(link: Path) -> bool:
    return link.is_symlink() and link.readlink() == box.ENVIRONMENT / "bin" / link.name


def _copies(folders: Sequence[str]) -> list[Copy]:
    return [
        Copy(file.read_bytes(), _TARGETS[folder] / file.relative_to(_SYSTEMD / folder))
        for folder in folders
        for file in sorted((_SYSTEMD / folder).rglob("*"))
        if file.is_file()
    ]


def _make_accounts() -> None:
    mend = "look at the file that it names"
    run("systemd-sysusers", mend=mend)
    run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/appliance.conf", mend=mend)
    run("sysctl", "--quiet", "--load", "/etc/sysctl.d/60-appliance.conf", mend=mend)


def _take_units() -> None:
    """What every box does is on from the next start on; what this one does, the parts that follow say."""
    run("systemctl", "daemon-reload", mend="journalctl -b")
    timers = [file.name for file in sorted((_SYSTEMD / "system").glob("*.timer"))]
    run("systemctl", "preset", *timers, mend="journalctl -b")
