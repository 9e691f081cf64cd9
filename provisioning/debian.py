"""What the machine must have of Debian or Ubuntu, each with the reason, and how to get what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provisioning.progress import Refusal, Step, say

BROWSER_VARIABLE = "APPLIANCE_TEST_CHROMIUM"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_APT_LISTS = Path("/var/lib/apt/lists")


def _lacks_headers() -> bool:
    return not (Path(sysconfig.get_path("include")) / "Python.h").is_file()


def _lacks_ensurepip() -> bool:
    return importlib.util.find_spec("ensurepip") is None


def _lacks_compiler() -> bool:
    return shutil.which("gcc") is None


def _lacks_certificates() -> bool:
    return not Path("/etc/ssl/certs/ca-certificates.crt").is_file()


def _lacks_browser() -> bool:
    return find_browser() is None


def _lacks_firefox() -> bool:
    """On Debian: Ubuntu has it only as a snap, and the test says so."""
    return find_firefox() is None and not _is_ubuntu()


def _is_ubuntu() -> bool:
    return platform.freedesktop_os_release().get("ID") == "ubuntu"


@dataclass(frozen=True)
class Package:
    """A Debian package, why it is needed, and, where another thing may do its work, whether that is absent."""

    name: str
    reason: str
    is_needed: Callable[[], bool] = lambda: True


PACKAGES = (
    Package("ca-certificates", "to reach package registries over TLS", _lacks_certificates),
    Package("python3-venv", "makes the virtual environment", _lacks_ensurepip),
    Package("python3-dev", "glumpy is compiled here, against Python's headers", _lacks_headers),
    Package("gcc", "compiles glumpy", _lacks_compiler),
    Package("libegl1", "OpenGL without a display: the entry to the drivers"),
    Package("libopengl0", "OpenGL: the functions themselves, loaded by PyOpenGL"),
    Package("libegl-mesa0", "EGL of Mesa, for machines without a GPU"),
    Package("libgl1-mesa-dri", "Mesa's drivers, llvmpipe among them: draws without a GPU"),
    Package("fonts-dejavu-core", "the letters that annotations are written in, with accents"),
    Package("libfreetype6", "glumpy refuses to be imported without it"),
)
TEST_PACKAGES = (
    Package("chromium", "the browser of the end-to-end tests", _lacks_browser),
    Package("firefox-esr", "another browser of those tests", _lacks_firefox),
    Package("libnss3-tools", "certutil: lets those browsers trust the tests' own certificate"),
    Package("dcmtk", "a stranger's senders and receivers, for the DIMSE tests"),
    Package("orthanc", "a stranger's archive, as a peer both ways"),
    Package("orthanc-dicomweb", "lets that archive speak DICOMweb"),
    Package("postgresql", "the other database that the storage tests run on"),
    Package("patroni", "three of those databases, of which the long tests kill the leader"),
    Package("etcd-server", "where Patroni keeps who leads"),
    Package("python3-etcd", "by which Patroni speaks with it"),
    Package("pebble", "an authority that speaks ACME, for the tests of certificates"),
    Package("knot", "a name server that takes signed changes, for the same"),
)
MACHINE_PACKAGES = (
    Package("qemu-system-x86", "the machine that a box is tried on"),
    Package("qemu-utils", "qemu-img: what a test writes lies over the image, not in it"),
    Package("mmdebstrap", "makes the root of that machine of Debian's packages"),
    Package("debian-archive-keyring", "by which those packages are known to be Debian's"),
    Package("e2fsprogs", "mke2fs: that root as a disk"),
    Package("swtpm", "a TPM in software, to which its pool's key is sealed"),
    Package("openssh-client", "commands in that machine"),
    Package("zstd", "what is sent there, packed"),
)
"""Of the tests that boot a machine, which only `tests/run --long` runs."""


def find_browser() -> str | None:
    """Path of the browser for the end-to-end tests, or None.

    The variable APPLIANCE_TEST_CHROMIUM comes first; it is taken as it is, so a wrong path is seen where it is used.
    """
    chosen = os.environ.get(BROWSER_VARIABLE)
    if chosen:
        return shutil.which(chosen)
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def find_firefox() -> str | None:
    """Path of Firefox, or None."""
    return next((path for name in ("firefox-esr", "firefox") if (path := shutil.which(name))), None)


def provide(packages: tuple[Package, ...], log: Path) -> None:
    """Installs those of ``packages`` that are missing, after naming them; Refusal where that cannot be done."""
    missing = find_missing(packages)
    if not missing:
        return
    _refuse_snap(missing)
    names = [package.name for package in missing]
    say("System packages are missing:")
    for package in missing:
        say(f"  {package.name:<16} {package.reason}")
    prefix = _administrator(names)
    with Step(f"Installing {len(names)} system packages" + (" with sudo" if prefix else ""), log) as step:
        _install(step, prefix, names)
    still = [package.name for package in find_missing(packages)]
    if still:
        raise Refusal(f"apt-get ended well, yet {', '.join(still)} is missing", f"look into {log}")


def find_missing(packages: tuple[Package, ...]) -> list[Package]:
    """Those of ``packages`` that are needed and not installed; Refusal on a system that has no dpkg."""
    needed = [package for package in packages if package.is_needed()]
    if not needed:
        return []
    names = [package.name for package in needed]
    if not shutil.which("dpkg-query"):
        raise Refusal(
            "This is no Debian or Ubuntu: there is no dpkg-query", f"run it on Debian 12 or 13 ({' '.join(names)})"
        )
    # It ends with status 1 when it does not know a name; what it knows is told all the same.
    answer = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in needed if package.name not in installed]


def _refuse_snap(missing: list[Package]) -> None:
    """Ubuntu's own browser package only fetches a snap, which cannot read our folders nor trust our certificate."""
    if _is_ubuntu() and any(package.name == "chromium" for package in missing):
        raise Refusal(
            "Ubuntu has Chromium only as a snap, which the end-to-end tests cannot drive",
            f"install Google Chrome's own package, or set {BROWSER_VARIABLE} to the path of a Chromium that is no snap",
        )


def _administrator(names: list[str]) -> list[str]:
    """What to put before a command so that it runs as root."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        # Asked for here, where the terminal is still the user's; the step itself has no standard input.
        if subprocess.run(["sudo", "--validate"], check=False).returncode == 0:
            return ["sudo"]
        raise Refusal("sudo refused", f"as root: apt-get install {' '.join(names)}")
    raise Refusal("System packages need root, and there is no sudo", f"as root: apt-get install {' '.join(names)}")


def _install(step: Step, prefix: list[str], names: list[str]) -> None:
    quiet = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=120", "--yes"]
    update = [*quiet, "update"]
    install = [*quiet, "install", "--no-install-recommends", *names]
    mend = f"look at the lines above; then, as root: apt-get update && apt-get install {' '.join(names)}"
    had_lists = any(_APT_LISTS.glob("*_Packages*"))
    if not had_lists:
        step.run(update, mend=mend)
    try:
        step.run(install, mend=mend)
    except Refusal:
        if not had_lists:
            raise
        # The lists may be older than the mirror: packages that they name are gone there.
        step.run(update, mend=mend)
        step.run(install, mend=mend)
