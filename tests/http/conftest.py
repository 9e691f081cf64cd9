"""What the tests of the doors share."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.http.certificates import CertificateFiles, ensure_self_made
from appliance.http.quic import QuicListener
from tests.http.central import prepare
from tests.http.quic_client import Client, connected, listening
from tests.http.scripted_application import ScriptedApplication


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """A server certificate of our own making for localhost and 127.0.0.1."""
    return ensure_self_made(tmp_path_factory.mktemp("tls"), ["localhost", "127.0.0.1"])


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an appliance with accounts and the key pair of a node (``central.prepare``); to be copied."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, prepared: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(prepared, tmp_path / "appliance"))


@pytest.fixture
def node_key(prepared: Path) -> Path:
    return prepared / "node.pem"


@pytest.fixture
def application() -> ScriptedApplication:
    return ScriptedApplication()


@pytest.fixture
async def listener(application: ScriptedApplication, certificate: CertificateFiles) -> AsyncIterator[QuicListener]:
    """The scripted application over HTTP/3."""
    async with listening(application, certificate) as listener:
        yield listener


@pytest.fixture
async def client(listener: QuicListener, certificate: CertificateFiles) -> AsyncIterator[Client]:
    """A connection to it."""
    async with connected(listener, certificate) as client:
        yield client
