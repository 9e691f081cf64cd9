"""What happens to the key, and in which order, so that no slip leaves a box that nobody can open."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.zfs.scripted import Commands, scripted
from zfs import keys
from zfs.__main__ import main
from zfs.layout import ROOT

KEY = "0123456789abcdef" * 4
LOCKED = {"zfs get -H -o value keystatus": "unavailable\n"}
UNLOCKED = {"zfs get -H -o value keystatus": "available\n"}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setattr(keys, "CREDENTIAL", tmp_path / "pool.key")
    monkeypatch.setattr(keys, "make", lambda: KEY)
    return scripted(tmp_path, monkeypatch, "zfs", "systemd-creds")


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_key_that_is_loaded_is_not_loaded_again(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    commands.answer(UNLOCKED)

    assert main(["load-key"]) == 0
    assert commands.verbs == []
    assert "is unlocked already" in capsys.readouterr().out


def test_a_key_that_changes_nothing_is_told(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.answer(LOCKED)
    (tmp_path / "key").write_text(KEY)

    assert main(["load-key", "--from", str(tmp_path / "key")]) == 1
    assert commands.verbs == [f"load-key {ROOT}"]
    assert "still locked" in capsys.readouterr().err


def test_no_key_is_ever_a_word_of_a_command(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands.answer(UNLOCKED)
    typed(monkeypatch, keys.sheet(KEY))
    keys.CREDENTIAL.with_suffix(".new").touch()

    assert main(["rotate-key"]) == 0
    assert not any(KEY[:16] in line for line in commands.said)


def test_a_rotation_is_sealed_before_anything_changes_and_proven_after(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.answer(UNLOCKED)
    typed(monkeypatch, keys.sheet(KEY))
    fresh = keys.CREDENTIAL.with_suffix(".new")
    fresh.write_text("sealed")  # which the real systemd-creds would have written

    assert main(["rotate-key"]) == 0
    assert commands.verbs == [f"encrypt {fresh}", f"change-key {ROOT}", f"load-key {ROOT}"]
    assert commands.said[-1] == f"zfs load-key -n {ROOT}"
    assert keys.CREDENTIAL.read_text() == "sealed"


def test_a_machine_that_cannot_seal_keeps_its_key(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.answer({**UNLOCKED, "systemd-creds": "!TPM2 not supported"})
    typed(monkeypatch, keys.sheet(KEY))

    assert main(["rotate-key"]) == 1
    assert commands.verbs == [f"encrypt {keys.CREDENTIAL.with_suffix('.new')}"]
    assert "TPM2 not supported" in capsys.readouterr().err


def test_a_sheet_that_was_not_typed_back_as_printed_changes_nothing(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, keys.sheet("f" * 64))

    assert main(["rotate-key"]) == 1
    assert commands.said == []
    assert "the sheet of another key" in capsys.readouterr().err


def test_a_sheet_of_another_box_is_not_sealed(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.answer({"zfs load-key -n": "!Key load error: Incorrect key provided for 'tank/appliance'."})
    typed(monkeypatch, keys.sheet(KEY))

    assert main(["seal-key"]) == 1
    assert "does not open" in capsys.readouterr().err
    assert not any(line.startswith("systemd-creds") for line in commands.said)


def test_another_failure_than_a_wrong_key_is_not_taken_for_one(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.answer({"zfs load-key -n": "!cannot open 'tank/appliance': dataset does not exist"})
    typed(monkeypatch, keys.sheet(KEY))

    assert main(["check-key"]) == 1
    assert "dataset does not exist" in capsys.readouterr().err


def test_a_pool_in_use_is_not_locked_and_says_what_to_stop(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.answer({**UNLOCKED, "zfs unload-key": "!Key unload error: 'tank/appliance' is busy."})

    assert main(["unload-key"]) == 1
    assert "unmount it" in capsys.readouterr().err
