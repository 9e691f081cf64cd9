"""Logging in and out at the toplevel: ``/api/session``."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.accounts import Account, Right
from appliance.domain.errors import ApplianceError, NotAuthenticated, TooManyAttempts
from appliance.http.access import Access
from appliance.http.bodies import json_body, json_response
from appliance.http.patients import Directory
from appliance.http.webauthn import Authentication
from appliance.services.accounts import Accounts, Session, Whence
from appliance.services.metrics import Metrics
from appliance.storage.toplevel import InstitutionEntry

_REFRESH_COOKIE = "__Secure-refresh"
_DEVICE_COOKIE = "__Secure-device"
_PATH = "/api/session"
"""The refresh cookie goes nowhere else."""
_DEVICE_PATH = "/api"
_DEVICE_MAX_AGE_S = 180 * 24 * 3600


class LogIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    username: str
    password: str
    code: str | None = None


class PasskeyLogIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    credential: Authentication


class GrantAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    access_token: str
    expires_in_s: int
    account: dict[str, object]
    directory: Directory | None = None
    """Where it was asked for."""


class Directories(Protocol):
    """Who knows where institutions and nodes are."""

    async def directory(self, account: Account) -> tuple[InstitutionEntry, ...]: ...


def sessions(accounts: Accounts, known: Directories, access: Access, metrics: Metrics) -> Blueprint:
    """Each grant carries the access cookie for what has the toplevel's own host name, and, ``?with=directory``, what a page
    asks for next: on a line of 100 ms that is two round trips less to the first picture."""
    blueprint = Blueprint("sessions", __name__)

    @blueprint.post(_PATH)
    async def log_in() -> Response:
        wanted = await json_body(LogIn)
        return await entered(accounts.log_in(wanted.username, wanted.password, whence(), wanted.code))

    @blueprint.post(f"{_PATH}/passkey-request")
    async def request_passkey() -> Response:
        return json_response(accounts.passkey_request())

    @blueprint.post(f"{_PATH}/passkey")
    async def log_in_with_passkey() -> Response:
        wanted = await json_body(PasskeyLogIn)
        return await entered(accounts.log_in_with_passkey(wanted.credential.proof(), whence()))

    @blueprint.post(f"{_PATH}/renewal")
    async def renew() -> Response:
        return await granted(await accounts.renew(_refresh_secret()))

    @blueprint.delete(_PATH)
    async def log_out() -> Response:
        await accounts.log_out(_refresh_secret())
        response = Response("", 204)
        _set_cookie(response, "", max_age_s=0)
        access.clear_cookie(response)
        return response

    async def entered(attempt: Awaitable[Session]) -> Response:
        """The answer to an attempt to log in, which is counted."""
        try:
            session = await attempt
        except ApplianceError as error:
            metrics.logins.labels(_OUTCOMES.get(type(error), "failed")).inc()
            raise
        metrics.logins.labels("success").inc()
        return await granted(session)

    async def granted(session: Session) -> Response:
        account, token = session.account, session.access_token
        wants_directory = request.args.get("with") == "directory"
        directory = Directory(await known.directory(account)) if wants_directory else None
        response = json_response(GrantAnswer(token.text, token.expires_in_s, own_account_json(account), directory))
        _set_cookie(response, session.refresh_secret, max_age_s=int(accounts.session_lifetime.total_seconds()))
        access.give_cookie(response, token)
        if session.device_secret is not None:
            _give_device(response, session.device_secret)
        return response

    return blueprint


_OUTCOMES: dict[type[ApplianceError], str] = {NotAuthenticated: "wrong-credentials", TooManyAttempts: "slowed-down"}


def whence() -> Whence:
    """Where the current request comes from."""
    browser = request.headers.get("User-Agent", "")
    return Whence(request.remote_addr or "", browser, request.cookies.get(_DEVICE_COOKIE))


def _refresh_secret() -> str:
    secret = request.cookies.get(_REFRESH_COOKIE)
    if not secret:
        raise NotAuthenticated("The session has ended", key="session-ended")
    return secret


def own_account_json(account: Account) -> dict[str, object]:
    """The same for whoever it is: with what they may do, so that a page need not offer the rest."""
    everywhere = account.rights_everywhere
    at_home = (right for right in Right if account.has(right) and right not in everywhere)
    return {**account_json(account), "rights": {"everywhere": sorted(everywhere), "at_home": sorted(at_home)}}


def account_json(account: Account) -> dict[str, object]:
    """An account as docs/api.md has it."""
    return {
        "id": account.id,
        "username": account.username,
        "given_name": account.given_name,
        "family_name": account.family_name,
        "roles": sorted(account.roles),
        "institution_id": account.institution_id,
    }


def _set_cookie(response: Response, value: str, *, max_age_s: int) -> None:
    response.set_cookie(
        _REFRESH_COOKIE, value, max_age=max_age_s, path=_PATH, secure=True, httponly=True, samesite="Strict"
    )


def _give_device(response: Response, secret: str) -> None:
    """The browser is known from now on: guesses of others do not slow its owner down."""
    response.set_cookie(
        _DEVICE_COOKIE,
        secret,
        max_age=_DEVICE_MAX_AGE_S,
        path=_DEVICE_PATH,
        secure=True,
        httponly=True,
        samesite="Strict",
    )
