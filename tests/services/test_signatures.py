"""Signed requests and answers: as RFC 9421 has them, in one form, of one time."""

from __future__ import annotations

import base64
import time
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from appliance.domain.errors import NotAuthenticated
from appliance.services import signatures
from appliance.services.signatures import (
    SignedRequest,
    claim_of,
    sign_answer,
    sign_request,
    verify_answer,
    verify_request,
)

CHILD = UUID(int=7)
KEY = Ed25519PrivateKey.generate()
STRANGER = Ed25519PrivateKey.generate()


def asked(method: str = "POST", path: str = "/api/sync/changes", body: bytes = b"{}") -> SignedRequest:
    return SignedRequest(method, path, body, sign_request(KEY, CHILD, method, path, body))


def test_the_signature_base_is_that_of_the_example_of_the_standard() -> None:
    """RFC 9421 §B.2.6, with the key of §B.1.4."""
    key = load_der_private_key(
        base64.b64decode("MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"), None
    )
    covered = [
        ('"date"', "Tue, 20 Apr 2021 02:07:55 GMT"),
        ('"@method"', "POST"),
        ('"@path"', "/foo"),
        ('"@authority"', "example.com"),
        ('"content-type"', "application/json"),
        ('"content-length"', "18"),
    ]
    names = " ".join(name for name, _ in covered)

    base = signatures.signature_base(covered, f'({names});created=1618884473;keyid="test-key-ed25519"')

    assert isinstance(key, Ed25519PrivateKey)
    expected = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    assert base64.b64encode(key.sign(base)).decode() == expected


def test_what_was_signed_is_verified_and_says_who() -> None:
    request = asked()

    verify_request(request, KEY.public_key())

    assert claim_of(request).child_id == CHILD


def test_no_two_requests_have_the_same_nonce() -> None:
    assert claim_of(asked()).nonce != claim_of(asked()).nonce


@pytest.mark.parametrize("part", ["method", "path", "body"])
def test_nothing_that_is_covered_can_be_changed(part: str) -> None:
    request = asked()
    changed = {"method": request.method, "path": request.path, "body": request.body}
    changed[part] = {"method": "PUT", "path": "/api/sync/questions", "body": b"{} "}[part]

    with pytest.raises(NotAuthenticated):
        verify_request(SignedRequest(**changed, headers=request.headers), KEY.public_key())


def test_the_key_of_another_does_not_verify() -> None:
    with pytest.raises(NotAuthenticated):
        verify_request(asked(), STRANGER.public_key())


@pytest.mark.parametrize("seconds", [-61, 61])
def test_a_request_of_another_time_is_refused(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked()
    now = time.time()
    monkeypatch.setattr(signatures.time, "time", lambda: now + seconds + (1 if seconds > 0 else -1))

    with pytest.raises(NotAuthenticated) as refused:
        claim_of(request)

    assert refused.value.key == "signature-out-of-time"


@pytest.mark.parametrize(
    "replaced",
    [
        ('"@method" "@path" "content-digest"', '"@method" "content-digest"'),
        ('alg="ed25519"', 'alg="hmac-sha256"'),
        ('tag="appliance-sync"', 'tag="another"'),
        ("sync=", "other="),
        (";nonce=", ";once="),
    ],
)
def test_a_signature_of_another_form_is_none(replaced: tuple[str, str]) -> None:
    request = asked()
    headers = {**request.headers, "Signature-Input": request.headers["Signature-Input"].replace(*replaced)}

    with pytest.raises(NotAuthenticated) as refused:
        claim_of(SignedRequest(request.method, request.path, request.body, headers))

    assert refused.value.key == "no-signature"


def test_an_answer_is_of_the_request_that_it_answers_and_of_no_other() -> None:
    first, second = asked(), asked()
    answer = sign_answer(STRANGER, "parent", 200, b"[]", first.headers)

    verify_answer(STRANGER.public_key(), 200, b"[]", answer, first.headers)

    for status, body, request in ((201, b"[]", first), (200, b"[1]", first), (200, b"[]", second)):
        with pytest.raises(NotAuthenticated):
            verify_answer(STRANGER.public_key(), status, body, answer, request.headers)


def test_a_request_is_no_answer() -> None:
    request = asked()

    with pytest.raises(NotAuthenticated):
        verify_answer(KEY.public_key(), 200, request.body, request.headers, request.headers)
