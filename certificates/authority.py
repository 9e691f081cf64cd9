"""Account, order and certificate at an authority that speaks ACME. One of its errors is told with its problem document's detail.

References: RFC 8555 (ACME), RFC 9773 (when to renew).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta

import josepy.errors
import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from certificates.settings import Order, Refusal

_PATIENCE = timedelta(minutes=5)
"""For the authority to look at the record, from several places, and to sign."""
_ANSWER_TIMEOUT_S = 45

Shown = Callable[[str, str], AbstractContextManager[None]]
"""The TXT record of that name has that value as long as the context lasts."""


class Authority:
    """One account at one authority. Blocking; Refusal wherever it does not answer or refuses."""

    def __init__(self, order: Order, account: ec.EllipticCurvePrivateKey) -> None:
        self._order = order
        self._network = client.ClientNetwork(
            JWKEC(key=account),
            alg=ES256,
            # typed as a truth; it is handed to requests, which takes a path as well
            verify_ssl=str(order.authorities) if order.authorities else True,  # type: ignore[arg-type]
            user_agent="appliance-certificate",
            timeout=_ANSWER_TIMEOUT_S,
        )
        self._client: client.ClientV2 | None = None

    def suggested_renewal(self, chain: bytes) -> datetime | None:
        """A moment within the span that the authority suggests (RFC 9773 §4.2); None where it suggests nothing."""
        try:
            return self._reached().renewal_time(chain)[0]
        except errors.ARIError as error:
            raise Refusal(f"{self._order.directory} does not say when to renew: {_told(error)}") from error

    def certificate(self, key: ec.EllipticCurvePrivateKey, shown: Shown) -> str:
        """PEM: the certificate of ``key`` for the name of the order, then those in between."""
        try:
            return self._certificate(key, shown)
        except (messages.Error, errors.Error, josepy.errors.Error, requests.RequestException) as error:
            raise Refusal(f"{self._order.directory}: {_told(error)}") from error

    def _reached(self) -> client.ClientV2:
        if self._client is None:
            url = self._order.directory
            try:
                directory = client.ClientV2.get_directory(url, self._network)
                directory["newOrder"]
            except (requests.RequestException, messages.Error, errors.Error) as error:
                raise Refusal(f"the directory {url} is not reachable: {_told(error)}") from error
            except (ValueError, KeyError, josepy.errors.Error) as error:
                raise Refusal(f"{url} is no directory of ACME") from error
            self._client = client.ClientV2(directory, self._network)
        return self._client

    def _certificate(self, key: ec.EllipticCurvePrivateKey, shown: Shown) -> str:
        acme = self._reached()
        self._log_in(acme)
        until = datetime.now() + _PATIENCE  # the library compares with the clock on the wall
        order = acme.new_order(_request(self._order.name, key))
        with ExitStack() as records:
            for authorization in order.authorizations:
                if authorization.body.status == messages.STATUS_VALID:
                    continue
                challenge = self._dns_challenge(authorization)
                proof, value = challenge.response_and_validation(self._network.key)
                records.enter_context(shown(self._order.record, value))
                acme.answer_challenge(challenge, proof)
            order = acme.poll_authorizations(order, until)
        return acme.finalize_order(order, until).fullchain_pem

    def _log_in(self, acme: client.ClientV2) -> None:
        if acme.external_account_required():
            raise Refusal(
                f"{self._order.directory} knows only who is a customer already (external account binding): "
                "the appliance cannot do that, take another authority"
            )
        wanted = messages.NewRegistration.from_data(email=self._order.contact, terms_of_service_agreed=True)
        try:
            acme.new_account(wanted)
        except errors.ConflictError as known:  # the account of this key is there already, RFC 8555 §7.3.1
            self._network.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())

    def _dns_challenge(self, authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
        offered = authorization.body.challenges
        for challenge in offered:
            if isinstance(challenge.chall, challenges.DNS01):
                return challenge
        kinds = ", ".join(challenge.chall.typ for challenge in offered)
        raise Refusal(f"{self._order.directory} wants {self._order.name} proven by {kinds}, and not by dns-01")


def _request(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """PEM. No common name: what browsers look at is the alternative name (RFC 9525 §6.3)."""
    names = x509.SubjectAlternativeName([x509.DNSName(name.rstrip("."))])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _told(error: Exception) -> str:
    """What the authority says in its problem document (RFC 8555 §6.7), else what went wrong."""
    if isinstance(error, errors.ValidationError):
        found = [c.error for authorization in error.failed_authzrs for c in authorization.body.challenges if c.error]
        return "; ".join(_problem(problem) for problem in found)
    if isinstance(error, errors.IssuanceError):
        return _problem(error.error)
    if isinstance(error, messages.Error):
        return _problem(error)
    if isinstance(error, errors.TimeoutError):
        return f"it is not done after {_PATIENCE.seconds // 60} minutes"
    return str(error) or type(error).__name__


def _problem(problem: messages.Error) -> str:
    return f"{problem.detail or problem.title or 'no detail'} ({problem.code or problem.typ})"
