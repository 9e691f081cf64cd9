"""What all tests share: the folder of real DICOM files, and the switch for the long ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.postgresql import Postgresql, PostgresqlMissing, new_cockroachdb, running_postgresql

_ROOT = Path(__file__).resolve().parent.parent

# pynetdicom brings programs by the names of DCMTK's (storescu, findscu, …): the tests mean DCMTK's, which are strangers to us.
_OURS = {str(Path(sys.prefix) / "bin"), str(Path(sys.executable).parent)}
_PATH = os.environ.get("PATH", os.defpath).split(os.pathsep)
os.environ["PATH"] = os.pathsep.join([*(p for p in _PATH if p not in _OURS), *(p for p in _PATH if p in _OURS)])

# A loaded machine is not a failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

_LONGEST_S = 2 * 3600
"""For a test that is marked as long; the others have the limit of pyproject.toml."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run also the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_long = config.getoption("--long")
    for item in items:
        if "long" not in item.keywords:
            continue
        if is_long:
            item.add_marker(pytest.mark.timeout(_LONGEST_S))
        else:
            item.add_marker(pytest.mark.skip(reason="takes minutes; --long runs it"))


@pytest.fixture(scope="session")
def dicom_dir() -> Path:
    """The folder of real DICOM files."""
    folder = Path(os.environ.get("APPLIANCE_TEST_DICOM", _ROOT.parent / "shared" / "dicom"))
    if not folder.is_dir():
        pytest.skip(f"there is no folder of real DICOM files at {folder}; APPLIANCE_TEST_DICOM names another")
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A PostgreSQL server; the tests fail where there is none, since half of what they say is about it."""
    try:
        with running_postgresql() as server:
            yield server
    except PostgresqlMissing as missing:
        pytest.fail(str(missing), pytrace=False)


_COCKROACHDB = os.environ.get("APPLIANCE_TEST_COCKROACHDB")
"""cockroachdb://USER@HOST:PORT: a server on which the tests of databases run too, each in a database that they make there."""


@pytest.fixture(params=["sqlite", "postgresql", *(["cockroachdb"] if _COCKROACHDB else [])])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/rows.sqlite"
    if request.param == "cockroachdb":
        assert _COCKROACHDB is not None
        return new_cockroachdb(_COCKROACHDB)
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.new_database()
