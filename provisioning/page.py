"""The page, built from ``webui`` by the Node that came into the virtual environment as a Python package."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from provisioning.progress import Step

_NO_SOURCES = frozenset({"node_modules", "dist", "coverage", ".svelte-kit"})
_MEND = "look at the lines above and at your npm configuration (network, proxy, registry), then run this again"


class Page:
    """The page of a checkout."""

    def __init__(self, root: Path, log: Path) -> None:
        self._root = root
        self._folder = root / "webui"
        self._log = log

    def packages_key(self) -> str:
        """Changes when other packages are wanted, or they are not there."""
        return self._digest([self._folder / "package.json", self._folder / "package-lock.json"])

    def has_packages(self) -> bool:
        """Whether a complete installation lies there: npm writes this file last."""
        return (self._folder / "node_modules" / ".package-lock.json").is_file()

    def sources_key(self) -> str:
        """Changes when the page has to be built again."""
        return self._digest(self._sources())

    def is_built(self) -> bool:
        """Whether a page lies there."""
        return (self._folder / "dist" / "index.html").is_file()

    def fetch_packages(self) -> None:
        """Installs what package-lock.json names, each checked against its hash."""
        with Step("Packages of the page", self._log) as step:
            step.run(
                [self._npm(), "ci", "--no-audit", "--no-fund"],
                cwd=self._folder,
                environment=self.environment(),
                mend=_MEND,
            )

    def build(self) -> None:
        """Builds the page into ``webui/dist``."""
        with Step("Building the page", self._log) as step:
            mend = f"mend what the lines above name in {self._folder}, then run this again"
            step.run([self._npm(), "run", "build"], cwd=self._folder, environment=self.environment(), mend=mend)

    def environment(self) -> dict[str, str]:
        """What npm needs of the environment: our Node before any of the system."""
        return {"PATH": f"{self._root / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    def _npm(self) -> str:
        return str(self._root / ".venv" / "bin" / "npm")

    def _sources(self) -> list[Path]:
        """Every file of the page that is not made by npm."""
        found = []
        for folder, folders, files in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if name not in _NO_SOURCES)
            found += [Path(folder) / name for name in sorted(files)]
        return found

    def _digest(self, files: list[Path]) -> str:
        digest = hashlib.sha256()
        for file in files:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(self._folder)}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()
