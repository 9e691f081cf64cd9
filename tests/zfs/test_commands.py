"""The command lines, on a machine without a pool."""

from __future__ import annotations

import io
import shutil

import pytest

from zfs import keys
from zfs.__main__ import main


def test_without_zfs_the_refusal_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("zpool"):
        pytest.skip("this machine has OpenZFS")

    assert main(["status"]) == 1
    assert "zpool cannot be run" in capsys.readouterr().err


def test_a_place_that_is_none_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replicate", "--to", "a b:spare"]) == 1
    assert capsys.readouterr().err == "appliance-zfs: 'a b' is no name of a box: NAME or ACCOUNT@NAME\n"


def test_only_snapshots_of_the_appliance_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manifest", "tank/x@-oloop"]) == 1
    assert "is no snapshot of the appliance" in capsys.readouterr().err


def test_a_sheet_with_a_slip_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = keys.sheet(keys.make()).splitlines()
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*sheet[:3], sheet[4], *sheet[4:]])))

    assert main(["seal-key"]) == 1
    assert "line 4 is not as it was printed" in capsys.readouterr().err
