"""Machines for the tests that need a real one: they are long, and fail where none can be built, since nothing else says it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.machine import image
from tests.machine.guest import Guest

_ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = "/usr/src/appliance"


@pytest.fixture(scope="session")
def machine_image() -> image.Image:
    """The image; the tests fail where it cannot be built."""
    try:
        return image.ensure()
    except image.CannotBuild as problem:
        pytest.fail(f"no machine can be built: {problem}", pytrace=False)


@pytest.fixture(scope="module")
def make_guest(
    machine_image: image.Image, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Guest]]:
    """Makes machines, not started; all of them end with the tests of the file, and the console of a failed one is shown."""
    made: list[Guest] = []

    def make(**options: int) -> Guest:
        made.append(Guest(machine_image, tmp_path_factory.mktemp("machine"), **options))
        return made[-1]

    yield make
    for guest in made:
        guest.end()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of this checkout goes onto a box: what git tracks or would, and the page as it was built."""
    folder = tmp_path_factory.mktemp("checkout") / "appliance"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
         "appliance", "certificates", "updates", "zfs", "systemd", "provisioning", "config",
         "requirements.lock", "pyproject.toml", "README.md", "LICENSE"],
        cwd=_ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((_ROOT / name).read_bytes())
        target.chmod((_ROOT / name).stat().st_mode)
    shutil.copytree(_ROOT / "webui" / "dist", folder / "webui" / "dist")
    return folder


def installed(guest: Guest, checkout: Path) -> Guest:
    """Started, with the checkout on it and installed by the command that a technician uses."""
    started = time.monotonic()
    guest.start()
    print(f"machine: answers after {time.monotonic() - started:.0f} s")
    guest.push(checkout, CHECKOUT)
    print(guest.run(f"{CHECKOUT}/provisioning/provision --install-only").out)
    return guest
