"""The page's files, as Vite leaves them."""

from __future__ import annotations

import base64
import gzip
import hashlib
from pathlib import Path

import brotli
import pytest

from appliance.domain.errors import SettingsError
from appliance.http.certificates import CertificateFiles
from appliance.http.page import Page, Sources
from tests.http.quic_client import connected, listening

INDEX = b"<!doctype html><title>page</title>"
SCRIPT = b"console.log('a script that is long enough to be worth compressing')\n" * 20
SCRIPT_PATH = "/assets/index-DiwrgTda.js"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """``webui/dist``, with a secret beside it."""
    built = tmp_path / "dist"
    (built / "assets").mkdir(parents=True)
    (built / ".vite").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (built / ".vite" / "manifest.json").write_text("{}")
    (built / "index.html").write_bytes(INDEX)
    (built / "favicon.svg").write_bytes(b"<svg/>")
    script = built / SCRIPT_PATH[1:]
    script.write_bytes(SCRIPT)
    script.with_name(script.name + ".br").write_bytes(brotli.compress(SCRIPT))
    script.with_name(script.name + ".gz").write_bytes(gzip.compress(SCRIPT))
    return built


@pytest.fixture
def page(directory: Path) -> Page:
    return Page.load(directory)


def get(page: Page, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    answer = page.answer("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})
    return answer.status, dict(answer.headers), answer.body


def test_the_root_is_the_index_and_asked_for_again_each_time(page: Page) -> None:
    status, headers, body = get(page, "/")

    assert (status, body) == (200, INDEX)
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-cache"


def test_a_script_within_the_document_runs_and_no_other_could(directory: Path) -> None:
    (directory / "index.html").write_text("<!doctype html><script>\n  begin()\n</script><script src='/a.js'></script>")
    digest = base64.b64encode(hashlib.sha256(b"\n  begin()\n").digest()).decode()

    _, headers, _ = get(Page.load(directory), "/")

    assert f"script-src 'self' 'sha256-{digest}'; " in headers["content-security-policy"]


def test_a_hashed_file_is_kept_for_ever(page: Page) -> None:
    status, headers, body = get(page, SCRIPT_PATH)

    assert (status, body) == (200, SCRIPT)
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["cache-control"] == "public, max-age=31536000, immutable"


def test_a_file_without_a_hash_is_asked_for_again(page: Page) -> None:
    assert get(page, "/favicon.svg")[1]["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("*", "br"),
        ("*;q=0", None),
        ("identity", None),
        ("br;q=none", None),
        ("", None),
    ],
)
def test_the_smallest_accepted_form_is_sent(page: Page, accepted: str, encoding: str | None) -> None:
    _, headers, body = get(page, SCRIPT_PATH, accept_encoding=accepted)

    decode = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[encoding]
    assert headers.get("content-encoding") == encoding
    assert decode(body) == SCRIPT
    assert headers["content-length"] == str(len(body))
    assert headers["vary"] == "accept-encoding"


def test_each_form_has_its_own_tag_and_is_not_sent_twice(page: Page) -> None:
    plain = get(page, SCRIPT_PATH)[1]["etag"]
    compressed = get(page, SCRIPT_PATH, accept_encoding="br")[1]["etag"]

    assert plain != compressed
    assert get(page, SCRIPT_PATH, if_none_match=f'"x", W/{plain}')[0] == 304
    assert get(page, SCRIPT_PATH, if_none_match=plain, accept_encoding="br")[0] == 200
    assert get(page, SCRIPT_PATH, if_none_match="*")[::2] == (304, b"")


def test_head_is_get_without_the_body(page: Page) -> None:
    answer = page.answer("HEAD", SCRIPT_PATH, {})

    assert answer.body == b""
    assert list(answer.headers) == list(page.answer("GET", SCRIPT_PATH, {}).headers)


@pytest.mark.parametrize("path", ["/patients", "/patients/3f1c/studies/1.2.840.113619.2.55", "/login/"])
def test_places_within_the_page_are_the_index(page: Page, path: str) -> None:
    assert get(page, path)[::2] == (200, INDEX)


@pytest.mark.parametrize(
    "path",
    [
        "/api/patients",
        "/api",
        "/dicom-web/studies/1.2",
        "/healthz",
        "/readyz",
        "/metrics",
        "/assets/index-00000000.js",
        "/assets/gone",
        "/missing.png",
        "/.vite/manifest.json",
        "/../secret.txt",
        "/assets/../../secret.txt",
        "//../secret.txt",
        "/..\\secret.txt",
        "/../secret",
        SCRIPT_PATH + ".br",
    ],
)
def test_what_is_not_there_is_not_the_index(page: Page, path: str) -> None:
    status, headers, body = get(page, path)

    assert (status, body) == (404, b"not found\n")
    assert headers["cache-control"] == "no-store"


def test_only_reading_is_allowed(page: Page) -> None:
    answer = page.answer("POST", "/", {})

    assert (answer.status, dict(answer.headers)["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", SCRIPT_PATH, "/missing.png"])
def test_every_answer_carries_the_security_headers(page: Page, path: str) -> None:
    headers = get(page, path)[1]

    assert "script-src 'self';" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]


def test_other_boxes_may_be_talked_to_where_they_are_named(directory: Path) -> None:
    page = Page.load(directory, Sources(connect=["https://box.example:8443"], image=["https://*.example"]))

    policy = get(page, "/")[1]["content-security-policy"]
    assert "connect-src 'self' https://box.example:8443;" in policy
    assert "frame-src 'self' https://box.example:8443;" in policy  # what a browser saves by itself comes by a frame
    assert "media-src 'self' https://box.example:8443;" in policy
    assert policy.endswith("img-src 'self' blob: data: https://*.example")


@pytest.mark.parametrize(
    "origin", ["box.example", "https://box.example/path", "https://a; script-src *", "'unsafe-eval'"]
)
def test_an_origin_that_is_none_is_refused(directory: Path, origin: str) -> None:
    with pytest.raises(SettingsError, match="origin"):
        Page.load(directory, Sources(connect=[origin]))


def test_a_page_that_is_not_built_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the page is not built"):
        Page.load(tmp_path)


async def test_it_is_served_over_http_3(page: Page, certificate: CertificateFiles) -> None:
    async with listening(page, certificate) as listener, connected(listener, certificate) as client:
        answer = await client.get(SCRIPT_PATH, headers=[(b"accept-encoding", b"br")])

    assert brotli.decompress(bytes(answer.body)) == SCRIPT
