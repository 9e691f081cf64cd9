"""What all tests share: the folder of real DICOM files, and the switch for the long ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run also the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if "long" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes minutes; --long runs it"))


@pytest.fixture(scope="session")
def dicom_dir() -> Path:
    """The folder of real DICOM files."""
    folder = Path(os.environ.get("APPLIANCE_TEST_DICOM", _ROOT.parent / "shared" / "dicom"))
    if not folder.is_dir():
        pytest.skip(f"there is no folder of real DICOM files at {folder}; APPLIANCE_TEST_DICOM names another")
    return folder
