"""What is refused, as ``application/problem+json`` (RFC 9457). The one table of status codes of refusals."""

from __future__ import annotations

import msgspec

from appliance.domain import errors

CONTENT_TYPE = "application/problem+json"

STATUS: dict[type[errors.ApplianceError], int] = {
    errors.BadRequest: 400,
    errors.NotAuthenticated: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.NotAcceptable: 406,
    errors.Conflict: 409,
    errors.Outdated: 412,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.NotDicom: 422,
    errors.NotDrawable: 422,
    errors.ConditionMissing: 428,
    errors.TooManyAttempts: 429,
    errors.Damaged: 500,
    errors.Unavailable: 503,
    errors.StoreFull: 507,
    errors.ApplianceError: 500,
}


def status_of(error: errors.ApplianceError) -> int:
    """The status code of the nearest class that the table names."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def headers_of(error: errors.ApplianceError) -> dict[str, str]:
    """What the answer says beside its body."""
    if isinstance(error, errors.TooManyAttempts):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, errors.NotAuthenticated):
        return {"WWW-Authenticate": "Bearer"}
    return {}


def body_of(error: errors.ApplianceError) -> bytes:
    return problem(status_of(error), error.key, error.message, **error.fields)


def problem(status: int, key: str, title: str, **fields: object) -> bytes:
    """The body of a refusal. Names of ours win over those of ``fields``."""
    return msgspec.json.encode({**fields, "type": key, "title": title, "status": status}, enc_hook=str)
