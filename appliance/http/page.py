"""The page: the built files of ``webui``, served from memory.

Vite writes ``index.html`` and, under ``assets/``, files whose names hold a hash of their content; compressed siblings (``.br``,
``.gz``) may stand beside them. A hashed file never changes, so browsers keep it for ever; ``index.html`` is asked for again each
time and mostly answered with 304. A path that is no file and looks like none is a place within the page, and gets ``index.html``.

References: RFC 9110 §8.8.3 (ETag), §12.5.3 (Accept-Encoding), RFC 8246 (immutable), CSP Level 3.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.domain.errors import SettingsError
from appliance.http.codings import best_coding
from appliance.http.quic import Message

RESERVED = ("/api", "/dicom-web", "/healthz", "/readyz", "/metrics")
"""Paths of other doors: what is unknown there is not found, and never answered with a page."""

_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
"""Codings of the siblings, the smaller first."""
_FOREVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Of what Vite writes; the machine's own table (mimetypes) differs from one to the next."""
_HASHED = re.compile(r"/assets/.+[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+")
_FILE_LIKE = re.compile(r"^/assets/|\.[A-Za-z][A-Za-z0-9]*$|/\.|\\")
"""What is not found when there is no such file. Places may end in a UID, which has dots but no letters."""
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:*]+|wss?://[A-Za-z0-9.\-\[\]:*]+")
_SCRIPT_WITHIN = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_NO_FEATURES = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")


@dataclass(frozen=True, slots=True)
class Sources:
    """Origins besides the page's own that it may talk to (``connect``) and show pictures of (``image``)."""

    connect: Sequence[str] = ()
    image: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What HTTP is to say; ``body`` is empty for HEAD and 304."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class _File:
    content_type: str
    cache_control: str
    etag: str
    content: bytes
    encoded: Mapping[str, bytes] = field(default_factory=dict)


class Page:
    """An ASGI application of one directory of built files. Made by ``load``; read once, never again."""

    def __init__(self, files: Mapping[str, _File], security_headers: Sequence[tuple[str, str]]) -> None:
        self._files = files
        self._security_headers = tuple(security_headers)

    @classmethod
    def load(cls, directory: Path, sources: Sources = Sources()) -> Page:
        """The page in ``directory``. Blocking. Raises SettingsError when none has been built there."""
        if not (directory / "index.html").is_file():
            raise SettingsError(
                f"the page is not built: there is no {directory / 'index.html'}; run provisioning/run, or npm run build in"
                " webui",
                key="page-not-built",
            )
        files = dict(_read(directory))
        return cls(files, _security_headers(sources, _scripts_within(files["/index.html"].content.decode())))

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """What a request is answered with. ``path`` is decoded; ``headers`` have lower-case names."""
        if method not in ("GET", "HEAD"):
            return self._plain(405, "method not allowed", (("allow", "GET, HEAD"),))
        file = self._find(path)
        if file is None:
            return self._plain(404, "not found")
        encoding, content = _choose(file, headers.get("accept-encoding", ""))
        etag = f'"{file.etag}{"-" + encoding if encoding else ""}"'
        common = [
            ("cache-control", file.cache_control),
            ("etag", etag),
            ("vary", "accept-encoding"),
            *self._security_headers,
        ]
        if _is_known(etag, headers.get("if-none-match", "")):
            return Answer(304, common)
        described = [("content-type", file.content_type), ("content-length", str(len(content))), *common]
        if encoding:
            described.append(("content-encoding", encoding))
        return Answer(200, described, b"" if method == "HEAD" else content)

    def _find(self, path: str) -> _File | None:
        """Files are known by name beforehand, so that no path can lead out of the directory."""
        if any(path == reserved or path.startswith(f"{reserved}/") for reserved in RESERVED):
            return None
        file = self._files.get(path)
        if file is None and not _FILE_LIKE.search(path):
            return self._files["/index.html"]
        return file

    def _plain(self, status: int, text: str, more: Iterable[tuple[str, str]] = ()) -> Answer:
        body = f"{text}\n".encode()
        described = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))]
        return Answer(status, [*described, ("cache-control", "no-store"), *more, *self._security_headers], body)

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        assert scope["type"] == "http", "the page has no lifespan and no WebSocket"
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        answer = self.answer(scope["method"], scope["path"], headers)
        encoded = [(name.encode("latin1"), value.encode("latin1")) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


def _read(directory: Path) -> Iterable[tuple[str, _File]]:
    siblings = tuple(suffix for _, suffix in _ENCODINGS)
    for path in sorted(directory.rglob("*")):
        name = "/" + path.relative_to(directory).as_posix()
        is_sibling = path.suffix in siblings and path.with_suffix("").is_file()
        if not path.is_file() or is_sibling or "/." in name:  # hidden: Vite's own notes
            continue
        content = path.read_bytes()
        yield (
            name,
            _File(
                content_type=_TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream",
                cache_control=_FOREVER if _HASHED.fullmatch(name) else _ASK_AGAIN,
                etag=hashlib.sha256(content).hexdigest()[:24],
                content=content,
                encoded={
                    encoding: Path(f"{path}{suffix}").read_bytes()
                    for encoding, suffix in _ENCODINGS
                    if Path(f"{path}{suffix}").is_file()
                },
            ),
        )


def _choose(file: _File, accept_encoding: str) -> tuple[str, bytes]:
    """The smallest form that the client takes, with its coding; the coding is empty for the file as it is."""
    coding = best_coding(accept_encoding, [encoding for encoding, _ in _ENCODINGS if encoding in file.encoded])
    return (coding, file.encoded[coding]) if coding else ("", file.content)


def _is_known(etag: str, if_none_match: str) -> bool:
    """Weak comparison, RFC 9110 §13.1.2."""
    known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in known or "*" in known


def _scripts_within(document: str) -> list[str]:
    """Each script that stands in ``document`` itself, as a source of CSP that lets it run and no other (CSP3 §6.7.2.3)."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT_WITHIN.findall(document))
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


def _security_headers(sources: Sources, scripts: Sequence[str]) -> list[tuple[str, str]]:
    for origin in (*sources.connect, *sources.image):
        if not _ORIGIN.fullmatch(origin):
            raise SettingsError(f"{origin!r} is not an origin like https://box.example:8443", key="page-origin")
    connect, image = " ".join(["'self'", *sources.connect]), " ".join(["'self'", "blob:", "data:", *sources.image])
    script = " ".join(["'self'", *scripts])
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; "
        f"script-src {script}; style-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self' blob:; "
        # Videos and PDFs of nodes are shown in the page; what a frame holds has a policy of its own.
        f"connect-src {connect}; frame-src {connect}; media-src {connect}; img-src {image}"
    )
    return [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", ", ".join(f"{feature}=()" for feature in _NO_FEATURES)),
    ]
