"""The log: one JSON object a line on standard error, for journald or a person with ``jq``.

From level info upwards nothing names a patient: messages are constant text, and fields are UIDs, counts and times.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from datetime import UTC, datetime

import msgspec

_LEVEL = "APPLIANCE_LOG_LEVEL"
"""Where a helper process finds the level of the process that started it."""
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_QUIET = {
    # These speak of every connection, or repeat values from files, which may name patients.
    "hypercorn.access": logging.WARNING,
    "appliance.http.listeners.tcp": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "quic": logging.ERROR,
    "pydicom": logging.CRITICAL,
    "pynetdicom": logging.CRITICAL,
    "pyvips": logging.WARNING,
}


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, and the fields given by ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({key: value for key, value in vars(record).items() if key not in _PLAIN})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def set_up(level: str) -> None:
    """This process logs at ``level`` from now on, and so will its helper processes."""
    os.environ[_LEVEL] = level
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    warnings.simplefilter("ignore")


def set_up_as_parent() -> None:
    """This helper process logs as the process that started it does."""
    set_up(os.environ.get(_LEVEL, "info"))
