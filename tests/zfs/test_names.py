"""What may reach a command, and what never does."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfs.names import Place, data_set
from zfs.running import Machine, Refusal


@pytest.mark.parametrize("name", ["tank", "tank/appliance/records", "spare2/box_1.old", "T/2"])
def test_names_of_data_sets_are_taken(name: str) -> None:
    assert data_set(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-rf", "tank/", "/tank", "tank//x", "tank/-r", "tank x", "tank@now", "tank/x\n", "tank;ls", "tänk", "t" * 300],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="no name of a data set"):
        data_set(name)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("spare/copy", Place("spare/copy")),
        ("box:spare/copy", Place("spare/copy", "box")),
        ("keeper@box.example.org:spare", Place("spare", "keeper@box.example.org")),
    ],
)
def test_a_place_is_here_or_on_another_box(text: str, place: Place) -> None:
    assert Place.parse(text) == place
    assert str(place) == text


@pytest.mark.parametrize("text", [":spare", "-oProxyCommand=x:spare", "a b:spare", "box:", "a@b@c:spare"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        Place.parse(text)


@given(st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), min_size=1))
def test_the_shell_of_another_box_gives_the_command_the_same_words(words: list[str]) -> None:
    command = Machine("box").command(words)

    assert command[-2] == "box"
    assert shlex.split(command[-1]) == words


def test_the_key_of_another_box_is_in_the_folder_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/appliance-pool")

    assert "IdentityFile=/var/lib/appliance-pool/identity" in Machine("box").command(["true"])
