"""Which answer of a connection goes first: the extensible priorities of HTTP (RFC 9218), for HTTP/2 and HTTP/3 alike.

A browser says how urgent a request is (``fetch(…, {priority: "low"})``, an image outside the window) in the header field
``Priority``, and changes its mind by a PRIORITY_UPDATE frame; an answer that has such a field itself knows better (§8). What
is more urgent goes first, whole; of equally urgent answers those that are of use in pieces take turns, the others come one
after another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST_URGENT = 0
LEAST_URGENT = 7
_TRUE = ("", "?1")
_FALSE = "?0"


@dataclass(frozen=True, slots=True)
class Priority:
    """How urgent an answer is; as it stands, that of a request that says nothing (RFC 9218 §4)."""

    urgency: int = 3
    """0 goes first, 7 last."""
    is_incremental: bool = False
    """Whether it is of use in pieces."""

    def rank(self, stream_id: int) -> tuple[int, bool, int]:
        """The lowest goes first; equal ones take turns (RFC 9218 §10)."""
        return (self.urgency, self.is_incremental, 0 if self.is_incremental else stream_id)


UNSAID = Priority()
FIRST = "u=0, i=?0"
"""Of an answer that goes before files and whatever else is on its way, and whole."""
URGENT = 1
"""What browsers call a script's ``fetch`` of high priority, and their own files as well."""


def read_priority(value: bytes, before: Priority = UNSAID) -> Priority:
    """The priority of a field value as ``u=1, i``; ``before`` has what it does not say.

    What is unknown or out of range is ignored (RFC 9218 §4).
    """
    urgency, is_incremental = before.urgency, before.is_incremental
    for member in value.decode("latin-1").split(","):
        name, _, said = member.partition(";")[0].strip().partition("=")
        if name == "u" and said.isdecimal() and MOST_URGENT <= int(said[:3]) <= LEAST_URGENT:
            urgency = int(said)
        elif name == "i" and said in (*_TRUE, _FALSE):
            is_incremental = said != _FALSE
    return Priority(urgency, is_incremental)


def priority_of(headers: Iterable[tuple[bytes, bytes]], before: Priority = UNSAID) -> Priority:
    """What header fields say: of a request, or of an answer to a request of priority ``before``."""
    return read_priority(b",".join(value for name, value in headers if name.lower() == b"priority"), before)
