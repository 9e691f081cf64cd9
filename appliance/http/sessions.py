"""Logging in and out at the toplevel: ``/api/session``."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from appliance.domain.accounts import Account
from appliance.domain.errors import ApplianceError, NotAuthenticated, TooManyAttempts
from appliance.http.bodies import json_body, json_response
from appliance.services.accounts import Accounts, Session
from appliance.services.metrics import Metrics

_REFRESH_COOKIE = "__Secure-refresh"
_PATH = "/api/session"
"""The cookie goes nowhere else."""


class LogIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    username: str
    password: str


class SessionAnswer(msgspec.Struct, frozen=True):
    access_token: str
    expires_in_s: int
    account: dict[str, object]


def sessions(accounts: Accounts, metrics: Metrics) -> Blueprint:
    blueprint = Blueprint("sessions", __name__)

    @blueprint.post(_PATH)
    async def log_in() -> Response:
        wanted = await json_body(LogIn)
        try:
            session = await accounts.log_in(wanted.username, wanted.password, request.remote_addr or "")
        except ApplianceError as error:
            metrics.logins.labels(_OUTCOMES.get(type(error), "failed")).inc()
            raise
        metrics.logins.labels("success").inc()
        return _answer(session, accounts)

    @blueprint.post(f"{_PATH}/renewal")
    async def renew() -> Response:
        return _answer(await accounts.renew(_refresh_secret()), accounts)

    @blueprint.delete(_PATH)
    async def log_out() -> Response:
        await accounts.log_out(_refresh_secret())
        response = Response("", 204)
        _set_cookie(response, "", max_age_s=0)
        return response

    return blueprint


_OUTCOMES: dict[type[ApplianceError], str] = {NotAuthenticated: "wrong-credentials", TooManyAttempts: "slowed-down"}


def _refresh_secret() -> str:
    secret = request.cookies.get(_REFRESH_COOKIE)
    if not secret:
        raise NotAuthenticated("The session has ended", key="session-ended")
    return secret


def _answer(session: Session, accounts: Accounts) -> Response:
    token = session.access_token
    response = json_response(SessionAnswer(token.text, token.expires_in_s, _account(session.account)))
    _set_cookie(response, session.refresh_secret, max_age_s=int(accounts.session_lifetime.total_seconds()))
    return response


def _account(account: Account) -> dict[str, object]:
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
