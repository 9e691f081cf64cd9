"""The page on a box is the one that was built in the checkout, whole, and nothing that was there before."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.box_page import BoxPage


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    dist = tmp_path / "checkout" / "webui" / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<!doctype html>")
    (dist / "assets" / "main-1.js").write_text("1")
    return tmp_path / "checkout"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    (tmp_path / "opt" / "lib" / "python3.13" / "site-packages").mkdir(parents=True)
    return tmp_path / "opt"


def test_a_built_page_is_installed_once(checkout: Path, environment: Path) -> None:
    page = BoxPage(checkout, environment)
    assert not page.look().is_well

    page.install()

    assert page.look().is_well
    assert page.first_file == environment / "lib/python3.13/site-packages/webui/dist/index.html"


def test_another_build_takes_the_place_of_the_one_before_and_leaves_nothing_of_it(
    checkout: Path, environment: Path
) -> None:
    page = BoxPage(checkout, environment)
    page.install()
    dist = checkout / "webui" / "dist"
    (dist / "assets" / "main-1.js").rename(dist / "assets" / "main-2.js")
    assert not page.look().is_well

    page.install()

    assert page.first_file is not None
    assert [file.name for file in (page.first_file.parent / "assets").iterdir()] == ["main-2.js"]


def test_what_only_root_can_read_in_the_checkout_the_servers_account_can_read_on_the_box(
    checkout: Path, environment: Path
) -> None:
    for path in (checkout / "webui" / "dist").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)

    BoxPage(checkout, environment).install()

    folder = environment / "lib/python3.13/site-packages/webui"
    modes = {path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
    assert modes == {0o755, 0o644}


def test_a_checkout_without_a_built_page_changes_nothing_on_the_box(checkout: Path, environment: Path) -> None:
    page = BoxPage(checkout, environment)
    page.install()
    (checkout / "webui" / "dist" / "index.html").unlink()

    assert page.look().is_well
    assert page.first_file is not None
