"""What is in a folder by its hashes; real files, whole and changed."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfs.manifests import Entry, compare, read_lines, walk, write_line
from zfs.running import Refusal


@pytest.fixture
def original(tmp_path: Path) -> Path:
    root = tmp_path / "original"
    for name, content in (("a/1", b"one"), ("a.b", b"dot"), ("a/2/x", b""), ("node.sqlite", b"rows"), ("ü", b"umlaut")):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return root


@pytest.fixture
def copy(original: Path) -> Path:
    return Path(shutil.copytree(original, original.with_name("copy")))


def touched(file: Path, content: bytes) -> None:
    """Other bytes under the same time, as a copy that went wrong has them."""
    before = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_every_file_has_its_hash(original: Path) -> None:
    found = list(walk(original))

    assert [entry.path for entry in found] == ["a/1", "a/2/x", "a.b", "node.sqlite", "ü"]
    assert found[0][1:] == (3, (original / "a/1").stat().st_mtime_ns, hashlib.sha256(b"one").hexdigest())


def test_a_copy_is_equal(original: Path, copy: Path) -> None:
    outcome = compare(walk(original), walk(copy))

    assert outcome.is_equal
    assert (outcome.files, outcome.files_read, outcome.bytes_read) == (5, 5, 16)
    assert outcome.digest == compare(walk(copy), walk(original)).digest


def test_each_kind_of_difference_is_told(original: Path, copy: Path) -> None:
    touched(copy / "a/1", b"eno")
    touched(copy / "a.b", b"dots")
    (copy / "node.sqlite").unlink()
    os.utime(copy / "ü", (1, 1))
    (copy / "zz").write_bytes(b"")

    outcome = compare(walk(original), walk(copy))

    assert {(d.path, d.what) for d in outcome.first_differences} == {
        ("a/1", "has other bytes in the copy"),
        ("a.b", "has 3 bytes, and 4 in the copy"),
        ("node.sqlite", "is not in the copy"),
        ("ü", "has another time in the copy"),
        ("zz", "is only in the copy"),
    }
    assert outcome.differences == 5


def test_only_some_differences_are_named_and_all_are_counted(original: Path) -> None:
    outcome = compare(walk(original), [], named=2)

    assert (outcome.differences, len(outcome.first_differences)) == (5, 2)


def test_only_what_is_new_or_changed_is_read(original: Path) -> None:
    before = Path(shutil.copytree(original, original.with_name("before")))
    (original / "a/3").write_bytes(b"new")
    (original / "node.sqlite").write_bytes(b"more rows")

    read = {entry.path for entry in walk(original, before) if entry.sha256}

    assert read == {"a/3", "node.sqlite"}


def test_a_file_that_one_side_takes_as_changed_is_a_difference(original: Path, copy: Path) -> None:
    before = Path(shutil.copytree(original, original.with_name("before")))

    assert not compare(walk(original, before), walk(copy)).is_equal


def test_links_are_refused(original: Path) -> None:
    (original / "link").symlink_to("a.b")

    with pytest.raises(Refusal, match="neither a file nor a folder"):
        list(walk(original))


def test_an_entry_survives_its_line_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"new\nline \xff")).write_bytes(b"x")
    found = list(walk(tmp_path))

    assert list(read_lines(write_line(entry) for entry in found)) == found
    assert "\n" not in write_line(found[0])


PATHS = st.lists(st.sampled_from(["a", "b", "a.b", "a-"]), min_size=1, max_size=3).map("/".join)
SIDES = st.dictionaries(PATHS, st.integers(0, 2), max_size=12)


@given(SIDES, SIDES)
def test_differences_are_those_of_the_two_sides_as_sets(first: dict[str, int], second: dict[str, int]) -> None:
    def manifest(side: dict[str, int]) -> list[Entry]:
        return sorted((Entry(path, size, 0, "") for path, size in side.items()), key=lambda entry: entry.place)

    expected = {path for path in first.keys() | second.keys() if first.get(path) != second.get(path)}

    outcome = compare(manifest(first), manifest(second), named=99)

    assert {difference.path for difference in outcome.first_differences} == expected
    assert outcome.is_equal == (not expected)
