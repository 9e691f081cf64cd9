"""What is offered to a peer: one table of services and the transfer syntaxes. The conformance statement prints it."""

from __future__ import annotations

from collections.abc import Sequence

from pynetdicom import sop_class
from pynetdicom.presentation import PresentationContext, build_context

from appliance.dimse.peers import Verb
from appliance.storage.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
"""The well-known instance of storage commitment (PS3.4 J.3.5)."""

_MODELS = "1.2.840.10008.5.1.4.1.2."
SERVICES: dict[str, tuple[str, Verb]] = {
    VERIFICATION: ("Verification", "echo"),
    f"{_MODELS}1.1": ("Patient Root Query/Retrieve - FIND", "find"),
    f"{_MODELS}1.2": ("Patient Root Query/Retrieve - MOVE", "move"),
    f"{_MODELS}1.3": ("Patient Root Query/Retrieve - GET", "get"),
    f"{_MODELS}2.1": ("Study Root Query/Retrieve - FIND", "find"),
    f"{_MODELS}2.2": ("Study Root Query/Retrieve - MOVE", "move"),
    f"{_MODELS}2.3": ("Study Root Query/Retrieve - GET", "get"),
    COMMITMENT: ("Storage Commitment Push Model", "commit"),
}
"""Every SOP class beside storage, and the verb that a peer needs for it."""

STUDY_ROOT = frozenset({f"{_MODELS}2.1", f"{_MODELS}2.2", f"{_MODELS}2.3"})
"""Models without a level of patients."""

SERVICE_SYNTAXES = (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
)
"""How requests and answers that are no stored objects may be encoded."""

_NOT_STORAGE_ROOTS = ("1.2.840.10008.5.1.1.",)
"""Print management, and its kin."""
STORAGE = frozenset(sop_class._STORAGE_CLASSES.values())
_OTHER = frozenset(
    uid
    for name, table in vars(sop_class).items()
    if name.endswith("_CLASSES") and isinstance(table, dict) and name not in ("_STORAGE_CLASSES", "_SERVICE_CLASSES")
    for uid in table.values()
) | frozenset(sop_class._SERVICE_CLASSES)
"""Known SOP classes of services that are not storage."""
NOT_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (94, 95, 204, 205))
"""JPIP: the pixels are not in the object but on some server (PS3.5 A.6), which is no way to keep it."""


def is_storage(uid: str) -> bool:
    """Whether objects of this class are taken in: all storage classes, private and unknown ones among them."""
    return uid in STORAGE or not (uid in _OTHER or uid in SERVICES or uid.startswith(_NOT_STORAGE_ROOTS))


def is_storable_in(transfer_syntax_uid: str) -> bool:
    """Whether objects are taken in so encoded: all that the standard has, since nothing is decoded, and private ones.

    DICOM's own are explicit VR little endian if not named otherwise (PS3.5 A.4), so that the header can be read.
    """
    return transfer_syntax_uid not in NOT_SYNTAXES


def offered_to(verbs: frozenset[Verb], proposed: Sequence[PresentationContext]) -> list[PresentationContext]:
    """The contexts that a peer of these verbs is offered, out of those that it proposes.

    Among the transfer syntaxes of one context the peer's order holds: its first is how it has the objects.
    """
    by_class: dict[str, list[str]] = {}
    for context in proposed:
        syntaxes = by_class.setdefault(str(context.abstract_syntax), [])
        syntaxes += [str(uid) for uid in context.transfer_syntax if str(uid) not in syntaxes]
    offered = [_offered(verbs, uid, syntaxes) for uid, syntaxes in by_class.items()]
    return [context for context in offered if context is not None]


def _offered(verbs: frozenset[Verb], uid: str, syntaxes: list[str]) -> PresentationContext | None:
    if uid in SERVICES:
        if SERVICES[uid][1] not in verbs:
            return None
        return _context(uid, [syntax for syntax in SERVICE_SYNTAXES if syntax in syntaxes])
    if not is_storage(uid) or not verbs & {"store", "get"}:
        return None
    storable = _context(uid, [syntax for syntax in syntaxes if is_storable_in(syntax)])
    if storable is not None and "get" in verbs:
        # Role selection (PS3.7 D.3.3.4): in C-GET we send, on the association of the one who asks.
        storable.scu_role, storable.scp_role = True, "store" in verbs
    return storable


def _context(uid: str, syntaxes: list[str]) -> PresentationContext | None:
    return build_context(uid, syntaxes) if syntaxes else None
