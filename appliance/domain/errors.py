"""Everything that the appliance refuses, as one tree.

    ApplianceError
    ├── BadRequest           a request that cannot be understood; names the parameter
    ├── NotAuthenticated     nobody is logged in, or the credentials are wrong
    ├── NotAllowed           somebody is, and may not
    ├── NotFound             nothing by that name, for this account
    ├── NotAcceptable        none of the media types that were asked for can be made
    ├── UnsupportedMedia     a body of a kind that is not taken here
    ├── Conflict             it contradicts what is kept
    ├── Outdated             what it was made from was changed meanwhile; says what differs
    ├── ConditionMissing     a change that does not say what it was made from
    ├── TooLarge             beyond a limit of the settings
    ├── NotDicom             bytes that are not DICOM, or DICOM that cannot be read
    ├── NotDrawable          an object that has no picture, or none that would be true
    ├── TooManyAttempts      slowed down after failures; says for how long
    ├── Unavailable          a part that is needed is not there now
    ├── StoreFull            no room, or less than the floor that is kept free
    ├── Damaged              kept bytes do not verify
    └── SettingsError        the settings file; one line, for the one who wrote it

``key`` is stable and is what the page translates; ``fields`` are plain values. Neither a message nor a field ever holds
a patient's name, number or date: UIDs do.
"""

from __future__ import annotations


class ApplianceError(Exception):
    """Anything that the appliance refuses."""

    default_key = "refused"

    def __init__(self, message: str, *, key: str | None = None, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.key = key or self.default_key
        self.fields = fields


class BadRequest(ApplianceError):
    default_key = "bad-request"


class NotAuthenticated(ApplianceError):
    default_key = "not-authenticated"


class NotAllowed(ApplianceError):
    default_key = "not-allowed"


class NotFound(ApplianceError):
    default_key = "not-found"


class NotAcceptable(ApplianceError):
    default_key = "not-acceptable"


class UnsupportedMedia(ApplianceError):
    default_key = "unsupported-media"


class Conflict(ApplianceError):
    default_key = "conflict"


class Outdated(ApplianceError):
    default_key = "changed-meanwhile"


class ConditionMissing(ApplianceError):
    default_key = "condition-missing"


class TooLarge(ApplianceError):
    default_key = "too-large"


class NotDicom(ApplianceError):
    default_key = "not-dicom"


class NotDrawable(ApplianceError):
    default_key = "not-drawable"


class TooManyAttempts(ApplianceError):
    default_key = "too-many-attempts"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s


class Unavailable(ApplianceError):
    default_key = "unavailable"


class StoreFull(ApplianceError):
    default_key = "store-full"


class Damaged(ApplianceError):
    default_key = "damaged"


class SettingsError(ApplianceError):
    default_key = "settings"
