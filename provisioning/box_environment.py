"""The box's own Python environment, ``/opt/appliance``: the packages of the lock that a box needs, and the appliance."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from provisioning import box
from provisioning.environment import Environment
from provisioning.installation import ROOT, or_complain
from provisioning.progress import Step

_SOURCES = ("appliance", "certificates", "updates", "zfs")
_SYSTEMD = Path("/usr/lib/python3/dist-packages/systemd")


class BoxEnvironment:
    """What is in ``folder``, and what should be, by the checkout ``root``."""

    def __init__(
        self, root: Path = ROOT, folder: Path = box.ENVIRONMENT, cache: Path = box.CACHE, log: Path = box.LOG
    ) -> None:
        self._root = root
        self._folder = folder = folder.resolve() if folder.is_symlink() else folder
        self._cache = cache
        self._log = log
        only = frozenset((root / "provisioning" / "box-packages").read_text().split())
        self._environment = Environment(root, cache, log, folder, only)
        self._only = only

    @property
    def python(self) -> Path:
        return self._environment.python

    @property
    def has_packages(self) -> bool:
        """Whether it has the packages of the lock, for the Python of this machine."""
        return self._remembered.get("packages") == self._packages_key() and self._environment.works()

    @property
    def has_appliance(self) -> bool:
        """Whether it has the appliance as it is in the checkout."""
        return self.has_packages and self._remembered.get("appliance") == self._appliance_key()

    def install_packages(self) -> None:
        """Refusal where a package cannot be had or built."""
        self._cache.mkdir(parents=True, exist_ok=True)
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._environment.fill_with_packages()
        self._remember("packages", self._packages_key())

    def install_appliance(self) -> None:
        """A copy, not a link to the checkout: what runs does not change by itself."""
        with Step("The appliance", self._log) as step, tempfile.TemporaryDirectory() as scratch:
            for name in _SOURCES:
                shutil.copytree(self._root / name, Path(scratch) / name, ignore=shutil.ignore_patterns("__pycache__"))
            for name in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(self._root / name, scratch)
            pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-index"]
            step.run(
                [*pip, "--no-deps", "--no-build-isolation", "--force-reinstall", scratch],
                mend="look at the lines above",
            )
        self._link_systemd()
        self._remember("appliance", self._appliance_key())

    def _link_systemd(self) -> None:
        """Debian's package, for the same Python; from source it would want the headers of systemd."""
        for folder in (self._folder / "lib").glob("python3.*"):
            link = folder / "site-packages" / "systemd"
            if _SYSTEMD.is_dir() and not link.exists():
                link.symlink_to(_SYSTEMD)

    def _packages_key(self) -> str:
        wanted = "\n".join(sorted(self._only))
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        parts = ((self._root / "requirements.lock").read_bytes(), wanted.encode(), version.encode())
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def _appliance_key(self) -> str:
        digest = hashlib.sha256((self._root / "pyproject.toml").read_bytes())
        for file in self._files():
            digest.update(f"\0{file.relative_to(self._root)}\0".encode())
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def _files(self) -> Iterator[Path]:
        for name in _SOURCES:
            found = (p for p in (self._root / name).rglob("*") if p.is_file() and "__pycache__" not in p.parts)
            yield from sorted(found)

    @property
    def _memory(self) -> Path:
        return self._folder / "installed.json"

    @property
    def _remembered(self) -> dict[str, str]:
        remembered: dict[str, str] = json.loads(self._memory.read_text()) if self._memory.is_file() else {}
        return remembered

    def _remember(self, name: str, key: str) -> None:
        fresh = self._memory.with_suffix(".new")
        fresh.write_text(json.dumps(self._remembered | {name: key}, indent=1))
        fresh.replace(self._memory)


def prepare_link(link: Path = box.ENVIRONMENT, versions: Path = box.VERSIONS, root: Path = ROOT) -> None:
    """Where nothing is yet, the first of the versions that are to come (updates/versions.py), with the link that leads to it.

    An environment that lies there without a link, as in an image of before, is left as it is.
    """
    if link.is_symlink() or link.exists():
        return
    first = versions / "0"
    first.mkdir(parents=True, exist_ok=True)
    source = first / "source"
    source.unlink(missing_ok=True)
    source.symlink_to(root)
    link.symlink_to(os.path.relpath(first / "environment", link.parent))


def main() -> int:
    """Installs the packages where they are not: for whoever makes an image. ``--into`` also the appliance, for an update."""
    parser = argparse.ArgumentParser(prog="box_environment", description=__doc__)
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="an environment that nothing uses yet")
    into: Path | None = parser.parse_args().into

    def install() -> None:
        environment = BoxEnvironment(folder=into or box.ENVIRONMENT)
        if not environment.has_packages:
            environment.install_packages()
        if into is not None:
            environment.install_appliance()

    return or_complain(install)


if __name__ == "__main__":
    sys.exit(main())
