"""What the tests of the doors share."""

from __future__ import annotations

import pytest

from appliance.http.certificates import CertificateFiles, ensure_self_made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """A server certificate of our own making for localhost and 127.0.0.1."""
    return ensure_self_made(tmp_path_factory.mktemp("tls"), ["localhost", "127.0.0.1"])
