"""Parts of a box: looked at, told, brought about, looked at again; a check changes nothing and a second run neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provisioning import parts
from provisioning.parts import Copy, Found, Part, files_part, go_through
from provisioning.progress import Refusal


def file_part(file: Path, name: str = "A file", *, waits: bool = False) -> Part:
    def look() -> Found:
        return Found(file.exists(), "it is there" if file.exists() else "it is not there")

    return Part(name, look, file.touch, waits_for_others=waits)


def test_what_is_missing_is_brought_about_and_told(tmp_path, capsys):
    told = go_through([file_part(tmp_path / "one")], only_check=False)

    assert [(t.is_well, t.was_changed) for t in told] == [(True, True)]
    assert (tmp_path / "one").exists()
    assert " 1 A file: changed: it is there" in capsys.readouterr().out


def test_a_second_run_changes_nothing(tmp_path):
    go_through([file_part(tmp_path / "one")], only_check=False)
    before = (tmp_path / "one").stat().st_mtime_ns

    told = go_through([file_part(tmp_path / "one")], only_check=False)

    assert [(t.is_well, t.was_changed) for t in told] == [(True, False)]
    assert (tmp_path / "one").stat().st_mtime_ns == before


def test_a_check_says_what_is_missing_and_changes_nothing(tmp_path, capsys):
    told = go_through([file_part(tmp_path / "one")], only_check=True)

    assert [t.is_well for t in told] == [False]
    assert not (tmp_path / "one").exists()
    assert "NOT as it should be: it is not there" in capsys.readouterr().out


def test_a_check_does_not_judge_what_rests_on_something_that_is_missing(tmp_path):
    (tmp_path / "two").touch()
    both = [file_part(tmp_path / "one"), file_part(tmp_path / "two", waits=True)]

    told = go_through(both, only_check=True)

    assert [t.is_well for t in told] == [False, False]
    assert told[1].text == "cannot be looked at before what is missing above is there"


def test_what_only_a_person_can_change_is_refused():
    with pytest.raises(Refusal, match="Machine: too small"):
        go_through([Part("Machine", lambda: Found(is_well=False, told="too small"))], only_check=False)


def test_what_is_not_well_after_it_was_brought_about_is_refused():
    def nothing() -> None:
        return None

    with pytest.raises(Refusal, match="it was brought about, and still: it is not there"):
        go_through([Part("A file", lambda: Found(is_well=False, told="it is not there"), nothing)], only_check=False)


def test_a_command_that_fails_is_shown_with_what_it_said():
    with pytest.raises(Refusal, match="ended with status 3: too bad"):
        parts.run("sh", "-c", "echo too bad >&2; exit 3", mend="none")


@pytest.fixture
def as_this_account(monkeypatch) -> None:
    """Files belong to whoever runs the test: only root gives them away."""
    monkeypatch.setattr(parts.shutil, "chown", lambda *_: None)


def test_a_file_that_somebody_changed_is_put_back_with_its_rights(tmp_path, as_this_account):
    target = tmp_path / "settings" / "appliance.yaml"
    group = tmp_path.group()
    part = files_part("Settings", lambda: [Copy(b"right", target, 0o640, group)])
    go_through([part], only_check=False)

    for spoil in _SPOILS:
        spoil(target)
        assert not part.look().is_well
        go_through([part], only_check=False)
        assert target.read_bytes() == b"right"
        assert target.stat().st_mode & 0o7777 == 0o640


_SPOILS: tuple[Callable[[Path], object], ...] = (
    lambda file: file.write_bytes(b"wrong"),
    lambda file: file.chmod(0o644),
    lambda file: file.unlink(),
)


def test_whoever_reads_the_files_is_told_only_when_one_was_changed(tmp_path, as_this_account):
    told: list[str] = []
    part = files_part(
        "Units", lambda: [Copy(b"a", tmp_path / "unit", 0o644, tmp_path.group())], lambda: told.append("reload")
    )

    go_through([part], only_check=True)
    assert told == []
    go_through([part], only_check=False)
    go_through([part], only_check=False)
    assert told == ["reload"]
