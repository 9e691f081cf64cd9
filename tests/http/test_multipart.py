"""Multipart bodies in pieces of any size, and what is wrong with them, by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.errors import BadRequest
from appliance.http.media_types import accepted, media_type
from appliance.http.multipart import MultipartReader, PartBegins, PartData, boundary_of


def read(body: bytes, boundary: str = "end", sizes: list[int] | None = None) -> list[tuple[dict, bytes]]:
    """Headers and content of each part, the body fed in pieces of the given sizes, the last of which repeats."""
    reader, found, at, sizes = MultipartReader(boundary), [], 0, sizes or [len(body) or 1]
    while at < len(body):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        for event in reader.feed(body[at : at + size]):
            if isinstance(event, PartBegins):
                found.append((dict(event.headers), b""))
            elif isinstance(event, PartData):
                found[-1] = (found[-1][0], found[-1][1] + event.data)
        at += size
    reader.end()
    return found


CONTENT = st.binary(max_size=60) | st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--e", b"\r\n--en", b"x"])).map(
    b"".join
)


@given(st.lists(CONTENT, min_size=1, max_size=4), st.lists(st.integers(1, 40), min_size=1))
def test_parts_come_out_as_they_went_in_however_the_body_is_cut(contents, sizes):
    body = b"".join(b"--end\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % one for one in contents) + b"--end--"

    assert [content for _, content in read(body, sizes=sizes)] == contents


def test_preamble_epilogue_padding_and_folded_headers_are_understood():
    body = b"for old readers\r\n--end \t\r\nX-Long: a\r\n b\r\n\r\n1\r\n--end\r\n\r\n2\r\n--end--\r\nafterwards"

    assert read(body) == [({"x-long": "a b"}, b"1"), ({}, b"2")]


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b"--other\r\n\r\n1\r\n--other--", "wrong-boundary"),
        (b"x" * 20_000, "wrong-boundary"),
        (b"--end1\r\n\r\n1\r\n--end1--", "wrong-boundary"),
        (b"--end\r\n\r\n1", "truncated-multipart"),
        (b"--end\r\n\r\n1\r\n--end\r\nContent-Type", "truncated-multipart"),
        (b"--end\r\n" + b"X: " + b"y" * 9000, "part-headers-too-long"),
        (b"--end\r\n" + b"X: y\r\n" * 40 + b"\r\n", "part-headers-too-long"),
        (b"--end\r\nno colon\r\n\r\n1\r\n--end--", "part-headers-wrong"),
    ],
)
def test_what_is_wrong_is_named(body, key):
    with pytest.raises(BadRequest) as refusal:
        read(body)
    assert refusal.value.key == key


@pytest.mark.parametrize("content_type", ["multipart/related", 'multipart/related; boundary=""'])
def test_a_missing_boundary_is_named(content_type):
    with pytest.raises(BadRequest) as refusal:
        boundary_of(media_type(content_type))
    assert refusal.value.key == "no-boundary"


def test_long_parts_are_never_held_back():
    reader = MultipartReader("end")
    list(reader.feed(b"--end\r\n\r\n"))

    for _ in range(100):
        assert sum(len(event.data) for event in reader.feed(b"\0" * 100_000)) > 99_000
    assert len(reader._buffer) < 10


def test_accept_knows_quotes_parameters_and_weights():
    found = accepted(
        'multipart/related; type="application/dicom"; transfer-syntax=*, application/dicom;q=0.5, image/*;q=0, */*;q=0.1'
    )

    assert [(one.name, dict(one.parameters)) for one in found] == [
        ("multipart/related", {"type": "application/dicom", "transfer-syntax": "*"}),
        ("application/dicom", {"q": "0.5"}),
        ("*/*", {"q": "0.1"}),
    ]


def test_an_unquoted_type_is_understood():
    assert media_type("multipart/related;type=application/dicom;boundary=a").parameters == {
        "type": "application/dicom",
        "boundary": "a",
    }
