"""What is tracked can be built anywhere: locks with hashes and without hosts, no paths of one machine, nothing built."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from provisioning.environment import read_lock

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
LEFT_OUT = {"triangle"}
"""Its licence; see provisioning/lock."""


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def names_of(requirements: list[str]) -> set[str]:
    return {normalised(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in requirements}


def normalised(name: str) -> str:
    """As package indexes compare names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_of_python_packages_names_no_host():
    assert "://" not in LOCK.read_text()
    assert "--index-url" not in LOCK.read_text()
    assert "--find-links" not in LOCK.read_text()


def test_the_lock_of_the_page_names_no_host():
    packages = json.loads((ROOT / "webui" / "package-lock.json").read_text())["packages"]

    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [name for name, entry in packages.items() if name and "integrity" not in entry] == []


def test_every_locked_package_has_a_version_and_hashes():
    for requirement in read_lock(LOCK.read_text()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", requirement.text), requirement.name


def test_every_direct_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = names_of(project["project"]["dependencies"] + project["dependency-groups"]["development"])
    locked = {normalised(requirement.name) for requirement in read_lock(LOCK.read_text())}

    assert wanted - locked == set()
    assert locked & LEFT_OUT == set()


def test_no_tracked_file_holds_a_path_of_one_machine(tracked):
    # Put together here, so that this file does not hold them itself.
    homes = re.compile("|".join(["/" + "work/main", "/" + r"home/[a-z]+/", "/" + r"Users/[A-Za-z]+/", "/" + "root/"]))
    found = [path.relative_to(ROOT) for path in tracked if homes.search(path.read_text(errors="ignore"))]
    assert found == []


def test_nothing_built_is_tracked(tracked):
    folders = {"node_modules", "dist", "build", "__pycache__", ".venv", ".cache"}
    endings = {".pyc", ".so", ".o", ".whl", ".br", ".gz", ".tgz", ".map", ".sqlite"}
    names = [path.relative_to(ROOT) for path in tracked]

    assert [name for name in names if folders & set(name.parts) or name.suffix in endings] == []


def test_the_commands_can_be_executed(tracked):
    commands = [ROOT / name for name in ("provisioning/run", "provisioning/setup", "tests/run", ".ci/run")]

    assert [path for path in commands if not path.stat().st_mode & 0o100] == []
    assert [path for path in commands if not path.read_text().startswith("#!/bin/sh\n")] == []


def test_the_shell_scripts_parse(tracked):
    scripts = [path for path in tracked if path.suffix in {"", ".sh"} and path.read_bytes().startswith(b"#!/bin/sh")]

    assert scripts
    for path in scripts:
        subprocess.run(["sh", "-n", path], check=True)
