"""DICOM over TLS (PS3.15 annex B, after BCP 195): TLS 1.2 and 1.3, and a peer's certificate where authorities are named."""

from __future__ import annotations

import ssl

from appliance.dimse.peers import Tls


def for_accepting(tls: Tls) -> ssl.SSLContext:
    """Raises OSError (ssl.SSLError) for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return _prepared(context, tls)


def for_calling(tls: Tls) -> ssl.SSLContext:
    """Peers are known by address, so their certificate is checked by its authority and not by a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return _prepared(context, tls)


def _prepared(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.authorities:
        context.load_verify_locations(tls.authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    elif context.verify_mode == ssl.CERT_REQUIRED:
        context.load_default_certs()
    return context
