"""The page on a box: as it was built in the checkout, laid where the installed server looks for it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from provisioning import box
from provisioning.installation import ROOT
from provisioning.parts import Found

_BUILT = Path("webui") / "dist"
_FIRST = "index.html"


class BoxPage:
    """The page in ``environment``, which is to be the one of the checkout ``root``."""

    def __init__(self, root: Path = ROOT, environment: Path = box.ENVIRONMENT) -> None:
        self._built = root / _BUILT
        self._environment = environment

    def look(self) -> Found:
        """A checkout without a built page is well: only a box with the role ``web`` needs one, and its site file says so."""
        if not (self._built / _FIRST).is_file():
            return Found(is_well=True, told=f"none was built in {self._built}: this box is to have none")
        if self.first_file is not None and digest(self.first_file.parent) == digest(self._built):
            return Found(is_well=True, told=f"the one of {self._built}")
        return Found(is_well=False, told=f"it is not the one of {self._built}")

    def install(self) -> None:
        """A copy that the server's account can read, as new as its installation; the server reads it when it starts."""
        target = self._packages / _BUILT
        fresh = target.with_name("dist.new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(self._built, fresh, copy_function=shutil.copyfile)
        for path in (target.parent, fresh, *fresh.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)

    @property
    def first_file(self) -> Path | None:
        """Of what is installed; None where nothing is."""
        file = self._packages / _BUILT / _FIRST
        return file if file.is_file() else None

    @property
    def _packages(self) -> Path:
        """Beside the appliance, as in a checkout. Where no Python is installed yet there is no such folder either."""
        found = sorted((self._environment / "lib").glob("python3.*/site-packages"))
        return found[0] if found else self._environment / "lib"


def digest(folder: Path) -> str:
    """SHA-256 of the names and contents of all files below."""
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        total.update(f"{file.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return total.hexdigest()
