"""The DIMSE part of the conformance statement, printed from the tables that the code runs on.

``python -m appliance.dimse.conformance`` prints it; a test sees to it that ``docs/conformance.md`` holds the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from pynetdicom.presentation import build_context

from appliance.dimse import sop_classes
from appliance.dimse.peers import Limits, Refusal
from appliance.dimse.sop_classes import NOT_SYNTAXES, SERVICE_SYNTAXES, SERVICES, STORAGE
from appliance.dimse.statuses import STATUS, STATUS_OF_KEY, Status
from appliance.storage.dimse_queries import ATTRIBUTES, MOST_INSTANCES, MOST_MATCHES, Attribute, Level
from appliance.storage.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.storage.transcoding import TARGETS

BEGIN = "<!-- printed by `python -m appliance.dimse.conformance` -->"
END = "<!-- end of what is printed -->"


def statement() -> str:
    """Markdown."""
    return "\n".join([BEGIN, *_association(), *_services(), *_storage(), *_queries(), *_statuses(), END]) + "\n"


def _association() -> Iterator[str]:
    limits = Limits()
    yield "\n### Associations\n"
    yield f"Implementation class UID `{IMPLEMENTATION_CLASS_UID}`, version name `{IMPLEMENTATION_VERSION_NAME}`. Limits are"
    yield f"settings (`node.dimse.limits`); an association must be asked for within {limits.request_s:g} s of connecting, and"
    yield f"{limits.half_open} connections that have not asked are kept for each process, the oldest going first. No"
    yield "asynchronous operations; SCP/SCU role selection is answered for storage classes (C-GET).\n"
    yield from _table(
        ("rejected because", "result, source, reason (PS3.8 table 9-21)"),
        ((refusal.outcome, " ".join(str(byte) for byte in refusal.code)) for refusal in Refusal),
    )


def _services() -> Iterator[str]:
    yield "\n### Services\n"
    yield from _table(
        ("SOP class", "UID", "role", "verb of the settings"),
        ((name, f"`{uid}`", "SCP", f"`{verb}`") for uid, (name, verb) in SERVICES.items()),
    )
    yield "\nTheir transfer syntaxes, in this order of preference:\n"
    yield from (f"- {_syntax_name(uid)} `{uid}`" for uid in SERVICE_SYNTAXES)
    yield f"\nA C-GET or C-MOVE sends at most {MOST_INSTANCES} instances, as they were received where the peer takes that, else"
    yield f"transcoded to {' or '.join(f'`{uid}`' for uid in TARGETS)} as WADO-RS does, as an SCU of their storage classes."
    yield "What can be had in nothing that the peer takes is a failed sub-operation; Error Comment has the reason of the first."
    yield "C-MOVE goes to peers of the settings that have a `port`. The result of a commitment request"
    yield "comes on an association of the appliance's own to that port, with the roles reversed, or on the same association."


def _storage() -> Iterator[str]:
    yield "\n### Storage\n"
    yield "SCP (verb `store`) of every storage SOP class, private, retired and unknown ones among them; each instance needs the"
    yield "UIDs of its study and series, so non-patient objects are refused. Transfer syntaxes: all, in the order of the sender,"
    yield "without decoding, except those whose pixels are elsewhere:\n"
    yield from (f"- {_syntax_name(uid)} `{uid}`" for uid in sorted(NOT_SYNTAXES))
    yield "\n Level 2 (full): no element is discarded or changed. Known classes:\n"
    yield from (f"- {_class_name(uid)} `{uid}`" for uid in sorted(STORAGE, key=_class_name))


_MATCHED_BY = {
    "UI": "UID or list",
    "DA": "day or range",
    "TM": "time or range",
    "IS": "number or list",
    "US": "number or list",
}
"""By value representation; others are text."""


def _queries() -> Iterator[str]:
    yield "\n### Attributes of C-FIND\n"
    yield f"At most {MOST_MATCHES} matches; then the last status is B001. Matching is exact but for names, which match"
    yield "without regard to case, as a whole or by one of their groups.\n"
    rows = ((attribute.keyword, attribute.level.name, _matching(attribute)) for attribute in ATTRIBUTES)
    yield from _table(("attribute", "level", "matched by"), rows)
    yield f"\nLevels: {', '.join(level.name for level in Level)}; the study root has no PATIENT."


def _matching(attribute: Attribute) -> str:
    if not attribute.is_matched:
        return "returned only"
    return _MATCHED_BY.get(attribute.vr, "value, list, wildcards")


def _statuses() -> Iterator[str]:
    yield "\n### Statuses\n"
    yield from _table(("status", "meaning"), ((f"{status:04X}", status.outcome) for status in Status))
    yield "\nWhat is refused, and how it is said:\n"
    yield from _table(
        ("refusal", "status"),
        [
            *((f"`{kind.__name__}`", f"{status:04X}") for kind, status in STATUS.items()),
            *((f"`{key}`", f"{status:04X}") for key, status in STATUS_OF_KEY.items()),
        ],
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _class_name(uid: str) -> str:
    return str(build_context(uid).abstract_syntax.name)  # type: ignore[union-attr]


def _syntax_name(uid: str) -> str:
    return str(build_context(sop_classes.VERIFICATION, uid).transfer_syntax[0].name)


if __name__ == "__main__":
    sys.stdout.write(statement())
