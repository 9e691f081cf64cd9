"""What the tests of the doors share."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.http.certificates import CertificateFiles, ensure_self_made
from tests.http.central import prepare


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
def node_key(prepared: Path) -> Path:
    return prepared / "node.pem"
