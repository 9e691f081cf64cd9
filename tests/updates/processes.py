"""A box in a folder: its versions are real programs, its service a real process, its snapshots copies of a folder."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from updates import bundle
from updates.machine import wait_until_ready
from updates.versions import Version, Versions
from zfs.running import HERE

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Box:
    """What ``updates.machine.Box`` does by systemd, ZFS and pip is done here by a process and by copies.

    A version has ``program``, which becomes ``bin/appliance`` of its environment, and ``units``, which stands for what lies
    outside of its folder.
    """

    def __init__(
        self, root: Path, port: int, arguments: Iterable[str], *, patience_s: float, broken_patience_s: float
    ) -> None:
        self.versions = Versions(root / "appliance-versions", root / "appliance")
        self.databases = root / "databases"
        self.said: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._root, self._port, self._arguments = root, port, list(arguments)
        self._patience_s, self._broken_patience_s = patience_s, broken_patience_s
        self._snapshots = 0
        self.databases.mkdir()

    # What the steps ask for

    def install(self, version: Version) -> None:
        (version.environment / "bin").mkdir(parents=True)
        program = version.environment / "bin" / "appliance"
        program.write_text((version.source / "program").read_text().replace("@SOURCE@", str(version.source)))
        program.chmod(0o755)

    def try_out(self, version: Version) -> None:
        HERE.run(str(version.environment / "bin" / "appliance"), "try-out", *self._arguments)

    def take_on(self, version: Version) -> None:
        shutil.copy(version.source / "units", self._root / "units")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

    def start(self) -> None:
        with (self._root / "log").open("ab") as log:
            command = [str(self._root / "appliance" / "bin" / "appliance"), "serve", *self._arguments]
            self.process = process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._root)
        never = (self.versions.current.source / "never").exists()
        patience_s = self._broken_patience_s if never else self._patience_s
        wait_until_ready("127.0.0.1", self._port, patience_s, lambda: process.poll() is not None)

    def keep(self) -> str:
        self._snapshots += 1
        shutil.copytree(self.databases, self._root / "kept" / str(self._snapshots))
        return str(self._snapshots)

    def kept(self, name: str) -> Path:
        return self._root / "kept" / name

    def release(self, name: str) -> None:
        shutil.rmtree(self.kept(name))

    # What the tests ask for

    @property
    def units(self) -> str:
        return (self._root / "units").read_text()

    @property
    def snapshots(self) -> list[str]:
        return sorted(path.name for path in (self._root / "kept").glob("*"))

    def begin(self, number: int, source: Path) -> None:
        """The version that a box was made with, and which runs."""
        version = self.versions.version(number)
        shutil.copytree(source, version.source)
        self.install(version)
        self.versions.use(version)
        self.take_on(version)
        self.start()


def bundled(source: Path, number: int, key: Ed25519PrivateKey = KEY) -> Path:
    """The file of a version."""
    to = source.with_suffix(".update")
    paths = [str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()]
    bundle.make(source, paths, number=number, name=source.name, made=datetime.now(UTC), key=key, to=to)
    return to
