"""Entries of the journal; whether journald takes them is for the machine tests."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.services.journal import JournalEntries, is_of_the_journal, journal_fields


class Sent:
    """Where entries go."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, str]]] = []

    def __call__(self, message: str, **fields: str) -> None:
        self.entries.append((message, fields))


@pytest.fixture
def sent() -> Iterator[tuple[Sent, logging.Logger]]:
    sent, log = Sent(), logging.getLogger("appliance.to_the_journal")
    handler = JournalEntries(sent)
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield sent, log
    log.removeHandler(handler)


def test_each_field_is_one_of_the_entry(sent: tuple[Sent, logging.Logger]) -> None:
    entries, log = sent
    log.warning("%d files were set aside", 3, extra={"instance_uid": "1.2.3", "roles": ["web", "node"], "port": 443})

    message, fields = entries.entries[0]
    assert message == "3 files were set aside"
    assert fields == {
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "appliance",
        "LOGGER": "appliance.to_the_journal",
        "APPLIANCE_INSTANCE_UID": "1.2.3",
        "APPLIANCE_ROLES": '["web","node"]',
        "APPLIANCE_PORT": "443",
    }


@pytest.mark.parametrize(
    ("level", "severity"),
    [("DEBUG", "7"), ("INFO", "6"), ("WARNING", "4"), ("ERROR", "3"), ("CRITICAL", "2"), (25, "6")],
)
def test_levels_are_those_of_syslog(level: str | int, severity: str) -> None:
    number = logging.getLevelName(level) if isinstance(level, str) else level
    record = logging.LogRecord("appliance", number, __file__, 1, "so it is", (), None)

    assert journal_fields(record)["PRIORITY"] == severity


def test_an_exception_has_its_traceback(sent: tuple[Sent, logging.Logger]) -> None:
    entries, log = sent
    try:
        raise RuntimeError("no disk")
    except RuntimeError:
        log.exception("not kept")

    assert entries.entries[0][1]["APPLIANCE_EXCEPTION"].endswith("RuntimeError: no disk")


def test_names_of_fields_are_such_as_the_journal_takes() -> None:
    record = logging.makeLogRecord({"levelno": logging.INFO, "Größe in mm": 3, "x" * 100: 1})

    for name in journal_fields(record):
        assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", name)


def test_a_stream_is_the_journals_only_if_it_is_the_one_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "other").open("w") as other:
        found = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")

        assert is_of_the_journal(journal)
        assert not is_of_the_journal(other)

        monkeypatch.delenv("JOURNAL_STREAM")
        assert not is_of_the_journal(sys.__stderr__ or journal)
