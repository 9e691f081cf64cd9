"""What appliances say to each other, signed: HTTP Message Signatures (RFC 9421) by Ed25519, over a Content-Digest (RFC 9530).

A request covers its method, its path and the digest of its body, with the time, a nonce and the child that signs:

    Signature-Input: sync=("@method" "@path" "content-digest");created=1618884473;nonce="…";keyid="CHILD-ID";…

The answer covers its status, its digest and the signature of the request (RFC 9421 §2.4), so that it is of this request and of no
other. RFC 9421 leaves open what is covered, and in which order it is named; here it is this form and no other one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.domain.errors import NotAuthenticated

_REQUEST = '("@method" "@path" "content-digest")'
_ANSWER = '("@status" "content-digest" "signature";req;key="sync")'
_TAG = "appliance-sync"
WINDOW_S = 60
"""A request is good for so long after it was made, and as long before: boxes keep time by NTP."""
_NONCE_BYTES = 16
_PARAMETERS = re.compile(
    r"sync=(?P<parameters>(?P<covered>\([^)]*\));created=(?P<created>\d{1,12})"
    r'(?:;nonce="(?P<nonce>[A-Za-z0-9_-]{16,64})")?;keyid="(?P<key_id>[A-Za-z0-9_-]{1,64})";alg="ed25519";tag="appliance-sync")'
)
_SIGNATURE = re.compile(r"sync=:(?P<value>[A-Za-z0-9+/]{86}==):")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request of a child, as it came."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What the signature of a request says of itself; true only once it was verified."""

    child_id: UUID
    nonce: str
    good_until: int
    """Unix time, seconds: later it is refused for its age, so the nonce need not be remembered any longer."""


def signature_base(covered: Sequence[tuple[str, str]], parameters: str) -> bytes:
    """The bytes that are signed (RFC 9421 §2.5): each component identifier, as serialized, and its value, then the parameters."""
    lines = [f"{identifier}: {value}" for identifier, value in covered]
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode("ascii")


def sign_request(key: Ed25519PrivateKey, child_id: UUID, method: str, path: str, body: bytes) -> dict[str, str]:
    """The headers that sign a request of a child."""
    nonce = secrets.token_urlsafe(_NONCE_BYTES)
    parameters = _parameters(_REQUEST, str(child_id), f';nonce="{nonce}"')
    return _headers(key, _of_request(method, path, body), parameters, body)


def claim_of(request: SignedRequest) -> Claim:
    """Who says that they signed the request; NotAuthenticated if nobody does, or too long ago."""
    found = _found(request.headers, _REQUEST)
    if found is None or found["nonce"] is None:
        raise NotAuthenticated("The request is not signed as RFC 9421 and docs/api.md have it", key="no-signature")
    try:
        child_id = UUID(found["key_id"])
    except ValueError as error:
        raise NotAuthenticated("The keyid of the signature is no child's", key="unknown-child") from error
    created, now = int(found["created"]), int(time.time())
    if abs(now - created) > WINDOW_S:
        raise NotAuthenticated(
            f"The signature is of another time: the two clocks differ, or the request is more than {WINDOW_S} s old",
            key="signature-out-of-time",
            created=created,
            now=now,
        )
    return Claim(child_id, found["nonce"], created + WINDOW_S)


def verify_request(request: SignedRequest, key: Ed25519PublicKey) -> None:
    """Returns if the owner of ``key`` signed this request; NotAuthenticated otherwise."""
    if not _is_signed(request.headers, request.body, key, _of_request(request.method, request.path, request.body)):
        raise NotAuthenticated("The signature is not of this request and this child", key="wrong-signature")


def sign_answer(
    key: Ed25519PrivateKey, key_id: str, status: int, body: bytes, request: Mapping[str, str]
) -> dict[str, str]:
    """The headers that sign the answer to a request with the headers ``request``."""
    return _headers(key, _of_answer(status, body, request), _parameters(_ANSWER, key_id), body)


def verify_answer(
    key: Ed25519PublicKey, status: int, body: bytes, headers: Mapping[str, str], request: Mapping[str, str]
) -> None:
    """Returns if the owner of ``key`` answered so to the request with the headers ``request``; NotAuthenticated otherwise."""
    is_of_this_form = _found(headers, _ANSWER) is not None
    if not is_of_this_form or not _is_signed(headers, body, key, _of_answer(status, body, request)):
        raise NotAuthenticated("The answer is not signed by the parent that was enrolled with", key="wrong-signature")


def _of_request(method: str, path: str, body: bytes) -> list[tuple[str, str]]:
    return [('"@method"', method), ('"@path"', path), ('"content-digest"', _digest(body))]


def _of_answer(status: int, body: bytes, request: Mapping[str, str]) -> list[tuple[str, str]]:
    of_request = request.get("Signature", "").removeprefix("sync=")
    return [
        ('"@status"', str(status)),
        ('"content-digest"', _digest(body)),
        ('"signature";req;key="sync"', of_request),
    ]


def _parameters(covered: str, key_id: str, nonce: str = "") -> str:
    return f'{covered};created={int(time.time())}{nonce};keyid="{key_id}";alg="ed25519";tag="{_TAG}"'


def _headers(
    key: Ed25519PrivateKey, covered: Sequence[tuple[str, str]], parameters: str, body: bytes
) -> dict[str, str]:
    signature = base64.b64encode(key.sign(signature_base(covered, parameters))).decode("ascii")
    return {
        "Content-Digest": _digest(body),
        "Signature-Input": f"sync={parameters}",
        "Signature": f"sync=:{signature}:",
    }


def _digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode('ascii')}:"


def _found(headers: Mapping[str, str], covered: str) -> re.Match[str] | None:
    found = _PARAMETERS.fullmatch(headers.get("Signature-Input", ""))
    return found if found is not None and found["covered"] == covered else None


def _is_signed(
    headers: Mapping[str, str], body: bytes, key: Ed25519PublicKey, covered: Sequence[tuple[str, str]]
) -> bool:
    found = _PARAMETERS.fullmatch(headers.get("Signature-Input", ""))
    signature = _SIGNATURE.fullmatch(headers.get("Signature", ""))
    if found is None or signature is None or headers.get("Content-Digest") != _digest(body):
        return False
    try:
        key.verify(base64.b64decode(signature["value"]), signature_base(covered, found["parameters"]))
    except (InvalidSignature, binascii.Error):
        return False
    return True
