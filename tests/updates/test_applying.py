"""An update from beginning to end, in a folder, with real processes: what is fit is used, what is not is taken back."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.http.certificates import ensure_self_made
from tests.end_to_end.running import free_port
from tests.updates.processes import KEY, Box, bundled
from updates import applying
from updates.versions import Trial
from zfs.running import Refusal

PROGRAM = Path(__file__).with_name("small_version.py")


class Place:
    """A box with version 1 running, and a bench to make others on."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._bench = folder / "bench"
        root = folder / "box"
        root.mkdir()
        own = ensure_self_made(folder / "own", ["127.0.0.1"])
        arguments = [str(self.port), str(root / "databases"), str(own.certificate), str(own.key)]
        self.box = Box(root, self.port, arguments, patience_s=120, broken_patience_s=2)
        self.box.begin(1, self.source("one", name="one"))
        self.store("2.25.1")

    def source(self, folder: str, **files: str) -> Path:
        """A version whose ``files`` say what it is and how it fails."""
        made = self._bench / folder
        made.mkdir(parents=True)
        (made / "program").write_text(PROGRAM.read_text().replace("@PYTHON@", sys.executable))
        (made / "units").write_text(f"units of {folder}")
        for name, content in files.items():
            (made / name).write_text(content)
        return made

    def apply(self, file: Path) -> int:
        return applying.apply(file, KEY.public_key(), self.box.versions, self.box, self.box.said.append)

    def answer(self) -> str:
        """What whoever runs now says that it is."""
        return httpx.get(f"https://127.0.0.1:{self.port}/", verify=False, trust_env=False).text

    def store(self, uid: str) -> None:
        with closing(sqlite3.connect(self.box.databases / "node.sqlite", isolation_level=None)) as database:
            database.execute("INSERT INTO instance VALUES (?)", (uid,))

    @property
    def stored(self) -> list[str]:
        with closing(sqlite3.connect(self.box.databases / "node.sqlite")) as database:
            return [uid for (uid,) in database.execute("SELECT * FROM instance ORDER BY 1")]

    def is_as_before(self) -> bool:
        """Version 1 runs, with its units, and nothing of a trial is left."""
        there = (self.answer(), self.box.units, self.box.versions.current.number, self.box.versions.numbers)
        return there == ("one", "units of one", 1, [1]) and self.box.versions.trial is None and not self.box.snapshots


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    try:
        yield made
    finally:
        made.box.stop()


def test_a_version_that_answers_is_used_and_the_former_one_stays_beside_it(place: Place) -> None:
    assert place.apply(bundled(place.source("two", name="two"), 2)) == 2

    assert place.answer() == "two"
    assert place.box.units == "units of two"
    assert place.box.versions.numbers == [1, 2]
    assert place.box.versions.trial is None
    assert place.stored == ["2.25.1"]


def test_only_the_version_before_stays(place: Place) -> None:
    place.apply(bundled(place.source("two", name="two"), 2))
    place.apply(bundled(place.source("five", name="five"), 5))

    assert place.answer() == "five"
    assert place.box.versions.numbers == [2, 5]


def test_a_version_that_ends_at_once_is_taken_back(place: Place) -> None:
    with pytest.raises(
        Refusal, match="version 2 was not fit: it ended by itself; version 1 is used again, and answers"
    ):
        place.apply(bundled(place.source("two", name="two", ends="no"), 2))

    assert place.is_as_before()


def test_a_version_that_never_answers_is_taken_back(place: Place) -> None:
    with pytest.raises(Refusal, match="version 2 was not fit: it does not answer 2 s after it was started"):
        place.apply(bundled(place.source("two", name="two", never="yes"), 2))

    assert place.is_as_before()


def test_where_the_former_version_does_not_answer_either_both_are_said_and_it_can_be_tried_again(place: Place) -> None:
    former = place.box.versions.version(1).source
    (former / "ends").write_text("a disk is full")

    with pytest.raises(
        Refusal, match="version 2 was not fit: it ended by itself; and version 1 does not answer either: "
    ):
        place.apply(bundled(place.source("two", name="two", ends="no"), 2))
    assert place.box.versions.trial is not None

    (former / "ends").unlink()
    applying.settle(place.box.versions, place.box, place.box.said.append)
    assert place.is_as_before()


def test_a_disk_on_which_the_data_cannot_be_kept_brings_the_former_version_back(place: Place, tmp_path: Path) -> None:
    (tmp_path / "box" / "kept").write_text("no folder")

    with pytest.raises(
        Refusal, match=r"version 2 was not fit: .*Not a directory.*; version 1 is used again, and answers"
    ):
        place.apply(bundled(place.source("two", name="two"), 2))

    assert place.is_as_before()


def test_tables_that_a_version_changed_before_it_failed_are_put_back_with_their_rows(place: Place) -> None:
    with pytest.raises(Refusal, match="version 1 is used again"):
        place.apply(bundled(place.source("two", name="two", migrates="yes", ends="no"), 2))

    assert place.is_as_before()
    assert place.stored == ["2.25.1"]
    assert not (place.box.databases / "new-folder").exists()


def test_what_came_in_while_a_version_was_tried_stays_where_no_table_was_changed(place: Place) -> None:
    with pytest.raises(Refusal, match="version 1 is used again"):
        place.apply(bundled(place.source("two", name="two", stores="yes", ends="no"), 2))

    assert place.is_as_before()
    assert place.stored == ["2.25.1", "2.25.7"]


def test_tables_that_a_version_changes_stay_changed_when_it_answers(place: Place) -> None:
    place.apply(bundled(place.source("two", name="two", migrates="yes"), 2))

    assert place.answer() == "two"
    assert (place.box.databases / "new-folder").is_dir()


def test_a_version_that_is_unfit_is_refused_while_the_other_goes_on_serving(place: Place) -> None:
    process = place.box.process

    with pytest.raises(Refusal, match="the picture differs"):
        place.apply(bundled(place.source("two", name="two", unfit="the picture differs"), 2))

    assert place.is_as_before()
    assert place.box.process is process
    assert process is not None
    assert process.poll() is None, "nobody noticed"


def test_a_version_that_is_wrongly_signed_is_refused_while_the_other_goes_on_serving(place: Place) -> None:
    process = place.box.process
    file = bundled(place.source("two", name="two"), 2, key=Ed25519PrivateKey.generate())

    with pytest.raises(Refusal, match="is not signed by the key that this box believes"):
        place.apply(file)

    assert place.is_as_before()
    assert place.box.process is process
    assert not (place.box.versions.version(1).folder.parent / "unpacking").exists()


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_goes_back_by_an_update(place: Place, number: int) -> None:
    """Else an old version with a known hole could be put onto a box by anybody who once got its file."""
    with pytest.raises(Refusal, match=f"is version {number}, and version 1 is used"):
        place.apply(bundled(place.source("old", name="old"), number))

    assert place.is_as_before()


def test_a_version_that_was_being_tried_when_the_power_failed_stays_if_it_answers(place: Place) -> None:
    cut_off(place, place.source("two", name="two"))

    applying.settle(place.box.versions, place.box, place.box.said.append)

    assert place.box.said == ["version 2 was being tried, and answers: it stays"]
    assert place.answer() == "two"
    assert place.box.units == "units of two"
    assert place.box.versions.trial is None


def test_a_version_that_was_being_tried_when_the_power_failed_is_taken_back_if_it_does_not_answer(place: Place) -> None:
    cut_off(place, place.source("two", name="two", migrates="yes", ends="no"))

    applying.settle(place.box.versions, place.box, place.box.said.append)

    assert place.box.said[-1] == "version 2 was being tried: version 1 is used again, and answers"
    assert place.is_as_before()
    assert place.stored == ["2.25.1"]


def test_a_power_failure_before_the_version_was_used_leaves_the_former_one(place: Place) -> None:
    place.box.stop()
    place.box.versions.begin(Trial(2, 1, "", applying._shape(place.box.databases)))

    applying.settle(place.box.versions, place.box, place.box.said.append)

    assert place.is_as_before()


def cut_off(place: Place, source: Path) -> None:
    """As the box is when the power fails right after the link was changed: nothing runs."""
    box, version = place.box, place.box.versions.version(2)
    source.rename(version.folder.with_name("two"))
    version.folder.mkdir()
    version.folder.with_name("two").rename(version.source)
    box.install(version)
    shape = applying._shape(box.databases)
    box.stop()
    box.versions.begin(Trial(2, 1, box.keep(), shape))
    box.versions.use(version)


def test_the_link_leads_to_one_of_the_two_at_every_moment(place: Place, tmp_path: Path) -> None:
    two = place.box.versions.version(2)
    two.environment.mkdir(parents=True)
    link = tmp_path / "box" / "appliance"
    seen = {str(link.readlink())}

    for _ in range(50):
        for version in (two, place.box.versions.version(1)):
            place.box.versions.use(version)
            seen.add(str(link.readlink()))

    assert seen == {"appliance-versions/1/environment", "appliance-versions/2/environment"}
    assert not [path for path in link.parent.iterdir() if path.name.endswith(".new")]


def test_an_appliance_that_lies_there_without_a_link_is_refused_by_what_mends_it(tmp_path: Path) -> None:
    from updates.versions import Versions

    (tmp_path / "appliance").mkdir()
    (tmp_path / "appliance-versions").mkdir()

    with pytest.raises(Refusal, match="is no link into"):
        _ = Versions(tmp_path / "appliance-versions", tmp_path / "appliance").current
