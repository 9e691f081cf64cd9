"""The key on paper: whatever slip somebody makes in typing it is found, and told by its line."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zfs import keys
from zfs.running import Refusal

KEYS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(KEYS)
def test_what_is_typed_as_printed_is_the_key(key: str) -> None:
    assert keys.read_sheet(keys.sheet(key)) == key


@given(KEYS)
def test_spaces_and_capitals_do_not_matter(key: str) -> None:
    typed = "\n\n".join(line.upper().replace(" ", "") for line in keys.sheet(key).splitlines())

    assert keys.read_sheet(f"\n{typed}  \n") == key


@given(KEYS, st.integers(0, 7), st.integers(1, 10), st.sampled_from("0123456789abcdef"))
def test_one_wrong_digit_is_told_by_its_line(key: str, line: int, place: int, digit: str) -> None:
    lines = [one.replace(" ", "") for one in keys.sheet(key).splitlines()]
    assume(lines[line][place] != digit)
    lines[line] = lines[line][:place] + digit + lines[line][place + 1 :]

    with pytest.raises(Refusal, match=f"line {line + 1} is not as it was printed"):
        keys.read_sheet("\n".join(lines))


@given(KEYS, st.integers(0, 7), st.integers(1, 9))
def test_two_digits_that_changed_places_are_told_by_their_line(key: str, line: int, place: int) -> None:
    lines = [one.replace(" ", "") for one in keys.sheet(key).splitlines()]
    one = lines[line]
    assume(one[place] != one[place + 1])
    lines[line] = one[:place] + one[place + 1] + one[place] + one[place + 2 :]

    with pytest.raises(Refusal, match=f"line {line + 1} "):
        keys.read_sheet("\n".join(lines))


@given(KEYS)
def test_a_line_that_is_missing_is_missed(key: str) -> None:
    with pytest.raises(Refusal, match="here are 7"):
        keys.read_sheet("\n".join(keys.sheet(key).splitlines()[1:]))


def test_keys_are_not_made_twice() -> None:
    assert len({keys.make() for _ in range(50)}) == 50
    assert keys.parse(f"  {keys.make().upper()}\n")


@pytest.mark.parametrize("text", ["", "abc", "0" * 63, "0" * 65, "g" + "0" * 63])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        keys.parse(text)

    assert len(text) < 4 or text not in str(refused.value)
