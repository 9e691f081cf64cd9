"""OHIF's prebuilt bundle over Orthanc, served as well as a clinic can with Debian's packages: what the page is compared with.

The bundle comes from npm (``@ohif/app``, one version, checked by its SHA-512) when it is first asked for, and stays in
$XDG_CACHE_HOME (~/.cache) with a Brotli copy of each of its files; nothing of it is kept here. What is done for it:

    nginx       ends TLS 1.3, speaks HTTP/2, sends the files of the bundle by themselves as they were compressed before
                (Brotli, quality 11), and compresses the metadata that Orthanc answers
    Orthanc     keeps every instance as lossless JPEG-LS (``IngestTranscoding``): a frame is then a third as long, and the
                bundle's own decoder takes it; DICOMweb answers frames as they are stored
    the bundle  is told of one data source, with small thumbnails made by the server, and is open to everybody

Packages of Debian: orthanc, orthanc-dicomweb, nginx-light, libnginx-mod-http-brotli-static, libnginx-mod-http-brotli-filter.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import brotli

from appliance.http.certificates import ensure_self_made
from benchmarks.ingest import await_port, orthanc
from tests.end_to_end.running import free_port

Say = Callable[[str], None]

PACKAGE = "@ohif/app"
VERSION = "3.13.2"
_SHA512 = (
    "5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3dee"
    "a3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10"
)
"""Of the package as npm delivers it."""
HOST = "ohif.test"
_FETCH_TIMEOUT_S = 600
_COMPRESSED = {".js", ".css", ".html", ".json", ".svg", ".wasm"}
_MODULES = Path("/usr/lib/nginx/modules")
_JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"


class NoOhif(Exception):
    """OHIF cannot be measured here; the message says what is missing."""


@dataclass(frozen=True)
class Clinic:
    """A server with OHIF and a study."""

    port: int
    authority: Path

    @property
    def origin(self) -> str:
        return f"https://{HOST}:{self.port}"


def why_not() -> str | None:
    """What keeps OHIF from being served here, besides the bundle itself; None if nothing does."""
    packages = {
        "orthanc": shutil.which("Orthanc"),
        "orthanc-dicomweb": _is_there("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
        "nginx-light": shutil.which("nginx"),
        "libnginx-mod-http-brotli-static": _is_there(_MODULES / "ngx_http_brotli_static_module.so"),
        "libnginx-mod-http-brotli-filter": _is_there(_MODULES / "ngx_http_brotli_filter_module.so"),
    }
    missing = [name for name, found in packages.items() if not found]
    return f"Debian's packages {', '.join(missing)} are not installed" if missing else None


def _is_there(path: Path | str) -> bool:
    return Path(path).exists()


# The bundle


def bundle(say: Say) -> Path:
    """The folder of the bundle's files, each with its Brotli copy beside it; fetched if it is not there. Raises NoOhif."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "appliance-benchmarks"
    ready = base / f"ohif-{VERSION}"
    if ready.is_dir():
        return ready
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base, prefix="fetching-") as name:
        say(f"fetching {PACKAGE} {VERSION} from npm, once")
        package = _fetched(Path(name))
        with tarfile.open(package) as archive:
            archive.extractall(name, filter="data")
        files = Path(name) / "package" / "dist"
        if not (files / "index.html").is_file():
            raise NoOhif(f"{PACKAGE} {VERSION} holds no dist/index.html: it is no prebuilt bundle")
        say("compressing its files, once; this takes minutes")
        _compress(files)
        files.rename(ready)
    return ready


def _fetched(folder: Path) -> Path:
    npm = shutil.which("npm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if npm is None:
        raise NoOhif("there is no npm to fetch the bundle with")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S, check=False,
            env={**os.environ, "PATH": f"{Path(npm).parent}{os.pathsep}{os.environ.get('PATH', '')}"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise NoOhif(f"npm did not deliver {PACKAGE} {VERSION} within {_FETCH_TIMEOUT_S} s") from error
    packages = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(packages) != 1:
        raise NoOhif(f"npm did not deliver {PACKAGE} {VERSION}: {done.stderr.strip()[-300:] or 'it said nothing'}")
    found = hashlib.sha512(packages[0].read_bytes()).hexdigest()
    if found != _SHA512:
        raise NoOhif(f"{PACKAGE} {VERSION} is not the package that is known: its SHA-512 is {found}")
    return packages[0]


def _compress(files: Path) -> None:
    """Writes ``NAME.br`` beside each file that becomes smaller so."""
    several = [path for path in files.iterdir() if path.suffix in _COMPRESSED]  # not what it has for other uses
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # brotli gives the interpreter free
        list(threads.map(_compress_one, several))


def _compress_one(path: Path) -> None:
    small = brotli.compress(path.read_bytes(), quality=11)
    path.with_name(path.name + ".br").write_bytes(small)


# The servers


@contextlib.contextmanager
def serving(folder: Path, files: Path, instances: Sequence[Path]) -> Iterator[Clinic]:
    """A clinic that listens on all addresses, with ``instances`` in its archive and the bundle in ``files``."""
    with orthanc(folder, {"IngestTranscoding": _JPEG_LS_LOSSLESS, "HttpCompressionEnabled": False}) as archive:
        connection = archive.http()
        for path in instances:
            connection.request("POST", "/instances", path.read_bytes())
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise NoOhif(f"Orthanc answered an upload with {answer.status}: {body[:200]!r}")
        behind = connection.port
        connection.close()
        made = ensure_self_made(folder / "certificates", [HOST, "localhost"])
        port = free_port()
        _write_settings(folder, files)
        config = folder / "nginx.conf"
        config.write_text(
            _NGINX.format(folder=folder, files=files, made=made, port=port, behind=behind, modules=_MODULES)
        )
        process = subprocess.Popen(["nginx", "-c", str(config), "-e", str(folder / "nginx.log")])
        try:
            await_port(port)
            yield Clinic(port, made.authority)
        finally:
            process.terminate()
            process.wait()


def _write_settings(folder: Path, files: Path) -> None:
    """The bundle's own settings, with our archive as the only source: what else they say stays as it is."""
    settings = (files / "app-config.js").read_text()
    source = {
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
        "sourceName": "orthanc",
        "configuration": {
            "friendlyName": "Orthanc",
            "name": "orthanc",
            "wadoUriRoot": "/wado",
            "qidoRoot": "/dicom-web",
            "wadoRoot": "/dicom-web",
            "qidoSupportsIncludeField": True,
            "imageRendering": "wadors",
            "thumbnailRendering": "rendered",
            "enableStudyLazyLoad": True,
            "supportsFuzzyMatching": False,
            "supportsWildcard": True,
            "omitQuotationForMultipartRequest": True,
        },
    }
    ours = f"window.config.dataSources = [{json.dumps(source)}]\nwindow.config.defaultDataSourceName = 'orthanc'\n"
    (folder / "app-config.js").write_text(f"{settings}\n{ours}")


_NGINX = """
load_module {modules}/ngx_http_brotli_static_module.so;
load_module {modules}/ngx_http_brotli_filter_module.so;
daemon off;
user root;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    types {{
        text/html html;
        text/css css;
        application/javascript js mjs;
        application/json json;
        application/wasm wasm;
        image/svg+xml svg;
        image/png png;
        image/x-icon ico;
        font/woff2 woff2;
    }}
    default_type application/octet-stream;
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 300s;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    brotli_static on;
    brotli on;
    brotli_comp_level 5;
    brotli_types application/dicom+json application/json;
    upstream behind {{ server 127.0.0.1:{behind}; keepalive 32; }}
    server {{
        listen 0.0.0.0:{port} ssl http2;
        ssl_certificate {made.certificate};
        ssl_certificate_key {made.key};
        ssl_protocols TLSv1.3;
        root {files};
        add_header Cache-Control "public, max-age=31536000";
        # Orthanc knows neither OHIF's "accept" nor that a thumbnail may be small.
        location ~ ^/dicom-web/.*/rendered$ {{
            set $args viewport=128,128;
            proxy_set_header Accept image/jpeg;
            proxy_pass http://behind;
        }}
        location /dicom-web/ {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto https;
            proxy_buffers 64 64k;
            add_header Cache-Control "private, max-age=3600";
        }}
        location = /app-config.js {{ root {folder}; add_header Cache-Control "no-cache"; }}
        location / {{ try_files $uri /index.html; }}
    }}
}}
"""
