"""The virtual environment ``.venv`` with every package of requirements.lock, and the appliance itself."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from provisioning.progress import Refusal, Step

_BUILT_HERE = ("glumpy", "pyvips")
"""Those that come as source only. They are built without isolation, when the Cython, setuptools, wheel, cffi and NumPy of the
lock are installed: glumpy's setup.py fails in an isolated build, and an isolated build would fetch packages that no hash
vouches for. pyvips is then pure Python and uses the libvips that pyvips-binary brings."""
_HASHED = ("--require-hashes", "--no-deps")
_MEND = "look at the lines above and at your pip configuration (network, proxy, index), then run this again"


@dataclass(frozen=True)
class Requirement:
    """One package of the lock: its lines as they are, hashes included."""

    name: str
    version: str
    text: str


def read_lock(text: str) -> list[Requirement]:
    """The packages of a lock file in their order; a name may occur twice with different markers."""
    blocks = re.findall(r"^[A-Za-z0-9].*(?:\n[ \t]+.*)*", text, flags=re.MULTILINE)
    return [_parse(block) for block in blocks]


def _parse(block: str) -> Requirement:
    match = re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", block)
    if match is None:
        raise ValueError(f"requirements.lock: expected NAME==VERSION, found {block.splitlines()[0]!r}")
    return Requirement(match[1].lower(), match[2], block)


class Environment:
    """A virtual environment with the packages of a checkout's lock."""

    def __init__(
        self, root: Path, cache: Path, log: Path, folder: Path | None = None, only: frozenset[str] | None = None
    ) -> None:
        """``folder`` is the checkout's own ``.venv`` unless it is named; ``only`` are the packages of the lock that it gets."""
        self._root = root
        self._cache = cache
        self._log = log
        self._folder = folder or root / ".venv"
        self._only = only
        self.python = self._folder / "bin" / "python"

    def key(self) -> str:
        """Changes when the environment has to be made or filled again."""
        parts = [
            (self._root / "requirements.lock").read_bytes(),
            (self._root / "pyproject.toml").read_bytes(),
            _version().encode(),
        ]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def works(self) -> bool:
        """Whether it is there, runs, is of the Python that we are, and was made where it lies.

        Its scripts name their Python by its path, so that one that was moved or copied with its checkout is of no use.
        """
        script = self._folder / "bin" / "pip"
        if not self.python.exists() or not script.exists() or str(self._folder) not in script.read_text()[:1024]:
            return False
        question = "import sys; print('%d.%d' % sys.version_info[:2], sys.prefix)"
        answer = subprocess.run([self.python, "-c", question], capture_output=True, text=True, check=False)
        return answer.stdout.split(maxsplit=1) == [_version(), f"{self._folder}\n"]

    def fill(self) -> None:
        """Makes it and installs everything; what is there already stays. Refusal where a package cannot be had."""
        self.fill_with_packages()
        with Step("The appliance itself", self._log) as step:
            step.run(
                self._pip("install", "--editable", str(self._root), "--no-build-isolation", "--no-deps"), mend=_MEND
            )

    def fill_with_packages(self) -> None:
        """The same without the appliance itself."""
        requirements = read_lock((self._root / "requirements.lock").read_text())
        if self._only is not None:
            requirements = [r for r in requirements if r.name in self._only]
        self._make()
        with Step(f"Python packages ({len(requirements)})", self._log) as step:
            wheels = self._write("wheels", [r for r in requirements if r.name not in _BUILT_HERE])
            step.run(self._pip("install", *_HASHED, "--only-binary", ":all:", "-r", wheels), mend=_MEND)
        self._build(requirements)

    def _make(self) -> None:
        if self.works():
            return
        with Step("Virtual environment", self._log) as step:
            shutil.rmtree(self._folder, ignore_errors=True)
            step.run([sys.executable, "-m", "venv", str(self._folder)], mend="sudo apt-get install python3-venv")
            if not self.works():
                raise Refusal(f"{self.python} does not run", f"remove {self._folder} and run this again")

    def _build(self, requirements: list[Requirement]) -> None:
        """Installs what comes as source only from wheels that are built once and kept."""
        sources = [r for r in requirements if r.name in _BUILT_HERE]
        against = [r.version for r in requirements if r.name == "numpy"]
        key = hashlib.sha256(repr((sources, against, _version())).encode()).hexdigest()[:16]
        folder = self._cache / "wheels" / key
        with Step(f"Building {' and '.join(_BUILT_HERE)}", self._log) as step:
            if len(list(folder.glob("*.whl"))) < len(sources):
                build = self._pip("wheel", *_HASHED, "--no-build-isolation", "-r", self._write("sources", sources))
                mend = "look at the lines above; a compiler is needed: sudo apt-get install gcc python3-dev"
                step.run([*build, "--wheel-dir", str(folder)], mend=mend)
            wheels = sorted(str(wheel) for wheel in folder.glob("*.whl"))
            step.run(self._pip("install", "--no-index", "--no-deps", "--force-reinstall", *wheels), mend=_MEND)

    def _pip(self, *arguments: str) -> list[str]:
        return [str(self.python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]

    def _write(self, name: str, requirements: list[Requirement]) -> str:
        """The path of a requirements file that holds ``requirements`` only."""
        path = self._cache / f"requirements-{name}.txt"
        path.write_text("\n".join(r.text.rstrip(" \\") for r in requirements) + "\n")
        return str(path)


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
