"""The log: entries of the journal where systemd collects it, else one JSON object a line on standard error.

From level info upwards nothing names a patient: messages are constant text, and fields are UIDs, counts and times. In the journal
each field is one of the entry, ``journalctl APPLIANCE_INSTANCE_UID=…`` finds it; that needs systemd-python.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

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


_SEVERITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.NOTSET, 7))
"""Levels of logging and of syslog (RFC 5424 §6.2.1), from above."""


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


class JournalEntries(logging.Handler):
    """A record as an entry of the journal."""

    def __init__(self, send: Callable[..., object]) -> None:
        """``send`` takes the message and the fields, as ``systemd.journal.send`` does."""
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(record.getMessage(), **journal_fields(record))
        except (OSError, TypeError, ValueError):  # what logging itself does with a record that cannot be written
            self.handleError(record)


def journal_fields(record: logging.LogRecord) -> dict[str, str]:
    """The fields of an entry beside its message; those given by ``extra`` are called APPLIANCE_….

    References: systemd.journal-fields(7): capital letters, digits and underscores, at most 64.
    """
    severity = next(number for level, number in _SEVERITIES if record.levelno >= level)
    fields = {"PRIORITY": str(severity), "SYSLOG_IDENTIFIER": "appliance", "LOGGER": record.name}
    for key, value in vars(record).items():
        if key not in _PLAIN:
            name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in key.upper())
            text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
            fields[f"APPLIANCE_{name}"[:64]] = text
    if record.exc_info:
        fields["APPLIANCE_EXCEPTION"] = logging.Formatter().formatException(record.exc_info)
    return fields


def _handler() -> logging.Handler:
    send = _sender() if is_of_the_journal(sys.stderr) else None
    if send is not None:
        return JournalEntries(send)
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(JsonLines())
    return lines


def is_of_the_journal(stream: TextIO) -> bool:
    """Whether journald reads what is written there: JOURNAL_STREAM names its device and inode (systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or none of the system's
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _sender() -> Callable[..., object] | None:
    """systemd-python's, which is only there on a box; None where it is not."""
    try:
        send: Callable[..., object] = importlib.import_module("systemd.journal").send
    except ImportError:
        return None
    return send


def set_up(level: str) -> None:
    """This process logs at ``level`` from now on, and so will its helper processes."""
    os.environ[_LEVEL] = level
    logging.basicConfig(level=level.upper(), handlers=[_handler()], force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    warnings.simplefilter("ignore")


def set_up_as_parent() -> None:
    """This helper process logs as the process that started it does."""
    set_up(os.environ.get(_LEVEL, "info"))
