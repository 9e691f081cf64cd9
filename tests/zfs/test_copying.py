"""In which order a copy is made, and what is never touched; that a stream arrives is for the machine tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zfs.scripted import Commands, scripted
from zfs.names import Place
from zfs.replication import COPY, VERIFIED, replicate
from zfs.running import Refusal

ONE, TWO = "appliance-20260301T000000Z", "appliance-20260301T010000Z"
TAKEN = f"tank/r@{ONE}\t1\ntank/r@{TWO}\t0\n"
OPEN = {
    "zfs get -H -o value encryption,keystatus spare": "aes-256-gcm\navailable\n",
    "zfs list -H -p -t snapshot -d 1 -o name,userrefs tank/r": TAKEN,
    f"zfs get -H -o value {COPY}": "yes\n",
}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return scripted(tmp_path, monkeypatch, "zfs", "mount", "umount")


def copied(commands: Commands) -> list[str]:
    replicate("tank/r", ["database"], Place("spare"))
    # sender and receiver start together
    return [verb for verb in commands.verbs if not verb.startswith("receive")]


def test_a_first_copy_is_held_sent_compared_and_marked(commands: Commands) -> None:
    commands.answer({"zfs list -H -o name spare/database": "!cannot open: dataset does not exist", **OPEN})

    assert copied(commands) == [
        f"hold tank/r@{TWO}",
        f"send tank/r/database@{TWO}",
        f"set spare/database@{TWO}",
    ]


def test_the_next_copy_releases_what_the_former_was_built_upon_at_the_very_end(commands: Commands) -> None:
    commands.answer(
        {
            "zfs list -H -o name spare/database": "spare/database\n",
            "zfs list -H -t snapshot -d 1 -s createtxg": f"spare/database@{ONE}\tabc\n",
            "zfs holds": f"tank/r@{ONE}\tcopied-to:spare\tSun\n",
            **OPEN,
        }
    )

    assert copied(commands) == [
        f"hold tank/r@{TWO}",
        f"send tank/r/database@{TWO}",
        f"set spare/database@{TWO}",
        f"release tank/r@{ONE}",
    ]


def test_a_copy_that_is_there_is_not_made_again(commands: Commands) -> None:
    commands.answer(
        {
            "zfs list -H -o name spare/database": "spare/database\n",
            "zfs list -H -t snapshot -d 1 -s createtxg": f"spare/database@{TWO}\tabc\n",
            "zfs holds": f"tank/r@{TWO}\tcopied-to:spare\tSun\n",
            **OPEN,
        }
    )

    assert copied(commands) == []


def test_a_data_set_that_is_no_copy_is_never_touched(commands: Commands) -> None:
    commands.answer({**OPEN, f"zfs get -H -o value {COPY}": "-\n"})

    with pytest.raises(Refusal, match="spare/database is there and is no copy"):
        copied(commands)
    assert not {verb.split()[0] for verb in commands.verbs} & {"destroy", "send", "receive", "set"}


@pytest.mark.parametrize(
    ("told", "complaint"),
    [("off\n-\n", "is not encrypted"), ("aes-256-gcm\nunavailable\n", "is locked")],
)
def test_a_target_that_is_open_or_locked_is_refused(commands: Commands, told: str, complaint: str) -> None:
    commands.answer({**OPEN, "zfs get -H -o value encryption,keystatus spare": told})

    with pytest.raises(Refusal, match=complaint):
        copied(commands)
    assert commands.verbs == []


def test_a_stream_that_breaks_off_marks_nothing_and_releases_nothing(commands: Commands) -> None:
    commands.answer(
        {
            "zfs list -H -o name spare/database": "spare/database\n",
            "zfs list -H -t snapshot -d 1 -s createtxg": f"spare/database@{ONE}\tabc\n",
            "zfs holds": f"tank/r@{ONE}\tcopied-to:spare\tSun\n",
            "zfs receive": "!cannot receive: out of space",
            **OPEN,
        }
    )

    with pytest.raises(Refusal, match="out of space"):
        copied(commands)
    assert not {verb.split()[0] for verb in commands.verbs} & {"set", "release", "destroy"}


def test_the_mark_is_the_hash_of_what_was_compared(commands: Commands, tmp_path: Path) -> None:
    commands.answer({"zfs list -H -o name spare/database": "!cannot open: dataset does not exist", **OPEN})
    outcome = replicate("tank/r", ["database"], Place("spare"))[0]

    assert outcome.comparison is not None
    assert f"{VERIFIED}={outcome.comparison.digest}" in (tmp_path / "bin" / "said").read_text()
