"""What a page says of an authenticator, in the JSON of WebAuthn Level 3 §5.1 (``PublicKeyCredential.toJSON``), as values.

Members that are not needed here are passed over: browsers add some.
"""

from __future__ import annotations

import base64

import msgspec

from appliance.domain.errors import BadRequest
from appliance.services.passkeys import NewPasskey, PasskeyProof

Base64Url = str
"""Without padding (RFC 4648 §5)."""


class _Attestation(msgspec.Struct, frozen=True):
    client_data: Base64Url = msgspec.field(name="clientDataJSON")
    attestation_object: Base64Url = msgspec.field(name="attestationObject")


class _Assertion(msgspec.Struct, frozen=True):
    client_data: Base64Url = msgspec.field(name="clientDataJSON")
    authenticator_data: Base64Url = msgspec.field(name="authenticatorData")
    signature: Base64Url
    user_handle: Base64Url | None = msgspec.field(name="userHandle", default=None)


class Registration(msgspec.Struct, frozen=True):
    """RegistrationResponseJSON: a passkey was made."""

    response: _Attestation

    def new_passkey(self) -> NewPasskey:
        return NewPasskey(
            _decoded(self.response.client_data, "clientDataJSON"),
            _decoded(self.response.attestation_object, "attestationObject"),
        )


class Authentication(msgspec.Struct, frozen=True):
    """AuthenticationResponseJSON: a passkey was used."""

    raw_id: Base64Url = msgspec.field(name="rawId")
    response: _Assertion

    def proof(self) -> PasskeyProof:
        said = self.response
        return PasskeyProof(
            _decoded(self.raw_id, "rawId"),
            _decoded(said.client_data, "clientDataJSON"),
            _decoded(said.authenticator_data, "authenticatorData"),
            _decoded(said.signature, "signature"),
            _decoded(said.user_handle or "", "userHandle"),
        )


def _decoded(text: Base64Url, name: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise BadRequest(f"{name} is not base64url", key="wrong-body", parameter=name) from error
