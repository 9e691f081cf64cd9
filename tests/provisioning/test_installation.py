"""Setting up: what is missing is named, what is unchanged is left alone, what fails says how to mend it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning import debian
from provisioning.environment import Environment, read_lock
from provisioning.installation import ROOT, _Done
from provisioning.page import Page
from provisioning.progress import Refusal, Step

LOCK = """\
aiofiles==25.1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:cc
"""


def test_a_lock_is_read_package_by_package_with_its_hashes():
    one, two = read_lock(LOCK)

    assert (one.name, one.version) == ("aiofiles", "25.1.0")
    assert one.text.count("--hash") == 2
    assert (two.name, two.version) == ("colorama", "0.4.6")
    assert "sys_platform" in two.text


def test_a_line_without_a_pinned_version_is_refused():
    with pytest.raises(ValueError, match="expected NAME==VERSION"):
        read_lock("numpy>=2 \\\n    --hash=sha256:aa\n")


def test_a_step_is_done_once_and_again_when_its_inputs_or_its_product_change(tmp_path):
    done: list[str] = []
    file = tmp_path / "setup.json"

    for key, is_there in (("1", False), ("1", True), ("2", True), ("2", False)):
        _Done(file).ensure("page", key, is_there, lambda key=key: done.append(key))

    assert done == ["1", "2", "2"]


def test_a_step_that_failed_is_done_again(tmp_path):
    def fail() -> None:
        raise Refusal("no network", "plug it in")

    with pytest.raises(Refusal):
        _Done(tmp_path / "setup.json").ensure("page", "1", False, fail)
    done: list[str] = []
    _Done(tmp_path / "setup.json").ensure("page", "1", True, lambda: done.append("again"))

    assert done == ["again"]


def test_a_failed_program_is_shown_with_the_end_of_what_it_said_and_its_mend(tmp_path, capsys):
    noisy = [sys.executable, "-c", "import sys; print('\\n'.join(map(str, range(100)))); sys.exit(3)"]

    with pytest.raises(Refusal) as caught, Step("Counting", tmp_path / "log") as step:
        step.run(noisy, mend="count better")

    assert "status 3" in caught.value.what
    assert "    99" in caught.value.what
    assert "    10\n" not in caught.value.what
    assert caught.value.mend == "count better"
    assert "\n10\n" in (tmp_path / "log").read_text()
    assert "Counting: failed" in capsys.readouterr().out


def test_a_program_that_is_not_there_is_a_refusal(tmp_path):
    with pytest.raises(Refusal, match="cannot be run: No such file"), Step("Looking", tmp_path / "log") as step:
        step.run([str(tmp_path / "nothing")], mend="install it")


def test_every_system_package_has_a_reason():
    packages = debian.PACKAGES + debian.TEST_PACKAGES + debian.MACHINE_PACKAGES

    assert all(package.reason for package in packages)
    assert len({package.name for package in packages}) == len(packages)


def test_a_system_package_that_does_not_exist_is_missing_and_an_essential_one_is_not():
    if not Path("/usr/bin/dpkg-query").exists():
        pytest.skip("this is no Debian")
    absent, there = debian.Package("no-such-package", "to be missed"), debian.Package("dpkg", "essential")

    assert debian.find_missing((absent, there)) == [absent]
    assert debian.find_missing((debian.Package("no-such-package", "not needed", lambda: False),)) == []


def test_the_browser_variable_comes_first(monkeypatch):
    monkeypatch.setenv(debian.BROWSER_VARIABLE, "/bin/sh")
    assert debian.find_browser() == "/bin/sh"

    monkeypatch.setenv(debian.BROWSER_VARIABLE, "/nowhere/chromium")
    assert debian.find_browser() is None


def test_the_environment_is_filled_again_when_the_lock_changes(tmp_path):
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text(LOCK)
    environment = Environment(tmp_path, tmp_path / "cache", tmp_path / "log")
    before = environment.key()

    (tmp_path / "requirements.lock").write_text(LOCK.replace("25.1.0", "25.1.1"))

    assert environment.key() != before
    assert not environment.works()


def test_an_environment_that_was_copied_with_its_checkout_is_made_anew(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    subprocess.run([sys._base_executable, "-m", "venv", one / ".venv"], check=True)
    shutil.copytree(one, other, symlinks=True)

    assert Environment(one, tmp_path, tmp_path / "log").works()
    assert not Environment(other, tmp_path, tmp_path / "log").works()


def test_the_page_is_built_again_when_a_source_changes_and_not_when_its_product_does(tmp_path):
    webui = tmp_path / "webui"
    for name in ("package.json", "package-lock.json", "src/main.ts", "dist/index.html", "node_modules/a/index.js"):
        (webui / name).parent.mkdir(parents=True, exist_ok=True)
        (webui / name).write_text("1")
    page = Page(tmp_path, tmp_path / "log")
    sources, packages = page.sources_key(), page.packages_key()

    (webui / "dist" / "index.html").write_text("2")
    assert page.sources_key() == sources

    (webui / "src" / "main.ts").write_text("2")
    assert page.sources_key() != sources
    assert page.packages_key() == packages


@pytest.mark.parametrize("command", ["provisioning/run", "provisioning/setup", "tests/run"])
def test_help_costs_no_set_up(command):
    said = subprocess.run([ROOT / command, "--help"], capture_output=True, text=True, timeout=20, check=True).stdout
    assert command in said


def test_a_folder_that_is_not_there_is_refused_before_anything_is_set_up():
    answer = subprocess.run(
        [ROOT / "provisioning" / "run", "--dicom", "/nowhere"], capture_output=True, text=True, timeout=20, check=False
    )
    assert answer.returncode == 2
    assert "there is no /nowhere" in answer.stderr
