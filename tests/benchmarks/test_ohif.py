"""Where OHIF cannot be had the benchmark says what is missing; nothing else than the known package is ever run."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from benchmarks import ohif


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only program called npm; a test writes what it does."""
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    monkeypatch.setattr(ohif.sys, "executable", str(program.parent / "python"))  # type: ignore[attr-defined]
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    return program


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)


def test_without_npm_there_is_no_bundle(npm: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(npm.parent))

    with pytest.raises(ohif.NoOhif, match="no npm"):
        ohif.bundle(print)


def test_what_npm_says_is_the_reason(npm: Path):
    write(npm, "echo no way to the registry >&2; exit 1")

    with pytest.raises(ohif.NoOhif, match="no way to the registry"):
        ohif.bundle(print)


def test_another_package_than_the_known_one_is_refused_and_not_kept(npm: Path, tmp_path: Path, cache: Path):
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("package/dist/index.html")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    write(npm, f"cp {tmp_path / 'other.tgz'} ohif-app.tgz")

    with pytest.raises(ohif.NoOhif, match="SHA-512"):
        ohif.bundle(print)
    assert list((cache / "appliance-benchmarks").iterdir()) == []


def test_a_bundle_that_is_there_is_not_fetched_again(npm: Path, cache: Path):
    ready = cache / "appliance-benchmarks" / f"ohif-{ohif.VERSION}"
    ready.mkdir(parents=True)
    write(npm, "exit 1")

    assert ohif.bundle(print) == ready


def test_packages_that_are_not_installed_are_named(npm: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(npm.parent))

    reason = ohif.why_not()

    assert reason is not None
    assert "orthanc" in reason
    assert "nginx-light" in reason
