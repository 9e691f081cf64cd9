"""What a box has: the packages of the lock that it needs and no others, and the appliance as it is in the checkout."""

from __future__ import annotations

import re
import shutil
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from provisioning.box_environment import BoxEnvironment, prepare_link
from provisioning.environment import read_lock
from provisioning.installation import ROOT
from updates.versions import Versions

_NAMES = frozenset((ROOT / "provisioning" / "box-packages").read_text().split())
_LEFT_OUT = {"triangle"}
"""See provisioning/lock."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(requirement: Requirement, found: set[str]) -> None:
    """Adds the package, and what it needs on this machine, to ``found``."""
    name = plain(requirement.name)
    if requirement.marker is not None and not any(
        requirement.marker.evaluate({"extra": extra}) for extra in (*requirement.extras, "")
    ):
        return
    is_new = name not in found
    found.add(name)
    try:
        wants = distribution(name).requires or []
    except PackageNotFoundError:
        return
    for text in wants:
        inner = Requirement(text)
        is_asked = inner.marker is None or any(
            inner.marker.evaluate({"extra": extra}) for extra in (*requirement.extras, "")
        )
        if is_asked and (is_new or requirement.extras) and plain(inner.name) not in found:
            inner.marker = None
            needed(inner, found)


def test_a_box_gets_all_packages_that_the_appliance_needs():
    found: set[str] = set()
    for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        needed(Requirement(text), found)

    assert found - _LEFT_OUT - _NAMES == set()


def test_a_box_gets_only_what_the_lock_vouches_for_and_nothing_that_only_developers_need():
    locked = {requirement.name for requirement in read_lock((ROOT / "requirements.lock").read_text())}

    assert _NAMES - locked == set()
    assert {"pytest", "vtk", "playwright", "mypy"} & _NAMES == set()


def checkout(folder: Path) -> Path:
    for name in ("appliance", "certificates", "updates", "zfs"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
    (folder / "provisioning").mkdir()
    for name in ("pyproject.toml", "requirements.lock", "provisioning/box-packages"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_another_line_in_the_checkout_is_another_appliance(tmp_path):
    root = checkout(tmp_path / "checkout")
    box = BoxEnvironment(root, tmp_path / "opt", tmp_path / "cache", tmp_path / "log")
    before = box._appliance_key()

    (root / "appliance" / "__init__.py").write_text("VERSION = 2\n")

    assert box._appliance_key() != before


def test_compiled_files_are_no_other_appliance(tmp_path):
    root = checkout(tmp_path / "checkout")
    box = BoxEnvironment(root, tmp_path / "opt", tmp_path / "cache", tmp_path / "log")
    before = box._appliance_key()

    (root / "appliance" / "__pycache__").mkdir()
    (root / "appliance" / "__pycache__" / "x.pyc").write_bytes(b"")

    assert box._appliance_key() == before


def test_a_folder_that_holds_nothing_has_neither_packages_nor_appliance(tmp_path):
    box = BoxEnvironment(checkout(tmp_path / "checkout"), tmp_path / "opt", tmp_path / "cache", tmp_path / "log")

    assert not box.has_packages
    assert not box.has_appliance


def test_the_first_environment_of_a_box_is_a_version_beside_which_others_can_be_put(tmp_path):
    link = tmp_path / "opt" / "appliance"

    prepare_link(link, tmp_path / "opt" / "appliance-versions", checkout(tmp_path / "checkout"))

    first = Versions(tmp_path / "opt" / "appliance-versions", link).current
    assert first.number == 0
    assert (first.source / "pyproject.toml").is_file()
    assert BoxEnvironment(tmp_path / "checkout", link, tmp_path / "cache", tmp_path / "log").python == (
        first.environment / "bin" / "python"
    )


def test_an_environment_that_lies_there_without_a_link_is_left_as_it_is(tmp_path):
    (tmp_path / "appliance").mkdir()

    prepare_link(tmp_path / "appliance", tmp_path / "versions", tmp_path)

    assert not (tmp_path / "appliance").is_symlink()
    assert not (tmp_path / "versions").exists()
