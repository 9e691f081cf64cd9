"""The conformance statement says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest
from pynetdicom.presentation import build_context

from appliance.dimse.conformance import BEGIN, END, statement
from appliance.dimse.sop_classes import SERVICES, is_storage, offered_to

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
_CT = "1.2.840.10008.5.1.4.1.1.2"
_JPEG_LS = "1.2.840.10008.1.2.4.80"
_EXPLICIT = "1.2.840.10008.1.2.1"


def test_the_document_holds_what_is_printed() -> None:
    text = _DOCUMENT.read_text()

    assert text[text.index(BEGIN) : text.index(END) + len(END) + 1] == statement()


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.1.9",
        "1.2.840.10008.3.1.2.3.3",
        "1.2.840.10008.5.1.4.31",
        "1.2.840.10008.5.1.4.38.2",
        *SERVICES,
    ],
    ids=str,
)
def test_a_service_is_no_storage(uid: str) -> None:
    assert not is_storage(uid)


@pytest.mark.parametrize(
    "uid", [_CT, "1.2.840.10008.5.1.4.1.1.104.1", "1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.9"]
)
def test_every_storage_class_is_storage(uid: str) -> None:
    assert is_storage(uid)


def test_the_sender_chooses_among_transfer_syntaxes() -> None:
    (offered,) = offered_to(frozenset({"store"}), [build_context(_CT, [_JPEG_LS, _EXPLICIT])])

    assert offered.transfer_syntax == [_JPEG_LS, _EXPLICIT]


def test_pixels_that_are_elsewhere_are_not_taken() -> None:
    assert offered_to(frozenset({"store"}), [build_context(_CT, ["1.2.840.10008.1.2.4.94"])]) == []


@pytest.mark.parametrize("verb", ["echo", "store", "find", "move", "get", "commit"])
def test_a_verb_opens_its_own_services_only(verb: str) -> None:
    proposed = [build_context(uid) for uid in SERVICES]

    offered = offered_to(frozenset({verb}), proposed)  # type: ignore[arg-type]

    assert {SERVICES[str(context.abstract_syntax)][1] for context in offered} <= {verb}
    assert len(offered) == sum(1 for _, needed in SERVICES.values() if needed == verb)
