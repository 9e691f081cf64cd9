"""Whether it is time for another certificate, and, if it is, all of it in order."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from certificates import files
from certificates.authority import Authority
from certificates.name_server import Zone
from certificates.settings import Order, Refusal

log = logging.getLogger(__name__)

_LAST_PART = 1 / 3
"""Of its life: then it is renewed, also where the authority suggests nothing."""
_CURVE = ec.SECP256R1()


@dataclass(frozen=True)
class Credentials:
    """What nobody else may know."""

    account: ec.EllipticCurvePrivateKey
    """By which the authority knows us, P-256."""
    tsig: str
    """By which the name server knows us, base64."""

    @classmethod
    def read(cls, folder: Path) -> Credentials:
        """From ``account.key`` (PEM) and ``tsig`` of the folder, systemd's for credentials; Refusal naming what is wrong."""
        account, tsig = folder / "acme-account.key", folder / "acme-tsig"
        try:
            key = load_pem_private_key(account.read_bytes(), password=None)
            secret = tsig.read_text()
        except OSError as error:
            raise Refusal(f"the credential {error.filename}: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise Refusal(f"the credential {account} is no key in PEM") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise Refusal(f"the credential {account} is no key of the curve P-256")
        return cls(key, secret)


def new_account_key() -> bytes:
    """PEM."""
    key = ec.generate_private_key(_CURVE)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def renew(order: Order, credentials: Credentials, folder: Path, now: datetime, *, at_once: bool = False) -> str:
    """In words, what there is now; another certificate, with another key, only where it is time or ``at_once``.

    Refusal where one is needed and cannot be had. What there was stays then.
    """
    authority = Authority(order, credentials.account)
    there = files.current(folder)
    why = "it was asked for" if at_once else _why(order, there, now)
    if not why and there is not None:
        why = _suggested(authority, there, now)
        if not why:
            return f"{order.name}: {(there.ends - now).days} days left, nothing to do"
    zone = Zone(order.dns, credentials.tsig)
    key = ec.generate_private_key(_CURVE)
    files.put(folder, authority.certificate(key, zone.shown), key)
    made = files.current(folder)
    if made is None or order.name.rstrip(".") not in made.names:
        raise Refusal(f"what {order.directory} sent is no certificate for {order.name}")
    return f"{order.name}: a new one, because {why}; {(made.ends - now).days} days left"


def _why(order: Order, there: files.Current | None, now: datetime) -> str:
    if there is None:
        return "there was none"
    if order.name.rstrip(".") not in there.names:
        return f"there was one for {', '.join(sorted(there.names))}"
    if there.ends - now < _LAST_PART * (there.ends - there.begins):
        return f"{(there.ends - now).days} days were left"
    return ""


def _suggested(authority: Authority, there: files.Current, now: datetime) -> str:
    """Nothing depends on it yet, so an authority that does not answer is only told."""
    try:
        moment = authority.suggested_renewal(there.chain)
    except Refusal as refusal:
        log.warning("whether to renew early was not to be found out: %s", refusal)
        return ""
    return "the authority suggests it" if moment is not None and moment <= now else ""
