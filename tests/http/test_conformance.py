"""The conformance statement says what the code does."""

from pathlib import Path

from appliance.http.conformance import printed_into

STATEMENT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"


def test_the_statement_is_as_printed_from_the_tables():
    text = STATEMENT.read_text(encoding="utf-8")

    assert printed_into(text) == text, "python -m appliance.http.conformance docs/conformance.md prints it anew"
