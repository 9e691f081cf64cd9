"""An authenticator in software: it makes discoverable passkeys (ES256) and uses them, as a phone or a security key does.

What goes in and comes out is the JSON of WebAuthn Level 3 §5.1, which stands between a server and a page; the page's part, to
say its origin, is done here too.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256, CoseKey
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

FLAG = AuthenticatorData.FLAG
Json = dict[str, Any]


@dataclass
class Passkey:
    party_id: str
    user_handle: bytes
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))


@dataclass
class Authenticator:
    origin: str
    recognises: bool = True
    """Whether it knows its owner by finger, face or PIN."""
    is_synced: bool = False
    counts: bool = True
    count: int = 0
    is_framed: bool = False
    """Whether the page is a frame in that of another origin."""
    passkeys: list[Passkey] = field(default_factory=list)
    next_id: bytes | None = None
    """The id of the passkeys that it makes from now on; without it each has one of its own."""

    def make(self, options: Json, kind: type[CoseKey] = ES256) -> Json:
        """RegistrationResponseJSON for PublicKeyCredentialCreationOptionsJSON; ``kind`` is what it claims to have made."""
        passkey = Passkey(options["rp"]["id"], websafe_decode(options["user"]["id"]))
        if passkey.user_handle in {one.user_handle for one in self.passkeys} and self._is_excluded(options):
            raise ValueError("this authenticator has one already")
        passkey.id = self.next_id or passkey.id
        self.passkeys.append(passkey)
        public = CoseKey({**ES256.from_cryptography_key(passkey.key.public_key()), 3: kind.ALGORITHM})
        credential = AttestedCredentialData.create(bytes(16), passkey.id, public)
        data = self._data(passkey.party_id, credential)
        return {
            "id": websafe_encode(passkey.id),
            "rawId": websafe_encode(passkey.id),
            "type": "public-key",
            "response": {
                "clientDataJSON": websafe_encode(self._client("webauthn.create", options)),
                "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
                "transports": ["internal"],
            },
            "clientExtensionResults": {},
        }

    def use(self, options: Json, passkey: Passkey | None = None) -> Json:
        """AuthenticationResponseJSON for PublicKeyCredentialRequestOptionsJSON, by the passkey that was made last."""
        passkey = passkey or self.passkeys[-1]
        self.count += self.counts
        client, data = self._client("webauthn.get", options), self._data(options["rpId"])
        signature = passkey.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return {
            "id": websafe_encode(passkey.id),
            "rawId": websafe_encode(passkey.id),
            "type": "public-key",
            "response": {
                "clientDataJSON": websafe_encode(client),
                "authenticatorData": websafe_encode(data),
                "signature": websafe_encode(signature),
                "userHandle": websafe_encode(passkey.user_handle),
            },
            "clientExtensionResults": {},
        }

    def _is_excluded(self, options: Json) -> bool:
        held = {websafe_encode(passkey.id) for passkey in self.passkeys}
        return bool(held & {one["id"] for one in options.get("excludeCredentials", ())})

    def _client(self, kind: str, options: Json) -> bytes:
        return bytes(CollectedClientData.create(kind, options["challenge"], self.origin, self.is_framed))

    def _data(self, party_id: str, credential: bytes = b"") -> AuthenticatorData:
        flags = FLAG.UP | (FLAG.AT if credential else FLAG(0))
        flags |= FLAG.UV if self.recognises else FLAG(0)
        flags |= FLAG.BE | FLAG.BS if self.is_synced else FLAG(0)
        return AuthenticatorData.create(hashlib.sha256(party_id.encode()).digest(), flags, self.count, credential)
