"""One appliance and one phantom for all end-to-end tests; a browser for each."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.async_api import BrowserContext

from provisioning.phantom import Phantom, Size, write_files
from tests.end_to_end.browser import open_browser
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import HOST, RunningAppliance, all_in_one

_ROOT = Path(__file__).resolve().parents[2]
MARKED = Phantom(Size(slices=60, rows=256, columns=256, pixel_spacing_mm=1.56, slice_spacing_mm=5.0), marked=True)
"""Each slice carries its number, so that a test can tell which one it sees."""


@pytest.fixture(scope="session")
def photographs() -> Path:
    """Where screenshots go."""
    return _ROOT / "build" / "screenshots"


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    for _ in write_files(MARKED, folder):
        pass
    return folder


@pytest.fixture(scope="session")
def phantom_values() -> NDArray[np.uint16]:
    """Stored values of the marked phantom (slice, row, column)."""
    return np.stack(list(MARKED.slices()))


@pytest.fixture(scope="session")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """All roles in one process, with an account and nothing else."""
    running = all_in_one(tmp_path_factory.mktemp("appliance"))
    running.create_account()
    try:
        running.start()
        yield running
        assert running.stop() == 0
    finally:
        running.kill()


@pytest.fixture(scope="session")
def filled(appliance: RunningAppliance, phantom_folder: Path) -> RunningAppliance:
    """The same, with the marked phantom in it."""
    appliance.take_in(phantom_folder)
    return appliance


@pytest.fixture
async def context(appliance: RunningAppliance, tmp_path: Path) -> AsyncIterator[BrowserContext]:
    """A browser that speaks HTTP/3 with the appliance."""
    home = tmp_path / "home"
    async with open_browser(
        home, authority=appliance.authority, hosts={HOST: "127.0.0.1"}, http3=[f"{HOST}:{appliance.port}"]
    ) as opened:
        yield opened
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def physician(context: BrowserContext, appliance: RunningAppliance) -> AsyncIterator[Physician]:
    """Somebody before the login page; what goes wrong in the page fails the test."""
    somebody = await Physician.at(context, appliance)
    yield somebody
    assert somebody.faults == []
