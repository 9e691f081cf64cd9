"""Commands of the system, with such as every system has."""

from __future__ import annotations

import logging
import sys

import pytest

from zfs.running import HERE, CommandFailed, Machine, Refusal, pipe


def test_what_a_command_prints_comes_back_and_what_it_is_given_goes_in() -> None:
    assert HERE.run("cat", given=b"a key\n") == "a key\n"


def test_each_command_is_logged_with_its_time_and_without_what_it_was_given(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    HERE.run("cat", given=b"secret")

    assert "cat: status 0 in 0." in caplog.text
    assert "secret" not in caplog.text


def test_a_command_that_fails_is_shown_whole() -> None:
    with pytest.raises(CommandFailed, match=r"`sh -c 'echo no pool >&2; exit 3'` ended with status 3: no pool"):
        HERE.run("sh", "-c", "echo no pool >&2; exit 3")


def test_a_command_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refusal, match="is its package installed"):
        HERE.run("no-such-command-as-this")


def test_lines_come_one_by_one_and_a_bad_end_is_told() -> None:
    with HERE.lines("printf", "one\\ntwo\\n") as lines:
        assert list(lines) == ["one", "two"]

    with pytest.raises(CommandFailed, match="status 4"), HERE.lines("sh", "-c", "echo one; exit 4") as lines:
        assert list(lines) == ["one"]


def test_a_stream_goes_from_one_command_into_another(tmp_path: object) -> None:
    file = f"{tmp_path}/received"

    pipe([sys.executable, "-c", "print('x' * 1_000_000, end='')"], HERE, ["sh", "-c", f"cat > {file}"])

    assert HERE.run("wc", "-c", file).split()[0] == "1000000"


def test_a_stream_that_breaks_off_at_either_end_is_told() -> None:
    with pytest.raises(CommandFailed, match="the disk is full"):
        pipe(["yes"], HERE, ["sh", "-c", "echo the disk is full >&2; exit 1"])
    with pytest.raises(CommandFailed, match="a bad block"):
        pipe(["sh", "-c", "echo a bad block >&2; exit 5"], HERE, ["cat"])


def test_another_box_is_reached_without_asking_anybody() -> None:
    assert Machine("box").command(["true"])[:3] == ["ssh", "-o", "BatchMode=yes"]
