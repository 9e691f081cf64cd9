"""Who asks: the bearer token of a request, or the access cookie that the token was traded for.

A GET with ``Authorization`` to another origin costs a preflight for every URL; one with a cookie costs none. So a page trades
its token once with each institution and node; those with the host name of the toplevel have it with the token itself, since a
cookie knows no ports. The cookie is good for GETs only: what changes something needs the token itself.
"""

from __future__ import annotations

import time
from uuid import UUID

from quart import Request, Response, request

from appliance.domain.accounts import Account
from appliance.domain.audit import Actor
from appliance.domain.errors import NotAllowed, NotAuthenticated
from appliance.domain.identifiers import StudyUid
from appliance.http.asgi import Scope, header
from appliance.services.audit import somebody
from appliance.services.tokens import AccessToken, TokenVerifier

ACCESS_COOKIE = "__Host-access"
"""RFC 6265bis §4.1.3.2: the prefix makes browsers insist on Secure, Path=/ and no Domain."""
_BEARER = "Bearer "


class Access:
    """Reads accounts from requests."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    def writer(self) -> Account:
        """The account of the bearer token of the current request; NotAuthenticated without one, NotAllowed for a guest."""
        return _no_guest(self._verifier.verify(_bearer(request))[0])

    def reader(self) -> Account:
        """The account of the bearer token or, failing that, of the access cookie. NotAllowed for a guest."""
        return _no_guest(self.visitor())

    def viewer(self, study_uid: StudyUid) -> Account:
        """The same, or a guest to whom this study is shown."""
        account = self.visitor()
        if account.guest_of is not None and account.guest_of != study_uid:
            raise _not_shared()
        return account

    def visitor(self) -> Account:
        """The same, or any guest: for what is of no patient."""
        cookie = request.cookies.get(ACCESS_COOKIE)
        if "Authorization" not in request.headers and cookie:
            return self._verifier.verify(cookie)[0]
        return self._verifier.verify(_bearer(request))[0]

    def writer_of(self, scope: Scope) -> Account:
        """The same as ``writer`` for an ASGI scope."""
        return _no_guest(self._verifier.verify(_token(header(scope, b"authorization")))[0])

    def actor_of(self, scope: Scope, account: Account) -> Actor:
        """The same as ``actor`` for an ASGI scope."""
        client = scope.get("client")
        return somebody(account, client[0] if client else "")

    def actor(self, account: Account) -> Actor:
        """Who asks, and from where, for the audit trail."""
        return somebody(account, request.remote_addr or "")

    def session_id(self) -> UUID | None:
        """The session of the bearer token."""
        return self._verifier.session_of(_bearer(request))

    def set_cookie(self, response: Response) -> None:
        """The answer carries the access cookie of the bearer token, which ends when the token does."""
        token = _bearer(request)
        _, ends_at = self._verifier.verify(token)
        _cookie(response, token, max_age_s=max(0, ends_at - int(time.time())))

    def give_cookie(self, response: Response, token: AccessToken) -> None:
        """The answer carries the access cookie of ``token``, for whoever was just given that too."""
        _cookie(response, token.text, max_age_s=token.expires_in_s)

    def clear_cookie(self, response: Response) -> None:
        _cookie(response, "", max_age_s=0)


def _no_guest(account: Account) -> Account:
    """Doors are closed to guests, but for those that say otherwise."""
    if account.guest_of is not None:
        raise _not_shared()
    return account


def _not_shared() -> NotAllowed:
    return NotAllowed("The link shows one study, and nothing else", key="not-shared")


def _cookie(response: Response, value: str, *, max_age_s: int) -> None:
    # A page of another site can have cookies here only partitioned (CHIPS); one of the same site keeps them strict.
    is_other_site = request.headers.get("Sec-Fetch-Site") == "cross-site"
    response.set_cookie(
        ACCESS_COOKIE,
        value,
        max_age=max_age_s,
        path="/",
        secure=True,
        httponly=True,
        samesite="None" if is_other_site else "Strict",
        partitioned=is_other_site,
    )


def _bearer(asked: Request) -> str:
    return _token(asked.headers.get("Authorization"))


def _token(authorization: str | None) -> str:
    if not authorization or not authorization.startswith(_BEARER):
        raise NotAuthenticated("The request carries no access token", key="no-token")
    return authorization.removeprefix(_BEARER)
