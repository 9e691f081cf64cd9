"""The same with the appliance of this tree as the version that works, and broken copies of it as those that do not."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from provisioning.data_folder import DataFolder, FirstAccount
from provisioning.installation import ROOT
from tests.end_to_end.running import free_port
from tests.updates.processes import KEY, Box, bundled
from updates import applying
from updates.__main__ import _files
from zfs.running import Refusal

pytestmark = pytest.mark.long
_PROGRAM = f"""\
#!/bin/sh
export PYTHONPATH=@SOURCE@ PYTHONDONTWRITEBYTECODE=1
verb=$1 config=$2 picture=$3
case $verb in
    serve) exec {sys.executable} -m appliance serve --config "$config" ;;
    try-out) cd @SOURCE@ && {sys.executable} -m appliance check-config "$config" &&
        exec {sys.executable} -m provisioning.self_test --picture "$picture" ;;
esac
"""
_BROKEN_HERE = """\
import sys
if "serve" in sys.argv and any("databases" in word for word in sys.argv):
    {happens}
"""
_MIGRATES = """\
import sqlite3
    base = sqlite3.connect({database!r}, isolation_level=None)
    base.execute("INSERT INTO migration VALUES ('node', 999, 'of a later version')")
    base.execute("DROP TABLE account")
    sys.exit("and then it fails")
"""


class Place:
    def __init__(self, folder: Path) -> None:
        self._bench = folder / "bench"
        root = folder / "box"
        root.mkdir()
        self.port = free_port()
        self.picture = folder / "picture.png"
        settings = root / "databases" / "appliance.yaml"
        self.box = Box(root, self.port, [str(settings), str(self.picture)], patience_s=600, broken_patience_s=20)
        self.data = DataFolder(settings.parent, ROOT / "config" / "all-in-one.yaml")
        self.place = self.data.prepare("127.0.0.1", self.port)
        self.account: FirstAccount = self.data.make_first_account([sys.executable, "-m", "appliance"])
        self.box.begin(1, self.source("one"))

    def source(self, name: str, first_lines: str = "", **files: str) -> Path:
        made = self._bench / name
        for path in _files(ROOT):
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, made / path)
        main = made / "appliance" / "__main__.py"
        text = main.read_text()
        main.write_text(text.replace("import argparse\n", f"import argparse\n{first_lines}", 1))
        for file, content in {"program": _PROGRAM, "units": f"units of {name}", **files}.items():
            (made / file).write_text(content)
        return made

    def apply(self, source: Path, number: int) -> int:
        return applying.apply(
            bundled(source, number), KEY.public_key(), self.box.versions, self.box, self.box.said.append
        )

    def logs_in(self) -> bool:
        """Whether the first account comes in, at the process that runs now, whichever of the versions it is."""
        login = {"username": self.account.username, "password": self.account.password}
        headers = {"Origin": self.place.base_url}
        with httpx.Client(base_url=self.place.base_url, verify=False, trust_env=False, timeout=120) as client:
            return client.post("/api/session", json=login, headers=headers).is_success


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("update"))
    try:
        yield made
    finally:
        made.box.stop()


def test_a_version_that_draws_and_answers_is_used(place: Place) -> None:
    assert place.apply(place.source("two"), 2) == 2

    assert place.picture.read_bytes().startswith(b"\x89PNG")
    assert place.logs_in()
    assert str(place.box.versions.version(2).source) in running(place), "it is the code of the new one"


def test_a_version_that_ends_at_once_on_this_box_is_taken_back(place: Place) -> None:
    broken = place.source("three", _BROKEN_HERE.format(happens="sys.exit('broken')"))

    with pytest.raises(
        Refusal, match="version 3 was not fit: it ended by itself; version 2 is used again, and answers"
    ):
        place.apply(broken, 3)

    assert place.logs_in()


def test_a_version_that_never_answers_is_taken_back(place: Place) -> None:
    broken = place.source("four", _BROKEN_HERE.format(happens="import time; time.sleep(3600)"), never="yes")

    with pytest.raises(Refusal, match="version 4 was not fit: it does not answer"):
        place.apply(broken, 4)

    assert place.logs_in()


def test_a_version_that_changes_the_tables_and_fails_is_taken_back_with_the_tables_of_before(place: Place) -> None:
    database = next(file for file in place.box.databases.rglob("*.sqlite") if "toplevel" in file.name)
    broken = place.source("five", _BROKEN_HERE.format(happens=_MIGRATES.format(database=str(database))))

    with pytest.raises(Refusal, match="version 5 was not fit: it ended by itself; version 2 is used again"):
        place.apply(broken, 5)

    assert place.logs_in(), "its accounts are back"


def test_a_version_that_does_not_draw_is_refused_while_the_other_goes_on_serving(place: Place) -> None:
    process = place.box.process
    broken = place.source("six")
    slices = broken / "appliance" / "rendering" / "slices.py"
    slices.write_text(slices.read_text() + "\nraise ImportError('a driver is missing')\n")

    with pytest.raises(Refusal, match="try-out"):
        place.apply(broken, 6)

    assert place.box.process is process
    assert place.logs_in()
    assert place.box.versions.current.number == 2


def running(place: Place) -> str:
    """The environment of the process that serves."""
    assert place.box.process is not None
    return Path(f"/proc/{place.box.process.pid}/environ").read_bytes().decode()
