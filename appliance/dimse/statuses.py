"""What is refused, as a DIMSE status (PS3.4 tables B.2-1 and C.4-1, PS3.7 annex C). The one table of them."""

from __future__ import annotations

from enum import IntEnum

from appliance.domain import errors


class Status(IntEnum):
    """What is answered; the name is what logs and figures say."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    INVALID_SOP_INSTANCE = 0x0117
    NOT_AUTHORIZED = 0x0124
    UNRECOGNIZED_OPERATION = 0x0211
    RESOURCE_LIMITATION = 0x0213
    NO_SUCH_ACTION = 0x0123
    OUT_OF_RESOURCES = 0xA700
    UNABLE_TO_COUNT = 0xA701
    DESTINATION_UNKNOWN = 0xA801
    DATA_SET_DOES_NOT_MATCH = 0xA900
    SOME_FAILED = 0xB000
    LIMIT_REACHED = 0xB001
    CANNOT_UNDERSTAND = 0xC000
    CANCELLED = 0xFE00
    PENDING = 0xFF00
    PENDING_NOT_ALL_KEYS = 0xFF01

    @property
    def outcome(self) -> str:
        return self.name.lower().replace("_", "-")


STATUS: dict[type[errors.ApplianceError], Status] = {
    errors.BadRequest: Status.DATA_SET_DOES_NOT_MATCH,
    errors.NotAllowed: Status.NOT_AUTHORIZED,
    errors.Conflict: Status.DUPLICATE_SOP_INSTANCE,
    errors.TooLarge: Status.OUT_OF_RESOURCES,
    errors.NotDicom: Status.CANNOT_UNDERSTAND,
    errors.Unavailable: Status.OUT_OF_RESOURCES,
    errors.StoreFull: Status.OUT_OF_RESOURCES,
    errors.ApplianceError: Status.CANNOT_UNDERSTAND,
}

STATUS_OF_KEY = {
    "too-many-instances": Status.UNABLE_TO_COUNT,
    "unreadable-identifier": Status.CANNOT_UNDERSTAND,
    "move-destination-unknown": Status.DESTINATION_UNKNOWN,
    "sop-class-mismatch": Status.DATA_SET_DOES_NOT_MATCH,
    "sop-instance-mismatch": Status.INVALID_SOP_INSTANCE,
}
"""Refusals that are told apart by their key."""


def status_of(error: errors.ApplianceError) -> Status:
    """The status of the nearest class that the table names."""
    named = STATUS_OF_KEY.get(error.key)
    return named or next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
