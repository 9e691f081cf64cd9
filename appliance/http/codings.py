"""Which coding of a body whoever asks takes (RFC 9110 §12.5.3)."""

from __future__ import annotations

from collections.abc import Iterable


def best_coding(accept_encoding: str, codings: Iterable[str]) -> str:
    """The first of ``codings`` that ``Accept-Encoding`` takes; empty where it takes none of them."""
    accepted = _accepted(accept_encoding)
    return next((coding for coding in codings if accepted.get(coding, accepted.get("*", 0.0)) > 0), "")


def _accepted(accept_encoding: str) -> dict[str, float]:
    """Codings and their weights (RFC 9110 §12.4.2); one that cannot be read weighs nothing."""
    weights = {}
    for item in accept_encoding.split(","):
        coding, _, parameter = item.partition(";")
        name, _, weight = parameter.strip().partition("=")
        try:
            weights[coding.strip().lower()] = float(weight) if name == "q" else 1.0
        except ValueError:
            weights[coding.strip().lower()] = 0.0
    return weights
