"""A bootable Debian 13 with OpenZFS, made from the archive's packages once and kept for all later runs.

Debian has OpenZFS as source only, so its modules are built for Debian's kernel in a builder root (minutes) and become a small
package, on which the root of the box depends as on any other. What is made lies in the folder that APPLIANCE_TEST_MACHINE names
(default: ~/.cache/appliance-machine), each stage by a key of what goes into it; what came before stays beside it. To have newer
packages of the archive, remove the folder. Needs root and ``debian.MACHINE_PACKAGES``; loads nothing into the kernel of this
machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioning import box, debian

_ROOT = Path(__file__).resolve().parents[2]
_VARIABLE = "APPLIANCE_TEST_MACHINE"
SUITE = "trixie"
_SOURCES = (
    f"deb http://deb.debian.org/debian {SUITE} main contrib",
    f"deb http://deb.debian.org/debian {SUITE}-updates main contrib",
    f"deb http://deb.debian.org/debian-security {SUITE}-security main contrib",
)
_KERNEL = "linux-image-cloud-amd64"
"""Virtual machines' own: small, and with every driver that QEMU needs but none of a graphics card."""
_BUILDER = ("zfs-dkms", "linux-headers-cloud-amd64", _KERNEL, "kmod", "xz-utils", "gcc", "python3-dev", "python3-venv")
_BARE = (
    "systemd-sysv",
    "systemd-resolved",
    "dbus",
    "udev",
    "initramfs-tools",
    "openssh-server",
    "iproute2",
    "curl",
    "zstd",
)
"""What a Debian is that somebody has just installed, and what the tests look at it with."""
_ROOT_MIB = 4096
_NETWORK = "[Match]\nName=en*\n[Network]\nDHCP=yes\n"
_MODULES = "zfs-modules.deb"
_ENVIRONMENT = "environment.tar.zst"
_RECIPE = 1
"""Another number where what the stages below do has changed, so that what they made before is made anew."""


class CannotBuild(Exception):
    """There is no image, and why."""


@dataclass(frozen=True)
class Image:
    """What QEMU boots; the disk is never written, only overlays of it."""

    kernel: Path
    initrd: Path
    disk: Path
    zfs_version: str


def ensure() -> Image:
    """The image, made if it is not there yet; how long each stage took is printed. Raises CannotBuild."""
    with _folder() as folder:
        made = _stages(folder).disk()
        version = (made / "zfs-version").read_text().strip()
        return Image(made / "vmlinuz", made / "initrd.img", made / "disk.img", version)


def ensure_root() -> Path:
    """The folder that the image's disk is made of: for what can be tried without booting it. Raises CannotBuild."""
    with _folder() as folder:
        return _stages(folder).root() / "root"


@contextmanager
def _folder() -> Iterator[Path]:
    """Where the stages are kept; whoever else makes some waits."""
    if missing := debian.find_missing(debian.MACHINE_PACKAGES):
        raise CannotBuild(f"as root: apt-get install {' '.join(package.name for package in missing)}")
    folder = Path(os.environ.get(_VARIABLE, Path.home() / ".cache" / "appliance-machine"))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


@dataclass(frozen=True)
class _Stages:
    """The last ones, made when they are asked for."""

    root: Callable[[], Path]
    disk: Callable[[], Path]


def _stages(folder: Path) -> _Stages:
    """Each stage by the key of what goes into it, so that another lock of Python packages builds no module anew."""
    builder = _made(folder, "builder", (_RECIPE, SUITE, _SOURCES, _BUILDER), _build_modules)
    environment = _made(
        folder, "environment", (builder.name, _digest(_ROOT / "requirements.lock", _ROOT / "provisioning" / "box-packages")),
        lambda work: _build_environment(work, builder),
    )  # fmt: skip
    packages = (_KERNEL, *_BARE, *(package.name for package in box.PACKAGES))
    base = _made(folder, "base", (_RECIPE, SUITE, _SOURCES, packages), lambda work: _bootstrap(work / "root", packages))
    ingredients = (_RECIPE, builder.name, environment.name, base.name)

    def root() -> Path:
        return _made(folder, "root", ingredients, lambda work: _build_root(work / "root", builder, environment, base))

    def disk() -> Path:
        return _made(
            folder, "disk", (*ingredients, _ROOT_MIB), lambda work: _build_disk(work, builder, root() / "root")
        )

    return _Stages(root, disk)


def _made(folder: Path, name: str, ingredients: object, make: Callable[[Path], None]) -> Path:
    made = folder / f"{name}-{hashlib.sha256(repr(ingredients).encode()).hexdigest()[:12]}"
    if not made.is_dir():
        if os.geteuid() != 0:
            raise CannotBuild(f"root makes it: mmdebstrap mounts /proc in what it builds (or name one by {_VARIABLE})")
        started = time.monotonic()
        work = made.with_suffix(".making")
        _refuse_mounts(work)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        make(work)
        work.rename(made)
        print(f"image: {name} in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return made


def _refuse_mounts(work: Path) -> None:
    """What an mmdebstrap that was killed left mounted is this machine's own /proc and /dev: nothing there is to be removed."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    left = sorted((place for place in mounted if place.startswith(f"{work}/")), reverse=True)
    if left:
        raise CannotBuild(f"an interrupted run left mounts; as root: umount {' '.join(left)}")


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _bootstrap(target: Path, packages: tuple[str, ...], *options: str) -> None:
    _run(
        "mmdebstrap",
        *("--mode=root", "--variant=apt", "--format=directory", f"--include={','.join(packages)}"),
        *("--aptopt=APT::Install-Recommends false", "--dpkgopt=force-unsafe-io"),
        "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg",
        *options,
        *(SUITE, str(target), *_SOURCES),
    )


def _build_modules(work: Path) -> None:
    """A package of the modules for the kernel that the builder has; ``zfs-modules`` is Debian's name for what it provides."""
    builder = work / "root"
    _bootstrap(builder, _BUILDER)
    kernel = next(path.name for path in (builder / "lib" / "modules").iterdir() if (path / "kernel").is_dir())
    # installed with the package where headers are there; said once more, since that depends on the order of the packages
    _chroot(builder, "dkms", "autoinstall", "-k", kernel)
    built = sorted((builder / "lib" / "modules" / kernel / "updates" / "dkms").glob("*.ko*"))
    if {path.name.partition(".")[0] for path in built} != {"spl", "zfs"}:
        raise CannotBuild(f"dkms built {[path.name for path in built]} for {kernel}")
    version = _chroot(builder, "dpkg-query", "--show", "--showformat=${Version}", "zfs-dkms")
    (work / "zfs-version").write_text(f"{version}\n")
    package = work / "package"
    modules = package / "usr" / "lib" / "modules" / kernel / "updates" / "dkms"
    modules.mkdir(parents=True)
    for path in built:
        shutil.copy(path, modules)
    control = package / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(
        f"Package: zfs-modules-{kernel.replace('+', '.')}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody\n"
        f"Provides: zfs-modules\nDepends: linux-image-{kernel}, kmod\nDescription: modules of OpenZFS, built for a test\n"
    )
    (control / "postinst").write_text(f"#!/bin/sh\nset -e\ndepmod {kernel}\n")
    (control / "postinst").chmod(0o755)
    _run("dpkg-deb", "--root-owner-group", "--build", str(package), str(work / _MODULES))


def _build_environment(work: Path, builder: Path) -> None:
    """The box's Python packages, installed where the box has them, as an archive; the builder has the compiler, the box none."""
    root = builder / "root"
    source = root / "opt" / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(root / str(box.ENVIRONMENT).lstrip("/"), ignore_errors=True)
    shutil.copytree(_ROOT / "provisioning", source / "provisioning")
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(_ROOT / name, source)
    with _registries_in(root):
        _chroot(root, "env", "-C", "/opt/source", "python3", "-m", "provisioning.box_environment")
    _run("tar", "-C", str(root), "--zstd", "-cf", str(work / _ENVIRONMENT), str(box.ENVIRONMENT).lstrip("/"))


@contextmanager
def _registries_in(root: Path) -> Iterator[None]:
    """pip in ``root`` reaches what pip reaches here: the same name server, authorities, settings and local folders."""
    (root / "etc").mkdir(exist_ok=True)
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    certificates = root / "etc" / "ssl" / "certs" / "ca-certificates.crt"
    certificates.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", certificates)
    if Path("/etc/pip.conf").is_file():
        shutil.copy("/etc/pip.conf", root / "etc" / "pip.conf")
    try:
        yield
    finally:
        (root / "etc" / "pip.conf").unlink(missing_ok=True)


def _build_root(root: Path, builder: Path, environment: Path, base: Path) -> None:
    _run("cp", "-a", str(base / "root"), str(root))
    shutil.copy(builder / _MODULES, root / "tmp")
    _chroot(root, "dpkg", "--install", f"/tmp/{_MODULES}")
    (root / "tmp" / _MODULES).unlink()
    _run("tar", "-C", str(root), "--zstd", "-xf", str(environment / _ENVIRONMENT))
    for name, text in (
        ("systemd/network/80-any.network", _NETWORK),
        ("hostname", "box\n"),
        ("fstab", "LABEL=root / ext4 defaults 0 1\n"),
        ("machine-id", "uninitialized\n"),
    ):
        (root / "etc" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "etc" / name).write_text(text)
    _chroot(root, "systemctl", "enable", "systemd-networkd", "systemd-resolved", "ssh")
    shutil.rmtree(root / "var" / "cache" / "apt" / "archives", ignore_errors=True)


def _build_disk(work: Path, builder: Path, root: Path) -> None:
    shutil.copy(next((root / "boot").glob("vmlinuz-*")), work / "vmlinuz")
    shutil.copy(next((root / "boot").glob("initrd.img-*")), work / "initrd.img")
    _run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(root), str(work / "disk.img"), f"{_ROOT_MIB}M")
    shutil.copy(builder / "zfs-version", work)


def _chroot(root: Path, *command: str) -> str:
    return _run("chroot", str(root), *command)


def _run(*command: str) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise CannotBuild(f"`{' '.join(command)[:300]}` ended with status {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout
